//! The proposing thread of an instance among several: takes batches as the writer of a single one
//! does, gives them to the primary one after the other, and keeps them in the outbox while there is
//! none.

use super::backlog::{Backlog, Held};
use super::failure::{Cause, NO_ANSWER, NO_PRIMARY};
use super::keeping::{Keeping, fate_at_close};
use super::line::Line;
use super::queue::writes_in;
use super::{NotDurable, Position, Shared};
use crate::pauses::Pauses;
use crate::replication::{Kept, Outbox, PROPOSAL_BYTES_MAX, ProposeError};
use crate::write::Origin;
use bytes::Bytes;
use calldex_observability::catalog;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long an answer is waited for while nothing says that the primary is gone (that its connection
/// broke, or that there is another), milliseconds. A slow disk is no reason to propose again: that would
/// only give it more to write. Then the batch, which may still land, is proposed again all the same.
/// Longer than the primary itself waits for its log, and than its answer may be on its way.
pub const PROPOSE_MS_MAX: u64 = 30_000;
/// From when on an answer that has not come counts as trouble, milliseconds.
const UNANSWERED_MS: u64 = 1_000;
/// From when on a batch that is on its way, or waits behind others, is kept in the outbox too, with all
/// that came after it, milliseconds: what a crash can take is not older.
pub const KEEP_AFTER_MS: u64 = 100;
/// How often what has come meanwhile is kept.
const STEP: Duration = Duration::from_millis(20);
/// First pause after a proposal that failed; each further one doubles.
const RETRY_MIN: Duration = Duration::from_millis(20);
/// Longest pause between two proposals: an election takes a second, and what waits should not wait
/// for much more.
const RETRY_MAX: Duration = Duration::from_millis(250);

/// How long a primary is still looked for when closing has begun and everything is in the outbox,
/// milliseconds: about an election.
const CLOSING_MS_MAX: u64 = 1_000;

/// See the module.
pub(crate) struct Forwarder {
    shared: Arc<Shared>,
    line: Arc<Line>,
    keeping: Keeping,
    backlog: Backlog,
    /// What goes into the log next: the last one's origin, counted on.
    origin: Origin,
    /// A proposal that may still land: it is proposed again as it is, under its number.
    unsettled: Option<Proposal>,
    pauses: Pauses,
    /// Since when, closing having begun, no proposal has been taken.
    in_vain_since: Option<Instant>,
}

/// The first batches of the backlog, on their way.
struct Proposal {
    /// How many of them.
    count: usize,
    number: u64,
    batch: Bytes,
    writes: usize,
    /// Whether an earlier attempt may have been heard.
    may_land: bool,
}

impl Forwarder {
    /// With `waiting`, what the outbox held: it is pending when this returns. The proposals are those
    /// of the `start` of node `node_id`.
    pub(crate) fn new(
        (node_id, start): (u64, u64),
        shared: Arc<Shared>,
        line: Arc<Line>,
        outbox: Outbox,
        waiting: Vec<Kept>,
    ) -> Self {
        let mut keeping = Keeping::new(outbox);
        let backlog = keeping.take_up(waiting, &shared);
        Self {
            shared,
            line,
            keeping,
            backlog,
            origin: Origin {
                node_id,
                start,
                number: 0,
            },
            unsettled: None,
            pauses: Pauses::new(RETRY_MIN, RETRY_MAX),
            in_vain_since: None,
        }
    }

    /// Runs until the queue is closed and everything is proposed, or until it is shut: what is left
    /// is then in the outbox.
    pub(crate) fn run(mut self) {
        while self.has_more() && !self.shared.queue.is_shut() && !self.is_in_vain() {
            self.keep_what_is_old();
            let Some(mut proposal) = self.unsettled.take().or_else(|| self.next_proposal()) else {
                continue;
            };
            match self.propose(&proposal) {
                Ok(position) => self.settle(proposal.count, Ok(position)),
                Err(ProposeError::Refused) => self.refuse(proposal.count),
                Err(ProposeError::TimedOut) => {
                    proposal.may_land = true;
                    self.unsettled = Some(proposal);
                    self.rest();
                }
                Err(ProposeError::NoPrimary) => {
                    // One that was on its way before may have landed then.
                    self.unsettled = Some(proposal).filter(|proposal| proposal.may_land);
                    self.rest();
                }
            }
        }
        self.leave();
    }

    fn has_more(&mut self) -> bool {
        if self.backlog.is_empty() {
            let batch = self.shared.queue.take();
            batch
                .into_iter()
                .for_each(|batch| self.backlog.push(Held::new(batch)));
        }
        !self.backlog.is_empty()
    }

    /// Whether closing goes on without a primary: everything is kept, and it was looked for long enough.
    fn is_in_vain(&mut self) -> bool {
        let bound = Duration::from_millis(CLOSING_MS_MAX);
        let is_long = self
            .in_vain_since
            .is_some_and(|since| since.elapsed() >= bound);
        is_long && !self.backlog.all().any(|held| held.is_unkept())
    }

    /// The next proposal. Marks need no primary: what was before them is acknowledged, and so are they.
    /// One that is too long is cut.
    fn next_proposal(&mut self) -> Option<Proposal> {
        let count = self.backlog.next_count();
        self.origin.number += 1;
        let Some((batch, writes)) = self.backlog.encode(count, self.origin) else {
            let durable = self.shared.durable.load(Ordering::Acquire);
            self.settle(count, Ok(durable));
            return None;
        };
        if batch.len() > PROPOSAL_BYTES_MAX && writes > 1 {
            self.refuse(count);
            return None;
        }
        Some(Proposal {
            count,
            number: self.origin.number,
            batch: batch.into(),
            writes,
            may_land: false,
        })
    }

    /// Proposes it once.
    fn propose(&mut self, proposal: &Proposal) -> Result<Position, ProposeError> {
        let begun = Instant::now();
        let answer = self.ask(proposal, begun);
        if answer.is_ok() {
            catalog::CLUSTER_COMMIT_SECONDS.record(begun.elapsed().as_secs_f64());
        }
        catalog::FORWARDED_BATCHES_TOTAL
            .with(label(answer))
            .increment(1);
        self.note(answer);
        answer
    }

    /// Waits for the answer, or until this instance has applied it; what takes long is kept meanwhile,
    /// with what comes after it.
    fn ask(&mut self, proposal: &Proposal, begun: Instant) -> Result<Position, ProposeError> {
        let batch = proposal.batch.clone();
        let question = self.line.ask(proposal.number, batch, proposal.writes)?;
        loop {
            if let Some(answer) = question.wait(STEP) {
                return answer;
            }
            let waited = begun.elapsed();
            let is_closing = self.shared.queue.is_closing();
            if waited >= Duration::from_millis(KEEP_AFTER_MS) || is_closing {
                self.keep();
            }
            if waited >= Duration::from_millis(UNANSWERED_MS) {
                self.degrade(NO_ANSWER);
            }
            if is_closing {
                self.in_vain_since.get_or_insert_with(Instant::now);
            }
            let is_over = waited >= Duration::from_millis(PROPOSE_MS_MAX);
            if is_over || self.shared.queue.is_shut() || self.is_in_vain() {
                return Err(ProposeError::TimedOut);
            }
        }
    }

    /// What waits behind others that are answered quickly is not in memory alone for longer either.
    fn keep_what_is_old(&mut self) {
        let waiting = || self.shared.queue.waiting_since();
        let since = self.backlog.unkept_since().or_else(waiting);
        if since.is_some_and(|since| since.elapsed() >= Duration::from_millis(KEEP_AFTER_MS)) {
            self.keep();
        }
    }

    /// Puts what is held, and what has come meanwhile, into the outbox.
    fn keep(&mut self) {
        while let Some(batch) = self.shared.queue.take_ready() {
            self.backlog.push(Held::new(batch));
        }
        self.keeping.keep(&mut self.backlog, &self.shared);
    }

    /// A pause after a proposal that failed, during which everything that comes is kept.
    fn rest(&mut self) {
        let end = Instant::now() + self.pauses.lengthen();
        loop {
            self.keep();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.shared.queue.pause(left.min(STEP)) {
                return;
            }
        }
    }

    fn note(&mut self, answer: Result<Position, ProposeError>) {
        match answer {
            Ok(_) | Err(ProposeError::Refused) => {
                self.pauses.reset();
                self.in_vain_since = None;
                if self.shared.degraded.set_of(Cause::Primary, None) {
                    tracing::info!("the primary takes writes again: what waited is proposed");
                }
            }
            Err(ProposeError::NoPrimary) => self.degrade(NO_PRIMARY),
            Err(ProposeError::TimedOut) => self.degrade(NO_ANSWER),
        }
        if answer.is_err() && self.shared.queue.is_closing() {
            self.in_vain_since.get_or_insert_with(Instant::now);
        }
    }

    fn degrade(&self, kind: &'static str) {
        if self.shared.degraded.set_of(Cause::Primary, Some(kind)) {
            tracing::warn!(kind, "no primary takes writes: they wait in the outbox");
        }
    }

    /// A proposal that will never be taken as it is: in smaller ones, and the one write that is at
    /// fault is set aside.
    fn refuse(&mut self, count: usize) {
        if self.backlog.cut(count) {
            return;
        }
        if !self.keeping.keep_refused(&mut self.backlog, &self.shared) {
            self.rest();
            return;
        }
        let kind = self.backlog.first_kind();
        catalog::WRITES_SET_ASIDE_TOTAL.with("kept").increment(1);
        tracing::error!(kind, "a write is set aside: the primary refuses it");
        catalog::WRITE_FAILURES_TOTAL.with("other").increment(1);
        self.settle(count, Err(NotDurable::Refused));
    }

    fn settle(&mut self, count: usize, fate: Result<Position, NotDurable>) {
        let (parts, settled) = self.backlog.take(count);
        if let Some(row) = settled {
            self.keeping.settle(row);
        }
        let oldest = self.backlog.oldest();
        self.shared.queue.acknowledged(writes_in(&parts), oldest);
        self.shared.conclude(parts, fate);
        if self.backlog.is_empty() {
            self.keeping.clear(&self.shared);
        }
    }

    /// The end: what no primary took stays in the outbox. It stays among the pending too: this process
    /// still knows of it.
    fn leave(mut self) {
        while let Some(batch) = self.shared.queue.take_ready() {
            self.backlog.push(Held::new(batch));
        }
        if self.backlog.is_empty() {
            return;
        }
        self.keeping.keep_now(&mut self.backlog, &self.shared);
        let (mut kept, mut given_up) = (0, 0);
        for held in self.backlog.all() {
            let fate = fate_at_close(held);
            let writes = writes_in(&held.parts);
            match fate {
                NotDurable::Kept => kept += writes,
                _ => given_up += writes,
            }
            for part in std::mem::take(&mut held.parts) {
                part.acknowledge(Err(fate));
            }
        }
        self.shared.given_up.fetch_add(given_up, Ordering::SeqCst);
        self.shared.queue.acknowledged(kept + given_up, None);
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

fn label(answer: Result<Position, ProposeError>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(ProposeError::NoPrimary) => "no_primary",
        Err(ProposeError::TimedOut) => "timed_out",
        Err(ProposeError::Refused) => "refused",
    }
}
