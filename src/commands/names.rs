//! `calldex names`: scores the extractor.

use super::failed;
use crate::call::name::score::{self, Options};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Options of `calldex names`.
#[derive(Args)]
pub struct NamesArguments {
    /// Labelled turns, one JSON object a line
    file: PathBuf,
    /// One JSON object per class instead of a table
    #[arg(long)]
    json: bool,
    /// Lower-case every turn first
    #[arg(long)]
    lowercase: bool,
    /// Treat every turn as an answer to the name question
    #[arg(long)]
    as_asked: bool,
    /// Print what was extracted from each turn instead of scores
    #[arg(long)]
    predictions: bool,
}

pub(super) fn run(arguments: &NamesArguments) -> ExitCode {
    let input = match std::fs::read_to_string(&arguments.file) {
        Ok(input) => input,
        Err(error) => return failed(format!("{}: {error}", arguments.file.display())),
    };
    let begun = Instant::now();
    let options = Options {
        json: arguments.json,
        lowercase: arguments.lowercase,
        as_asked: arguments.as_asked,
        predictions: arguments.predictions,
        ..Options::default()
    };
    print!("{}", score::run(&input, &options, || begun.elapsed()));
    ExitCode::SUCCESS
}
