//! Copies the write-ahead log into the database beside the writer, so that no batch waits for it,
//! and keeps the gauges of the queue.

use super::failure::CommitError;
use super::scribe::log_path;
use super::{LogPages, Shared, Writer};
use crate::ending;
use crate::faults::{Faults, Operation};
use crate::replication::Reach;
use crate::sqlite::connection::{self, Synchronous};
use calldex_observability::worker::{Progress, Round, Workers};
use calldex_observability::{catalog, vital};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pages added to the log since it was last copied, from which it is copied again: 4 MiB.
const LOG_PAGES_MIN: u64 = 1_000;
/// Bytes of the log from which it is said loudly that it grows. It has no bound of its own: a reader of
/// somebody else's cannot be ended, and nothing is lost while the disk has room.
const LOG_BYTES_ALARM: u64 = 1024 * 1024 * 1024;
/// How often the log's size is looked at.
const PERIOD: Duration = Duration::from_millis(100);
/// How long at most what a replica has applied waits to be made durable, if nothing hinders it: the
/// cluster's log may be cut no further.
const DURABLE_PERIOD: Duration = Duration::from_secs(10);

/// The running thread.
pub(crate) struct Checkpointer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread. With `reach` it is that of a replica, and what a checkpoint makes durable is
    /// noted there.
    pub(crate) fn start(
        path: PathBuf,
        shared: Arc<Shared>,
        log_pages: LogPages,
        faults: Faults,
        reach: Option<Arc<Reach>>,
        workers: &Workers,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut checkpoints = Checkpoints {
            log: log_path(&path),
            copier: Copier {
                path,
                faults,
                reach,
                connection: None,
            },
            shared,
            log_pages,
            alarm: LogAlarm::default(),
            copied_pages: 0,
            copied_at: Instant::now(),
        };
        let worker = workers.register(
            "checkpoint",
            "4 MiB of write-ahead log, or 10 s in which a replica has applied something",
            PERIOD,
        );
        let told = Arc::clone(&stop);
        let told_to_end = move || told.load(Ordering::SeqCst);
        let work =
            move || worker.run_thread(|| stopped.load(Ordering::SeqCst), || checkpoints.round());
        let thread = vital::thread("calldex-checkpoint", told_to_end, work)?;
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
        let _ = ending::join(thread, end);
    }
}

/// What is copied when.
struct Checkpoints {
    log: PathBuf,
    copier: Copier,
    shared: Arc<Shared>,
    log_pages: LogPages,
    alarm: LogAlarm,
    /// Pages of the log when it was last copied, and when that was.
    copied_pages: u64,
    copied_at: Instant,
}

impl Checkpoints {
    fn round(&mut self) -> Round {
        Writer::gauge(&self.shared);
        let log_bytes = size(&self.log);
        self.alarm.look(log_bytes);
        catalog::WRITE_AHEAD_LOG_BYTES.set(log_bytes as f64);
        catalog::DATABASE_BYTES.set((log_bytes + size(&self.copier.path)) as f64);
        let pages = self.log_pages.now();
        // A shorter log is one that the writer has begun anew.
        if pages < self.copied_pages {
            self.copied_pages = 0;
        }
        let is_long = pages - self.copied_pages >= LOG_PAGES_MIN;
        let is_due = self.copied_at.elapsed() >= DURABLE_PERIOD && self.copier.is_ahead();
        if (is_long || is_due) && self.shared.degraded.reason().is_none() {
            (self.copied_pages, self.copied_at) = (pages, Instant::now());
            self.copier.copy()?;
        }
        Ok(Progress::Done)
    }
}

/// Says loudly when the write-ahead log is longer than [`LOG_BYTES_ALARM`], once for each time.
#[derive(Default)]
struct LogAlarm {
    is_long: bool,
}

impl LogAlarm {
    /// Whether there was something to say.
    fn look(&mut self, bytes: u64) -> bool {
        let was_long = self.is_long;
        // Half the bound is not yet the end of it.
        self.is_long = bytes > LOG_BYTES_ALARM || was_long && bytes > LOG_BYTES_ALARM / 2;
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

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// Who copies, with a connection of its own.
struct Copier {
    path: PathBuf,
    faults: Faults,
    reach: Option<Arc<Reach>>,
    connection: Option<Connection>,
}

impl Copier {
    /// Whether a replica has applied what is not durable.
    fn is_ahead(&self) -> bool {
        self.reach.as_ref().is_some_and(|reach| reach.is_ahead())
    }

    /// One passive checkpoint. After a failure the connection is not used again; the log keeps what
    /// it holds, so nothing depends on the outcome.
    fn copy(&mut self) -> Result<(), String> {
        let copied = self.try_copy().map_err(|error| {
            catalog::WRITE_FAILURES_TOTAL
                .with(error.kind())
                .increment(1);
            tracing::warn!(%error, "the write-ahead log could not be copied beside the writer");
            error.kind().to_owned()
        });
        let _ = self.faults.at(Operation::Checkpointed);
        copied
    }

    fn try_copy(&mut self) -> Result<(), CommitError> {
        self.faults.at(Operation::Checkpoint)?;
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connection::open_writer(&self.path, self.synchronous())?,
        };
        // Before: what is applied from now on need not be in what is copied.
        let applied = self.reach.as_ref().map(|reach| reach.applied_index());
        let is_whole = connection::checkpoint_passively(&connection)?;
        self.connection = Some(connection);
        if let (Some(reach), Some(applied), true) = (&self.reach, applied, is_whole) {
            reach.note_durable(applied);
        }
        Ok(())
    }

    fn synchronous(&self) -> Synchronous {
        match self.reach {
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
        let mut alarm = LogAlarm::default();
        let said: Vec<bool> = [1, 2, 3, 2, 1, 0, 0, 3]
            .map(|halves| alarm.look(halves * LOG_BYTES_ALARM / 2 + 1))
            .into();
        let expected = [false, true, false, false, false, true, false, true];
        assert_eq!(said, expected);
    }
}
