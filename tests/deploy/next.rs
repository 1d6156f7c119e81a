//! The binary of the next release, for the tests of upgrades: the same program with the feature
//! `next-version`.

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
    let arguments = Arguments::parse();
    let command = arguments.command.unwrap_or(Command::Serve(arguments.serve));
    command.run()
}
