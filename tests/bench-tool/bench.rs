//! `calldex-bench`: measures storage and cluster mode on this machine. It is not part of the product.

mod cluster;
mod instance;
mod instance_protocol;
mod load;
mod processes;
mod results;
mod storage;

use clap::{Args, Parser, Subcommand};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::Options;

/// Exit status of what Ctrl-C has ended, as shells have it (128 + SIGINT).
const INTERRUPTED: i32 = 130;

/// Measures calldex on this machine.
#[derive(Parser)]
#[command(name = "calldex-bench", version)]
struct BenchArguments {
    #[command(subcommand)]
    what: BenchCommand,
}

/// What is measured.
#[derive(Subcommand)]
enum BenchCommand {
    /// Look-ups by tier, start-up, turn to durable, turns per second, bytes written: each beside a
    /// plain SQLite insert or look-up in the same run
    Storage(StorageArguments),
    /// One instance alone and several together, in turns: turns per second, turn to durable, CPU of a
    /// turn, look-ups, and how soon another instance knows a name
    Cluster(ClusterArguments),
    /// One instance of `calldex-bench cluster`: does what it is told on standard input
    #[command(hide = true)]
    Instance,
}

#[derive(Args)]
struct ClusterArguments {
    /// The disk to measure, by a folder on it that exists: one more is made in it and removed again,
    /// on Ctrl-C too
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    data: PathBuf,
    /// Turns written as fast as they go, each time
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    turns: u32,
    /// Turns a second of the steady load
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Instances together
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=9))]
    instances: u8,
    /// How often everything is repeated: look-ups go to sled in the odd rounds, to SQLite in the others
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,
    /// Prints one JSON array
    #[arg(long)]
    json: bool,
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

fn main() -> ExitCode {
    // As the server does: the files that are measured have the same mode.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let outcome = match &BenchArguments::parse().what {
        BenchCommand::Storage(storage) => bench_storage(storage),
        BenchCommand::Cluster(cluster) => bench_cluster(cluster),
        BenchCommand::Instance => return instance::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => print_failure(error),
    }
}

fn print_failure(error: impl std::fmt::Display) -> ExitCode {
    eprintln!("calldex-bench: {error}");
    ExitCode::FAILURE
}

/// A runtime with all its drivers.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

fn bench_storage(arguments: &StorageArguments) -> io::Result<()> {
    let options = Options {
        dir: arguments.dir.clone(),
        callers: arguments.callers,
        lookups: arguments.lookups,
        seconds: arguments.seconds,
        turns_per_second: arguments.turns_per_second,
        turns_flat_out: arguments.turns_flat_out,
        sweep: arguments.sweep,
    };
    clean_up_on_ctrl_c(storage::folder(&options), || ())?;
    storage::run(&options, &mut io::stdout()).map(drop)
}

fn bench_cluster(arguments: &ClusterArguments) -> io::Result<()> {
    let options = cluster::ClusterBenchOptions {
        data: arguments.data.clone(),
        turns: arguments.turns as usize,
        rate: arguments.rate.into(),
        instances: arguments.instances.into(),
        rounds: arguments.rounds.into(),
    };
    let processes = processes::Processes::default();
    let (everybody, interrupted) = (processes.clone(), Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&interrupted);
    clean_up_on_ctrl_c(options.folder(), move || {
        stop.store(true, Ordering::SeqCst);
        everybody.kill_all();
    })?;
    let figures = cluster::run(&options, processes);
    while interrupted.load(Ordering::SeqCst) {
        // That nobody answers any more is no news; the other thread ends the process.
        std::thread::park();
    }
    let figures = figures?;
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &figures)?;
        return writeln!(out);
    }
    results::print(&figures, options.instances, &mut out)
}

/// Measures on in this thread, and waits for Ctrl-C in another: then the other processes
/// that work in `folder` are killed, the folder is removed, and this process exits.
fn clean_up_on_ctrl_c(folder: PathBuf, dismiss: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let runtime = runtime()?;
    std::thread::Builder::new().spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_err() {
            return;
        }
        dismiss();
        // What is being written at this moment may come in between: once more, and then the user is told.
        let gone = (0..2).any(|_| std::fs::remove_dir_all(&folder).is_ok() || !folder.exists());
        if !gone {
            eprintln!("calldex-bench: left behind: {}", folder.display());
        }
        std::process::exit(INTERRUPTED)
    })?;
    Ok(())
}
