//! The proposing thread of a member of a cluster: takes batches from the queue as the writer of a single
//! node does, proposes them to the primary one after the other, and saves them to the outbox while there
//! is none.

use super::outbox_writer::{OutboxWriter, result_at_close};
use super::primary_link::PrimaryLink;
use super::proposal_backlog::{ProposalBacklog, UnacknowledgedBatch};
use super::proposer::{PROPOSAL_BYTES_MAX, ProposeError};
use super::write_queue::count_writes;
use super::{WriteError, WriterShared};
use crate::backoff::Backoff;
use crate::disk::{DegradedCause, NO_ANSWER, NO_PRIMARY};
use crate::outbox::{Outbox, OutboxBatch};
use crate::record::Position;
use crate::write::ProposalId;
use bytes::Bytes;
use calldex_observability::catalog;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long an answer is waited for while the connection to the primary is open and there is no other
/// primary, milliseconds. Then the batch is proposed again, although the first proposal may still be
/// committed. It is longer than the primary waits for its log and than an answer takes: to propose again
/// earlier would give a slow disk only more to write.
pub const PROPOSE_MS_MAX: u64 = 30_000;
/// After this time without an answer the writer counts as degraded, milliseconds.
const UNANSWERED_MS: u64 = 1_000;
/// After this time a batch that is proposed, or waits behind others, is saved to the outbox with all later
/// ones, milliseconds. So a crash loses only younger writes.
pub const OUTBOX_AFTER_MS: u64 = 100;
/// How often new batches are saved while a proposal waits.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// First pause after a proposal that failed; each further one doubles.
const RETRY_MIN: Duration = Duration::from_millis(20);
/// Longest pause between two proposals. An election takes a second; the writes should not wait much
/// longer than that.
const RETRY_MAX: Duration = Duration::from_millis(250);

/// How long closing still waits for a primary once everything is in the outbox, milliseconds: about an
/// election.
const CLOSING_MS_MAX: u64 = 1_000;

/// See the module.
pub(crate) struct ProposalWorker {
    shared: Arc<WriterShared>,
    primary_link: Arc<PrimaryLink>,
    outbox_writer: OutboxWriter,
    backlog: ProposalBacklog,
    /// The id of the last proposal; the next one has the next number.
    proposal_id: ProposalId,
    /// A proposal that may still be committed: it is proposed again unchanged, under its number.
    unresolved: Option<PendingProposal>,
    backoff: Backoff,
    /// Since when no proposal was acknowledged after closing began.
    no_primary_since: Option<Instant>,
}

/// A proposal of the first batches of the backlog.
struct PendingProposal {
    /// How many of them.
    count: usize,
    number: u64,
    batch: Bytes,
    writes: usize,
    /// Whether an earlier attempt may have reached a primary.
    may_have_committed: bool,
}

impl ProposalWorker {
    /// `waiting` is the contents of the outbox; its writes are pending when this returns. The proposals have
    /// the ids of the `start` of node `node_id`.
    pub(crate) fn new(
        (node_id, start): (u64, u64),
        shared: Arc<WriterShared>,
        primary_link: Arc<PrimaryLink>,
        outbox: Outbox,
        waiting: Vec<OutboxBatch>,
    ) -> Self {
        let mut outbox_writer = OutboxWriter::new(outbox);
        let backlog = outbox_writer.load(waiting, &shared);
        Self {
            shared,
            primary_link,
            outbox_writer,
            backlog,
            proposal_id: ProposalId {
                node_id,
                start,
                number: 0,
            },
            unresolved: None,
            backoff: Backoff::new(RETRY_MIN, RETRY_MAX),
            no_primary_since: None,
        }
    }

    /// Runs until the queue is closing and everything is acknowledged, or the queue is closed: the rest is
    /// then in the outbox.
    pub(crate) fn run(mut self) {
        while self.fill_backlog()
            && !self.shared.queue.is_closed()
            && !self.has_waited_for_primary()
        {
            self.save_old_batches();
            let Some(mut proposal) = self.unresolved.take().or_else(|| self.next_proposal()) else {
                continue;
            };
            match self.propose(&proposal) {
                Ok(position) => self.settle(proposal.count, Ok(position)),
                Err(ProposeError::Rejected) => self.split_or_reject(proposal.count),
                Err(ProposeError::TimedOut) => {
                    proposal.may_have_committed = true;
                    self.unresolved = Some(proposal);
                    self.wait_before_retry();
                }
                Err(ProposeError::NoPrimary) => {
                    // An earlier attempt may have been committed.
                    self.unresolved = Some(proposal).filter(|proposal| proposal.may_have_committed);
                    self.wait_before_retry();
                }
            }
        }
        self.finish();
    }

    fn fill_backlog(&mut self) -> bool {
        if self.backlog.is_empty() {
            let batch = self.shared.queue.take();
            batch
                .into_iter()
                .for_each(|batch| self.backlog.push(UnacknowledgedBatch::new(batch)));
        }
        !self.backlog.is_empty()
    }

    /// Whether closing goes on without a primary: everything is in the outbox, and [`CLOSING_MS_MAX`] is over.
    fn has_waited_for_primary(&mut self) -> bool {
        let bound = Duration::from_millis(CLOSING_MS_MAX);
        let is_long = self
            .no_primary_since
            .is_some_and(|since| since.elapsed() >= bound);
        is_long && !self.backlog.batches_mut().any(|batch| batch.is_unsaved())
    }

    /// The next proposal. Flush markers alone need no primary: everything before them is acknowledged, so
    /// they are too. A proposal that is too long is split.
    fn next_proposal(&mut self) -> Option<PendingProposal> {
        let count = self.backlog.next_count();
        self.proposal_id.number += 1;
        let Some((batch, writes)) = self.backlog.encode_first(count, self.proposal_id) else {
            let durable = self.shared.durable_position.load(Ordering::Acquire);
            self.settle(count, Ok(durable));
            return None;
        };
        if batch.len() > PROPOSAL_BYTES_MAX && writes > 1 {
            self.split_or_reject(count);
            return None;
        }
        Some(PendingProposal {
            count,
            number: self.proposal_id.number,
            batch: batch.into(),
            writes,
            may_have_committed: false,
        })
    }

    /// Proposes it once.
    fn propose(&mut self, proposal: &PendingProposal) -> Result<Position, ProposeError> {
        let begun = Instant::now();
        let answer = self.await_result(proposal, begun);
        if answer.is_ok() {
            catalog::CLUSTER_COMMIT_SECONDS.record(begun.elapsed().as_secs_f64());
        }
        catalog::FORWARDED_BATCHES_TOTAL
            .with(metric_label(answer))
            .increment(1);
        self.note_result(answer);
        answer
    }

    /// Waits for the answer, or until this instance has applied the entry, at most [`PROPOSE_MS_MAX`]. After
    /// [`OUTBOX_AFTER_MS`] it saves the backlog to the outbox. Blocks.
    fn await_result(
        &mut self,
        proposal: &PendingProposal,
        begun: Instant,
    ) -> Result<Position, ProposeError> {
        let batch = proposal.batch.clone();
        let question = self
            .primary_link
            .propose(proposal.number, batch, proposal.writes)?;
        loop {
            if let Some(answer) = question.wait(POLL_INTERVAL) {
                return answer;
            }
            let waited = begun.elapsed();
            let is_closing = self.shared.queue.is_closing();
            if waited >= Duration::from_millis(OUTBOX_AFTER_MS) || is_closing {
                self.save_to_outbox();
            }
            if waited >= Duration::from_millis(UNANSWERED_MS) {
                self.degrade(NO_ANSWER);
            }
            if is_closing {
                self.no_primary_since.get_or_insert_with(Instant::now);
            }
            let is_over = waited >= Duration::from_millis(PROPOSE_MS_MAX);
            if is_over || self.shared.queue.is_closed() || self.has_waited_for_primary() {
                return Err(ProposeError::TimedOut);
            }
        }
    }

    /// Saves batches that wait behind quickly answered ones, once they are older than [`OUTBOX_AFTER_MS`].
    fn save_old_batches(&mut self) {
        let waiting = || self.shared.queue.waiting_since();
        let since = self.backlog.unsaved_since().or_else(waiting);
        if since.is_some_and(|since| since.elapsed() >= Duration::from_millis(OUTBOX_AFTER_MS)) {
            self.save_to_outbox();
        }
    }

    /// Saves the backlog, and every batch that is ready in the queue, to the outbox.
    fn save_to_outbox(&mut self) {
        while let Some(batch) = self.shared.queue.take_ready() {
            self.backlog.push(UnacknowledgedBatch::new(batch));
        }
        self.outbox_writer.save(&mut self.backlog, &self.shared);
    }

    /// Waits after a failed proposal, and saves every new batch to the outbox meanwhile.
    fn wait_before_retry(&mut self) {
        let end = Instant::now() + self.backoff.next_delay();
        loop {
            self.save_to_outbox();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.shared.queue.wait(left.min(POLL_INTERVAL)) {
                return;
            }
        }
    }

    fn note_result(&mut self, answer: Result<Position, ProposeError>) {
        match answer {
            Ok(_) | Err(ProposeError::Rejected) => {
                self.backoff.reset();
                self.no_primary_since = None;
                if self.shared.degraded.set_cause(DegradedCause::Primary, None) {
                    tracing::info!("the primary takes writes again: what waited is proposed");
                }
            }
            Err(ProposeError::NoPrimary) => self.degrade(NO_PRIMARY),
            Err(ProposeError::TimedOut) => self.degrade(NO_ANSWER),
        }
        if answer.is_err() && self.shared.queue.is_closing() {
            self.no_primary_since.get_or_insert_with(Instant::now);
        }
    }

    fn degrade(&self, kind: &'static str) {
        if self
            .shared
            .degraded
            .set_cause(DegradedCause::Primary, Some(kind))
        {
            tracing::warn!(kind, "no primary takes writes: they wait in the outbox");
        }
    }

    /// The primary will never take this proposal: it is split, and a single write is rejected.
    fn split_or_reject(&mut self, count: usize) {
        if self.backlog.split(count) {
            return;
        }
        if !self
            .outbox_writer
            .save_rejected(&mut self.backlog, &self.shared)
        {
            self.wait_before_retry();
            return;
        }
        let kind = self.backlog.first_kind();
        catalog::WRITES_REJECTED_TOTAL.with("kept").increment(1);
        tracing::error!(kind, "a write is rejected: the primary does not take it");
        catalog::WRITE_FAILURES_TOTAL.with("other").increment(1);
        self.settle(count, Err(WriteError::Rejected));
    }

    fn settle(&mut self, count: usize, fate: Result<Position, WriteError>) {
        let (items, settled) = self.backlog.take_first(count);
        if let Some(row) = settled {
            self.outbox_writer.mark_replicated(row);
        }
        let oldest = self.backlog.oldest_submitted_at();
        self.shared
            .queue
            .note_acknowledged(count_writes(&items), oldest);
        self.shared.acknowledge(items, fate);
        if self.backlog.is_empty() {
            self.outbox_writer.remove_replicated(&self.shared);
        }
    }

    /// Ends: what no primary took stays in the outbox. It stays pending too, so that this process can read
    /// it.
    fn finish(mut self) {
        while let Some(batch) = self.shared.queue.take_ready() {
            self.backlog.push(UnacknowledgedBatch::new(batch));
        }
        if self.backlog.is_empty() {
            return;
        }
        self.outbox_writer.save_now(&mut self.backlog, &self.shared);
        let (mut kept, mut given_up) = (0, 0);
        for batch in self.backlog.batches_mut() {
            let fate = result_at_close(batch);
            let writes = count_writes(&batch.items);
            match fate {
                WriteError::SavedToOutbox => kept += writes,
                _ => given_up += writes,
            }
            for item in std::mem::take(&mut batch.items) {
                item.acknowledge(Err(fate));
            }
        }
        self.shared.given_up.fetch_add(given_up, Ordering::SeqCst);
        self.shared.queue.note_acknowledged(kept + given_up, None);
        if kept > 0 {
            tracing::warn!(
                writes = kept,
                "closed while no primary took writes: they are in the outbox, and proposed at the next start"
            );
        }
        if given_up > 0 {
            tracing::error!(
                writes = given_up,
                "closed while the outbox failed: writes are lost"
            );
        }
    }
}

fn metric_label(answer: Result<Position, ProposeError>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(ProposeError::NoPrimary) => "no_primary",
        Err(ProposeError::TimedOut) => "timed_out",
        Err(ProposeError::Rejected) => "refused",
    }
}
