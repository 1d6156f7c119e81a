//! `calldex load`: many simulated calls.

use super::call::TargetArguments;
use super::{open_files, runtime};
use calldex_simulator::load::{self, LoadOptions, LoadReport};
use clap::Args;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

/// Nothing could be measured: a setting is wrong, or nobody listens. The same as for wrong arguments.
const NOT_RUN_STATUS: u8 = 2;
/// Digits of a telephone number (E.164), country code included.
const FIRST_CALLER_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Files besides a socket a call: connections of webhooks that are kept open, and the process's own.
const FILES_RESERVED: u64 = 320;

/// Headings of the help.
const HEADING_CALLS: &str = "How many calls";
const HEADING_CALLERS: &str = "What callers do";
const HEADING_MEASURED: &str = "What is measured";
const HEADING_LIMITS: &str = "Limits (exit status 1 above them)";

/// Options of `calldex load`.
#[derive(Args)]
#[command(
    after_help = "Exit status: 0 every limit was kept, 1 one was passed or Ctrl-C broke the load off (what was\n\
        measured so far is printed), 2 no load could be run. Milliseconds are real time whatever --speed.\n\n\
        Said by default, each a question for the model:\n  \
        What can you tell me about water types?\n  \
        Question {turn}: which of them is the strongest, please?\n  \
        And which one should I train first?\n\
        With --say \"My name is Misty.\" the first turn is answered without the model, so that \"over the model's\n\
        own\" would count 0 for it.\n\n\
        A gate before going live, with the model's own first token at 200 ms:\n  \
        calldex load --calls 1000 --rate 100 --duration 60 --warm-up 20 --turns 20 --think 9200 \\\n    \
        --model-ttft-ms 200 --p99-overhead-ms 5 --p99-webhook-ms 2"
)]
pub struct LoadArguments {
    #[command(flatten)]
    target: TargetArguments,
    /// Path of the status callback; empty: none is sent
    #[arg(long, value_name = "PATH", default_value = "/twilio/status")]
    status_path: String,

    /// How fast Twilio's waits and the agent's voice run; 1 is realistic. Milliseconds in the report
    /// are real time whatever this is
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,

    /// Calls in all; with --duration, calls held at once
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        help_heading = HEADING_CALLS
    )]
    calls: usize,
    /// New calls per second at most
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10.0,
        help_heading = HEADING_CALLS
    )]
    rate: f64,
    /// The rate rises from zero over this time
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0.0,
        help_heading = HEADING_CALLS
    )]
    ramp: f64,
    /// Times before this one are not counted, such as while calls are still being placed
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0.0,
        help_heading = HEADING_CALLS
    )]
    warm_up: f64,
    /// Steady load for this long after the ramp: a call that ends is replaced
    #[arg(long, value_name = "SECONDS", help_heading = HEADING_CALLS)]
    duration: Option<f64>,

    /// Turns of each call; 0: it hangs up after the greeting
    #[arg(
        long,
        value_name = "N",
        default_value_t = 3,
        help_heading = HEADING_CALLERS
    )]
    turns: usize,
    /// From the end of a reply to the next prompt, varied by a quarter either way
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 500,
        help_heading = HEADING_CALLERS
    )]
    think: u64,
    /// What callers say, once for each turn, in turn; {turn} is its number [default: see below]
    #[arg(long = "say", value_name = "TEXT", help_heading = HEADING_CALLERS)]
    lines: Vec<String>,
    /// Share of turns in which the caller interrupts
    #[arg(
        long,
        value_name = "0-1",
        default_value_t = 0.0,
        help_heading = HEADING_CALLERS
    )]
    barge_in: f64,
    /// Share of calls that hang up in the middle of a reply
    #[arg(
        long,
        value_name = "0-1",
        default_value_t = 0.0,
        help_heading = HEADING_CALLERS
    )]
    hang_up: f64,
    /// Share of calls whose socket drops once and is taken up again
    #[arg(
        long,
        value_name = "0-1",
        default_value_t = 0.0,
        help_heading = HEADING_CALLERS
    )]
    drop: f64,
    /// A socket that the server loses is taken up again, as Twilio does, instead of being an error:
    /// for a server that is killed or moves its calls meanwhile. With a share, as --drop too
    #[arg(
        long,
        value_name = "0-1",
        num_args = 0..=1,
        require_equals = false,
        default_missing_value = "0",
        help_heading = HEADING_CALLERS
    )]
    reconnect: Option<f64>,
    /// Every reply must know all that was said before it, also on another instance: for a model that
    /// tells how much it was told (tests/simulator/examples/model.rs with --tells 1)
    #[arg(long, help_heading = HEADING_CALLERS)]
    history: bool,
    /// Plays Twilio's REST API there, for servers with twilio.api_base = "http://ADDR": they can
    /// redirect the calls of an instance that is gone. The account is AC5f0c8a1de2b94e37a6d1c0b2f3948576
    #[arg(long, value_name = "ADDR", help_heading = HEADING_CALLERS)]
    rest: Option<std::net::SocketAddr>,
    /// Number of the first caller; each has the next one
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "+15552000000",
        help_heading = HEADING_CALLERS
    )]
    from: String,
    /// Replies are not played at speaking pace: a turn is over with its last token
    #[arg(long, help_heading = HEADING_CALLERS)]
    no_playback: bool,
    /// Seed of everything random
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        help_heading = HEADING_CALLERS
    )]
    seed: u64,

    /// The model's own time to first token, taken off in "over the model's own"
    #[arg(long, value_name = "MS", help_heading = HEADING_MEASURED)]
    model_ttft_ms: Option<u64>,
    /// Longest wait for a token
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 20.0,
        help_heading = HEADING_MEASURED
    )]
    timeout: f64,
    /// One JSON object instead of a table
    #[arg(long, help_heading = HEADING_MEASURED)]
    json: bool,

    /// Errors allowed
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        help_heading = HEADING_LIMITS
    )]
    max_errors: u64,
    /// p99 of the voice webhook
    #[arg(
        long,
        value_name = "MS",
        help_heading = HEADING_LIMITS
    )]
    p99_webhook_ms: Option<f64>,
    /// p99 from the prompt to the first token
    #[arg(
        long,
        value_name = "MS",
        help_heading = HEADING_LIMITS
    )]
    p99_first_token_ms: Option<f64>,
    /// p99 of the first token over the model's own; needs --model-ttft-ms
    #[arg(
        long,
        value_name = "MS",
        requires = "model_ttft_ms",
        help_heading = HEADING_LIMITS
    )]
    p99_overhead_ms: Option<f64>,
}

pub(super) fn run(arguments: LoadArguments) -> ExitCode {
    let json = arguments.json;
    match run_load(arguments) {
        Ok(report) => {
            print_report(&report, json);
            if report.verdict.passed() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("calldex: {error}");
            ExitCode::from(NOT_RUN_STATUS)
        }
    }
}

fn run_load(arguments: LoadArguments) -> Result<LoadReport, String> {
    let options = load_options(arguments)?;
    let files = options.calls as u64 + FILES_RESERVED;
    if let Err(limit) = open_files::raise_limit(files) {
        eprintln!(
            "calldex: {} calls need {files} open files and this process may have {limit}: raise it with ulimit -n",
            options.calls
        );
    }
    let runtime = runtime().map_err(|error| error.to_string())?;
    let stop = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    };
    runtime
        .block_on(load::run_until(options, std::io::stderr(), stop))
        .map_err(|error| error.to_string())
}

/// The report on standard output; in JSON the limits passed are told on standard error too.
fn print_report(report: &LoadReport, json: bool) {
    if !json {
        print!("{}", report.to_table());
        return;
    }
    println!("{}", report.to_json());
    for failure in &report.verdict.failures {
        eprintln!("FAILED: {failure}");
    }
}

fn load_options(arguments: LoadArguments) -> Result<LoadOptions, String> {
    let defaults = LoadOptions::default();
    check_calls(arguments.calls)?;
    check_first_caller(&arguments.from)?;
    let target = arguments.target;
    Ok(LoadOptions {
        base_url: target.base_url(),
        instances: target.instances(),
        public_url: target.public_url(),
        auth_token: target.token(),
        voice_path: target.voice_path,
        status_path: Some(arguments.status_path).filter(|path| !path.is_empty()),
        to: target.to,
        speed: arguments.speed,
        calls: arguments.calls,
        rate_per_s: rate(arguments.rate)?,
        ramp: seconds("--ramp", arguments.ramp)?,
        duration: arguments
            .duration
            .map(|duration| seconds("--duration", duration))
            .transpose()?,
        warm_up: seconds("--warm-up", arguments.warm_up)?,
        turns: arguments.turns,
        think: Duration::from_millis(arguments.think),
        lines: if arguments.lines.is_empty() {
            defaults.lines
        } else {
            arguments.lines
        },
        interruption_share: share("--barge-in", arguments.barge_in)?,
        hang_up_share: share("--hang-up", arguments.hang_up)?,
        drop_share: share("--drop", arguments.drop)?.max(share(
            "--reconnect",
            arguments.reconnect.unwrap_or_default(),
        )?),
        reconnects: arguments.reconnect.is_some(),
        history: arguments.history,
        rest: arguments.rest,
        first_caller: arguments.from,
        playback: !arguments.no_playback,
        reply_timeout: seconds("--timeout", arguments.timeout)?,
        model_first_token: arguments.model_ttft_ms.map(Duration::from_millis),
        seed: arguments.seed,
        progress: std::io::stderr().is_terminal() && !arguments.json,
        errors_max: Some(arguments.max_errors),
        webhook_p99_max: limit("--p99-webhook-ms", arguments.p99_webhook_ms)?,
        first_token_p99_max: limit("--p99-first-token-ms", arguments.p99_first_token_ms)?,
        overhead_p99_max: limit("--p99-overhead-ms", arguments.p99_overhead_ms)?,
    })
}

fn check_calls(calls: usize) -> Result<(), String> {
    if calls == 0 {
        return Err("--calls 0: must be 1 or more".into());
    }
    Ok(())
}

/// Callers are counted up from the first, which only a number allows.
fn check_first_caller(from: &str) -> Result<(), String> {
    let digits = from.strip_prefix('+').unwrap_or_default();
    let whole = FIRST_CALLER_DIGITS.contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole {
        return Ok(());
    }
    Err(format!(
        "--from {from}: each caller has a number of its own, counted up from this one, so it must be + and {} to {} digits; withheld numbers and addresses are for calldex call",
        FIRST_CALLER_DIGITS.start(),
        FIRST_CALLER_DIGITS.end()
    ))
}

fn rate(value: f64) -> Result<f64, String> {
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(format!("--rate {value}: must be above 0"))
    }
}

fn limit(flag: &str, ms: Option<f64>) -> Result<Option<Duration>, String> {
    let limit = ms.map(|ms| Duration::try_from_secs_f64(ms / 1000.0));
    limit
        .transpose()
        .map_err(|_| format!("{flag}: must be a number of milliseconds, 0 or more"))
}

fn seconds(flag: &str, value: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| format!("{flag} {value}: must be a number of seconds, 0 or more"))
}

fn share(flag: &str, value: f64) -> Result<f64, String> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{flag} {value}: must be between 0 and 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, Command};

    #[test]
    fn callers_need_numbers_that_can_be_counted_up() {
        assert!(check_first_caller("+15552000000").is_ok());
        for from in ["anonymous", "sip:a@b", "15552000000", "+1555x", "+1", ""] {
            assert!(
                check_first_caller(from).unwrap_err().contains("its own"),
                "{from}"
            );
        }
    }

    #[test]
    fn a_load_of_no_calls_is_refused() {
        assert!(check_calls(0).is_err() && check_calls(1).is_ok());
    }

    #[test]
    fn the_help_tells_what_callers_say_by_default() {
        let mut command = LoadArguments::augment_args(Command::new("load"));
        let help = command.render_long_help().to_string();
        for line in LoadOptions::default().lines {
            assert!(help.contains(&line), "{line}");
        }
    }
}
