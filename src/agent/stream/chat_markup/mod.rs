//! Removes the markup of chat templates from a model's text: control tokens, harmony channels, thinking, the headers
//! of turns, and tool calls that were written as text. Servers should do so and often do not.
//!
//! A state machine over text, before [`SpeechFilter`](crate::agent::speech::SpeechFilter). The result does not depend
//! on how the text was split into tokens. Text that cannot be markup passes at once.

mod held_text;
mod labelled_call;
mod marker;
mod position;
mod recognise;
mod text_tool_call;
mod thinking_start;

#[cfg(test)]
mod tests;

use crate::agent::tools::offered_names::OfferedToolNames;
use compact_str::CompactString;
use held_text::HoldMode;
use marker::{MarkerKind, MarkerMatch};
use position::{CALL_BYTES_MAX, Recognised, TextPosition};
use recognise::recognise;
use std::collections::VecDeque;
use text_tool_call::TextToolCall;

/// Longest header of a channel or a role.
const HEADER_BYTES_MAX: usize = 128;
/// The channels of harmony, and of Gemma.
const CHANNELS: [&str; 5] = ["analysis", "commentary", "final", "thought", "thinking"];
/// Start of the final channel of harmony when a server has removed the control tokens.
const BARE_FINAL: &str = "assistantfinal";

/// A part of the decoded text, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MarkupPart {
    /// Text for the caller. Never empty.
    Text(CompactString),
    /// A tool call; the tool is offered.
    ToolCall {
        /// As the model wrote it.
        name: String,
        /// JSON text.
        arguments: String,
    },
    /// Markup was dropped; the value is the metric label of the reason.
    Dropped(&'static str),
    /// The text that follows is the turn of another role.
    OtherRoleTurn,
}

/// The state of decoding one reply's text.
pub(super) struct ChatMarkup {
    state: MarkupState,
    /// Text that has arrived and is not decided yet.
    held: String,
    /// Bytes of `held` that were searched for a closing tag.
    scanned: usize,
    /// Only white space since the start of the line or of the reply.
    line_start: bool,
    /// No text has been passed on yet.
    at_reply_start: bool,
    /// The last character that was passed on, and the last one that is not white space.
    last_char: Option<char>,
    last_visible_char: Option<char>,
    hold_mode: HoldMode,
    unopened_thinking_seen: bool,
    /// A code fence around a call was opened: its end is dropped, too.
    in_fence: bool,
    /// The tool that the header of a harmony message names as recipient.
    recipient: Option<String>,
    parts: VecDeque<MarkupPart>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum MarkupState {
    Text,
    /// Text is dropped until a closing tag.
    Thinking,
    /// Text is dropped until the next control token (harmony).
    Analysis,
    /// Text is dropped until [`BARE_FINAL`].
    BareAnalysis,
    /// Text is dropped until the end of the line.
    ThoughtLine,
    /// The name of a role, or of a channel.
    Role,
    Channel,
    /// Inside a call that ends at a tag of this name, or at the next token where it has none.
    ToolCall {
        tag: String,
        text: String,
        /// It is the result of a tool, or too long: it is dropped.
        ignored: bool,
    },
    /// The turn of another role: text is dropped.
    OtherRoleTurn,
}

impl ChatMarkup {
    /// With `holds_thinking`, text is held back until a lone closing tag, at most [`HELD_BYTES_MAX`](held_text::HELD_BYTES_MAX), or the end of the
    /// reply. Without it, only the text of a reply that begins like thinking is held back.
    pub(in crate::agent) fn new(holds_thinking: bool) -> Self {
        Self {
            state: MarkupState::Text,
            held: String::new(),
            scanned: 0,
            line_start: true,
            at_reply_start: true,
            last_char: None,
            last_visible_char: None,
            hold_mode: match holds_thinking {
                true => HoldMode::UntilClosingTag,
                false => HoldMode::UntilStartKnown,
            },
            unopened_thinking_seen: false,
            in_fence: false,
            recipient: None,
            parts: VecDeque::new(),
        }
    }

    /// Whether `token` is plain text and nothing is held back: then the caller passes it on and does not push it.
    pub(super) fn passes_through(&mut self, token: &str, offered: &OfferedToolNames) -> bool {
        let quiet = self.held.is_empty()
            && self.state == MarkupState::Text
            && self.hold_mode == HoldMode::No;
        let passes = quiet
            && !self.line_start
            && !self.in_fence
            && !token.contains(|c| matches!(c, '{' | '\n') || marker::may_begin(c))
            && !recognise::may_hold_tool_name(token, self.last_char, offered);
        if passes {
            self.note_passed(token);
        }
        passes
    }

    /// Updates the position for text that is passed on.
    fn note_passed(&mut self, words: &str) {
        self.last_char = words.chars().next_back().or(self.last_char);
        let visible = |c: &char| !c.is_whitespace();
        self.last_visible_char = words.chars().rfind(visible).or(self.last_visible_char);
    }

    /// Takes the next piece of text; its parts are returned by [`next`](Self::next).
    pub(in crate::agent) fn push(&mut self, token: &str, offered: &OfferedToolNames) {
        self.held.push_str(token);
        while self.step(false, offered) {}
    }

    /// The reply has ended.
    pub(super) fn finish(&mut self, offered: &OfferedToolNames) {
        self.hold_mode = HoldMode::No;
        while self.step(true, offered) {}
        self.held.clear();
    }

    pub(in crate::agent) fn next(&mut self) -> Option<MarkupPart> {
        self.parts.pop_front()
    }

    /// Whether a closing tag of thinking came without an opening tag.
    pub(super) fn unopened_thinking_seen(&self) -> bool {
        self.unopened_thinking_seen
    }

    /// Decides the start of the held text. Returns whether anything was decided.
    fn step(&mut self, last: bool, offered: &OfferedToolNames) -> bool {
        if self.hold_mode != HoldMode::No {
            return self.scan_held();
        }
        if self.held.is_empty() && !(last && matches!(self.state, MarkupState::ToolCall { .. })) {
            return false;
        }
        match &self.state {
            MarkupState::Text => self.scan_text(last, offered),
            MarkupState::Thinking | MarkupState::Analysis => self.skip_thinking(last),
            MarkupState::BareAnalysis => self.skip_bare_analysis(),
            MarkupState::ThoughtLine => self.skip_line(),
            MarkupState::Role => self.read_role_header(last),
            MarkupState::Channel => self.read_channel_header(last),
            MarkupState::ToolCall { .. } => self.read_call(last, offered),
            MarkupState::OtherRoleTurn => {
                self.held.clear();
                false
            }
        }
    }

    fn scan_text(&mut self, last: bool, offered: &OfferedToolNames) -> bool {
        if self.in_fence && !self.close_fence(last) {
            return false;
        }
        let (mut position, mut at) = (self.position(last), 0);
        while let Some(c) = self.held[at..].chars().next() {
            let begins =
                c.is_ascii_alphabetic() || (position.line_start && matches!(c, '`' | '*' | '('));
            let named = begins && (position.line_start || position.word_start);
            let look = match named || c == '{' || marker::may_begin(c) {
                true => recognise(&self.held[at..], position, offered),
                false => Recognised::PlainText,
            };
            match look {
                Recognised::PlainText => {
                    position.line_start = c == '\n' || (position.line_start && c.is_whitespace());
                    position.at_reply_start &= c.is_whitespace();
                    position.word_start = !labelled_call::is_word_char(c);
                    if !c.is_whitespace() {
                        position.after_sentence = ends_sentence(c);
                    }
                    at += c.len_utf8();
                }
                Recognised::Incomplete => {
                    self.emit(at, position);
                    return false;
                }
                look => {
                    self.emit(at, position);
                    self.apply(look, offered);
                    return true;
                }
            }
        }
        self.emit(at, position);
        false
    }

    fn position(&self, last: bool) -> TextPosition {
        TextPosition {
            line_start: self.line_start,
            at_reply_start: self.at_reply_start,
            word_start: !self.last_char.is_some_and(labelled_call::is_word_char),
            after_sentence: self.last_visible_char.is_none_or(ends_sentence),
            at_end: last,
        }
    }

    fn emit(&mut self, bytes: usize, position: TextPosition) {
        (self.line_start, self.at_reply_start) = (position.line_start, position.at_reply_start);
        if bytes > 0 {
            let words = CompactString::from(&self.held[..bytes]);
            self.note_passed(&words);
            self.parts.push_back(MarkupPart::Text(words));
            self.held.drain(..bytes);
        }
    }

    fn apply(&mut self, look: Recognised, offered: &OfferedToolNames) {
        match look {
            Recognised::PlainText | Recognised::Incomplete => {}
            Recognised::Marker(len, kind) => {
                let opener: String = self.held.drain(..len).collect();
                self.on_marker(kind, &opener);
            }
            Recognised::ToolCalls(len, calls, fenced) => {
                self.held.drain(..len);
                self.in_fence |= fenced;
                self.push_tool_calls(calls, offered);
            }
            Recognised::WrappedText(len, words, fenced) => {
                self.held.drain(..len);
                self.in_fence |= fenced;
                (self.line_start, self.at_reply_start) = (false, false);
                if !words.is_empty() {
                    self.parts.push_back(MarkupPart::Text(words.into()));
                }
            }
            Recognised::FenceStart(len) => {
                self.held.drain(..len);
                self.in_fence = true;
            }
            Recognised::CallStart(len) => {
                self.held.drain(..len);
                self.state = call_of(String::new(), String::new(), false);
            }
            Recognised::BareAnalysis(len) => {
                self.held.drain(..len);
                self.state = MarkupState::BareAnalysis;
            }
            Recognised::ThoughtLine(len) => {
                self.held.drain(..len);
                self.state = MarkupState::ThoughtLine;
            }
        }
    }

    /// Handles a token or tag within text.
    fn on_marker(&mut self, kind: MarkerKind, opener: &str) {
        match kind {
            MarkerKind::Ignored | MarkerKind::Inner | MarkerKind::CallEnd(_) => {}
            MarkerKind::ThinkingStart => self.state = MarkupState::Thinking,
            MarkerKind::ThinkingEnd => {
                self.unopened_thinking_seen = true;
                self.begin_text();
            }
            MarkerKind::RoleHeader => self.state = MarkupState::Role,
            // A reply may begin with the token of a turn.
            MarkerKind::OtherRole if self.at_reply_start && opener.starts_with('[') => {}
            MarkerKind::OtherRole => self.start_other_turn(),
            MarkerKind::Channel => self.state = MarkupState::Channel,
            MarkerKind::Message => self.begin_message("final"),
            MarkerKind::CallStart(tag) => {
                // The tag itself may contain the name of the tool.
                let text = if opener.contains('=') {
                    opener.to_owned()
                } else {
                    String::new()
                };
                self.state = call_of(tag, text, false);
            }
            MarkerKind::ToolResult(tag) => self.state = call_of(tag, String::new(), true),
        }
    }

    fn start_other_turn(&mut self) {
        self.state = MarkupState::OtherRoleTurn;
        self.parts.push_back(MarkupPart::Dropped("other_turn"));
        self.parts.push_back(MarkupPart::OtherRoleTurn);
    }

    /// Harmony: the message of a channel starts.
    fn begin_message(&mut self, channel: &str) {
        self.begin_text();
        if let Some(name) = self.recipient.take() {
            self.state = call_of(String::new(), name, false);
        } else if channel != "final" {
            self.state = MarkupState::Analysis;
        }
    }

    /// Adds the calls that were found; calls of tools that are not offered are dropped.
    fn push_tool_calls(&mut self, calls: Vec<TextToolCall>, offered: &OfferedToolNames) {
        if calls.is_empty() {
            self.parts.push_back(MarkupPart::Dropped("written_tool"));
        }
        for TextToolCall { name, arguments } in calls {
            self.parts.push_back(match offered.resolve(&name) {
                Some(_) => MarkupPart::ToolCall { name, arguments },
                None => MarkupPart::Dropped("written_tool"),
            });
        }
    }

    fn close_fence(&mut self, last: bool) -> bool {
        let content = self.held.trim_start();
        let at = self.held.len() - content.len();
        if content.starts_with('<') {
            // The call itself follows.
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

    fn skip_thinking(&mut self, last: bool) -> bool {
        let by_token = self.state == MarkupState::Analysis;
        let mut at = 0;
        while let Some(next) = self.held[at..].find(marker::may_begin) {
            at += next;
            let skipped = match marker::match_marker(&self.held[at..]) {
                MarkerMatch::Marker(len, MarkerKind::ThinkingEnd) if !by_token => Some(len),
                // The token determines the next state.
                MarkerMatch::Marker(len, kind) if by_token && kind != MarkerKind::Inner => {
                    marker::is_token(&self.held[at..at + len]).then_some(0)
                }
                MarkerMatch::Incomplete if !last => {
                    self.held.drain(..at);
                    return false;
                }
                _ => None,
            };
            if let Some(skipped) = skipped {
                self.held.drain(..at + skipped);
                self.begin_text();
                return true;
            }
            at = self.held.ceil_char_boundary(at + 1);
        }
        self.held.clear();
        false
    }

    fn begin_text(&mut self) {
        self.state = MarkupState::Text;
        (self.line_start, self.at_reply_start) = (true, true);
    }

    fn skip_bare_analysis(&mut self) -> bool {
        if let Some(at) = self.held.find(BARE_FINAL) {
            self.held.drain(..at + BARE_FINAL.len());
            self.begin_text();
            return true;
        }
        let keep = self.held.len().saturating_sub(BARE_FINAL.len());
        let keep = self.held.floor_char_boundary(keep);
        self.held.drain(..keep);
        false
    }

    fn skip_line(&mut self) -> bool {
        let end = self.held.find('\n');
        self.held.drain(..end.unwrap_or(self.held.len()));
        if end.is_some() {
            self.begin_text();
        }
        end.is_some()
    }

    /// Reads the header of a turn: `assistant` and what follows it.
    fn read_role_header(&mut self, last: bool) -> bool {
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
                self.state = MarkupState::Text;
                self.line_start = true;
            }
            Some(false) => self.start_other_turn(),
            None => self.state = MarkupState::Text,
        }
        true
    }

    /// Reads the header of a harmony channel.
    fn read_channel_header(&mut self, last: bool) -> bool {
        let mut from = 0;
        let end = loop {
            let Some(at) = self.held[from..].find(['<', '\n']).map(|at| from + at) else {
                break None;
            };
            match marker::match_marker(&self.held[at..]) {
                MarkerMatch::Marker(len, MarkerKind::Inner) => from = at + len,
                MarkerMatch::Marker(len, kind) => break Some((at, len, Some(kind))),
                MarkerMatch::Incomplete if !last => return false,
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
            Some(MarkerKind::Message) => {
                self.held.drain(..at + len);
                self.begin_message(if name.is_empty() { "final" } else { name });
            }
            // There is no message: the next token determines the state.
            Some(_) if CHANNELS.contains(&name) || self.recipient.is_some() => {
                self.held.drain(..at);
                self.state = MarkupState::Text;
            }
            Some(_) => self.state = MarkupState::Text,
            None if CHANNELS.contains(&name) => {
                self.held.drain(..begins + name.len());
                self.begin_message(name);
            }
            None => self.state = MarkupState::Text,
        }
        true
    }

    fn read_call(&mut self, last: bool, offered: &OfferedToolNames) -> bool {
        let (at, end) = self.end_of_call(last);
        let MarkupState::ToolCall { text, ignored, .. } = &mut self.state else {
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

    /// The number of held bytes that belong to the call for certain, and the length of the tag that ends it there,
    /// if there is one.
    fn end_of_call(&self, last: bool) -> (usize, Option<usize>) {
        let MarkupState::ToolCall { tag, text, .. } = &self.state else {
            return (0, None);
        };
        let mut at = 0;
        while let Some(next) = self.held[at..].find(marker::may_begin) {
            at += next;
            let begun = at > 0 || !text.is_empty();
            match marker::match_marker(&self.held[at..]) {
                MarkerMatch::Marker(len, MarkerKind::CallEnd(name)) if *tag == name => {
                    return (at, Some(len));
                }
                MarkerMatch::Marker(_, MarkerKind::CallStart(name)) if *tag == name && begun => {
                    return (at, Some(0));
                }
                MarkerMatch::Marker(_, MarkerKind::Inner | MarkerKind::Message) => {}
                // Without a closing tag the next token ends the call.
                MarkerMatch::Marker(len, _)
                    if tag.is_empty() && marker::is_token(&self.held[at..at + len]) =>
                {
                    return (at, Some(0));
                }
                MarkerMatch::Incomplete if !last => return (at, None),
                _ => {}
            }
            at = self.held.ceil_char_boundary(at + 1);
        }
        (self.held.len(), last.then_some(0))
    }

    fn end_call(&mut self, cut_off: bool, offered: &OfferedToolNames) {
        let state = std::mem::replace(&mut self.state, MarkupState::Text);
        let MarkupState::ToolCall { text, ignored, tag } = state else {
            return;
        };
        let (calls, rest) = match ignored {
            true => (Vec::new(), ""),
            false => text_tool_call::parse_block(&text, offered),
        };
        let read = !calls.is_empty();
        self.push_tool_calls(calls, offered);
        // Text after a call that has no end marker.
        if read && (cut_off || tag.is_empty()) {
            self.held.insert_str(0, rest);
        }
    }
}

fn ends_sentence(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | ':' | '…' | '。' | '！' | '？')
}

fn call_of(tag: String, text: String, ignored: bool) -> MarkupState {
    MarkupState::ToolCall { tag, text, ignored }
}

/// The tool in ` to=functions.name ...`.
fn recipient(header: &str) -> Option<String> {
    let (_, name) = header.split_once("to=")?;
    let end = name
        .find(|c: char| c.is_whitespace() || c == '<')
        .unwrap_or(name.len());
    (end > 0).then(|| name[..end].to_owned())
}
