//! Who answers: what the pings to every member have shown.

use super::quorum_confirmation::QuorumConfirmations;
use super::wire::Pong;
use calldex_storage::Position;
use calldex_storage::record::StateDigest;
use calldex_storage::replication::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Pings in a row without an answer after which a member counts as gone. One may be lost, and after a
/// pause of our own one is surely late.
const MISSED_PINGS_MAX: u32 = 3;

/// The runtime of an instance's calls may stand still for so long before its calls count as lost: none of
/// them hears or says anything meanwhile. On a machine that is busy it may take a second or two to be
/// scheduled.
const CALL_RUNTIME_STALL_MAX: Duration = Duration::from_secs(5);

/// What is known of one member.
#[derive(Clone, Debug)]
pub(super) struct PeerHealth {
    /// Its last answer.
    pub(super) pong: Option<Pong>,
    /// When that came.
    answered_at: Option<Instant>,
    missed: u32,
    /// Of the first ping in a row that got no answer.
    silent_since: Option<Instant>,
}

impl PeerHealth {
    /// Whether it answers.
    pub(super) fn is_reachable(&self) -> bool {
        self.pong.is_some() && self.missed < MISSED_PINGS_MAX
    }

    /// Whether it answers, and its engine runs.
    pub(super) fn engine_running(&self) -> bool {
        self.is_reachable() && self.pong.as_ref().is_some_and(|pong| pong.engine_running)
    }

    /// Whether a call can go on there: it takes part, and it takes calls.
    pub(super) fn accepts_calls(&self) -> bool {
        self.engine_running() && self.pong.as_ref().is_some_and(|pong| pong.accepts_calls)
    }

    /// Since when its calls have been lost, if they are: it is gone, or the runtime of its calls does not
    /// move, though the one that answers pings does.
    pub(super) fn calls_lost_since(&self) -> Option<Instant> {
        let stuck = Duration::from_millis(self.pong.as_ref()?.call_runtime_stalled_ms);
        let stuck = (stuck >= CALL_RUNTIME_STALL_MAX).then_some(stuck);
        self.unreachable_since()
            .or_else(|| self.answered_at?.checked_sub(stuck?))
    }

    /// Since when it has been gone, if it is.
    pub(super) fn unreachable_since(&self) -> Option<Instant> {
        self.silent_since
            .filter(|_| self.missed >= MISSED_PINGS_MAX)
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct PeerHealthTable {
    peers: Mutex<BTreeMap<NodeId, PeerHealth>>,
    /// Members whose database is not this one's, and at which entry that was seen first.
    differing: Mutex<BTreeMap<NodeId, Position>>,
    /// What this instance says of itself: it takes calls.
    pub(super) accepts_calls: AtomicBool,
    /// Where it is primary: a majority has answered.
    pub(super) confirmations: QuorumConfirmations<Option<Position>>,
}

impl PeerHealthTable {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, PeerHealth>> {
        lock(&self.peers)
    }

    /// A member answered.
    pub(super) fn record_pong(&self, pong: Pong) {
        let node_id = pong.node_id;
        let seen = PeerHealth {
            missed: 0,
            silent_since: None,
            answered_at: Some(Instant::now()),
            pong: Some(pong),
        };
        self.lock().insert(node_id, seen);
    }

    /// A member did not answer a ping that was sent at `at`.
    pub(super) fn record_missed_ping(&self, node_id: NodeId, at: Instant) {
        let mut all = self.lock();
        let seen = all.entry(node_id).or_insert(PeerHealth {
            pong: None,
            answered_at: None,
            missed: 0,
            silent_since: None,
        });
        seen.missed = seen.missed.saturating_add(1);
        seen.silent_since.get_or_insert(at);
    }

    /// Holds what a member has applied against what this instance has, `of_this_binary` at the same entry. Whether it is
    /// news that they differ: the databases of both went the same way, and one of them did not.
    pub(super) fn compare_digest(
        &self,
        pong: &Pong,
        own: impl Fn(Position) -> Option<StateDigest>,
    ) -> bool {
        let Some((position, digest)) = pong.digest else {
            return false;
        };
        let Some(own) = own(position) else {
            return false;
        };
        let mut differing = lock(&self.differing);
        if own == digest {
            differing.remove(&pong.node_id);
            return false;
        }
        let is_news = !differing.contains_key(&pong.node_id);
        differing.entry(pong.node_id).or_insert(position);
        is_news
    }

    /// Members whose database is not this one's, and at which entry that was seen first.
    pub(super) fn differing(&self) -> BTreeMap<NodeId, Position> {
        lock(&self.differing).clone()
    }

    /// Forgets whoever is none of `members`.
    pub(super) fn retain_members(&self, members: &BTreeSet<NodeId>) {
        self.lock().retain(|node_id, _| members.contains(node_id));
        lock(&self.differing).retain(|node_id, _| members.contains(node_id));
    }

    /// What is known of `node_id`.
    pub(super) fn get(&self, node_id: NodeId) -> Option<PeerHealth> {
        self.lock().get(&node_id).cloned()
    }

    /// Whether `node_id` answers.
    pub(super) fn is_reachable(&self, node_id: NodeId) -> bool {
        self.lock()
            .get(&node_id)
            .is_some_and(PeerHealth::is_reachable)
    }
}

fn lock<T>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::wire::BuildInfo;
    use calldex_storage::replication::Member;

    fn pong(node_id: NodeId) -> Pong {
        Pong {
            node_id,
            member: Member::default(),
            voter: true,
            position: 0,
            committed: 0,
            engine_running: true,
            is_primary: false,
            sender_is_member: None,
            accepts_calls: true,
            build: BuildInfo::of_this_binary(),
            call_runtime_stalled_ms: 0,
            digest: None,
        }
    }

    #[test]
    fn a_member_with_another_digest_at_the_same_entry_differs_until_it_is_seen_to_be_the_same() {
        let reach = PeerHealthTable::default();
        let [one, other] = [b"one", b"two"].map(|entry| StateDigest::START.next(entry, &[]));
        let told = |digest| Pong {
            digest: Some((40, digest)),
            ..pong(7)
        };
        assert!(
            !reach.compare_digest(&told(one), |_| None),
            "not applied here, or long ago"
        );
        assert!(!reach.compare_digest(&told(one), |_| Some(one)));
        assert!(
            reach.compare_digest(&told(other), |_| Some(one)),
            "that is news"
        );
        assert!(
            !reach.compare_digest(&told(other), |_| Some(one)),
            "and then it is none"
        );
        assert_eq!(reach.differing(), BTreeMap::from([(7, 40)]));
        // It took a whole database.
        assert!(!reach.compare_digest(&told(one), |_| Some(one)));
        assert!(reach.differing().is_empty());
        reach.compare_digest(&told(other), |_| Some(one));
        reach.retain_members(&BTreeSet::new());
        assert!(reach.differing().is_empty(), "it was removed");
    }

    #[test]
    fn an_instance_that_answers_with_a_runtime_of_calls_that_stands_still_has_lost_its_calls() {
        let stuck_for = |ms| {
            let reach = PeerHealthTable::default();
            reach.record_pong(Pong {
                call_runtime_stalled_ms: ms,
                ..pong(7)
            });
            reach.get(7).unwrap()
        };
        assert!(stuck_for(4_900).calls_lost_since().is_none());
        let stuck = stuck_for(5_100);
        let since = stuck.calls_lost_since().unwrap();
        assert!(since.elapsed() >= Duration::from_millis(5_100));
        assert!(
            stuck.is_reachable() && stuck.unreachable_since().is_none(),
            "it still votes"
        );
    }

    #[test]
    fn a_member_is_gone_after_three_pings_since_the_first_of_them() {
        let reach = PeerHealthTable::default();
        let began = Instant::now();
        reach.record_pong(pong(7));
        for ping in 0..3 {
            assert!(reach.is_reachable(7) && reach.get(7).unwrap().unreachable_since().is_none());
            reach.record_missed_ping(7, began + Duration::from_millis(250 * ping));
        }
        assert!(!reach.is_reachable(7));
        assert_eq!(reach.get(7).unwrap().unreachable_since(), Some(began));
        reach.record_pong(pong(7));
        assert!(reach.is_reachable(7) && reach.get(7).unwrap().unreachable_since().is_none());
    }

    #[test]
    fn calls_can_go_on_where_one_answers_takes_part_and_has_its_doors_open() {
        let receives = |change: fn(&mut Pong)| {
            let (reach, mut pong) = (PeerHealthTable::default(), pong(7));
            change(&mut pong);
            reach.record_pong(pong);
            reach.get(7).unwrap().accepts_calls()
        };
        assert!(receives(|_| ()));
        assert!(
            !receives(|pong| pong.accepts_calls = false),
            "it stops, or starts"
        );
        assert!(
            !receives(|pong| pong.engine_running = false),
            "it is not let in"
        );
    }

    #[test]
    fn who_never_answered_is_not_reachable_and_who_was_removed_is_forgotten() {
        let reach = PeerHealthTable::default();
        reach.record_missed_ping(7, Instant::now());
        assert!(!reach.is_reachable(7));
        reach.retain_members(&BTreeSet::from([8]));
        assert!(reach.get(7).is_none());
    }
}
