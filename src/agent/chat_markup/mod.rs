//! Takes the markup of chat templates out of a model's words: control tokens, harmony channels,
//! thoughts, the headers of turns, and tool calls that were written as text. Servers should do so
//! and often do not.
//!
//! A machine over text, before [`Speech`](super::speech::Speech): the result does not depend on how
//! the text was cut into tokens. What cannot be markup passes at once.

mod deliberation;
mod hold;
mod line;
mod look;
mod marker;
mod written;

#[cfg(test)]
mod tests;

use super::offered::Offered;
use super::tools::ARGUMENTS_BYTES_MAX;
use compact_str::CompactString;
use hold::Holding;
use look::{Look, Place, look};
use marker::{Kind, Seen};
use std::collections::VecDeque;
use written::Written;

/// Longest tool call that is written as text; a longer one is left out, or was none.
const CALL_BYTES_MAX: usize = ARGUMENTS_BYTES_MAX + 1_024;
/// Longest header of a channel or a role.
const HEADER_BYTES_MAX: usize = 128;
/// The channels of harmony, and of Gemma.
const CHANNELS: [&str; 5] = ["analysis", "commentary", "final", "thought", "thinking"];
/// How harmony looks when a server has left out its control tokens.
const BARE_FINAL: &str = "assistantfinal";

/// What comes of a text, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Words for the caller. Never empty.
    Words(CompactString),
    /// A tool call; the tool is offered.
    Call {
        /// As it was written.
        name: String,
        /// JSON text.
        arguments: String,
    },
    /// Something that is neither for the caller nor a call, by the reason for the metric.
    LeftOut(&'static str),
    /// What follows is the turn of somebody else.
    OtherTurn,
}

/// One reply's text, as far as it has come.
pub(super) struct ChatMarkup {
    state: State,
    /// What has come and is not decided.
    held: String,
    /// Of `held`, what was looked through for a closing tag.
    looked: usize,
    /// Only white space since the line, or the reply, began.
    line_start: bool,
    /// No word has been let through.
    at_beginning: bool,
    /// The last character that was let through, and the last that is no space.
    before: Option<char>,
    before_space: Option<char>,
    holding: Holding,
    lone_thought_seen: bool,
    /// A code fence around a call was opened: its end goes, too.
    in_fence: bool,
    /// Whom the header of a harmony message names, if a tool.
    recipient: Option<String>,
    parts: VecDeque<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Words,
    /// Silent until a closing tag.
    Thought,
    /// Silent until the next control token (harmony).
    Analysis,
    /// Silent until [`BARE_FINAL`].
    BareAnalysis,
    /// Silent until the end of the line.
    Line,
    /// The name of a role, or of a channel.
    Role,
    Channel,
    /// Inside a call that ends at a tag of this name, or at the next token where it has none.
    Call {
        tag: String,
        text: String,
        /// It is the result of a tool, or too long.
        ignored: bool,
    },
    /// The turn of somebody else.
    Over,
}

impl ChatMarkup {
    /// `holds_thoughts`: words are held back until a lone closing tag comes, up to
    /// [`HELD_BYTES_MAX`] or the end. Otherwise only those of a reply that begins as thoughts do.
    pub(super) fn new(holds_thoughts: bool) -> Self {
        Self {
            state: State::Words,
            held: String::new(),
            looked: 0,
            line_start: true,
            at_beginning: true,
            before: None,
            before_space: None,
            holding: match holds_thoughts {
                true => Holding::Thoughts,
                false => Holding::Beginning,
            },
            lone_thought_seen: false,
            in_fence: false,
            recipient: None,
            parts: VecDeque::new(),
        }
    }

    /// Whether `token` is nothing but words, and nothing waits: then it is let through, and need not be pushed.
    pub(super) fn passes(&mut self, token: &str, offered: &Offered) -> bool {
        let quiet =
            self.held.is_empty() && self.state == State::Words && self.holding == Holding::No;
        let passes = quiet
            && !self.line_start
            && !self.in_fence
            && !token.contains(|c| matches!(c, '{' | '\n') || marker::may_begin(c))
            && !look::may_name(token, self.before, offered);
        if passes {
            self.note(token);
        }
        passes
    }

    /// These words are let through.
    fn note(&mut self, words: &str) {
        self.before = words.chars().next_back().or(self.before);
        let visible = |c: &char| !c.is_whitespace();
        self.before_space = words.chars().rfind(visible).or(self.before_space);
    }

    /// Takes the next piece; what comes of it is to be had from [`next`](Self::next).
    pub(super) fn push(&mut self, token: &str, offered: &Offered) {
        self.held.push_str(token);
        while self.step(false, offered) {}
    }

    /// Nothing more will come.
    pub(super) fn finish(&mut self, offered: &Offered) {
        self.holding = Holding::No;
        while self.step(true, offered) {}
        self.held.clear();
    }

    pub(super) fn next(&mut self) -> Option<Part> {
        self.parts.pop_front()
    }

    /// Whether a closing tag of thoughts came without its opening one.
    pub(super) fn lone_thought_seen(&self) -> bool {
        self.lone_thought_seen
    }

    /// Resolves the beginning of what is held. Whether something was.
    fn step(&mut self, last: bool, offered: &Offered) -> bool {
        if self.holding != Holding::No {
            return self.hold_back();
        }
        if self.held.is_empty() && !(last && matches!(self.state, State::Call { .. })) {
            return false;
        }
        match &self.state {
            State::Words => self.words(last, offered),
            State::Thought | State::Analysis => self.thought(last),
            State::BareAnalysis => self.bare_analysis(),
            State::Line => self.rest_of_line(),
            State::Role => self.role(last),
            State::Channel => self.channel(last),
            State::Call { .. } => self.call(last, offered),
            State::Over => {
                self.held.clear();
                false
            }
        }
    }

    fn words(&mut self, last: bool, offered: &Offered) -> bool {
        if self.in_fence && !self.close_fence(last) {
            return false;
        }
        let (mut place, mut at) = (self.place(last), 0);
        while let Some(c) = self.held[at..].chars().next() {
            let begins =
                c.is_ascii_alphabetic() || (place.line_start && matches!(c, '`' | '*' | '('));
            let named = begins && (place.line_start || place.word_start);
            let look = match named || c == '{' || marker::may_begin(c) {
                true => look(&self.held[at..], place, offered),
                false => Look::No,
            };
            match look {
                Look::No => {
                    place.line_start = c == '\n' || (place.line_start && c.is_whitespace());
                    place.at_beginning &= c.is_whitespace();
                    place.word_start = !line::in_word(c);
                    if !c.is_whitespace() {
                        place.after_sentence = ends_sentence(c);
                    }
                    at += c.len_utf8();
                }
                Look::Wait => {
                    self.let_through(at, place);
                    return false;
                }
                look => {
                    self.let_through(at, place);
                    self.take(look, offered);
                    return true;
                }
            }
        }
        self.let_through(at, place);
        false
    }

    fn place(&self, last: bool) -> Place {
        Place {
            line_start: self.line_start,
            at_beginning: self.at_beginning,
            word_start: !self.before.is_some_and(line::in_word),
            after_sentence: self.before_space.is_none_or(ends_sentence),
            last,
        }
    }

    fn let_through(&mut self, bytes: usize, place: Place) {
        (self.line_start, self.at_beginning) = (place.line_start, place.at_beginning);
        if bytes > 0 {
            let words = CompactString::from(&self.held[..bytes]);
            self.note(&words);
            self.parts.push_back(Part::Words(words));
            self.held.drain(..bytes);
        }
    }

    fn take(&mut self, look: Look, offered: &Offered) {
        match look {
            Look::No | Look::Wait => {}
            Look::Marker(len, kind) => {
                let opener: String = self.held.drain(..len).collect();
                self.mark(kind, &opener);
            }
            Look::Calls(len, calls, fenced) => {
                self.held.drain(..len);
                self.in_fence |= fenced;
                self.written(calls, offered);
            }
            Look::Said(len, words, fenced) => {
                self.held.drain(..len);
                self.in_fence |= fenced;
                (self.line_start, self.at_beginning) = (false, false);
                if !words.is_empty() {
                    self.parts.push_back(Part::Words(words.into()));
                }
            }
            Look::Fence(len) => {
                self.held.drain(..len);
                self.in_fence = true;
            }
            Look::Opens(len) => {
                self.held.drain(..len);
                self.state = call_of(String::new(), String::new(), false);
            }
            Look::BareAnalysis(len) => {
                self.held.drain(..len);
                self.state = State::BareAnalysis;
            }
            Look::Line(len) => {
                self.held.drain(..len);
                self.state = State::Line;
            }
        }
    }

    /// A token or tag stands between words.
    fn mark(&mut self, kind: Kind, opener: &str) {
        match kind {
            Kind::Silent | Kind::Inner | Kind::CallEnds(_) => {}
            Kind::ThoughtBegins => self.state = State::Thought,
            Kind::ThoughtEnds => {
                self.lone_thought_seen = true;
                self.begin_words();
            }
            Kind::Role => self.state = State::Role,
            // A model may begin with the token of a turn.
            Kind::OtherRole if self.at_beginning && opener.starts_with('[') => {}
            Kind::OtherRole => self.other_turn(),
            Kind::Channel => self.state = State::Channel,
            Kind::Message => self.begin_message("final"),
            Kind::Call(tag) => {
                // The name of the tool may stand in the tag itself.
                let text = if opener.contains('=') {
                    opener.to_owned()
                } else {
                    String::new()
                };
                self.state = call_of(tag, text, false);
            }
            Kind::Result(tag) => self.state = call_of(tag, String::new(), true),
        }
    }

    fn other_turn(&mut self) {
        self.state = State::Over;
        self.parts.push_back(Part::LeftOut("other_turn"));
        self.parts.push_back(Part::OtherTurn);
    }

    /// Harmony: the message of a channel begins.
    fn begin_message(&mut self, channel: &str) {
        self.begin_words();
        if let Some(name) = self.recipient.take() {
            self.state = call_of(String::new(), name, false);
        } else if channel != "final" {
            self.state = State::Analysis;
        }
    }

    /// The calls that were written here; those that are not offered are left out.
    fn written(&mut self, calls: Vec<Written>, offered: &Offered) {
        if calls.is_empty() {
            self.parts.push_back(Part::LeftOut("written_tool"));
        }
        for Written { name, arguments } in calls {
            self.parts.push_back(match offered.named(&name) {
                Some(_) => Part::Call { name, arguments },
                None => Part::LeftOut("written_tool"),
            });
        }
    }

    fn close_fence(&mut self, last: bool) -> bool {
        let content = self.held.trim_start();
        let at = self.held.len() - content.len();
        if content.starts_with('<') {
            // The call itself is still to come.
            return true;
        }
        if content.starts_with("```") {
            self.held.drain(..at + 3);
        } else if !last && "```".starts_with(content) {
            return false;
        }
        self.in_fence = false;
        true
    }

    fn thought(&mut self, last: bool) -> bool {
        let by_token = self.state == State::Analysis;
        let mut at = 0;
        while let Some(next) = self.held[at..].find(marker::may_begin) {
            at += next;
            let skipped = match marker::read(&self.held[at..]) {
                Seen::Marker(len, Kind::ThoughtEnds) if !by_token => Some(len),
                // The token says itself what follows.
                Seen::Marker(len, kind) if by_token && kind != Kind::Inner => {
                    marker::is_token(&self.held[at..at + len]).then_some(0)
                }
                Seen::Perhaps if !last => {
                    self.held.drain(..at);
                    return false;
                }
                _ => None,
            };
            if let Some(skipped) = skipped {
                self.held.drain(..at + skipped);
                self.begin_words();
                return true;
            }
            at = self.held.ceil_char_boundary(at + 1);
        }
        self.held.clear();
        false
    }

    fn begin_words(&mut self) {
        self.state = State::Words;
        (self.line_start, self.at_beginning) = (true, true);
    }

    fn bare_analysis(&mut self) -> bool {
        if let Some(at) = self.held.find(BARE_FINAL) {
            self.held.drain(..at + BARE_FINAL.len());
            self.begin_words();
            return true;
        }
        let keep = self.held.len().saturating_sub(BARE_FINAL.len());
        let keep = self.held.floor_char_boundary(keep);
        self.held.drain(..keep);
        false
    }

    fn rest_of_line(&mut self) -> bool {
        let end = self.held.find('\n');
        self.held.drain(..end.unwrap_or(self.held.len()));
        if end.is_some() {
            self.begin_words();
        }
        end.is_some()
    }

    /// `assistant` and what else stands in the header of a turn.
    fn role(&mut self, last: bool) -> bool {
        let text = self.held.trim_start_matches(' ');
        let end = text.find(|c: char| !c.is_ascii_alphabetic());
        if end.is_none() && !last && text.len() < HEADER_BYTES_MAX {
            return false;
        }
        let name = text[..end.unwrap_or(text.len())].to_ascii_lowercase();
        let skipped = self.held.len() - text.len() + name.len();
        match marker::is_own_role(&name) {
            Some(true) => {
                let header = &self.held[skipped..];
                // ` to=functions.name`, then a token.
                if " to=".starts_with(header) && !last {
                    return false;
                }
                if header.starts_with(" to=") {
                    let Some(end) = header.find(['<', '\n']).or(last.then_some(header.len()))
                    else {
                        return false;
                    };
                    self.recipient = recipient(&header[..end]);
                    self.held.drain(..skipped + end);
                } else {
                    self.held.drain(..skipped);
                }
                self.state = State::Words;
                self.line_start = true;
            }
            Some(false) => self.other_turn(),
            None => self.state = State::Words,
        }
        true
    }

    /// The header of a harmony channel.
    fn channel(&mut self, last: bool) -> bool {
        let mut from = 0;
        let end = loop {
            let Some(at) = self.held[from..].find(['<', '\n']).map(|at| from + at) else {
                break None;
            };
            match marker::read(&self.held[at..]) {
                Seen::Marker(len, Kind::Inner) => from = at + len,
                Seen::Marker(len, kind) => break Some((at, len, Some(kind))),
                Seen::Perhaps if !last => return false,
                _ => break Some((at, 0, None)),
            }
        };
        let (at, len, kind) = match end {
            Some(end) => end,
            None if last || self.held.len() > HEADER_BYTES_MAX => {
                (self.held.floor_char_boundary(HEADER_BYTES_MAX), 0, None)
            }
            None => return false,
        };
        let header = self.held[..at].to_owned();
        let begins = header.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0);
        let name = header[begins..]
            .split(|c: char| !c.is_ascii_alphabetic())
            .next();
        let name = name.unwrap_or_default();
        self.recipient = recipient(&header).or(self.recipient.take());
        match kind {
            Some(Kind::Message) => {
                self.held.drain(..at + len);
                self.begin_message(if name.is_empty() { "final" } else { name });
            }
            // Without its message: another token says what follows.
            Some(_) if CHANNELS.contains(&name) || self.recipient.is_some() => {
                self.held.drain(..at);
                self.state = State::Words;
            }
            Some(_) => self.state = State::Words,
            None if CHANNELS.contains(&name) => {
                self.held.drain(..begins + name.len());
                self.begin_message(name);
            }
            None => self.state = State::Words,
        }
        true
    }

    fn call(&mut self, last: bool, offered: &Offered) -> bool {
        let (at, end) = self.end_of_call(last);
        let State::Call { text, ignored, .. } = &mut self.state else {
            return false;
        };
        if text.len() + at > CALL_BYTES_MAX {
            (*ignored, *text) = (true, String::new());
        } else if !*ignored {
            text.push_str(&self.held[..at]);
        }
        let cut_off = at == self.held.len();
        self.held.drain(..at + end.unwrap_or(0));
        if end.is_some() {
            self.end_call(cut_off, offered);
        }
        end.is_some()
    }

    /// How many bytes of what is held belong to the call for certain, and how long the tag is that
    /// ends it there, if it does.
    fn end_of_call(&self, last: bool) -> (usize, Option<usize>) {
        let State::Call { tag, text, .. } = &self.state else {
            return (0, None);
        };
        let mut at = 0;
        while let Some(next) = self.held[at..].find(marker::may_begin) {
            at += next;
            let begun = at > 0 || !text.is_empty();
            match marker::read(&self.held[at..]) {
                Seen::Marker(len, Kind::CallEnds(name)) if *tag == name => return (at, Some(len)),
                Seen::Marker(_, Kind::Call(name)) if *tag == name && begun => return (at, Some(0)),
                Seen::Marker(_, Kind::Inner | Kind::Message) => {}
                // A token ends what no tag ends.
                Seen::Marker(len, _)
                    if tag.is_empty() && marker::is_token(&self.held[at..at + len]) =>
                {
                    return (at, Some(0));
                }
                Seen::Perhaps if !last => return (at, None),
                _ => {}
            }
            at = self.held.ceil_char_boundary(at + 1);
        }
        (self.held.len(), last.then_some(0))
    }

    fn end_call(&mut self, cut_off: bool, offered: &Offered) {
        let state = std::mem::replace(&mut self.state, State::Words);
        let State::Call { text, ignored, tag } = state else {
            return;
        };
        let (calls, rest) = match ignored {
            true => (Vec::new(), ""),
            false => written::read(&text, offered),
        };
        let read = !calls.is_empty();
        self.written(calls, offered);
        // Words behind a call that had no end of its own.
        if read && (cut_off || tag.is_empty()) {
            self.held.insert_str(0, rest);
        }
    }
}

fn ends_sentence(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | ':' | '…' | '。' | '！' | '？')
}

fn call_of(tag: String, text: String, ignored: bool) -> State {
    State::Call { tag, text, ignored }
}

/// The tool in ` to=functions.name ...`.
fn recipient(header: &str) -> Option<String> {
    let (_, name) = header.split_once("to=")?;
    let end = name
        .find(|c: char| c.is_whitespace() || c == '<')
        .unwrap_or(name.len());
    (end > 0).then(|| name[..end].to_owned())
}
