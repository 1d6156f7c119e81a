//! `calldex bench`: what this machine makes of it.

use super::{failed, runtime};
use calldex_storage::bench::{self, Options};
use clap::{Args, Subcommand};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit status of what Ctrl-C has ended, as shells have it (128 + SIGINT).
const INTERRUPTED: i32 = 130;

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
    /// The disk to measure, by a folder on it that exists: one more is made in it and removed again,
    /// on Ctrl-C too
    #[arg(long, value_name = "DIR", default_value_os_t = Options::default().dir)]
    dir: PathBuf,
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
        dir: storage.dir.clone(),
        callers: storage.callers,
        lookups: storage.lookups,
        seconds: storage.seconds,
        turns_per_second: storage.turns_per_second,
        turns_flat_out: storage.turns_flat_out,
        sweep: storage.sweep,
    };
    if let Err(error) = clear_away_on_ctrl_c(bench::folder(&options)) {
        return failed(error);
    }
    match bench::run(&options, &mut std::io::stdout()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(error),
    }
}

/// Measures on in this thread, and waits for Ctrl-C in another: then `folder` goes, and the process with it.
fn clear_away_on_ctrl_c(folder: PathBuf) -> io::Result<()> {
    let runtime = runtime()?;
    std::thread::Builder::new().spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_err() {
            return;
        }
        // What is being written at this moment may come in between: once more, and then the user is told.
        let gone = (0..2).any(|_| std::fs::remove_dir_all(&folder).is_ok() || !folder.exists());
        if !gone {
            eprintln!("calldex: left behind: {}", folder.display());
        }
        std::process::exit(INTERRUPTED)
    })?;
    Ok(())
}
