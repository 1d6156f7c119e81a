//! The disk under a child, told beforehand what is to happen to it.

use crate::simulated_disk;
use std::path::Path;

/// Error numbers of Linux.
pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;
pub const EROFS: i32 = 30;

/// The library to preload, or `None` with a line that says why there is none.
pub fn library() -> Option<&'static Path> {
    simulated_disk::library(include_str!("policy.c"))
}

/// What a disk below `data_dir` is told by its environment.
pub fn environment(library: &Path, data_dir: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("LD_PRELOAD", library.display().to_string()),
        (simulated_disk::FOLDER, data_dir.display().to_string()),
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
