//! What the log's users and its thread share: the orders that wait, and the entries in memory.

use super::LogError;
use super::book::{Contents, ROW_BYTES};
use crate::replication::{NodeId, TypeConfig};
use openraft::storage::LogFlushed;
use openraft::{Entry, LogId, Vote};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// Bytes of entries kept in memory for replicas and the applying thread; older ones are read from
/// disk. Those that are not on disk yet are kept beyond it.
pub(super) const TAIL_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Bytes of entries that wait for the disk. At the bound `append` waits.
const WAITING_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Tells what became of an order.
pub(super) type Answer<T> = oneshot::Sender<Result<T, LogError>>;

/// What the thread is to do, in the order of asking.
pub(super) enum Order {
    /// Entries, encoded, with who waits for them.
    Append {
        rows: Vec<(LogId<NodeId>, Vec<u8>)>,
        flushed: LogFlushed<TypeConfig>,
    },
    Vote(Vote<NodeId>, Answer<()>),
    /// Entries from this index go; the answer is the last one left.
    Truncate(u64, Answer<Option<LogId<NodeId>>>),
    /// A mark by its name, and who waits for it, if anybody does.
    Mark(String, Vec<u8>, Option<Answer<()>>),
}

impl Order {
    fn bytes(&self) -> u64 {
        match self {
            Self::Append { rows, .. } => {
                rows.iter().map(|row| ROW_BYTES + row.1.len() as u64).sum()
            }
            _ => 0,
        }
    }

    /// Nobody waits for it: it goes with the next one somebody waits for.
    fn is_patient(&self) -> bool {
        matches!(self, Self::Mark(_, _, None))
    }

    /// It was not carried out.
    pub(super) fn refuse(self, error: &LogError) {
        // Whoever does not wait any more need not know.
        match self {
            Self::Append { flushed, .. } => flushed.log_io_completed(Err(error.clone().into())),
            Self::Vote(_, answer) | Self::Mark(_, _, Some(answer)) => {
                let _ = answer.send(Err(error.clone()));
            }
            Self::Truncate(_, answer) => {
                let _ = answer.send(Err(error.clone()));
            }
            Self::Mark(_, _, None) => {}
        }
    }
}

/// What the log holds, as its users see it: ahead of the disk by the orders that wait.
pub(super) struct Sight {
    pub(super) contents: Contents,
    /// The index after the last entry that is on disk.
    flushed_end: u64,
    /// The latest entries, without a gap up to the last, with their sizes.
    tail: VecDeque<(Entry<TypeConfig>, u64)>,
    tail_bytes: u64,
    orders: VecDeque<Order>,
    waiting_bytes: u64,
    /// Whether `contents.committed` is newer than the disk's.
    committed_is_news: bool,
    /// Up to where entries are to go from disk, once the database has them for good.
    purging: Option<LogId<NodeId>>,
    /// Why nothing is taken any more.
    closed: Option<LogError>,
}

impl Sight {
    /// The index after the last entry.
    pub(super) fn end(&self) -> u64 {
        self.contents.end()
    }

    fn purged_end(&self) -> u64 {
        self.contents.purged.map_or(0, |purged| purged.index + 1)
    }

    fn tail_start(&self) -> u64 {
        self.tail
            .front()
            .map_or(self.end(), |(entry, _)| entry.log_id.index)
    }

    fn push_tail(&mut self, entry: Entry<TypeConfig>, bytes: u64) {
        if self
            .tail
            .back()
            .is_some_and(|(last, _)| last.log_id.index + 1 != entry.log_id.index)
        {
            // A snapshot took the place of what is between: nothing before it is asked for any more.
            self.tail.clear();
            self.tail_bytes = 0;
        }
        self.contents.last = Some(entry.log_id);
        self.tail_bytes += bytes;
        self.tail.push_back((entry, bytes));
        self.trim_tail();
    }

    /// Lets go of the oldest entries that are on disk, down to the bound.
    fn trim_tail(&mut self) {
        while self.tail_bytes > TAIL_BYTES_MAX
            && self.tail_start() < self.flushed_end
            && let Some((_, bytes)) = self.tail.pop_front()
        {
            self.tail_bytes -= bytes;
        }
    }

    fn cut_tail(&mut self, since: u64) {
        while let Some((entry, bytes)) = self.tail.pop_back() {
            if entry.log_id.index < since {
                self.tail.push_back((entry, bytes));
                break;
            }
            self.tail_bytes -= bytes;
        }
    }

    fn drop_purged(&mut self) {
        let purged_end = self.purged_end();
        while self
            .tail
            .front()
            .is_some_and(|(entry, _)| entry.log_id.index < purged_end)
            && let Some((_, bytes)) = self.tail.pop_front()
        {
            self.tail_bytes -= bytes;
        }
    }

    fn push(&mut self, order: Order) -> Result<(), (Order, LogError)> {
        if let Some(error) = &self.closed {
            return Err((order, error.clone()));
        }
        self.waiting_bytes += order.bytes();
        match self.place_of(&order) {
            Some(place) => self.orders[place] = order,
            None => self.orders.push_back(order),
        }
        Ok(())
    }

    /// Where a mark of the same name waits that nobody waits for: the later one takes its place.
    fn place_of(&self, order: &Order) -> Option<usize> {
        let Order::Mark(name, _, None) = order else {
            return None;
        };
        self.orders
            .iter()
            .position(|other| matches!(other, Order::Mark(other, _, None) if other == name))
    }
}

/// What the thread finds when it looks.
pub(super) enum Work {
    /// Orders, and the committed log id if it is news.
    Orders(Vec<Order>, Option<LogId<NodeId>>),
    /// Nothing for a while.
    Idle,
    /// It is to end, after these that nobody waits for.
    Close(Vec<Order>, Option<LogId<NodeId>>),
}

/// See the module.
pub(super) struct Desk {
    sight: Mutex<Sight>,
    ordered: Condvar,
    /// Told when orders have been carried out, and when entries are gone from disk.
    room: Notify,
}

impl Desk {
    /// A desk over a book with `contents`.
    pub(super) fn new(contents: Contents) -> Self {
        let flushed_end = contents.end();
        Self {
            sight: Mutex::new(Sight {
                contents,
                flushed_end,
                tail: VecDeque::new(),
                tail_bytes: 0,
                orders: VecDeque::new(),
                waiting_bytes: 0,
                committed_is_news: false,
                purging: None,
                closed: None,
            }),
            ordered: Condvar::new(),
            room: Notify::new(),
        }
    }

    pub(super) fn look(&self) -> MutexGuard<'_, Sight> {
        self.sight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was acknowledged: the vote, and the index after the last entry on disk.
    pub(super) fn acknowledged(&self) -> (Option<Vote<NodeId>>, u64) {
        let sight = self.look();
        (sight.contents.vote, sight.flushed_end)
    }

    /// A vote is on disk.
    pub(super) fn note_vote(&self, vote: Vote<NodeId>) {
        self.look().contents.vote = Some(vote);
    }

    /// Why nothing is taken any more, if so.
    pub(super) fn closed(&self) -> Option<LogError> {
        self.look().closed.clone()
    }

    /// Takes an order; one that comes too late is refused at once.
    pub(super) fn order(&self, order: Order) {
        let pushed = self.look().push(order);
        match pushed {
            Ok(()) => self.ordered.notify_one(),
            Err((order, error)) => order.refuse(&error),
        }
    }

    /// Takes entries: readable when it returns. Waits while too much waits for the disk.
    pub(super) async fn append(
        &self,
        entries: Vec<(Entry<TypeConfig>, Vec<u8>)>,
        flushed: LogFlushed<TypeConfig>,
    ) {
        loop {
            let room = self.room.notified();
            if self.has_room() {
                break;
            }
            room.await;
        }
        let refused = {
            let mut sight = self.look();
            let mut rows = Vec::with_capacity(entries.len());
            for (entry, body) in entries {
                rows.push((entry.log_id, body));
                if sight.closed.is_none() {
                    let bytes = ROW_BYTES + rows.last().map_or(0, |row| row.1.len() as u64);
                    sight.push_tail(entry, bytes);
                }
            }
            sight.push(Order::Append { rows, flushed }).err()
        };
        match refused {
            None => self.ordered.notify_one(),
            Some((order, error)) => order.refuse(&error),
        }
    }

    fn has_room(&self) -> bool {
        let sight = self.look();
        sight.closed.is_some() || sight.waiting_bytes < WAITING_BYTES_MAX
    }

    /// Takes entries from `since` out of sight, and orders that from the disk.
    pub(super) fn truncate(&self, since: u64, answer: Answer<Option<LogId<NodeId>>>) {
        let refused = {
            let mut sight = self.look();
            sight.cut_tail(since);
            sight.flushed_end = sight.flushed_end.min(since);
            if since < sight.end() {
                // The true one follows with the answer; until then nothing is asked beyond it.
                let before = since.checked_sub(1).and_then(|index| {
                    let last = sight.contents.last?;
                    Some(LogId { index, ..last })
                });
                sight.contents.last = before;
            }
            sight.push(Order::Truncate(since, answer)).err()
        };
        match refused {
            None => self.ordered.notify_one(),
            Some((order, error)) => order.refuse(&error),
        }
    }

    /// What is left after entries were taken out.
    pub(super) fn note_truncated(&self, last: Option<LogId<NodeId>>) {
        let mut sight = self.look();
        sight.contents.last = last.or(sight.contents.purged);
    }

    /// Takes entries up to `upto` out of sight. They go from disk once the database has them for good.
    pub(super) fn purge(&self, upto: LogId<NodeId>) {
        let mut sight = self.look();
        if sight
            .contents
            .purged
            .is_some_and(|purged| purged.index >= upto.index)
        {
            return;
        }
        sight.contents.purged = Some(upto);
        if sight.end() <= upto.index + 1 {
            sight.contents.last = Some(upto);
        }
        sight.drop_purged();
        sight.purging = Some(upto);
        drop(sight);
        self.ordered.notify_one();
    }

    /// Takes entries up to `upto`, which the database has for good, out of sight, and waits until they
    /// are gone from disk.
    pub(super) async fn let_go(&self, upto: LogId<NodeId>) -> Result<(), LogError> {
        self.purge(upto);
        self.ordered.notify_one();
        loop {
            let gone = self.room.notified();
            {
                let sight = self.look();
                if let Some(error) = &sight.closed {
                    return Err(error.clone());
                }
                if sight.purging.is_none() {
                    return Ok(());
                }
            }
            gone.await;
        }
    }

    /// Notes the committed log id; it is written with the next order.
    pub(super) fn commit(&self, committed: Option<LogId<NodeId>>) {
        let mut sight = self.look();
        sight.committed_is_news |= sight.contents.committed != committed;
        sight.contents.committed = committed;
    }

    /// The entries of `range` that are in memory, and the part of it that must be read from disk
    /// before them. At most `bytes_max` of them, one at least.
    pub(super) fn find(
        &self,
        range: Range<u64>,
        bytes_max: u64,
    ) -> (Range<u64>, Vec<Entry<TypeConfig>>) {
        let sight = self.look();
        let (start, end) = (
            range.start.max(sight.purged_end()),
            range.end.min(sight.end()),
        );
        let from_disk = start..end.min(sight.tail_start());
        let skipped = start.saturating_sub(sight.tail_start()) as usize;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for (entry, size) in sight.tail.iter().skip(skipped) {
            bytes += size;
            let is_enough = bytes > bytes_max && !entries.is_empty();
            if entry.log_id.index >= end || is_enough {
                break;
            }
            entries.push(entry.clone());
        }
        (from_disk, entries)
    }

    /// For the thread: waits up to `rest` for orders that somebody waits for, and takes all there are.
    pub(super) fn take(&self, rest: Duration) -> Work {
        let mut sight = self.look();
        loop {
            if sight.orders.iter().any(|order| !order.is_patient()) {
                let orders = std::mem::take(&mut sight.orders).into();
                return Work::Orders(orders, take_committed(&mut sight));
            }
            if sight.closed.is_some() {
                let orders = std::mem::take(&mut sight.orders).into();
                return Work::Close(orders, take_committed(&mut sight));
            }
            let (next, waited) = self
                .ordered
                .wait_timeout(sight, rest)
                .unwrap_or_else(PoisonError::into_inner);
            sight = next;
            if waited.timed_out() || sight.purging.is_some() && sight.orders.is_empty() {
                return Work::Idle;
            }
        }
    }

    /// For the thread: orders of which `bytes` were entries are on disk, up to before `end`.
    pub(super) fn note_written(&self, bytes: u64, end: u64) {
        {
            let mut sight = self.look();
            sight.waiting_bytes = sight.waiting_bytes.saturating_sub(bytes);
            sight.flushed_end = end;
            sight.trim_tail();
        }
        self.room.notify_waiters();
    }

    /// Up to where entries are gone, as users see it.
    pub(super) fn purged(&self) -> Option<LogId<NodeId>> {
        self.look().contents.purged
    }

    /// For the thread: up to where entries are to go from disk.
    pub(super) fn purging(&self) -> Option<LogId<NodeId>> {
        self.look().purging
    }

    /// For the thread: entries up to `upto` are gone.
    pub(super) fn note_purged(&self, upto: LogId<NodeId>) {
        {
            let mut sight = self.look();
            if sight
                .purging
                .is_some_and(|purging| purging.index <= upto.index)
            {
                sight.purging = None;
            }
        }
        self.room.notify_waiters();
    }

    /// Takes nothing any more. What waits is carried out if `error` is none; with one it is refused.
    pub(super) fn close(&self, error: Option<LogError>) {
        let refused = {
            let mut sight = self.look();
            let reason = error
                .clone()
                .unwrap_or(LogError::Closed("storage is closed".to_owned()));
            sight.closed.get_or_insert(reason);
            match error {
                Some(_) => std::mem::take(&mut sight.orders),
                None => VecDeque::new(),
            }
        };
        self.ordered.notify_all();
        self.room.notify_waiters();
        if let Some(error) = error {
            refused.into_iter().for_each(|order| order.refuse(&error));
        }
    }
}

fn take_committed(sight: &mut Sight) -> Option<LogId<NodeId>> {
    match std::mem::take(&mut sight.committed_is_news) {
        true => sight.contents.committed,
        false => None,
    }
}
