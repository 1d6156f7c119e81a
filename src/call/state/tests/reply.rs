//! Replies: streamed, slow, cut, failed, and what is recorded of them.

use super::*;

#[test]
fn tokens_pass_as_they_come_and_the_turn_is_kept_when_complete() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("What type is Pikachu?")
        .feed(CallEvent::ReplyToken("Pikachu"));
    assert_eq!(harness.said, ["Pikachu"]);
    harness.reply(&[" is electric."]);
    let turns = harness.turns();
    assert_eq!(turns.last().unwrap().content, "Pikachu is electric.");
    assert!(!harness.cycle_open && !turns.last().unwrap().interrupted);
}

#[test]
fn two_finals_for_one_sentence_are_answered_together() {
    let mut harness = CallHarness::known_as("Ana");
    harness.hears("I'd like to know").hears("about Snorlax.");
    assert_eq!((harness.replies_requested, harness.replies_aborted), (2, 1));
    harness.reply(&["Snorlax sleeps."]);
    let roles: Vec<&str> = harness
        .turns()
        .iter()
        .map(|turn| turn.role.as_str())
        .collect();
    assert_eq!(roles, ["assistant", "user", "user", "assistant"]);
}

#[test]
fn a_slow_model_is_covered_by_varied_fillers_and_a_dead_one_apologised_for() {
    let mut harness = CallHarness::known_as("Ana");
    harness.hears("Tell me about Mew.").advance(1_600);
    let first = harness.last_said().to_owned();
    assert_eq!(harness.said.len(), 1);
    harness.feed(CallEvent::ReplyFailed(ReplyFailure::FirstTokenTimeout));
    assert!(harness.last_said().contains("trouble"));
    harness.hears("Tell me about Mew.").advance(1_600);
    assert_ne!(harness.last_said(), first);
    let history = harness.state.transcript.model_history();
    assert!(
        history
            .iter()
            .all(|message| !message.content.contains("moment"))
    );
}

#[test]
fn a_reply_cut_in_the_middle_ends_in_an_apology_in_the_same_breath() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("Tell me about Mew.")
        .feed(CallEvent::ReplyToken("Mew is"))
        .feed(CallEvent::ReplyFailed(ReplyFailure::ConnectionLost));
    assert!(harness.last_said().starts_with("Mew is. I'm sorry"));
    assert!(!harness.cycle_open);
}

#[test]
fn a_reply_that_its_model_did_not_finish_is_apologised_for_where_half_a_sentence_stands() {
    let cases = [
        (FinishReason::Length, "Mew is", true),
        (FinishReason::Length, "Mew is a myth.", false),
        (FinishReason::ContentFilter, "Mew is a myth.", true),
        (FinishReason::Stop, "Mew is", false),
    ];
    for (ending, words, is_apologised_for) in cases {
        let mut harness = CallHarness::known_as("Ana");
        let finish = Finish {
            finish_reason: ending,
            ..Finish::default()
        };
        harness
            .hears("Tell me about Mew.")
            .feed(CallEvent::ReplyToken(words))
            .feed(CallEvent::ReplyCompleted(&finish));
        let said = harness.last_said();
        assert_eq!(said.contains("I'm sorry"), is_apologised_for, "{said}");
        assert!(said.starts_with(words) && !harness.cycle_open);
    }
}

#[test]
fn a_turn_is_kept_with_what_it_took_of_the_model() {
    let mut harness = CallHarness::known_as("Ana");
    let finish = Finish {
        model: "fast".into(),
        usage: Some(Usage {
            prompt_tokens: 900,
            completion_tokens: 12,
            ..Usage::default()
        }),
        cost_micros: Some(7),
        ..Finish::default()
    };
    harness
        .hears("Tell me about Mew.")
        .feed(CallEvent::ReplyToken("Mew is a myth."))
        .feed(CallEvent::ReplyCompleted(&finish));
    let turns = harness.turns();
    let usage = turns.last().unwrap().usage.as_deref().unwrap();
    assert_eq!(
        (
            usage.model.as_str(),
            usage.input,
            usage.output,
            usage.cost_micros
        ),
        ("fast", 900, 12, Some(7))
    );
}

#[test]
fn what_a_reply_took_that_only_called_tools_is_kept_with_the_first_of_them() {
    let mut harness = CallHarness::known_as("Ana");
    let finish = Finish {
        usage: Some(Usage {
            prompt_tokens: 900,
            ..Usage::default()
        }),
        ..Finish::default()
    };
    let call = |note: &str| ToolCall {
        id: "1".into(),
        invocation: ToolInvocation::NotePreference { note: note.into() },
    };
    harness
        .hears("I like water types.")
        .feed(CallEvent::ToolCalled(&call("likes water")))
        .feed(CallEvent::ToolCalled(&call("likes blue")))
        .feed(CallEvent::ReplyCompleted(&finish));
    let turns = harness.turns();
    let tools: Vec<_> = turns
        .iter()
        .filter(|turn| turn.role == calldex_storage::record::TurnRole::Tool)
        .collect();
    let input = |at: usize| tools[at].usage.as_ref().map(|usage| usage.input);
    assert_eq!((tools.len(), input(0), input(1)), (2, Some(900), None));
}

#[test]
fn a_model_that_is_down_is_apologised_for_twice_in_other_words_and_then_somebody_else_has_the_call()
{
    for can_hand_off in [true, false] {
        let mut harness = CallHarness::known_as("Ana");
        harness.state.context.can_hand_off = can_hand_off;
        let mut said = Vec::new();
        for _ in 0..3 {
            harness
                .hears("Tell me about Mew.")
                .feed(CallEvent::ReplyFailed(ReplyFailure::Connect));
            said.push(harness.last_said().to_owned());
        }
        assert!(said[0] != said[1] && said[1] != said[2], "{said:?}");
        harness.advance(60_000);
        let [end] = &harness.ends[..] else {
            panic!("the call ends once, not {} times", harness.ends.len());
        };
        assert_eq!(end.is_some(), can_hand_off);
    }
}

#[test]
fn an_answer_between_begins_the_count_of_failures_anew() {
    let mut harness = CallHarness::known_as("Ana");
    for _ in 0..4 {
        harness
            .hears("Tell me about Mew.")
            .feed(CallEvent::ReplyFailed(ReplyFailure::Connect));
        assert!(harness.last_said().contains("having trouble"));
        harness
            .hears("And Onix?")
            .feed(CallEvent::ReplyToken("Onix is rock."))
            .feed(CallEvent::ReplyCompleted(&Finish::default()));
    }
}

#[test]
fn tools_are_bounded_and_the_models_name_needs_the_callers_word() {
    let call = ToolCall {
        id: "1".into(),
        invocation: ToolInvocation::SetName {
            name: "Brock".into(),
        },
    };
    let mut harness = CallHarness::new_caller();
    harness.hears("hello there");
    for _ in 0..10 {
        harness
            .feed(CallEvent::ToolCalled(&call))
            .feed(CallEvent::ReplyCompleted(&Finish::default()));
    }
    assert_eq!(harness.writes_of_kind("name_heard"), 0);
    assert!(harness.replies_requested <= 3 && harness.last_said().contains("trouble"));
}

#[test]
fn a_long_wait_gets_another_filler() {
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("Tell me about Mew.")
        .advance(1_600)
        .advance(6_000)
        .advance(6_000);
    assert!(harness.said.len() >= 3, "{:?}", harness.said);
    assert_ne!(harness.said[0], harness.said[1]);
}

#[test]
fn a_tool_that_was_spoken_about_leaves_nothing_open() {
    let call = ToolCall {
        id: "1".into(),
        invocation: ToolInvocation::NotePreference {
            note: "likes water".into(),
        },
    };
    let mut harness = CallHarness::known_as("Ana");
    harness
        .hears("I like water types.")
        .feed(CallEvent::ReplyToken("Noted!"))
        .feed(CallEvent::ToolCalled(&call))
        .feed(CallEvent::ReplyCompleted(&Finish::default()));
    harness.feed(CallEvent::SocketClosed).feed(RESUMED_BY_TWIML);
    assert_eq!(harness.replies_requested, 1);
}
