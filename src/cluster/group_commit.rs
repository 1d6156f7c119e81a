//! The primary collects the batches of all instances: several batches become one entry of the log, which
//! costs one fsync on each disk and one transaction.
//!
//! A batch that arrives while no entry is under way is proposed at once. Other batches are collected for the
//! next entry, which is proposed when no entry is under way, after [`BATCH_WAIT_MAX`], or when it is full.

use super::commit_queue::Proposal;
use super::node_context::NodeContext;
use super::wire::ForwardResult;
use calldex_observability::catalog;
use calldex_storage::replication::{EntryBatches, TypeConfig};
use openraft::raft::ClientWriteResult;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What the first batch of an entry waits for company while others are under way, at most.
const BATCH_WAIT_MAX: Duration = Duration::from_millis(10);
/// Writes in one entry, unless one batch alone has more.
const ENTRY_WRITES_MAX: usize = 500;
/// Bytes in one entry, unless one batch alone is longer.
const ENTRY_BYTES_MAX: usize = 1024 * 1024;
/// Entries under way at once. At the bound batches wait for the next entry.
const ENTRIES_IN_FLIGHT_MAX: usize = 4;
/// From a proposal to its place on a majority, and applied here, unless there is another primary
/// before: a disk may be that slow. Later nobody waits for it. Shorter than a forwarded batch is
/// waited for (`forward::FORWARD_MAX`).
pub(super) const COMMIT_MAX: Duration = Duration::from_secs(20);

/// What waits for the next entry.
#[derive(Default)]
struct PendingEntry {
    proposals: Vec<Proposal>,
    writes: usize,
    bytes: usize,
    since: Option<Instant>,
}

impl PendingEntry {
    fn add(&mut self, proposal: Proposal, now: Instant) {
        self.writes += proposal.writes;
        self.bytes += proposal.batch.len();
        self.since.get_or_insert(now);
        self.proposals.push(proposal);
    }

    fn is_full(&self) -> bool {
        self.writes >= ENTRY_WRITES_MAX || self.bytes >= ENTRY_BYTES_MAX
    }

    /// Whether `writes` of `bytes` would still fit, or nothing is there yet.
    fn fits(&self, proposal: &Proposal) -> bool {
        self.proposals.is_empty()
            || (self.writes + proposal.writes <= ENTRY_WRITES_MAX
                && self.bytes + proposal.batch.len() <= ENTRY_BYTES_MAX)
    }

    /// When it goes at the latest.
    fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + BATCH_WAIT_MAX)
    }

    /// Whether it goes now, with so many entries `under_way`.
    fn is_ready(&self, under_way: usize, now: Instant) -> bool {
        let is_due = self.deadline().is_some_and(|due| due <= now);
        !self.proposals.is_empty()
            && under_way < ENTRIES_IN_FLIGHT_MAX
            && (under_way == 0 || self.is_full() || is_due)
    }
}

/// Makes entries of what comes in, until the way in is closed.
pub(super) async fn run_group_commit(
    context: Arc<NodeContext>,
    mut proposals: mpsc::Receiver<Proposal>,
) {
    let mut waiting = PendingEntry::default();
    let mut next: Option<Proposal> = None;
    let mut under_way = JoinSet::new();
    loop {
        let can_go = !waiting.proposals.is_empty() && under_way.len() < ENTRIES_IN_FLIGHT_MAX;
        let due = waiting.deadline().unwrap_or_else(Instant::now);
        tokio::select! {
            proposal = proposals.recv(), if next.is_none() && !waiting.is_full() => {
                match proposal {
                    Some(proposal) => next = Some(proposal),
                    None => return,
                }
            }
            _ = under_way.join_next(), if !under_way.is_empty() => {}
            () = tokio::time::sleep_until(due), if can_go => {}
        }
        let now = Instant::now();
        loop {
            // Whatever has come already goes with the first.
            while let Some(proposal) = next.take().or_else(|| proposals.try_recv().ok()) {
                if !waiting.fits(&proposal) {
                    next = Some(proposal);
                    break;
                }
                waiting.add(proposal, now);
            }
            // One that does not fit means that the entry is as full as it gets.
            let is_closed = next.is_some() && under_way.len() < ENTRIES_IN_FLIGHT_MAX;
            if !is_closed && !waiting.is_ready(under_way.len(), now) {
                break;
            }
            let entry = std::mem::take(&mut waiting);
            if let Some(commit) = propose(&context, entry).await {
                under_way.spawn(commit);
            }
        }
    }
}

/// Hands an entry to the engine, in order; what remains is to wait for it.
async fn propose(
    context: &Arc<NodeContext>,
    entry: PendingEntry,
) -> Option<impl Future<Output = ()> + use<>> {
    let answer_all = |taken: ForwardResult, proposals: Vec<Proposal>| {
        for proposal in proposals {
            // Who has given up does not listen.
            let _ = proposal.answer.send(taken.clone());
        }
    };
    let Some(raft) = context.raft_if_primary() else {
        answer_all(
            ForwardResult::NotPrimary(context.primary_hint()),
            entry.proposals,
        );
        return None;
    };
    catalog::CLUSTER_ENTRY_WRITES.record(entry.writes as f64);
    let batches = entry
        .proposals
        .iter()
        .map(|proposal| proposal.batch.clone());
    let Ok(committed) = raft.client_write_ff(EntryBatches(batches.collect())).await else {
        answer_all(ForwardResult::Busy, entry.proposals);
        return None;
    };
    let context = Arc::clone(context);
    Some(async move {
        let taken = tokio::select! {
            committed = tokio::time::timeout(COMMIT_MAX, committed) => match committed {
                Ok(Ok(result)) => to_forward_result(&context, result),
                // The engine stopped, or no majority answers: it may still land.
                Ok(Err(_)) | Err(_) => ForwardResult::TimedOut,
            },
            // Which may have the entry, or may not.
            () = context.wait_other_primary(Some(context.node_id)) => ForwardResult::TimedOut,
        };
        answer_all(taken, entry.proposals);
    })
}

fn to_forward_result(
    context: &NodeContext,
    result: ClientWriteResult<TypeConfig>,
) -> ForwardResult {
    match result {
        Ok(response) => ForwardResult::Committed(response.data.position),
        Err(_) => ForwardResult::NotPrimary(context.primary_hint()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(sizes: &[(usize, usize)], since: Instant) -> PendingEntry {
        let mut waiting = PendingEntry::default();
        for (writes, bytes) in sizes {
            waiting.add(Proposal::of_size(*writes, *bytes), since);
        }
        waiting
    }

    #[test]
    fn an_entry_goes_at_once_where_none_is_under_way() {
        let now = Instant::now();
        assert!(waiting(&[(1, 10)], now).is_ready(0, now));
        assert!(!waiting(&[], now).is_ready(0, now));
    }

    #[test]
    fn behind_another_it_waits_until_it_is_full_or_due() {
        let now = Instant::now();
        assert!(!waiting(&[(499, 10)], now).is_ready(1, now));
        assert!(waiting(&[(500, 10)], now).is_ready(1, now));
        assert!(waiting(&[(1, ENTRY_BYTES_MAX)], now).is_ready(1, now));
        assert!(waiting(&[(1, 10)], now).is_ready(1, now + BATCH_WAIT_MAX));
        assert!(!waiting(&[(500, 10)], now).is_ready(ENTRIES_IN_FLIGHT_MAX, now + BATCH_WAIT_MAX));
    }

    #[test]
    fn a_batch_that_is_large_alone_goes_alone() {
        let now = Instant::now();
        let large = Proposal::of_size(2_000, 3 * ENTRY_BYTES_MAX);
        assert!(waiting(&[], now).fits(&large));
        assert!(!waiting(&[(1, 1)], now).fits(&large));
    }
}
