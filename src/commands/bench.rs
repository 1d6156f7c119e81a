//! `calldex bench`: what this machine makes of it.

use super::failed;
use calldex_storage::bench::{self, Options};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `calldex bench`.
#[derive(Args)]
pub struct BenchArguments {
    #[command(subcommand)]
    what: What,
}

/// What is measured.
#[derive(Subcommand)]
enum What {
    /// Look-ups by tier, start-up, turn to durable, turns per second, bytes written: each beside a
    /// plain SQLite insert or look-up in the same run
    Storage(StorageArguments),
}

#[derive(Args)]
struct StorageArguments {
    /// The disk to measure: a folder is made there and removed again
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Callers in the directory
    #[arg(long, default_value_t = Options::default().callers)]
    callers: usize,
    /// Look-ups measured a tier
    #[arg(long, default_value_t = Options::default().lookups)]
    lookups: usize,
    /// Seconds of steady load
    #[arg(long, default_value_t = Options::default().seconds)]
    seconds: u64,
    /// Turns a second of the steady load
    #[arg(long, default_value_t = Options::default().turns_per_second)]
    turns_per_second: u64,
    /// Turns written as fast as they go
    #[arg(long, default_value_t = Options::default().turns_flat_out)]
    turns_flat_out: usize,
    /// Try other batch sizes and delays too
    #[arg(long)]
    sweep: bool,
}

pub(super) fn run(arguments: &BenchArguments) -> ExitCode {
    let What::Storage(storage) = &arguments.what;
    let options = Options {
        dir: storage
            .dir
            .clone()
            .unwrap_or_else(|| Options::default().dir),
        callers: storage.callers,
        lookups: storage.lookups,
        seconds: storage.seconds,
        turns_per_second: storage.turns_per_second,
        turns_flat_out: storage.turns_flat_out,
        sweep: storage.sweep,
    };
    match bench::run(&options, &mut std::io::stdout()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(error),
    }
}
