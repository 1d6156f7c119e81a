//! Puts a tool call together from the pieces in which it is streamed.

use super::chunk::CallDelta;
use super::tools::{ARGUMENTS_BYTES_MAX, CALLS_MAX, Tool, ToolCall};

/// Longest id and name of a call; longer ones are cut.
const LABEL_BYTES_MAX: usize = 128;

/// The calls of one reply, as far as they have come.
#[derive(Default)]
pub(super) struct Assembly {
    calls: Vec<Pieces>,
}

struct Pieces {
    index: u32,
    id: String,
    name: String,
    arguments: String,
    oversized: bool,
}

impl Assembly {
    /// Takes a piece. Pieces belong together by index; a new id under an old index begins a new
    /// call, as some servers count every call as the first.
    pub(super) fn add(&mut self, delta: &CallDelta<'_>) {
        let id = delta.id.as_ref().map_or("", |id| &id.0);
        let index = delta
            .index
            .unwrap_or_else(|| self.calls.last().map_or(0, |call| call.index));
        let Some(call) = self.call(index, id) else {
            return;
        };
        let Some(function) = &delta.function else {
            return;
        };
        if let Some(name) = &function.name {
            call.add_name(&name.0);
        }
        if let Some(arguments) = &function.arguments {
            call.add_arguments(&arguments.0);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The calls, complete; the assembly is then empty.
    pub(super) fn finish(&mut self, language: &str) -> impl Iterator<Item = ToolCall> {
        let complete = |(at, call): (usize, Pieces)| ToolCall {
            tool: match call.oversized {
                true => Tool::Unknown { name: call.name },
                false => Tool::understand(&call.name, &call.arguments, language),
            },
            id: if call.id.is_empty() {
                format!("call_{at}")
            } else {
                call.id
            },
        };
        std::mem::take(&mut self.calls)
            .into_iter()
            .enumerate()
            .map(complete)
    }

    /// The call that a piece with `index` and `id` belongs to; `None` past the bound.
    fn call(&mut self, index: u32, id: &str) -> Option<&mut Pieces> {
        let known = self.calls.iter().rposition(|call| call.index == index);
        let same = known.filter(|at| {
            id.is_empty() || self.calls[*at].id.is_empty() || self.calls[*at].id == id
        });
        if let Some(at) = same {
            if self.calls[at].id.is_empty() {
                self.calls[at].id.push_str(bounded(id, LABEL_BYTES_MAX));
            }
            return self.calls.get_mut(at);
        }
        if self.calls.len() >= CALLS_MAX {
            return None;
        }
        let (name, arguments, id) = (
            String::new(),
            String::new(),
            bounded(id, LABEL_BYTES_MAX).to_owned(),
        );
        self.calls.push(Pieces {
            index,
            id,
            name,
            arguments,
            oversized: false,
        });
        self.calls.last_mut()
    }
}

impl Pieces {
    /// Names come whole, in pieces, or whole with every piece.
    fn add_name(&mut self, piece: &str) {
        if self.name != piece {
            self.name.push_str(bounded(
                piece,
                LABEL_BYTES_MAX.saturating_sub(self.name.len()),
            ));
        }
    }

    fn add_arguments(&mut self, piece: &str) {
        if self.arguments.len() + piece.len() > ARGUMENTS_BYTES_MAX {
            self.oversized = true;
        } else {
            self.arguments.push_str(piece);
        }
    }
}

fn bounded(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembled(deltas: &[&str]) -> Vec<(String, Tool)> {
        let mut assembly = Assembly::default();
        for delta in deltas {
            assembly.add(&serde_json::from_str(delta).unwrap());
        }
        let calls = assembly
            .finish("en-US")
            .map(|call| (call.id, call.tool))
            .collect();
        assert!(assembly.is_empty());
        calls
    }

    fn set_name(name: &str) -> Tool {
        Tool::SetName {
            name: name.to_owned(),
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
            ("b".to_owned(), Tool::EndCall { farewell: None }),
        ];
        assert_eq!(calls, expected);
    }

    #[test]
    fn indexes_and_ids_may_be_missing_or_wrong() {
        let calls = assembled(&[
            r#"{"id":"a","function":{"name":"set_name","arguments":"{\"name\":\"Ann\"}"}}"#,
            r#"{"id":"b","function":{"name":"set_name","arguments":"{\"name\":\"Bea\"}"}}"#,
        ]);
        assert_eq!(
            calls,
            [
                ("a".to_owned(), set_name("Ann")),
                ("b".to_owned(), set_name("Bea"))
            ]
        );
        let nameless =
            assembled(&[r#"{"function":{"name":"set_name","arguments":"{\"name\":\"Cy\"}"}}"#]);
        assert_eq!(nameless, [("call_0".to_owned(), set_name("Cy"))]);
    }

    #[test]
    fn a_name_repeated_with_every_piece_is_one_name() {
        let piece = |arguments: &str| {
            format!(r#"{{"index":0,"function":{{"name":"end_call","arguments":"{arguments}"}}}}"#)
        };
        assert_eq!(
            assembled(&[&piece("{"), &piece("}")])[0].1,
            Tool::EndCall { farewell: None }
        );
    }

    #[test]
    fn arguments_and_calls_are_bounded() {
        let long = "x".repeat(ARGUMENTS_BYTES_MAX);
        let begin = r#"{"index":0,"function":{"name":"set_name","arguments":"{\"name\":\""}}"#;
        let flood = format!(r#"{{"index":0,"function":{{"arguments":"{long}"}}}}"#);
        assert_eq!(
            assembled(&[begin, &flood])[0].1,
            Tool::Unknown {
                name: "set_name".to_owned()
            }
        );
        let many: Vec<String> = (0..40)
            .map(|i| format!(r#"{{"index":{i},"function":{{"name":"end_call"}}}}"#))
            .collect();
        assert_eq!(
            assembled(&many.iter().map(String::as_str).collect::<Vec<_>>()).len(),
            CALLS_MAX
        );
    }
}
