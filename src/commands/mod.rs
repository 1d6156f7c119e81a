//! What can be typed after `calldex`.

mod backup;
mod call;
mod check;
mod cluster;
mod health;
mod load;
mod logging_setup;
mod names;
mod open_files;
mod serve;
mod service_manager;

pub use serve::ServeArguments;

use calldex_storage::FormatVersionRange;
use clap::Subcommand;
use std::process::ExitCode;
use std::sync::LazyLock;

/// One command.
#[derive(Subcommand)]
pub enum Command {
    /// Runs the server (also without any command).
    Serve(ServeArguments),
    /// Prints all errors of configuration and environment at once.
    Check(check::CheckArguments),
    /// Asks a running server whether it takes calls: exit status 0 or 1.
    Health(health::HealthArguments),
    /// Founds a cluster, joins one, looks at it, removes a member, finishes an upgrade.
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Copies the database into one file, while the server runs or not.
    Backup(backup::BackupArguments),
    /// Places a simulated call: you type what the caller says.
    Call(call::CallArguments),
    /// Places many simulated calls and prints percentiles and failures.
    Load(Box<load::LoadArguments>),
    /// Scores the name extractor on labelled turns, one JSON object a line.
    Names(names::NamesArguments),
}

impl Command {
    /// Runs it to its end.
    pub fn run(self) -> ExitCode {
        match self {
            Self::Serve(arguments) => serve::run(&arguments),
            Self::Check(arguments) => check::run(&arguments),
            Self::Health(arguments) => health::run(&arguments),
            Self::Cluster(command) => cluster::run(&command),
            Self::Backup(arguments) => backup::run(&arguments),
            Self::Call(arguments) => call::run(arguments),
            Self::Load(arguments) => load::run(*arguments),
            Self::Names(arguments) => names::run(&arguments),
        }
    }
}

/// The answer to `--version`: deploy/upgrade reads the levels from it.
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        format!(
            "{} (levels {})",
            env!("CARGO_PKG_VERSION"),
            FormatVersionRange::SUPPORTED
        )
    });
    &VERSION
}

/// Says what is wrong, and that it is.
fn print_failure(error: impl std::fmt::Display) -> ExitCode {
    eprintln!("calldex: {error}");
    ExitCode::FAILURE
}

/// A runtime for one command.
fn runtime() -> Result<tokio::runtime::Runtime, std::io::Error> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}
