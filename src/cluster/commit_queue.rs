//! The queue of batches that wait to become an entry of the primary's log.

use super::wire::ForwardResult;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Batches that wait for an entry. At the bound a batch is turned away: its instance keeps it.
const QUEUED_BATCHES_MAX: usize = 1_024;
/// Bytes of batches that wait or are under way. Same policy.
const QUEUED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// One unit of that bound.
const PERMIT_BYTES: usize = 1_024;

/// A batch that wants into the log.
pub(super) struct Proposal {
    pub(super) batch: Bytes,
    pub(super) writes: usize,
    pub(super) answer: oneshot::Sender<ForwardResult>,
    _permits: OwnedSemaphorePermit,
}

/// The way in. Cheap to clone.
#[derive(Clone)]
pub(super) struct GroupCommitQueue {
    proposals: mpsc::Sender<Proposal>,
    byte_permits: Arc<Semaphore>,
}

impl GroupCommitQueue {
    /// The way in, and what `group_commit::run_group_commit` reads.
    pub(super) fn new() -> (Self, mpsc::Receiver<Proposal>) {
        let (proposals, waiting) = mpsc::channel(QUEUED_BATCHES_MAX);
        let byte_permits = Arc::new(Semaphore::new(QUEUED_BYTES_MAX / PERMIT_BYTES));
        (
            Self {
                proposals,
                byte_permits,
            },
            waiting,
        )
    }

    /// Puts `batch` of so many `writes` into the log of this primary, and waits for it.
    pub(super) async fn submit(&self, batch: Bytes, writes: usize) -> ForwardResult {
        let permits = u32::try_from(batch.len() / PERMIT_BYTES + 1).unwrap_or(u32::MAX);
        let Ok(permits) = Arc::clone(&self.byte_permits).try_acquire_many_owned(permits) else {
            return ForwardResult::Busy;
        };
        let (answer, answered) = oneshot::channel();
        let proposal = Proposal {
            batch,
            writes,
            answer,
            _permits: permits,
        };
        if self.proposals.try_send(proposal).is_err() {
            return ForwardResult::Busy;
        }
        // Dropped only with the whole cluster part, after the batch was perhaps proposed.
        answered.await.unwrap_or(ForwardResult::TimedOut)
    }
}
