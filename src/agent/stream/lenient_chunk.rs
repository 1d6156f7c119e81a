//! Chunks in other forms than the usual one: numbers as strings, texts as lists of parts, arguments as objects, errors
//! under many keys, keep-alives wrapped as data. Slower than [`Chunk::usual`], which parses nearly all chunks.

use super::chunk::{Chunk, ToolCallDelta};
use crate::agent::event::Usage;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The kind of an event's data.
#[derive(Debug, PartialEq)]
pub(in crate::agent) enum EventData {
    /// A keep-alive; it contains no text.
    KeepAlive,
    /// The end of the stream.
    Done,
    /// One or several JSON values.
    Values(Vec<Value>),
    /// Not JSON.
    Unreadable,
}

impl EventData {
    pub(in crate::agent) fn parse(data: &str) -> EventData {
        let data = data.trim();
        // Wrapped twice by a gateway.
        let data = data.strip_prefix("data:").map_or(data, str::trim_start);
        if data.trim_matches('"').eq_ignore_ascii_case("[done]") {
            return EventData::Done;
        }
        // Comments, and words like "ping".
        if data.starts_with(':') || is_word(data) {
            return EventData::KeepAlive;
        }
        match json_values(data).or_else(|| json_values(&repaired_json(data))) {
            None => EventData::Unreadable,
            Some(values) if values.iter().all(is_keep_alive) => EventData::KeepAlive,
            Some(values) => EventData::Values(values),
        }
    }
}

/// Several values may follow each other: events that a gateway did not separate.
fn json_values(data: &str) -> Option<Vec<Value>> {
    let mut all = Vec::new();
    for value in serde_json::Deserializer::from_str(data).into_iter::<Value>() {
        match value.ok()? {
            Value::Array(list) => all.extend(list),
            value => all.push(value),
        }
    }
    Some(all)
}

fn is_word(data: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '!' | '"');
    data.trim_matches(['[', ']']).chars().all(plain)
}

fn is_keep_alive(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => is_word(text),
        _ => true,
    }
}

/// Repairs invalid JSON that servers write: half of a surrogate pair, control characters within strings, NaN and
/// infinite numbers.
fn repaired_json(data: &str) -> String {
    let mut out = String::with_capacity(data.len());
    let (mut rest, mut in_text) = (data, false);
    while let Some(c) = rest.chars().next() {
        let mut len = c.len_utf8();
        match c {
            '"' => in_text = !in_text,
            '\\' if in_text => {
                len = escape_len(rest);
                if !is_escape(&rest[..len]) {
                    out.push_str("\\ufffd");
                    rest = &rest[len..];
                    continue;
                }
            }
            '\u{0}'..='\u{1f}' if in_text => {
                out.push_str(match c {
                    '\n' => "\\n",
                    '\t' => "\\t",
                    _ => "",
                });
                rest = &rest[len..];
                continue;
            }
            'N' | 'I' | '-' if !in_text => {
                let number = ["NaN", "Infinity", "-Infinity"];
                if let Some(number) = number.iter().find(|number| rest.starts_with(**number)) {
                    out.push_str("null");
                    rest = &rest[number.len()..];
                    continue;
                }
            }
            _ => {}
        }
        out.push_str(&rest[..len]);
        rest = &rest[len..];
    }
    out
}

/// The bytes of the escape at the start of `text_value`; of two where they are a surrogate pair.
fn escape_len(text: &str) -> usize {
    let unit = |at: usize| {
        let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    match (unit(0), unit(6)) {
        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
        (Some(_), _) => 6,
        _ => text.chars().take(2).map(char::len_utf8).sum(),
    }
}

fn is_escape(escape: &str) -> bool {
    serde_json::from_str::<String>(&format!("\"{escape}\"")).is_ok()
}

impl<'a> Chunk<'a> {
    /// Parses a chunk, whatever the types of its fields are.
    pub(in crate::agent) fn parse_lenient(value: &'a Value) -> Self {
        let mut chunk = Chunk::default();
        let Value::Object(object) = value else {
            chunk.unreadable_parts = 1;
            return chunk;
        };
        chunk.usage = usage(object);
        let choice = object.get("choices").and_then(first_choice);
        chunk.is_error = is_error(object, choice.is_some());
        if let Some(choice) = choice {
            chunk.take_choice(choice);
        } else if let Some(message @ Value::Object(_)) = object.get("message") {
            // Ollama's own API: a message in pieces.
            chunk.take_delta(message);
            if object.get("done") == Some(&Value::Bool(true)) {
                let reason = object.get("done_reason").and_then(text_value);
                chunk.finish_reason = Some(reason.unwrap_or(Cow::Borrowed("stop")));
            }
        } else if !chunk.is_error {
            let words = ["content", "text", "delta", "response", "output"];
            let is_text = |key: &&str| object.get(*key).is_some_and(|words| !is_empty(words));
            chunk.unreadable_parts = words.iter().filter(|key| is_text(key)).count() as u32;
        }
        chunk
    }

    fn take_choice(&mut self, choice: &'a Map<String, Value>) {
        self.index = choice.get("index").and_then(integer_value);
        let reason = choice
            .get("finish_reason")
            .or_else(|| choice.get("finishReason"));
        self.finish_reason = reason.and_then(finish_reason);
        let delta = choice.get("delta").filter(|delta| !is_empty(delta));
        let message = choice.get("message").filter(|message| !is_empty(message));
        self.is_whole_message = delta.is_none() && message.is_some();
        match (delta.or(message), choice.get("text")) {
            (Some(delta), _) => self.take_delta(delta),
            // The text completions API.
            (None, Some(text)) => self.take_content(text),
            (None, None) => {}
        }
    }

    fn take_delta(&mut self, delta: &'a Value) {
        let Value::Object(delta) = delta else {
            return self.take_content(delta);
        };
        for key in ["content", "refusal"] {
            if let (true, Some(content)) = (self.content.is_empty(), delta.get(key)) {
                self.take_content(content);
            }
        }
        match delta.get("tool_calls") {
            Some(Value::Array(list)) => list.iter().for_each(|call| self.take_call(call)),
            Some(call) => self.take_call(call),
            None => {}
        }
        if let Some(call) = delta.get("function_call") {
            self.take_call(call);
        }
    }

    fn take_content(&mut self, content: &'a Value) {
        match content {
            Value::Null | Value::Bool(_) => {}
            Value::Array(parts) => parts.iter().for_each(|part| self.take_content(part)),
            Value::Object(part) => self.take_part(part),
            content => {
                let words = text_value(content).unwrap_or_default();
                if self.content.is_empty() {
                    self.content = words;
                } else {
                    self.content.to_mut().push_str(&words);
                }
            }
        }
    }

    /// `{"type": "text", "text": ...}`, and its equivalents on other servers.
    fn take_part(&mut self, part: &'a Map<String, Value>) {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
        let silent = ["thinking", "reasoning", "thought", "reference"];
        let is_thought = part.get("thought") == Some(&Value::Bool(true));
        if is_thought || silent.iter().any(|silent| kind.contains(silent)) {
            return;
        }
        let keys = ["text", "value", "content", "refusal"];
        let words = keys.iter().find_map(|key| part.get(*key));
        match words {
            Some(words) => self.take_content(words),
            None if part.is_empty() || kind.ends_with("text") => {}
            None => self.unreadable_parts += 1,
        }
    }

    fn take_call(&mut self, call: &'a Value) {
        let Value::Object(call) = call else {
            self.unreadable_parts += u32::from(!is_empty(call));
            return;
        };
        // Without `function` the fields are in the call itself.
        let function = match call.get("function") {
            Some(Value::Object(function)) => function,
            _ => call,
        };
        let argument_keys = ["arguments", "parameters", "input"];
        let arguments = argument_keys.iter().find_map(|key| function.get(*key));
        self.tool_calls.push(ToolCallDelta {
            index: call.get("index").and_then(integer_value),
            id: call.get("id").and_then(text_value).unwrap_or_default(),
            name: function
                .get("name")
                .and_then(text_value)
                .unwrap_or_default(),
            arguments: arguments.and_then(text_value).unwrap_or_default(),
        });
    }
}

/// Choice 0, or else the first.
fn first_choice(choices: &Value) -> Option<&Map<String, Value>> {
    let Value::Array(list) = choices else {
        return choices.as_object();
    };
    let mut objects = list.iter().filter_map(Value::as_object);
    let zero =
        |choice: &&Map<String, Value>| choice.get("index").and_then(integer_value) == Some(0);
    objects.clone().find(zero).or_else(|| objects.next())
}

/// A text, or another value as JSON; `None` for null.
fn text_value(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        value => Some(Cow::Owned(value.to_string())),
    }
}

/// An integer, as a number or as a string.
fn integer_value(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .or(number.as_f64().map(|float| float as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn finish_reason(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null | Value::Bool(false) | Value::Array(_) => None,
        Value::Object(reason) => {
            let keys = ["type", "reason", "name"];
            keys.iter()
                .find_map(|key| reason.get(*key).and_then(text_value))
        }
        value => text_value(value),
    }
}

fn usage(chunk: &Map<String, Value>) -> Option<Usage> {
    let nested = chunk.get("usage").and_then(Value::as_object);
    let counts = nested.filter(|counts| !counts.is_empty()).unwrap_or(chunk);
    let count = |of: &Map<String, Value>, keys: &[&str]| {
        let found = keys
            .iter()
            .find_map(|key| of.get(*key).and_then(integer_value))?;
        Some(u32::try_from(found.max(0)).unwrap_or(u32::MAX))
    };
    let detail = |key: &str, keys: &[&str]| count(counts.get(key)?.as_object()?, keys);
    let prompt = count(counts, &["prompt_tokens", "prompt_eval_count"]);
    let completion = count(counts, &["completion_tokens", "eval_count"]);
    // Without any readable count there is no usage.
    prompt.or(completion)?;
    Some(Usage {
        prompt_tokens: prompt.unwrap_or(0),
        completion_tokens: completion.unwrap_or(0),
        cached_tokens: detail("prompt_tokens_details", &["cached_tokens"])
            .or_else(|| count(counts, &["prompt_cache_hit_tokens", "cached_tokens"]))
            .unwrap_or(0),
        reasoning_tokens: detail("completion_tokens_details", &["reasoning_tokens"])
            .or_else(|| count(counts, &["reasoning_tokens"]))
            .unwrap_or(0),
    })
}

/// Errors are under `error`, marked by `object` or `type`, or a bare message instead of choices.
fn is_error(chunk: &Map<String, Value>, has_choice: bool) -> bool {
    let says = |key: &str| chunk.get(key).is_some_and(|value| !is_empty(value));
    let names_it = |key: &str| {
        let kind = chunk.get(key).and_then(Value::as_str);
        kind.is_some_and(|kind| matches!(kind, "error" | "failed"))
    };
    if says("error") || says("errors") || ["object", "type", "status"].into_iter().any(names_it) {
        return true;
    }
    let explains = says("detail")
        || says("msg")
        || says("error_message")
        || chunk.contains_key("error")
        || chunk.get("message").is_some_and(Value::is_string);
    let has_more = ["choices", "usage", "done"];
    let is_bare = !has_more.iter().any(|key| chunk.contains_key(*key));
    explains && is_bare && !has_choice && !chunk.get("error").is_some_and(Value::is_null)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Bool(true) => false,
    }
}
