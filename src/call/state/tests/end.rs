//! The goodbye, the handoff and the end of a call.

use super::*;

#[test]
fn goodbye_is_heard_before_the_end_goes_out_and_speaking_calls_it_off() {
    let call = ToolCall {
        id: "1".into(),
        invocation: ToolInvocation::EndCall {
            farewell: Some("Bye, Ana!".into()),
        },
    };
    let mut harness = CallHarness::known_as("Ana");
    harness
        .twilio_plays(&["Welcome back, Ana! What Pokémon information can I help you with today?"]);
    harness
        .hears("Bye.")
        .feed(CallEvent::ToolCalled(&call))
        .feed(CallEvent::ReplyCompleted(&Finish::default()));
    assert_eq!((harness.last_said(), harness.ends.len()), ("Bye, Ana!", 0));
    harness.hears("Wait, one more.");
    harness.advance(60_000);
    assert_eq!(harness.ends.len(), 0);
    harness
        .reply(&["Yes?"])
        .twilio_plays(&["Bye, Ana!", "Yes?"]);
    harness
        .hears("No, bye.")
        .feed(CallEvent::ToolCalled(&call))
        .feed(CallEvent::ReplyCompleted(&Finish::default()))
        .twilio_plays(&["Bye, Ana!"]);
    assert_eq!(harness.ends, [None]);
    assert_eq!(
        harness.state.outcome_of_sent_end(),
        Some(CallOutcome::Ended)
    );
}

#[test]
fn a_handoff_carries_its_reason_and_nobody_there_is_said() {
    let call = ToolCall {
        id: "1".into(),
        invocation: ToolInvocation::Handoff {
            reason: "asked".into(),
            summary: "none".into(),
        },
    };
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("A person, please.")
        .feed(CallEvent::ToolCalled(&call))
        .feed(CallEvent::ReplyCompleted(&Finish::default()))
        .advance(60_000);
    let data: serde_json::Value =
        serde_json::from_str(harness.ends[0].as_deref().unwrap()).unwrap();
    assert_eq!(data["reasonCode"], "live-agent-handoff");

    let caller = known("Ana");
    let alone = CallContext {
        can_hand_off: false,
        ..context(Some(caller.clone()))
    };
    let mut harness = CallHarness::with(alone, CallerLookup::Known(&caller));
    harness
        .hears("A person, please.")
        .feed(CallEvent::ToolCalled(&call))
        .feed(CallEvent::ReplyCompleted(&Finish::default()))
        .advance(9_000);
    assert!(harness.last_said().contains("nobody") && harness.ends.is_empty());
    assert_eq!(
        harness.replies_requested, 1,
        "the caller has been told; the model is not asked again"
    );
}

#[test]
fn the_end_is_kept_once_and_settles_a_name_nobody_contradicted() {
    let mut harness = CallHarness::new_caller();
    harness.hears("My name is Misty.");
    let mut actions = Vec::new();
    harness
        .state
        .finish(CallOutcome::HungUp, harness.now, &mut actions);
    harness
        .state
        .finish(CallOutcome::Ended, harness.now, &mut actions);
    harness.record_actions(actions, "");
    assert_eq!(
        (
            harness.writes_of_kind("name_settled"),
            harness.writes_of_kind("call_ended")
        ),
        (1, 1)
    );
    harness.hears("hello?");
    assert_eq!(harness.replies_requested, 0);
}
