//! Makes the text of a model speakable while it is streamed.
//!
//! A state machine over characters, so that the result does not depend on how the text was split into tokens. Plain
//! text passes unchanged and at once; only characters that may be markup are held until the next one. Removed:
//! emphasis, headings, bullets, numbers of list items, quotes, code fences, table bars, link targets, tags, thinking in
//! tags, emoji and symbols. Replaced by words or pauses: `#25`, `press #`, `*67`, `5~10`, `x<5`, `x^2`, `♀`, arrows, ends
//! of list items. Character references become the character. URLs are shortened to their host. White space is changed
//! only in tables.

mod html_entity;
mod markup_runs;
mod spoken_signs;
mod symbols;
mod table;
mod tag;
mod url;

#[cfg(test)]
mod tests;

use compact_str::CompactString;
use symbols::{ARROW_PAUSE, SignWords};

/// Most characters of a link's target; longer text is not a link and is spoken.
const TARGET_CHARS_MAX: u16 = 500;

/// The filter for one reply.
pub struct SpeechFilter {
    words: SignWords,
    state: FilterState,
    /// Characters that are held until the next one, by state.
    pending: String,
    /// Only white space since the start of the line.
    line_start: bool,
    /// The line is a heading, an item or a row: its end becomes a pause.
    pause_at_end: bool,
    /// This line is a heading.
    in_heading: bool,
    /// This line is a row of a table.
    in_table_row: bool,
    /// The last character that was passed on, and the last one that is not white space.
    last: Option<char>,
    last_visible: Option<char>,
    /// Letters and digits of the last word that was passed on.
    word_chars: usize,
    /// Inside a code of a telephone's keys: `*21*5551234#`.
    in_dial_code: bool,
}

/// What the held characters may be, depending on the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FilterState {
    /// Nothing is held.
    Text,
    /// A run of one markup character, and whether it began the line.
    Run {
        mark: char,
        count: usize,
        at_start: bool,
    },
    /// Digits that may number a list item.
    Number,
    /// After three backticks: the name of a language, or not.
    Fence,
    /// After `]`: a link's target may follow.
    AfterBracket,
    /// Inside a link's target, and the brackets open in it.
    LinkTarget { chars: u16, open: u16 },
    /// Letters that may become `https://` or `www.`.
    UrlScheme,
    /// The host of a URL.
    UrlHost,
    /// The rest of a URL.
    UrlPath,
    /// After a star that a digit follows.
    Star,
    /// After `#` and a space.
    Pound,
    /// After `>=`.
    AtLeast,
    /// After `&`.
    Entity,
    /// After `<`.
    Tag,
    /// Inside `<think>`.
    Thinking,
    /// After a bar of a table.
    TableCell,
    /// White space inside a row of a table.
    RowSpace,
}

impl SpeechFilter {
    /// A filter that inserts words of `language` (BCP 47); none for an unknown language.
    pub fn new(language: &str) -> Self {
        Self {
            words: SignWords::for_language(language),
            state: FilterState::Text,
            pending: String::new(),
            line_start: true,
            pause_at_end: false,
            in_heading: false,
            in_table_row: false,
            last: None,
            last_visible: None,
            word_chars: 0,
            in_dial_code: false,
        }
    }

    /// The speakable part of the held text and of `token`; may be empty.
    pub fn push(&mut self, token: &str) -> CompactString {
        let mut out = CompactString::default();
        for c in token.chars() {
            self.step(c, &mut out);
        }
        out
    }

    /// The speakable part of the held text, at the end of the reply. Resets the filter.
    pub fn finish(&mut self) -> CompactString {
        let mut out = CompactString::default();
        self.resolve_pending(&mut out);
        self.end_line(&mut out);
        let words = self.words;
        *self = Self {
            words,
            ..Self::new("")
        };
        out
    }

    /// Whether characters are held.
    pub fn has_pending(&self) -> bool {
        self.state != FilterState::Text
    }

    fn step(&mut self, c: char, out: &mut CompactString) {
        match self.state {
            FilterState::Text => self.text(c, out),
            FilterState::Run {
                mark,
                count,
                at_start,
            } => self.run(mark, count, at_start, c, out),
            FilterState::Number => self.number(c, out),
            FilterState::Fence => self.fence(c, out),
            FilterState::AfterBracket => self.closing(c, out),
            FilterState::LinkTarget { chars, open } => self.target(chars, open, c, out),
            FilterState::UrlScheme => self.scheme(c, out),
            FilterState::UrlHost => self.host(c, out),
            FilterState::UrlPath => self.path(c, out),
            FilterState::Star => self.star(c, out),
            FilterState::Pound => self.pound(c, out),
            FilterState::AtLeast => {
                self.state = FilterState::Text;
                self.emit_sign(self.words.at_least, Some(c), out);
                self.text(c, out);
            }
            FilterState::Entity => self.entity(c, out),
            FilterState::Tag => self.tag(c, out),
            FilterState::Thinking => self.thought(c),
            FilterState::TableCell => self.cell(c, out),
            FilterState::RowSpace => self.row_space(c, out),
        }
    }

    /// Handles a character when nothing is held.
    fn text(&mut self, c: char, out: &mut CompactString) {
        self.state = FilterState::Text;
        self.in_dial_code &= matches!(c, '0'..='9' | '*' | '#');
        let at_start = std::mem::replace(&mut self.line_start, false);
        match c {
            '\n' => self.newline(out),
            ' ' if self.in_table_row => self.state = FilterState::RowSpace,
            ' ' | '\t' | '\r' => {
                self.line_start = at_start;
                self.emit(c, out);
            }
            '*' | '_' | '`' | '~' | '#' | '>' | '^' => {
                self.state = FilterState::Run {
                    mark: c,
                    count: 1,
                    at_start,
                }
            }
            '-' | '=' | '+' if at_start || (c != '+' && self.after_space()) => {
                self.state = FilterState::Run {
                    mark: c,
                    count: 1,
                    at_start,
                };
            }
            '0'..='9' if at_start && self.last_visible.is_some() => {
                self.begin_pending(FilterState::Number, c)
            }
            '|' => self.bar(at_start),
            'h' | 'H' | 'w' | 'W' if !self.last.is_some_and(url::joins_an_address) => {
                self.begin_pending(FilterState::UrlScheme, c)
            }
            '<' => self.state = FilterState::Tag,
            ']' => self.state = FilterState::AfterBracket,
            '[' | '\\' => {}
            '&' => {
                self.pending.clear();
                self.state = FilterState::Entity;
            }
            '〜' | '～' if self.last_visible.is_some_and(char::is_numeric) => {
                self.state = FilterState::Run {
                    mark: '~',
                    count: 1,
                    at_start,
                }
            }
            '•' | '‣' | '◦' if at_start => self.begin_item(),
            _ => self.letter(c, out),
        }
    }

    /// Handles a character that is passed on, removed or replaced without context.
    fn letter(&mut self, c: char, out: &mut CompactString) {
        if symbols::is_pause(c) {
            self.emit(ARROW_PAUSE, out);
        } else if let Some(word) = self.words.word_for(c) {
            self.emit_word(word, out);
        } else if c == '\u{2581}' {
            // The space of some tokenizers.
            self.emit(' ', out);
        } else if symbols::is_joiner(c) {
            if self.last.is_some_and(symbols::takes_joiners) {
                self.emit(c, out);
            }
        } else if !symbols::is_silent(c) {
            self.emit(c, out);
        }
    }

    /// Resolves the held characters at the end of the reply.
    fn resolve_pending(&mut self, out: &mut CompactString) {
        match self.state {
            FilterState::Text
            | FilterState::AfterBracket
            | FilterState::Thinking
            | FilterState::RowSpace => {}
            FilterState::Run {
                mark,
                count,
                at_start,
            } => {
                self.resolve_run(mark, count, at_start, None, out);
            }
            // Nothing follows that the name of a language could be for: it was the content.
            FilterState::Number | FilterState::UrlScheme | FilterState::Fence => {
                self.emit_pending(out)
            }
            FilterState::UrlHost | FilterState::UrlPath => self.end_address(true, out),
            // What is let go may end with the beginning of something else, which is shorter.
            FilterState::Tag => {
                self.release_tag(out);
                self.resolve_pending(out);
            }
            FilterState::LinkTarget { .. } => {
                self.release_target(out);
                self.resolve_pending(out);
            }
            FilterState::TableCell => self.end_row(out),
            FilterState::Star => self.release_star(out),
            FilterState::Pound => self.release_pound(out),
            FilterState::AtLeast => self.emit_sign(self.words.at_least, None, out),
            FilterState::Entity => {
                self.release_entity(out);
                self.resolve_pending(out);
            }
        }
        self.pending.clear();
    }

    fn closing(&mut self, c: char, out: &mut CompactString) {
        match c {
            '(' => self.begin_pending(FilterState::LinkTarget { chars: 0, open: 0 }, c),
            _ => self.text(c, out),
        }
    }

    fn target(&mut self, chars: u16, open: u16, c: char, out: &mut CompactString) {
        let open = match c {
            ')' if open == 0 => {
                self.pending.clear();
                return self.state = FilterState::Text;
            }
            _ if c == '\n' || chars >= TARGET_CHARS_MAX => {
                self.release_target(out);
                return self.step(c, out);
            }
            ')' => open - 1,
            '(' => open + 1,
            _ => open,
        };
        self.pending.push(c);
        self.state = FilterState::LinkTarget {
            chars: chars + 1,
            open,
        };
    }

    /// It was no target: what was held is text, bracket and all. Each time at least `](` is used
    /// up, so what is held again by it is shorter.
    fn release_target(&mut self, out: &mut CompactString) {
        let held = std::mem::take(&mut self.pending);
        self.state = FilterState::Text;
        for c in held.chars() {
            self.step(c, out);
        }
    }

    fn newline(&mut self, out: &mut CompactString) {
        self.end_line(out);
        self.emit('\n', out);
        self.line_start = true;
    }

    /// Turns the end of a heading, an item or a row into a pause.
    fn end_line(&mut self, out: &mut CompactString) {
        let paused = self.last_visible.is_none_or(symbols::ends_a_phrase);
        if self.pause_at_end && !paused {
            self.emit('.', out);
        }
        self.pause_at_end = false;
        self.in_heading = false;
        self.in_table_row = false;
    }

    fn begin_item(&mut self) {
        self.pause_at_end = true;
        self.line_start = true;
    }

    fn begin_pending(&mut self, mode: FilterState, c: char) {
        self.pending.clear();
        self.pending.push(c);
        self.state = mode;
    }

    /// Passes the held characters on unchanged.
    fn emit_pending(&mut self, out: &mut CompactString) {
        let mut held = std::mem::take(&mut self.pending);
        for c in held.chars() {
            self.emit(c, out);
        }
        held.clear();
        self.pending = held;
        self.state = FilterState::Text;
        self.line_start = false;
    }

    fn emit_word(&mut self, word: &str, out: &mut CompactString) {
        if word.is_empty() {
            return;
        }
        if self.last.is_some_and(char::is_alphanumeric) {
            self.emit(' ', out);
        }
        for c in word.chars() {
            self.emit(c, out);
        }
    }

    fn emit(&mut self, c: char, out: &mut CompactString) {
        out.push(c);
        if c.is_alphanumeric() {
            let goes_on = self.last.is_some_and(char::is_alphanumeric);
            self.word_chars = if goes_on { self.word_chars + 1 } else { 1 };
        }
        self.last = Some(c);
        if !c.is_whitespace() {
            self.last_visible = Some(c);
        }
    }

    fn after_space(&self) -> bool {
        self.last.is_none_or(char::is_whitespace)
    }
}

/// Makes a whole text speakable.
pub fn speakable(text: &str, language: &str) -> String {
    let mut speech = SpeechFilter::new(language);
    let mut said = speech.push(text);
    said.push_str(&speech.finish());
    said.trim().to_owned()
}
