//! `calldex call`: a phone call in the terminal. You type what the caller says and read what the caller hears.

mod keyboard;
mod screen;
mod script;
mod terminal_call;

use crate::twilio::{AuthToken, CallError, Twilio, TwilioConfig};
pub use script::HELP;

use screen::Screen;
use script::ScriptStep;
use std::{path::PathBuf, time::Duration};
use terminal_call::TerminalCall;
use tokio::io::{AsyncBufRead, AsyncWrite};

/// Longest script; what is beyond is not read.
const SCRIPT_BYTES_MAX: u64 = 1024 * 1024;

/// What `calldex call` was asked to do.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// Where the server listens (`--url`), such as `http://127.0.0.1:8080`.
    pub base_url: String,
    /// Where further instances of it listen.
    pub instances: Vec<String>,
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
    /// How fast Twilio's time runs (`--speed`): 1.0 is realistic; the default spares you most of the waiting for the
    /// voice to finish.
    pub speed: f64,
    /// How long a server that is gone in mid-call may take to come back.
    pub server_back_max: Duration,
    /// How long to wait for a reply before saying so (`--reply-timeout`, seconds).
    pub reply_timeout: Duration,
    /// Colours: set where output is a terminal and `NO_COLOR` is not set.
    pub decorated: bool,
    /// Somebody types and reads (input and output are terminals): there is a prompt, and a line that is typed while
    /// the agent speaks interrupts it. Otherwise a line is said once the agent has finished.
    pub keyboard: bool,
}

impl CallOptions {
    /// Lines are typed, and no script is followed.
    fn interactive(&self) -> bool {
        self.keyboard && self.script.is_none()
    }
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            base_url: "http://127.0.0.1:8080".into(),
            instances: Vec::new(),
            public_url: None,
            auth_token: None,
            voice_path: "/twilio/voice".into(),
            status_path: Some("/twilio/status".into()),
            from: "+15550137294".into(),
            to: "+15550100199".into(),
            script: None,
            speed: 5.0,
            server_back_max: Duration::from_secs(15),
            reply_timeout: Duration::from_secs(30),
            decorated: false,
            keyboard: false,
        }
    }
}

/// How the call went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallSummary {
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
pub enum TerminalError {
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
    #[error(
        "the server is gone: it left in mid-call and did not come back within {} s", waited.as_secs()
    )]
    Gone { waited: Duration },
    #[error("the call broke off: {0}")]
    Call(CallError),
    #[error("terminal: {0}")]
    Io(#[from] std::io::Error),
}

/// Places a call and holds it until the input ends, `/bye`, or the server ends it.
///
/// # Errors
/// Those of placing the call and of a script; once the call stands, whatever happens on it ends up in the [`CallSummary`].
pub async fn run(
    options: CallOptions,
    input: impl AsyncBufRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> Result<CallSummary, TerminalError> {
    let script = match &options.script {
        Some(path) => Some(read_script(path.clone()).await?),
        None => None,
    };
    let twilio = Twilio::new(TwilioConfig {
        base_url: options.base_url.clone(),
        instances: options.instances.clone(),
        public_url: options.public_url.clone(),
        auth_token: options.auth_token.clone(),
        speed: options.speed,
        voice_path: options.voice_path.clone(),
        status_path: options.status_path.clone(),
        action_patience: options.server_back_max,
        ..TwilioConfig::default()
    })
    .map_err(TerminalError::Call)?;
    let call = twilio
        .place_call(&options.from, &options.to)
        .await
        .map_err(|error| explain(error, &options))?;
    let screen = Screen::new(output, options.decorated, options.interactive());
    let mut talk = TerminalCall::new(call, screen, &options);
    talk.pick_up().await?;
    match script {
        Some(deeds) => talk.follow(deeds).await?,
        None if options.interactive() => talk.converse(input).await?,
        None => talk.read(input).await?,
    }
    talk.finish().await
}

async fn read_script(path: PathBuf) -> Result<Vec<ScriptStep>, TerminalError> {
    let reading = path.clone();
    let failed = |reason: String| TerminalError::Script {
        path: path.clone(),
        reason,
    };
    let text = tokio::task::spawn_blocking(move || read_bounded(&reading)).await;
    let text = text
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))?;
    script::parse_script(&text).map_err(|(line, reason)| TerminalError::Directive { line, reason })
}

fn read_bounded(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(SCRIPT_BYTES_MAX)
        .read_to_string(&mut text)?;
    Ok(text)
}

fn explain(error: CallError, options: &CallOptions) -> TerminalError {
    match error {
        CallError::Refused { .. } | CallError::Unreachable { .. } => TerminalError::NotReachable {
            url: options.base_url.clone(),
        },
        CallError::WebhookStatus { status: 403, .. }
        | CallError::Handshake {
            status: Some(403), ..
        } => TerminalError::Refused,
        CallError::Settings(_) => TerminalError::Call(error),
        other => TerminalError::Busy(other),
    }
}
