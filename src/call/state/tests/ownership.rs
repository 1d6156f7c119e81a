//! Who owns a call among several instances.

use super::*;
use calldex_storage::write::CallResumed;

const OWN_SLOT: u16 = 7;

pub(super) fn one_of_several() -> Desk {
    let mut setting = setting(None);
    setting.slot = OWN_SLOT;
    Desk::with(setting, Recalled::New)
}

pub(super) fn epoch(generation: u32, slot: u16) -> u32 {
    generation << 16 | u32::from(slot)
}

impl Desk {
    fn claims(&self) -> Vec<&CallResumed> {
        let claims = self.writes.iter().filter_map(|write| match write {
            Write::CallResumed(claim) => Some(claim),
            _ => None,
        });
        claims.collect()
    }

    /// Storage tells what came of a claim.
    pub(super) fn told(&mut self, claimed: u32, owner: u32) -> &mut Self {
        self.on(Event::Owner(Owner {
            epoch: Some(owner),
            claimed: Some(claimed),
        }))
    }
}

#[test]
fn one_instance_alone_takes_a_call_over_as_it_always_did() {
    let mut desk = Desk::new_caller();
    assert!(desk.claims().is_empty(), "its first session claims nothing");
    desk.on(BACK);
    let claim = desk.claims()[0].clone();
    assert_eq!(
        (claim.epoch, claim.expected, claim.returned),
        (1, None, true)
    );
}

#[test]
fn a_first_session_claims_its_call_before_it_writes_a_turn() {
    let desk = one_of_several();
    let claim = desk.claims()[0].clone();
    let own = epoch(1, OWN_SLOT);
    assert_eq!(
        (claim.epoch, claim.expected, claim.returned),
        (own, Some(0), false)
    );
    assert!(matches!(desk.writes[0], Write::CallResumed(_)));
    assert!(desk.turns().iter().all(|turn| turn.epoch == own));
}

#[test]
fn each_return_is_a_claim_on_what_this_session_had() {
    let mut desk = one_of_several();
    desk.told(epoch(1, OWN_SLOT), epoch(1, OWN_SLOT)).on(BACK);
    let claim = desk.claims()[1].clone();
    assert_eq!(
        (claim.epoch, claim.expected, claim.returned),
        (epoch(2, OWN_SLOT), Some(epoch(1, OWN_SLOT)), true)
    );
    assert_eq!(desk.turns().last().unwrap().epoch, epoch(2, OWN_SLOT));
}

#[test]
fn a_claim_that_came_too_late_is_made_again_while_the_talk_goes_on() {
    let mut desk = one_of_several();
    let (own, theirs) = (epoch(1, OWN_SLOT), epoch(1, 9));
    desk.hears("What type is Onix?").on(Event::Token("Rock"));
    desk.told(theirs, theirs);
    assert_eq!(desk.claims().len(), 1, "that was another's claim");
    desk.told(own, theirs);
    let claim = desk.claims()[1].clone();
    assert_eq!(
        (claim.epoch, claim.expected, claim.returned),
        (epoch(2, OWN_SLOT), Some(theirs), false)
    );
    assert!(desk.counts.contains(&Count::ClaimLost));
    desk.reply(&[" and ground."]);
    let turn = desk.turns().pop().unwrap();
    assert_eq!(
        (turn.content.starts_with("Rock and ground."), turn.epoch),
        (true, own),
        "turns keep the epoch that only this session writes under"
    );
    desk.state
        .finish(Outcome::HungUp, desk.now, &mut Vec::new());
    assert_eq!(desk.state.epoch(), epoch(2, OWN_SLOT));
    assert!(desk.leaves.is_empty());
}

#[test]
fn a_call_that_another_takes_is_left_without_a_word() {
    let mut desk = one_of_several();
    let (own, theirs) = (epoch(1, OWN_SLOT), epoch(2, 9));
    desk.told(own, own).hears("What type is Onix?");
    let (writes, said) = (desk.writes.len(), desk.said.len());
    desk.told(theirs, theirs);
    assert_eq!((&desk.leaves[..], desk.aborted), (&[Parting::Taken][..], 1));
    desk.hears("Hello?").later(600_000).on(Event::Closed);
    let mut actions = Vec::new();
    desk.state.finish(Outcome::HungUp, desk.now, &mut actions);
    assert!(actions.is_empty(), "nothing more is written");
    assert_eq!((desk.writes.len(), desk.said.len()), (writes, said));
}

#[test]
fn a_call_that_is_never_won_is_given_up() {
    let mut desk = one_of_several();
    for generation in 1..=4 {
        let own = epoch(generation, OWN_SLOT);
        assert_eq!(desk.claims().last().unwrap().epoch, own);
        desk.told(own, epoch(generation, 9));
    }
    assert_eq!(
        (desk.claims().len(), &desk.leaves[..]),
        (4, &[Parting::Taken][..])
    );
}

#[test]
fn the_same_claim_told_twice_changes_nothing() {
    let mut desk = one_of_several();
    let own = epoch(1, OWN_SLOT);
    desk.told(own, own).told(own, own).told(epoch(1, 9), own);
    assert!(desk.leaves.is_empty() && desk.claims().len() == 1);
}

#[test]
fn a_call_that_storage_has_not_goes_on() {
    let mut desk = one_of_several();
    desk.on(Event::Owner(Owner {
        epoch: None,
        claimed: Some(epoch(1, OWN_SLOT)),
    }));
    desk.hears("What type is Onix?");
    assert!(desk.leaves.is_empty() && desk.asked == 1);
}

#[test]
fn an_owner_that_was_looked_up_settles_no_claim_but_shows_a_loss() {
    let mut desk = one_of_several();
    let own = epoch(1, OWN_SLOT);
    let looked_up = |epoch| {
        Event::Owner(Owner {
            epoch: Some(epoch),
            claimed: None,
        })
    };
    desk.on(looked_up(own));
    desk.told(epoch(1, 9), epoch(1, 9));
    assert!(desk.leaves.is_empty(), "its own claim is still to be told");
    desk.on(looked_up(epoch(1, 9)));
    assert_eq!(desk.claims().last().unwrap().expected, Some(epoch(1, 9)));
}

#[test]
fn a_call_from_storage_is_claimed_above_all_that_was_written() {
    let mut setting = setting(None);
    setting.slot = OWN_SLOT;
    let turn = Turn::new(Role::Caller, "Hello?", 1, epoch(3, 9), 0);
    let mut live = kept(vec![turn]);
    live.conversation = Conversation {
        instance: Some("two".into()),
        epoch: epoch(2, 8),
        resumes: 1,
        started_at: 1_800_000_000,
        ..live.conversation
    };
    let now = Now {
        ms: 10_000,
        unix_ms: 1_800_000_010_000,
    };
    let mut state = CallState::restored(setting, live, now);
    let mut actions = Vec::new();
    state.on(BACK, now, &mut actions);
    let claim = actions.iter().find_map(|action| match action {
        Action::Record(Write::CallResumed(claim)) => Some(claim),
        _ => None,
    });
    let claim = claim.unwrap();
    assert_eq!(
        (claim.epoch, claim.expected),
        (epoch(4, OWN_SLOT), Some(epoch(2, 8)))
    );
    assert!(
        actions
            .iter()
            .any(|action| matches!(action, Action::Ask(_))),
        "the open question is answered"
    );
}

#[test]
fn a_call_that_cannot_be_read_is_claimed_blindly_under_an_epoch_of_its_own() {
    let mut seen = Vec::new();
    for (slot, unix_ms) in [
        (7, 1_800_000_000_000),
        (7, 1_800_000_002_000),
        (9, 1_800_000_000_000),
    ] {
        let mut setting = setting(None);
        setting.slot = slot;
        let now = Now { ms: 1, unix_ms };
        let mut state = CallState::unread(setting, now);
        let mut actions = Vec::new();
        state.on(BACK, now, &mut actions);
        let epoch = state.epoch();
        assert!(
            matches!(&actions[0], Action::Record(Write::CallResumed(claim))
            if claim.expected.is_none() && claim.epoch == epoch && epoch & 0xffff == u32::from(slot))
        );
        assert!(!seen.contains(&epoch));
        seen.push(epoch);
    }
}
