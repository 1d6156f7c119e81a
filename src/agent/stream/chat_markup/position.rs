//! A position in a text, and what can be recognised there.

use super::marker::MarkerKind;
use super::text_tool_call::{self, TextToolCall};
use crate::agent::tools::invocation::ARGUMENTS_BYTES_MAX;
use crate::agent::tools::offered_names::OfferedToolNames;

/// Longest tool call that is written as text; a longer one is left out, or was none.
pub(super) const CALL_BYTES_MAX: usize = ARGUMENTS_BYTES_MAX + 1_024;

/// Where a text stands.
#[derive(Clone, Copy)]
pub(super) struct TextPosition {
    /// Only white space since the line, or the reply, began.
    pub line_start: bool,
    /// Only white space since the reply began.
    pub at_reply_start: bool,
    /// No letter, digit or underscore before it.
    pub word_start: bool,
    /// A sentence has ended before it.
    pub after_sentence: bool,
    /// Nothing more will come.
    pub at_end: bool,
}

impl TextPosition {
    /// The verdict on what is not known yet.
    pub(super) fn undecided(self) -> Recognised {
        if self.at_end {
            Recognised::PlainText
        } else {
            Recognised::Incomplete
        }
    }
}

/// What is at the start of a text.
pub(super) enum Recognised {
    /// Words.
    PlainText,
    /// Not known before more has come.
    Incomplete,
    /// So many bytes are a token or tag.
    Marker(usize, MarkerKind),
    /// So many bytes are calls, perhaps behind the opening of a code fence. No calls: they cannot be
    /// read.
    ToolCalls(usize, Vec<TextToolCall>, bool),
    /// So many bytes are an object that should have been these words.
    WrappedText(usize, String, bool),
    /// So many bytes open a code fence around a call.
    FenceStart(usize),
    /// So many bytes begin a call in the format of a program or of Phi.
    CallStart(usize),
    BareAnalysis(usize),
    /// So many bytes begin a line that is thought.
    ThoughtLine(usize),
}

impl Recognised {
    /// The same, behind `skipped` bytes.
    pub(super) fn offset_by(self, skipped: usize) -> Recognised {
        match self {
            Recognised::ToolCalls(len, calls, fenced) => {
                Recognised::ToolCalls(skipped + len, calls, fenced)
            }
            look => look,
        }
    }

    /// The same, behind `skipped` bytes of a fence.
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

/// Where the bracket is closed that stands first in `text`, or what is to be done without its end:
/// a call that the end of the reply cut off is left out, other text is said.
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
