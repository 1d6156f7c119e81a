//! The queue of submitted writes: bounded, and submitting never blocks.

use super::receipt::{Receipt, ReceiptSender, WriteError};
use crate::pending_writes::WriteId;
use crate::record::Position;
use crate::write::Write;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most writes in one transaction; DESIGN.md has the measurement. The rest waits for the next one.
pub const BATCH_WRITES_MAX: usize = 1_024;
/// How long the oldest write waits for others before its batch is written, milliseconds. One fsync
/// takes about as long.
pub const BATCH_DELAY_MS: u64 = 4;
/// Most bytes in the queue: at 1,000 turns/s a disk may fail for more than ten minutes. At the bound
/// a write is refused with [`WriteError::QueueFull`], counted and logged.
pub const QUEUE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Longest pause between two attempts once closing has begun: the deadline may be near.
const CLOSING_PAUSE_MS_MAX: u64 = 20;

/// A submitted write or a flush marker, with the sender of its receipt.
pub(super) struct QueueItem {
    pub id: WriteId,
    pub submitted_at: Instant,
    /// What to apply; `None` for a flush marker.
    pub write: Option<Arc<Write>>,
    pub receipt_sender: ReceiptSender,
}

impl QueueItem {
    /// A write without a receipt.
    pub(super) fn without_receipt(id: WriteId, submitted_at: Instant, write: Arc<Write>) -> Self {
        let (receipt_sender, receipt) = Receipt::pair();
        drop(receipt);
        Self {
            id,
            submitted_at,
            write: Some(write),
            receipt_sender,
        }
    }

    pub(super) fn acknowledge(self, outcome: Result<Position, WriteError>) {
        // The receipt may have been dropped.
        let _ = self.receipt_sender.send(outcome);
    }

    pub(super) fn bytes(&self) -> usize {
        self.write.as_ref().map_or(0, |write| write.bytes())
    }
}

/// How many of `parts` are writes and not flush markers.
pub(super) fn count_writes(items: &[QueueItem]) -> usize {
    items.iter().filter(|item| item.write.is_some()).count()
}

/// See the module.
pub(super) struct WriteQueue {
    state: Mutex<WriteQueueState>,
    /// Told when the first write arrives, when a batch is full, and at closing.
    changed: Condvar,
    bounds: WriterBounds,
}

/// Bounds of queue and batch.
#[derive(Clone, Copy, Debug)]
pub struct WriterBounds {
    /// Writes in one transaction.
    pub batch_writes_max: usize,
    /// How long the oldest write of a batch that is not full waits for company.
    pub batch_delay: Duration,
    /// Bytes in the queue; beyond it a write is refused, loudly.
    pub queue_bytes_max: usize,
}

impl Default for WriterBounds {
    fn default() -> Self {
        Self {
            batch_writes_max: BATCH_WRITES_MAX,
            batch_delay: Duration::from_millis(BATCH_DELAY_MS),
            queue_bytes_max: QUEUE_BYTES_MAX,
        }
    }
}

#[derive(Default)]
struct WriteQueueState {
    waiting: VecDeque<QueueItem>,
    bytes: usize,
    next_id: WriteId,
    /// When the oldest write was made that was taken and is not acknowledged.
    in_flight_since: Option<Instant>,
    in_flight: usize,
    closing: bool,
    closed: bool,
}

impl WriteQueueState {
    fn oldest(&self) -> Option<Instant> {
        Some(self.waiting.front()?.submitted_at)
    }
}

/// What the queue holds, for metrics and health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Writes, the batch being written included, and marks that wait.
    pub writes: usize,
    /// Bytes, roughly.
    pub bytes: usize,
    /// Age of the oldest write that is not durable.
    pub oldest: Duration,
}

impl WriteQueue {
    pub(super) fn new(bounds: WriterBounds) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            bounds,
        }
    }

    /// Panics elsewhere cannot leave the state half changed: every change is made by this file in
    /// steps that do not panic.
    fn lock(&self) -> MutexGuard<'_, WriteQueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `write` in, or a mark. `admit` is called with the write's number before the writer can
    /// see it.
    pub(super) fn push(
        &self,
        write: Option<Arc<Write>>,
        acknowledge: ReceiptSender,
        admit: impl FnOnce(WriteId),
    ) -> Result<(), WriteError> {
        let bytes = write.as_ref().map_or(0, |write| write.bytes());
        let mut state = self.lock();
        let refused = if state.closed {
            Some(WriteError::Closed)
        } else {
            None
        };
        let full = state.bytes + bytes > self.bounds.queue_bytes_max && write.is_some();
        if let Some(reason) = refused.or(full.then_some(WriteError::QueueFull)) {
            let _ = acknowledge.send(Err(reason));
            return Err(reason);
        }
        let id = state.next_id;
        state.next_id += 1;
        state.bytes += bytes;
        admit(id);
        state.waiting.push_back(QueueItem {
            id,
            submitted_at: Instant::now(),
            write,
            receipt_sender: acknowledge,
        });
        let length = state.waiting.len();
        drop(state);
        if length == 1 || length >= self.bounds.batch_writes_max {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// When the oldest was made that waits to be taken.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.lock().oldest()
    }

    /// Waits for writes and takes the next batch, oldest first. `None` once closing and empty.
    pub(super) fn take(&self) -> Option<Vec<QueueItem>> {
        let mut state = self.lock();
        loop {
            let Some(oldest) = state.oldest() else {
                if state.closing {
                    return None;
                }
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if self.is_ready(&state) {
                return Some(self.take_now(&mut state));
            }
            let rest = self.bounds.batch_delay.saturating_sub(oldest.elapsed());
            state = self
                .changed
                .wait_timeout(state, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// The next batch if one is due, without waiting.
    pub(super) fn take_ready(&self) -> Option<Vec<QueueItem>> {
        let mut state = self.lock();
        self.is_ready(&state).then(|| self.take_now(&mut state))
    }

    fn is_ready(&self, state: &WriteQueueState) -> bool {
        let Some(oldest) = state.oldest() else {
            return false;
        };
        let full = state.waiting.len() >= self.bounds.batch_writes_max;
        full || state.closing || oldest.elapsed() >= self.bounds.batch_delay
    }

    fn take_now(&self, state: &mut WriteQueueState) -> Vec<QueueItem> {
        let count = state.waiting.len().min(self.bounds.batch_writes_max);
        let batch: Vec<QueueItem> = state.waiting.drain(..count).collect();
        let oldest = batch.first().map(|item| item.submitted_at);
        state.in_flight_since = state.in_flight_since.or(oldest);
        state.in_flight += count_writes(&batch);
        batch
    }

    /// Takes in writes that were made at `at` by an earlier process, and gives each its number: they
    /// count as taken.
    pub(super) fn add_restored(&self, writes: &[Arc<Write>], at: Instant) -> Vec<WriteId> {
        let mut state = self.lock();
        let first = state.next_id;
        state.next_id += writes.len() as WriteId;
        state.bytes += writes.iter().map(|write| write.bytes()).sum::<usize>();
        state.in_flight += writes.len();
        state.in_flight_since = state.in_flight_since.or(Some(at));
        (first..state.next_id).collect()
    }

    /// So many of the writes that were taken are acknowledged; `oldest` is when the oldest of the rest
    /// was made.
    pub(super) fn note_acknowledged(&self, writes: usize, oldest: Option<Instant>) {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_sub(writes);
        state.in_flight_since = oldest;
    }

    /// So many bytes of what was taken are no longer held.
    pub(super) fn release(&self, bytes: usize) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// The batch that was taken is done with, and no other is held.
    pub(super) fn finish_batch(&self, batch: &[QueueItem]) {
        self.note_acknowledged(count_writes(batch), None);
        self.release(batch.iter().map(QueueItem::bytes).sum());
    }

    /// What is held now.
    pub(super) fn depth(&self) -> QueueDepth {
        let state = self.lock();
        let oldest = state.in_flight_since.or(state.oldest());
        QueueDepth {
            writes: state.waiting.len() + state.in_flight,
            bytes: state.bytes,
            oldest: oldest.map(|at| at.elapsed()).unwrap_or_default(),
        }
    }

    /// From now on batches are not waited for, and [`WriteQueue::take`] ends when all are taken.
    pub(super) fn begin_close(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// Refuses what comes from now on and gives back what is left.
    pub(super) fn close_and_drain(&self) -> Vec<QueueItem> {
        self.reject_new();
        self.lock().waiting.drain(..).collect()
    }

    /// Refuses what comes from now on; what is left can still be taken.
    pub(super) fn reject_new(&self) {
        let mut state = self.lock();
        state.closing = true;
        state.closed = true;
        self.changed.notify_all();
    }

    /// Whether closing has begun.
    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Whether everything is refused by now.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Writes that were taken and are not acknowledged.
    pub(super) fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    /// Sleeps up to `wait`, while closing no longer than [`CLOSING_PAUSE_MS_MAX`]. Whether the
    /// queue is shut, so that trying again is over.
    pub(super) fn wait(&self, pause: Duration) -> bool {
        let begun = Instant::now();
        let mut state = self.lock();
        while !state.closed {
            let pause = if state.closing {
                pause.min(Duration::from_millis(CLOSING_PAUSE_MS_MAX))
            } else {
                pause
            };
            let Some(rest) = pause.checked_sub(begun.elapsed()) else {
                break;
            };
            state = self
                .changed
                .wait_timeout(state, rest)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Turn, TurnRole};

    fn append(call: &str, seq: u32) -> Option<Arc<Write>> {
        let turn = Turn::new(TurnRole::Caller, "hello", 1, 0, seq);
        Some(Arc::new(Write::TurnAppended {
            call_sid: call.into(),
            turn,
        }))
    }

    fn queue(bounds: WriterBounds) -> WriteQueue {
        WriteQueue::new(WriterBounds {
            batch_delay: Duration::ZERO,
            ..bounds
        })
    }

    #[test]
    fn beyond_the_bytes_a_write_is_refused_and_says_so() {
        let queue = queue(WriterBounds {
            queue_bytes_max: 10,
            ..WriterBounds::default()
        });
        let (acknowledge, receipt) = Receipt::pair();
        assert_eq!(
            queue.push(append("CA1", 0), acknowledge, |_| ()),
            Err(WriteError::QueueFull)
        );
        assert_eq!(receipt.wait(), Err(WriteError::QueueFull));
    }

    #[test]
    fn a_closed_queue_gives_out_what_it_holds_and_then_ends() {
        let queue = queue(WriterBounds::default());
        let (acknowledge, _receipt) = Receipt::pair();
        queue.push(append("CA1", 0), acknowledge, |_| ()).unwrap();
        queue.begin_close();
        assert_eq!(queue.take().unwrap().len(), 1);
        assert!(queue.take().is_none());
    }
}
