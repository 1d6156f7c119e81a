//! The disk of `disk.c` under a suite's own policy, compiled when it is first needed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// The variable that says below which folder files are on this disk.
pub const FOLDER: &str = "CALLDEX_TEST_DISK_DIR";

/// The library to preload, with `policy`, the suite's one, or `None` with a line that says why there is
/// none.
pub fn library(policy: &'static str) -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<(TempDir, PathBuf)>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| compile(policy)).as_ref();
    library.map(|(_, path)| path.as_path())
}

fn compile(policy: &str) -> Option<(TempDir, PathBuf)> {
    if !cfg!(target_os = "linux") {
        println!("skipped: the simulated disk needs Linux");
        return None;
    }
    let dir = TempDir::new().expect("a temporary folder");
    let (library, source) = (dir.path().join("disk.so"), dir.path().join("disk.c"));
    std::fs::write(&source, include_str!("disk.c")).expect("a file in it");
    std::fs::write(dir.path().join("policy.c"), policy).expect("another");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .arg(&library)
        .arg(&source);
    match compiler.args(["-ldl", "-lpthread"]).status() {
        Ok(status) => assert!(
            status.success(),
            "cc does not compile tests/fault_injection/disk.c"
        ),
        Err(error) => {
            println!("skipped: the simulated disk needs a C compiler, `cc`: {error}");
            return None;
        }
    }
    Some((dir, library))
}
