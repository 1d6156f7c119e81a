//! When the whole database is next offered to a member that could not take it: each refusal and each copy
//! that was not installed lengthens the pause before the next.

use calldex_storage::replication::NodeId;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After a refusal, which has cost a question: at first, and at most. A member that has room again waits no
/// longer than that.
const REFUSED_MIN: Duration = Duration::from_millis(500);
const REFUSED_MAX: Duration = Duration::from_secs(30);
/// After a copy that was made and not installed, which has cost a reading and a writing of the whole
/// database: at first, and at most.
const FAILED_MIN: Duration = Duration::from_secs(1);
const FAILED_MAX: Duration = Duration::from_secs(300);

#[derive(Debug)]
struct SnapshotBackoff {
    until: Instant,
    pause: Duration,
    why: String,
}

/// See the module. One for all engines of this process, so that neither a change of the members nor a new
/// start of the engine begins the pauses anew.
#[derive(Debug, Default)]
pub(super) struct SnapshotBackoffs(Mutex<HashMap<NodeId, SnapshotBackoff>>);

impl SnapshotBackoffs {
    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, SnapshotBackoff>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before that nothing is offered to `node_id`.
    pub(super) fn until(&self, node_id: NodeId) -> Option<Instant> {
        self.lock().get(&node_id).map(|backoff| backoff.until)
    }

    /// It was refused, because `why`, and asks for a pause of at least `wanted`. Returns whether the reason differs from the last one.
    pub(super) fn record_refusal(
        &self,
        node_id: NodeId,
        why: &str,
        wanted: Duration,
        now: Instant,
    ) -> bool {
        let bounds = (REFUSED_MIN.max(wanted.min(REFUSED_MAX)), REFUSED_MAX);
        self.lengthen(node_id, why, bounds, now)
    }

    /// Records a copy that was not installed. Returns whether the reason differs from the last one.
    pub(super) fn record_failure(&self, node_id: NodeId, why: &str, now: Instant) -> bool {
        self.lengthen(node_id, why, (FAILED_MIN, FAILED_MAX), now)
    }

    fn lengthen(
        &self,
        node_id: NodeId,
        why: &str,
        (min, max): (Duration, Duration),
        now: Instant,
    ) -> bool {
        let mut all = self.lock();
        let before = all.get(&node_id);
        let pause = before.map_or(min, |before| (before.pause * 2).clamp(min, max));
        let is_news = before.is_none_or(|before| before.why != why);
        let backoff = SnapshotBackoff {
            until: now + pause,
            pause,
            why: why.to_owned(),
        };
        all.insert(node_id, backoff);
        is_news
    }

    /// It was installed.
    pub(super) fn clear(&self, node_id: NodeId) {
        self.lock().remove(&node_id);
    }

    /// Forgets whoever is no member.
    pub(super) fn retain_members(&self, is_member: impl Fn(NodeId) -> bool) {
        self.lock().retain(|node_id, _| is_member(*node_id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = 7;

    #[test]
    fn refusals_and_copies_in_vain_come_ever_more_seldom_and_within_bounds() {
        let now = Instant::now();
        let snapshot_backoffs = SnapshotBackoffs::default();
        let pause =
            |snapshot_backoffs: &SnapshotBackoffs| snapshot_backoffs.until(NODE).unwrap() - now;
        assert!(snapshot_backoffs.record_refusal(NODE, "full", Duration::ZERO, now));
        assert_eq!(pause(&snapshot_backoffs), REFUSED_MIN);
        for _ in 0..10 {
            assert!(
                !snapshot_backoffs.record_refusal(NODE, "full", Duration::ZERO, now),
                "no news"
            );
        }
        assert_eq!(pause(&snapshot_backoffs), REFUSED_MAX);
        assert!(snapshot_backoffs.record_failure(NODE, "it broke off", now));
        for _ in 0..10 {
            snapshot_backoffs.record_failure(NODE, "it broke off", now);
        }
        assert_eq!(pause(&snapshot_backoffs), FAILED_MAX);
        // Room again: what it costs to ask is asked soon.
        snapshot_backoffs.record_refusal(NODE, "full", Duration::ZERO, now);
        assert_eq!(pause(&snapshot_backoffs), REFUSED_MAX);
        snapshot_backoffs.clear(NODE);
        assert!(snapshot_backoffs.until(NODE).is_none());
    }

    #[test]
    fn a_member_may_ask_for_a_longer_pause_within_the_bound() {
        let now = Instant::now();
        let snapshot_backoffs = SnapshotBackoffs::default();
        snapshot_backoffs.record_refusal(NODE, "full", Duration::from_secs(5), now);
        assert_eq!(
            snapshot_backoffs.until(NODE),
            Some(now + Duration::from_secs(5))
        );
        snapshot_backoffs.record_refusal(8, "full", Duration::from_secs(5_000), now);
        assert_eq!(snapshot_backoffs.until(8), Some(now + REFUSED_MAX));
        snapshot_backoffs.retain_members(|node_id| node_id == 8);
        assert!(snapshot_backoffs.until(NODE).is_none() && snapshot_backoffs.until(8).is_some());
    }
}
