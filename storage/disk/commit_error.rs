//! What went wrong with the disk, sorted by what an operator does about it.

use calldex_observability::catalog;
use rusqlite::ErrorCode;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why a batch was not committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// SQLite or the disk below it.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A labelled operation failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The database opened again is not the one that was acknowledged.
    #[error("{0}")]
    UnexpectedDatabase(String),
    /// What a write asks for is against the tables' rules, or what it meets there cannot be read.
    #[error("{0}")]
    InvalidWrite(rusqlite::Error),
    /// Applying panicked: a defect.
    #[error("applying the batch panicked")]
    ApplyPanicked,
    /// Something else panicked: a defect that says nothing of the writes.
    #[error("committing the batch panicked")]
    Panicked,
}

/// Whether an error out of applying on a verified database can have no other cause than the writes:
/// a rule of the tables, or a value of the wrong type. All else may be the disk, the memory, or the
/// file being another one by now, and passes.
fn is_write_error(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => matches!(
            failure.code,
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
        ),
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::ToSqlConversionFailure(_)
        | rusqlite::Error::Utf8Error(..) => true,
        _ => false,
    }
}

impl CommitError {
    /// The error of applying writes: [`CommitError::InvalidWrite`] where they are the cause. The `From`
    /// of the same type takes none to be theirs.
    pub(crate) fn of_apply(error: rusqlite::Error) -> Self {
        if is_write_error(&error) {
            Self::InvalidWrite(error)
        } else {
            Self::Sqlite(error)
        }
    }

    /// The kind under which it is counted.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => "full",
                Some(ErrorCode::ReadOnly) => "read_only",
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "locked",
                Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => "io",
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => "corrupt",
                _ => "other",
            },
            Self::Io(error) => match error.kind() {
                io::ErrorKind::StorageFull => "full",
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => "read_only",
                _ => "io",
            },
            Self::UnexpectedDatabase(_) => "corrupt",
            Self::InvalidWrite(_) | Self::ApplyPanicked | Self::Panicked => "other",
        }
    }

    /// Why a write is set aside: the same words on every instance, and nothing of what it says.
    pub(crate) fn rejection_reason(&self) -> &'static str {
        match self {
            Self::ApplyPanicked => "applying it panicked",
            _ => "against a rule of the tables, or of another type than what it meets there",
        }
    }

    /// Whether the writes themselves are at fault, so that trying again changes nothing.
    pub(crate) fn is_caused_by_write(&self) -> bool {
        matches!(self, Self::InvalidWrite(_) | Self::ApplyPanicked)
    }

    /// Whether what the disk holds may be trusted after it: a lock that could not be had, a page that
    /// found no room (an fsync that fails for that is an error of its own), and a batch rolled back for its
    /// own fault leave everything as it was.
    pub(crate) fn leaves_database_intact(&self) -> bool {
        matches!(self.kind(), "locked" | "full") || self.is_caused_by_write()
    }
}

/// What can keep writes from being durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DegradedCause {
    /// The disk below the database.
    Database,
    /// The disk below the outbox, while it is needed.
    Outbox,
    /// There is no primary, or it does not answer: what it would take waits in the outbox.
    Primary,
}

/// [`DegradedCause::Primary`]: there is none.
pub(crate) const NO_PRIMARY: &str = "no_primary";
/// [`DegradedCause::Primary`]: it has what was proposed and has not answered for long.
pub(crate) const NO_ANSWER: &str = "no_answer";

/// Whether writes can be made durable, and if not, why: a reason for each [`DegradedCause`].
#[derive(Default)]
pub(crate) struct DegradedReasons(Mutex<[Option<&'static str>; 3]>);

impl DegradedReasons {
    fn lock(&self) -> MutexGuard<'_, [Option<&'static str>; 3]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the database takes no writes, if so.
    pub(crate) fn database_reason(&self) -> Option<&'static str> {
        self.lock()[DegradedCause::Database as usize]
    }

    /// The gravest reason there is.
    pub(crate) fn first_reason(&self) -> Option<&'static str> {
        self.lock().iter().find_map(|reason| *reason)
    }

    /// Notes the state of the database; whether it changed.
    pub(crate) fn set_database(&self, reason: Option<&'static str>) -> bool {
        self.set_cause(DegradedCause::Database, reason)
    }

    /// Notes the state as far as `cause` goes; whether that changed.
    pub(crate) fn set_cause(&self, cause: DegradedCause, reason: Option<&'static str>) -> bool {
        let mut reasons = self.lock();
        let before = std::mem::replace(&mut reasons[cause as usize], reason);
        let is_degraded = reasons.iter().any(Option::is_some);
        catalog::STORAGE_DEGRADED.set(if is_degraded { 1.0 } else { 0.0 });
        before.is_some() != reason.is_some()
    }
}
