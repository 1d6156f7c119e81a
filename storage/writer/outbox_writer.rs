//! Saves batches that wait for a primary to the outbox; they are in memory too.

use super::proposal_backlog::{ProposalBacklog, UnacknowledgedBatch};
use super::write_queue::{QueueItem, count_writes};
use super::{WriteError, WriterShared};
use crate::backoff::Backoff;
use crate::disk::{CommitError, DegradedCause};
use crate::outbox::{Outbox, OutboxBatch};
use crate::write::decode_batch;
use calldex_observability::catalog;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Batches in one transaction of the outbox.
const BATCHES_PER_TRANSACTION_MAX: usize = 64;

/// See the module.
pub(super) struct OutboxWriter {
    outbox: Outbox,
    /// When it is tried again after a failure; until then batches stay in memory alone.
    retry_at: Option<Instant>,
    backoff: Backoff,
    /// Whether acknowledged rows are still in the outbox.
    has_replicated_rows: bool,
}

impl OutboxWriter {
    pub(super) fn new(outbox: Outbox) -> Self {
        Self {
            outbox,
            retry_at: None,
            backoff: Backoff::for_disk(),
            has_replicated_rows: false,
        }
    }

    /// Loads the batches of an earlier process: they are pending again and proposed first. A batch that this
    /// version cannot read is moved to the table `unreadable`, with an error in the log.
    pub(super) fn load(
        &mut self,
        waiting: Vec<OutboxBatch>,
        shared: &WriterShared,
    ) -> ProposalBacklog {
        let mut backlog = ProposalBacklog::default();
        for saved in waiting {
            match decode_batch(&saved.bytes) {
                Ok(writes) => backlog.push(restore_batch(shared, &saved, writes)),
                Err(error) => {
                    tracing::error!(%error, row = saved.id, "an unreadable batch in the outbox is rejected");
                    if let Err(error) = self.outbox.move_to_unreadable(saved.id) {
                        tracing::error!(%error, "it stays where it is");
                    }
                }
            }
        }
        if !backlog.is_empty() {
            let writes = backlog.writes();
            tracing::info!(writes, "the outbox holds writes of an earlier process");
        }
        update_outbox_gauges(&mut backlog);
        backlog
    }

    /// Saves the batches of `backlog` that are not in the outbox, with one fsync, unless the outbox has just
    /// failed. After a failure they stay in memory alone.
    pub(super) fn save(&mut self, backlog: &mut ProposalBacklog, shared: &WriterShared) {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.save_now(backlog, shared);
    }

    /// As [`OutboxWriter::save`], whether or not the outbox has just failed.
    pub(super) fn save_now(&mut self, backlog: &mut ProposalBacklog, shared: &WriterShared) {
        match self.try_save(backlog) {
            Ok(()) => self.recover(shared),
            Err(error) => self.degrade(shared, &error),
        }
        update_outbox_gauges(backlog);
    }

    fn try_save(&mut self, backlog: &mut ProposalBacklog) -> Result<(), CommitError> {
        if self.outbox.needs_recovery() {
            let there: HashSet<i64> = self.outbox.recover()?.into_iter().collect();
            for batch in backlog.batches_mut() {
                batch.outbox_row = batch.outbox_row.filter(|row| there.contains(row));
            }
        }
        let mut unkept: Vec<&mut UnacknowledgedBatch> = backlog
            .batches_mut()
            .filter(|batch| batch.is_unsaved())
            .collect();
        for some in unkept.chunks_mut(BATCHES_PER_TRANSACTION_MAX) {
            let batches = some
                .iter()
                .map(|batch| (oldest_write_ms(batch), batch.encode()));
            let rows = self.outbox.append(&batches.collect::<Vec<_>>())?;
            for (batch, row) in some.iter_mut().zip(rows) {
                batch.outbox_row = Some(row);
            }
        }
        Ok(())
    }

    /// Moves the first batch, a single write that the primary rejects, to the table `unreadable`. After a
    /// failure it stays in memory and is tried again with the next proposal.
    pub(super) fn save_rejected(
        &mut self,
        backlog: &mut ProposalBacklog,
        shared: &WriterShared,
    ) -> bool {
        if self.outbox.needs_recovery() {
            self.save_now(backlog, shared);
        }
        let Some(batch) = backlog.first() else {
            return true;
        };
        let saved = self
            .outbox
            .store_rejected(oldest_write_ms(batch), &batch.encode());
        saved
            .inspect_err(|error| self.degrade(shared, error))
            .is_ok()
    }

    /// The outbox's rows up to `row` are on a majority.
    pub(super) fn mark_replicated(&mut self, row: i64) {
        self.outbox.mark_replicated(row);
        self.has_replicated_rows = true;
    }

    /// Removes the acknowledged rows once the backlog is empty. After a failure they are only proposed again.
    pub(super) fn remove_replicated(&mut self, shared: &WriterShared) {
        if !self.has_replicated_rows {
            return;
        }
        catalog::OUTBOX_WRITES.set(0.0);
        catalog::OUTBOX_OLDEST_SECONDS.set(0.0);
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let outcome = match self.outbox.needs_recovery() {
            true => self.outbox.recover().map(|_| ()),
            false => Ok(()),
        };
        match outcome.and_then(|()| self.outbox.remove_replicated()) {
            Ok(()) => {
                self.has_replicated_rows = false;
                self.recover(shared);
            }
            Err(error) => self.degrade(shared, &error),
        }
    }

    fn degrade(&mut self, shared: &WriterShared, error: &CommitError) {
        self.retry_at = Some(Instant::now() + self.backoff.next_delay());
        catalog::WRITE_FAILURES_TOTAL
            .with(error.kind())
            .increment(1);
        if shared
            .degraded
            .set_cause(DegradedCause::Outbox, Some(error.kind()))
        {
            tracing::error!(%error, kind = error.kind(), "the outbox takes no writes; they wait in memory");
        }
    }

    fn recover(&mut self, shared: &WriterShared) {
        self.retry_at = None;
        self.backoff.reset();
        if shared.degraded.set_cause(DegradedCause::Outbox, None) {
            tracing::info!("the outbox takes writes again");
        }
    }
}

/// Makes a batch of an earlier process one of this process, without receipts.
fn restore_batch(
    shared: &WriterShared,
    saved: &OutboxBatch,
    writes: Vec<crate::write::Write>,
) -> UnacknowledgedBatch {
    let writes: Vec<Arc<_>> = writes.into_iter().map(Arc::new).collect();
    let at = instant_of(saved.at_ms);
    let ids = shared.queue.add_restored(&writes, at);
    let items = ids.into_iter().zip(writes).map(|(id, write)| {
        shared.pending.add(id, &write);
        QueueItem::without_receipt(id, at, write)
    });
    let mut batch = UnacknowledgedBatch::new(items.collect());
    batch.outbox_row = Some(saved.id);
    batch
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

/// When its oldest write was submitted, Unix milliseconds.
fn oldest_write_ms(batch: &UnacknowledgedBatch) -> i64 {
    let age = batch.items.first().map(|item| item.submitted_at.elapsed());
    let age_ms = age.unwrap_or_default().as_millis();
    now_ms().saturating_sub(i64::try_from(age_ms).unwrap_or(i64::MAX))
}

/// The instant of Unix milliseconds; now if that is in the future.
fn instant_of(at_ms: i64) -> Instant {
    let age_ms = u64::try_from(now_ms().saturating_sub(at_ms)).unwrap_or(0);
    let now = Instant::now();
    now.checked_sub(Duration::from_millis(age_ms))
        .unwrap_or(now)
}

fn update_outbox_gauges(backlog: &mut ProposalBacklog) {
    let saved = backlog
        .batches_mut()
        .filter(|batch| batch.outbox_row.is_some());
    let (mut writes, mut oldest) = (0, None);
    for batch in saved {
        writes += count_writes(&batch.items);
        oldest = oldest.or(batch.items.first().map(|item| item.submitted_at));
    }
    let age = oldest.map(|at| at.elapsed()).unwrap_or_default();
    catalog::OUTBOX_WRITES.set(writes as f64);
    catalog::OUTBOX_OLDEST_SECONDS.set(age.as_secs_f64());
}

/// The result of a batch that no primary took before storage was closed.
pub(super) fn result_at_close(batch: &UnacknowledgedBatch) -> WriteError {
    match batch.outbox_row {
        Some(_) => WriteError::SavedToOutbox,
        None => WriteError::Closed,
    }
}
