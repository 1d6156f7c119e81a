//! Every scripted call, replayed frame by frame against the running server:
//! its paths mapped onto ours, its requests signed again, its call reference taken from our TwiML,
//! the fake model answering as the script does.
//!
//! Read from a folder of recorded scripts beside the repository where there is one, and from
//! `tests/fixtures/twilio` otherwise.

mod protocol_checker;
mod replay;
mod script;

use replay::ScriptReplay;
use script::Script;
use std::path::{Path, PathBuf};

/// The folder of scripts.
fn folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = root.join("../shared/protocol/frames");
    if shared.is_dir() {
        shared
    } else {
        root.join("tests/fixtures/twilio/frames")
    }
}

/// Every script of a folder, in order.
fn scripts(folder: &Path) -> Vec<Script> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .collect();
    files.sort();
    assert!(files.len() >= 8, "too few scripts in {}", folder.display());
    files.iter().map(|file| Script::read(file)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scripted_call_is_held_to_its_end() {
    for script in scripts(&folder()) {
        println!("replaying {}", script.name);
        ScriptReplay::start(script).await.play().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scripted_call_of_our_own_is_held_to_its_end() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/twilio/frames");
    for script in scripts(&own) {
        println!("replaying {}", script.name);
        ScriptReplay::start(script).await.play().await;
    }
}
