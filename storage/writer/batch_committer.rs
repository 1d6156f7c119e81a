//! The one connection that writes. It commits batches; after a failure it is reopened and verified before
//! the next one.

use super::WriterShared;
use super::writer_connection::WriterConnection;
use crate::disk::{CommitError, PAGE_BYTES, WalPages};
use crate::fault_injection::{DiskOperation, FaultInjector};
use crate::sqlite::connection::Synchronous;
use crate::sqlite::live_turn_index::{LiveTurnIndex, LiveTurnIndexReader};
use crate::sqlite::migrations::{MigrationError, migrate};
use crate::sqlite::{connection, meta};
use crate::write::AppliedWrites;
use calldex_observability::catalog;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Pages of the write-ahead log from which the writer itself stops for a checkpoint that cuts it:
/// the checkpointer beside it could not keep up.
const WAL_PAGES_MAX: u64 = 64 * 1024 * 1024 / PAGE_BYTES;

/// Pages of a snapshot copied between two looks at whether to go on.
const SNAPSHOT_PAGES_STEP: i32 = 1_024;
/// How often the copy of an installed snapshot is tried to be made durable while readers hinder it.
const DURABLE_ATTEMPTS_MAX: usize = 100;

/// How long the writer leaves a log alone that a reader has kept from being cut: each attempt waits
/// for the reader, and the batches wait with it.
const BLOCKED_TRUNCATION_PAUSE: Duration = Duration::from_secs(10);

/// Why the database could not be opened at start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseOpenError {
    #[error(transparent)]
    Migration(#[from] MigrationError),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// See the module.
pub(crate) struct BatchCommitter {
    path: PathBuf,
    faults: FaultInjector,
    connection: WriterConnection,
    turn_index: LiveTurnIndex,
    wal_pages: WalPages,
    /// Which database it is.
    lineage: String,
    /// The last position that was acknowledged.
    position: u64,
    /// Whether the next connection has to be verified before it is used.
    needs_verification: bool,
    /// Whether the database was read through since the last commit: once is enough.
    is_quick_checked: bool,
    /// When a reader last kept the log from being cut, if it was not cut since.
    truncation_blocked_at: Option<Instant>,
    /// When a commit is on disk.
    synchronous: Synchronous,
    /// The database that is taking this one's place: found at the path, it is as good.
    incoming: Option<meta::DatabaseMeta>,
}

impl BatchCommitter {
    /// Opens the database, migrates it and builds its live-turn index.
    pub(crate) fn open(
        path: PathBuf,
        faults: FaultInjector,
    ) -> Result<(Self, meta::DatabaseMeta), DatabaseOpenError> {
        faults.inject(DiskOperation::OpenWriter)?;
        let connection = connection::create_writer(&path)?;
        Self::with_connection(path, faults, connection, Synchronous::AtCommit)
    }

    /// Opens the database of a replica, which must be there: commits are durable at the next
    /// checkpoint only; what a power cut loses is applied again from the cluster's log.
    pub(crate) fn open_replicated(
        path: PathBuf,
        faults: FaultInjector,
    ) -> Result<(Self, meta::DatabaseMeta), DatabaseOpenError> {
        faults.inject(DiskOperation::OpenWriter)?;
        let connection = connection::open_writer(&path, Synchronous::AtCheckpoint)?;
        Self::with_connection(path, faults, connection, Synchronous::AtCheckpoint)
    }

    fn with_connection(
        path: PathBuf,
        faults: FaultInjector,
        mut connection: Connection,
        synchronous: Synchronous,
    ) -> Result<(Self, meta::DatabaseMeta), DatabaseOpenError> {
        let log_pages = WalPages::default();
        log_pages.install_hook(&mut connection)?;
        migrate(&mut connection)?;
        let meta = meta::read(&connection)?;
        let turn_index = LiveTurnIndex::read(&connection)?;
        let (lineage, position) = (meta.lineage.clone(), meta.position);
        let connection = WriterConnection::new(connection);
        Ok((
            Self {
                path,
                faults,
                connection,
                turn_index,
                wal_pages: log_pages,
                lineage,
                position,
                needs_verification: false,
                is_quick_checked: false,
                truncation_blocked_at: None,
                synchronous,
                incoming: None,
            },
            meta,
        ))
    }

    /// The live-turn index as readers see it.
    pub(crate) fn turn_index_reader(&self) -> LiveTurnIndexReader {
        self.turn_index.reader()
    }

    /// The connection, shared with the thread that looks for changes by other processes.
    pub(crate) fn connection(&self) -> WriterConnection {
        self.connection.clone()
    }

    /// The length of the log, shared with the checkpointer.
    pub(crate) fn wal_pages(&self) -> WalPages {
        self.wal_pages.clone()
    }

    /// Does `work` in one transaction and commits it; `operation` is where a test injects an error before
    /// it. A panic of `work` counts as caused by a write.
    ///
    /// # Errors
    /// Nothing was committed. Except after a lock, the next call reopens the connection and rebuilds the
    /// live-turn index.
    pub(crate) fn transact(
        &mut self,
        operation: Option<DiskOperation>,
        work: impl FnOnce(&Transaction<'_>, &LiveTurnIndex) -> Result<AppliedWrites, CommitError>,
    ) -> Result<AppliedWrites, CommitError> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.try_transact(operation, work)));
        let outcome = outcome.unwrap_or(Err(CommitError::Panicked));
        match &outcome {
            Ok(applied) => {
                self.position = applied.position;
                self.is_quick_checked = false;
            }
            Err(error) => self.note_failure(error),
        }
        outcome
    }

    fn note_failure(&mut self, error: &CommitError) {
        self.needs_verification |= !error.leaves_database_intact();
        self.connection.lock().drop_connection();
    }

    fn try_transact(
        &mut self,
        operation: Option<DiskOperation>,
        work: impl FnOnce(&Transaction<'_>, &LiveTurnIndex) -> Result<AppliedWrites, CommitError>,
    ) -> Result<AppliedWrites, CommitError> {
        self.faults.inject(DiskOperation::Begin)?;
        self.reopen_if_needed()?;
        let shared = self.connection.clone();
        let mut held = shared.lock();
        held.check_external_change()?;
        let Some(connection) = held.get() else {
            return Err(CommitError::UnexpectedDatabase("no connection".to_owned()));
        };
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(operation) = operation {
            self.faults.inject(operation)?;
        }
        let turn_index = &self.turn_index;
        let applied = catch_unwind(AssertUnwindSafe(|| work(&transaction, turn_index)))
            .map_err(|_| CommitError::ApplyPanicked)??;
        self.faults.inject(DiskOperation::Commit)?;
        transaction.commit()?;
        self.turn_index.note_commit();
        Ok(applied)
    }

    fn reopen_if_needed(&mut self) -> Result<(), CommitError> {
        if self.connection.lock().get().is_some() {
            return Ok(());
        }
        self.faults.inject(DiskOperation::OpenWriter)?;
        let mut connection = connection::open_writer(&self.path, self.synchronous)?;
        self.wal_pages.install_hook(&mut connection)?;
        self.check_identity(&connection)?;
        if self.needs_verification {
            self.verify(&connection)?;
        }
        self.turn_index.reload(&connection)?;
        self.connection.lock().put(connection);
        self.needs_verification = false;
        Ok(())
    }

    /// After a failed fsync, pages may look written in the kernel's cache and not be on disk. Therefore:
    ///
    /// 1. The write-ahead log is checkpointed into the database, which writes and syncs every page again.
    /// 2. The database is read through by `quick_check`, once until the next commit: a large one takes
    ///    minutes, and the queue would wait for that at each retry.
    ///
    /// A reader may prevent a complete checkpoint; that is no error. While a connection is open, the index
    /// of the log stays. It does not contain the pages of the failed commit, and the next commit writes and
    /// syncs them again. Without an open connection nothing prevents the checkpoint.
    fn verify(&mut self, connection: &Connection) -> Result<(), CommitError> {
        self.faults.inject(DiskOperation::Verify)?;
        connection::checkpoint_and_truncate(connection)?;
        if !self.is_quick_checked {
            self.faults.inject(DiskOperation::ReadThrough)?;
            if let Some(damage) = connection::quick_check(connection)? {
                return Err(CommitError::UnexpectedDatabase(format!(
                    "quick_check: {damage}"
                )));
            }
            self.is_quick_checked = true;
        }
        self.check_identity(connection)
    }

    /// The file must hold the same database, not before the acknowledged position: another file may have
    /// been put at its path.
    fn check_identity(&self, connection: &Connection) -> Result<(), CommitError> {
        let found = meta::read(connection)?;
        if let Some(incoming) = &self.incoming
            && found.lineage == incoming.lineage
            && found.position >= incoming.position
        {
            return Ok(());
        }
        if found.lineage != self.lineage {
            return Err(CommitError::UnexpectedDatabase(
                "another database".to_owned(),
            ));
        }
        if found.position < self.position {
            let (position, acknowledged) = (found.position, self.position);
            return Err(CommitError::UnexpectedDatabase(format!(
                "at {position}, {acknowledged} was acknowledged"
            )));
        }
        Ok(())
    }

    /// Puts the whole of `source` in the place of the database, in one transaction: readers keep what
    /// they see until it is committed, and a crash before that leaves the old one. When it returns, the
    /// new one is on disk for good.
    pub(crate) fn replace_with(
        &mut self,
        source: &Connection,
    ) -> Result<meta::DatabaseMeta, CommitError> {
        let outcome = self.try_replace(source);
        if let Err(error) = &outcome {
            self.note_failure(error);
        }
        outcome
    }

    fn try_replace(&mut self, source: &Connection) -> Result<meta::DatabaseMeta, CommitError> {
        self.faults.inject(DiskOperation::InstallSnapshot)?;
        self.reopen_if_needed()?;
        let incoming = meta::read(source)?;
        self.incoming = Some(incoming.clone());
        self.copy_from(source)?;
        (self.lineage, self.position) = (incoming.lineage.clone(), incoming.position);
        self.incoming = None;
        let mut held = self.connection.lock();
        let Some(connection) = held.get() else {
            return Err(CommitError::UnexpectedDatabase("no connection".to_owned()));
        };
        self.turn_index.reload(connection)?;
        checkpoint_until_complete(connection)?;
        held.note_replaced()?;
        Ok(incoming)
    }

    fn copy_from(&mut self, source: &Connection) -> Result<(), CommitError> {
        let shared = self.connection.clone();
        let mut held = shared.lock();
        let Some(connection) = held.get() else {
            return Err(CommitError::UnexpectedDatabase("no connection".to_owned()));
        };
        let backup = Backup::new(source, connection)?;
        loop {
            self.faults.inject(DiskOperation::CopySnapshot)?;
            match backup.step(SNAPSHOT_PAGES_STEP)? {
                StepResult::Done => return Ok(()),
                StepResult::More => {}
                // A lock that somebody else holds: the writer's own retry takes over.
                _ => return Err(CommitError::Io(io::ErrorKind::WouldBlock.into())),
            }
        }
    }

    /// How far the cluster's log is applied.
    pub(crate) fn applied_log(&self) -> rusqlite::Result<meta::AppliedLogJson> {
        match self.connection.lock().get() {
            Some(connection) => meta::applied_log(connection),
            None => Ok(meta::AppliedLogJson::default()),
        }
    }

    /// Copies the whole log into the database, waiting for readers as long as that takes within
    /// bounds: what is committed is then on disk for good.
    pub(crate) fn make_durable(&mut self) -> Result<(), CommitError> {
        self.reopen_if_needed()?;
        match self.connection.lock().get() {
            Some(connection) => checkpoint_until_complete(connection),
            None => Err(CommitError::UnexpectedDatabase("no connection".to_owned())),
        }
    }

    /// Cuts the log if it has grown beyond its bound, unless a reader has just hindered that.
    pub(crate) fn truncate_wal_if_long(&mut self) {
        let is_hindered = self
            .truncation_blocked_at
            .is_some_and(|at| at.elapsed() < BLOCKED_TRUNCATION_PAUSE);
        if self.wal_pages.get() > WAL_PAGES_MAX && !is_hindered {
            self.truncate_wal();
        }
    }

    fn note_truncation(&mut self, is_cut: bool) {
        let was_hindered = self.truncation_blocked_at.is_some();
        self.truncation_blocked_at = (!is_cut).then(Instant::now);
        if !is_cut && !was_hindered {
            tracing::warn!("a reader of long standing keeps the write-ahead log from being cut");
        }
    }

    /// Copies the whole log into the database and cuts it. A failure is counted; the log stays and
    /// keeps what it holds.
    pub(crate) fn truncate_wal(&mut self) {
        let shared = self.connection.clone();
        let mut held = shared.lock();
        let Some(connection) = held.get() else {
            return;
        };
        let checkpoint = self
            .faults
            .inject(DiskOperation::Checkpoint)
            .map_err(CommitError::from)
            .and_then(|()| Ok(connection::checkpoint_and_truncate(connection)?));
        drop(held);
        match checkpoint {
            Ok(is_cut) => self.note_truncation(is_cut),
            Err(error) => {
                catalog::WRITE_FAILURES_TOTAL
                    .with(error.kind())
                    .increment(1);
                tracing::error!(%error, "the write-ahead log could not be copied into the database");
                self.note_failure(&error);
            }
        }
    }
}

fn checkpoint_until_complete(connection: &Connection) -> Result<(), CommitError> {
    for _ in 0..DURABLE_ATTEMPTS_MAX {
        // Each attempt waits for readers itself. To have all copied is enough; it need not be cut.
        if connection::checkpoint_and_truncate(connection)?
            || connection::checkpoint_passively(connection)?
        {
            return Ok(());
        }
    }
    let reason = "readers keep the write-ahead log from being copied";
    Err(CommitError::Io(io::Error::new(
        io::ErrorKind::WouldBlock,
        reason,
    )))
}

impl WriterShared {
    /// The database does not take what is written.
    pub(crate) fn degrade(&self, error: &CommitError) {
        let kind = error.kind();
        catalog::WRITE_FAILURES_TOTAL.with(kind).increment(1);
        if self.degraded.set_database(Some(kind)) {
            tracing::error!(%error, kind, "writes cannot be made durable; they wait in memory");
        }
    }

    /// It takes it.
    pub(crate) fn recover(&self) {
        if self.degraded.set_database(None) {
            tracing::info!("writes are durable again");
        }
    }
}

/// The write-ahead log beside the database at `path`.
pub(crate) fn wal_path(path: &std::path::Path) -> PathBuf {
    connection::sibling_path(path, "-wal")
}

#[cfg(test)]
mod tests {
    use super::super::{WriteBatch, commit_batches};
    use super::*;
    use crate::record::{Turn, TurnRole};
    use crate::write::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn long_turns(seqs: std::ops::Range<u32>) -> Vec<Write> {
        let words = "x".repeat(1024 * 1024);
        seqs.map(|seq| Write::TurnAppended {
            call_sid: "CA1".into(),
            turn: Turn::new(TurnRole::Caller, words.as_str(), 1, 0, seq),
        })
        .collect()
    }

    fn commit(committer: &mut BatchCommitter, writes: &[Write]) {
        let (writes, entry) = (writes.iter().collect(), None);
        commit_batches(
            committer,
            None,
            &[WriteBatch { writes, entry }],
            None,
            &mut |_| false,
        )
        .unwrap();
    }

    #[test]
    fn a_reader_of_long_standing_does_not_hold_up_every_batch() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("calls.db");
        let cuts = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&cuts);
        let faults = FaultInjector::new(move |operation| {
            if operation == DiskOperation::Checkpoint {
                count.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        let (mut committer, _) = BatchCommitter::open(path.clone(), faults).unwrap();
        let reader = Connection::open(&path).unwrap();
        reader
            .execute_batch("BEGIN; SELECT COUNT(*) FROM turns")
            .unwrap();
        let writes = long_turns(0..68);
        commit(&mut committer, &writes);
        assert!(committer.wal_pages.get() > WAL_PAGES_MAX);
        for seq in 68..71 {
            committer.truncate_wal_if_long();
            let writes = long_turns(seq..seq + 1);
            commit(&mut committer, &writes);
        }
        assert_eq!(cuts.load(Ordering::SeqCst), 1);
        reader.execute_batch("COMMIT").unwrap();
        committer.truncate_wal();
        assert!(committer.truncation_blocked_at.is_none());
        assert_eq!(std::fs::metadata(wal_path(&path)).unwrap().len(), 0);
    }
}
