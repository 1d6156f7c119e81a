//! From the calls to the disk: submitted without waiting, written in batches of one fsync, then
//! acknowledged.

mod backlog;
mod checkpointer;
mod connection;
mod failure;
mod forwarder;
mod keeping;
mod line;
mod log_pages;
mod pending;
mod persist;
mod progress;
mod queue;
mod receipt;
mod scribe;
mod thread;
mod unapplied;

pub(crate) use checkpointer::Checkpointer;
pub(crate) use connection::WriterConnection;
pub(crate) use failure::{CommitError, Degraded};
pub(crate) use forwarder::Forwarder;
pub use forwarder::{KEEP_AFTER_MS, PROPOSE_MS_MAX};
pub(crate) use line::Line;
pub(crate) use log_pages::LogPages;
pub(crate) use pending::Pending;
pub(crate) use persist::{Batch, LogEntry, persist};
pub(crate) use progress::Progress;
pub use progress::TAKEOVERS_BEHIND_MAX;
pub use queue::{Bounds, Depth};
pub use receipt::{NotDurable, Position, Receipt};
pub(crate) use scribe::{Scribe, StartError};
pub(crate) use thread::{OnApplied, run};

use crate::ending;
use crate::level::LevelInUse;
use crate::write::{Write, at_level};
use calldex_observability::catalog;
use pending::WriteId;
use queue::{Part, Queue, writes_in};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use unapplied::Unapplied;

/// Writes in one transaction, see DESIGN.md for the measurement. At the bound the rest waits for
/// the next one.
pub const BATCH_WRITES_MAX: usize = 1_024;
/// How long the oldest write waits for company before its batch is written, milliseconds. One
/// fsync takes about as long.
pub const BATCH_DELAY_MS: u64 = 4;
/// Bytes in the queue: at 1,000 turns/s a disk may fail for more than ten minutes. At the bound a
/// write is refused with [`NotDurable::QueueFull`], counted and logged.
pub const QUEUE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What the thread may take at the deadline to say what became of the batch it holds, milliseconds.
const GRACE_MS_MAX: u64 = 100;
/// What the thread of an instance among several may take at the deadline to put what it holds into the
/// outbox, milliseconds.
const KEEPING_MS_MAX: u64 = 1_000;

/// The way in for every change. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
}

/// What the handles and the thread share.
pub(crate) struct Shared {
    queue: Queue,
    pending: Arc<Pending>,
    degraded: Degraded,
    /// What is acknowledged and not yet in this instance's database: only among several.
    unapplied: Unapplied,
    /// The last durable position.
    durable: AtomicU64,
    /// Writes that the thread gave up when it was closed on a failing disk.
    given_up: AtomicUsize,
    /// What may be written.
    level: LevelInUse,
}

impl Shared {
    /// Whether the threads were told to end.
    pub(crate) fn is_closing(&self) -> bool {
        self.queue.is_closing()
    }

    /// The database has come to `position` and the caches show it: what was acknowledged up to there
    /// is no longer pending.
    pub(crate) fn show(&self, position: Position) {
        self.forget(&self.unapplied.reach(position));
    }

    fn forget(&self, writes: &[(WriteId, Arc<Write>)]) {
        let mut bytes = 0;
        for (id, write) in writes {
            self.pending.remove(*id, write);
            bytes += write.bytes();
        }
        self.queue.release(bytes);
    }

    /// What was proposed is durable, or set aside for good: says so to whoever waits. It stays among
    /// the pending until this instance has applied it.
    fn conclude(&self, parts: Vec<Part>, fate: Result<Position, NotDurable>) {
        let writes = parts
            .iter()
            .filter_map(|part| Some((part.id, Arc::clone(part.write.as_ref()?))));
        let over = match fate {
            Ok(position) => {
                self.durable.fetch_max(position, Ordering::AcqRel);
                self.unapplied.add(position, writes.collect())
            }
            Err(_) => Some(writes.collect()),
        };
        over.iter().for_each(|writes| self.forget(writes));
        for part in parts {
            if part.write.is_some() && fate.is_ok() {
                catalog::WRITES_DURABLE_TOTAL.increment(1);
                catalog::WRITE_DURABLE_SECONDS.record(part.at.elapsed().as_secs_f64());
            }
            part.acknowledge(fate);
        }
    }
}

/// The writer's state, for health and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterStatus {
    /// What waits.
    pub depth: Depth,
    /// Why nothing can be made durable now, if so: one of the kinds of `write_failures_total`,
    /// `no_primary`, or `no_answer` (of a primary that has had what was proposed for long).
    pub degraded: Option<&'static str>,
}

impl Writer {
    /// Over a database at `applied`, where `level` is in use.
    pub(crate) fn new(
        bounds: Bounds,
        pending: Arc<Pending>,
        applied: Position,
        level: LevelInUse,
    ) -> (Self, Arc<Shared>) {
        let shared = Arc::new(Shared {
            queue: Queue::new(bounds),
            pending,
            degraded: Degraded::default(),
            unapplied: Unapplied::at(applied),
            durable: AtomicU64::new(0),
            given_up: AtomicUsize::new(0),
            level,
        });
        (
            Self {
                shared: Arc::clone(&shared),
            },
            shared,
        )
    }

    /// Takes `write` and returns at once; it is visible to this instance's look-ups and reads from
    /// now on, and durable when the receipt says so.
    pub fn submit(&self, write: Write) -> Receipt {
        let (acknowledge, receipt) = Receipt::pair();
        let kind = write.kind();
        let Some(write) = at_level(write, self.shared.level.get()) else {
            catalog::WRITES_LEFT_OUT_TOTAL.increment(1);
            tracing::debug!(
                kind,
                "a write of a later level than the one in use is left out"
            );
            // Whoever made it may not listen.
            let _ = acknowledge.send(Err(NotDurable::LeftOut));
            return receipt;
        };
        let write = Arc::new(write);
        let admitted = Arc::clone(&write);
        let admit = |id| self.shared.pending.add(id, &admitted);
        match self.shared.queue.push(Some(write), acknowledge, admit) {
            Ok(()) => catalog::WRITES_ACCEPTED_TOTAL.increment(1),
            Err(reason) => {
                catalog::WRITE_FAILURES_TOTAL.with("full").increment(1);
                tracing::error!(kind, %reason, "a write was not accepted");
            }
        }
        receipt
    }

    /// Waits until everything submitted before is durable, or `deadline` has passed, or storage is
    /// closed.
    pub async fn flush(&self, deadline: Duration) -> Result<Position, FlushError> {
        let receipt = self.mark();
        match tokio::time::timeout(deadline, receipt).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(FlushError::TimedOut(self.shared.queue.depth().writes)),
        }
    }

    fn mark(&self) -> Receipt {
        let (acknowledge, receipt) = Receipt::pair();
        // A refusal is in the receipt.
        let _ = self.shared.queue.push(None, acknowledge, |_| ());
        receipt
    }

    /// The last position that is durable: 0 until this process has written. Among several instances the
    /// last that a majority has of what was written here: a token for reading it anywhere.
    pub fn position(&self) -> Position {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// What waits and whether the disk takes it.
    pub fn status(&self) -> WriterStatus {
        WriterStatus {
            depth: self.shared.queue.depth(),
            degraded: self.shared.degraded.any(),
        }
    }

    /// Sets the gauges of queue depth and oldest pending write. Called once a second by the writer's
    /// own thread of checkpoints; harmless to call more often.
    pub(crate) fn gauge(shared: &Shared) {
        let depth = shared.queue.depth();
        catalog::WRITE_QUEUE_DEPTH.set(depth.writes as f64);
        catalog::OLDEST_PENDING_WRITE_SECONDS.set(depth.oldest.as_secs_f64());
    }

    /// Lets the thread write what waits, then ends it. What is left at `deadline` is given up with
    /// [`NotDurable::Closed`]; how many writes that were, with those of a batch that still hangs in
    /// the disk [`GRACE_MS_MAX`] later.
    pub(crate) fn close(&self, deadline: Duration, is_finished: impl Fn() -> bool) -> usize {
        self.shared.queue.close();
        wait_for(deadline, &is_finished);
        self.give_up(&is_finished)
    }

    /// As [`Writer::close`], of a thread that keeps what is left in the outbox: only what that does not
    /// take within [`KEEPING_MS_MAX`] is given up.
    pub(crate) fn close_keeping(
        &self,
        deadline: Duration,
        is_finished: impl Fn() -> bool,
    ) -> usize {
        self.shared.queue.close();
        wait_for(deadline, &is_finished);
        self.shared.queue.refuse();
        wait_for(Duration::from_millis(KEEPING_MS_MAX), &is_finished);
        self.give_up(&is_finished)
    }

    fn give_up(&self, is_finished: &impl Fn() -> bool) -> usize {
        let left = self.shared.queue.shut();
        let writes = writes_in(&left);
        left.into_iter()
            .for_each(|part| part.acknowledge(Err(NotDurable::Closed)));
        wait_for(Duration::from_millis(GRACE_MS_MAX), is_finished);
        let hanging = self.shared.queue.in_flight();
        writes + hanging + self.shared.given_up.load(Ordering::SeqCst)
    }
}

fn wait_for(bound: Duration, is_finished: &impl Fn() -> bool) {
    ending::wait(Instant::now() + bound, is_finished);
}

/// Why a flush did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlushError {
    /// The deadline passed with this many writes waiting.
    #[error("{0} writes were not yet durable at the deadline")]
    TimedOut(usize),
    /// The storage was closed.
    #[error(transparent)]
    NotDurable(#[from] NotDurable),
}
