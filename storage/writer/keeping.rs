//! Keeping what waits for a primary on this instance's disk, while memory holds it too.

use super::backlog::{Backlog, Held};
use super::failure::{Cause, CommitError};
use super::queue::{Part, writes_in};
use super::{NotDurable, Shared};
use crate::pauses::Pauses;
use crate::replication::{Kept, Outbox};
use crate::write::decode;
use calldex_observability::catalog;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Batches in one transaction of the outbox.
const KEPT_AT_ONCE_MAX: usize = 64;

/// See the module.
pub(super) struct Keeping {
    outbox: Outbox,
    /// Until when it is left alone after it failed; what it did not take stays in memory.
    retry_at: Option<Instant>,
    pauses: Pauses,
    /// Whether settled rows are still in the outbox.
    is_behind: bool,
}

impl Keeping {
    pub(super) fn new(outbox: Outbox) -> Self {
        Self {
            outbox,
            retry_at: None,
            pauses: Pauses::of_disk(),
            is_behind: false,
        }
    }

    /// Takes up what an earlier process left: it is pending again, and the first to be proposed. What
    /// this version cannot read is set aside in the outbox, loudly.
    pub(super) fn take_up(&mut self, waiting: Vec<Kept>, shared: &Shared) -> Backlog {
        let mut backlog = Backlog::default();
        for kept in waiting {
            match decode(&kept.bytes) {
                Ok(writes) => backlog.push(adopt(shared, &kept, writes)),
                Err(error) => {
                    tracing::error!(%error, row = kept.id, "a batch in the outbox is set aside");
                    if let Err(error) = self.outbox.set_aside(kept.id) {
                        tracing::error!(%error, "it stays where it is");
                    }
                }
            }
        }
        if !backlog.is_empty() {
            let writes = backlog.writes();
            tracing::info!(writes, "the outbox holds writes of an earlier process");
        }
        gauge(&mut backlog);
        backlog
    }

    /// Puts everything of `backlog` that is not in the outbox there, one fsync for all, unless the
    /// outbox has just failed. A failure leaves everything in memory.
    pub(super) fn keep(&mut self, backlog: &mut Backlog, shared: &Shared) {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.keep_now(backlog, shared);
    }

    /// As [`Keeping::keep`], whether or not the outbox has just failed.
    pub(super) fn keep_now(&mut self, backlog: &mut Backlog, shared: &Shared) {
        match self.try_keep(backlog) {
            Ok(()) => self.recover(shared),
            Err(error) => self.degrade(shared, &error),
        }
        gauge(backlog);
    }

    fn try_keep(&mut self, backlog: &mut Backlog) -> Result<(), CommitError> {
        if self.outbox.is_doubted() {
            let there: HashSet<i64> = self.outbox.recover()?.into_iter().collect();
            for held in backlog.all() {
                held.row = held.row.filter(|row| there.contains(row));
            }
        }
        let mut unkept: Vec<&mut Held> = backlog.all().filter(|held| held.is_unkept()).collect();
        for some in unkept.chunks_mut(KEPT_AT_ONCE_MAX) {
            let batches = some.iter().map(|held| (made_at_ms(held), held.encode()));
            let rows = self.outbox.append(&batches.collect::<Vec<_>>())?;
            for (held, row) in some.iter_mut().zip(rows) {
                held.row = Some(row);
            }
        }
        Ok(())
    }

    /// Keeps the first batch, which the primary refuses alone, where a person finds it. A failure leaves it
    /// in memory; it is tried again with the next proposal.
    pub(super) fn keep_refused(&mut self, backlog: &mut Backlog, shared: &Shared) -> bool {
        if self.outbox.is_doubted() {
            self.keep_now(backlog, shared);
        }
        let Some(held) = backlog.first() else {
            return true;
        };
        let kept = self.outbox.keep_refused(made_at_ms(held), &held.encode());
        kept.inspect_err(|error| self.degrade(shared, error))
            .is_ok()
    }

    /// The outbox's rows up to `row` are on a majority.
    pub(super) fn settle(&mut self, row: i64) {
        self.outbox.settle(row);
        self.is_behind = true;
    }

    /// Removes what is settled; nothing is held any more. A failure costs only a repetition.
    pub(super) fn clear(&mut self, shared: &Shared) {
        if !self.is_behind {
            return;
        }
        catalog::OUTBOX_WRITES.set(0.0);
        catalog::OUTBOX_OLDEST_SECONDS.set(0.0);
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let outcome = match self.outbox.is_doubted() {
            true => self.outbox.recover().map(|_| ()),
            false => Ok(()),
        };
        match outcome.and_then(|()| self.outbox.clear()) {
            Ok(()) => {
                self.is_behind = false;
                self.recover(shared);
            }
            Err(error) => self.degrade(shared, &error),
        }
    }

    fn degrade(&mut self, shared: &Shared, error: &CommitError) {
        self.retry_at = Some(Instant::now() + self.pauses.lengthen());
        catalog::WRITE_FAILURES_TOTAL
            .with(error.kind())
            .increment(1);
        if shared.degraded.set_of(Cause::Outbox, Some(error.kind())) {
            tracing::error!(%error, kind = error.kind(), "the outbox takes no writes; they wait in memory");
        }
    }

    fn recover(&mut self, shared: &Shared) {
        self.retry_at = None;
        self.pauses.reset();
        if shared.degraded.set_of(Cause::Outbox, None) {
            tracing::info!("the outbox takes writes again");
        }
    }
}

/// Makes a batch of an earlier process one of this one, with nobody who waits for it.
fn adopt(shared: &Shared, kept: &Kept, writes: Vec<crate::write::Write>) -> Held {
    let writes: Vec<Arc<_>> = writes.into_iter().map(Arc::new).collect();
    let at = instant_of(kept.at_ms);
    let ids = shared.queue.adopt(&writes, at);
    let parts = ids.into_iter().zip(writes).map(|(id, write)| {
        shared.pending.add(id, &write);
        Part::unattended(id, at, write)
    });
    let mut held = Held::new(parts.collect());
    held.row = Some(kept.id);
    held
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

/// When the oldest part was made, for whoever reads the outbox later.
fn made_at_ms(held: &Held) -> i64 {
    let age = held.parts.first().map(|part| part.at.elapsed());
    let age_ms = age.unwrap_or_default().as_millis();
    now_ms().saturating_sub(i64::try_from(age_ms).unwrap_or(i64::MAX))
}

/// The moment of Unix milliseconds; now, if the clock says that it is to come.
fn instant_of(at_ms: i64) -> Instant {
    let age_ms = u64::try_from(now_ms().saturating_sub(at_ms)).unwrap_or(0);
    let now = Instant::now();
    now.checked_sub(Duration::from_millis(age_ms))
        .unwrap_or(now)
}

fn gauge(backlog: &mut Backlog) {
    let kept = backlog.all().filter(|held| held.row.is_some());
    let (mut writes, mut oldest) = (0, None);
    for held in kept {
        writes += writes_in(&held.parts);
        oldest = oldest.or(held.parts.first().map(|part| part.at));
    }
    let age = oldest.map(|at| at.elapsed()).unwrap_or_default();
    catalog::OUTBOX_WRITES.set(writes as f64);
    catalog::OUTBOX_OLDEST_SECONDS.set(age.as_secs_f64());
}

/// What becomes of those who wait for a batch when the storage is closed before a primary took it.
pub(super) fn fate_at_close(held: &Held) -> NotDurable {
    match held.row {
        Some(_) => NotDurable::Kept,
        None => NotDurable::Closed,
    }
}
