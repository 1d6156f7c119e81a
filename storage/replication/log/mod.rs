//! The Raft log: entries, vote and named values in `raft.db`. Each append, vote and truncation is one
//! transaction and one fsync, since openraft waits for each.

mod entry_cache;
mod file;
mod maintenance_worker;
mod raft_log_error;
mod row_encoding;
mod store_core;

pub(crate) use file::{LogContents, LogFile, meta_key};
pub use raft_log_error::RaftLogError;

use super::{NodeId, TypeConfig};
use crate::disk::DurableIndex;
use crate::fault_injection::FaultInjector;
use maintenance_worker::LogMaintenanceWorker;
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    AnyError, Entry, LogId, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError,
    Vote,
};
use serde::Serialize;
use std::fmt::Debug;
use std::ops::{Bound, Range, RangeBounds};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use store_core::LogStoreCore;

/// Bytes of entries that are read at once for a replica, one entry at least.
const READ_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How long reopening waits for the threads that still work on the failed log.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(10);

/// The log as openraft uses it. Cheap to clone; after a failure all clones refuse, and
/// [`super::Replica::log_store`] gives a reopened and verified one.
#[derive(Clone)]
pub struct LogStore(Arc<LogStoreCore>);

impl LogStore {
    /// Does `work`, which blocks, on a thread for blocking work. It completes even if the future is dropped.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&LogStoreCore) -> Result<T, RaftLogError> + Send + 'static,
    ) -> Result<T, RaftLogError> {
        let store = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|_| {
            // The file has to be verified.
            let error = RaftLogError::Disk("who worked on it panicked".to_owned());
            self.0.close(error.clone());
            Err(error)
        })
    }

    async fn read(
        &self,
        range: Range<u64>,
        bytes_max: u64,
    ) -> Result<Vec<Entry<TypeConfig>>, RaftLogError> {
        let (from_disk, in_memory) = self.0.locate(range, bytes_max);
        if from_disk.is_empty() {
            return Ok(in_memory);
        }
        let store = Arc::clone(&self.0);
        let read = tokio::task::spawn_blocking(move || store.read(from_disk, bytes_max));
        let panicked = |_| RaftLogError::Disk("a read panicked".to_owned());
        let mut entries = read.await.map_err(panicked)??;
        if bytes_max == u64::MAX {
            entries.extend(in_memory);
        }
        Ok(entries)
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

fn read_error(error: RaftLogError) -> StorageError<NodeId> {
    StorageIOError::read_logs(AnyError::new(&error)).into()
}

fn write_error(error: RaftLogError) -> StorageError<NodeId> {
    StorageIOError::write_logs(AnyError::new(&error)).into()
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<TypeConfig>>, StorageError<NodeId>> {
        let read = self.read(bounds(&range), u64::MAX).await;
        read.map_err(read_error)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry<TypeConfig>>, StorageError<NodeId>> {
        let read = self.read(start..end, READ_BYTES_MAX).await;
        read.map_err(read_error)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError<NodeId>> {
        let contents = self.0.contents();
        Ok(LogState {
            last_purged_log_id: contents.purged,
            last_log_id: contents.last,
        })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    /// On disk when it returns.
    async fn save_vote(&mut self, vote: &Vote<NodeId>) -> Result<(), StorageError<NodeId>> {
        let vote = *vote;
        let saved = self.blocking(move |store| store.save_vote(vote)).await;
        saved.map_err(|error| StorageIOError::write_vote(AnyError::new(&error)).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<NodeId>>, StorageError<NodeId>> {
        Ok(self.0.contents().vote)
    }

    /// Written with the next transaction; costs no fsync of its own.
    async fn save_committed(
        &mut self,
        committed: Option<LogId<NodeId>>,
    ) -> Result<(), StorageError<NodeId>> {
        self.0.note_committed(committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<NodeId>>, StorageError<NodeId>> {
        Ok(self.0.contents().committed)
    }

    /// On disk and readable when it returns, having told the callback.
    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError<NodeId>>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry<TypeConfig>> = entries.into_iter().collect();
        let appended = self.blocking(move |store| store.append(entries)).await;
        callback.log_io_completed(appended.map_err(Into::into));
        Ok(())
    }

    /// Gone from disk when it returns.
    async fn truncate(&mut self, log_id: LogId<NodeId>) -> Result<(), StorageError<NodeId>> {
        let truncated = self.blocking(move |store| store.truncate(log_id.index));
        truncated.await.map_err(write_error)
    }

    /// The entries are invisible when it returns. They are deleted from disk in steps, and only as far as the
    /// database is durable: openraft calls this while the snapshot that replaces them is still being
    /// installed.
    async fn purge(&mut self, log_id: LogId<NodeId>) -> Result<(), StorageError<NodeId>> {
        self.0.purge(log_id);
        Ok(())
    }
}

/// Opens the log, and reopens it after a failure.
pub(crate) struct ReopenableLog {
    path: PathBuf,
    faults: FaultInjector,
    durable_index: Arc<DurableIndex>,
    bytes: Arc<AtomicU64>,
    current_log: Mutex<OpenedLog>,
    /// Held while the log is reopened, which may take long; `current_log` is not held meanwhile.
    reopening: Mutex<()>,
}

struct OpenedLog {
    store: LogStore,
    worker: LogMaintenanceWorker,
}

impl ReopenableLog {
    /// Starts the maintenance worker on a verified file.
    pub(crate) fn start(
        path: PathBuf,
        faults: FaultInjector,
        durable_index: Arc<DurableIndex>,
        opened: (LogFile, LogContents),
    ) -> Result<Self, RaftLogError> {
        let bytes = Arc::new(AtomicU64::new(0));
        let running = start_opened(path.clone(), &faults, &durable_index, &bytes, opened)?;
        Ok(Self {
            path,
            faults,
            durable_index,
            bytes,
            current_log: Mutex::new(running),
            reopening: Mutex::new(()),
        })
    }

    fn current_log(&self) -> MutexGuard<'_, OpenedLog> {
        self.current_log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> Arc<LogStoreCore> {
        Arc::clone(&self.current_log().store.0)
    }

    /// The log; a failed one is reopened and verified first. Blocks for as long as that takes.
    ///
    /// # Errors
    /// The log cannot be opened, or has lost what it acknowledged.
    pub(crate) fn store(&self) -> Result<LogStore, RaftLogError> {
        let alone = self.reopening.lock();
        let _alone = alone.unwrap_or_else(PoisonError::into_inner);
        let store = self.current();
        if store.closed().is_none() {
            return Ok(LogStore(store));
        }
        let end = Instant::now() + CLOSE_WAIT_MAX;
        let hangs = || RaftLogError::Closed("who works on it hangs in the disk".to_owned());
        *store.writer_until(end).ok_or_else(hangs)? = None;
        store.wake_worker();
        if !self.join_worker(end) {
            return Err(hangs());
        }
        let opened = LogFile::open(&self.path, self.faults.clone())?;
        let (vote, acknowledged) = store.acknowledged();
        if opened.1.vote < vote || opened.1.end() < acknowledged {
            let found = opened.1.end();
            return Err(RaftLogError::Lost(format!(
                "entries up to {acknowledged} were written, it has those up to {found}"
            )));
        }
        let path = self.path.clone();
        let running = start_opened(path, &self.faults, &self.durable_index, &self.bytes, opened)?;
        let store = running.store.clone();
        *self.current_log() = running;
        Ok(store)
    }

    /// Waits until it is on disk that the log begins after `upto`, up to which the database is durable.
    pub(crate) async fn purge_durably(&self, upto: LogId<NodeId>) -> Result<(), RaftLogError> {
        let store = LogStore(self.current());
        let purge = |store: &LogStoreCore| {
            while store.purge_step()? {}
            Ok(())
        };
        store.0.purge(upto);
        store.blocking(purge).await
    }

    /// Writes a named value with the next transaction.
    pub(crate) fn defer_meta(&self, name: String, value: &impl Serialize) {
        self.current()
            .defer_meta(name, row_encoding::to_bytes(value));
    }

    /// Writes a named value; on disk when it returns. Blocks.
    pub(crate) fn put_meta(
        &self,
        name: String,
        value: &impl Serialize,
    ) -> Result<(), RaftLogError> {
        self.current()
            .put_meta(&name, &row_encoding::to_bytes(value))
    }

    /// Bytes of entries on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Writes what waits for a transaction and closes the log. Blocks until `end` at most; returns whether all
    /// threads have ended. A thread that is still in a disk operation is left and may still write.
    pub(crate) fn close(&self, end: Instant) -> bool {
        let has_finished = self.current().finish(end);
        self.join_worker(end) && has_finished
    }

    /// Waits for the maintenance worker after the log was closed, until `end`. Returns whether it has ended. Only
    /// one caller waits at a time.
    fn join_worker(&self, end: Instant) -> bool {
        let mut worker = std::mem::take(&mut self.current_log().worker);
        let has_ended = worker.join(end);
        if !has_ended {
            self.current_log().worker = worker;
        }
        has_ended
    }
}

fn start_opened(
    path: PathBuf,
    faults: &FaultInjector,
    durable_index: &Arc<DurableIndex>,
    bytes: &Arc<AtomicU64>,
    (file, contents): (LogFile, LogContents),
) -> Result<OpenedLog, RaftLogError> {
    let pages = file.wal_pages();
    let (durable_index, bytes) = (Arc::clone(durable_index), Arc::clone(bytes));
    let store = Arc::new(LogStoreCore::new(
        path.clone(),
        durable_index,
        bytes,
        file,
        contents,
    ));
    let worker = LogMaintenanceWorker::start(path, faults.clone(), pages, Arc::clone(&store))?;
    let store = LogStore(store);
    Ok(OpenedLog { store, worker })
}
