//! The log's state in memory and its one writing connection. openraft 0.9 waits for each append, vote and
//! truncation before the next operation, so each is one transaction and one fsync, and nothing queues.

use super::RaftLogError;
use super::entry_cache::EntryCache;
use super::file::{
    self, LogContents, LogFile, LogTransaction, PURGE_STEP_ENTRIES, ROW_BYTES, meta_key,
};
use super::row_encoding;
use crate::disk::DurableIndex;
use crate::replication::{NodeId, TypeConfig};
use openraft::{Entry, LogId, Vote};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How often a waiting append checks whether the snapshot is installed or the log closed.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How long an entry that follows a snapshot waits until that snapshot is durable.
const SNAPSHOT_GAP_WAIT_MAX: Duration = Duration::from_secs(120);

/// See the module. Methods that block say so; do not call them on a thread of the async runtime.
pub(super) struct LogStoreCore {
    path: PathBuf,
    durable_index: Arc<DurableIndex>,
    /// Bytes of entries on disk.
    bytes: Arc<AtomicU64>,
    state: Mutex<LogStoreState>,
    /// Held during disk operations. `None` once the log is closed.
    writer: Mutex<Option<LogWriter>>,
    /// Reads entries that are not in memory any more.
    reader: Mutex<Option<Connection>>,
    /// The maintenance worker; woken when there is much to do.
    pub(super) worker: OnceLock<Thread>,
}

/// The log as its users see it: purged entries may still be on disk.
struct LogStoreState {
    contents: LogContents,
    /// The index after the last entry that is on disk.
    flushed_end: u64,
    cache: EntryCache,
    /// Whether `contents.committed` is newer than the one on disk.
    committed_is_unsaved: bool,
    /// Named values that are written with the next transaction.
    deferred_meta: BTreeMap<String, Vec<u8>>,
    /// Up to where entries are to be deleted from disk, once the database is durable that far.
    purging: Option<LogId<NodeId>>,
    /// Why the log is closed.
    closed: Option<RaftLogError>,
}

/// The connection that writes.
pub(super) struct LogWriter {
    pub(super) file: LogFile,
    /// The index of the first entry on disk, and the one after the last.
    rows: Range<u64>,
}

impl LogStoreCore {
    pub(super) fn new(
        path: PathBuf,
        durable_index: Arc<DurableIndex>,
        bytes: Arc<AtomicU64>,
        file: LogFile,
        contents: LogContents,
    ) -> Self {
        bytes.store(contents.bytes, Ordering::Relaxed);
        let end = contents.end();
        let rows = contents.first_index.unwrap_or(end)..end;
        Self {
            path,
            durable_index,
            bytes,
            state: Mutex::new(LogStoreState {
                contents,
                flushed_end: end,
                cache: EntryCache::default(),
                committed_is_unsaved: false,
                deferred_meta: BTreeMap::new(),
                purging: None,
                closed: None,
            }),
            writer: Mutex::new(Some(LogWriter { file, rows })),
            reader: Mutex::new(None),
            worker: OnceLock::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, LogStoreState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Option<LogWriter>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writing connection once it is free; `None` if that takes longer than `end`.
    pub(super) fn writer_until(&self, end: Instant) -> Option<MutexGuard<'_, Option<LogWriter>>> {
        loop {
            match self.writer.try_lock() {
                Ok(writer) => return Some(writer),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() >= end => return None,
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// What it holds.
    pub(super) fn contents(&self) -> LogContents {
        self.state().contents.clone()
    }

    /// What was acknowledged: the vote, and the index after the last entry on disk.
    pub(super) fn acknowledged(&self) -> (Option<Vote<NodeId>>, u64) {
        let state = self.state();
        (state.contents.vote, state.flushed_end)
    }

    /// Why the log is closed, if it is.
    pub(super) fn closed(&self) -> Option<RaftLogError> {
        self.state().closed.clone()
    }

    /// Closes the log; the first reason is kept.
    pub(super) fn close(&self, reason: RaftLogError) {
        self.state().closed.get_or_insert(reason);
        self.wake_worker();
    }

    pub(super) fn wake_worker(&self) {
        if let Some(worker) = self.worker.get() {
            worker.unpark();
        }
    }

    /// Does `work` in one transaction, with the values that wait for one; on disk when it returns. Blocks.
    ///
    /// # Errors
    /// The log is closed then, since the file has to be verified.
    fn commit<T>(
        &self,
        work: impl FnOnce(&LogTransaction<'_>) -> Result<T, RaftLogError>,
        note: impl FnOnce(&mut LogWriter, &mut LogStoreState, &T),
    ) -> Result<T, RaftLogError> {
        let mut place = self.writer();
        let (marks, committed) = self.take_deferred()?;
        let Some(writer) = place.as_mut() else {
            return Err(RaftLogError::Closed("it was closed".to_owned()));
        };
        let done = writer.file.transact(|transaction| {
            put_deferred(transaction, &marks, committed)?;
            work(transaction)
        });
        match done {
            Ok(done) => {
                note(writer, &mut self.state(), &done);
                Ok(done)
            }
            Err(error) => {
                // Closed before the error is returned: the caller may reopen the log at once.
                tracing::error!(%error, "the cluster's log failed; it has to be opened anew");
                self.close(error.clone());
                *place = None;
                Err(error)
            }
        }
    }

    /// The values for the next transaction.
    fn take_deferred(&self) -> Result<(PendingMeta, Option<LogId<NodeId>>), RaftLogError> {
        let mut state = self.state();
        match &state.closed {
            Some(error) => Err(error.clone()),
            None => Ok(state.take_deferred()),
        }
    }

    /// Appends entries: on disk, and readable, when it returns. Blocks.
    pub(super) fn append(&self, entries: Vec<Entry<TypeConfig>>) -> Result<(), RaftLogError> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(());
        };
        let end = last.log_id.index + 1;
        self.check_gap(first.log_id.index)?;
        let rows: Vec<(u64, Vec<u8>)> = entries
            .iter()
            .map(|entry| (entry.log_id.index, row_encoding::to_bytes(entry)))
            .collect();
        let size = |body: &[u8]| ROW_BYTES + body.len() as u64;
        let bytes: u64 = rows.iter().map(|(_, body)| size(body)).sum();
        self.commit(
            |transaction| {
                let mut rows = rows.iter();
                rows.try_for_each(|(index, body)| transaction.put_entry(*index, body))
            },
            |writer, state, ()| {
                writer.rows = writer.rows.start.min(end)..end;
                state.flushed_end = end;
                for (entry, (_, body)) in entries.into_iter().zip(&rows) {
                    state.contents.last = Some(entry.log_id);
                    state.cache.push(entry, size(body));
                }
            },
        )?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.wake_worker();
        Ok(())
    }

    /// A snapshot may replace entries that were never here. Acknowledging the next entry says that this
    /// instance has everything before it, so the snapshot must be durable.
    fn check_gap(&self, first: u64) -> Result<(), RaftLogError> {
        let rows_end = self
            .writer()
            .as_ref()
            .map_or(first, |writer| writer.rows.end);
        if first <= rows_end {
            return Ok(());
        }
        let purged = self.state().contents.purged;
        match purged {
            Some(upto) if upto.index + 1 == first => {
                self.wait_durable(upto)?;
                while self.purge_step()? {}
                Ok(())
            }
            purged if rows_end == 0 && purged.is_none_or(|upto| upto.index >= first) => {
                // The very first entry. (The test suite of openraft also begins after a purged one.)
                if let Some(writer) = self.writer().as_mut() {
                    writer.rows = first..first;
                }
                Ok(())
            }
            _ => {
                let error = RaftLogError::Damaged(format!("entries before {first} were skipped"));
                self.close(error.clone());
                Err(error)
            }
        }
    }

    fn wait_durable(&self, upto: LogId<NodeId>) -> Result<(), RaftLogError> {
        let end = Instant::now() + SNAPSHOT_GAP_WAIT_MAX;
        while !self
            .durable_index
            .wait_durable(upto.index, Instant::now() + POLL_INTERVAL)
        {
            if let Some(error) = self.closed() {
                return Err(error);
            }
            if Instant::now() > end {
                let reason = "the snapshot before the next entry was not installed in time";
                let error = RaftLogError::Disk(reason.to_owned());
                self.close(error.clone());
                return Err(error);
            }
        }
        Ok(())
    }

    /// Saves a vote: on disk when it returns. Blocks.
    pub(super) fn save_vote(&self, vote: Vote<NodeId>) -> Result<(), RaftLogError> {
        self.commit(
            |transaction| transaction.put_meta(meta_key::VOTE, &vote),
            |_, state, ()| state.contents.vote = Some(vote),
        )
    }

    /// Removes the entries from `since` on: gone from disk when it returns. Blocks.
    pub(super) fn truncate(&self, since: u64) -> Result<(), RaftLogError> {
        let (removed, _) = self.commit(
            |transaction| transaction.truncate(since),
            |writer, state, (_, last)| {
                writer.rows.end = writer.rows.end.min(since);
                writer.rows.start = writer.rows.start.min(writer.rows.end);
                state.flushed_end = state.flushed_end.min(since);
                state.contents.last = last.or(state.contents.purged);
                state.cache.truncate(since);
            },
        )?;
        self.bytes.fetch_sub(removed, Ordering::Relaxed);
        Ok(())
    }

    /// Writes a named value; on disk when it returns. Blocks.
    pub(super) fn put_meta(&self, name: &str, body: &[u8]) -> Result<(), RaftLogError> {
        self.commit(
            |transaction| transaction.put_encoded_meta(name, body),
            |_, _, ()| (),
        )
    }

    /// Writes a named value with the next transaction; a later one of the same name replaces it.
    pub(super) fn defer_meta(&self, name: String, body: Vec<u8>) {
        self.state().deferred_meta.insert(name, body);
    }

    /// Notes the committed log id; it is written with the next transaction.
    pub(super) fn note_committed(&self, committed: Option<LogId<NodeId>>) {
        let mut state = self.state();
        state.committed_is_unsaved |= state.contents.committed != committed;
        state.contents.committed = committed;
    }

    /// Makes entries up to `upto` invisible. They are deleted from disk once the database is durable that far.
    pub(super) fn purge(&self, upto: LogId<NodeId>) {
        let mut state = self.state();
        let purged = state.contents.purged;
        if purged.is_some_and(|purged| purged.index >= upto.index) {
            return;
        }
        state.contents.purged = Some(upto);
        if state.contents.end() <= upto.index + 1 {
            state.contents.last = Some(upto);
        }
        state.cache.drop_until(upto.index + 1);
        state.purging = Some(upto);
        drop(state);
        self.wake_worker();
    }

    /// Whether purged entries are still on disk.
    pub(super) fn is_purging(&self) -> bool {
        self.state().purging.is_some()
    }

    /// Deletes the next purged entries up to which the database is durable. Returns whether there are more.
    /// Blocks.
    pub(super) fn purge_step(&self) -> Result<bool, RaftLogError> {
        let mut place = self.writer();
        let (purging, closed) = {
            let state = self.state();
            (state.purging, state.closed.clone())
        };
        let (Some(upto), Some(durable)) = (purging, self.durable_index.durable_index()) else {
            return Ok(false);
        };
        let Some(writer) = place.as_mut() else {
            return Err(closed.unwrap_or(RaftLogError::Closed("it was closed".to_owned())));
        };
        match writer.purge_step(upto, durable) {
            Ok(PurgeStep::Nothing) => Ok(false),
            Ok(PurgeStep::Removed { bytes, is_last }) => {
                self.bytes.fetch_sub(bytes, Ordering::Relaxed);
                let mut state = self.state();
                if is_last && state.purging.is_some_and(|now| now.index <= upto.index) {
                    state.purging = None;
                }
                Ok(!is_last)
            }
            Err(error) => {
                self.close(error.clone());
                *place = None;
                Err(error)
            }
        }
    }

    /// The visible entries of `range` from memory: at most `bytes_max` bytes, one entry at least. `None` if
    /// they have to be read from disk.
    pub(super) fn locate(
        &self,
        range: Range<u64>,
        bytes_max: u64,
    ) -> (Range<u64>, Vec<Entry<TypeConfig>>) {
        let state = self.state();
        let purged_end = state.contents.purged.map_or(0, |purged| purged.index + 1);
        let (start, end) = (
            range.start.max(purged_end),
            range.end.min(state.contents.end()),
        );
        let in_memory = state.cache.start().unwrap_or(state.contents.end());
        let from_disk = start..end.min(in_memory);
        (from_disk, state.cache.read(start..end, bytes_max))
    }

    /// Reads entries from disk. Blocks.
    pub(super) fn read(
        &self,
        range: Range<u64>,
        bytes_max: u64,
    ) -> Result<Vec<Entry<TypeConfig>>, RaftLogError> {
        let mut place = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out: after an error it is not used again.
        let connection = match place.take() {
            Some(connection) => connection,
            None => file::open_reader(&self.path)?,
        };
        let entries = file::read(&connection, range.start, range.end, bytes_max)?;
        *place = Some(connection);
        Ok(entries)
    }

    /// Ends: writes the values that wait for a transaction, checkpoints, and closes the connection. Returns
    /// whether no thread is left in a disk operation, which may still write. Blocks until `end` at most.
    pub(super) fn finish(&self, end: Instant) -> bool {
        self.close(RaftLogError::Closed("storage is closed".to_owned()));
        let Some(mut place) = self.writer_until(end) else {
            return false;
        };
        let (marks, committed) = self.state().take_deferred();
        if let Some(mut writer) = place.take() {
            let waiting = !marks.is_empty() || committed.is_some();
            let written = match waiting {
                true => writer
                    .file
                    .transact(|transaction| put_deferred(transaction, &marks, committed)),
                false => Ok(()),
            };
            if let Err(error) = written.and_then(|()| writer.file.checkpoint()) {
                tracing::error!(%error, "the cluster's log could not be closed in order");
            }
        }
        true
    }
}

/// Named values with their encoded bodies.
type PendingMeta = BTreeMap<String, Vec<u8>>;

fn put_deferred(
    transaction: &LogTransaction<'_>,
    marks: &PendingMeta,
    committed: Option<LogId<NodeId>>,
) -> Result<(), RaftLogError> {
    for (name, body) in marks {
        transaction.put_encoded_meta(name, body)?;
    }
    committed.map_or(Ok(()), |committed| {
        transaction.put_meta(meta_key::COMMITTED, &committed)
    })
}

impl LogStoreState {
    fn take_deferred(&mut self) -> (PendingMeta, Option<LogId<NodeId>>) {
        let is_news = std::mem::take(&mut self.committed_is_unsaved);
        let committed = self.contents.committed.filter(|_| is_news);
        (std::mem::take(&mut self.deferred_meta), committed)
    }
}

/// The result of a step of purging.
enum PurgeStep {
    Nothing,
    Removed { bytes: u64, is_last: bool },
}

impl LogWriter {
    fn purge_step(&mut self, upto: LogId<NodeId>, durable: u64) -> Result<PurgeStep, RaftLogError> {
        let step = self.rows.start + PURGE_STEP_ENTRIES - 1;
        let is_last = durable >= upto.index && (step >= upto.index || step + 1 >= self.rows.end);
        let gone = match is_last {
            true => upto,
            false => {
                // Only entries that are on disk, and none that an installed snapshot replaces.
                let bound = upto.index.min(durable).min(step);
                let bound = bound.min(self.rows.end.saturating_sub(1));
                if self.rows.is_empty() || bound < self.rows.start {
                    return Ok(PurgeStep::Nothing);
                }
                let missing = || RaftLogError::Damaged(format!("entry {bound} is missing"));
                self.file.log_id(bound)?.ok_or_else(missing)?
            }
        };
        let bytes = self.file.purge(gone)?;
        let start = self.rows.start.max(gone.index + 1);
        self.rows = start..self.rows.end.max(start);
        Ok(PurgeStep::Removed { bytes, is_last })
    }
}
