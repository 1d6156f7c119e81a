//! Interruptions, silence, keys, the goodbye, and what is counted of them.

use super::*;
use crate::agent::Finish;

fn asked_for_mew() -> CallHarness {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .twilio_plays(&["Welcome back, Ana! What Pokémon information can I help you with today?"]);
    harness.hears("Tell me about Mew.");
    harness
}

/// The kept turns of the agent, in order.
fn agent_turns(harness: &CallHarness) -> Vec<Turn> {
    let mut turns = harness.turns();
    turns.retain(|turn| turn.role == TurnRole::Agent);
    turns
}

#[test]
fn a_false_interruption_does_not_abort_a_request_that_has_not_spoken() {
    let mut harness = asked_for_mew();
    harness.advance(1_600);
    assert_eq!(harness.said.len(), 1, "a bridge");
    harness
        .feed(CallEvent::AgentSpeaking(true))
        .feed(CallEvent::Interrupted("One"))
        .feed(CallEvent::AgentSpeaking(false));
    harness.advance(500).reply(&["Mew is rare."]);
    assert_eq!((harness.replies_requested, harness.replies_aborted), (1, 0));
    assert_eq!(harness.said.len(), 1, "the caller may go on");
    harness.advance(1_500);
    assert_eq!((harness.replies_requested, harness.replies_aborted), (1, 0));
    assert_eq!(harness.last_said(), "Mew is rare.");
    assert!(!harness.cycle_open);
}

#[test]
fn an_interruption_that_goes_on_replaces_the_request() {
    let mut harness = asked_for_mew();
    harness.feed(CallEvent::Interrupted("")).advance(300);
    harness
        .feed(CallEvent::CallerSpeaking(true))
        .feed(CallEvent::ReplyToken("Mew is"));
    harness.advance(2_500);
    assert!(harness.said.is_empty(), "the caller is speaking");
    harness
        .feed(CallEvent::CallerSpeaking(false))
        .hears("And Mewtwo.");
    assert_eq!((harness.replies_requested, harness.replies_aborted), (2, 1));
    harness.reply(&["Both are rare."]);
    assert_eq!(harness.said, ["Both are rare."]);
}

#[test]
fn a_slow_request_gets_a_filler_after_a_false_interruption() {
    let mut harness = asked_for_mew();
    harness.feed(CallEvent::Interrupted("")).advance(2_000);
    assert_eq!((harness.said.len(), harness.replies_requested), (1, 1));
    harness.reply(&["Mew is rare."]);
    assert_eq!(harness.last_said(), "Mew is rare.");
}

#[test]
fn a_reply_after_a_cut_one_is_a_cycle_of_its_own() {
    let mut harness = asked_for_mew();
    harness
        .feed(CallEvent::ReplyToken("Mew is"))
        .feed(CallEvent::AgentSpeaking(true));
    harness.advance(500).feed(CallEvent::ReplyToken(" very"));
    harness
        .feed(CallEvent::TokensPlayed("Mew"))
        .feed(CallEvent::Interrupted("Mew"))
        .feed(CallEvent::AgentSpeaking(false));
    // The word under way has opened a cycle at Twilio: Desk::open stands for it.
    harness.hears("And Mewtwo?").reply(&["Mewtwo is strong."]);
    assert_eq!(harness.said, ["Mew is very", "Mewtwo is strong."]);
    harness.feed(CallEvent::TokensPlayed(" very"));
    assert_eq!(agent_turns(&harness)[1].content, "Mew very");
}

#[test]
fn a_sentence_of_ours_after_a_cut_reply_is_a_cycle_of_its_own_too() {
    let mut harness = CallHarness::new_caller();
    harness.twilio_plays(&["Hello!"]);
    harness
        .hears("What is Mew?")
        .feed(CallEvent::ReplyToken("Mew is"));
    harness
        .feed(CallEvent::AgentSpeaking(true))
        .feed(CallEvent::Interrupted("Mew"));
    // Desk itself refuses a sentence inside an open cycle.
    harness.hears("My name is Misty.");
    assert!(harness.last_said().starts_with("Nice to meet you, Misty!"));
}

#[test]
fn a_hang_up_in_mid_clause_is_estimated_and_marked() {
    let mut harness = asked_for_mew();
    harness.reply(&["You said: My very long and quite unbroken sentence that goes on."]);
    harness.advance(300).feed(CallEvent::AgentSpeaking(true));
    harness
        .advance(700)
        .feed(CallEvent::TokensPlayed("You said:"));
    harness.advance(1_900);
    let mut actions = Vec::new();
    harness
        .state
        .finish(CallOutcome::HungUp, harness.now, &mut actions);
    harness.record_actions(actions, "");
    let last = harness.turns().pop().unwrap();
    assert_eq!(
        last.content,
        "You said: My very long and quite unbroken sentence"
    );
    assert!(last.interrupted && last.estimated);
}

#[test]
fn a_hang_up_in_a_reply_that_streams_is_estimated_too() {
    let mut harness = asked_for_mew();
    harness.feed(CallEvent::ReplyToken("Mew is rare. It is pink"));
    harness
        .advance(300)
        .feed(CallEvent::AgentSpeaking(true))
        .advance(400);
    let mut actions = Vec::new();
    harness
        .state
        .finish(CallOutcome::HungUp, harness.now, &mut actions);
    harness.record_actions(actions, "");
    let last = harness.turns().pop().unwrap();
    assert_eq!(last.content, "Mew is");
    assert!(last.interrupted && last.estimated);
}

#[test]
fn a_greeting_that_nothing_was_reported_of_is_cut_at_a_hang_up() {
    let mut harness = CallHarness::known_as("Ana");
    harness.advance(2_000);
    let mut actions = Vec::new();
    harness
        .state
        .finish(CallOutcome::HungUp, harness.now, &mut actions);
    harness.record_actions(actions, "");
    let greeting = harness.turns().remove(0);
    assert_eq!(
        greeting.content,
        "Welcome back, Ana! What Pokémon information"
    );
    assert!(greeting.interrupted && greeting.estimated);
}

#[test]
fn a_filler_is_kept_as_it_was_heard() {
    let mut harness = asked_for_mew();
    harness.advance(1_600);
    let filler = harness.last_said().to_owned();
    let first = filler.split(' ').next().unwrap();
    harness.feed(CallEvent::AgentSpeaking(true));
    harness.reply(&["Mew is rare."]);
    harness
        .feed(CallEvent::TokensPlayed(first))
        .feed(CallEvent::TokensPlayed("Mew is rare."));
    let turns = agent_turns(&harness);
    assert_eq!(
        (turns[1].kind, turns[1].content.as_str()),
        (TurnKind::Filler, first)
    );
    assert!(turns[1].interrupted && !turns[2].interrupted);
    // One that was not audible at all.
    harness.hears("And Mewtwo?").advance(1_600);
    harness
        .reply(&["It is strong."])
        .twilio_plays(&["It is strong."]);
    let turns = agent_turns(&harness);
    assert_eq!(
        (turns[3].kind, turns[3].content.as_str()),
        (TurnKind::Filler, "")
    );
}

#[test]
fn silence_is_no_matter_while_an_answer_or_keys_are_pending() {
    let mut harness = asked_for_mew();
    harness.advance(30_000);
    assert!(!harness.said.iter().any(|said| said.contains("still there")));
    harness
        .reply(&["Mew is rare."])
        .twilio_plays(&["Mew is rare."]);
    harness.advance(9_000).feed(CallEvent::DtmfKey('1'));
    harness.advance(599);
    assert_eq!(harness.replies_requested, 1);
    harness.advance(9_000);
    assert_eq!(harness.replies_requested, 2);
    assert!(!harness.said.iter().any(|said| said.contains("still there")));
}

#[test]
fn silence_is_measured_from_the_last_word_that_was_played() {
    let mut harness = asked_for_mew();
    harness.reply(&["Mew is rare."]);
    harness.feed(CallEvent::AgentSpeaking(true)).advance(7_000);
    harness
        .feed(CallEvent::TokensPlayed("Mew is rare."))
        .feed(CallEvent::AgentSpeaking(false));
    harness.advance(9_900);
    assert_eq!(harness.said.len(), 1);
    harness.advance(100);
    assert_eq!(harness.last_said(), "Are you still there?");
    // Without reports: from when it must have been said.
    let unreported = CallContext {
        call_sid: "v2:T02".into(),
        ..context(Some(known("Ana")))
    };
    let caller = known("Ana");
    let mut harness = CallHarness::with(unreported, CallerLookup::Known(&caller));
    harness.hears("Tell me about Mew.").reply(&[
        "It is so rare that hardly anybody has ever seen one; some say that it is a story.",
    ]);
    harness.advance(12_000);
    assert_eq!(harness.said.len(), 1);
    harness.advance(3_000);
    assert_eq!(harness.last_said(), "Are you still there?");
}

#[test]
fn a_line_has_its_own_waits() {
    let mut config = Config::default();
    config.line.push(crate::config::LineSection {
        number: "+14155550199".into(),
        silence_prompt_ms: Some(3_000),
        silence_end_ms: Some(1_000),
        dtmf_wait_ms: Some(2_000),
        ..crate::config::LineSection::default()
    });
    let caller = known("Ana");
    let own = CallContext {
        line: Arc::clone(PhoneLines::new(&config).for_number("+14155550199")),
        ..context(Some(caller.clone()))
    };
    let mut harness = CallHarness::with(own, CallerLookup::Known(&caller));
    harness
        .twilio_plays(&["Welcome back, Ana! What Pokémon information can I help you with today?"]);
    harness.advance(3_000);
    assert_eq!(harness.last_said(), "Are you still there?");
    harness
        .twilio_plays(&["Are you still there?"])
        .advance(1_000);
    assert_eq!(harness.said.len(), 2);
    harness.feed(CallEvent::DtmfKey('1')).advance(1_900);
    assert_eq!(harness.replies_requested, 0);
    harness.advance(100);
    assert_eq!(harness.replies_requested, 1);
}

#[test]
fn the_key_that_ends_an_answer_is_not_waited_for() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .twilio_plays(&["Welcome back, Ana! What Pokémon information can I help you with today?"]);
    harness
        .feed(CallEvent::DtmfKey('1'))
        .feed(CallEvent::DtmfKey('#'));
    harness.advance(0);
    assert_eq!(harness.replies_requested, 1);
    assert_eq!(harness.turns().last().unwrap().content, "[pressed 1 #]");
    harness.reply(&["One."]).twilio_plays(&["One."]);
    // Alone it is a key.
    harness.feed(CallEvent::DtmfKey('#')).advance(0);
    assert_eq!(harness.replies_requested, 1);
    harness.advance(600);
    assert_eq!(harness.turns().last().unwrap().content, "[pressed #]");
}

#[test]
fn the_interrupt_of_the_key_that_ends_an_answer_passes_first() {
    let mut harness = CallHarness::known_as("Ana");
    harness.feed(CallEvent::AgentSpeaking(true));
    harness
        .feed(CallEvent::DtmfKey('1'))
        .feed(CallEvent::TokensPlayed("Welcome"));
    harness
        .feed(CallEvent::Interrupted("Welcome"))
        .feed(CallEvent::AgentSpeaking(false));
    harness
        .advance(400)
        .feed(CallEvent::AgentSpeaking(true))
        .feed(CallEvent::DtmfKey('#'));
    harness.advance(2).feed(CallEvent::Interrupted("back"));
    assert_eq!(harness.replies_requested, 0);
    harness.advance(50);
    assert_eq!((harness.replies_requested, harness.replies_aborted), (1, 0));
}

#[test]
fn a_goodbye_lost_with_the_socket_is_said_again_before_the_end() {
    let call = ToolCall {
        id: "1".into(),
        invocation: ToolInvocation::EndCall {
            farewell: Some("Bye, Ana!".into()),
        },
    };
    let bye = || {
        let mut harness = asked_for_mew();
        harness
            .hears("Bye.")
            .feed(CallEvent::ToolCalled(&call))
            .feed(CallEvent::ReplyCompleted(&Finish::default()));
        harness.advance(300).feed(CallEvent::AgentSpeaking(true));
        harness.advance(20).feed(CallEvent::SocketClosed);
        harness
    };
    let mut harness = bye();
    assert_eq!(harness.state.goodbye(), Some("Bye, Ana!"));
    let again = CallEvent::Resumed {
        session_id: "VX2",
        twiml_greeting: Some("Bye, Ana!"),
        already_counted: false,
        connection_lost: true,
    };
    harness.advance(1_500).feed(again).advance(300);
    assert_eq!((harness.said.len(), harness.ends.len()), (1, 0));
    harness.twilio_plays(&["Bye, Ana!"]);
    assert_eq!(harness.ends, [None]);
    let turns = agent_turns(&harness);
    assert_eq!(turns.last().unwrap().content, "Bye, Ana!");
    // Where Twilio did not say it, or said something else, we do.
    let redialled = CallEvent::Resumed {
        session_id: "VX2",
        twiml_greeting: None,
        already_counted: false,
        connection_lost: true,
    };
    for event in [RESUMED_BY_TWIML, redialled] {
        let mut harness = bye();
        harness.advance(1_500).feed(event);
        assert_eq!(harness.said, ["Bye, Ana!", "Bye, Ana!"]);
        assert!(harness.ends.is_empty());
        harness.twilio_plays(&["Sorry about that, I'm back.", "Bye, Ana!"]);
        assert_eq!(harness.ends, [None]);
    }
}

#[test]
fn what_is_counted_is_what_happened() {
    let mut harness = CallHarness::new_caller();
    harness
        .hears("What type is Mew?")
        .reply(&["Psychic."])
        .hears("My name is Misty.");
    let count = |harness: &CallHarness, wanted: CallMetric| {
        harness.counts.iter().filter(|c| **c == wanted).count()
    };
    assert_eq!(
        count(&harness, CallMetric::NameEvent("asked")),
        1,
        "once a call"
    );
    let firsts = |harness: &CallHarness| {
        let counts = harness.counts.iter();
        counts
            .filter(|c| matches!(c, CallMetric::FirstToken(_)))
            .count()
    };
    assert_eq!(firsts(&harness), 1, "a sentence of ours is no first token");
    let before = count(&harness, CallMetric::Turn("caller"));
    harness.feed(CallEvent::DtmfKey('1')).hears("I mean one.");
    assert_eq!(count(&harness, CallMetric::Turn("caller")), before + 2);
}
