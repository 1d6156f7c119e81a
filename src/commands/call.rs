//! `calldex call`: a simulated call in the terminal.

use super::{print_failure, runtime};
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
    /// Where the server listens; several instances with commas between (or --url again): each
    /// request and socket goes to the next in turn, and to another where nobody answers
    #[arg(
        long,
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8080"
    )]
    pub url: Vec<String>,
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
}

impl TargetArguments {
    /// Where the first instance listens.
    pub fn base_url(&self) -> String {
        self.url.first().cloned().unwrap_or_default()
    }

    /// Where the others do.
    pub fn instances(&self) -> Vec<String> {
        self.url.iter().skip(1).cloned().collect()
    }

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

/// What the help says at its end.
const AFTER_HELP: &str = "\
Typed at a terminal, a line is said at once: while the agent still speaks (its voice goes on after
its words are on the screen) it interrupts the agent. A script or a pipe waits until the agent has
finished. End of input (Ctrl-D) hangs up. Instead of words, typed or in a script:

  /press KEYS   presses keys (0-9 * #)
  /barge TEXT   says TEXT over the agent
  /wait MS      waits, in Twilio's time (see --speed)
  /drop         breaks the connection to the server
  /bye          hangs up, also /hangup
  /help         this list; ! for / does as well

Lines that begin with # are skipped.

A server that goes away in mid-call may come back within 15 s; the summary says where the real
Twilio would have given up.

Exit status: 0 the call was held, or the server refused or ended it with words of its own, which are
shown; 1 no call came about, or the server is gone; 2 wrong arguments.";

/// Options of `calldex call`.
#[derive(Args)]
#[command(after_long_help = AFTER_HELP, after_help = "More with --help: what can be typed, exit status.")]
pub struct CallArguments {
    #[command(flatten)]
    target: TargetArguments,
    /// The caller's number; also "anonymous", "sip:…", "client:…"
    #[arg(long)]
    from: Option<String>,
    /// What the caller says, one line each; without it you type
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// How fast Twilio's time runs: the agent's unheard voice, your own speech, reconnects.
    /// 1 is as on the telephone
    #[arg(long, value_name = "FACTOR", default_value_t = 5.0)]
    speed: f64,
    /// Seconds to wait for a reply
    #[arg(long, default_value_t = 30.0)]
    reply_timeout: f64,
}

pub(super) fn run(arguments: CallArguments) -> ExitCode {
    let target = &arguments.target;
    let defaults = CallOptions::default();
    let decorated = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let options = CallOptions {
        base_url: target.base_url(),
        instances: target.instances(),
        public_url: target.public_url(),
        auth_token: target.token(),
        voice_path: target.voice_path.clone(),
        from: arguments.from.unwrap_or(defaults.from),
        to: target.to.clone(),
        script: arguments.script,
        speed: arguments.speed,
        reply_timeout: Duration::try_from_secs_f64(arguments.reply_timeout)
            .unwrap_or(defaults.reply_timeout),
        decorated,
        keyboard: std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
        server_back_max: defaults.server_back_max,
        status_path: defaults.status_path,
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return print_failure(error),
    };
    let input = tokio::io::BufReader::new(tokio::io::stdin());
    let called = runtime.block_on(terminal::run(options, input, tokio::io::stdout()));
    // The thread that reads the terminal may wait for a line that never comes.
    runtime.shutdown_background();
    match called {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => print_failure(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_has_the_list_that_is_shown_in_a_call() {
        for line in terminal::HELP {
            assert!(AFTER_HELP.contains(line), "{line}");
        }
    }
}
