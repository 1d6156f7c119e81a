//! `calldex check`: all errors of the configuration at once.

use super::{ServeArguments, print_failure};
use crate::agent::CallerFacts;
use crate::config::{Config, PhoneLine, PhoneLines};
use clap::Args;
use std::process::ExitCode;

/// Options of `calldex check`.
#[derive(Args)]
pub struct CheckArguments {
    #[command(flatten)]
    serve: ServeArguments,
    /// Prints what the model is told on every line, for made-up callers
    #[arg(long)]
    show_prompts: bool,
}

pub(super) fn run(arguments: &CheckArguments) -> ExitCode {
    match Config::load(&arguments.serve.sources()) {
        Ok(config) => {
            for note in config.notes() {
                println!("note: {note}");
            }
            if arguments.show_prompts {
                for (number, line) in PhoneLines::new(&config).all() {
                    show_prompts(number, line);
                }
            }
            println!("the configuration is in order");
            ExitCode::SUCCESS
        }
        Err(errors) => print_failure(errors),
    }
}

fn show_prompts(number: &str, line: &PhoneLine) {
    let name = match number {
        "" => "every other number",
        number => number,
    };
    println!(
        "== {name}: the same in all calls\n{}\n",
        line.prompts.prefix()
    );
    for (what, mut caller) in CallerFacts::samples() {
        if !caller.called_number.is_empty() && !number.is_empty() {
            caller.called_number = number.into();
        }
        println!(
            "== {name}: {what}\n{}\n",
            line.prompts.render_dynamic(&caller).text
        );
    }
}
