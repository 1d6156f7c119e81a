//! Pools of readers: a few threads with a read-only connection each, and a bounded queue. Every read that may
//! touch the disk runs here and never on the async runtime. There are two pools: one for calls, which have a
//! time budget of milliseconds, and one for bulk reads, which may read a whole table.

use crate::sqlite::connection;
use crate::thread_join;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Threads that read for calls.
pub const CALL_READERS: usize = 3;
/// Most reads of calls that wait for a thread. At the bound a further one is refused at once.
pub const CALL_READS_QUEUED_MAX: usize = 4_096;
/// Threads for bulk reads.
pub const BULK_READERS: usize = 2;
/// Most bulk reads that wait for a thread. At the bound a further one is refused at once.
pub const BULK_READS_QUEUED_MAX: usize = 64;

/// Which pool.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReaderPoolKind {
    /// Look-ups, and reads of one call.
    Calls,
    /// Reads of many.
    Bulk,
}

impl ReaderPoolKind {
    fn threads(self) -> usize {
        match self {
            Self::Calls => CALL_READERS,
            Self::Bulk => BULK_READERS,
        }
    }

    fn queued_max(self) -> usize {
        match self {
            Self::Calls => CALL_READS_QUEUED_MAX,
            Self::Bulk => BULK_READS_QUEUED_MAX,
        }
    }

    fn thread_name(self, index: usize) -> String {
        match self {
            Self::Calls => format!("calldex-read-{index}"),
            Self::Bulk => format!("calldex-list-{index}"),
        }
    }
}

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Its time ran out; the disk is slow.
    #[error("the read did not finish in its time")]
    TimedOut,
    /// The queue is full.
    #[error("too many reads are waiting")]
    Busy,
    /// The database could not answer.
    #[error("the read failed: {0}")]
    Failed(String),
    /// The storage is closed.
    #[error("storage is closed")]
    Closed,
}

type ReadJob = Box<dyn FnOnce(&mut DatabaseReader) + Send>;

/// The connection of one thread, opened at its first read and reopened after a failure.
pub(crate) struct DatabaseReader {
    path: PathBuf,
    connection: Option<Connection>,
}

impl DatabaseReader {
    /// A reader of the database at `path`.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            connection: None,
        }
    }

    /// Reads from the database. After an error the connection is dropped: the next read opens a new one.
    pub(crate) fn query<T>(
        &mut self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, ReadError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connection::open_reader(&self.path).map_err(failed)?,
        };
        let answer = question(&connection).map_err(failed)?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

/// SQLite's messages name tables and causes; parameters (numbers, words) are not in them.
fn failed(error: rusqlite::Error) -> ReadError {
    ReadError::Failed(error.to_string())
}

#[derive(Default)]
struct ReadQueueState {
    jobs: VecDeque<ReadJob>,
    closed: bool,
}

#[derive(Default)]
struct ReadQueue {
    state: Mutex<ReadQueueState>,
    changed: Condvar,
}

impl ReadQueue {
    fn lock(&self) -> MutexGuard<'_, ReadQueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<ReadJob> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(question) = state.jobs.pop_front() {
                return Some(question);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// See the module.
pub(crate) struct ReaderPool {
    pool: ReaderPoolKind,
    shared: Arc<ReadQueue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl ReaderPool {
    /// Starts the threads; none of them opens the database before its first read.
    pub(crate) fn start(pool: ReaderPoolKind, path: &Path) -> std::io::Result<Self> {
        let shared = Arc::new(ReadQueue::default());
        let mut threads = Vec::new();
        for index in 0..pool.threads() {
            let (shared, path) = (Arc::clone(&shared), path.to_owned());
            let name = pool.thread_name(index);
            threads.push(
                std::thread::Builder::new()
                    .name(name)
                    .spawn(move || run(&shared, path))?,
            );
        }
        Ok(Self {
            pool,
            shared,
            threads: Mutex::new(threads),
        })
    }

    /// Queues `question` and returns at once.
    pub(crate) fn submit(
        &self,
        question: impl FnOnce(&mut DatabaseReader) + Send + 'static,
    ) -> Result<(), ReadError> {
        let mut state = self.shared.lock();
        if state.closed {
            return Err(ReadError::Closed);
        }
        if state.jobs.len() >= self.pool.queued_max() {
            return Err(ReadError::Busy);
        }
        state.jobs.push_back(Box::new(question));
        drop(state);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Reads, and waits for the result at most for `deadline`. If the future is dropped, a queued read still runs.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        deadline: Duration,
        question: impl FnOnce(&mut DatabaseReader) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (tell, told) = oneshot::channel();
        self.submit(move |reader| {
            // The receiver may be gone; the result is dropped then.
            let _ = tell.send(question(reader));
        })?;
        match tokio::time::timeout(deadline, told).await {
            Ok(answer) => answer.unwrap_or(Err(ReadError::Closed)),
            Err(_) => Err(ReadError::TimedOut),
        }
    }

    /// Ends the threads, waiting for them at most until `end`; one that is still in a disk operation is left.
    pub(crate) fn close(&self, end: Instant) {
        {
            let mut state = self.shared.lock();
            state.closed = true;
            state.jobs.clear();
        }
        self.shared.changed.notify_all();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread_join::join_until(thread, end);
        }
    }
}

fn run(shared: &ReadQueue, path: PathBuf) {
    let mut reader = DatabaseReader::new(path);
    while let Some(question) = shared.next() {
        if catch_unwind(AssertUnwindSafe(|| question(&mut reader))).is_err() {
            tracing::error!("a read panicked; its connection is dropped");
            reader.connection = None;
        }
    }
}
