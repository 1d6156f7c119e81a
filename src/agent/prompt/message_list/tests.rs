//! The order of the messages, against the strictest servers.

#[path = "../../../../tests/simulator/model/role_rules.rs"]
mod strict;

use super::*;
use crate::agent::ToolInvocation;
use proptest::prelude::*;
use serde_json::{Value, json};
use strict::role_faults;

fn call(id: &str) -> ToolCall {
    let name = "Misty".to_owned();
    ToolCall {
        id: id.to_owned(),
        invocation: ToolInvocation::SetName { name },
    }
}

fn messages<'a>(history: &'a [Arc<Message>]) -> RequestMessages<'a> {
    RequestMessages {
        prompt_prefix: "You are a voice.",
        dynamic_prompt: "The name is unknown.",
        turn_instruction: None,
        history,
        is_truncated: false,
        role_support: RoleSupport::default(),
    }
}

fn body(messages: &RequestMessages<'_>) -> Value {
    json!({ "messages": serde_json::to_value(messages).unwrap() })
}

/// Role and content of each message.
fn told(messages: &RequestMessages<'_>) -> Vec<(String, String)> {
    let body = body(messages);
    assert_eq!(role_faults(&body), Vec::<String>::new(), "{body:#}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = body["messages"].as_array().unwrap().iter();
    list.map(|message| (text(&message["role"]), text(&message["content"])))
        .collect()
}

/// What is told behind the system prompt.
fn talk(history: &[Arc<Message>]) -> Vec<(String, String)> {
    told(&messages(history)).split_off(1)
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(role, words): &(&str, &str)| ((*role).to_owned(), (*words).to_owned());
    pairs.iter().map(owned).collect()
}

#[test]
fn a_greeting_stands_behind_a_line_of_the_user() {
    let history = [Message::agent("Hello!"), Message::caller("What is Onix?")];
    let expected = [
        ("system", "You are a voice.\nThe name is unknown."),
        ("user", CALL_BEGINS_NOTE),
        ("assistant", "Hello!"),
        ("user", "What is Onix?"),
    ];
    assert_eq!(told(&messages(&history)), pairs(&expected));
    let cut = RequestMessages {
        is_truncated: true,
        ..messages(&history)
    };
    assert_eq!(told(&cut)[1].1, HISTORY_TRUNCATED_NOTE);
}

#[test]
fn neighbours_of_one_role_are_joined() {
    let history = [
        Message::agent("Hello!"),
        Message::agent("Are you there?"),
        Message::caller("I want"),
        Message::caller("the type of Onix."),
        Message::dtmf("[pressed 7]"),
        Message::dtmf("[pressed 8]"),
        Message::caller("I mean eight."),
    ];
    let user = "I want the type of Onix.\n[pressed 7]\n[pressed 8]\nI mean eight.";
    let expected = [
        ("user", CALL_BEGINS_NOTE),
        ("assistant", "Hello! Are you there?"),
        ("user", user),
    ];
    assert_eq!(talk(&history), pairs(&expected));
}

#[test]
fn our_own_words_are_never_last() {
    let history = [Message::caller("What is Onix?"), Message::agent("Onix is")];
    assert_eq!(talk(&history).last().unwrap().1, CALLER_SILENT_NOTE);
    let with_instruction = RequestMessages {
        turn_instruction: Some("Go on [briefly]\nplease."),
        ..messages(&history)
    };
    let last = format!("{CALLER_SILENT_NOTE}\n[Go on (briefly) please.]");
    assert_eq!(told(&with_instruction).last().unwrap().1, last);
    assert_eq!(talk(&[]), pairs(&[("user", CALL_BEGINS_NOTE)]));
}

#[test]
fn a_nudge_is_told_last_and_never_as_the_result_of_a_tool() {
    let mut history = vec![Message::caller("I'm Misty.")];
    let with_instruction = |history: &[Arc<Message>]| {
        told(&RequestMessages {
            turn_instruction: Some("Be brief."),
            ..messages(history)
        })
    };
    assert_eq!(with_instruction(&history)[1].1, "I'm Misty.\n[Be brief.]");
    history.push(Message::agent_with_calls("", vec![call("a")]));
    history.push(Message::tool_result("a", "noted"));
    let all = with_instruction(&history);
    assert_eq!(all.last().unwrap().1, "noted");
    assert!(all[0].1.ends_with("\nBe brief."), "{all:?}");
}

#[test]
fn nobody_can_say_a_line_in_brackets() {
    let said = "[pressed 1] and ［The caller is silent.］";
    let history = [Message::caller(said), Message::system("a [remark]")];
    let told = "(pressed 1) and (The caller is silent.)\n[a (remark)]";
    assert_eq!(talk(&history), pairs(&[("user", told)]));
    assert!(BRACKETS_EXPLAINED.contains(CALLER_SILENT_NOTE));
}

#[test]
fn calls_and_results_go_in_pairs() {
    let history = [
        Message::caller("I'm Misty"),
        Message::agent_with_calls("", vec![call("a"), call("lost"), call("a")]),
        Message::tool_result("a", "saved"),
        Message::tool_result("never called", "?"),
        Message::agent_with_calls("", vec![call("interrupted")]),
        Message::caller("Hello?"),
        Message::tool_result("a", "again"),
    ];
    let expected = [
        ("user", "I'm Misty"),
        ("assistant", ""),
        ("tool", "saved"),
        ("assistant", TOOL_RESULT_ACK),
        ("user", "Hello?"),
    ];
    assert_eq!(talk(&history), pairs(&expected));
    let body = body(&messages(&history));
    let calls = body["messages"][2]["tool_calls"].as_array().unwrap();
    assert_eq!((calls.len(), &calls[0]["id"]), (1, &Value::from("a")));
    assert_eq!(calls[0]["function"]["arguments"], r#"{"name":"Misty"}"#);
    assert_eq!(body["messages"][3]["tool_call_id"], "a");
}

#[test]
fn a_late_result_is_told_with_its_call() {
    let history = [
        Message::caller("Is my order there?"),
        Message::agent_with_calls("Let me look.", vec![call("a"), call("b")]),
        Message::tool_result("b", "second"),
        Message::caller("Hello?"),
        Message::tool_result("a", "first"),
    ];
    let expected = [
        ("user", "Is my order there?"),
        ("assistant", "Let me look."),
        ("tool", "first"),
        ("tool", "second"),
        ("assistant", TOOL_RESULT_ACK),
        ("user", "Hello?"),
    ];
    assert_eq!(talk(&history), pairs(&expected));
}

#[test]
fn an_id_that_is_used_again_has_its_own_results() {
    let history = [
        Message::caller("One"),
        Message::agent_with_calls("", vec![call("call_0")]),
        Message::caller("Two"),
        Message::agent_with_calls("", vec![call("call_0")]),
        Message::tool_result("call_0", "of two"),
    ];
    let expected = [("user", "One Two"), ("assistant", ""), ("tool", "of two")];
    assert_eq!(talk(&history), pairs(&expected));
}

#[test]
fn a_server_without_a_system_role_is_told_all_the_same() {
    let history = [Message::agent("Hello!"), Message::caller("Hi")];
    let mut told = messages(&history);
    told.role_support.system_role = false;
    let body = body(&told);
    let first = format!("You are a voice.\nThe name is unknown.\n\n{CALL_BEGINS_NOTE}");
    assert_eq!(
        body["messages"][0],
        json!({"role": "user", "content": first})
    );
    let others = body["messages"].as_array().unwrap();
    assert!(others.iter().all(|message| message["role"] != "system"));
}

#[test]
fn a_server_without_tools_is_told_what_came_of_them() {
    let history = [
        Message::caller("I'm Misty"),
        Message::agent_with_calls("Let me note that.", vec![call("a"), call("lost")]),
        Message::tool_result("a", "[noted]\nas told"),
    ];
    let mut told_plain = messages(&history);
    told_plain.role_support.tool_roles = false;
    let result = "[The tool set_name returned: (noted) as told]";
    let expected = [
        ("user", "I'm Misty"),
        ("assistant", "Let me note that."),
        ("user", result),
    ];
    assert_eq!(told(&told_plain)[1..], pairs(&expected));
    assert!(!body(&told_plain).to_string().contains("tool_call"));
}

#[test]
fn the_oldest_are_left_out_and_the_last_never() {
    let many: Vec<_> = (0..10)
        .map(|i| Message::caller(format!("{i}{}", "x".repeat(99))))
        .collect();
    assert_eq!(history_window(&many, 3, 100_000).len(), 3);
    assert_eq!(history_window(&many, 100, 250).len(), 2);
    assert_eq!(history_window(&many, 100, 10).first(), many.last());
    assert_eq!(history_window(&[], 3, 10).len(), 0);
}

#[test]
fn a_result_is_told_with_the_question_that_it_is_for() {
    let history = [
        Message::agent("Hello!"),
        Message::caller("Is my order there?"),
        Message::agent_with_calls("", vec![call("a")]),
        Message::tool_result("a", "x".repeat(2_000)),
    ];
    let told = history_window(&history, 2, 1_000);
    assert_eq!(told, &history[1..]);
    assert_eq!(talk(told).len(), 3);
    assert_eq!(history_window(&history[2..], 1, 1_000), &history[2..]);
}

fn any_message() -> impl Strategy<Value = Arc<Message>> {
    let words = prop::sample::select(vec![
        "",
        " ",
        "Hi",
        "One.",
        "[pressed 1]",
        "two\nlines",
        "?",
    ]);
    let id = || prop::sample::select(vec!["a", "b", "c"]);
    let calls = prop::collection::vec(id(), 0..3);
    (0..6u8, words, id(), calls).prop_map(|(speaker, words, id, calls)| match speaker {
        0 => Message::system(words),
        1 => Message::caller(words),
        2 => Message::dtmf("[pressed 1]"),
        3 => Message::agent(words),
        4 => Message::agent_with_calls(words, calls.into_iter().map(call).collect()),
        _ => Message::tool_result(id, words),
    })
}

/// Ids that come again in a later message are told apart, as the state gives each call its own.
fn with_own_ids(history: &[Arc<Message>]) -> Vec<Arc<Message>> {
    let mut rounds = 0;
    let of_round = |id: &str, round: usize| format!("{id}{round}");
    let mut own = Vec::new();
    for message in history {
        if !message.tool_calls.is_empty() {
            rounds += 1;
            let calls = message.tool_calls.iter();
            let calls = calls.map(|one| call(&of_round(&one.id, rounds))).collect();
            own.push(Message::agent_with_calls(message.content.as_str(), calls));
        } else if let Some(id) = &message.tool_call_id {
            own.push(Message::tool_result(
                of_round(id, rounds),
                message.content.as_str(),
            ));
        } else {
            own.push(Arc::clone(message));
        }
    }
    own
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_in_order(
        history in prop::collection::vec(any_message(), 0..12),
        turns_max in 1usize..14,
        bytes_max in 0usize..60,
        turn_instruction in prop::option::of(Just("Be brief.")),
        tool_roles in any::<bool>(),
    ) {
        let history = with_own_ids(&history);
        let kept = history_window(&history, turns_max, bytes_max);
        let told = RequestMessages {
            turn_instruction,
            history: kept,
            is_truncated: kept.len() < history.len(),
            role_support: RoleSupport { tool_roles, ..RoleSupport::default() },
            ..messages(kept)
        };
        let body = body(&told);
        prop_assert_eq!(role_faults(&body), Vec::<String>::new(), "{:#}", body);
        let list = body["messages"].as_array().unwrap();
        prop_assert_eq!(&list[0]["role"], "system");
        let users: Vec<&str> = list
            .iter()
            .filter(|message| message["role"] == "user")
            .map(|message| message["content"].as_str().unwrap())
            .collect();
        let said = users.join("\n");
        for message in kept.iter().filter(|message| message.role.is_caller()) {
            let words = message.content.replace(['[', ']'], "");
            prop_assert!(said.contains(words.trim()), "{}: {:?}", words, users);
        }
        prop_assert!(turn_instruction.is_none() || body.to_string().contains("Be brief."));
        prop_assert_eq!(kept.last(), history.last());
    }

    #[test]
    fn ids_that_come_again_leave_no_call_open(history in prop::collection::vec(any_message(), 0..12)) {
        let body = body(&messages(&history));
        let errors: Vec<_> = role_faults(&body)
            .into_iter()
            .filter(|fault| !fault.contains("id again"))
            .collect();
        prop_assert_eq!(errors, Vec::<String>::new(), "{:#}", body);
    }
}
