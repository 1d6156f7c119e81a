//! What every writer of a SQLite file here has in common: the errors of a commit, the length of the
//! write-ahead log, and how much of what is applied is durable.

mod commit_error;
mod durable_index;
mod wal_pages;

pub(crate) use commit_error::{CommitError, DegradedCause, DegradedReasons, NO_ANSWER, NO_PRIMARY};
pub(crate) use durable_index::DurableIndex;
pub(crate) use wal_pages::{PAGE_BYTES, WalPages};
