//! Copies the write-ahead log into the database beside the writer, so that no batch waits for it,
//! and keeps the gauges of the queue.

use super::batch_committer::wal_path;
use super::{Writer, WriterShared};
use crate::disk::{CommitError, DurableIndex, WalPages};
use crate::fault_injection::{DiskOperation, FaultInjector};
use crate::sqlite::connection::{self, Synchronous};
use crate::thread_join;
use calldex_observability::worker::{RoundResult, WorkerProgress, WorkerRegistry};
use calldex_observability::{catalog, vital};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pages added to the log since it was last copied, from which it is copied again: 4 MiB.
const WAL_PAGES_MIN: u64 = 1_000;
/// Bytes of the log from which it is said loudly that it grows. It has no bound of its own: a reader of
/// somebody else's cannot be ended, and nothing is lost while the disk has room.
const WAL_BYTES_ALARM: u64 = 1024 * 1024 * 1024;
/// How often the log's size is looked at.
const PERIOD: Duration = Duration::from_millis(100);
/// How long at most what a replica has applied waits to be made durable, if nothing hinders it: the
/// cluster's log may be cut no further.
const DURABLE_INTERVAL: Duration = Duration::from_secs(10);

/// The running thread.
pub(crate) struct Checkpointer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread. With `durable_index` it is that of a replica, and what a checkpoint makes durable is
    /// noted there.
    pub(crate) fn start(
        path: PathBuf,
        shared: Arc<WriterShared>,
        log_pages: WalPages,
        faults: FaultInjector,
        durable_index: Option<Arc<DurableIndex>>,
        workers: &WorkerRegistry,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut checkpoints = CheckpointSchedule {
            wal: wal_path(&path),
            checkpointer: WalCheckpointer {
                path,
                faults,
                durable_index,
                connection: None,
            },
            shared,
            wal_pages: log_pages,
            alarm: WalSizeAlarm::default(),
            checkpointed_pages: 0,
            checkpointed_at: Instant::now(),
        };
        let worker = workers.register(
            "checkpoint",
            "4 MiB of write-ahead log, or 10 s in which a replica has applied something",
            PERIOD,
        );
        let told = Arc::clone(&stop);
        let should_stop = move || told.load(Ordering::SeqCst);
        let work =
            move || worker.run_thread(|| stopped.load(Ordering::SeqCst), || checkpoints.run_once());
        let thread = vital::thread("calldex-checkpoint", should_stop, work)?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends the thread and waits for it until `end`; one that hangs in the disk is left.
    pub(crate) fn stop(&mut self, end: Instant) {
        self.stop.store(true, Ordering::SeqCst);
        let Some(thread) = self.thread.take() else {
            return;
        };
        thread.thread().unpark();
        let _ = thread_join::join_until(thread, end);
    }
}

/// What is copied when.
struct CheckpointSchedule {
    wal: PathBuf,
    checkpointer: WalCheckpointer,
    shared: Arc<WriterShared>,
    wal_pages: WalPages,
    alarm: WalSizeAlarm,
    /// Pages of the log when it was last copied, and when that was.
    checkpointed_pages: u64,
    checkpointed_at: Instant,
}

impl CheckpointSchedule {
    fn run_once(&mut self) -> RoundResult {
        Writer::update_gauges(&self.shared);
        let log_bytes = file_size(&self.wal);
        self.alarm.update(log_bytes);
        catalog::WRITE_AHEAD_LOG_BYTES.set(log_bytes as f64);
        catalog::DATABASE_BYTES.set((log_bytes + file_size(&self.checkpointer.path)) as f64);
        let pages = self.wal_pages.get();
        // A shorter log is one that the writer has begun anew.
        if pages < self.checkpointed_pages {
            self.checkpointed_pages = 0;
        }
        let is_long = pages - self.checkpointed_pages >= WAL_PAGES_MIN;
        let is_due =
            self.checkpointed_at.elapsed() >= DURABLE_INTERVAL && self.checkpointer.has_undurable();
        if (is_long || is_due) && self.shared.degraded.database_reason().is_none() {
            (self.checkpointed_pages, self.checkpointed_at) = (pages, Instant::now());
            self.checkpointer.checkpoint()?;
        }
        Ok(WorkerProgress::Done)
    }
}

/// Says loudly when the write-ahead log is longer than [`WAL_BYTES_ALARM`], once for each time.
#[derive(Default)]
struct WalSizeAlarm {
    is_long: bool,
}

impl WalSizeAlarm {
    /// Whether there was something to say.
    fn update(&mut self, bytes: u64) -> bool {
        let was_long = self.is_long;
        // Half the bound is not yet the end of it.
        self.is_long = bytes > WAL_BYTES_ALARM || was_long && bytes > WAL_BYTES_ALARM / 2;
        match (was_long, self.is_long) {
            (false, true) => tracing::error!(
                bytes,
                "a reader of long standing keeps the write-ahead log of calls.db from being cut: it grows \
                 until that reader ends or the disk is full, and raft.db with it; look for it with lsof"
            ),
            (true, false) => tracing::info!(bytes, "the write-ahead log of calls.db is cut again"),
            _ => return false,
        }
        true
    }
}

fn file_size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// Who copies, with a connection of its own.
struct WalCheckpointer {
    path: PathBuf,
    faults: FaultInjector,
    durable_index: Option<Arc<DurableIndex>>,
    connection: Option<Connection>,
}

impl WalCheckpointer {
    /// Whether a replica has applied what is not durable.
    fn has_undurable(&self) -> bool {
        self.durable_index
            .as_ref()
            .is_some_and(|durable_index| durable_index.has_undurable())
    }

    /// One passive checkpoint. After a failure the connection is not used again; the log keeps what
    /// it holds, so nothing depends on the outcome.
    fn checkpoint(&mut self) -> Result<(), String> {
        let copied = self.try_checkpoint().map_err(|error| {
            catalog::WRITE_FAILURES_TOTAL
                .with(error.kind())
                .increment(1);
            tracing::warn!(%error, "the write-ahead log could not be copied beside the writer");
            error.kind().to_owned()
        });
        let _ = self.faults.inject(DiskOperation::Checkpointed);
        copied
    }

    fn try_checkpoint(&mut self) -> Result<(), CommitError> {
        self.faults.inject(DiskOperation::Checkpoint)?;
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connection::open_writer(&self.path, self.synchronous())?,
        };
        // Before: what is applied from now on need not be in what is copied.
        let applied = self
            .durable_index
            .as_ref()
            .map(|durable_index| durable_index.applied_index());
        let is_whole = connection::checkpoint_passively(&connection)?;
        self.connection = Some(connection);
        if let (Some(durable_index), Some(applied), true) = (&self.durable_index, applied, is_whole)
        {
            durable_index.note_durable(applied);
        }
        Ok(())
    }

    fn synchronous(&self) -> Synchronous {
        match self.durable_index {
            Some(_) => Synchronous::AtCheckpoint,
            None => Synchronous::AtCommit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_grows_is_said_once_and_so_is_its_end() {
        let mut alarm = WalSizeAlarm::default();
        let said: Vec<bool> = [1, 2, 3, 2, 1, 0, 0, 3]
            .map(|halves| alarm.update(halves * WAL_BYTES_ALARM / 2 + 1))
            .into();
        let expected = [false, true, false, false, false, true, false, true];
        assert_eq!(said, expected);
    }
}
