//! `calldex check`: every fault at once.

use super::{ServeArguments, failed};
use crate::config::Config;
use std::process::ExitCode;

pub(super) fn run(arguments: &ServeArguments) -> ExitCode {
    match Config::load(&arguments.sources()) {
        Ok(_) => {
            println!("the configuration is in order");
            ExitCode::SUCCESS
        }
        Err(faults) => failed(faults),
    }
}
