//! Interruptions, keys and silence.

use super::*;

#[test]
fn an_interruption_stops_the_reply_and_the_transcript_says_what_was_heard() {
    let mut harness = CallHarness::known_as("Ana");
    harness.hears("Tell me about Charizard.");
    harness
        .feed(CallEvent::ReplyToken("Charizard is fire and flying."))
        .feed(CallEvent::ReplyToken(" It learns Fly"));
    harness
        .feed(CallEvent::AgentSpeaking(true))
        .feed(CallEvent::TokensPlayed("Charizard is fire"));
    harness.feed(CallEvent::Interrupted("Charizard is fire"));
    assert_eq!(harness.replies_aborted, 1);
    harness
        .feed(CallEvent::ReplyToken(" and Cut."))
        .feed(CallEvent::ReplyCompleted(&Finish::default()));
    assert_eq!(
        harness.said,
        ["Charizard is fire and flying. It learns Fly"],
        "late tokens are dropped"
    );
    let turn = harness.turns().pop().unwrap();
    assert_eq!(
        (turn.content.as_str(), turn.interrupted),
        ("Charizard is fire", true)
    );
    harness.cycle_open = false;
    harness.hears("And Blastoise?").reply(&["Water."]);
    assert_eq!(harness.last_said(), "Water.");
}

#[test]
fn an_interruption_after_the_reply_amends_its_turn() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("Tell me about Charizard.")
        .reply(&["It is fire and flying.", " It is big."]);
    harness
        .feed(CallEvent::AgentSpeaking(true))
        .feed(CallEvent::TokensPlayed("It is fire and flying."));
    harness
        .feed(CallEvent::TokensPlayed("It is"))
        .feed(CallEvent::Interrupted("It is"));
    let turn = harness.turns().pop().unwrap();
    assert_eq!(
        (turn.content.as_str(), turn.revision),
        ("It is fire and flying. It is", 1)
    );
}

#[test]
fn an_interruption_that_nothing_follows_does_not_leave_dead_air() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("Tell me about Charizard.")
        .feed(CallEvent::ReplyToken("It is fire."))
        .feed(CallEvent::AgentSpeaking(true))
        .feed(CallEvent::Interrupted("It"));
    assert_eq!((harness.replies_requested, harness.replies_aborted), (1, 1));
    harness.cycle_open = false;
    harness.advance(1_900);
    assert_eq!(harness.replies_requested, 1);
    harness.advance(100);
    assert_eq!(harness.replies_requested, 2);
}

#[test]
fn keys_are_collected_and_survive_the_interrupt_they_cause() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .feed(CallEvent::AgentSpeaking(true))
        .feed(CallEvent::DtmfKey('1'))
        .feed(CallEvent::TokensPlayed("Welcome"));
    harness
        .feed(CallEvent::Interrupted("Welcome"))
        .feed(CallEvent::AgentSpeaking(false));
    harness.advance(300).feed(CallEvent::DtmfKey('2'));
    assert_eq!(harness.replies_requested, 0);
    harness.advance(700);
    assert_eq!(harness.replies_requested, 1);
    assert_eq!(harness.turns().last().unwrap().content, "[pressed 1 2]");
    assert!(harness.counts.contains(&CallMetric::Interruption("dtmf")));
    assert_eq!(harness.turns()[0].content, "Welcome");
}

#[test]
fn silence_is_asked_about_twice_and_then_ends_the_call() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .twilio_plays(&["Welcome back, Ana! What Pokémon information can I help you with today?"]);
    harness.advance(9_900);
    assert!(harness.said.is_empty());
    harness.advance(100);
    assert_eq!(harness.said, ["Are you still there?"]);
    harness
        .advance(2_000)
        .twilio_plays(&["Are you still there?"]);
    harness.advance(9_900);
    assert_eq!(harness.said.len(), 1);
    harness.advance(100);
    assert!(harness.last_said().starts_with("Hello? I can't hear you."));
    harness.advance(3_000).twilio_plays(&[
        "Hello?",
        " I can't hear you.",
        " Is there anything else I can do for you?",
    ]);
    harness.advance(9_900);
    assert_eq!((harness.said.len(), harness.ends.len()), (2, 0));
    harness.advance(100);
    assert!(harness.last_said().ends_with("Goodbye!"));
    harness.advance(20_000);
    assert_eq!(harness.ends.len(), 1);
    assert_eq!(harness.state.outcome_of_sent_end(), Some(CallOutcome::Idle));
}

#[test]
fn a_provider_without_reports_leaves_the_words_as_they_were_said() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("What type is Mew?")
        .reply(&["Psychic."])
        .feed(CallEvent::SocketClosed);
    let said: Vec<String> = harness
        .turns()
        .iter()
        .map(|turn| turn.content.clone())
        .collect();
    assert_eq!(said[2], "Psychic.");
    assert!(said[0].starts_with("Welcome back"));
}
