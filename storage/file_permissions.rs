//! Files and folders that only their owner reads: they hold names, numbers and what was said. The umask is
//! the whole process's, and its `main` sets it for what SQLite and sled make while they run; nothing here
//! sets it or relies on it.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Everybody but the owner.
const GROUP_AND_OTHERS: u32 = 0o077;

/// Makes the folder and those above it that are not there. One that is there stays as it is.
pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes an empty file if there is none: SQLite opens it as it would make one, and gives the files
/// beside it the same mode.
pub(crate) fn create_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).mode(0o600).open(path);
    opened.map(drop)
}

/// Takes `path`, and all below it, from everybody but its owner: what an earlier version or another
/// program left open. What cannot be changed (another user's file) is told in the log; the rest is done.
pub(crate) fn restrict_to_owner(path: &Path) {
    if let Err(error) = try_restrict_to_owner(path) {
        let path = path.display();
        tracing::warn!(%path, %error, "others may read this; it cannot be taken from them");
    }
}

fn try_restrict_to_owner(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let mode = found.permissions().mode();
    let is_folder = found.is_dir();
    if mode & GROUP_AND_OTHERS != 0 && (is_folder || found.is_file()) {
        fs::set_permissions(
            path,
            Permissions::from_mode(mode & 0o7777 & !GROUP_AND_OTHERS),
        )?;
    }
    if is_folder {
        for entry in fs::read_dir(path)? {
            restrict_to_owner(&entry?.path());
        }
    }
    Ok(())
}
