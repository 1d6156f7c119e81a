//! The disk of `disk.c`, compiled when it is first needed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Error numbers of Linux.
pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;
pub const EROFS: i32 = 30;

/// The library to preload, or `None` with a line that says why there is none.
pub fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<(TempDir, PathBuf)>> = OnceLock::new();
    LIBRARY
        .get_or_init(compile)
        .as_ref()
        .map(|(_, path)| path.as_path())
}

fn compile() -> Option<(TempDir, PathBuf)> {
    if !cfg!(target_os = "linux") {
        println!("skipped: the simulated disk needs Linux");
        return None;
    }
    let dir = TempDir::new().unwrap();
    let library = dir.path().join("disk.so");
    let source = dir.path().join("disk.c");
    std::fs::write(&source, include_str!("disk.c")).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .status();
    match compiled {
        Ok(status) => assert!(status.success(), "cc does not compile tests/storage/disk.c"),
        Err(error) => {
            println!("skipped: the simulated disk needs a C compiler, `cc`: {error}");
            return None;
        }
    }
    Some((dir, library))
}

/// What a disk below `data_dir` is told by its environment.
pub fn environment(library: &Path, data_dir: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("LD_PRELOAD", library.display().to_string()),
        ("CALLDEX_DISK_DIR", data_dir.display().to_string()),
    ]
}

/// What makes `count` calls of `operation` (`sync`, `write`) on the database fail, from the `from`th.
pub fn failing(operation: &str, from: u64, count: u64, errno: i32) -> [(&'static str, String); 4] {
    [
        ("CALLDEX_DISK_FAIL", operation.to_owned()),
        ("CALLDEX_DISK_FAIL_FROM", from.to_string()),
        ("CALLDEX_DISK_FAIL_COUNT", count.to_string()),
        ("CALLDEX_DISK_ERRNO", errno.to_string()),
    ]
}
