//! Detects changes of the database by another process, such as a SQLite shell. The tiers of the caller
//! directory may be wrong then and are emptied.

use crate::caller_directory::CallerDirectory;
use crate::thread_join;
use crate::writer::WriterConnection;
use calldex_observability::worker::{WorkerProgress, WorkerRegistry};
use calldex_observability::{catalog, vital};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it looks: within a second of such a change the directory answers by it, on a machine that
/// runs the thread in time.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// The running thread.
pub(super) struct ExternalChangeWatcher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ExternalChangeWatcher {
    /// Starts the thread. What others change from now on is noticed.
    pub(super) fn start(
        connection: WriterConnection,
        directory: CallerDirectory,
        workers: &WorkerRegistry,
    ) -> io::Result<Self> {
        connection.start_watching().map_err(io::Error::other)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, should_stop) = (Arc::clone(&stop), Arc::clone(&stop));
        let round = move || {
            if connection.take_external_change() {
                catalog::DATABASE_EXTERNAL_CHANGES_TOTAL.increment(1);
                tracing::warn!(
                    "the database was changed past the server: what the directory holds is read anew"
                );
                directory.invalidate();
            }
            Ok(WorkerProgress::Done)
        };
        let worker = workers.register(
            "database watch",
            "a change of the database past the server",
            CHECK_INTERVAL,
        );
        let look = move || worker.run_thread(|| stopped.load(Ordering::SeqCst), round);
        let is_told = move || should_stop.load(Ordering::SeqCst);
        Ok(Self {
            stop,
            thread: Some(vital::thread("calldex-watch", is_told, look)?),
        })
    }

    /// Ends the thread and waits for it until `end`; one that is still in a disk operation is left.
    pub(super) fn stop(&mut self, end: Instant) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread_join::join_until(thread, end);
        }
    }
}

impl Drop for ExternalChangeWatcher {
    /// Where storage could not be opened after all.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
