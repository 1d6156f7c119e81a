//! raft's log: entries, vote and marks in `raft.db`, written by one thread that puts everything which
//! was ordered while one fsync ran into the next transaction.

mod book;
mod clerk;
mod copier;
mod desk;
mod failure;
mod form;

pub(crate) use book::{Book, Contents, mark};
pub use failure::LogError;

use super::{NodeId, Reach, TypeConfig};
use crate::ending;
use crate::faults::Faults;
use clerk::Clerk;
use copier::Copier;
use desk::{Desk, Order};
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    AnyError, Entry, LogId, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError,
    Vote,
};
use rusqlite::Connection;
use serde::Serialize;
use std::fmt::Debug;
use std::ops::{Bound, Range, RangeBounds};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The log's file in the data directory.
pub const LOG_FILE: &str = "raft.db";
/// Bytes of entries that are read at once for a replica, one entry at least.
const READ_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How long a failed log's thread may take to end before the log can be opened anew.
const ENDING_MAX: Duration = Duration::from_secs(10);

/// The log as openraft uses it. Cheap to clone; after a failure all clones refuse, and
/// [`super::Replica::log_store`] gives one that was opened anew and verified.
#[derive(Clone)]
pub struct LogStore {
    desk: Arc<Desk>,
    reader: Arc<Reader>,
}

/// The connection for entries that are not in memory any more.
struct Reader {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl Reader {
    fn read(&self, range: Range<u64>, bytes_max: u64) -> Result<Vec<Entry<TypeConfig>>, LogError> {
        let mut place = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Taken out: after an error it is not used again.
        let connection = match place.take() {
            Some(connection) => connection,
            None => book::open_reader(&self.path)?,
        };
        let entries = book::read(&connection, range.start, range.end, bytes_max)?;
        *place = Some(connection);
        Ok(entries)
    }
}

impl LogStore {
    async fn read(
        &self,
        range: Range<u64>,
        bytes_max: u64,
    ) -> Result<Vec<Entry<TypeConfig>>, LogError> {
        let (from_disk, in_memory) = self.desk.find(range, bytes_max);
        if from_disk.is_empty() {
            return Ok(in_memory);
        }
        let reader = Arc::clone(&self.reader);
        let read = tokio::task::spawn_blocking(move || reader.read(from_disk, bytes_max));
        let mut entries = read
            .await
            .map_err(|_| LogError::Disk("a read panicked".to_owned()))??;
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

fn cause(error: &LogError) -> AnyError {
    AnyError::new(error)
}

fn unread(error: LogError) -> StorageError<NodeId> {
    StorageIOError::read_logs(cause(&error)).into()
}

fn unwritten(error: LogError) -> StorageError<NodeId> {
    StorageIOError::write_logs(cause(&error)).into()
}

/// Waits for what became of an order.
async fn answered<T>(answer: oneshot::Receiver<Result<T, LogError>>) -> Result<T, LogError> {
    let gone = LogError::Closed("its thread is gone".to_owned());
    answer.await.unwrap_or(Err(gone))
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
        let sight = self.desk.look();
        Ok(LogState {
            last_purged_log_id: sight.contents.purged,
            last_log_id: sight.contents.last,
        })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    /// On disk when it returns, after everything that was ordered before.
    async fn save_vote(&mut self, vote: &Vote<NodeId>) -> Result<(), StorageError<NodeId>> {
        let (answer, answered_by) = oneshot::channel();
        self.desk.order(Order::Vote(*vote, answer));
        answered(answered_by)
            .await
            .map_err(|error| StorageIOError::write_vote(cause(&error)))?;
        self.desk.note_vote(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<NodeId>>, StorageError<NodeId>> {
        Ok(self.desk.look().contents.vote)
    }

    /// Written with the next transaction; costs no fsync of its own.
    async fn save_committed(
        &mut self,
        committed: Option<LogId<NodeId>>,
    ) -> Result<(), StorageError<NodeId>> {
        self.desk.commit(committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<NodeId>>, StorageError<NodeId>> {
        Ok(self.desk.look().contents.committed)
    }

    /// Readable when it returns, on disk when the callback is called.
    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError<NodeId>>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let encoded = |entry: Entry<TypeConfig>| {
            let body = form::to_bytes(&entry);
            (entry, body)
        };
        let entries = entries.into_iter().map(encoded).collect();
        self.desk.append(entries, callback).await;
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId<NodeId>) -> Result<(), StorageError<NodeId>> {
        let (answer, answered_by) = oneshot::channel();
        self.desk.truncate(log_id.index, answer);
        let last = answered(answered_by).await.map_err(unwritten)?;
        self.desk.note_truncated(last);
        Ok(())
    }

    /// Gone from sight when it returns. From disk they go in steps, and only as far as the database
    /// has them for good: openraft asks for this while the snapshot that stands for them is still
    /// being installed.
    async fn purge(&mut self, log_id: LogId<NodeId>) -> Result<(), StorageError<NodeId>> {
        self.desk.purge(log_id);
        Ok(())
    }
}

/// Where the log is kept: opens it, and opens it anew after it failed.
pub(crate) struct LogRoom {
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
    thread: Option<JoinHandle<()>>,
}

impl LogRoom {
    /// Starts the thread over a verified book.
    pub(crate) fn start(
        path: PathBuf,
        faults: Faults,
        reach: Arc<Reach>,
        (book, contents): (Book, Contents),
    ) -> Result<Self, LogError> {
        let bytes = Arc::new(AtomicU64::new(0));
        let running = run(path.clone(), &faults, &reach, &bytes, book, contents)?;
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

    /// The log; one that failed is opened anew and verified first. Blocks for as long as that takes.
    pub(crate) fn store(&self) -> Result<LogStore, LogError> {
        let _alone = self
            .reopening
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let store = self.running().store.clone();
        if store.desk.closed().is_none() {
            return Ok(store);
        }
        if !self.end_thread(Instant::now() + ENDING_MAX) {
            return Err(LogError::Closed("its thread hangs in the disk".to_owned()));
        }
        let (book, contents) = Book::open(&self.path, self.faults.clone())?;
        let (vote, end) = store.desk.acknowledged();
        if contents.vote < vote || contents.end() < end {
            let found = contents.end();
            return Err(LogError::Lost(format!(
                "entries up to {end} were written, it has those up to {found}"
            )));
        }
        let running = run(
            self.path.clone(),
            &self.faults,
            &self.reach,
            &self.bytes,
            book,
            contents,
        )?;
        let store = running.store.clone();
        *self.running() = running;
        Ok(store)
    }

    /// Waits for the thread, which was told to end, until `end`. Whether it ended.
    fn end_thread(&self, end: Instant) -> bool {
        let Some(thread) = self.running().thread.take() else {
            return true;
        };
        match ending::join(thread, end) {
            Ok(()) => true,
            Err(hanging) => {
                self.running().thread = Some(hanging);
                false
            }
        }
    }

    /// Waits until it is on disk that the log begins behind `upto`, which the database has for good.
    pub(crate) async fn let_go(&self, upto: LogId<NodeId>) -> Result<(), LogError> {
        let desk = Arc::clone(&self.running().store.desk);
        desk.let_go(upto).await
    }

    /// Writes a mark with the next transaction, whenever that is.
    pub(crate) fn note_mark(&self, name: String, value: &impl Serialize) {
        let desk = Arc::clone(&self.running().store.desk);
        desk.order(Order::Mark(name, form::to_bytes(value), None));
    }

    /// Writes a mark, on disk when it returns. Blocks.
    pub(crate) fn put_mark(&self, name: String, value: &impl Serialize) -> Result<(), LogError> {
        let desk = Arc::clone(&self.running().store.desk);
        let (answer, answered_by) = oneshot::channel();
        desk.order(Order::Mark(name, form::to_bytes(value), Some(answer)));
        let gone = LogError::Closed("its thread is gone".to_owned());
        answered_by.blocking_recv().unwrap_or(Err(gone))
    }

    /// Bytes of entries on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Writes what waits and ends the thread until `end`; one that hangs in the disk is left. Whether
    /// it ended.
    pub(crate) fn close(&self, end: Instant) -> bool {
        let desk = Arc::clone(&self.running().store.desk);
        desk.close(None);
        self.end_thread(end)
    }
}

fn run(
    path: PathBuf,
    faults: &Faults,
    reach: &Arc<Reach>,
    bytes: &Arc<AtomicU64>,
    book: Book,
    contents: Contents,
) -> Result<Running, LogError> {
    bytes.store(contents.bytes, Ordering::Relaxed);
    let end = contents.end();
    let rows = contents.first_index.unwrap_or(end)..end;
    let desk = Arc::new(Desk::new(contents));
    let clerk = Clerk {
        book,
        desk: Arc::clone(&desk),
        reach: Arc::clone(reach),
        bytes: Arc::clone(bytes),
        rows,
        copier: Copier::start(path.clone(), faults.clone(), Arc::clone(&desk))?,
        copied_pages: (0, 0),
        tidied_at: Instant::now(),
    };
    let thread = std::thread::Builder::new()
        .name("calldex-raft-log".to_owned())
        .spawn(move || clerk.run())?;
    let reader = Reader {
        path,
        connection: Mutex::new(None),
    };
    Ok(Running {
        store: LogStore {
            desk,
            reader: Arc::new(reader),
        },
        thread: Some(thread),
    })
}
