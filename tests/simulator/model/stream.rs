//! The answers' bytes: `chat.completion.chunk` events, whole completions, errors.

use super::{
    completion::{Completion, WireLayout},
    request::ModelApiRequest,
};
use serde_json::{Value, json};

/// Arguments of a function call are streamed in pieces of so many characters.
const ARGUMENT_PIECE_CHARACTERS: usize = 5;
/// A fixed time, so that answers are the same in every run.
const CREATED: u64 = 1_780_000_000;

/// One thing that the stream puts on the wire.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AnswerEvent {
    /// A chunk with content or a piece of a function call: the model's own pace applies, and counts are kept.
    Delta(String),
    /// Anything else: role, finish, usage, `[DONE]`.
    Frame(String),
    /// Text that is no JSON.
    Garbage,
}

/// The events of a stream in order.
pub(super) fn events(
    completion: &Completion,
    request: &ModelApiRequest,
    id: &str,
) -> Vec<AnswerEvent> {
    let model = request.model();
    let chunk = |delta: Value, finish: Value| {
        json!({"id": id, "object": "chat.completion.chunk", "created": CREATED, "model": model,
               "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        .to_string()
    };
    let mut events = vec![AnswerEvent::Frame(chunk(
        json!({"role": "assistant", "content": ""}),
        Value::Null,
    ))];
    for token in &completion.tokens {
        events.push(AnswerEvent::Delta(chunk(
            json!({"content": token}),
            Value::Null,
        )));
    }
    for (index, call) in completion.tool_calls.iter().enumerate() {
        let opening = json!({"tool_calls": [{"index": index, "id": call.id, "type": "function",
                                             "function": {"name": call.name, "arguments": ""}}]});
        events.push(AnswerEvent::Delta(chunk(opening, Value::Null)));
        for piece in pieces(&call.arguments) {
            let more = json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]});
            events.push(AnswerEvent::Delta(chunk(more, Value::Null)));
        }
    }
    events.push(AnswerEvent::Frame(chunk(
        json!({}),
        json!(completion.finish_reason),
    )));
    if request.body["stream_options"]["include_usage"] == json!(true) {
        let usage = json!({"id": id, "object": "chat.completion.chunk", "created": CREATED, "model": model,
                           "choices": [], "usage": usage(completion)});
        events.push(AnswerEvent::Frame(usage.to_string()));
    }
    if !completion.no_done {
        events.push(AnswerEvent::Frame("[DONE]".into()));
    }
    if let Some(after) = completion.garble_after {
        let at = events
            .iter()
            .enumerate()
            .filter(|(_, event)| matches!(event, AnswerEvent::Delta(_)))
            .nth(after);
        let at = at.map_or(events.len(), |(at, _)| at);
        events.insert(at, AnswerEvent::Garbage);
    }
    events
}

/// One event as server-sent bytes.
pub(super) fn lay_out(event: &AnswerEvent, wire: WireLayout) -> Vec<u8> {
    let end = if wire.crlf { "\r\n" } else { "\n" };
    let data = match event {
        AnswerEvent::Delta(data) | AnswerEvent::Frame(data) => data.as_str(),
        AnswerEvent::Garbage => r#"{"id":"chatcmpl-x","choices":[{"index":0,"delta":{"content":"#,
    };
    let mut text = String::new();
    if wire.junk {
        text.push_str(&format!(
            ": keep-alive{end}{end}retry: 3000{end}event: message{end}"
        ));
    }
    text.push_str(&format!("data: {data}{end}{end}"));
    if wire.junk {
        text.push_str(end);
    }
    text.into_bytes()
}

/// Wraps bytes as one HTTP chunk.
pub(super) fn http_chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// The answer to a request that wanted no stream.
pub(super) fn whole(completion: &Completion, request: &ModelApiRequest, id: &str) -> String {
    let calls: Vec<Value> = completion
        .tool_calls
        .iter()
        .map(|call| json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}))
        .collect();
    let mut message = json!({"role": "assistant", "content": completion.text()});
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    json!({"id": id, "object": "chat.completion", "created": CREATED, "model": request.model(),
           "choices": [{"index": 0, "message": message, "finish_reason": completion.finish_reason}],
           "usage": usage(completion)})
    .to_string()
}

/// The body of an error that says nothing else.
pub(super) fn error_body(status: u16) -> String {
    let kind = if status == 429 {
        "rate_limit_exceeded"
    } else {
        "server_error"
    };
    json!({"error": {"message": format!("scripted status {status}"), "type": kind, "code": kind}})
        .to_string()
}

fn usage(completion: &Completion) -> Value {
    let said = completion.tokens.len() + completion.tool_calls.len();
    json!({"prompt_tokens": 10, "completion_tokens": said, "total_tokens": 10 + said})
}

fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters
        .chunks(ARGUMENT_PIECE_CHARACTERS)
        .map(|piece| piece.iter().collect())
        .collect()
}
