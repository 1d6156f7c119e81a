//! Tool calls by their name alone: behind a label (`Action: end_call`), on a line of their own, or at the end of one.

use super::look::{Look, Place, unfinished};
use super::marker::Kind;
use super::written::{self, Written};
use crate::agent::offered::Offered;

/// Longest label, and longest line behind one, that is waited for.
const LABEL_BYTES_MAX: usize = 32;
const LINE_BYTES_MAX: usize = 512;
/// What stands around a label or a name.
const OPENERS: [char; 6] = ['*', '`', '(', '[', '"', ' '];
const CLOSERS: [char; 10] = ['*', '`', ')', ']', '"', ' ', '.', '!', ';', ','];
/// The name of a tool follows.
const CALLS: [&str; 14] = [
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
const ARGUMENTS: [&str; 8] = [
    "action input:",
    "action_input:",
    "tool input:",
    "arguments:",
    "args:",
    "parameters:",
    "params:",
    "input:",
];
/// The rest of the line is thought.
const THOUGHT: &str = "thought:";
/// What follows is what a tool would answer.
const RESULT: &str = "observation:";
/// What follows is for the caller.
const ANSWER: &str = "final answer:";

/// What a line begins with, if it is one of these.
pub(super) fn look_at_line(text: &str, place: Place, offered: &Offered) -> Look {
    let inner = text.trim_start_matches(OPENERS);
    let begun = text.len() - inner.len();
    if inner.is_empty() && begun < LABEL_BYTES_MAX {
        return place.undecided();
    }
    let beginning = &inner[..inner.floor_char_boundary(LABEL_BYTES_MAX)];
    let beginning = beginning.to_ascii_lowercase();
    let is_label = |label: &&&str| beginning.starts_with(**label);
    if let Some(label) = CALLS.iter().find(is_label) {
        return look_behind_label(text, begun + label.len(), place, offered);
    }
    for (label, look) in [
        (THOUGHT, Look::Line(begun + THOUGHT.len())),
        (RESULT, Look::Marker(begun + RESULT.len(), Kind::OtherRole)),
        (ANSWER, Look::Marker(begun + ANSWER.len(), Kind::Silent)),
    ] {
        if beginning.starts_with(label) {
            return look;
        }
    }
    let labels = CALLS.iter().chain(&[THOUGHT, RESULT, ANSWER]);
    if labels
        .into_iter()
        .any(|label| label.starts_with(&beginning))
    {
        return place.undecided();
    }
    look_at_name_alone(inner, place, offered).behind(begun)
}

/// The name of an offered tool, and then the end of the line. Only names that are no word of a language.
pub(super) fn look_at_name_alone(text: &str, place: Place, offered: &Offered) -> Look {
    let end = text.find(|c: char| !in_name(c)).unwrap_or(text.len());
    let name = &text[..end];
    if end == text.len() && !place.last {
        return match offered.any_begins_with(name) {
            true => Look::Wait,
            false => Look::No,
        };
    }
    if !name.contains('_') || !offered.has(name) {
        return Look::No;
    }
    let rest = text[end..].trim_start_matches(CLOSERS);
    match rest.chars().next() {
        None if !place.last => Look::Wait,
        None | Some('\n') => {
            let call = Written {
                name: name.to_owned(),
                arguments: "{}".to_owned(),
            };
            Look::Calls(text.len() - rest.len(), vec![call], false)
        }
        Some(_) => Look::No,
    }
}

/// The name of a tool behind a label that ends at `at`. The whole line is the call's.
fn look_behind_label(text: &str, at: usize, place: Place, offered: &Offered) -> Look {
    let named = text[at..].trim_start_matches(OPENERS);
    let at = text.len() - named.len();
    // A call in a form of its own.
    if named.starts_with(['{', '<']) {
        return Look::Marker(at, Kind::Silent);
    }
    let end = named
        .find(|c: char| !(in_name(c) || c == '.'))
        .unwrap_or(named.len());
    if end == named.len() && !place.last && end < LINE_BYTES_MAX {
        return Look::Wait;
    }
    let (name, rest) = named.split_at(end);
    let name = name.trim_end_matches('.');
    let offers = offered.named(name).is_some();
    if rest.starts_with('(') && (offers || name.contains('_')) {
        return match unfinished(named, place, offered) {
            Ok(end) => {
                let calls = written::read(&named[..=end], offered).0;
                Look::Calls(at + end + 1, calls, false)
            }
            Err(look) => look.behind(at),
        };
    }
    let rest = rest.trim_start_matches(CLOSERS);
    if rest.starts_with('{') && (offers || name.contains('_')) {
        return look_at_arguments(text, rest, name, place, offered);
    }
    let (line_end, is_whole) = match rest.find('\n') {
        Some(end) => (end, true),
        None => (rest.len(), place.last),
    };
    let next = rest[line_end..].trim_start_matches(|c: char| c.is_whitespace() || "*`".contains(c));
    let lower = next[..next.floor_char_boundary(LABEL_BYTES_MAX)].to_ascii_lowercase();
    if let Some(label) = ARGUMENTS.iter().find(|label| lower.starts_with(**label)) {
        let arguments = next[label.len()..].trim_start_matches(['*', '`', ' ']);
        return look_at_arguments(text, arguments, name, place, offered);
    }
    let may_follow = ARGUMENTS.iter().any(|label| label.starts_with(&lower));
    if !place.last && (!is_whole || may_follow) && rest.len() < LINE_BYTES_MAX {
        return Look::Wait;
    }
    let len = text.len() - (rest.len() - line_end);
    match (offers, name.contains('_')) {
        (true, _) => Look::Calls(len, vec![written(name, "{}")], false),
        (false, true) => Look::Calls(len, Vec::new(), false),
        (false, false) => Look::No,
    }
}

/// The arguments of `name`, which `text` ends with: an object, or a line.
fn look_at_arguments(
    text: &str,
    arguments: &str,
    name: &str,
    place: Place,
    offered: &Offered,
) -> Look {
    let at = text.len() - arguments.len();
    let (len, arguments) = if arguments.starts_with('{') {
        match unfinished(arguments, place, offered) {
            Ok(end) => (at + end + 1, &arguments[..=end]),
            Err(look) => return look.behind(at),
        }
    } else {
        match arguments.find('\n') {
            Some(end) => (at + end, "{}"),
            None if !place.last && arguments.len() < LINE_BYTES_MAX => return Look::Wait,
            None => (text.len(), "{}"),
        }
    };
    let calls = match offered.named(name) {
        Some(_) => vec![written(name, arguments)],
        None => Vec::new(),
    };
    Look::Calls(len, calls, false)
}

fn written(name: &str, arguments: &str) -> Written {
    Written {
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    }
}

/// A character of a tool's name.
pub(super) fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// A character behind which no name begins.
pub(super) fn in_word(c: char) -> bool {
    c.is_alphanumeric() || in_name(c) || matches!(c, '\'' | '’')
}
