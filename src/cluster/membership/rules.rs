//! Decides which instance may become a member, which members vote, and which may be removed. Sends no
//! request.

use crate::cluster::node_slot::slot_of;
use crate::cluster::wire::{JoinRequest, ListedMember, MemberList};
use calldex_storage::replication::{Member, NodeId};
use std::collections::BTreeSet;
use std::time::Duration;

/// Members, voters and learners together.
pub(super) const MEMBERS_MAX: usize = 32;
/// Voters: more would only make every write wait for more disks. Further instances stay learners.
pub(super) const VOTERS_MAX: usize = 7;
/// Entries that a learner may be behind when it becomes a voter: it must not hold up the next write.
pub(super) const PROMOTION_ENTRIES_MAX: u64 = 64;

/// Whether a member answers the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reachability {
    Reachable,
    /// It has not answered for so long.
    Unreachable(Duration),
    /// It has not been asked often enough to tell.
    Unknown,
}

/// The decision about a request to join.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JoinDecision {
    /// It becomes a learner.
    Admit,
    /// It is a member already: the response to its first request was lost.
    AlreadyMember,
    /// Its id, or the slot in it, belongs to another member.
    IdConflict,
    /// It must ask again later.
    Wait(String),
    /// It does not become a member.
    Refuse(String),
}

impl Reachability {
    /// Whether another instance may replace it. It may be away only for a restart, an upgrade or a network
    /// failure, and the writes that it has accepted are in its outbox.
    fn is_replaceable(self, replace_after: Duration) -> bool {
        matches!(self, Self::Unreachable(silent) if silent >= replace_after)
    }
}

/// Decides about `application`. A member that has not answered for `replace_after` is replaced by an
/// instance with its name or address. `calldex cluster remove` removes it at once.
pub(super) fn decide_join(
    member_list: &MemberList,
    application: &JoinRequest,
    replace_after: Duration,
    answers: impl Fn(NodeId) -> Reachability,
) -> JoinDecision {
    let JoinRequest {
        node_id, member, ..
    } = application;
    if let Some(listed) = member_list.get(*node_id) {
        return if listed.member.address == member.address {
            JoinDecision::AlreadyMember
        } else {
            JoinDecision::IdConflict
        };
    }
    // It tells epochs of two nodes apart: see `calldex_storage::record::next_epoch`.
    let slot = slot_of(*node_id);
    let has_slot = |listed: &ListedMember| slot_of(listed.node_id) == slot;
    if slot == 0 || member_list.members.iter().any(has_slot) {
        return JoinDecision::IdConflict;
    }
    for listed in &member_list.members {
        let Some(what) = conflicting_setting(&listed.member, member) else {
            continue;
        };
        match answers(listed.node_id) {
            silent if silent.is_replaceable(replace_after) => {}
            Reachability::Unreachable(silent) => {
                return JoinDecision::Wait(format!(
                    "{what} is that of node {}, which has not answered for {} s: after {} s it is replaced, at once by `calldex cluster remove {}`",
                    listed.node_id,
                    silent.as_secs(),
                    replace_after.as_secs(),
                    listed.node_id
                ));
            }
            Reachability::Unknown => {
                return JoinDecision::Wait(format!("whether node {} is gone", listed.node_id));
            }
            Reachability::Reachable => {
                return JoinDecision::Refuse(format!(
                    "{what} is that of node {}, which is alive: set another one",
                    listed.node_id
                ));
            }
        }
    }
    let stay = member_list.members.len() - replaced_by(member_list, *node_id, member).len();
    if stay >= MEMBERS_MAX {
        return JoinDecision::Refuse(format!(
            "there are {MEMBERS_MAX} members already: remove one with `calldex cluster remove`"
        ));
    }
    JoinDecision::Admit
}

/// The setting that both instances have in common and must not, if there is one.
fn conflicting_setting(one: &Member, other: &Member) -> Option<String> {
    if one.address == other.address {
        return Some(format!("cluster.advertise = {}", other.address));
    }
    (one.instance == other.instance).then(|| format!("server.instance = {}", other.instance))
}

/// Members whose place `member` takes: the same address or the same name, and another id.
pub(super) fn replaced_by(
    member_list: &MemberList,
    node_id: NodeId,
    member: &Member,
) -> BTreeSet<NodeId> {
    let is_replaced = |listed: &&ListedMember| {
        listed.node_id != node_id && conflicting_setting(&listed.member, member).is_some()
    };
    let replaced = member_list.members.iter().filter(is_replaced);
    replaced.map(|listed| listed.node_id).collect()
}

/// What the primary knows of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemberProgress {
    pub(super) reachability: Reachability,
    /// Whether it answers, and its engine runs.
    pub(super) engine_running: bool,
    /// Whether it is configured to vote, as it last said.
    pub(super) wants_vote: Option<bool>,
    /// Entries of the primary that it lacks; none until it has acknowledged one.
    pub(super) behind: Option<u64>,
}

/// A change of the members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MembershipChange {
    /// These are the voters; a voter that is not among them is removed.
    SetVoters(BTreeSet<NodeId>),
    /// These are the voters; a voter that is not among them stays as a learner.
    DemoteToLearner(BTreeSet<NodeId>),
    /// These learners are removed.
    RemoveLearners(BTreeSet<NodeId>),
}

/// The next change that the primary `own` is to make by itself, if any: one at a time.
pub(super) fn next_change(
    member_list: &MemberList,
    own: NodeId,
    progress: impl Fn(NodeId) -> MemberProgress,
) -> Option<MembershipChange> {
    let voters: BTreeSet<NodeId> = member_list.voters().collect();
    let takes_part = |node_id: NodeId| node_id == own || progress(node_id).engine_running;
    let caught_up = |node_id| {
        let progress = progress(node_id);
        let behind = progress
            .behind
            .is_some_and(|behind| behind <= PROMOTION_ENTRIES_MAX);
        progress.engine_running && behind
    };
    for listed in member_list
        .members
        .iter()
        .filter(|listed| caught_up(listed.node_id))
    {
        let gone: BTreeSet<NodeId> = replaced_by(member_list, listed.node_id, &listed.member)
            .into_iter()
            // That it may be replaced was decided when the other was admitted.
            .filter(|old| {
                matches!(progress(*old).reachability, Reachability::Unreachable(_)) && *old != own
            })
            .collect();
        let mut next: BTreeSet<NodeId> = voters.difference(&gone).copied().collect();
        let wants_vote = progress(listed.node_id).wants_vote == Some(true);
        if wants_vote && next.len() < VOTERS_MAX {
            next.insert(listed.node_id);
        }
        if next != voters && has_majority(&next, takes_part) && has_majority(&voters, takes_part) {
            return Some(MembershipChange::SetVoters(next));
        }
        let old_learners: BTreeSet<NodeId> = gone.difference(&voters).copied().collect();
        if !old_learners.is_empty() {
            return Some(MembershipChange::RemoveLearners(old_learners));
        }
    }
    demotion(&voters, own, &progress)
        .filter(|next| has_majority(next, takes_part))
        .map(MembershipChange::DemoteToLearner)
}

/// The voters without one that does not want to vote any more.
fn demotion(
    voters: &BTreeSet<NodeId>,
    own: NodeId,
    progress: &impl Fn(NodeId) -> MemberProgress,
) -> Option<BTreeSet<NodeId>> {
    let mut others = voters.iter().filter(|voter| **voter != own);
    let unwilling = others.find(|voter| progress(**voter).wants_vote == Some(false))?;
    let mut next = voters.clone();
    next.remove(unwilling);
    Some(next)
}

fn has_majority(voters: &BTreeSet<NodeId>, takes_part: impl Fn(NodeId) -> bool) -> bool {
    let there = voters.iter().filter(|voter| takes_part(**voter)).count();
    there > voters.len() / 2
}

/// What removing comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RemovalDecision {
    /// That member goes, by this change.
    Remove(ListedMember, MembershipChange),
    /// It stays, because.
    Refuse(String),
}

/// What removing the member called `who` (node id, instance or address) comes to.
pub(super) fn decide_removal(
    member_list: &MemberList,
    who: &str,
    force: bool,
    takes_part: impl Fn(NodeId) -> bool,
) -> RemovalDecision {
    let is_meant = |listed: &&ListedMember| {
        listed.node_id.to_string() == who
            || listed.member.instance == who
            || listed.member.address == who
    };
    let meant: Vec<&ListedMember> = member_list.members.iter().filter(is_meant).collect();
    let listed = match meant.as_slice() {
        [] => {
            let known: Vec<String> = member_list.members.iter().map(display_name).collect();
            return RemovalDecision::Refuse(format!(
                "no member is called {who:?}; there are {}",
                known.join(", ")
            ));
        }
        [one] => (*one).clone(),
        several => {
            let ids: Vec<String> = several.iter().map(|listed| display_name(listed)).collect();
            return RemovalDecision::Refuse(format!(
                "{who:?} may be {}: say which by its node id",
                ids.join(" or ")
            ));
        }
    };
    if !listed.voter {
        let change = MembershipChange::RemoveLearners(BTreeSet::from([listed.node_id]));
        return RemovalDecision::Remove(listed, change);
    }
    let mut rest: BTreeSet<NodeId> = member_list.voters().collect();
    rest.remove(&listed.node_id);
    if rest.is_empty() {
        let words = "it is the last voter: without it there is no cluster";
        return RemovalDecision::Refuse(words.to_owned());
    }
    if !force && !has_majority(&rest, takes_part) {
        return RemovalDecision::Refuse(format!(
            "of the {} voters that remain no majority answers, and nothing could be written then; \
             bring them back first, or insist with --force",
            rest.len()
        ));
    }
    RemovalDecision::Remove(listed, MembershipChange::SetVoters(rest))
}

fn display_name(listed: &ListedMember) -> String {
    format!("{} (node {})", listed.member.instance, listed.node_id)
}
