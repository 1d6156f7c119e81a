//! Why storage cannot be opened.

use super::DATABASE_FILE;
use crate::level::Levels;
use crate::lock::LockError;
use crate::replication::ReplicaError;
use crate::sqlite::migrations::MigrationError;
use crate::writer::StartError;
use std::path::{Path, PathBuf};

/// Why storage could not be opened. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the data directory.
    #[error("{} is in use by {}; one process at a time", path.display(), holder(*pid))]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// Its holder, if known.
        pid: Option<u32>,
    },
    /// At a level that this program does not read.
    #[error("{} is at level {level} (tables of version {found}), and this calldex reads levels {}: an upgrade to a later one was finished. Run that one, or restore a backup of before", path.display(), Levels::OWN)]
    Newer {
        /// The database.
        path: PathBuf,
        /// The version of its tables.
        found: i64,
        /// Its level; 0 where that cannot be told.
        level: u32,
    },
    /// The file is no database, or somebody else's.
    #[error("{} is not a calldex database: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What gives it away.
        reason: String,
    },
    /// It is one of several instances, or is to join them, and was to be opened as if it were alone.
    #[error("{} is one of several instances, or is to be, which alone would go another way than the others: set [cluster] listen and secret; or, to go on without the others, wait until calldex_outbox_writes is 0, copy it with `calldex backup FILE` and serve FILE as {DATABASE_FILE} from an empty directory", path.display())]
    Replicated {
        /// The data directory.
        path: PathBuf,
    },
    /// It was to be opened as one of several, and cannot be.
    #[error("{}: {reason}", path.display())]
    Replica {
        /// The data directory.
        path: PathBuf,
        /// Why.
        reason: ReplicaError,
    },
    /// The disk, or the right to use it.
    #[error("{} cannot be opened: {reason}", path.display())]
    Disk {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}

impl OpenError {
    pub(super) fn disk(path: &Path, error: impl ToString) -> Self {
        Self::Disk {
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }

    pub(super) fn from_start(path: &Path, error: StartError) -> Self {
        let foreign = |reason: String| Self::Foreign {
            path: path.to_owned(),
            reason,
        };
        match error {
            StartError::Migration(MigrationError::Newer { found, level }) => Self::Newer {
                path: path.to_owned(),
                found,
                level,
            },
            StartError::Migration(error @ MigrationError::Foreign { .. }) => {
                foreign(error.to_string())
            }
            StartError::Migration(MigrationError::Sqlite(error)) | StartError::Sqlite(error) => {
                match error.sqlite_error_code() {
                    Some(rusqlite::ErrorCode::NotADatabase) => foreign(error.to_string()),
                    _ => Self::disk(path, error),
                }
            }
            StartError::Io(error) => Self::disk(path, error),
        }
    }
}

impl OpenError {
    pub(super) fn from_lock(path: &Path, error: LockError) -> Self {
        match error {
            LockError::Held(pid) => Self::InUse {
                path: path.to_owned(),
                pid,
            },
            LockError::Io(error) => Self::disk(path, error),
        }
    }
}
