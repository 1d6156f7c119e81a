//! A call that goes on after a lost socket, or from storage.

use super::*;

#[test]
fn a_lost_socket_resumes_with_one_sentence_and_the_open_question() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("Tell me about Mew.")
        .feed(CallEvent::ReplyToken("Mew is"))
        .feed(CallEvent::SocketClosed);
    harness.cycle_open = false;
    let resumed = CallEvent::Resumed {
        session_id: "VX2",
        twiml_greeting: None,
        already_counted: false,
        connection_lost: true,
    };
    harness.feed(resumed);
    assert_eq!(harness.last_said(), "Sorry about that, I'm back.");
    assert_eq!(
        (
            harness.replies_requested,
            harness.writes_of_kind("call_resumed")
        ),
        (2, 1)
    );
    harness.hears("Tell me about Mew.");
    assert_eq!(
        harness.replies_requested, 2,
        "a replayed prompt is not answered twice"
    );
    harness.reply(&["Mew is rare."]);
    let last = harness.turns().pop().unwrap();
    assert_eq!((last.epoch, last.content.as_str()), (1, "Mew is rare."));
}

#[test]
fn a_call_from_storage_goes_on_where_it_was() {
    let mut before = CallHarness::known_as("Ana");
    before.hears("Tell me about Mew.");
    let live = stored_call(before.turns());
    let state = CallState::restored(context(Some(known("Ana"))), live, before.now);
    let mut harness = CallHarness {
        state,
        ..CallHarness::known_as("Ana")
    };
    harness.feed(RESUMED_BY_TWIML);
    assert_eq!(harness.replies_requested, 1);
    assert!(harness.said.is_empty(), "Twilio has said it already");
    assert_eq!(harness.state.transcript.model_history().len(), 2);
}
