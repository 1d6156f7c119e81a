//! Copies the write-ahead log into the database beside the writer, so that no batch waits for it,
//! and keeps the gauges of the queue.

use super::scribe::log_path;
use super::{LogPages, Shared, Writer};
use crate::faults::{Faults, Operation};
use crate::sqlite::connection;
use calldex_observability::catalog;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pages added to the log since it was last copied, from which it is copied again: 4 MiB.
const LOG_PAGES_MIN: u64 = 1_000;
/// How often the log's size is looked at.
const PERIOD: Duration = Duration::from_millis(100);

/// The running thread.
pub(crate) struct Checkpointer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub(crate) fn start(
        path: PathBuf,
        shared: Arc<Shared>,
        log_pages: LogPages,
        faults: Faults,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("calldex-checkpoint".to_owned())
            .spawn(move || run(&path, &shared, &log_pages, &faults, &stopped))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends the thread and waits for it until `end`; one that hangs in the disk is left.
    pub(crate) fn stop(&mut self, end: Instant) {
        const STEP: Duration = Duration::from_millis(1);
        self.stop.store(true, Ordering::SeqCst);
        let Some(thread) = self.thread.take() else {
            return;
        };
        thread.thread().unpark();
        while !thread.is_finished() && Instant::now() < end {
            std::thread::sleep(STEP);
        }
        if thread.is_finished() {
            // A panic of it has been printed; nothing depends on its work.
            let _ = thread.join();
        }
    }
}

fn run(path: &Path, shared: &Shared, log_pages: &LogPages, faults: &Faults, stop: &AtomicBool) {
    let log = log_path(path);
    let mut copied_at = 0;
    let mut connection: Option<Connection> = None;
    while !stop.load(Ordering::SeqCst) {
        Writer::gauge(shared);
        catalog::DATABASE_BYTES.set((size(&log) + size(path)) as f64);
        let pages = log_pages.now();
        // A shorter log is one that the writer has begun anew.
        copied_at = if pages < copied_at { 0 } else { copied_at };
        if pages - copied_at >= LOG_PAGES_MIN && shared.degraded.reason().is_none() {
            checkpoint(path, faults, &mut connection);
            copied_at = pages;
        }
        std::thread::park_timeout(PERIOD);
    }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// One passive checkpoint. After a failure the connection is not used again; the log keeps what it
/// holds, so nothing depends on the outcome.
fn checkpoint(path: &Path, faults: &Faults, connection: &mut Option<Connection>) {
    let outcome = faults
        .at(Operation::Checkpoint)
        .map_err(super::failure::CommitError::from)
        .and_then(|()| {
            let open = match connection.take() {
                Some(open) => open,
                None => connection::open_writer(path)?,
            };
            connection::checkpoint_passively(&open)?;
            Ok(open)
        });
    match outcome {
        Ok(open) => *connection = Some(open),
        Err(error) => {
            catalog::WRITE_FAILURES_TOTAL
                .with(error.kind())
                .increment(1);
            tracing::warn!(%error, "the write-ahead log could not be copied beside the writer");
        }
    }
    let _ = faults.at(Operation::Checkpointed);
}
