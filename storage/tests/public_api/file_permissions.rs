//! Nobody but the owner reads what is in the data directory.

use crate::fixtures::*;
use calldex_storage::replication::NodeIdentity;
use calldex_storage::{Storage, StorageConfig};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What others may read at `path` and below it, with its mode.
fn readable_by_others(path: &Path) -> Vec<(PathBuf, u32)> {
    let found = fs::symlink_metadata(path).unwrap();
    let mode = found.permissions().mode() & 0o777;
    let mut open = Vec::new();
    if mode & 0o077 != 0 {
        open.push((path.to_owned(), mode));
    }
    if found.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            open.extend(readable_by_others(&entry.unwrap().path()));
        }
    }
    open
}

fn make_readable_by_others(path: &Path) {
    let is_dir = path.is_dir();
    if is_dir {
        for entry in fs::read_dir(path).unwrap() {
            make_readable_by_others(&entry.unwrap().path());
        }
    }
    let mode = if is_dir { 0o755 } else { 0o644 };
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn config(dir: &TempDir) -> StorageConfig {
    StorageConfig::new(dir.path().join("data"))
}

#[test]
fn files_of_an_instance_alone_are_its_owners_and_those_left_open_are_closed() {
    let dir = TempDir::new().unwrap();
    for round in ["made", "mended"] {
        let storage = Storage::open(config(&dir)).unwrap();
        wait_durable(
            storage
                .writer
                .submit(call_started("CA1", Some("+14155550100"))),
        )
        .unwrap();
        wait_until("warm", || storage.callers.is_warm_cache_ready());
        let open = readable_by_others(&dir.path().join("data"));
        assert_eq!(open, [], "{round}");
        storage.close(WAIT_MAX);
        make_readable_by_others(&dir.path().join("data"));
    }
}

#[test]
fn files_of_one_of_several_are_its_owners() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    NodeIdentity::init_cluster(&data).unwrap();
    assert_eq!(readable_by_others(&data), [], "founded");
    for round in ["made", "mended"] {
        let (storage, replica) = Storage::open_replicated(config(&dir)).unwrap();
        // sled makes its files in the background, in a folder that is closed.
        wait_until("warm", || storage.callers.is_warm_cache_ready());
        assert_eq!(readable_by_others(&data), [], "{round}");
        drop(replica);
        storage.close(WAIT_MAX);
        assert_eq!(readable_by_others(&data), [], "{round}");
        make_readable_by_others(&data);
    }
}
