//! The log is kept for replicas that fall behind, up to its bound in bytes, and never removed before
//! the database has it on disk for good.
//!
//! Right after founding the log is purged once, whatever its size: from then on whoever joins takes
//! the database itself, and nobody builds it from entries alone, which would not hold what an adopted
//! one had before.

use super::node_context::{Metrics, NodeContext, Raft};
use calldex_observability::worker::{RoundResult, WorkerProgress};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How often the size is looked at.
pub(super) const PERIOD: Duration = Duration::from_secs(1);
/// What is left of a full log: the rest is purged at once, so that it is not done for every entry.
const KEPT_PERCENT: u64 = 75;
/// What making a snapshot may take before it is looked at again.
const SNAPSHOT_MAX: Duration = Duration::from_secs(10 * 60);
/// The engine does not run.
const NO_ENGINE: &str = "the engine has stopped";
/// The founding entry, and the first of the first primary.
pub(super) const FOUNDED_INDEX: u64 = 1;

/// Purges what is to go, once.
pub(super) async fn round(context: Arc<NodeContext>) -> RoundResult {
    let (Some(raft), Some(metrics)) = (context.raft(), context.metrics()) else {
        return Ok(WorkerProgress::Done);
    };
    let bytes = context.replica.log_bytes();
    let bytes_max = context.section.log_bytes_max;
    match purge_index(&LogExtent::of(&metrics), bytes, bytes_max) {
        Some(upto) => purge(&context, &raft, upto).await,
        None => Ok(WorkerProgress::Done),
    }
}

/// The log's ends.
#[derive(Clone, Copy, Debug)]
struct LogExtent {
    /// Last entry that is gone.
    purged: Option<u64>,
    last: Option<u64>,
    applied: Option<u64>,
}

impl LogExtent {
    fn of(metrics: &Metrics) -> Self {
        Self {
            purged: metrics.purged.map(|log_id| log_id.index),
            last: metrics.last_log_index,
            applied: metrics.last_applied.map(|log_id| log_id.index),
        }
    }
}

/// The entry up to which the log is to go, if any of it is: of `bytes` all but [`KEPT_PERCENT`] of
/// `bytes_max`, and nothing that is not applied.
fn purge_index(log: &LogExtent, bytes: u64, bytes_max: u64) -> Option<u64> {
    let (last, applied) = (log.last?, log.applied?);
    let first = log.purged.map_or(0, |purged| purged + 1);
    if log.purged < Some(FOUNDED_INDEX) {
        return (applied >= FOUNDED_INDEX).then_some(applied);
    }
    if bytes <= bytes_max || last < first {
        return None;
    }
    let entries = last - first + 1;
    let kept_bytes = bytes_max / 100 * KEPT_PERCENT;
    let kept = u128::from(entries) * u128::from(kept_bytes) / u128::from(bytes);
    let kept = u64::try_from(kept).unwrap_or(entries).clamp(1, entries);
    let upto = (last - kept).min(applied);
    (upto >= first).then_some(upto)
}

async fn purge(context: &NodeContext, raft: &Raft, upto: u64) -> RoundResult {
    // The engine lets go only of what a snapshot has; making one also makes the database durable.
    let has_snapshot =
        |metrics: &Metrics| metrics.snapshot.is_some_and(|log_id| log_id.index >= upto);
    let mut metrics = raft.metrics();
    if !has_snapshot(&metrics.borrow()) && raft.trigger().snapshot().await.is_err() {
        return Err(NO_ENGINE.to_owned());
    }
    if timeout(SNAPSHOT_MAX, metrics.wait_for(has_snapshot))
        .await
        .is_err()
    {
        tracing::warn!("a snapshot takes very long: the log grows meanwhile");
        return Err("a snapshot takes very long".to_owned());
    }
    let Some(durable) = context.replica.durable_index() else {
        return Ok(WorkerProgress::Done);
    };
    let upto = upto.min(durable);
    if raft.trigger().purge_log(upto).await.is_err() {
        return Err(NO_ENGINE.to_owned());
    }
    tracing::debug!(upto, "the log is purged");
    Ok(WorkerProgress::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn log(purged: Option<u64>, last: u64, applied: Option<u64>) -> LogExtent {
        LogExtent {
            purged,
            last: Some(last),
            applied,
        }
    }

    #[test]
    fn after_founding_it_is_purged_once_when_that_is_applied() {
        assert_eq!(purge_index(&log(None, 1, None), 1, MIB), None);
        assert_eq!(purge_index(&log(None, 1, Some(0)), 1, MIB), None);
        assert_eq!(purge_index(&log(None, 9, Some(5)), 1, MIB), Some(5));
        assert_eq!(purge_index(&log(Some(1), 9, Some(5)), 1, MIB), None);
    }

    #[test]
    fn a_full_log_is_cut_to_three_quarters() {
        let cut = purge_index(&log(Some(1), 1_001, Some(1_001)), 2 * MIB, MIB).unwrap();
        // 375 of 1,000 entries stay.
        assert!((620..=630).contains(&cut), "{cut}");
    }

    #[test]
    fn nothing_goes_that_is_not_applied_and_one_entry_always_stays() {
        let full =
            |purged, last, applied| purge_index(&log(purged, last, Some(applied)), 9 * MIB, MIB);
        assert_eq!(full(Some(1), 1_001, 40), Some(40));
        assert_eq!(full(Some(40), 1_001, 40), None);
        assert_eq!(full(Some(1), 2, 2), None);
        assert_eq!(full(Some(9), 9, 9), None);
    }
}
