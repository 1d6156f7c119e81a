//! Assembles tool calls from the pieces in which they are streamed, with the names under which the tools were offered.

use super::chunk::ToolCallDelta;
use crate::agent::text::truncated;
use crate::agent::tools::invocation::{
    ARGUMENTS_BYTES_MAX, TOOL_CALLS_READ_MAX, ToolCall, ToolInvocation,
};
use crate::agent::tools::offered_names::OfferedToolNames;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Longest id and name of a call, in bytes; longer ones are truncated.
const ID_AND_NAME_BYTES_MAX: usize = 128;

/// The calls of one reply so far.
#[derive(Default)]
pub(super) struct ToolCallBuilder {
    calls: Vec<PartialToolCall>,
}

#[derive(Default)]
struct PartialToolCall {
    index: i64,
    id: String,
    name: String,
    arguments: String,
    /// Offset of the latest piece that looks like the start of the arguments: some servers repeat them from the
    /// start.
    last_object_start: usize,
    oversized: bool,
    /// It was written as text.
    from_text: bool,
}

impl ToolCallBuilder {
    /// Adds a piece. Pieces with the same index belong together. A new id with a known index starts a new call, and so
    /// does a name when the call before it is complete: some servers give every call index 0. A repeated call counts
    /// once.
    pub(super) fn add(&mut self, delta: &ToolCallDelta<'_>, offered: &OfferedToolNames) {
        let last = self.calls.last().map_or(0, |call| call.index);
        let index = delta.index.unwrap_or(last);
        if let Some(call) = self.call_for(index, delta, offered) {
            call.add(delta, offered);
        }
    }

    /// Adds a call that was written as text.
    pub(super) fn add_text_call(&mut self, name: &str, arguments: &str) {
        if self.calls.len() >= TOOL_CALLS_READ_MAX {
            return;
        }
        let mut call = PartialToolCall {
            index: i64::MIN,
            name: truncated(name, ID_AND_NAME_BYTES_MAX).to_owned(),
            from_text: true,
            ..PartialToolCall::default()
        };
        call.add_arguments(arguments);
        self.calls.push(call);
    }

    pub(in crate::agent) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Takes the complete calls; the builder is empty afterwards. A call that was sent both as text and as a tool call
    /// counts once.
    pub(super) fn finish(
        &mut self,
        language: &str,
        offered: &OfferedToolNames,
    ) -> impl Iterator<Item = ToolCall> + use<> {
        let mut calls = std::mem::take(&mut self.calls);
        for call in &mut calls {
            if let Some(name) = offered.resolve(&call.name) {
                call.name = name.to_owned();
            }
        }
        let told: Vec<String> = calls
            .iter()
            .filter(|call| !call.from_text)
            .map(|call| call.name.clone())
            .collect();
        calls.retain(|call| !(call.from_text && told.contains(&call.name)));
        let (language, own) = (language.to_owned(), Arc::clone(offered.configured()));
        calls
            .into_iter()
            .enumerate()
            .map(move |(at, call)| ToolCall {
                invocation: match call.oversized {
                    true => ToolInvocation::Unknown { name: call.name },
                    false => {
                        ToolInvocation::parse(&call.name, call.final_arguments(), &language, &own)
                    }
                },
                id: match call.id.is_empty() {
                    true => format!("call_{at}"),
                    false => call.id,
                },
            })
    }

    /// The call of the piece; `None` when there are too many calls.
    fn call_for(
        &mut self,
        index: i64,
        piece: &ToolCallDelta<'_>,
        offered: &OfferedToolNames,
    ) -> Option<&mut PartialToolCall> {
        let known = self.calls.iter().rposition(|call| call.index == index);
        // A call that continues with another index.
        let nameless = piece.id.is_empty() && piece.name.is_empty();
        if let (None, true, Some(last)) = (known, nameless, self.calls.last_mut()) {
            last.index = index;
            return self.calls.last_mut();
        }
        let same = known.filter(|at| self.calls[*at].continues(piece, offered));
        if let Some(at) = same {
            return self.calls.get_mut(at);
        }
        if self.calls.len() >= TOOL_CALLS_READ_MAX {
            return None;
        }
        self.calls.push(PartialToolCall {
            index,
            ..PartialToolCall::default()
        });
        self.calls.last_mut()
    }
}

impl PartialToolCall {
    /// Whether `piece`, which has the index of this call, belongs to it.
    fn continues(&self, piece: &ToolCallDelta<'_>, offered: &OfferedToolNames) -> bool {
        let same_id = piece.id.is_empty() || self.id.is_empty() || self.id == piece.id;
        if !same_id || piece.name.is_empty() || self.name.is_empty() {
            return same_id;
        }
        let whole = |arguments: &str| parse_object(arguments).is_some();
        let repeated = *piece.name == *self.name
            && (piece.arguments.is_empty() || *piece.arguments == *self.arguments);
        let both_offered = *piece.name != *self.name
            && offered.resolve(&self.name).is_some()
            && offered.resolve(&piece.name).is_some();
        let complete = parse_object(&self.arguments).is_some_and(|arguments| !arguments.is_empty())
            || (self.arguments.is_empty() && both_offered)
            || (whole(&self.arguments) && *piece.name != *self.name);
        repeated || !complete
    }

    fn add(&mut self, piece: &ToolCallDelta<'_>, offered: &OfferedToolNames) {
        if self.id.is_empty() {
            self.id
                .push_str(truncated(&piece.id, ID_AND_NAME_BYTES_MAX));
        }
        self.add_name(&piece.name, offered);
        // The whole call is repeated.
        if *piece.arguments != *self.arguments || parse_object(&self.arguments).is_none() {
            self.add_arguments(&piece.arguments);
        }
    }

    /// Adds a piece of the name: servers send it once, in pieces, or whole with every piece.
    fn add_name(&mut self, piece: &str, offered: &OfferedToolNames) {
        if self.name == piece
            || (self.name.starts_with(piece) && offered.resolve(&self.name).is_some())
        {
            return;
        }
        if piece.starts_with(self.name.as_str()) {
            self.name.clear();
        }
        let left = ID_AND_NAME_BYTES_MAX.saturating_sub(self.name.len());
        self.name.push_str(truncated(piece, left));
    }

    fn add_arguments(&mut self, piece: &str) {
        if self.arguments.len() + piece.len() > ARGUMENTS_BYTES_MAX {
            self.oversized = true;
            return;
        }
        if piece.trim_start().starts_with('{') {
            self.last_object_start = self.arguments.len();
        }
        self.arguments.push_str(piece);
    }

    /// The arguments, or their last repetition.
    fn final_arguments(&self) -> &str {
        let last = &self.arguments[self.last_object_start..];
        let whole = serde_json::from_str::<Value>(&self.arguments).is_ok();
        if !whole && parse_object(last).is_some() {
            return last;
        }
        &self.arguments
    }
}

/// `arguments`, if they are a complete object.
fn parse_object(arguments: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(arguments).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::BuiltInTools;
    use crate::agent::stream::chunk::Chunk;

    fn assembled(deltas: &[&str]) -> Vec<(String, ToolInvocation)> {
        let offered = OfferedToolNames::built_in(&BuiltInTools::ALL);
        let mut builder = ToolCallBuilder::default();
        for delta in deltas {
            let chunk = serde_json::from_str(&format!(
                r#"{{"choices":[{{"delta":{{"tool_calls":[{delta}]}}}}]}}"#
            ))
            .unwrap();
            for call in &Chunk::parse_lenient(&chunk).tool_calls {
                builder.add(call, &offered);
            }
        }
        let calls = builder
            .finish("en-US", &offered)
            .map(|call| (call.id, call.invocation))
            .collect();
        assert!(builder.is_empty());
        calls
    }

    fn tools(deltas: &[&str]) -> Vec<ToolInvocation> {
        assembled(deltas)
            .into_iter()
            .map(|(_, tool)| tool)
            .collect()
    }

    fn set_name(name: &str) -> ToolInvocation {
        ToolInvocation::SetName {
            name: name.to_owned(),
        }
    }

    fn end_call(farewell: &str) -> ToolInvocation {
        ToolInvocation::EndCall {
            farewell: Some(farewell.to_owned()),
        }
    }

    #[test]
    fn a_call_in_pieces_is_put_together() {
        let calls = assembled(&[
            r#"{"index":0,"id":"a","type":"function","function":{"name":"set_name","arguments":""}}"#,
            r#"{"index":0,"function":{"arguments":"{\"na"}}"#,
            r#"{"index":1,"id":"b","function":{"name":"end_call"}}"#,
            r#"{"index":0,"function":{"arguments":"me\":\"Misty\"}"}}"#,
            r#"{"index":1,"function":{"arguments":"{}"}}"#,
        ]);
        let expected = [
            ("a".to_owned(), set_name("Misty")),
            ("b".to_owned(), ToolInvocation::EndCall { farewell: None }),
        ];
        assert_eq!(calls, expected);
    }

    #[test]
    fn indexes_and_ids_may_be_missing_or_wrong() {
        let ann = r#""function":{"name":"set_name","arguments":"{\"name\":\"Ann\"}"}"#;
        let bea = r#""function":{"name":"set_name","arguments":"{\"name\":\"Bea\"}"}"#;
        for (first, second) in [
            (r#""id":"a""#, r#""id":"b""#),
            (r#""id":7"#, r#""id":8"#),
            (r#""index":0,"id":"""#, r#""index":0,"id":"""#),
            (r#""index":0,"id":"call_0""#, r#""index":0,"id":"call_0""#),
            (r#""index":-1,"id":null"#, r#""index":-1,"id":null"#),
            (r#""index":"0""#, r#""index":"1""#),
            (r#""index":null"#, r#""index":null"#),
            (r#""index":0.0,"type":null"#, r#""index":1.0,"type":null"#),
        ] {
            let (one, two) = (format!("{{{first},{ann}}}"), format!("{{{second},{bea}}}"));
            let expected = [set_name("Ann"), set_name("Bea")];
            assert_eq!(tools(&[&one, &two]), expected, "{first} {second}");
        }
        let nameless =
            assembled(&[r#"{"function":{"name":"set_name","arguments":"{\"name\":\"Cy\"}"}}"#]);
        assert_eq!(nameless, [("call_0".to_owned(), set_name("Cy"))]);
    }

    #[test]
    fn a_call_that_is_told_again_is_one_call() {
        let piece = |arguments: &str| {
            let arguments = serde_json::to_string(arguments).unwrap();
            format!(
                r#"{{"index":0,"id":"a","function":{{"name":"end_call","arguments":{arguments}}}}}"#
            )
        };
        let bye = r#"{"farewell":"Bye"}"#;
        for pieces in [
            // The name with every piece.
            vec!["{\"farewell\":", "\"Bye\"}"],
            // The whole once more at the end, or an empty piece.
            vec!["{\"farewell\":", "\"Bye\"}", bye],
            vec![bye, bye],
            vec![bye, ""],
            // Always from the start.
            vec!["{\"fare", "{\"farewell\":\"B", bye],
            // A placeholder first.
            vec!["{}", bye],
        ] {
            let deltas: Vec<String> = pieces.iter().map(|arguments| piece(arguments)).collect();
            let deltas: Vec<&str> = deltas.iter().map(String::as_str).collect();
            assert_eq!(tools(&deltas), [end_call("Bye")], "{pieces:?}");
        }
        let nameless = r#"{"index":0,"function":{"arguments":"{\"farewell\":\"Bye\"}"}}"#;
        assert_eq!(tools(&[&piece("{}"), nameless]), [end_call("Bye")]);
    }

    #[test]
    fn a_call_may_go_on_under_another_index() {
        let calls = tools(&[
            r#"{"index":0,"id":"a","function":{"name":"set_name","arguments":"{\"name\":\"Ann\"}"}}"#,
            r#"{"index":0,"id":"b","function":{"name":"set_name","arguments":"{\"name\":"}}"#,
            r#"{"index":1,"function":{"arguments":"\"Bea\"}"}}"#,
        ]);
        assert_eq!(calls, [set_name("Ann"), set_name("Bea")]);
    }

    #[test]
    fn calls_without_arguments_under_one_index_are_told_apart_by_name() {
        let calls = tools(&[
            r#"{"index":0,"function":{"name":"end_call"}}"#,
            r#"{"index":0,"function":{"name":"hand_over","arguments":{}}}"#,
        ]);
        assert_eq!(calls.len(), 2);
        let in_pieces = [
            r#"{"index":0,"function":{"name":"end"}}"#,
            r#"{"index":0,"function":{"name":"_call"}}"#,
        ];
        assert_eq!(
            tools(&in_pieces),
            [ToolInvocation::EndCall { farewell: None }]
        );
        let from_the_start = [
            r#"{"index":0,"function":{"name":"end"}}"#,
            r#"{"index":0,"function":{"name":"end_call"}}"#,
        ];
        assert_eq!(
            tools(&from_the_start),
            [ToolInvocation::EndCall { farewell: None }]
        );
    }

    #[test]
    fn calls_come_in_many_forms() {
        for delta in [
            r#"{"index":0,"function":{"name":"end_call","arguments":{"farewell":"Bye"}}}"#,
            r#"{"name":"end_call","arguments":"{\"farewell\":\"Bye\"}"}"#,
            r#"{"function":{"name":"functions.end_call","parameters":{"farewell":"Bye"}}}"#,
            r#"{"function":{"name":"default_api:end_call","arguments":"\"{\\\"farewell\\\":\\\"Bye\\\"}\""}}"#,
            r#"{"function":{"name":"end_call<|channel|>commentary","arguments":"{\"farewell\":\"Bye\"}"}}"#,
        ] {
            assert_eq!(tools(&[delta]), [end_call("Bye")], "{delta}");
        }
        for nothing in ["null", "[]", "\"\""] {
            let delta = format!(r#"{{"function":{{"name":"end_call","arguments":{nothing}}}}}"#);
            assert_eq!(
                tools(&[&delta]),
                [ToolInvocation::EndCall { farewell: None }],
                "{nothing}"
            );
        }
        assert_eq!(tools(&["null"]), []);
    }

    #[test]
    fn a_call_that_came_in_both_ways_is_one_call() {
        let offered = OfferedToolNames::built_in(&BuiltInTools::ALL);
        let mut builder = ToolCallBuilder::default();
        let delta = ToolCallDelta {
            name: "end_call".into(),
            ..ToolCallDelta::default()
        };
        builder.add_text_call("end_call", "{}");
        builder.add_text_call("set_name", r#"{"name":"Ann"}"#);
        builder.add(&delta, &offered);
        assert_eq!(builder.finish("en-US", &offered).count(), 2);
    }

    #[test]
    fn arguments_and_calls_are_bounded() {
        let long = "x".repeat(ARGUMENTS_BYTES_MAX);
        let begin = r#"{"index":0,"function":{"name":"set_name","arguments":"{\"name\":\""}}"#;
        let flood = format!(r#"{{"index":0,"function":{{"arguments":"{long}"}}}}"#);
        assert_eq!(
            tools(&[begin, &flood])[0],
            ToolInvocation::Unknown {
                name: "set_name".to_owned()
            }
        );
        let many: Vec<String> = (0..40)
            .map(|i| format!(r#"{{"index":{i},"function":{{"name":"end_call"}}}}"#))
            .collect();
        assert_eq!(
            tools(&many.iter().map(String::as_str).collect::<Vec<_>>()).len(),
            TOOL_CALLS_READ_MAX
        );
    }
}
