//! raft's log: entries, vote and marks in `raft.db`. Each append, vote and truncation is one transaction and
//! one fsync, for openraft waits for each before it goes on.

mod failure;
mod file;
mod form;
mod keeper;
mod store;
mod tail;

pub use failure::LogError;
pub(crate) use file::{Contents, LogFile, mark};

use super::{NodeId, Reach, TypeConfig};
use crate::faults::Faults;
use keeper::Keeper;
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
use store::Store;

/// The log's file in the data directory.
pub const LOG_FILE: &str = "raft.db";
/// Bytes of entries that are read at once for a replica, one entry at least.
const READ_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How long whoever works on a failed log may take to end before it can be opened anew.
const ENDING_MAX: Duration = Duration::from_secs(10);

/// The log as openraft uses it. Cheap to clone; after a failure all clones refuse, and
/// [`super::Replica::log_store`] gives one that was opened anew and verified.
#[derive(Clone)]
pub struct LogStore(Arc<Store>);

impl LogStore {
    /// Does `work`, which blocks, where that harms nobody. It goes on when nobody waits for it any more.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let store = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|_| {
            // What it left on disk has to be verified.
            let error = LogError::Disk("who worked on it panicked".to_owned());
            self.0.close(error.clone());
            Err(error)
        })
    }

    async fn read(
        &self,
        range: Range<u64>,
        bytes_max: u64,
    ) -> Result<Vec<Entry<TypeConfig>>, LogError> {
        let (from_disk, in_memory) = self.0.find(range, bytes_max);
        if from_disk.is_empty() {
            return Ok(in_memory);
        }
        let store = Arc::clone(&self.0);
        let read = tokio::task::spawn_blocking(move || store.read(from_disk, bytes_max));
        let panicked = |_| LogError::Disk("a read panicked".to_owned());
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

fn unread(error: LogError) -> StorageError<NodeId> {
    StorageIOError::read_logs(AnyError::new(&error)).into()
}

fn unwritten(error: LogError) -> StorageError<NodeId> {
    StorageIOError::write_logs(AnyError::new(&error)).into()
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<TypeConfig>>, StorageError<NodeId>> {
        let read = self.read(bounds(&range), u64::MAX).await;
        read.map_err(unread)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry<TypeConfig>>, StorageError<NodeId>> {
        let read = self.read(start..end, READ_BYTES_MAX).await;
        read.map_err(unread)
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
        truncated.await.map_err(unwritten)
    }

    /// Gone from sight when it returns. From disk they go in steps, and only as far as the database
    /// has them for good: openraft asks for this while the snapshot that stands for them is still
    /// being installed.
    async fn purge(&mut self, log_id: LogId<NodeId>) -> Result<(), StorageError<NodeId>> {
        self.0.purge(log_id);
        Ok(())
    }
}

/// Where the log is kept: opens it, and opens it anew after it failed.
pub(crate) struct RaftLog {
    path: PathBuf,
    faults: Faults,
    reach: Arc<Reach>,
    bytes: Arc<AtomicU64>,
    running: Mutex<Running>,
    /// Held while the log is opened anew, which may take long: `running` is not.
    reopening: Mutex<()>,
}

struct Running {
    store: LogStore,
    keeper: Keeper,
}

impl RaftLog {
    /// Begins to work on a verified file.
    pub(crate) fn start(
        path: PathBuf,
        faults: Faults,
        reach: Arc<Reach>,
        opened: (LogFile, Contents),
    ) -> Result<Self, LogError> {
        let bytes = Arc::new(AtomicU64::new(0));
        let running = run(path.clone(), &faults, &reach, &bytes, opened)?;
        Ok(Self {
            path,
            faults,
            reach,
            bytes,
            running: Mutex::new(running),
            reopening: Mutex::new(()),
        })
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> Arc<Store> {
        Arc::clone(&self.running().store.0)
    }

    /// The log; one that failed is opened anew and verified first. Blocks for as long as that takes.
    pub(crate) fn store(&self) -> Result<LogStore, LogError> {
        let alone = self.reopening.lock();
        let _alone = alone.unwrap_or_else(PoisonError::into_inner);
        let store = self.current();
        if store.closed().is_none() {
            return Ok(LogStore(store));
        }
        let end = Instant::now() + ENDING_MAX;
        let hangs = || LogError::Closed("who works on it hangs in the disk".to_owned());
        *store.writer_until(end).ok_or_else(hangs)? = None;
        store.wake_keeper();
        if !self.end_keeper(end) {
            return Err(hangs());
        }
        let opened = LogFile::open(&self.path, self.faults.clone())?;
        let (vote, acknowledged) = store.acknowledged();
        if opened.1.vote < vote || opened.1.end() < acknowledged {
            let found = opened.1.end();
            return Err(LogError::Lost(format!(
                "entries up to {acknowledged} were written, it has those up to {found}"
            )));
        }
        let path = self.path.clone();
        let running = run(path, &self.faults, &self.reach, &self.bytes, opened)?;
        let store = running.store.clone();
        *self.running() = running;
        Ok(store)
    }

    /// Waits until it is on disk that the log begins behind `upto`, which the database has for good.
    pub(crate) async fn let_go(&self, upto: LogId<NodeId>) -> Result<(), LogError> {
        let store = LogStore(self.current());
        let purge = |store: &Store| {
            while store.purge_step()? {}
            Ok(())
        };
        store.0.purge(upto);
        store.blocking(purge).await
    }

    /// Writes a mark with the next transaction, whenever that is.
    pub(crate) fn note_mark(&self, name: String, value: &impl Serialize) {
        self.current().note_mark(name, form::to_bytes(value));
    }

    /// Writes a mark, on disk when it returns. Blocks.
    pub(crate) fn put_mark(&self, name: String, value: &impl Serialize) -> Result<(), LogError> {
        self.current().put_mark(&name, &form::to_bytes(value))
    }

    /// Bytes of entries on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Writes what waits and closes the log until `end`; whoever hangs in the disk is left. Whether nobody
    /// does.
    pub(crate) fn close(&self, end: Instant) -> bool {
        let has_finished = self.current().finish(end);
        self.end_keeper(end) && has_finished
    }

    /// Waits for the keeper, the log having been closed, until `end`. Whether it ended. Nobody else waits
    /// meanwhile.
    fn end_keeper(&self, end: Instant) -> bool {
        let mut keeper = std::mem::take(&mut self.running().keeper);
        let has_ended = keeper.join(end);
        if !has_ended {
            self.running().keeper = keeper;
        }
        has_ended
    }
}

fn run(
    path: PathBuf,
    faults: &Faults,
    reach: &Arc<Reach>,
    bytes: &Arc<AtomicU64>,
    (file, contents): (LogFile, Contents),
) -> Result<Running, LogError> {
    let pages = file.pages();
    let (reach, bytes) = (Arc::clone(reach), Arc::clone(bytes));
    let store = Arc::new(Store::new(path.clone(), reach, bytes, file, contents));
    let keeper = Keeper::start(path, faults.clone(), pages, Arc::clone(&store))?;
    let store = LogStore(store);
    Ok(Running { store, keeper })
}
