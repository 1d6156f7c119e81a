//! Scores labelled turns without building the server: `cargo run -p calldex-names --example score -- FILE...`.

use std::time::Instant;

fn main() {
    let mut options = calldex_names::score::ScoreOptions::default();
    let mut input = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--predictions" => options.predictions = true,
            "--lowercase" => options.lowercase = true,
            "--as-asked" => options.as_asked = true,
            "--json" => options.json = true,
            file => input.extend(std::fs::read(file).expect("a readable file")),
        }
    }
    let begun = Instant::now();
    let printed = calldex_names::score::run(&input, &options, || begun.elapsed());
    print!("{}", printed.text);
}
