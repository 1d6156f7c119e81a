//! `calldex call`: a phone call in the terminal. You type what the caller says and read what the caller hears.

use crate::twilio::{AuthToken, CallError};
use std::{path::PathBuf, time::Duration};
use tokio::io::{AsyncBufRead, AsyncWrite};

/// What `calldex call` was asked to do.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// Where the server listens (`--url`), such as `http://127.0.0.1:8080`.
    pub base_url: String,
    /// The server's `PUBLIC_URL`, where it has one (`--public-url`).
    pub public_url: Option<String>,
    /// The server's `TWILIO_AUTH_TOKEN` (environment); `None` signs nothing.
    pub auth_token: Option<AuthToken>,
    /// Path of the voice webhook (`--voice-path`).
    pub voice_path: String,
    /// Path of the status callback (`--status-path`); `None` sends none.
    pub status_path: Option<String>,
    /// The caller's number (`--from`).
    pub from: String,
    /// The called number (`--to`).
    pub to: String,
    /// File with one caller line each and directives (`--script`); `None` reads the input.
    pub script: Option<PathBuf>,
    /// How fast Twilio's time runs (`--speed`): 1.0 is realistic.
    pub speed: f64,
    /// How long to wait for a reply before saying so (`--reply-timeout`, seconds).
    pub reply_timeout: Duration,
    /// Colours and a prompt: set where output is a terminal and `NO_COLOR` is not set.
    pub decorated: bool,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            base_url: "http://127.0.0.1:8080".into(),
            public_url: None,
            auth_token: None,
            voice_path: "/twilio/voice".into(),
            status_path: Some("/twilio/status".into()),
            from: "+15550137294".into(),
            to: "+15550100199".into(),
            script: None,
            speed: 1.0,
            reply_timeout: Duration::from_secs(30),
            decorated: false,
        }
    }
}

/// How the call went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub call_sid: String,
    /// Replies heard, the greeting not counted.
    pub replies: usize,
    /// Things that the caller said or pressed.
    pub turns: usize,
    /// What ended the call, in words.
    pub ending: String,
    /// What the server did against the protocol, one line each.
    pub violations: Vec<String>,
}

/// Why the command failed; `Display` says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no server answers at {url}\nStart one in another terminal with `calldex serve`, or name its address with --url."
    )]
    NotReachable { url: String },
    #[error(
        "the server refused the call (403): its TWILIO_AUTH_TOKEN or public address differs from this command's"
    )]
    Refused,
    #[error("a caller would hear the busy tone: {0}")]
    Busy(CallError),
    #[error("cannot read the script {path}: {reason}")]
    Script { path: PathBuf, reason: String },
    #[error("line {line} of the script: {reason}")]
    Directive { line: usize, reason: String },
    #[error("the call broke off: {0}")]
    Call(CallError),
    #[error("terminal: {0}")]
    Io(#[from] std::io::Error),
}

/// Places a call and holds it until the input ends, `/bye`, or the server ends it.
pub async fn run(
    _options: CallOptions,
    _input: impl AsyncBufRead + Unpin,
    _output: impl AsyncWrite + Unpin,
) -> Result<Summary, Error> {
    todo!()
}
