//! Looks for changes of the database that came past the writer, as by a person with a SQLite shell: what
//! the directory's tiers hold may then be wrong, and is thrown away.

use crate::directory::Directory;
use crate::ending;
use crate::writer::WriterConnection;
use calldex_observability::worker::{Progress, Workers};
use calldex_observability::{catalog, vital};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it looks: within a second of such a change the directory answers by it, on a machine that
/// runs the thread in time.
const PERIOD: Duration = Duration::from_millis(200);

/// The running thread.
pub(super) struct ChangeWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ChangeWatch {
    /// Starts the thread. What others change from now on is noticed.
    pub(super) fn start(
        connection: WriterConnection,
        directory: Directory,
        workers: &Workers,
    ) -> io::Result<Self> {
        connection.watch().map_err(io::Error::other)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, told_to_end) = (Arc::clone(&stop), Arc::clone(&stop));
        let round = move || {
            if connection.was_changed_by_others() {
                catalog::DATABASE_CHANGED_BY_OTHERS_TOTAL.increment(1);
                tracing::warn!(
                    "the database was changed past the server: what the directory holds is read anew"
                );
                directory.database_changed();
            }
            Ok(Progress::Done)
        };
        let worker = workers.register(
            "database watch",
            "a change of the database past the server",
            PERIOD,
        );
        let look = move || worker.run_thread(|| stopped.load(Ordering::SeqCst), round);
        let is_told = move || told_to_end.load(Ordering::SeqCst);
        Ok(Self {
            stop,
            thread: Some(vital::thread("calldex-watch", is_told, look)?),
        })
    }

    /// Ends the thread and waits for it until `end`; one that hangs in the disk is left.
    pub(super) fn stop(&mut self, end: Instant) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = ending::join(thread, end);
        }
    }
}

impl Drop for ChangeWatch {
    /// Where storage could not be opened after all.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
