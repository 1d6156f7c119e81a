//! `calldex call`: a simulated call in the terminal.

use super::{failed, runtime};
use calldex_simulator::terminal::{self, CallOptions};
use calldex_simulator::twilio::AuthToken;
use clap::Args;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Where the server under call is.
#[derive(Args, Clone)]
pub struct TargetArguments {
    /// Where the server listens
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// The server's PUBLIC_URL, if it has one: requests are signed over it
    #[arg(long, env = "PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Signs requests as Twilio does; none are signed without it
    #[arg(
        long,
        env = "TWILIO_AUTH_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub auth_token: Option<String>,
    /// Path of the voice webhook
    #[arg(long, default_value = "/twilio/voice")]
    pub voice_path: String,
    /// The called number
    #[arg(long, default_value = "+15550100199")]
    pub to: String,
    /// How fast Twilio's time runs; 1 is realistic
    #[arg(long, default_value_t = 1.0)]
    pub speed: f64,
}

impl TargetArguments {
    /// The token in the simulator's own form.
    pub fn token(&self) -> Option<AuthToken> {
        self.auth_token
            .clone()
            .filter(|token| !token.is_empty())
            .map(AuthToken::from)
    }

    /// The public URL, unless it is blank.
    pub fn public_url(&self) -> Option<String> {
        self.public_url.clone().filter(|url| !url.is_empty())
    }
}

/// Options of `calldex call`.
#[derive(Args)]
pub struct CallArguments {
    #[command(flatten)]
    target: TargetArguments,
    /// The caller's number; also "anonymous", "sip:…", "client:…"
    #[arg(long)]
    from: Option<String>,
    /// What the caller says, one line each; without it you type
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Seconds to wait for a reply
    #[arg(long, default_value_t = 30.0)]
    reply_timeout: f64,
}

pub(super) fn run(arguments: CallArguments) -> ExitCode {
    let target = &arguments.target;
    let defaults = CallOptions::default();
    let decorated = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let options = CallOptions {
        base_url: target.url.clone(),
        public_url: target.public_url(),
        auth_token: target.token(),
        voice_path: target.voice_path.clone(),
        from: arguments.from.unwrap_or(defaults.from),
        to: target.to.clone(),
        script: arguments.script,
        speed: target.speed,
        reply_timeout: Duration::try_from_secs_f64(arguments.reply_timeout)
            .unwrap_or(defaults.reply_timeout),
        decorated,
        status_path: defaults.status_path,
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(error),
    };
    let input = tokio::io::BufReader::new(tokio::io::stdin());
    let called = runtime.block_on(terminal::run(options, input, tokio::io::stdout()));
    // The thread that reads the terminal may wait for a line that never comes.
    runtime.shutdown_background();
    match called {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(error),
    }
}
