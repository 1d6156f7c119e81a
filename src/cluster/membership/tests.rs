//! The rules of membership.

use super::rules::*;
use crate::cluster::wire::{Application, Listed, Roll};
use calldex_storage::Levels;
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

fn listed(node_id: NodeId, name: &str, voter: bool) -> Listed {
    Listed {
        node_id,
        member: member(name),
        voter,
    }
}

fn roll(members: &[Listed]) -> Roll {
    Roll {
        index: Some(3),
        members: members.to_vec(),
    }
}

fn three() -> Roll {
    roll(&[
        listed(1, "one", true),
        listed(2, "two", true),
        listed(3, "three", true),
    ])
}

fn application(node_id: NodeId, name: &str) -> Application {
    Application {
        node_id,
        member: member(name),
        voter: true,
        reads: Levels::OWN,
    }
}

fn set(ids: &[NodeId]) -> BTreeSet<NodeId> {
    ids.iter().copied().collect()
}

fn there(behind: u64) -> Progress {
    Progress {
        answers: Answers::Yes,
        takes_part: true,
        wants_vote: Some(true),
        behind: Some(behind),
    }
}

const GONE: Progress = Progress {
    answers: Answers::No(Duration::from_secs(301)),
    takes_part: false,
    wants_vote: Some(true),
    behind: None,
};

#[test]
fn a_stranger_is_admitted_and_asked_again_it_is_one_already() {
    let admitted = admittance(&three(), &application(4, "four"), REPLACE_AFTER, |_| {
        Answers::Yes
    });
    assert_eq!(admitted, Admittance::Admit);
    let again = admittance(&three(), &application(3, "three"), REPLACE_AFTER, |_| {
        Answers::Yes
    });
    assert_eq!(again, Admittance::Already);
}

#[test]
fn two_members_never_share_the_bits_that_tell_their_epochs_apart() {
    for taken in [3, 0x1_0003, 0x1_0000, 0] {
        let chosen = admittance(&three(), &application(taken, "four"), REPLACE_AFTER, |_| {
            Answers::Yes
        });
        assert_eq!(chosen, Admittance::ChooseAnother, "{taken:x}");
    }
}

#[test]
fn the_place_of_a_member_is_free_only_when_it_is_gone() {
    let mut same_name = application(4, "three");
    same_name.member.address = "elsewhere:7946".to_owned();
    for applied in [application(4, "three"), same_name] {
        let admitted = |answers| admittance(&three(), &applied, REPLACE_AFTER, move |_| answers);
        let no = |seconds| Answers::No(Duration::from_secs(seconds));
        assert_eq!(admitted(no(300)), Admittance::Admit);
        let waits = admitted(no(2));
        assert!(
            matches!(&waits, Admittance::Wait(why) if why.contains("calldex cluster remove 3")),
            "{waits:?}"
        );
        assert!(matches!(admitted(Answers::Unknown), Admittance::Wait(_)));
        assert!(matches!(admitted(Answers::Yes), Admittance::Refuse(_)));
    }
}

#[test]
fn there_are_only_so_many_members() {
    let many: Vec<Listed> = (1..=MEMBERS_MAX as u64)
        .map(|id| listed(id, &format!("n{id}"), id <= 3))
        .collect();
    let refused = admittance(&roll(&many), &application(99, "new"), REPLACE_AFTER, |_| {
        Answers::Yes
    });
    assert!(matches!(refused, Admittance::Refuse(_)));
    let replacing = admittance(&roll(&many), &application(99, "n7"), REPLACE_AFTER, |_| {
        Answers::No(REPLACE_AFTER)
    });
    assert_eq!(replacing, Admittance::Admit);
}

#[test]
fn a_learner_becomes_a_voter_when_it_has_caught_up() {
    let mut members = three();
    members.members.push(listed(4, "four", false));
    let with = |fourth: Progress| {
        next_change(
            &members,
            1,
            move |id| if id == 4 { fourth } else { there(0) },
        )
    };
    assert_eq!(with(there(0)), Some(Change::Voters(set(&[1, 2, 3, 4]))));
    assert_eq!(with(there(PROMOTION_ENTRIES_MAX + 1)), None);
    let silent = Progress {
        behind: None,
        ..there(0)
    };
    assert_eq!(with(silent), None);
    let unwilling = Progress {
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
    assert_eq!(change, Some(Change::Voters(set(&[1, 2, 4]))));
}

#[test]
fn a_learner_s_place_is_taken_as_well() {
    let members = roll(&[
        listed(1, "one", true),
        listed(2, "two", false),
        listed(3, "two", false),
    ]);
    let unwilling = Progress {
        wants_vote: Some(false),
        ..there(0)
    };
    let change = next_change(&members, 1, |id| if id == 2 { GONE } else { unwilling });
    assert_eq!(change, Some(Change::Drop(set(&[2]))));
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
    let change = next_change(&three(), 1, |id| Progress {
        wants_vote: Some(id != 3),
        ..there(0)
    });
    assert_eq!(change, Some(Change::Demote(set(&[1, 2]))));
    // The primary itself goes on: somebody else would have to be elected first.
    let change = next_change(&three(), 3, |id| Progress {
        wants_vote: Some(id != 3),
        ..there(0)
    });
    assert_eq!(change, None);
}

#[test]
fn there_are_only_so_many_voters() {
    let many: Vec<Listed> = (1..=9)
        .map(|id| listed(id, &format!("n{id}"), id <= VOTERS_MAX as u64))
        .collect();
    assert_eq!(next_change(&roll(&many), 1, |_| there(0)), None);
}

#[test]
fn a_member_is_removed_by_id_name_or_address() {
    for who in ["3", "three", "three.calldex:7946"] {
        let gone = dismissing(&three(), who, false, |_| true);
        let expected = Dismissing::Go(listed(3, "three", true), Change::Voters(set(&[1, 2])));
        assert_eq!(gone, expected, "{who}");
    }
    let refused = dismissing(&three(), "four", false, |_| true);
    assert!(matches!(refused, Dismissing::Refuse(why) if why.contains("three (node 3)")));
}

#[test]
fn a_learner_goes_without_a_vote_being_counted() {
    let members = roll(&[listed(1, "one", true), listed(2, "two", false)]);
    let gone = dismissing(&members, "two", false, |_| false);
    assert!(matches!(gone, Dismissing::Go(_, Change::Drop(ids)) if ids == set(&[2])));
}

#[test]
fn the_last_voter_stays_and_a_majority_must_be_left() {
    let alone = roll(&[listed(1, "one", true)]);
    let refused = dismissing(&alone, "one", true, |_| true);
    assert!(matches!(refused, Dismissing::Refuse(_)));
    let only_one = |id| id == 1;
    let refused = dismissing(&three(), "two", false, only_one);
    assert!(matches!(refused, Dismissing::Refuse(why) if why.contains("--force")));
    let forced = dismissing(&three(), "two", true, only_one);
    assert!(matches!(forced, Dismissing::Go(..)));
}

#[test]
fn a_name_that_two_have_is_asked_about() {
    let twice = roll(&[
        listed(1, "one", true),
        listed(2, "two", true),
        listed(3, "two", false),
    ]);
    let refused = dismissing(&twice, "two", false, |_| true);
    assert!(matches!(refused, Dismissing::Refuse(why) if why.contains("node id")));
}
