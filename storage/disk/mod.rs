//! What every writer of a SQLite file here has in common: the errors of a commit and the length of the
//! write-ahead log.

mod commit_error;
mod wal_pages;

pub(crate) use commit_error::{CommitError, DegradedCause, DegradedReasons, NO_ANSWER, NO_PRIMARY};
pub(crate) use wal_pages::{PAGE_BYTES, WalPages};
