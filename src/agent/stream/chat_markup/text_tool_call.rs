//! Parses tool calls that a model writes as text: as JSON, as tags, or in function syntax.

use crate::agent::tools::offered_names::OfferedToolNames;
use serde_json::{Map, Value};

/// A tool call as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextToolCall {
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

/// Keys of the name of a tool, and of its arguments.
const NAME_KEYS: [&str; 10] = [
    "name",
    "function",
    "tool",
    "tool_name",
    "function_name",
    "recipient_name",
    "action",
    "api",
    "tool_call",
    "function_call",
];
pub(super) const ARGUMENT_KEYS: [&str; 8] = [
    "arguments",
    "parameters",
    "args",
    "input",
    "tool_input",
    "action_input",
    "params",
    "kwargs",
];
/// Keys of objects and lists that contain calls.
const CALL_LIST_KEYS: [&str; 5] = [
    "tool_calls",
    "tool_uses",
    "function_call",
    "tool_call",
    "calls",
];
/// Other keys of a call.
const OTHER_KEYS: [&str; 3] = ["id", "type", "index"];

/// Closing text that may be missing at the end of a call.
const MISSING_CLOSERS: [&str; 4] = ["}", "}}", "]", "}]"];
/// Keys of a reply that is wrapped in an object and should have been plain text.
const TEXT_KEYS: [&str; 9] = [
    "response", "answer", "content", "text", "message", "reply", "speech", "say", "farewell",
];

/// Whether an object whose first key is `key` may be a call.
pub(super) fn may_be_key(key: &str, offered: &OfferedToolNames) -> bool {
    let known = [
        &NAME_KEYS[..],
        &ARGUMENT_KEYS,
        &CALL_LIST_KEYS,
        &OTHER_KEYS,
        &TEXT_KEYS,
    ];
    known.iter().any(|keys| keys.contains(&key)) || offered.resolve(key).is_some()
}

/// The calls in a block that contains some, and the text after them. Empty where it cannot be parsed.
pub(super) fn parse_block<'a>(
    block: &'a str,
    offered: &OfferedToolNames,
) -> (Vec<TextToolCall>, &'a str) {
    let text = unfenced(block);
    if text.starts_with(['{', '[']) {
        if let Some((calls, rest)) = parse_json_calls(text, offered) {
            return (calls, rest);
        }
        // Small models omit closing brackets.
        let closed = MISSING_CLOSERS.iter().find_map(|end| {
            let value = serde_json::from_str(&format!("{text}{end}")).ok()?;
            calls_in(&value, offered)
        });
        if let Some(calls) = closed {
            return (calls, "");
        }
    }
    let tagged = parse_tagged_calls(text);
    if !tagged.is_empty() {
        return (tagged, "");
    }
    if let Some(call) = parse_named_call(text, offered) {
        return (vec![call], "");
    }
    let (calls, rest) = parse_code_calls(text, offered);
    if calls.is_empty() && offered.resolve(text.trim()).is_some() {
        let name = text.trim().to_owned();
        let arguments = "{}".to_owned();
        return (vec![TextToolCall { name, arguments }], "");
    }
    (calls, rest)
}

/// `text` without a code fence around it.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let Some(inner) = text.strip_prefix("```") else {
        return text;
    };
    let inner = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    inner.trim().trim_end_matches("```").trim()
}

/// One or several calls as JSON; `None` if `text` does not start with one.
pub(super) fn parse_json_calls<'a>(
    text: &'a str,
    offered: &OfferedToolNames,
) -> Option<(Vec<TextToolCall>, &'a str)> {
    let (mut calls, mut rest) = (Vec::new(), text);
    while rest.starts_with(['{', '[']) {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let Some(Ok(value)) = values.next() else {
            break;
        };
        let Some(found) = calls_in(&value, offered) else {
            break;
        };
        calls.extend(found);
        rest = rest[values.byte_offset()..]
            .trim_start_matches(|c: char| c.is_whitespace() || ";,".contains(c));
    }
    (rest.len() < text.len()).then_some((calls, rest))
}

/// The text in an object that is not a call.
pub(super) fn wrapped_text(json: &str) -> Option<String> {
    let object: Map<String, Value> = serde_json::from_str(json).ok()?;
    let mut keys = TEXT_KEYS.iter();
    keys.find_map(|key| Some(object.get(*key)?.as_str()?.to_owned()))
}

/// The calls in `value`; `None` where it contains none.
pub(super) fn calls_in(value: &Value, offered: &OfferedToolNames) -> Option<Vec<TextToolCall>> {
    let object = match value {
        Value::Array(list) if !list.is_empty() => {
            let calls: Option<Vec<_>> = list.iter().map(|value| calls_in(value, offered)).collect();
            return calls.map(|calls| calls.concat());
        }
        Value::Object(object) => object,
        _ => return None,
    };
    let holds = |held: &&Value| !held.is_string();
    let mut holders = CALL_LIST_KEYS.iter();
    let holder = holders.find_map(|key| object.get(*key).filter(holds));
    if let Some(held) = holder.or(object.get("function").filter(|held| held.is_object())) {
        return calls_in(held, offered);
    }
    let only = object.iter().next().filter(|_| object.len() == 1);
    if let Some((name, Value::Object(arguments))) = only
        && offered.resolve(name).is_some()
    {
        return Some(vec![call(name, &Value::Object(arguments.clone()))]);
    }
    let name_key = NAME_KEYS
        .iter()
        .find(|key| object.get(**key).is_some_and(Value::is_string))?;
    let name = object[*name_key].as_str()?;
    if let Some(arguments) = ARGUMENT_KEYS.iter().find_map(|key| object.get(*key)) {
        return Some(vec![call(name, arguments)]);
    }
    // The arguments are in the same object as the name, or missing.
    offered.resolve(name)?;
    let mut arguments = object.clone();
    arguments.remove(*name_key);
    arguments.retain(|key, _| !OTHER_KEYS.contains(&key.as_str()));
    Some(vec![call(name, &Value::Object(arguments))])
}

fn call(name: &str, arguments: &Value) -> TextToolCall {
    TextToolCall {
        name: name.to_owned(),
        arguments: match arguments {
            Value::String(text) => text.clone(),
            arguments => arguments.to_string(),
        },
    }
}

/// `<function=name><parameter=key>value</parameter></function>`, `<invoke name="name">` and
/// `name<arg_key>key</arg_key><arg_value>value</arg_value>`.
fn parse_tagged_calls(text: &str) -> Vec<TextToolCall> {
    let text = text.replace("｜DSML｜", "").replace("|DSML|", "");
    let openers = ["<function", "<invoke"];
    let mut calls = Vec::new();
    let mut rest = text.as_str();
    while let Some(at) = openers.iter().filter_map(|opener| rest.find(opener)).min() {
        let opener = &rest[at + 1..];
        let head_end = opener.find(['>', '{']).unwrap_or(opener.len());
        let body = opener[head_end..].trim_start_matches('>');
        let end = body.find("</function>").or_else(|| body.find("</invoke>"));
        let (body, after) = body.split_at(end.unwrap_or(body.len()));
        if let Some(name) = attribute(&opener[..head_end]) {
            calls.push(with_parameters(name, body));
        }
        rest = after;
    }
    if let (true, Some(at)) = (calls.is_empty(), text.find("<arg_key>")) {
        calls.push(with_parameters(text[..at].trim(), &text[at..]));
    }
    calls
}

/// `function=NAME`, `invoke name="NAME"`.
fn attribute(head: &str) -> Option<&str> {
    let value = head.split_once('=')?.1.trim();
    let value = value.trim_start_matches(['"', '\'']);
    let end = value.find(['"', '\'', ' ']).unwrap_or(value.len());
    (end > 0).then_some(&value[..end])
}

fn with_parameters(name: &str, body: &str) -> TextToolCall {
    if body.trim_start().starts_with('{') {
        let arguments = Value::String(body.trim().to_owned());
        return call(name, &arguments);
    }
    let mut arguments = Map::new();
    let mut rest = body;
    loop {
        let parameter = rest.find("<parameter");
        let (key, value, after) = if let Some(at) = parameter {
            let Some((head, value)) = rest[at + 1..].split_once('>') else {
                break;
            };
            let (value, after) = value.split_once("</parameter>").unwrap_or((value, ""));
            (attribute(head).unwrap_or_default(), value, after)
        } else if let Some((_, key)) = rest.split_once("<arg_key>") {
            let (key, value) = key.split_once("</arg_key>").unwrap_or((key, ""));
            let value = value
                .split_once("<arg_value>")
                .map_or("", |(_, value)| value);
            let (value, after) = value.split_once("</arg_value>").unwrap_or((value, ""));
            (key.trim(), value, after)
        } else {
            break;
        };
        arguments.insert(key.to_owned(), Value::String(value.trim().to_owned()));
        rest = after;
    }
    call(name, &Value::Object(arguments))
}

/// A name, possibly with a prefix or suffix, and an object after it: `end_call{...}`,
/// `functions.end_call:0<|tool_call_argument_begin|>{...}`, `call:end_call{farewell:<|"|>Bye<|"|>}`.
fn parse_named_call(text: &str, offered: &OfferedToolNames) -> Option<TextToolCall> {
    let (head, body) = text.split_at(text.find('{')?);
    let in_name = |c: char| c.is_alphanumeric() || "_.:-/".contains(c);
    let words = || head.split(|c| !in_name(c)).filter(|word| !word.is_empty());
    let known = words().rfind(|word| offered.resolve(word).is_some());
    let name = known.or_else(|| words().next())?;
    let value = |text: &str| {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        values.next()?.ok()
    };
    let arguments = value(body).or_else(|| value(&repaired_json(body)))?;
    // Function syntax has parentheses before its object.
    (!head.contains('(')).then(|| call(name, &arguments))
}

/// Repairs objects with unquoted keys or other quotes.
pub(super) fn repaired_json(text: &str) -> String {
    let mut text = text.replace("<|\"|>", "\"").replace("<escape>", "\"");
    if !text.contains('"') {
        text = text.replace('\'', "\"");
    }
    let mut out = String::with_capacity(text.len());
    let (mut in_text, mut escaped) = (false, false);
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        out.push(c);
        in_text ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        if !in_text && matches!(c, '{' | ',') {
            let key = rest.trim_start();
            let end = key
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(0);
            if end > 0 && key[end..].trim_start().starts_with(':') {
                out.push('"');
                out.push_str(&key[..end]);
                out.push('"');
                rest = &key[end..];
            }
        }
    }
    out
}

/// Calls in function syntax, and the text after them: `[end_call(farewell="Bye")]`,
/// `print(default_api.end_call())`.
fn parse_code_calls<'a>(text: &'a str, offered: &OfferedToolNames) -> (Vec<TextToolCall>, &'a str) {
    let mut calls = Vec::new();
    let mut rest = text.trim_start_matches(['[', ' ', '\n']);
    loop {
        let inner = rest.strip_prefix("print(").unwrap_or(rest);
        let Some(open) = inner.find('(') else {
            break;
        };
        let name = inner[..open].trim();
        let Some(close) = closing_bracket(&inner[open..]) else {
            break;
        };
        if offered.resolve(name).is_none() {
            break;
        }
        calls.push(TextToolCall {
            name: name.to_owned(),
            arguments: keywords(&inner[open + 1..open + close]).to_string(),
        });
        rest = inner[open + close + 1..].trim_start_matches([')', ']', ',', ';', ' ', '\n']);
    }
    (calls, rest)
}

/// The offset of the bracket that closes the first one of `text`.
pub(super) fn closing_bracket(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0_u32, None, false);
    for (at, c) in text.char_indices() {
        if let Some(mark) = quote {
            if !escaped && c == mark {
                quote = None;
            }
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '"' | '\'' => quote = Some(c),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// `key="value", other=3` as an object.
fn keywords(text: &str) -> Value {
    let mut arguments = Map::new();
    let mut rest = text.trim();
    while let Some((key, value)) = rest.split_once('=') {
        let value = value.trim_start();
        let end = end_of_value(value);
        arguments.insert(key.trim().to_owned(), literal(value[..end].trim()));
        rest = value[end..].trim_start_matches(|c: char| c == ',' || c.is_whitespace());
    }
    Value::Object(arguments)
}

fn end_of_value(text: &str) -> usize {
    // Wrapped in brackets, so that only a comma outside of strings ends it.
    let mut from = 0;
    while let Some(comma) = text[from..].find(',') {
        let end = from + comma;
        if closing_bracket(&format!("({})", &text[..end])) == Some(end + 1) {
            return end;
        }
        from = end + 1;
    }
    text.len()
}

fn literal(text: &str) -> Value {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(inner) = inner('\'') {
        let json = format!("\"{}\"", inner.replace("\\'", "'").replace('"', "\\\""));
        return serde_json::from_str(&json).unwrap_or_else(|_| inner.into());
    }
    match text {
        "True" => true.into(),
        "False" => false.into(),
        "None" => Value::Null,
        _ => serde_json::from_str(text).unwrap_or_else(|_| text.trim_matches('"').into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::BuiltInTools;

    fn calls(block: &str) -> Vec<(String, Value)> {
        let offered = OfferedToolNames::built_in(&BuiltInTools::ALL);
        let (calls, _) = parse_block(block, &offered);
        let value =
            |call: TextToolCall| (call.name, serde_json::from_str(&call.arguments).unwrap());
        calls.into_iter().map(value).collect()
    }

    #[test]
    fn a_call_is_read_in_every_form() {
        let bye = serde_json::json!({ "farewell": "Bye, \"Ann\"" });
        for block in [
            r#"{"name": "end_call", "arguments": {"farewell": "Bye, \"Ann\""}}"#,
            r#"{"name": "end_call", "arguments": "{\"farewell\": \"Bye, \\\"Ann\\\"\"}"}"#,
            r#"[{"name": "end_call", "parameters": {"farewell": "Bye, \"Ann\""}}]"#,
            r#"{"type": "function", "function": {"name": "end_call", "arguments": {"farewell": "Bye, \"Ann\""}}}"#,
            r#"{"tool_calls": [{"id": "1", "function": {"name": "end_call", "arguments": {"farewell": "Bye, \"Ann\""}}}]}"#,
            r#"{"function": "end_call", "parameters": {"farewell": "Bye, \"Ann\""}}"#,
            r#"{"tool": "end_call", "args": {"farewell": "Bye, \"Ann\""}}"#,
            r#"{"action": "end_call", "action_input": {"farewell": "Bye, \"Ann\""}}"#,
            r#"{"end_call": {"farewell": "Bye, \"Ann\""}}"#,
            r#"{"name": "end_call", "farewell": "Bye, \"Ann\""}"#,
            r#"{"tool_call": "end_call", "parameters": {"farewell": "Bye, \"Ann\""}}"#,
            r#"{"name": "end_call", "arguments": {"farewell": "Bye, \"Ann\""}"#,
            "```json\n{\"name\": \"end_call\", \"arguments\": {\"farewell\": \"Bye, \\\"Ann\\\"\"}}\n```",
            r#"end_call{"farewell": "Bye, \"Ann\""}"#,
            r#"end_call[ARGS]{"farewell": "Bye, \"Ann\""}"#,
            "functions.end_call:0<|tool_call_argument_begin|>{\"farewell\": \"Bye, \\\"Ann\\\"\"}",
            "function<｜tool▁sep｜>end_call\n```json\n{\"farewell\": \"Bye, \\\"Ann\\\"\"}\n```",
            "<function=end_call>\n<parameter=farewell>\nBye, \"Ann\"\n</parameter>\n</function>",
            "<function=end_call>{\"farewell\": \"Bye, \\\"Ann\\\"\"}</function>",
            "<invoke name=\"end_call\"><parameter name=\"farewell\">Bye, \"Ann\"</parameter></invoke>",
            "<｜DSML｜invoke name=\"end_call\"><｜DSML｜parameter name=\"farewell\" string=\"true\">Bye, \"Ann\"</｜DSML｜parameter></｜DSML｜invoke>",
            "end_call\n<arg_key>farewell</arg_key>\n<arg_value>Bye, \"Ann\"</arg_value>",
            r#"end_call(farewell="Bye, \"Ann\"")"#,
            r#"[end_call(farewell='Bye, "Ann"')]"#,
            r#"print(default_api.end_call(farewell="Bye, \"Ann\""))"#,
        ] {
            let read = calls(block);
            assert_eq!(read.len(), 1, "{block}");
            assert!(read[0].0.contains("end_call"), "{block}: {read:?}");
            assert_eq!(read[0].1, bye, "{block}");
        }
        let gemma = calls("call:end_call{farewell:<|\"|>Bye<|\"|>}");
        assert_eq!(gemma[0].1, serde_json::json!({ "farewell": "Bye" }));
        for block in [
            "end_call",
            "end_call()",
            "end_call{}",
            "{\"name\":\"end_call\"}",
        ] {
            assert_eq!(calls(block)[0].1, serde_json::json!({}), "{block}");
        }
    }

    #[test]
    fn several_calls_are_several() {
        for block in [
            r#"{"name":"end_call","arguments":{}}{"name":"set_name","arguments":{"name":"Ann"}}"#,
            r#"{"name":"end_call","arguments":{}}; {"name":"set_name","arguments":{"name":"Ann"}}"#,
            r#"[{"name":"end_call","arguments":{}}, {"name":"set_name","arguments":{"name":"Ann"}}]"#,
            r#"[end_call(), set_name(name="Ann")]"#,
            "<invoke name=\"end_call\"></invoke><invoke name=\"set_name\"><parameter name=\"name\">Ann</parameter></invoke>",
        ] {
            assert_eq!(calls(block).len(), 2, "{block}");
        }
    }

    #[test]
    fn what_is_no_call_is_none() {
        for block in [
            "",
            "{",
            "{\"name\":\"Onix\",\"type\":\"rock\"}",
            "[1, 2]",
            "Onix (the snake)",
            "{}",
        ] {
            assert_eq!(calls(block), [], "{block}");
        }
    }
}
