//! The measurements of `calldex bench storage` without the rest of the server:
//! `cargo run --release -p calldex-storage --example bench -- [FOLDER] [sweep]`.

use calldex_storage::bench::{Options, run};

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut options = Options {
        sweep: arguments.iter().any(|word| word == "sweep"),
        ..Options::default()
    };
    if let Some(dir) = arguments.iter().find(|word| *word != "sweep") {
        options.dir = dir.into();
    }
    run(&options, &mut std::io::stdout().lock()).map(|_| ())
}
