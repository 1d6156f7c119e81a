//! The rules of membership.

use super::rules::*;
use crate::cluster::wire::{JoinRequest, ListedMember, MemberList};
use calldex_storage::FormatVersionRange;
use calldex_storage::replication::{Member, NodeId};
use std::collections::BTreeSet;
use std::time::Duration;

const REPLACE_AFTER: Duration = Duration::from_secs(300);

fn member(name: &str) -> Member {
    Member {
        address: format!("{name}.calldex:7946"),
        instance: name.to_owned(),
        takes_calls: true,
    }
}

fn listed(node_id: NodeId, name: &str, voter: bool) -> ListedMember {
    ListedMember {
        node_id,
        member: member(name),
        voter,
    }
}

fn member_list(members: &[ListedMember]) -> MemberList {
    MemberList {
        index: Some(3),
        members: members.to_vec(),
    }
}

fn three() -> MemberList {
    member_list(&[
        listed(1, "one", true),
        listed(2, "two", true),
        listed(3, "three", true),
    ])
}

fn application(node_id: NodeId, name: &str) -> JoinRequest {
    JoinRequest {
        node_id,
        member: member(name),
        voter: true,
        supported_formats: FormatVersionRange::SUPPORTED,
    }
}

fn set(ids: &[NodeId]) -> BTreeSet<NodeId> {
    ids.iter().copied().collect()
}

fn there(behind: u64) -> MemberProgress {
    MemberProgress {
        reachability: Reachability::Reachable,
        engine_running: true,
        wants_vote: Some(true),
        behind: Some(behind),
    }
}

const GONE: MemberProgress = MemberProgress {
    reachability: Reachability::Unreachable(Duration::from_secs(301)),
    engine_running: false,
    wants_vote: Some(true),
    behind: None,
};

#[test]
fn a_stranger_is_admitted_and_asked_again_it_is_one_already() {
    let admitted = decide_join(&three(), &application(4, "four"), REPLACE_AFTER, |_| {
        Reachability::Reachable
    });
    assert_eq!(admitted, JoinDecision::Admit);
    let again = decide_join(&three(), &application(3, "three"), REPLACE_AFTER, |_| {
        Reachability::Reachable
    });
    assert_eq!(again, JoinDecision::AlreadyMember);
}

#[test]
fn two_members_never_share_the_bits_that_tell_their_epochs_apart() {
    for taken in [3, 0x1_0003, 0x1_0000, 0] {
        let chosen = decide_join(&three(), &application(taken, "four"), REPLACE_AFTER, |_| {
            Reachability::Reachable
        });
        assert_eq!(chosen, JoinDecision::IdConflict, "{taken:x}");
    }
}

#[test]
fn the_place_of_a_member_is_free_only_when_it_is_gone() {
    let mut same_name = application(4, "three");
    same_name.member.address = "elsewhere:7946".to_owned();
    for applied in [application(4, "three"), same_name] {
        let admitted = |answers| decide_join(&three(), &applied, REPLACE_AFTER, move |_| answers);
        let no = |seconds| Reachability::Unreachable(Duration::from_secs(seconds));
        assert_eq!(admitted(no(300)), JoinDecision::Admit);
        let waits = admitted(no(2));
        assert!(
            matches!(&waits, JoinDecision::Wait(why) if why.contains("calldex cluster remove 3")),
            "{waits:?}"
        );
        assert!(matches!(
            admitted(Reachability::Unknown),
            JoinDecision::Wait(_)
        ));
        assert!(matches!(
            admitted(Reachability::Reachable),
            JoinDecision::Refuse(_)
        ));
    }
}

#[test]
fn there_are_only_so_many_members() {
    let many: Vec<ListedMember> = (1..=MEMBERS_MAX as u64)
        .map(|id| listed(id, &format!("n{id}"), id <= 3))
        .collect();
    let refused = decide_join(
        &member_list(&many),
        &application(99, "new"),
        REPLACE_AFTER,
        |_| Reachability::Reachable,
    );
    assert!(matches!(refused, JoinDecision::Refuse(_)));
    let replacing = decide_join(
        &member_list(&many),
        &application(99, "n7"),
        REPLACE_AFTER,
        |_| Reachability::Unreachable(REPLACE_AFTER),
    );
    assert_eq!(replacing, JoinDecision::Admit);
}

#[test]
fn a_learner_becomes_a_voter_when_it_has_caught_up() {
    let mut members = three();
    members.members.push(listed(4, "four", false));
    let with = |fourth: MemberProgress| {
        next_change(
            &members,
            1,
            move |id| if id == 4 { fourth } else { there(0) },
        )
    };
    assert_eq!(
        with(there(0)),
        Some(MembershipChange::SetVoters(set(&[1, 2, 3, 4])))
    );
    assert_eq!(with(there(PROMOTION_ENTRIES_MAX + 1)), None);
    let silent = MemberProgress {
        behind: None,
        ..there(0)
    };
    assert_eq!(with(silent), None);
    let unwilling = MemberProgress {
        wants_vote: Some(false),
        ..there(0)
    };
    assert_eq!(with(unwilling), None);
    assert_eq!(with(GONE), None);
}

#[test]
fn who_takes_a_place_takes_the_vote_in_one_step() {
    let mut members = three();
    members.members.push(listed(4, "three", false));
    let change = next_change(&members, 1, |id| if id == 3 { GONE } else { there(0) });
    assert_eq!(change, Some(MembershipChange::SetVoters(set(&[1, 2, 4]))));
}

#[test]
fn a_learner_s_place_is_taken_as_well() {
    let members = member_list(&[
        listed(1, "one", true),
        listed(2, "two", false),
        listed(3, "two", false),
    ]);
    let unwilling = MemberProgress {
        wants_vote: Some(false),
        ..there(0)
    };
    let change = next_change(&members, 1, |id| if id == 2 { GONE } else { unwilling });
    assert_eq!(change, Some(MembershipChange::RemoveLearners(set(&[2]))));
}

#[test]
fn nothing_changes_while_no_majority_answers() {
    let mut members = three();
    members.members.push(listed(4, "four", false));
    let change = next_change(&members, 1, |id| {
        if id == 2 || id == 3 { GONE } else { there(0) }
    });
    assert_eq!(change, None);
}

#[test]
fn a_voter_that_does_not_want_to_vote_any_more_becomes_a_learner() {
    let change = next_change(&three(), 1, |id| MemberProgress {
        wants_vote: Some(id != 3),
        ..there(0)
    });
    assert_eq!(
        change,
        Some(MembershipChange::DemoteToLearner(set(&[1, 2])))
    );
    // The primary itself goes on: somebody else would have to be elected first.
    let change = next_change(&three(), 3, |id| MemberProgress {
        wants_vote: Some(id != 3),
        ..there(0)
    });
    assert_eq!(change, None);
}

#[test]
fn there_are_only_so_many_voters() {
    let many: Vec<ListedMember> = (1..=9)
        .map(|id| listed(id, &format!("n{id}"), id <= VOTERS_MAX as u64))
        .collect();
    assert_eq!(next_change(&member_list(&many), 1, |_| there(0)), None);
}

#[test]
fn a_member_is_removed_by_id_name_or_address() {
    for who in ["3", "three", "three.calldex:7946"] {
        let gone = decide_removal(&three(), who, false, |_| true);
        let expected = RemovalDecision::Remove(
            listed(3, "three", true),
            MembershipChange::SetVoters(set(&[1, 2])),
        );
        assert_eq!(gone, expected, "{who}");
    }
    let refused = decide_removal(&three(), "four", false, |_| true);
    assert!(matches!(refused, RemovalDecision::Refuse(why) if why.contains("three (node 3)")));
}

#[test]
fn a_learner_goes_without_a_vote_being_counted() {
    let members = member_list(&[listed(1, "one", true), listed(2, "two", false)]);
    let gone = decide_removal(&members, "two", false, |_| false);
    assert!(
        matches!(gone, RemovalDecision::Remove(_, MembershipChange::RemoveLearners(ids)) if ids == set(&[2]))
    );
}

#[test]
fn the_last_voter_stays_and_a_majority_must_be_left() {
    let alone = member_list(&[listed(1, "one", true)]);
    let refused = decide_removal(&alone, "one", true, |_| true);
    assert!(matches!(refused, RemovalDecision::Refuse(_)));
    let only_one = |id| id == 1;
    let refused = decide_removal(&three(), "two", false, only_one);
    assert!(matches!(refused, RemovalDecision::Refuse(why) if why.contains("--force")));
    let forced = decide_removal(&three(), "two", true, only_one);
    assert!(matches!(forced, RemovalDecision::Remove(..)));
}

#[test]
fn a_name_that_two_have_is_asked_about() {
    let twice = member_list(&[
        listed(1, "one", true),
        listed(2, "two", true),
        listed(3, "two", false),
    ]);
    let refused = decide_removal(&twice, "two", false, |_| true);
    assert!(matches!(refused, RemovalDecision::Refuse(why) if why.contains("node id")));
}
