//! Makes what the model writes speakable, while it is being written.
//!
//! A machine over characters, so that the result does not depend on how the text was cut into
//! tokens. Plain text passes byte for byte and at once; only characters that may turn out to be
//! markup wait for the next one. What goes: emphasis, headings, bullets, numbers of list items,
//! quotes, code fences, table bars, link targets, tags, a thinking model's thoughts, emoji and
//! symbols. What is turned into words or pauses: `#25`, `press #`, `*67`, `5~10`, `x<5`, `x^2`, `♀`,
//! arrows, ends of list items. Character references are the character. Addresses are shortened to
//! their host. White space is never changed outside tables.

mod address;
mod entity;
mod marks;
mod signs;
mod symbols;
mod table;
mod tag;

#[cfg(test)]
mod tests;

use compact_str::CompactString;
use symbols::{ARROW_PAUSE, Words};

/// Most characters of a link's target; a longer one was none, and is said like any other text.
const TARGET_CHARS_MAX: u16 = 500;

/// The filter for one reply.
pub struct Speech {
    words: Words,
    mode: Mode,
    /// Characters that wait for the next one, by mode.
    held: String,
    /// Only white space since the line began.
    line_start: bool,
    /// This line is a heading, an item or a row: its end is a pause.
    pause_at_end: bool,
    /// This line is a heading.
    heading: bool,
    /// This line is a row of a table.
    row: bool,
    /// The last character let through, and the last one that is not white space.
    last: Option<char>,
    last_visible: Option<char>,
    /// Letters and digits of the last word let through.
    word_chars: usize,
    /// Inside a code of a telephone's keys: `*21*5551234#`.
    in_code: bool,
}

/// What the next character may turn out to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing waits.
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
    Closing,
    /// Inside a link's target, and the brackets open in it.
    Target { chars: u16, open: u16 },
    /// Letters that may become `https://` or `www.`.
    Scheme,
    /// The host of an address.
    Host,
    /// The rest of an address.
    Path,
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
    Thought,
    /// After a bar of a table.
    Cell,
    /// White space inside a row of a table.
    RowSpace,
}

impl Speech {
    /// A filter whose few own words are in `language` (BCP 47); unknown languages get none.
    pub fn new(language: &str) -> Self {
        Self {
            words: Words::of(language),
            mode: Mode::Text,
            held: String::new(),
            line_start: true,
            pause_at_end: false,
            heading: false,
            row: false,
            last: None,
            last_visible: None,
            word_chars: 0,
            in_code: false,
        }
    }

    /// The speakable part of `token` and of what waited before it; may be empty.
    pub fn push(&mut self, token: &str) -> CompactString {
        let mut out = CompactString::default();
        for c in token.chars() {
            self.step(c, &mut out);
        }
        out
    }

    /// What still waits, at the end of the reply. The filter is then as new.
    pub fn finish(&mut self) -> CompactString {
        let mut out = CompactString::default();
        self.settle(&mut out);
        self.end_line(&mut out);
        let words = self.words;
        *self = Self {
            words,
            ..Self::new("")
        };
        out
    }

    /// Whether characters wait for the next one.
    pub fn is_holding(&self) -> bool {
        self.mode != Mode::Text
    }

    fn step(&mut self, c: char, out: &mut CompactString) {
        match self.mode {
            Mode::Text => self.text(c, out),
            Mode::Run {
                mark,
                count,
                at_start,
            } => self.run(mark, count, at_start, c, out),
            Mode::Number => self.number(c, out),
            Mode::Fence => self.fence(c, out),
            Mode::Closing => self.closing(c, out),
            Mode::Target { chars, open } => self.target(chars, open, c, out),
            Mode::Scheme => self.scheme(c, out),
            Mode::Host => self.host(c, out),
            Mode::Path => self.path(c, out),
            Mode::Star => self.star(c, out),
            Mode::Pound => self.pound(c, out),
            Mode::AtLeast => {
                self.mode = Mode::Text;
                self.say_sign(self.words.at_least, Some(c), out);
                self.text(c, out);
            }
            Mode::Entity => self.entity(c, out),
            Mode::Tag => self.tag(c, out),
            Mode::Thought => self.thought(c),
            Mode::Cell => self.cell(c, out),
            Mode::RowSpace => self.row_space(c, out),
        }
    }

    /// A character with nothing waiting before it.
    fn text(&mut self, c: char, out: &mut CompactString) {
        self.mode = Mode::Text;
        self.in_code &= matches!(c, '0'..='9' | '*' | '#');
        let at_start = std::mem::replace(&mut self.line_start, false);
        match c {
            '\n' => self.newline(out),
            ' ' if self.row => self.mode = Mode::RowSpace,
            ' ' | '\t' | '\r' => {
                self.line_start = at_start;
                self.say(c, out);
            }
            '*' | '_' | '`' | '~' | '#' | '>' | '^' => {
                self.mode = Mode::Run {
                    mark: c,
                    count: 1,
                    at_start,
                }
            }
            '-' | '=' | '+' if at_start || (c != '+' && self.after_space()) => {
                self.mode = Mode::Run {
                    mark: c,
                    count: 1,
                    at_start,
                };
            }
            '0'..='9' if at_start && self.last_visible.is_some() => self.hold(Mode::Number, c),
            '|' => self.bar(at_start),
            'h' | 'H' | 'w' | 'W' if !self.last.is_some_and(address::joins_an_address) => {
                self.hold(Mode::Scheme, c)
            }
            '<' => self.mode = Mode::Tag,
            ']' => self.mode = Mode::Closing,
            '[' | '\\' => {}
            '&' => {
                self.held.clear();
                self.mode = Mode::Entity;
            }
            '〜' | '～' if self.last_visible.is_some_and(char::is_numeric) => {
                self.mode = Mode::Run {
                    mark: '~',
                    count: 1,
                    at_start,
                }
            }
            '•' | '‣' | '◦' if at_start => self.begin_item(),
            _ => self.letter(c, out),
        }
    }

    /// A character that means only itself, or nothing, or a word.
    fn letter(&mut self, c: char, out: &mut CompactString) {
        if symbols::is_pause(c) {
            self.say(ARROW_PAUSE, out);
        } else if let Some(word) = self.words.of_symbol(c) {
            self.say_word(word, out);
        } else if c == '\u{2581}' {
            // A space, as tokenizers write it.
            self.say(' ', out);
        } else if symbols::is_joiner(c) {
            if self.last.is_some_and(symbols::takes_joiners) {
                self.say(c, out);
            }
        } else if !symbols::is_silent(c) {
            self.say(c, out);
        }
    }

    /// Whatever waits is resolved: nothing more will come.
    fn settle(&mut self, out: &mut CompactString) {
        match self.mode {
            Mode::Text | Mode::Closing | Mode::Thought | Mode::RowSpace => {}
            Mode::Run {
                mark,
                count,
                at_start,
            } => {
                self.resolve_run(mark, count, at_start, None, out);
            }
            // Nothing follows that the name of a language could be for: it was the content.
            Mode::Number | Mode::Scheme | Mode::Fence => self.release(out),
            Mode::Host | Mode::Path => self.end_address(true, out),
            // What is let go may end with the beginning of something else, which is shorter.
            Mode::Tag => {
                self.release_tag(out);
                self.settle(out);
            }
            Mode::Target { .. } => {
                self.release_target(out);
                self.settle(out);
            }
            Mode::Cell => self.end_row(out),
            Mode::Star => self.release_star(out),
            Mode::Pound => self.release_pound(out),
            Mode::AtLeast => self.say_sign(self.words.at_least, None, out),
            Mode::Entity => {
                self.release_entity(out);
                self.settle(out);
            }
        }
        self.held.clear();
    }

    fn closing(&mut self, c: char, out: &mut CompactString) {
        match c {
            '(' => self.hold(Mode::Target { chars: 0, open: 0 }, c),
            _ => self.text(c, out),
        }
    }

    fn target(&mut self, chars: u16, open: u16, c: char, out: &mut CompactString) {
        let open = match c {
            ')' if open == 0 => {
                self.held.clear();
                return self.mode = Mode::Text;
            }
            _ if c == '\n' || chars >= TARGET_CHARS_MAX => {
                self.release_target(out);
                return self.step(c, out);
            }
            ')' => open - 1,
            '(' => open + 1,
            _ => open,
        };
        self.held.push(c);
        self.mode = Mode::Target {
            chars: chars + 1,
            open,
        };
    }

    /// It was no target: what was held is text, bracket and all. Each time at least `](` is used
    /// up, so what is held again by it is shorter.
    fn release_target(&mut self, out: &mut CompactString) {
        let held = std::mem::take(&mut self.held);
        self.mode = Mode::Text;
        for c in held.chars() {
            self.step(c, out);
        }
    }

    fn newline(&mut self, out: &mut CompactString) {
        self.end_line(out);
        self.say('\n', out);
        self.line_start = true;
    }

    /// The end of a heading, an item or a row is heard as a pause.
    fn end_line(&mut self, out: &mut CompactString) {
        let paused = self.last_visible.is_none_or(symbols::ends_a_phrase);
        if self.pause_at_end && !paused {
            self.say('.', out);
        }
        self.pause_at_end = false;
        self.heading = false;
        self.row = false;
    }

    fn begin_item(&mut self) {
        self.pause_at_end = true;
        self.line_start = true;
    }

    fn hold(&mut self, mode: Mode, c: char) {
        self.held.clear();
        self.held.push(c);
        self.mode = mode;
    }

    /// What was held is let through as it is.
    fn release(&mut self, out: &mut CompactString) {
        let mut held = std::mem::take(&mut self.held);
        for c in held.chars() {
            self.say(c, out);
        }
        held.clear();
        self.held = held;
        self.mode = Mode::Text;
        self.line_start = false;
    }

    fn say_word(&mut self, word: &str, out: &mut CompactString) {
        if word.is_empty() {
            return;
        }
        if self.last.is_some_and(char::is_alphanumeric) {
            self.say(' ', out);
        }
        for c in word.chars() {
            self.say(c, out);
        }
    }

    fn say(&mut self, c: char, out: &mut CompactString) {
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

/// A whole text made speakable.
pub fn speakable(text: &str, language: &str) -> String {
    let mut speech = Speech::new(language);
    let mut said = speech.push(text);
    said.push_str(&speech.finish());
    said.trim().to_owned()
}
