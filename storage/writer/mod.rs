//! Makes writes durable: they are submitted without waiting, committed in batches with one fsync each,
//! then acknowledged.

mod apply_progress;
mod batch_committer;
mod checkpointer;
mod commit_batches;
mod outbox_writer;
mod primary_link;
mod proposal_backlog;
mod proposal_worker;
mod proposer;
mod receipt;
mod single_node_loop;
mod unapplied_writes;
mod write_queue;
mod writer_connection;

pub(crate) use apply_progress::ApplyProgress;
pub use apply_progress::CLAIM_RESULTS_BEHIND_MAX;
pub(crate) use batch_committer::{BatchCommitter, DatabaseOpenError};
pub(crate) use checkpointer::Checkpointer;
pub(crate) use commit_batches::{AppliedLogMark, LogEntryContext, WriteBatch, commit_batches};
pub(crate) use primary_link::PrimaryLink;
pub(crate) use proposal_worker::ProposalWorker;
pub use proposal_worker::{OUTBOX_AFTER_MS, PROPOSE_MS_MAX};
pub use proposer::{PROPOSAL_BYTES_MAX, ProposeError, ProposeFuture, Proposer};
pub use receipt::{Receipt, WriteError};
pub(crate) use single_node_loop::{OnApplied, run};
pub use write_queue::{
    BATCH_DELAY_MS, BATCH_WRITES_MAX, QUEUE_BYTES_MAX, QueueDepth, WriterBounds,
};
pub(crate) use writer_connection::WriterConnection;

use crate::disk::DegradedReasons;
use crate::format_version::FormatVersionInUse;
use crate::pending_writes::{PendingWrites, WriteId};
use crate::record::Position;
use crate::thread_join;
use crate::write::{Write, for_format_version};
use calldex_observability::catalog;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use unapplied_writes::UnappliedWrites;
use write_queue::{QueueItem, WriteQueue, count_writes};

/// How long closing waits after its deadline for the result of the batch that is being committed,
/// milliseconds.
const CLOSE_GRACE_MS_MAX: u64 = 100;
/// How long closing in a cluster waits after its deadline until the remaining writes are in the outbox,
/// milliseconds.
const OUTBOX_SAVE_MS_MAX: u64 = 1_000;

/// Takes every write. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<WriterShared>,
}

/// What the handles and the thread share.
pub(crate) struct WriterShared {
    queue: WriteQueue,
    pending: Arc<PendingWrites>,
    degraded: DegradedReasons,
    /// What is acknowledged and not yet in this instance's database: only in a cluster.
    unapplied: UnappliedWrites,
    /// The last durable position.
    durable_position: AtomicU64,
    /// Writes that the thread gave up when it was closed on a failing disk.
    given_up: AtomicUsize,
    /// What may be written.
    format_version: FormatVersionInUse,
}

impl WriterShared {
    /// Whether the threads were told to end.
    pub(crate) fn is_closing(&self) -> bool {
        self.queue.is_closing()
    }

    /// The database is at `position` and the caches are refreshed: what was acknowledged up to there is no
    /// longer pending.
    pub(crate) fn release_applied(&self, position: Position) {
        self.release(&self.unapplied.take_applied(position));
    }

    fn release(&self, writes: &[(WriteId, Arc<Write>)]) {
        let mut bytes = 0;
        for (id, write) in writes {
            self.pending.remove(*id, write);
            bytes += write.bytes();
        }
        self.queue.release(bytes);
    }

    /// Resolves the receipts of writes that are durable or rejected. They stay pending until this instance
    /// has applied them.
    fn acknowledge(&self, items: Vec<QueueItem>, fate: Result<Position, WriteError>) {
        let writes = items
            .iter()
            .filter_map(|item| Some((item.id, Arc::clone(item.write.as_ref()?))));
        let over = match fate {
            Ok(position) => {
                self.durable_position.fetch_max(position, Ordering::AcqRel);
                self.unapplied.add(position, writes.collect())
            }
            Err(_) => Some(writes.collect()),
        };
        over.iter().for_each(|writes| self.release(writes));
        for item in items {
            if item.write.is_some() && fate.is_ok() {
                catalog::WRITES_DURABLE_TOTAL.increment(1);
                catalog::WRITE_DURABLE_SECONDS.record(item.submitted_at.elapsed().as_secs_f64());
            }
            item.acknowledge(fate);
        }
    }
}

/// The state of the writer, for health checks and operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterStatus {
    /// What waits.
    pub depth: QueueDepth,
    /// Why nothing can be made durable now, if so: one of the kinds of `write_failures_total`,
    /// `no_primary`, or `no_answer` (of a primary that has had what was proposed for long).
    pub degraded: Option<&'static str>,
}

impl Writer {
    /// Of a database at `applied`, where `format_version` is in use.
    pub(crate) fn new(
        bounds: WriterBounds,
        pending: Arc<PendingWrites>,
        applied: Position,
        format_version: FormatVersionInUse,
    ) -> (Self, Arc<WriterShared>) {
        let shared = Arc::new(WriterShared {
            queue: WriteQueue::new(bounds),
            pending,
            degraded: DegradedReasons::default(),
            unapplied: UnappliedWrites::at(applied),
            durable_position: AtomicU64::new(0),
            given_up: AtomicUsize::new(0),
            format_version,
        });
        (
            Self {
                shared: Arc::clone(&shared),
            },
            shared,
        )
    }

    /// Takes `write` and returns at once. It is visible to the look-ups and reads of this instance from now
    /// on, and durable once the receipt resolves to a position.
    pub fn submit(&self, write: Write) -> Receipt {
        let (acknowledge, receipt) = Receipt::pair();
        let kind = write.kind();
        let Some(write) = for_format_version(write, self.shared.format_version.get()) else {
            catalog::WRITES_SKIPPED_TOTAL.increment(1);
            tracing::debug!(
                kind,
                "a write of a later format version than the one in use is skipped"
            );
            // Whoever made it may not listen.
            let _ = acknowledge.send(Err(WriteError::Skipped));
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

    /// Waits until everything submitted before is durable, at most for `deadline`. Dropping the future
    /// loses no write.
    ///
    /// # Errors
    /// [`FlushError::TimedOut`] at the deadline, [`FlushError::Write`] when storage is closed before.
    pub async fn flush(&self, deadline: Duration) -> Result<Position, FlushError> {
        let receipt = self.push_flush_marker();
        match tokio::time::timeout(deadline, receipt).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(FlushError::TimedOut(self.shared.queue.depth().writes)),
        }
    }

    fn push_flush_marker(&self) -> Receipt {
        let (acknowledge, receipt) = Receipt::pair();
        // A refusal is in the receipt.
        let _ = self.shared.queue.push(None, acknowledge, |_| ());
        receipt
    }

    /// The last position that is durable: 0 until this process has written. In a cluster it is the
    /// last one of this instance that a majority has: with it the write can be read on every instance.
    pub fn position(&self) -> Position {
        self.shared.durable_position.load(Ordering::Acquire)
    }

    /// What waits and whether the disk takes it.
    pub fn status(&self) -> WriterStatus {
        WriterStatus {
            depth: self.shared.queue.depth(),
            degraded: self.shared.degraded.first_reason(),
        }
    }

    /// Sets the gauges of queue depth and oldest pending write. Called once a second by the writer's
    /// own thread of checkpoints; harmless to call more often.
    pub(crate) fn update_gauges(shared: &WriterShared) {
        let depth = shared.queue.depth();
        catalog::WRITE_QUEUE_DEPTH.set(depth.writes as f64);
        catalog::OLDEST_PENDING_WRITE_SECONDS.set(depth.oldest.as_secs_f64());
    }

    /// Lets the thread write what waits, then ends it. What is left at `deadline` is given up with
    /// [`WriteError::Closed`]. Returns how many writes that were, with those of a batch that is still being
    /// committed [`CLOSE_GRACE_MS_MAX`] later. Blocks.
    pub(crate) fn close(&self, deadline: Duration, is_finished: impl Fn() -> bool) -> usize {
        self.shared.queue.begin_close();
        wait_until_finished(deadline, &is_finished);
        self.abandon_remaining(&is_finished)
    }

    /// As [`Writer::close`], of a thread that saves what is left to the outbox: only what is not saved within
    /// [`OUTBOX_SAVE_MS_MAX`] is given up. Blocks.
    pub(crate) fn close_into_outbox(
        &self,
        deadline: Duration,
        is_finished: impl Fn() -> bool,
    ) -> usize {
        self.shared.queue.begin_close();
        wait_until_finished(deadline, &is_finished);
        self.shared.queue.reject_new();
        wait_until_finished(Duration::from_millis(OUTBOX_SAVE_MS_MAX), &is_finished);
        self.abandon_remaining(&is_finished)
    }

    fn abandon_remaining(&self, is_finished: &impl Fn() -> bool) -> usize {
        let left = self.shared.queue.close_and_drain();
        let writes = count_writes(&left);
        left.into_iter()
            .for_each(|item| item.acknowledge(Err(WriteError::Closed)));
        wait_until_finished(Duration::from_millis(CLOSE_GRACE_MS_MAX), is_finished);
        let hanging = self.shared.queue.in_flight();
        writes + hanging + self.shared.given_up.load(Ordering::SeqCst)
    }
}

fn wait_until_finished(bound: Duration, is_finished: &impl Fn() -> bool) {
    thread_join::wait_until(Instant::now() + bound, is_finished);
}

/// Why a flush failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlushError {
    /// The deadline passed with this many writes waiting.
    #[error("{0} writes were not yet durable at the deadline")]
    TimedOut(usize),
    /// The storage was closed.
    #[error(transparent)]
    Write(#[from] WriteError),
}
