//! What the strictest servers refuse in the messages of a request: the templates of Mistral, Gemma, Llama
//! and Qwen, and Mistral's own servers, all at once.

use serde_json::Value;
use std::collections::HashSet;

/// Everything wrong with the order of the `messages` of a request's body; empty if nothing is.
pub fn role_faults(body: &Value) -> Vec<String> {
    let messages = body["messages"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut faults = Vec::new();
    let mut before = "";
    let mut open: Vec<&str> = Vec::new();
    let mut ids = HashSet::new();
    for (at, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        let calls: Vec<&str> = call_ids(message);
        let mut fault = |what: &str| faults.push(format!("message {at} ({role}): {what}"));
        match (role, before) {
            ("system", "") | ("user", "system" | "assistant") => {}
            ("assistant", "user" | "tool") | ("tool", "assistant" | "tool") => {}
            _ => fault(&format!("unexpected after {before:?}")),
        }
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            match open.iter().position(|call| *call == id) {
                Some(at) => drop(open.remove(at)),
                None => fault("answers no open call"),
            }
        } else if !open.is_empty() {
            fault("a call before it has no result");
            open.clear();
        }
        match message["content"].as_str() {
            None => fault("has no text"),
            Some(text) if text.trim().is_empty() && role != "tool" && calls.is_empty() => {
                fault("is empty");
            }
            Some(_) => {}
        }
        if !calls.iter().all(|id| ids.insert(*id)) {
            fault("uses a call's id again");
        }
        open.extend(calls);
        before = role;
    }
    if before != "user" && before != "tool" {
        faults.push(format!("the last message is {before:?}"));
    }
    if !open.is_empty() {
        faults.push("the last call has no result".to_owned());
    }
    faults
}

fn call_ids(message: &Value) -> Vec<&str> {
    let calls = message["tool_calls"].as_array();
    let calls = calls.map(Vec::as_slice).unwrap_or_default();
    calls
        .iter()
        .filter_map(|call| call["id"].as_str())
        .collect()
}
