//! Why the log cannot be used.

use std::io;

/// `Damaged` and `Lost` need an operator (or the instance has to join again), `Newer` needs an upgrade. The
/// others may pass: the log is reopened and verified.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RaftLogError {
    /// The disk does not hold what was written.
    #[error(
        "the cluster's log is damaged: {0}; take this instance's data directory away and join anew: the others have everything"
    )]
    Damaged(String),
    /// The disk has lost what was acknowledged.
    #[error(
        "the disk has lost what it had synced of the cluster's log: {0}; take this instance's data directory away and join anew"
    )]
    Lost(String),
    /// Written by a later version of this program.
    #[error("the cluster's log was written by a later calldex: upgrade this one")]
    Newer,
    /// SQLite or the disk below it.
    #[error("the cluster's log cannot be used: {0}")]
    Disk(String),
    /// It was closed, or failed before: it must be reopened.
    #[error("the cluster's log is closed: {0}")]
    Closed(String),
}

impl From<rusqlite::Error> for RaftLogError {
    /// SQLite's messages name tables and causes; what rows hold is not in them.
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Disk(error.to_string()),
        }
    }
}

impl From<io::Error> for RaftLogError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error.to_string())
    }
}

impl From<RaftLogError> for io::Error {
    fn from(error: RaftLogError) -> Self {
        Self::other(error)
    }
}
