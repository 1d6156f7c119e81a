//! Why storage cannot be opened.

use crate::data_dir::DATABASE_FILE;
use crate::data_dir_lock::LockError;
use crate::format_version::FormatVersionRange;
use crate::replication::ReplicaError;
use crate::sqlite::migrations::MigrationError;
use crate::writer::DatabaseOpenError;
use std::path::{Path, PathBuf};

/// Why storage could not be opened. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the data directory.
    #[error("{} is in use by {}; one process at a time", path.display(), lock_holder(*pid))]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// Its holder, if known.
        pid: Option<u32>,
    },
    /// The database is at a format version that this build does not read.
    #[error("{} is at level {format_version} (tables of version {schema_version}), and this calldex reads levels {}: an upgrade to a later one was finished. Run that one, or restore a backup of before", path.display(), FormatVersionRange::SUPPORTED)]
    UnsupportedFormatVersion {
        /// The database.
        path: PathBuf,
        /// The version of its tables.
        schema_version: i64,
        /// Its format version; 0 if it is not known.
        format_version: u32,
    },
    /// The file is no database, or one of another program.
    #[error("{} is not a calldex database: {reason}", path.display())]
    NotCalldexDatabase {
        /// The file.
        path: PathBuf,
        /// How that was recognised.
        reason: String,
    },
    /// The directory is of a member of a cluster, or is to join one, and was opened as a single node.
    #[error("{} is one of several instances, or is to be, which alone would go another way than the others: set [cluster] listen and secret; or, to go on without the others, wait until calldex_outbox_writes is 0, copy it with `calldex backup FILE` and serve FILE as {DATABASE_FILE} from an empty directory", path.display())]
    ClusterMember {
        /// The data directory.
        path: PathBuf,
    },
    /// It cannot be opened as a member of a cluster.
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

fn lock_holder(pid: Option<u32>) -> String {
    pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}

impl OpenError {
    pub(super) fn disk(path: &Path, error: impl ToString) -> Self {
        Self::Disk {
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }

    pub(super) fn from_start(path: &Path, error: DatabaseOpenError) -> Self {
        let foreign = |reason: String| Self::NotCalldexDatabase {
            path: path.to_owned(),
            reason,
        };
        match error {
            DatabaseOpenError::Migration(MigrationError::UnsupportedFormatVersion {
                schema_version: found,
                format_version: level,
            }) => Self::UnsupportedFormatVersion {
                path: path.to_owned(),
                schema_version: found,
                format_version: level,
            },
            DatabaseOpenError::Migration(error @ MigrationError::NotCalldexDatabase { .. }) => {
                foreign(error.to_string())
            }
            DatabaseOpenError::Migration(MigrationError::Sqlite(error))
            | DatabaseOpenError::Sqlite(error) => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::NotADatabase) => foreign(error.to_string()),
                _ => Self::disk(path, error),
            },
            DatabaseOpenError::Io(error) => Self::disk(path, error),
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
