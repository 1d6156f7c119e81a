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

/// A batch that waits to be written to the log.
pub(super) struct Proposal {
    pub(super) batch: Bytes,
    pub(super) writes: usize,
    pub(super) answer: oneshot::Sender<ForwardResult>,
    _permits: OwnedSemaphorePermit,
}

/// The sending side of the queue. Cheap to clone.
#[derive(Clone)]
pub(super) struct GroupCommitQueue {
    proposals: mpsc::Sender<Proposal>,
    byte_permits: Arc<Semaphore>,
}

impl GroupCommitQueue {
    /// The queue, and the receiver that `group_commit::run_group_commit` reads.
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

    /// Queues a batch of `writes` writes for the log of this primary and waits until it is committed. Returns
    /// [`ForwardResult::Busy`] at once where the queue is full.
    ///
    /// A caller that stops waiting does not take the batch back.
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

#[cfg(test)]
impl Proposal {
    /// A batch that takes no permits of a queue, and whose result nobody waits for.
    pub(super) fn of_size(writes: usize, bytes: usize) -> Self {
        let permits = Arc::new(Semaphore::new(1));
        Self {
            batch: vec![0; bytes].into(),
            writes,
            answer: oneshot::channel().0,
            _permits: permits.try_acquire_owned().unwrap(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn beyond_its_bounds_a_batch_is_turned_away_and_costs_nothing() {
        let (queue, _nobody_reads) = GroupCommitQueue::new();
        assert_eq!(
            queue.submit(vec![0; QUEUED_BYTES_MAX + 1].into(), 1).await,
            ForwardResult::Busy
        );
        let half = queue.submit(vec![0; QUEUED_BYTES_MAX / 2 + PERMIT_BYTES].into(), 1);
        tokio::pin!(half);
        assert!(futures_util::poll!(&mut half).is_pending());
        assert_eq!(
            queue.submit(vec![0; QUEUED_BYTES_MAX / 2].into(), 1).await,
            ForwardResult::Busy
        );
    }
}
