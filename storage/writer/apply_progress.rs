//! Publishes how far this instance's database is applied, and the results of claims.

use crate::record::Position;
use crate::write::{AppliedWrites, ClaimResult};
use calldex_observability::catalog;
use std::time::Duration;
use tokio::sync::{broadcast, watch};

/// Claim results that a slow reader of [`crate::Storage::claim_results`] may be behind. Beyond it the oldest
/// are dropped for that reader, which is told so.
pub const CLAIM_RESULTS_BEHIND_MAX: usize = 4_096;

/// See the module.
pub(crate) struct ApplyProgress {
    applied: watch::Sender<Position>,
    claim_results: broadcast::Sender<ClaimResult>,
}

impl ApplyProgress {
    /// A database opened at `position`.
    pub(crate) fn at(position: Position) -> Self {
        Self {
            applied: watch::Sender::new(position),
            claim_results: broadcast::Sender::new(CLAIM_RESULTS_BEHIND_MAX),
        }
    }

    /// Tells what was applied; the caches show it already.
    pub(crate) fn publish(&self, applied: &AppliedWrites) {
        for claim_result in &applied.claim_results {
            // Nobody listens: nobody has a live call.
            let _ = self.claim_results.send(claim_result.clone());
        }
        self.applied.send_if_modified(|position| {
            let is_further = applied.position > *position;
            *position = applied.position.max(*position);
            is_further
        });
    }

    /// The position that is applied.
    pub(crate) fn applied(&self) -> Position {
        *self.applied.borrow()
    }

    /// Waits until `position` is applied, `deadline` at most. Whether it is.
    pub(crate) async fn wait(&self, position: Position, deadline: Duration) -> bool {
        if self.applied() >= position {
            catalog::POSITION_WAITS_TOTAL
                .with("already_applied")
                .increment(1);
            return true;
        }
        let mut applied = self.applied.subscribe();
        let there = applied.wait_for(|applied| *applied >= position);
        let is_there = matches!(tokio::time::timeout(deadline, there).await, Ok(Ok(_)));
        let result = if is_there { "applied" } else { "timed_out" };
        catalog::POSITION_WAITS_TOTAL.with(result).increment(1);
        is_there
    }

    /// What comes of claims from now on.
    pub(crate) fn claim_results(&self) -> broadcast::Receiver<ClaimResult> {
        self.claim_results.subscribe()
    }
}
