//! The one connection that writes: commits a batch, and after a failure trusts nothing until it
//! has been opened anew and verified.

use super::failure::CommitError;
use super::log_pages::{LogPages, PAGE_BYTES};
use crate::faults::{Faults, Operation};
use crate::sqlite::ledger::{Ledger, Places};
use crate::sqlite::migrations::{MigrationError, migrate};
use crate::sqlite::{connection, meta};
use crate::write::{Applied, Write, apply};
use rusqlite::{Connection, TransactionBehavior};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Pages of the write-ahead log from which the writer itself stops for a checkpoint that cuts it:
/// the checkpointer beside it could not keep up.
const LOG_PAGES_MAX: u64 = 64 * 1024 * 1024 / PAGE_BYTES;

/// How long the writer leaves a log alone that a reader has kept from being cut: each attempt waits
/// for the reader, and the batches wait with it.
const HINDERED_PAUSE: Duration = Duration::from_secs(10);

/// Why the database could not be opened at start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Migration(#[from] MigrationError),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// See the module.
pub(crate) struct Scribe {
    path: PathBuf,
    faults: Faults,
    connection: Option<Connection>,
    ledger: Ledger,
    log_pages: LogPages,
    /// Which database it is.
    lineage: String,
    /// The last position that was acknowledged.
    position: u64,
    /// Whether the next connection has to be verified before it is used.
    doubted: bool,
    /// When a reader last kept the log from being cut, if it was not cut since.
    hindered_at: Option<Instant>,
}

impl Scribe {
    /// Opens the database, brings it to this version and reads its ledger.
    pub(crate) fn open(path: PathBuf, faults: Faults) -> Result<(Self, meta::Meta), StartError> {
        faults.at(Operation::OpenWriter)?;
        let mut connection = connection::create_writer(&path)?;
        let log_pages = LogPages::default();
        log_pages.watch(&mut connection)?;
        migrate(&mut connection)?;
        let meta = meta::read(&connection)?;
        let ledger = Ledger::read(&connection)?;
        let (lineage, position) = (meta.lineage.clone(), meta.position);
        let connection = Some(connection);
        Ok((
            Self {
                path,
                faults,
                connection,
                ledger,
                log_pages,
                lineage,
                position,
                doubted: false,
                hindered_at: None,
            },
            meta,
        ))
    }

    /// The ledger as the readers see it.
    pub(crate) fn places(&self) -> Places {
        self.ledger.places()
    }

    /// The length of the log, shared with the checkpointer.
    pub(crate) fn log_pages(&self) -> LogPages {
        self.log_pages.clone()
    }

    /// Applies `writes` in one transaction and commits it. On an error nothing is acknowledged, and
    /// unless it was only a lock, the connection is gone.
    pub(super) fn commit(&mut self, writes: &[&Write]) -> Result<Applied, CommitError> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.try_commit(writes)));
        let outcome = outcome.unwrap_or(Err(CommitError::Panicked));
        match &outcome {
            Ok(applied) => self.position = applied.position,
            Err(error) => self.distrust(error),
        }
        outcome
    }

    fn distrust(&mut self, error: &CommitError) {
        self.doubted |= !error.leaves_trust();
        self.connection = None;
    }

    fn try_commit(&mut self, writes: &[&Write]) -> Result<Applied, CommitError> {
        self.faults.at(Operation::Begin)?;
        self.reopen_if_needed()?;
        let Some(connection) = self.connection.as_mut() else {
            return Err(CommitError::Distrusted("no connection".to_owned()));
        };
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if writes
            .iter()
            .any(|write| matches!(write, Write::CallEnded(_)))
        {
            self.faults.at(Operation::CloseConversation)?;
        }
        let ledger = &self.ledger;
        let applied = catch_unwind(AssertUnwindSafe(|| apply(&transaction, ledger, writes)))
            .map_err(|_| CommitError::ApplyPanicked)??;
        self.faults.at(Operation::Commit)?;
        transaction.commit()?;
        self.ledger.committed();
        Ok(applied)
    }

    fn reopen_if_needed(&mut self) -> Result<(), CommitError> {
        if self.connection.is_some() {
            return Ok(());
        }
        self.faults.at(Operation::OpenWriter)?;
        let mut connection = connection::open_writer(&self.path)?;
        self.log_pages.watch(&mut connection)?;
        self.recognise(&connection)?;
        if self.doubted {
            self.verify(&connection)?;
        }
        self.ledger.reread(&connection)?;
        self.connection = Some(connection);
        self.doubted = false;
        Ok(())
    }

    /// What a failed fsync left in the kernel's cache may look written and not be. Copying the log
    /// into the database writes and syncs every page of it again; then the database is read through.
    fn verify(&self, connection: &Connection) -> Result<(), CommitError> {
        self.faults.at(Operation::Verify)?;
        connection::checkpoint_and_truncate(connection)?;
        let report: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if report != "ok" {
            return Err(CommitError::Distrusted(format!("quick_check: {report}")));
        }
        self.recognise(connection)
    }

    /// The file must hold the database that was acknowledged, at that position or beyond it: another
    /// one may lie at its path by now.
    fn recognise(&self, connection: &Connection) -> Result<(), CommitError> {
        let found = meta::read(connection)?;
        if found.lineage != self.lineage {
            return Err(CommitError::Distrusted("another database".to_owned()));
        }
        if found.position < self.position {
            let (position, acknowledged) = (found.position, self.position);
            return Err(CommitError::Distrusted(format!(
                "at {position}, {acknowledged} was acknowledged"
            )));
        }
        Ok(())
    }

    /// Cuts the log if it has grown beyond its bound, unless a reader has just hindered that.
    pub(super) fn cut_log_if_long(&mut self) {
        let is_hindered = self
            .hindered_at
            .is_some_and(|at| at.elapsed() < HINDERED_PAUSE);
        if self.log_pages.now() > LOG_PAGES_MAX && !is_hindered {
            self.cut_log();
        }
    }

    fn note_cut(&mut self, is_cut: bool) {
        let was_hindered = self.hindered_at.is_some();
        self.hindered_at = (!is_cut).then(Instant::now);
        if !is_cut && !was_hindered {
            tracing::warn!("a reader of long standing keeps the write-ahead log from being cut");
        }
    }

    /// Copies the whole log into the database and cuts it. A failure is counted; the log stays and
    /// keeps what it holds.
    pub(super) fn cut_log(&mut self) {
        let Some(connection) = &self.connection else {
            return;
        };
        let checkpoint = self
            .faults
            .at(Operation::Checkpoint)
            .map_err(CommitError::from)
            .and_then(|()| Ok(connection::checkpoint_and_truncate(connection)?));
        match checkpoint {
            Ok(is_cut) => self.note_cut(is_cut),
            Err(error) => {
                calldex_observability::catalog::WRITE_FAILURES_TOTAL
                    .with(error.kind())
                    .increment(1);
                tracing::error!(%error, "the write-ahead log could not be copied into the database");
                self.distrust(&error);
            }
        }
    }
}

/// The write-ahead log beside the database at `path`.
pub(super) fn log_path(path: &std::path::Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Role, Turn};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn long_turns(seqs: std::ops::Range<u32>) -> Vec<Write> {
        let words = "x".repeat(1024 * 1024);
        seqs.map(|seq| Write::TurnAppended {
            call_sid: "CA1".into(),
            turn: Turn::new(Role::Caller, words.as_str(), 1, 0, seq),
        })
        .collect()
    }

    #[test]
    fn a_reader_of_long_standing_does_not_hold_up_every_batch() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("calls.db");
        let cuts = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&cuts);
        let faults = Faults::new(move |operation| {
            if operation == Operation::Checkpoint {
                count.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        let (mut scribe, _) = Scribe::open(path.clone(), faults).unwrap();
        let reader = Connection::open(&path).unwrap();
        reader
            .execute_batch("BEGIN; SELECT COUNT(*) FROM turns")
            .unwrap();
        let writes = long_turns(0..68);
        scribe.commit(&writes.iter().collect::<Vec<_>>()).unwrap();
        assert!(scribe.log_pages.now() > LOG_PAGES_MAX);
        for seq in 68..71 {
            scribe.cut_log_if_long();
            let writes = long_turns(seq..seq + 1);
            scribe.commit(&writes.iter().collect::<Vec<_>>()).unwrap();
        }
        assert_eq!(cuts.load(Ordering::SeqCst), 1);
        reader.execute_batch("COMMIT").unwrap();
        scribe.cut_log();
        assert!(scribe.hindered_at.is_none());
        assert_eq!(std::fs::metadata(log_path(&path)).unwrap().len(), 0);
    }
}
