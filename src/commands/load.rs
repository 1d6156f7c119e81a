//! `calldex load`: many simulated calls.

use super::call::TargetArguments;
use super::{failed, runtime};
use calldex_simulator::load::{self, LoadOptions};
use clap::Args;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

/// Options of `calldex load`.
#[derive(Args)]
pub struct LoadArguments {
    #[command(flatten)]
    target: TargetArguments,
    /// Calls in all; with --duration, calls held at once
    #[arg(long, default_value_t = 20)]
    calls: usize,
    /// New calls per second at most
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// The rate rises from zero over this time, seconds
    #[arg(long, default_value_t = 0.0)]
    ramp: f64,
    /// Steady load for this long after the ramp, seconds; without it until all calls are done
    #[arg(long)]
    duration: Option<f64>,
    /// Turns of each call
    #[arg(long, default_value_t = 3)]
    turns: usize,
    /// From the end of a reply to the next prompt, milliseconds
    #[arg(long, default_value_t = 500)]
    think: u64,
    /// What callers say in turn (several); {n} is the number of the turn
    #[arg(long = "say")]
    lines: Vec<String>,
    /// Share of turns in which the caller interrupts, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    barge_in: f64,
    /// Share of calls that hang up in the middle of a reply, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    hang_up: f64,
    /// Share of calls whose socket drops once, 0 to 1
    #[arg(long, visible_alias = "reconnect", default_value_t = 0.0)]
    drop: f64,
    /// Callers are numbered from here
    #[arg(long, default_value = "+15552000000")]
    from: String,
    /// Do not play replies at speaking pace
    #[arg(long)]
    no_playback: bool,
    /// Longest wait for a token, seconds
    #[arg(long, default_value_t = 20.0)]
    timeout: f64,
    /// The model's own time to first token, milliseconds: taken off in "overhead"
    #[arg(long)]
    model_ttft_ms: Option<u64>,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Fails above so many errors
    #[arg(long, default_value_t = 0)]
    max_errors: u64,
    /// Fails above this p99 of the webhook, milliseconds
    #[arg(long)]
    p99_webhook_ms: Option<u64>,
    /// Fails above this p99 to the first token, milliseconds
    #[arg(long)]
    p99_first_token_ms: Option<u64>,
    /// Fails above this p99 of first token less the model's own, milliseconds
    #[arg(long)]
    p99_overhead_ms: Option<u64>,
}

pub(super) fn run(arguments: LoadArguments) -> ExitCode {
    let json = arguments.json;
    let options = match options(arguments) {
        Ok(options) => options,
        Err(error) => return failed(error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(error),
    };
    match runtime.block_on(load::run(options, std::io::stderr())) {
        Ok(report) => {
            println!(
                "{}",
                if json {
                    report.to_json()
                } else {
                    report.to_table()
                }
            );
            if report.verdict.passed() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => failed(error),
    }
}

fn options(arguments: LoadArguments) -> Result<LoadOptions, String> {
    let defaults = LoadOptions::default();
    let target = arguments.target;
    let millis = |ms: Option<u64>| ms.map(Duration::from_millis);
    Ok(LoadOptions {
        base_url: target.url.clone(),
        public_url: target.public_url(),
        auth_token: target.token(),
        voice_path: target.voice_path,
        to: target.to,
        speed: target.speed,
        calls: arguments.calls,
        rate_per_s: arguments.rate,
        ramp: seconds("--ramp", arguments.ramp)?,
        duration: arguments
            .duration
            .map(|duration| seconds("--duration", duration))
            .transpose()?,
        turns: arguments.turns,
        think: Duration::from_millis(arguments.think),
        lines: if arguments.lines.is_empty() {
            defaults.lines
        } else {
            arguments.lines
        },
        barge_in_share: share("--barge-in", arguments.barge_in)?,
        hang_up_share: share("--hang-up", arguments.hang_up)?,
        drop_share: share("--drop", arguments.drop)?,
        first_caller: arguments.from,
        playback: !arguments.no_playback,
        reply_timeout: seconds("--timeout", arguments.timeout)?,
        model_first_token: millis(arguments.model_ttft_ms),
        seed: arguments.seed,
        progress: std::io::stderr().is_terminal() && !arguments.json,
        errors_max: Some(arguments.max_errors),
        webhook_p99_max: millis(arguments.p99_webhook_ms),
        first_token_p99_max: millis(arguments.p99_first_token_ms),
        overhead_p99_max: millis(arguments.p99_overhead_ms),
        status_path: defaults.status_path,
    })
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
