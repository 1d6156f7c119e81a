//! The writer's loop: take a batch, commit it for as long as that takes, show it, acknowledge it.

use super::queue::{Part, writes_in};
use super::receipt::{NotDurable, Position};
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
        let done = persist(&mut scribe, &shared, &batch);
        if let Some(applied) = done.applied.last() {
            shared.durable.store(applied.position, Ordering::Release);
        }
        let given_up = conclude(&shared, &faults, batch, &done, &mut on_applied);
        if given_up {
            give_up_the_rest(&shared);
            break;
        }
        scribe.cut_log_if_long();
    }
    scribe.cut_log();
}

/// What became of a part.
type Fate = Result<Position, NotDurable>;

/// What became of a batch.
#[derive(Default)]
struct Done {
    applied: Vec<Applied>,
    /// Of each part, in their order.
    fates: Vec<Fate>,
}

impl Done {
    fn note(&mut self, outcome: Result<Applied, NotDurable>, parts: usize) {
        let fate = outcome.as_ref().map(|applied| applied.position);
        let fate = fate.map_err(|reason| *reason);
        self.fates.extend(std::iter::repeat_n(fate, parts));
        self.applied.extend(outcome.ok());
    }
}

/// Commits `batch`, again and again until the disk takes it or the queue is shut.
fn persist(scribe: &mut Scribe, shared: &Shared, batch: &[Part]) -> Done {
    let mut done = Done::default();
    match persist_together(scribe, shared, batch) {
        Err(NotDurable::Refused) if batch.len() > 1 => {
            // A write of the batch is itself at fault: each gets a transaction of its own, and those
            // that still fail by themselves are set aside.
            for (index, part) in batch.iter().enumerate() {
                if done.fates.last() == Some(&Err(NotDurable::Closed)) {
                    done.note(Err(NotDurable::Closed), batch.len() - index);
                    break;
                }
                let outcome = persist_together(scribe, shared, std::slice::from_ref(part));
                done.note(outcome.inspect_err(|reason| report(part, *reason)), 1);
            }
        }
        outcome => {
            if let (Err(reason), Some(part)) = (&outcome, batch.first()) {
                report(part, *reason);
            }
            done.note(outcome, batch.len());
        }
    }
    done
}

/// One transaction for all of `parts`. Refused if a write is at fault, closed if the queue was shut
/// while the disk failed.
fn persist_together(
    scribe: &mut Scribe,
    shared: &Shared,
    parts: &[Part],
) -> Result<Applied, NotDurable> {
    let writes: Vec<&Write> = parts
        .iter()
        .filter_map(|part| part.write.as_deref())
        .collect();
    let mut pauses = Pauses::of_disk();
    loop {
        let begun = Instant::now();
        let error = match scribe.commit(&writes) {
            Ok(applied) => {
                catalog::WRITE_COMMIT_SECONDS.record(begun.elapsed().as_secs_f64());
                catalog::WRITE_BATCH_SIZE.record(writes.len() as f64);
                shared.recover();
                return Ok(applied);
            }
            Err(error) => error,
        };
        if error.is_of_the_writes() {
            catalog::WRITE_FAILURES_TOTAL
                .with(error.kind())
                .increment(1);
            tracing::error!(%error, writes = writes.len(), "the database refused writes");
            return Err(NotDurable::Refused);
        }
        shared.degrade(&error);
        if shared.queue.pause(pauses.lengthen()) {
            return Err(NotDurable::Closed);
        }
    }
}

fn report(part: &Part, reason: NotDurable) {
    if reason == NotDurable::Refused {
        let kind = part.write.as_ref().map(|write| write.kind());
        tracing::error!(kind, "a write is set aside: it is itself at fault");
    }
}

/// Refreshes the caches, then acknowledges: who learns that a write is durable also sees it. Whether
/// parts had to be given up.
fn conclude(
    shared: &Shared,
    faults: &Faults,
    batch: Vec<Part>,
    done: &Done,
    on_applied: &mut OnApplied,
) -> bool {
    // These moments are for tests that end the process; there is nothing to fail.
    let _ = faults.at(Operation::Refresh);
    done.applied.iter().for_each(on_applied);
    let mut given_up = 0;
    for (part, fate) in batch.iter().zip(&done.fates) {
        match (&part.write, fate) {
            (Some(write), Ok(_)) => {
                shared.pending.remove(part.id, write);
                catalog::WRITES_DURABLE_TOTAL.increment(1);
                catalog::WRITE_DURABLE_SECONDS.record(part.at.elapsed().as_secs_f64());
            }
            (Some(write), Err(NotDurable::Refused)) => shared.pending.remove(part.id, write),
            // It stays among the pending: this process still knows of it.
            (Some(_), Err(_)) => given_up += 1,
            (None, _) => {}
        }
    }
    shared.given_up.fetch_add(given_up, Ordering::SeqCst);
    shared.queue.done(&batch);
    let _ = faults.at(Operation::Acknowledge);
    for (part, fate) in batch.into_iter().zip(&done.fates) {
        part.acknowledge(*fate);
    }
    done.fates.contains(&Err(NotDurable::Closed))
}

/// What is in the queue when the batch before it was given up.
fn give_up_the_rest(shared: &Shared) {
    let rest = shared.queue.shut();
    let writes = shared
        .given_up
        .fetch_add(writes_in(&rest), Ordering::SeqCst)
        + writes_in(&rest);
    tracing::error!(
        writes,
        "closed while the disk failed: writes are not durable"
    );
    for part in rest {
        part.acknowledge(Err(NotDurable::Closed));
    }
}
