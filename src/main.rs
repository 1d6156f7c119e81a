//! The binary: reads the command line and hands over.

use calldex::commands::{self, Command};
use clap::Parser;
use std::process::ExitCode;

/// Answers a phone number, knows who is calling, and forgets nothing.
#[derive(Parser)]
#[command(
    name = "calldex",
    version = commands::version(),
    about,
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: commands::ServeArguments,
}

fn main() -> ExitCode {
    // SQLite and sled make files while the server runs, and hold in them what callers said. What the
    // server starts (local tools) inherits it, as it does under the systemd unit's UMask.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let arguments = Arguments::parse();
    let command = arguments.command.unwrap_or(Command::Serve(arguments.serve));
    command.run()
}
