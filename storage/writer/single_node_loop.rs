//! The loop of the writer of a single node: takes a batch, commits it, refreshes the caches, acknowledges it.

use super::commit_batches::{CommittedBatches, WriteBatch, commit_batches};
use super::receipt::WriteError;
use super::write_queue::{QueueItem, count_writes};
use super::{BatchCommitter, WriterShared};
use crate::backoff::Backoff;
use crate::disk::CommitError;
use crate::fault_injection::{DiskOperation, FaultInjector};
use crate::write::{AppliedWrites, Write};
use calldex_observability::catalog;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Called with each batch before it is acknowledged.
pub(crate) type OnApplied = Box<dyn FnMut(&AppliedWrites) + Send>;

/// Runs until the queue is closed and empty, or shut while the disk fails.
pub(crate) fn run(
    mut committer: BatchCommitter,
    shared: Arc<WriterShared>,
    faults: FaultInjector,
    mut on_applied: OnApplied,
) {
    while let Some(batch) = shared.queue.take() {
        match commit_until_durable(&mut committer, &shared, &batch) {
            Ok(persisted) => {
                publish_and_acknowledge(&shared, &faults, batch, &persisted, &mut on_applied)
            }
            Err(_) => {
                abandon(&shared, batch);
                break;
            }
        }
        committer.truncate_wal_if_long();
    }
    committer.truncate_wal();
}

/// Makes `parts` durable, however long that takes; an error once the queue was shut while the disk failed.
fn commit_until_durable(
    committer: &mut BatchCommitter,
    shared: &WriterShared,
    items: &[QueueItem],
) -> Result<CommittedBatches, CommitError> {
    let writes: Vec<&Write> = items
        .iter()
        .filter_map(|item| item.write.as_deref())
        .collect();
    let count = writes.len();
    let closes = writes
        .iter()
        .any(|write| matches!(write, Write::CallEnded(_)));
    let operation = closes.then_some(DiskOperation::CloseConversation);
    let batch = WriteBatch {
        writes,
        entry: None,
    };
    let mut backoff = Backoff::for_disk();
    let mut begun = Instant::now();
    let persisted = commit_batches(committer, operation, &[batch], None, &mut |error| {
        shared.degrade(error);
        let is_shut = shared.queue.wait(backoff.next_delay());
        begun = Instant::now();
        !is_shut
    })?;
    catalog::WRITE_COMMIT_SECONDS.record(begun.elapsed().as_secs_f64());
    catalog::WRITE_BATCH_SIZE.record(count as f64);
    shared.recover();
    Ok(persisted)
}

/// Refreshes the caches, then acknowledges: who learns that a write is durable also sees it.
fn publish_and_acknowledge(
    shared: &WriterShared,
    faults: &FaultInjector,
    batch: Vec<QueueItem>,
    persisted: &CommittedBatches,
    on_applied: &mut OnApplied,
) {
    let position = persisted.applied.position;
    shared.durable_position.store(position, Ordering::Release);
    // These moments are for tests that end the process; there is nothing to fail.
    let _ = faults.inject(DiskOperation::Refresh);
    on_applied(&persisted.applied);
    for item in &batch {
        if let Some(write) = &item.write {
            shared.pending.remove(item.id, write);
        }
    }
    shared.queue.finish_batch(&batch);
    let _ = faults.inject(DiskOperation::Acknowledge);
    let mut place = 0;
    for item in batch {
        let fate = match &item.write {
            Some(_) if persisted.rejected.contains(&(0, place)) => Err(WriteError::Rejected),
            Some(_) => {
                catalog::WRITES_DURABLE_TOTAL.increment(1);
                catalog::WRITE_DURABLE_SECONDS.record(item.submitted_at.elapsed().as_secs_f64());
                Ok(position)
            }
            None => Ok(position),
        };
        place += usize::from(item.write.is_some());
        item.acknowledge(fate);
    }
}

/// What could not be written when the queue was shut, with all that is in it. It stays among the pending:
/// this process still knows of it.
fn abandon(shared: &WriterShared, batch: Vec<QueueItem>) {
    shared.queue.finish_batch(&batch);
    let mut items = batch;
    items.extend(shared.queue.close_and_drain());
    let writes = count_writes(&items);
    shared.given_up.fetch_add(writes, Ordering::SeqCst);
    tracing::error!(
        writes,
        "closed while the disk failed: writes are not durable"
    );
    for item in items {
        item.acknowledge(Err(WriteError::Closed));
    }
}
