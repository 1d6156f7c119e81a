//! A position in a text, and what can be recognised there.

use super::marker::MarkerKind;
use super::text_tool_call::{self, TextToolCall};
use crate::agent::tools::invocation::ARGUMENTS_BYTES_MAX;
use crate::agent::tools::offered_names::OfferedToolNames;

/// Longest tool call written as text, in bytes. A longer one is dropped, or is taken for plain text.
pub(super) const CALL_BYTES_MAX: usize = ARGUMENTS_BYTES_MAX + 1_024;

/// What is known of the text before a position.
#[derive(Clone, Copy)]
pub(super) struct TextPosition {
    /// Only white space since the start of the line or of the reply.
    pub line_start: bool,
    /// Only white space since the start of the reply.
    pub at_reply_start: bool,
    /// No letter, digit or underscore before it.
    pub word_start: bool,
    /// The text before it ends a sentence.
    pub after_sentence: bool,
    /// The reply has ended: no text follows.
    pub at_end: bool,
}

impl TextPosition {
    /// The result for text that could be markup if more text follows.
    pub(super) fn undecided(self) -> Recognised {
        if self.at_end {
            Recognised::PlainText
        } else {
            Recognised::Incomplete
        }
    }
}

/// What a text starts with. The numbers are lengths in bytes.
pub(super) enum Recognised {
    /// Plain text.
    PlainText,
    /// Undecided until more text arrives.
    Incomplete,
    /// A control token or tag.
    Marker(usize, MarkerKind),
    /// Tool calls, and whether a code fence was opened before them. The list is empty where they cannot be parsed.
    ToolCalls(usize, Vec<TextToolCall>, bool),
    /// A JSON object around plain text, that text, and whether a code fence was opened before it.
    WrappedText(usize, String, bool),
    /// The start of a code fence around a call.
    FenceStart(usize),
    /// The start of a call in function syntax or in the format of Phi.
    CallStart(usize),
    /// The start of the analysis channel of harmony without control tokens.
    BareAnalysis(usize),
    /// The start of a line of thinking.
    ThoughtLine(usize),
}

impl Recognised {
    /// The same, preceded by `skipped` bytes.
    pub(super) fn offset_by(self, skipped: usize) -> Recognised {
        match self {
            Recognised::ToolCalls(len, calls, fenced) => {
                Recognised::ToolCalls(skipped + len, calls, fenced)
            }
            recognised => recognised,
        }
    }

    /// The same, preceded by `skipped` bytes of a code fence.
    pub(super) fn fenced(self, skipped: usize) -> Recognised {
        match self {
            Recognised::ToolCalls(len, calls, _) => {
                Recognised::ToolCalls(skipped + len, calls, true)
            }
            Recognised::WrappedText(len, words, _) => {
                Recognised::WrappedText(skipped + len, words, true)
            }
            Recognised::Incomplete => Recognised::Incomplete,
            _ => Recognised::PlainText,
        }
    }
}

/// The offset of the bracket that closes the first bracket of `text`.
///
/// # Errors
/// The result where it is not closed: `Incomplete` before the end of the reply; at the end an unreadable call, which
/// is dropped, or plain text. Plain text, too, where the bracket spans more than [`CALL_BYTES_MAX`].
pub(super) fn call_end(
    text: &str,
    position: TextPosition,
    offered: &OfferedToolNames,
) -> Result<usize, Recognised> {
    let end = text_tool_call::closing_bracket(text);
    let names_one = || {
        let mut keys = text_tool_call::ARGUMENT_KEYS.iter().take(2);
        offered.is_named_in(text) || keys.any(|key| text.contains(&format!("\"{key}\"")))
    };
    match end {
        _ if end.unwrap_or(text.len()) > CALL_BYTES_MAX => Err(Recognised::PlainText),
        Some(end) => Ok(end),
        None if !position.at_end => Err(Recognised::Incomplete),
        None if names_one() => Err(Recognised::ToolCalls(text.len(), Vec::new(), false)),
        None => Err(Recognised::PlainText),
    }
}
