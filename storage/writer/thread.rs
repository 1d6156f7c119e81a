//! The writer's loop of an instance alone: take a batch, make it durable, show it, acknowledge it.

use super::failure::CommitError;
use super::persist::{Batch, Persisted, persist};
use super::queue::{Part, writes_in};
use super::receipt::NotDurable;
use super::{Scribe, Shared};
use crate::faults::{Faults, Operation};
use crate::pauses::Pauses;
use crate::write::{Applied, Write};
use calldex_observability::catalog;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Who is told of each batch before it is acknowledged.
pub(crate) type OnApplied = Box<dyn FnMut(&Applied) + Send>;

/// Runs until the queue is closed and empty, or shut while the disk fails.
pub(crate) fn run(
    mut scribe: Scribe,
    shared: Arc<Shared>,
    faults: Faults,
    mut on_applied: OnApplied,
) {
    while let Some(batch) = shared.queue.take() {
        match write(&mut scribe, &shared, &batch) {
            Ok(persisted) => conclude(&shared, &faults, batch, &persisted, &mut on_applied),
            Err(_) => {
                give_up(&shared, batch);
                break;
            }
        }
        scribe.cut_log_if_long();
    }
    scribe.cut_log();
}

/// Makes `parts` durable, however long that takes; an error once the queue was shut while the disk failed.
fn write(scribe: &mut Scribe, shared: &Shared, parts: &[Part]) -> Result<Persisted, CommitError> {
    let writes: Vec<&Write> = parts
        .iter()
        .filter_map(|part| part.write.as_deref())
        .collect();
    let count = writes.len();
    let closes = writes
        .iter()
        .any(|write| matches!(write, Write::CallEnded(_)));
    let operation = closes.then_some(Operation::CloseConversation);
    let batch = Batch {
        writes,
        entry: None,
    };
    let mut pauses = Pauses::of_disk();
    let mut begun = Instant::now();
    let persisted = persist(scribe, operation, &[batch], &mut |error| {
        shared.degrade(error);
        let is_shut = shared.queue.pause(pauses.lengthen());
        begun = Instant::now();
        !is_shut
    })?;
    catalog::WRITE_COMMIT_SECONDS.record(begun.elapsed().as_secs_f64());
    catalog::WRITE_BATCH_SIZE.record(count as f64);
    shared.recover();
    Ok(persisted)
}

/// Refreshes the caches, then acknowledges: who learns that a write is durable also sees it.
fn conclude(
    shared: &Shared,
    faults: &Faults,
    batch: Vec<Part>,
    persisted: &Persisted,
    on_applied: &mut OnApplied,
) {
    let position = persisted.applied.position;
    shared.durable.store(position, Ordering::Release);
    // These moments are for tests that end the process; there is nothing to fail.
    let _ = faults.at(Operation::Refresh);
    on_applied(&persisted.applied);
    for part in &batch {
        if let Some(write) = &part.write {
            shared.pending.remove(part.id, write);
        }
    }
    shared.queue.done(&batch);
    let _ = faults.at(Operation::Acknowledge);
    let mut place = 0;
    for part in batch {
        let fate = match &part.write {
            Some(_) if persisted.refused.contains(&(0, place)) => Err(NotDurable::Refused),
            Some(_) => {
                catalog::WRITES_DURABLE_TOTAL.increment(1);
                catalog::WRITE_DURABLE_SECONDS.record(part.at.elapsed().as_secs_f64());
                Ok(position)
            }
            None => Ok(position),
        };
        place += usize::from(part.write.is_some());
        part.acknowledge(fate);
    }
}

/// What could not be written when the queue was shut, with all that is in it. It stays among the pending:
/// this process still knows of it.
fn give_up(shared: &Shared, batch: Vec<Part>) {
    shared.queue.done(&batch);
    let mut parts = batch;
    parts.extend(shared.queue.shut());
    let writes = writes_in(&parts);
    shared.given_up.fetch_add(writes, Ordering::SeqCst);
    tracing::error!(
        writes,
        "closed while the disk failed: writes are not durable"
    );
    for part in parts {
        part.acknowledge(Err(NotDurable::Closed));
    }
}
