//! A call that is to go on at another instance.

use super::*;

fn relocatable_call() -> CallHarness {
    let mut harness = CallHarness::known_as("Ana");
    let greeting = harness.turns()[0].content.clone();
    harness.twilio_plays(&[&greeting]);
    harness
}

impl CallHarness {
    fn relocate_within(&mut self, within_ms: u64) -> &mut Self {
        let now_ms = self.now.ms;
        self.feed(CallEvent::Relocate {
            from_ms: now_ms,
            by_ms: now_ms + within_ms,
        })
    }
}

#[test]
fn a_call_between_turns_relocates_at_once() {
    let mut harness = relocatable_call();
    harness.relocate_within(10_000);
    assert_eq!(harness.session_exits, [ExitReason::Relocated]);
    assert_eq!(
        harness.writes_of_kind("call_ended"),
        0,
        "it goes on elsewhere"
    );
    let Some(Write::CallResumed(release)) = harness.writes.last() else {
        panic!("it is given up: {:?}", harness.writes);
    };
    assert_eq!((release.instance.as_str(), release.returned), ("", false));
}

#[test]
fn what_is_being_said_is_said_first() {
    let mut harness = relocatable_call();
    harness.hears("What type is Onix?").relocate_within(10_000);
    harness.reply(&["Rock and ground."]);
    assert!(
        harness.session_exits.is_empty(),
        "the words are out and not yet audible"
    );
    harness
        .feed(CallEvent::AgentSpeaking(true))
        .feed(CallEvent::TokensPlayed("Rock and ground."));
    assert!(harness.session_exits.is_empty());
    harness.feed(CallEvent::AgentSpeaking(false));
    assert_eq!(harness.session_exits, [ExitReason::Relocated]);
    let turns = harness.turns();
    assert!(!turns.last().unwrap().interrupted);
}

#[test]
fn a_caller_in_the_middle_of_a_sentence_is_heard_and_answered_first() {
    let mut harness = relocatable_call();
    harness
        .feed(CallEvent::CallerSpeaking(true))
        .relocate_within(10_000);
    harness.hears("What type is Onix?");
    assert!(harness.session_exits.is_empty() && harness.replies_requested == 1);
    harness.reply(&["Rock."]).twilio_plays(&["Rock."]);
    assert_eq!(harness.session_exits, [ExitReason::Relocated]);
}

#[test]
fn at_the_deadline_a_reply_is_cut_to_what_was_heard_and_is_still_owed() {
    let mut harness = relocatable_call();
    harness.hears("Tell me about Onix.").relocate_within(3_000);
    harness
        .feed(CallEvent::ReplyToken("It is a rock snake. It"))
        .feed(CallEvent::ReplyToken(" digs"));
    harness
        .feed(CallEvent::AgentSpeaking(true))
        .feed(CallEvent::TokensPlayed("It is a rock snake."));
    harness.advance(3_000);
    assert_eq!(
        (&harness.session_exits[..], harness.replies_aborted),
        (&[ExitReason::Relocated][..], 1)
    );
    let turn = harness.turns().pop().unwrap();
    assert_eq!(
        (turn.content.as_str(), turn.interrupted),
        ("It is a rock snake.", true)
    );
    assert!(harness.state.transcript.is_unanswered());
}

#[test]
fn keys_not_yet_answered_go_with_the_call() {
    let mut harness = relocatable_call();
    harness
        .feed(CallEvent::CallerSpeaking(true))
        .relocate_within(500);
    harness.feed(CallEvent::DtmfKey('4'));
    harness.advance(500);
    assert_eq!(harness.session_exits, [ExitReason::Relocated]);
    assert_eq!(harness.turns().pop().unwrap().content, "[pressed 4]");
}

#[test]
fn what_is_said_during_relocation_is_recorded_for_the_next_owner() {
    let mut harness = relocatable_call();
    harness.relocate_within(10_000).hears("My name is Brock.");
    let said = harness.said.len();
    assert_eq!(harness.turns().pop().unwrap().content, "My name is Brock.");
    assert_eq!(
        (
            harness.writes_of_kind("person_added") + harness.writes_of_kind("name_corrected"),
            harness.replies_requested,
            said
        ),
        (1, 0, 0),
        "kept, and answered elsewhere"
    );
    harness.advance(120_000);
    assert_eq!((harness.session_exits.len(), harness.said.len()), (1, 0));
}

#[test]
fn a_call_that_is_ending_ends_here() {
    let mut harness = relocatable_call();
    harness.feed(CallEvent::Drain).relocate_within(1_000);
    harness.advance(60_000);
    assert!(harness.session_exits.is_empty());
    assert_eq!(harness.ends.len(), 1);
}

#[test]
fn a_server_that_cannot_wait_ends_no_call_that_can_go_on_elsewhere() {
    let mut harness = relocatable_call();
    harness.hears("Tell me about Onix.").relocate_within(60_000);
    harness
        .feed(CallEvent::ReplyToken("It is"))
        .feed(CallEvent::Drain);
    assert_eq!(harness.session_exits, [ExitReason::Relocated]);
    harness.feed(CallEvent::Drain).advance(60_000);
    assert_eq!((harness.session_exits.len(), harness.ends.len()), (1, 0));
}

#[test]
fn a_call_that_just_came_stays_for_a_while() {
    let mut harness = relocatable_call();
    let now_ms = harness.now.ms;
    harness.feed(CallEvent::Relocate {
        from_ms: now_ms + 3_000,
        by_ms: now_ms + 9_000,
    });
    harness.advance(2_999);
    assert!(harness.session_exits.is_empty());
    harness.advance(1);
    assert_eq!(harness.session_exits, [ExitReason::Relocated]);
}

#[test]
fn keys_that_come_while_a_call_leaves_go_with_it_and_nothing_is_said_any_more() {
    let mut harness = relocatable_call();
    harness.relocate_within(10_000);
    assert_eq!(harness.session_exits, [ExitReason::Relocated]);
    let (said, asked) = (harness.said.len(), harness.replies_requested);
    harness.feed(CallEvent::DtmfKey('5')).advance(400_000);
    assert_eq!(
        (harness.said.len(), harness.replies_requested),
        (said, asked)
    );
    assert_eq!(harness.turns().last().unwrap().content, "[pressed 5]");
    assert_eq!(harness.state.deadline(), None);
}

#[test]
fn a_call_that_is_to_stay_after_all_stays_unless_it_has_left() {
    let mut harness = relocatable_call();
    harness.hears("What type is Onix?").relocate_within(10_000);
    harness.feed(CallEvent::CancelRelocation);
    harness
        .reply(&["Rock and ground."])
        .twilio_plays(&["Rock and ground."]);
    harness.advance(20_000);
    assert!(harness.session_exits.is_empty());
    harness.relocate_within(0);
    assert_eq!(harness.session_exits, [ExitReason::Relocated]);
    let said = harness.said.len();
    harness
        .feed(CallEvent::CancelRelocation)
        .hears("What type is Mew?");
    assert_eq!(harness.said.len(), said, "it was given up");
}
