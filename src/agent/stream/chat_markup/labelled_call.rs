//! Tool calls by their name alone: behind a label (`Action: end_call`), on a line of their own, or at the end of one.

use super::marker::MarkerKind;
use super::position::{Recognised, TextPosition, call_end};
use super::text_tool_call::{self, TextToolCall};
use crate::agent::tools::offered_names::OfferedToolNames;

/// Longest label, and longest line after a label, that is held back, in bytes.
const LABEL_BYTES_MAX: usize = 32;
const LINE_BYTES_MAX: usize = 512;
/// Characters around a label or a name.
const OPENERS: [char; 6] = ['*', '`', '(', '[', '"', ' '];
const CLOSERS: [char; 10] = ['*', '`', ')', ']', '"', ' ', '.', '!', ';', ','];
/// The name of a tool follows.
const CALL_LABELS: [&str; 14] = [
    "action:",
    "tool:",
    "tool call:",
    "tool calls:",
    "tool_call:",
    "tool name:",
    "function:",
    "function call:",
    "function_call:",
    "call:",
    "calling:",
    "calling tool:",
    "using tool:",
    "use tool:",
];
/// Its arguments follow.
const ARGUMENT_LABELS: [&str; 8] = [
    "action input:",
    "action_input:",
    "tool input:",
    "arguments:",
    "args:",
    "parameters:",
    "params:",
    "input:",
];
/// The rest of the line is thinking.
const THOUGHT_LABEL: &str = "thought:";
/// The result of a tool follows, as the model imagines it.
const RESULT_LABEL: &str = "observation:";
/// Text for the caller follows.
const ANSWER_LABEL: &str = "final answer:";

/// Recognises a label at the start of a line.
pub(super) fn recognise_line(
    text: &str,
    position: TextPosition,
    offered: &OfferedToolNames,
) -> Recognised {
    let inner = text.trim_start_matches(OPENERS);
    let begun = text.len() - inner.len();
    if inner.is_empty() && begun < LABEL_BYTES_MAX {
        return position.undecided();
    }
    let beginning = &inner[..inner.floor_char_boundary(LABEL_BYTES_MAX)];
    let beginning = beginning.to_ascii_lowercase();
    let is_label = |label: &&&str| beginning.starts_with(**label);
    if let Some(label) = CALL_LABELS.iter().find(is_label) {
        return recognise_labelled_call(text, begun + label.len(), position, offered);
    }
    for (label, look) in [
        (
            THOUGHT_LABEL,
            Recognised::ThoughtLine(begun + THOUGHT_LABEL.len()),
        ),
        (
            RESULT_LABEL,
            Recognised::Marker(begun + RESULT_LABEL.len(), MarkerKind::OtherRole),
        ),
        (
            ANSWER_LABEL,
            Recognised::Marker(begun + ANSWER_LABEL.len(), MarkerKind::Ignored),
        ),
    ] {
        if beginning.starts_with(label) {
            return look;
        }
    }
    let labels = CALL_LABELS
        .iter()
        .chain(&[THOUGHT_LABEL, RESULT_LABEL, ANSWER_LABEL]);
    if labels
        .into_iter()
        .any(|label| label.starts_with(&beginning))
    {
        return position.undecided();
    }
    recognise_bare_name(inner, position, offered).offset_by(begun)
}

/// Recognises the name of an offered tool before the end of the line. Only names with an underscore, which no
/// language has as words.
pub(super) fn recognise_bare_name(
    text: &str,
    position: TextPosition,
    offered: &OfferedToolNames,
) -> Recognised {
    let end = text
        .find(|c: char| !is_tool_name_char(c))
        .unwrap_or(text.len());
    let name = &text[..end];
    if end == text.len() && !position.at_end {
        return match offered.any_begins_with(name) {
            true => Recognised::Incomplete,
            false => Recognised::PlainText,
        };
    }
    if !name.contains('_') || !offered.contains(name) {
        return Recognised::PlainText;
    }
    let rest = text[end..].trim_start_matches(CLOSERS);
    match rest.chars().next() {
        None if !position.at_end => Recognised::Incomplete,
        None | Some('\n') => {
            let call = TextToolCall {
                name: name.to_owned(),
                arguments: "{}".to_owned(),
            };
            Recognised::ToolCalls(text.len() - rest.len(), vec![call], false)
        }
        Some(_) => Recognised::PlainText,
    }
}

/// Recognises the name of a tool after a label that ends at `at`. The whole line belongs to the call.
fn recognise_labelled_call(
    text: &str,
    at: usize,
    position: TextPosition,
    offered: &OfferedToolNames,
) -> Recognised {
    let named = text[at..].trim_start_matches(OPENERS);
    let at = text.len() - named.len();
    // The call follows in another format.
    if named.starts_with(['{', '<']) {
        return Recognised::Marker(at, MarkerKind::Ignored);
    }
    let end = named
        .find(|c: char| !(is_tool_name_char(c) || c == '.'))
        .unwrap_or(named.len());
    if end == named.len() && !position.at_end && end < LINE_BYTES_MAX {
        return Recognised::Incomplete;
    }
    let (name, rest) = named.split_at(end);
    let name = name.trim_end_matches('.');
    let offers = offered.resolve(name).is_some();
    if rest.starts_with('(') && (offers || name.contains('_')) {
        return match call_end(named, position, offered) {
            Ok(end) => {
                let calls = text_tool_call::parse_block(&named[..=end], offered).0;
                Recognised::ToolCalls(at + end + 1, calls, false)
            }
            Err(other) => other.offset_by(at),
        };
    }
    let rest = rest.trim_start_matches(CLOSERS);
    if rest.starts_with('{') && (offers || name.contains('_')) {
        return recognise_arguments(text, rest, name, position, offered);
    }
    let (line_end, is_whole) = match rest.find('\n') {
        Some(end) => (end, true),
        None => (rest.len(), position.at_end),
    };
    let next = rest[line_end..].trim_start_matches(|c: char| c.is_whitespace() || "*`".contains(c));
    let lower = next[..next.floor_char_boundary(LABEL_BYTES_MAX)].to_ascii_lowercase();
    if let Some(label) = ARGUMENT_LABELS
        .iter()
        .find(|label| lower.starts_with(**label))
    {
        let arguments = next[label.len()..].trim_start_matches(['*', '`', ' ']);
        return recognise_arguments(text, arguments, name, position, offered);
    }
    let may_follow = ARGUMENT_LABELS
        .iter()
        .any(|label| label.starts_with(&lower));
    if !position.at_end && (!is_whole || may_follow) && rest.len() < LINE_BYTES_MAX {
        return Recognised::Incomplete;
    }
    let len = text.len() - (rest.len() - line_end);
    match (offers, name.contains('_')) {
        (true, _) => Recognised::ToolCalls(len, vec![text_tool_call(name, "{}")], false),
        (false, true) => Recognised::ToolCalls(len, Vec::new(), false),
        (false, false) => Recognised::PlainText,
    }
}

/// Recognises the arguments of `name` at the end of `text`: an object, or a line.
fn recognise_arguments(
    text: &str,
    arguments: &str,
    name: &str,
    position: TextPosition,
    offered: &OfferedToolNames,
) -> Recognised {
    let at = text.len() - arguments.len();
    let (len, arguments) = if arguments.starts_with('{') {
        match call_end(arguments, position, offered) {
            Ok(end) => (at + end + 1, &arguments[..=end]),
            Err(other) => return other.offset_by(at),
        }
    } else {
        match arguments.find('\n') {
            Some(end) => (at + end, "{}"),
            None if !position.at_end && arguments.len() < LINE_BYTES_MAX => {
                return Recognised::Incomplete;
            }
            None => (text.len(), "{}"),
        }
    };
    let calls = match offered.resolve(name) {
        Some(_) => vec![text_tool_call(name, arguments)],
        None => Vec::new(),
    };
    Recognised::ToolCalls(len, calls, false)
}

fn text_tool_call(name: &str, arguments: &str) -> TextToolCall {
    TextToolCall {
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    }
}

/// Whether the name of a tool may contain `c`.
pub(super) fn is_tool_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// Whether no name of a tool starts after `c`.
pub(super) fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || is_tool_name_char(c) || matches!(c, '\'' | '’')
}
