//! What stands at a place of a text: markup, a written call, or words.

use super::CALL_BYTES_MAX;
use super::line::{in_name, in_word, look_at_line, look_at_name_alone};
use super::marker::{self, Kind, Seen};
use super::written::{self, Written};
use crate::agent::offered::Offered;

/// Longest beginning of a call that is waited for before it has said that it is one.
const BEGINNING_BYTES_MAX: usize = 128;
/// How harmony looks when a server has left out its control tokens.
const BARE_ANALYSIS: &str = "analysis";
/// Namespaces that models put before the names of tools.
const NAMESPACES: [&str; 4] = ["functions.", "default_api.", "tools.", "print("];
/// How a list of calls begins in the format of Phi.
const FUNCTOOLS: &str = "functools[";

/// Where a text stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Only white space since the line, or the reply, began.
    pub line_start: bool,
    /// Only white space since the reply began.
    pub at_beginning: bool,
    /// No letter, digit or underscore before it.
    pub word_start: bool,
    /// A sentence has ended before it.
    pub after_sentence: bool,
    /// Nothing more will come.
    pub last: bool,
}

impl Place {
    /// The verdict on what is not known yet.
    pub(super) fn undecided(self) -> Look {
        if self.last { Look::No } else { Look::Wait }
    }
}

/// What is at the start of a text.
pub(super) enum Look {
    /// Words.
    No,
    /// Not known before more has come.
    Wait,
    /// So many bytes are a token or tag.
    Marker(usize, Kind),
    /// So many bytes are calls, perhaps behind the opening of a code fence. No calls: they cannot be
    /// read.
    Calls(usize, Vec<Written>, bool),
    /// So many bytes are an object that should have been these words.
    Said(usize, String, bool),
    /// So many bytes open a code fence around a call.
    Fence(usize),
    /// So many bytes begin a call in the format of a program or of Phi.
    Opens(usize),
    BareAnalysis(usize),
    /// So many bytes begin a line that is thought.
    Line(usize),
}

pub(super) fn look(text: &str, place: Place, offered: &Offered) -> Look {
    match marker::read(text) {
        Seen::Marker(len, kind) => return Look::Marker(len, kind),
        // The beginning of a token that was cut off says nothing.
        Seen::Perhaps if place.last && ["<|", "<｜"].iter().any(|bars| text.starts_with(bars)) => {
            return Look::Marker(text.len(), Kind::Silent);
        }
        Seen::Perhaps => return place.undecided(),
        Seen::No => {}
    }
    let in_line = match place.line_start {
        true => look_at_line(text, place, offered),
        false => Look::No,
    };
    match (in_line, text.chars().next()) {
        (Look::No, Some('{' | '[')) => look_at_json(text, place, offered),
        (Look::No, Some('`')) => look_at_fence(text, place, offered),
        (Look::No, Some(_)) if place.line_start => look_at_name(text, place, offered),
        (Look::No, Some(_)) if place.word_start => look_at_word(text, place, offered),
        (look, _) => look,
    }
}

/// Whether `token`, which stands behind `before`, may hold the name of a tool, or begin one.
pub(super) fn may_name(token: &str, before: Option<char>, offered: &Offered) -> bool {
    let mut before = before;
    let mut rest = token;
    while let Some(c) = rest.chars().next() {
        let starts = c.is_ascii_alphabetic() && !before.is_some_and(in_word);
        if starts {
            let end = rest.find(|c| !in_name(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let begun = || offered.any_begins_with(word) || namespace_begins_with(word);
            let whole = || {
                offered.has(word)
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

/// A call as a program would write it, in the middle of a line; or the name of a tool at its end.
fn look_at_word(text: &str, place: Place, offered: &Offered) -> Look {
    let space = NAMESPACES[..2]
        .iter()
        .find(|space| text.starts_with(**space));
    let bare = &text[space.map_or(0, |space| space.len())..];
    let end = bare.find(|c| !in_name(c)).unwrap_or(bare.len());
    if end == bare.len() && !place.last {
        let begun = offered.any_begins_with(bare) || namespace_begins_with(text);
        return if begun { Look::Wait } else { Look::No };
    }
    if !offered.has(&bare[..end]) {
        return Look::No;
    }
    if !bare[end..].starts_with('(') {
        return match place.after_sentence {
            true => look_at_name_alone(text, place, offered),
            false => Look::No,
        };
    }
    match unfinished(text, place, offered) {
        Ok(end) => Look::Calls(end + 1, written::read(&text[..=end], offered).0, false),
        Err(look) => look,
    }
}

fn look_at_json(text: &str, place: Place, offered: &Offered) -> Look {
    let inner = text.trim_start_matches(|c: char| c == '[' || c.is_whitespace());
    let listed = text.starts_with('[');
    if listed && place.line_start && inner.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return match look_at_name(inner, place, offered) {
            Look::Calls(..) => match unfinished(text, place, offered) {
                Ok(end) => Look::Calls(end + 1, written::read(&text[..=end], offered).0, false),
                Err(look) => look,
            },
            Look::Wait => Look::Wait,
            _ => Look::No,
        };
    }
    let inner = match inner.strip_prefix('{') {
        Some(inner) => inner.trim_start(),
        None if inner.is_empty() && listed && text.len() < BEGINNING_BYTES_MAX => {
            return place.undecided();
        }
        None => return Look::No,
    };
    match first_key(inner) {
        Some(key) if written::may_be_key(key, offered) => {}
        None if inner.len() < BEGINNING_BYTES_MAX
            && (inner.is_empty() || inner.starts_with(['"', '\''])) =>
        {
            return place.undecided();
        }
        _ => return Look::No,
    }
    let end = match unfinished(text, place, offered) {
        Ok(end) => end,
        Err(look) => return look,
    };
    let json = &text[..=end];
    let read = written::json(json, offered).or_else(|| {
        let value = serde_json::from_str(&written::relaxed(json)).ok()?;
        Some((written::calls_in(&value, offered)?, ""))
    });
    match (read, written::words_in(json)) {
        (Some((calls, _)), _) => Look::Calls(end + 1, calls, false),
        (None, Some(words)) => Look::Said(end + 1, words, false),
        (None, None) => Look::No,
    }
}

/// A code fence with a call in it.
fn look_at_fence(text: &str, place: Place, offered: &Offered) -> Look {
    let Some(inner) = text.strip_prefix("```") else {
        return if "```".starts_with(text) {
            place.undecided()
        } else {
            Look::No
        };
    };
    let language = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let content = language.trim_start();
    if inner.len() - content.len() > BEGINNING_BYTES_MAX {
        return Look::No;
    }
    let skipped = text.len() - content.len();
    match content.chars().next() {
        None => place.undecided(),
        Some('{' | '[') => look_at_json(content, place, offered).fenced(skipped),
        Some('<') => match marker::read(content) {
            Seen::Marker(_, Kind::Call(_)) => Look::Fence(skipped),
            Seen::Perhaps => place.undecided(),
            _ => Look::No,
        },
        Some(c) if c.is_ascii_alphabetic() && language.len() != content.len() => {
            match look_at_line(content, place, offered) {
                Look::No => look_at_name(content, place, offered).fenced(skipped),
                look => look.fenced(skipped),
            }
        }
        Some(_) => Look::No,
    }
}

/// A call as a program would write it, at the start of a line.
fn look_at_name(text: &str, place: Place, offered: &Offered) -> Look {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    let printed = text.strip_prefix("print(").unwrap_or(text);
    let end = printed.find(|c| !in_name(c)).unwrap_or(printed.len());
    let (name, rest) = printed.split_at(end);
    if place.at_beginning
        && let Some(rest) = text.strip_prefix(BARE_ANALYSIS)
    {
        match rest.chars().next() {
            None => return place.undecided(),
            Some(c) if c.is_alphabetic() => return Look::BareAnalysis(BARE_ANALYSIS.len()),
            Some(_) => {}
        }
    }
    if text.starts_with(FUNCTOOLS) {
        return Look::Opens(FUNCTOOLS.len() - 1);
    }
    if rest.is_empty() {
        let begun = NAMESPACES.iter().chain(&[BARE_ANALYSIS, FUNCTOOLS]);
        let namespace = NAMESPACES
            .iter()
            .find_map(|space| printed.strip_prefix(space));
        let may_be = begun.into_iter().any(|word| word.starts_with(printed))
            || offered.any_begins_with(printed)
            || namespace.is_some_and(|name| offered.any_begins_with(name));
        return if may_be { place.undecided() } else { Look::No };
    }
    let mut spaces = NAMESPACES.iter();
    let bare = spaces.find_map(|space| name.strip_prefix(space));
    if !rest.starts_with('(') || !offered.has(bare.unwrap_or(name)) {
        return Look::No;
    }
    match unfinished(text, place, offered) {
        Ok(end) => Look::Calls(end + 1, written::read(&text[..=end], offered).0, false),
        Err(look) => look,
    }
}

impl Look {
    /// The same, behind `skipped` bytes.
    pub(super) fn behind(self, skipped: usize) -> Look {
        match self {
            Look::Calls(len, calls, fenced) => Look::Calls(skipped + len, calls, fenced),
            look => look,
        }
    }

    /// The same, behind `skipped` bytes of a fence.
    fn fenced(self, skipped: usize) -> Look {
        match self {
            Look::Calls(len, calls, _) => Look::Calls(skipped + len, calls, true),
            Look::Said(len, words, _) => Look::Said(skipped + len, words, true),
            Look::Wait => Look::Wait,
            _ => Look::No,
        }
    }
}

/// Where the bracket is closed that stands first in `text`, or what is to be done without its end:
/// a call that the end of the reply cut off is left out, other text is said.
pub(super) fn unfinished(text: &str, place: Place, offered: &Offered) -> Result<usize, Look> {
    let end = written::closing(text);
    let names_one = || {
        let mut keys = written::ARGUMENT_KEYS.iter().take(2);
        offered.is_named_in(text) || keys.any(|key| text.contains(&format!("\"{key}\"")))
    };
    match end {
        _ if end.unwrap_or(text.len()) > CALL_BYTES_MAX => Err(Look::No),
        Some(end) => Ok(end),
        None if !place.last => Err(Look::Wait),
        None if names_one() => Err(Look::Calls(text.len(), Vec::new(), false)),
        None => Err(Look::No),
    }
}

/// The first key of an object, once it is whole.
fn first_key(inner: &str) -> Option<&str> {
    let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    inner[1..].split_once(quote).map(|(key, _)| key)
}
