//! The writer's loop: take a batch, commit it for as long as that takes, show it, acknowledge it.

use super::failure::CommitError;
use super::queue::Part;
use super::receipt::NotDurable;
use super::{Scribe, Shared};
use crate::faults::{Faults, Operation};
use crate::write::{Applied, Write};
use calldex_observability::catalog;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// First pause after a failed commit; each further one doubles.
const RETRY_MS_MIN: u64 = 20;
/// Longest pause between two attempts.
const RETRY_MS_MAX: u64 = 2_000;

/// Who is told of each batch before it is acknowledged.
pub(crate) type OnApplied = Box<dyn FnMut(&Applied) + Send>;

/// Runs until the queue is closed and empty, or closed while the disk fails.
pub(crate) fn run(
    mut scribe: Scribe,
    shared: Arc<Shared>,
    faults: Faults,
    mut on_applied: OnApplied,
) {
    while let Some(batch) = shared.queue.take() {
        let outcome = persist(&mut scribe, &shared, &batch);
        shared.queue.done(&batch);
        match outcome {
            Some(done) => {
                shared.durable.store(done.position, Ordering::Release);
                conclude(&shared, &faults, batch, &done, &mut on_applied);
            }
            None => {
                give_up(&shared, batch);
                break;
            }
        }
        scribe.cut_log_if_long();
    }
    scribe.cut_log();
}

/// What became of a batch.
struct Done {
    applied: Vec<Applied>,
    position: u64,
    /// Indexes of parts that the database refuses for themselves.
    refused: Vec<usize>,
}

/// Commits `batch`, again and again until the disk takes it. `None` if closing began while it did
/// not.
fn persist(scribe: &mut Scribe, shared: &Shared, batch: &[Part]) -> Option<Done> {
    let writes: Vec<&Write> = batch
        .iter()
        .filter_map(|part| part.write.as_deref())
        .collect();
    let mut pause_ms = RETRY_MS_MIN;
    loop {
        let begun = Instant::now();
        let error = match scribe.commit(&writes) {
            Ok(applied) => {
                catalog::WRITE_COMMIT_SECONDS.record(begun.elapsed().as_secs_f64());
                catalog::WRITE_BATCH_SIZE.record(writes.len() as f64);
                recover(shared);
                let position = applied.position;
                return Some(Done {
                    applied: vec![applied],
                    position,
                    refused: Vec::new(),
                });
            }
            Err(error) => error,
        };
        degrade(shared, &error);
        if error.is_of_the_writes() {
            return persist_singly(scribe, shared, batch);
        }
        if shared.queue.pause(Duration::from_millis(pause_ms)) {
            return last_attempt(scribe, shared, &writes);
        }
        pause_ms = (pause_ms * 2).min(RETRY_MS_MAX);
    }
}

fn last_attempt(scribe: &mut Scribe, shared: &Shared, writes: &[&Write]) -> Option<Done> {
    let applied = scribe
        .commit(writes)
        .inspect_err(|error| degrade(shared, error))
        .ok()?;
    recover(shared);
    let position = applied.position;
    Some(Done {
        applied: vec![applied],
        position,
        refused: Vec::new(),
    })
}

/// A write of the batch is itself at fault: each gets a transaction of its own, and those that
/// still fail by themselves are set aside.
fn persist_singly(scribe: &mut Scribe, shared: &Shared, batch: &[Part]) -> Option<Done> {
    let mut done = Done {
        applied: Vec::new(),
        position: 0,
        refused: Vec::new(),
    };
    for (index, part) in batch.iter().enumerate() {
        let writes: Vec<&Write> = part.write.as_deref().into_iter().collect();
        match persist_one(scribe, shared, &writes)? {
            Some(applied) => {
                done.position = applied.position;
                done.applied.push(applied);
            }
            None => done.refused.push(index),
        }
    }
    recover(shared);
    Some(done)
}

/// `None` if closing began while the disk failed, `Some(None)` if the write is refused.
fn persist_one(scribe: &mut Scribe, shared: &Shared, writes: &[&Write]) -> Option<Option<Applied>> {
    loop {
        match scribe.commit(writes) {
            Ok(applied) => return Some(Some(applied)),
            Err(error) if error.is_of_the_writes() => {
                let kind = writes.first().map(|write| write.kind());
                tracing::error!(kind, %error, "the database refused a write; it is set aside");
                return Some(None);
            }
            Err(error) => degrade(shared, &error),
        }
        if shared.queue.pause(Duration::from_millis(RETRY_MS_MAX)) {
            return None;
        }
    }
}

fn degrade(shared: &Shared, error: &CommitError) {
    catalog::WRITE_FAILURES_TOTAL
        .with(error.kind())
        .increment(1);
    if shared.degraded.set(Some(error.kind())) {
        tracing::error!(%error, kind = error.kind(), "writes cannot be made durable; they wait in memory");
    }
}

fn recover(shared: &Shared) {
    if shared.degraded.set(None) {
        tracing::info!("writes are durable again");
    }
}

/// Refreshes the caches, then acknowledges: who learns that a write is durable also sees it.
fn conclude(
    shared: &Shared,
    faults: &Faults,
    batch: Vec<Part>,
    done: &Done,
    on_applied: &mut OnApplied,
) {
    // These moments are for tests that end the process; there is nothing to fail.
    let _ = faults.at(Operation::Refresh);
    done.applied.iter().for_each(on_applied);
    for part in &batch {
        if let Some(write) = &part.write {
            shared.pending.remove(part.id, write);
            catalog::WRITES_DURABLE_TOTAL.increment(1);
            catalog::WRITE_DURABLE_SECONDS.record(part.at.elapsed().as_secs_f64());
        }
    }
    let _ = faults.at(Operation::Acknowledge);
    for (index, part) in batch.into_iter().enumerate() {
        let refused = done.refused.contains(&index);
        part.acknowledge(if refused {
            Err(NotDurable::Refused)
        } else {
            Ok(done.position)
        });
    }
}

fn give_up(shared: &Shared, batch: Vec<Part>) {
    let rest = shared.queue.shut();
    let writes = batch
        .iter()
        .chain(&rest)
        .filter(|part| part.write.is_some())
        .count();
    tracing::error!(
        writes,
        "closed while the disk failed: writes are not durable"
    );
    for part in batch.into_iter().chain(rest) {
        part.acknowledge(Err(NotDurable::Closed));
    }
}
