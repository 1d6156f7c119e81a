//! Rules that real servers have for requests, and the words in which they refuse.

use serde_json::Value;

/// A refusal: status and body.
pub type RefusalStatus = (u16, String);

/// The first rule that a request breaks. OpenAI's own rules hold always.
pub fn refusal(rules: &[String], request: &Value) -> Option<RefusalStatus> {
    let messages = request["messages"].as_array().cloned().unwrap_or_default();
    if let Some(refused) = openai(&messages) {
        return Some(refused);
    }
    rules.iter().find_map(|rule| match rule.as_str() {
        "alternate" => alternate(&messages),
        "mistral-api" => mistral(&messages),
        "last-not-assistant" => last_not_assistant(&messages),
        "tool-then-assistant" => tool_then_assistant(&messages),
        "system-first" => system_first(&messages),
        "nonempty" => nonempty(&messages),
        "tools-with-history" => tools_with_history(request, &messages),
        unknown => panic!("no such rule: {unknown}"),
    })
}

fn role(message: &Value) -> &str {
    message["role"].as_str().unwrap_or_default()
}

fn calls(message: &Value) -> &[Value] {
    message["tool_calls"].as_array().map_or(&[], Vec::as_slice)
}

fn openai_error(message: &str) -> RefusalStatus {
    let error = serde_json::json!({ "message": message, "type": "invalid_request_error", "param": "messages", "code": null });
    (400, serde_json::json!({ "error": error }).to_string())
}

/// Ids of at most 40 characters and no two alike, names of 1 to 64 letters, results behind their calls, every call
/// with its result.
fn openai(messages: &[Value]) -> Option<RefusalStatus> {
    let mut ids = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        if role(message) == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let Some(found) = open.iter().position(|called| *called == id) else {
                return Some(openai_error(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                ));
            };
            open.remove(found);
            continue;
        }
        if !open.is_empty() {
            return Some(openai_error(&format!(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
                open.join(", ")
            )));
        }
        for call in calls(message) {
            let id = call["id"].as_str().unwrap_or_default();
            let name = call["function"]["name"].as_str().unwrap_or_default();
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
                return Some(openai_error(&format!(
                    "Invalid 'messages[{at}].tool_calls[0].function.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
                )));
            }
            if id.is_empty() || id.len() > 40 {
                return Some(openai_error(&format!(
                    "Invalid 'messages[{at}].tool_calls[0].id': string too long. Expected a string with maximum length 40, but got a string with length {} instead.",
                    id.len()
                )));
            }
            if ids.contains(&id) {
                return Some(openai_error(&format!(
                    "Duplicate value for 'tool_call_id' of '{id}' in message[{at}]"
                )));
            }
            ids.push(id);
            open.push(id);
        }
        if role(message) != "assistant" && message["content"].is_null() {
            return Some(openai_error(&format!(
                "Invalid value for 'content': expected a string, got null. messages[{at}]"
            )));
        }
    }
    None
}

fn vllm_error(message: &str) -> RefusalStatus {
    let body = serde_json::json!({ "object": "error", "message": message, "type": "BadRequestError", "param": null, "code": 400 });
    (400, body.to_string())
}

/// Mistral's and Gemma's templates on Hugging Face: behind an optional system message user and assistant take turns;
/// tool calls and results are not counted, so that a user line behind a result follows a user line.
fn alternate(messages: &[Value]) -> Option<RefusalStatus> {
    let behind = match messages.first().map(role) {
        Some("system") => &messages[1..],
        _ => messages,
    };
    let spoken = behind
        .iter()
        .filter(|message| role(message) != "tool" && calls(message).is_empty());
    for (at, message) in spoken.enumerate() {
        let due = if at % 2 == 0 { "user" } else { "assistant" };
        if role(message) != due {
            return Some(vllm_error(
                "After the optional system message, conversation roles must alternate user/assistant/user/assistant/...",
            ));
        }
    }
    None
}

/// Mistral's own API: ids of exactly 9 letters and digits, no user line behind a result, the last line a user's or a
/// result.
fn mistral(messages: &[Value]) -> Option<RefusalStatus> {
    let error = |message: &str| {
        let body = serde_json::json!({ "object": "error", "message": message, "type": "invalid_request_message_order", "param": null, "code": "3230" });
        Some((400, body.to_string()))
    };
    for pair in messages.windows(2) {
        let (before, after) = (role(&pair[0]), role(&pair[1]));
        let wrong = before == after && after != "tool" && after != "user"
            || before == "tool" && after == "user"
            || before == "system" && after == "assistant";
        if wrong {
            return error(&format!("Unexpected role '{after}' after role '{before}'"));
        }
    }
    for call in messages.iter().flat_map(calls) {
        let id = call["id"].as_str().unwrap_or_default();
        if id.len() != 9 || !id.chars().all(|c| c.is_ascii_alphanumeric()) {
            return error(&format!(
                "Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9."
            ));
        }
    }
    match messages.last().map(role) {
        Some("user" | "tool") => None,
        last => error(&format!(
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got {}",
            last.unwrap_or("none")
        )),
    }
}

/// llama.cpp and Anthropic's compatible endpoint where prefilling is off.
fn last_not_assistant(messages: &[Value]) -> Option<RefusalStatus> {
    let last = messages.last().map(role)?;
    (last == "assistant").then(|| {
        let error = serde_json::json!({ "code": 400, "message": "Assistant response prefill is incompatible with enable_thinking.", "type": "invalid_request_error" });
        (400, serde_json::json!({ "error": error }).to_string())
    })
}

/// Templates that want the assistant's words behind results.
fn tool_then_assistant(messages: &[Value]) -> Option<RefusalStatus> {
    let wrong = messages
        .windows(2)
        .any(|pair| role(&pair[0]) == "tool" && role(&pair[1]) == "user");
    wrong.then(|| vllm_error("Unexpected role 'user' after role 'tool'"))
}

/// Qwen's and others' templates: a system message only at the beginning.
fn system_first(messages: &[Value]) -> Option<RefusalStatus> {
    let late = messages
        .iter()
        .skip(1)
        .any(|message| role(message) == "system");
    late.then(|| vllm_error("System message must be at the beginning."))
}

/// Anthropic's compatible endpoint and Bedrock: no message without words.
fn nonempty(messages: &[Value]) -> Option<RefusalStatus> {
    let empty = messages.iter().position(|message| {
        calls(message).is_empty()
            && message["content"]
                .as_str()
                .is_none_or(|words| words.trim().is_empty())
    })?;
    let message = format!("messages.{empty}: text content blocks must contain non-whitespace text");
    Some(openai_error(&message))
}

/// Bedrock: tools in the history and none on offer.
fn tools_with_history(request: &Value, messages: &[Value]) -> Option<RefusalStatus> {
    let used = messages
        .iter()
        .any(|message| role(message) == "tool" || !calls(message).is_empty());
    let message =
        "The toolConfig field must be defined when using toolUse and toolResult content blocks.";
    (used && request.get("tools").is_none()).then(|| openai_error(message))
}
