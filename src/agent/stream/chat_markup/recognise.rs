//! Recognises what a position of a text starts with: markup, a tool call written as text, or plain text.

use super::labelled_call::{is_tool_name_char, is_word_char, recognise_bare_name, recognise_line};
use super::marker::{self, MarkerKind, MarkerMatch};
use super::position::{Recognised, TextPosition, call_end};
use super::text_tool_call;
use crate::agent::tools::offered_names::OfferedToolNames;

/// Longest start of a possible call that is held back before it is recognised as one, in bytes.
const BEGINNING_BYTES_MAX: usize = 128;
/// Start of the analysis channel of harmony when a server has removed the control tokens.
const BARE_ANALYSIS: &str = "analysis";
/// Namespaces that models put before the names of tools.
const NAMESPACES: [&str; 4] = ["functions.", "default_api.", "tools.", "print("];
/// Start of a list of calls in the format of Phi.
const FUNCTOOLS: &str = "functools[";

pub(super) fn recognise(
    text: &str,
    position: TextPosition,
    offered: &OfferedToolNames,
) -> Recognised {
    match marker::match_marker(text) {
        MarkerMatch::Marker(len, kind) => return Recognised::Marker(len, kind),
        // The start of a token that was cut off by the end of the reply is dropped.
        MarkerMatch::Incomplete
            if position.at_end && ["<|", "<｜"].iter().any(|bars| text.starts_with(bars)) =>
        {
            return Recognised::Marker(text.len(), MarkerKind::Ignored);
        }
        MarkerMatch::Incomplete => return position.undecided(),
        MarkerMatch::NoMatch => {}
    }
    let in_line = match position.line_start {
        true => recognise_line(text, position, offered),
        false => Recognised::PlainText,
    };
    match (in_line, text.chars().next()) {
        (Recognised::PlainText, Some('{' | '[')) => recognise_json(text, position, offered),
        (Recognised::PlainText, Some('`')) => recognise_fence(text, position, offered),
        (Recognised::PlainText, Some(_)) if position.line_start => {
            recognise_call_syntax(text, position, offered)
        }
        (Recognised::PlainText, Some(_)) if position.word_start => {
            recognise_inline_call(text, position, offered)
        }
        (recognised, _) => recognised,
    }
}

/// Whether `token`, which follows the character `before`, may contain the name of a tool, or the start of one.
pub(super) fn may_hold_tool_name(
    token: &str,
    before: Option<char>,
    offered: &OfferedToolNames,
) -> bool {
    let mut before = before;
    let mut rest = token;
    while let Some(c) = rest.chars().next() {
        let starts = c.is_ascii_alphabetic() && !before.is_some_and(is_word_char);
        if starts {
            let end = rest.find(|c| !is_tool_name_char(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let begun = || offered.any_begins_with(word) || namespace_begins_with(word);
            let whole = || {
                offered.contains(word)
                    || NAMESPACES
                        .iter()
                        .any(|space| space.trim_end_matches(['.', '(']) == word)
            };
            if if after.is_empty() { begun() } else { whole() } {
                return true;
            }
            (before, rest) = (Some('a'), after);
        } else {
            (before, rest) = (Some(c), &rest[c.len_utf8()..]);
        }
    }
    false
}

fn namespace_begins_with(word: &str) -> bool {
    NAMESPACES[..2].iter().any(|space| space.starts_with(word))
}

/// Recognises a call in function syntax in the middle of a line, or the name of a tool at its end.
fn recognise_inline_call(
    text: &str,
    position: TextPosition,
    offered: &OfferedToolNames,
) -> Recognised {
    let space = NAMESPACES[..2]
        .iter()
        .find(|space| text.starts_with(**space));
    let bare = &text[space.map_or(0, |space| space.len())..];
    let end = bare.find(|c| !is_tool_name_char(c)).unwrap_or(bare.len());
    if end == bare.len() && !position.at_end {
        let begun = offered.any_begins_with(bare) || namespace_begins_with(text);
        return if begun {
            Recognised::Incomplete
        } else {
            Recognised::PlainText
        };
    }
    if !offered.contains(&bare[..end]) {
        return Recognised::PlainText;
    }
    if !bare[end..].starts_with('(') {
        return match position.after_sentence {
            true => recognise_bare_name(text, position, offered),
            false => Recognised::PlainText,
        };
    }
    match call_end(text, position, offered) {
        Ok(end) => Recognised::ToolCalls(
            end + 1,
            text_tool_call::parse_block(&text[..=end], offered).0,
            false,
        ),
        Err(other) => other,
    }
}

fn recognise_json(text: &str, position: TextPosition, offered: &OfferedToolNames) -> Recognised {
    let inner = text.trim_start_matches(|c: char| c == '[' || c.is_whitespace());
    let listed = text.starts_with('[');
    if listed && position.line_start && inner.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return match recognise_call_syntax(inner, position, offered) {
            Recognised::ToolCalls(..) => match call_end(text, position, offered) {
                Ok(end) => Recognised::ToolCalls(
                    end + 1,
                    text_tool_call::parse_block(&text[..=end], offered).0,
                    false,
                ),
                Err(other) => other,
            },
            Recognised::Incomplete => Recognised::Incomplete,
            _ => Recognised::PlainText,
        };
    }
    let inner = match inner.strip_prefix('{') {
        Some(inner) => inner.trim_start(),
        None if inner.is_empty() && listed && text.len() < BEGINNING_BYTES_MAX => {
            return position.undecided();
        }
        None => return Recognised::PlainText,
    };
    match first_key(inner) {
        Some(key) if text_tool_call::may_be_key(key, offered) => {}
        None if inner.len() < BEGINNING_BYTES_MAX
            && (inner.is_empty() || inner.starts_with(['"', '\''])) =>
        {
            return position.undecided();
        }
        _ => return Recognised::PlainText,
    }
    let end = match call_end(text, position, offered) {
        Ok(end) => end,
        Err(other) => return other,
    };
    let json = &text[..=end];
    let read = text_tool_call::parse_json_calls(json, offered).or_else(|| {
        let value = serde_json::from_str(&text_tool_call::repaired_json(json)).ok()?;
        Some((text_tool_call::calls_in(&value, offered)?, ""))
    });
    match (read, text_tool_call::wrapped_text(json)) {
        (Some((calls, _)), _) => Recognised::ToolCalls(end + 1, calls, false),
        (None, Some(words)) => Recognised::WrappedText(end + 1, words, false),
        (None, None) => Recognised::PlainText,
    }
}

/// Recognises a code fence around a call.
fn recognise_fence(text: &str, position: TextPosition, offered: &OfferedToolNames) -> Recognised {
    let Some(inner) = text.strip_prefix("```") else {
        return if "```".starts_with(text) {
            position.undecided()
        } else {
            Recognised::PlainText
        };
    };
    let language = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let content = language.trim_start();
    if inner.len() - content.len() > BEGINNING_BYTES_MAX {
        return Recognised::PlainText;
    }
    let skipped = text.len() - content.len();
    match content.chars().next() {
        None => position.undecided(),
        Some('{' | '[') => recognise_json(content, position, offered).fenced(skipped),
        Some('<') => match marker::match_marker(content) {
            MarkerMatch::Marker(_, MarkerKind::CallStart(_)) => Recognised::FenceStart(skipped),
            MarkerMatch::Incomplete => position.undecided(),
            _ => Recognised::PlainText,
        },
        Some(c) if c.is_ascii_alphabetic() && language.len() != content.len() => {
            match recognise_line(content, position, offered) {
                Recognised::PlainText => {
                    recognise_call_syntax(content, position, offered).fenced(skipped)
                }
                recognised => recognised.fenced(skipped),
            }
        }
        Some(_) => Recognised::PlainText,
    }
}

/// Recognises a call in function syntax at the start of a line.
fn recognise_call_syntax(
    text: &str,
    position: TextPosition,
    offered: &OfferedToolNames,
) -> Recognised {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    let printed = text.strip_prefix("print(").unwrap_or(text);
    let end = printed.find(|c| !in_name(c)).unwrap_or(printed.len());
    let (name, rest) = printed.split_at(end);
    if position.at_reply_start
        && let Some(rest) = text.strip_prefix(BARE_ANALYSIS)
    {
        match rest.chars().next() {
            None => return position.undecided(),
            Some(c) if c.is_alphabetic() => return Recognised::BareAnalysis(BARE_ANALYSIS.len()),
            Some(_) => {}
        }
    }
    if text.starts_with(FUNCTOOLS) {
        return Recognised::CallStart(FUNCTOOLS.len() - 1);
    }
    if rest.is_empty() {
        let begun = NAMESPACES.iter().chain(&[BARE_ANALYSIS, FUNCTOOLS]);
        let namespace = NAMESPACES
            .iter()
            .find_map(|space| printed.strip_prefix(space));
        let may_be = begun.into_iter().any(|word| word.starts_with(printed))
            || offered.any_begins_with(printed)
            || namespace.is_some_and(|name| offered.any_begins_with(name));
        return if may_be {
            position.undecided()
        } else {
            Recognised::PlainText
        };
    }
    let mut spaces = NAMESPACES.iter();
    let bare = spaces.find_map(|space| name.strip_prefix(space));
    if !rest.starts_with('(') || !offered.contains(bare.unwrap_or(name)) {
        return Recognised::PlainText;
    }
    match call_end(text, position, offered) {
        Ok(end) => Recognised::ToolCalls(
            end + 1,
            text_tool_call::parse_block(&text[..=end], offered).0,
            false,
        ),
        Err(other) => other,
    }
}

/// The first key of an object, once it is complete.
fn first_key(inner: &str) -> Option<&str> {
    let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    inner[1..].split_once(quote).map(|(key, _)| key)
}
