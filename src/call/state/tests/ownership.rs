//! Who owns a call in cluster mode.

use super::*;
use calldex_storage::write::CallResumed;

const OWN_SLOT: u16 = 7;

pub(super) fn clustered_call() -> CallHarness {
    let mut context = context(None);
    context.node_slot = OWN_SLOT;
    CallHarness::with(context, CallerLookup::New)
}

pub(super) fn epoch(generation: u32, slot: u16) -> u32 {
    generation << 16 | u32::from(slot)
}

impl CallHarness {
    fn claims(&self) -> Vec<&CallResumed> {
        let claims = self.writes.iter().filter_map(|write| match write {
            Write::CallResumed(claim) => Some(claim),
            _ => None,
        });
        claims.collect()
    }

    /// Storage tells what came of a claim.
    pub(super) fn owner_is(&mut self, claimed: u32, owner: u32) -> &mut Self {
        self.feed(CallEvent::OwnerChanged(CallOwner {
            epoch: Some(owner),
            claimed: Some(claimed),
        }))
    }
}

#[test]
fn a_single_node_takes_a_call_over_without_an_expected_epoch() {
    let mut harness = CallHarness::new_caller();
    assert!(
        harness.claims().is_empty(),
        "its first session claims nothing"
    );
    harness.feed(RESUMED_BY_TWIML);
    let claim = harness.claims()[0].clone();
    assert_eq!(
        (claim.epoch, claim.expected, claim.returned),
        (1, None, true)
    );
}

#[test]
fn a_first_session_claims_its_call_before_it_writes_a_turn() {
    let harness = clustered_call();
    let claim = harness.claims()[0].clone();
    let own = epoch(1, OWN_SLOT);
    assert_eq!(
        (claim.epoch, claim.expected, claim.returned),
        (own, Some(0), false)
    );
    assert!(matches!(harness.writes[0], Write::CallResumed(_)));
    assert!(harness.turns().iter().all(|turn| turn.epoch == own));
}

#[test]
fn each_return_is_a_claim_on_what_this_session_had() {
    let mut harness = clustered_call();
    harness
        .owner_is(epoch(1, OWN_SLOT), epoch(1, OWN_SLOT))
        .feed(RESUMED_BY_TWIML);
    let claim = harness.claims()[1].clone();
    assert_eq!(
        (claim.epoch, claim.expected, claim.returned),
        (epoch(2, OWN_SLOT), Some(epoch(1, OWN_SLOT)), true)
    );
    assert_eq!(harness.turns().last().unwrap().epoch, epoch(2, OWN_SLOT));
}

#[test]
fn a_claim_that_came_too_late_is_made_again_while_the_talk_goes_on() {
    let mut harness = clustered_call();
    let (own, theirs) = (epoch(1, OWN_SLOT), epoch(1, 9));
    harness
        .hears("What type is Onix?")
        .feed(CallEvent::ReplyToken("Rock"));
    harness.owner_is(theirs, theirs);
    assert_eq!(harness.claims().len(), 1, "that was another's claim");
    harness.owner_is(own, theirs);
    let claim = harness.claims()[1].clone();
    assert_eq!(
        (claim.epoch, claim.expected, claim.returned),
        (epoch(2, OWN_SLOT), Some(theirs), false)
    );
    assert!(harness.counts.contains(&CallMetric::ClaimLost));
    harness.reply(&[" and ground."]);
    let turn = harness.turns().pop().unwrap();
    assert_eq!(
        (turn.content.starts_with("Rock and ground."), turn.epoch),
        (true, own),
        "turns keep the epoch that only this session writes under"
    );
    harness
        .state
        .finish(CallOutcome::HungUp, harness.now, &mut Vec::new());
    assert_eq!(harness.state.epoch(), epoch(2, OWN_SLOT));
    assert!(harness.session_exits.is_empty());
}

#[test]
fn a_call_that_another_takes_is_left_without_a_word() {
    let mut harness = clustered_call();
    let (own, theirs) = (epoch(1, OWN_SLOT), epoch(2, 9));
    harness.owner_is(own, own).hears("What type is Onix?");
    let (writes, said) = (harness.writes.len(), harness.said.len());
    harness.owner_is(theirs, theirs);
    assert_eq!(
        (&harness.session_exits[..], harness.replies_aborted),
        (&[ExitReason::TakenOver][..], 1)
    );
    harness
        .hears("Hello?")
        .advance(600_000)
        .feed(CallEvent::SocketClosed);
    let mut actions = Vec::new();
    harness
        .state
        .finish(CallOutcome::HungUp, harness.now, &mut actions);
    assert!(actions.is_empty(), "nothing more is written");
    assert_eq!((harness.writes.len(), harness.said.len()), (writes, said));
}

#[test]
fn a_call_that_is_never_won_is_given_up() {
    let mut harness = clustered_call();
    for generation in 1..=4 {
        let own = epoch(generation, OWN_SLOT);
        assert_eq!(harness.claims().last().unwrap().epoch, own);
        harness.owner_is(own, epoch(generation, 9));
    }
    assert_eq!(
        (harness.claims().len(), &harness.session_exits[..]),
        (4, &[ExitReason::TakenOver][..])
    );
}

#[test]
fn the_same_claim_told_twice_changes_nothing() {
    let mut harness = clustered_call();
    let own = epoch(1, OWN_SLOT);
    harness
        .owner_is(own, own)
        .owner_is(own, own)
        .owner_is(epoch(1, 9), own);
    assert!(harness.session_exits.is_empty() && harness.claims().len() == 1);
}

#[test]
fn a_call_that_storage_has_not_goes_on() {
    let mut harness = clustered_call();
    harness.feed(CallEvent::OwnerChanged(CallOwner {
        epoch: None,
        claimed: Some(epoch(1, OWN_SLOT)),
    }));
    harness.hears("What type is Onix?");
    assert!(harness.session_exits.is_empty() && harness.replies_requested == 1);
}

#[test]
fn an_owner_that_was_looked_up_settles_no_claim_but_shows_a_loss() {
    let mut harness = clustered_call();
    let own = epoch(1, OWN_SLOT);
    let looked_up = |epoch| {
        CallEvent::OwnerChanged(CallOwner {
            epoch: Some(epoch),
            claimed: None,
        })
    };
    harness.feed(looked_up(own));
    harness.owner_is(epoch(1, 9), epoch(1, 9));
    assert!(
        harness.session_exits.is_empty(),
        "its own claim is still to be told"
    );
    harness.feed(looked_up(epoch(1, 9)));
    assert_eq!(harness.claims().last().unwrap().expected, Some(epoch(1, 9)));
}

#[test]
fn a_call_from_storage_is_claimed_above_all_that_was_written() {
    let mut context = context(None);
    context.node_slot = OWN_SLOT;
    let turn = Turn::new(TurnRole::Caller, "Hello?", 1, epoch(3, 9), 0);
    let mut live = stored_call(vec![turn]);
    live.conversation = Conversation {
        instance: Some("two".into()),
        epoch: epoch(2, 8),
        resumes: 1,
        started_at: 1_800_000_000,
        ..live.conversation
    };
    let now = EventTime {
        ms: 10_000,
        unix_ms: 1_800_000_010_000,
    };
    let mut state = CallState::restored(context, live, now);
    let mut actions = Vec::new();
    state.on(RESUMED_BY_TWIML, now, &mut actions);
    let claim = actions.iter().find_map(|action| match action {
        CallAction::Record(Write::CallResumed(claim)) => Some(claim),
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
            .any(|action| matches!(action, CallAction::RequestReply(_))),
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
        let mut context = context(None);
        context.node_slot = slot;
        let now = EventTime { ms: 1, unix_ms };
        let mut state = CallState::without_history(context, now);
        let mut actions = Vec::new();
        state.on(RESUMED_BY_TWIML, now, &mut actions);
        let epoch = state.epoch();
        assert!(
            matches!(&actions[0], CallAction::Record(Write::CallResumed(claim))
            if claim.expected.is_none() && claim.epoch == epoch && epoch & 0xffff == u32::from(slot))
        );
        assert!(!seen.contains(&epoch));
        seen.push(epoch);
    }
}
