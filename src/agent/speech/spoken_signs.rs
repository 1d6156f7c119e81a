//! Signs that mean something between words and numbers: ranges, comparisons, powers, and the keys of
//! a telephone.

use super::{FilterState, SpeechFilter};
use compact_str::CompactString;

/// Most digits of a code behind a star; more of them are none.
const CODE_DIGITS_MAX: usize = 8;

impl SpeechFilter {
    /// `5~10`, `5 ~ 10`, `~5`.
    pub(super) fn resolve_tilde(&mut self, next: Option<char>, out: &mut CompactString) {
        let number_before = self.last_visible.is_some_and(ends_a_number);
        let number_after = next.is_some_and(begins_a_number);
        let word_before = self.last.is_some_and(char::is_alphanumeric);
        let word_after = next.is_some_and(char::is_alphanumeric);
        let spaced = self.after_space() && next == Some(' ');
        if (number_before && (number_after || spaced)) || (word_before && word_after) {
            self.emit_sign(self.words.range, next, out);
        } else if number_after && self.after_space() {
            self.emit_sign(self.words.about, next, out);
        }
    }

    /// `x^2`, `10^-3`.
    pub(super) fn resolve_power(&mut self, next: Option<char>, out: &mut CompactString) {
        let base = self.last.is_some_and(|c| c.is_alphanumeric() || c == ')');
        let exponent =
            next.is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '+' | '(' | '{'));
        if base && exponent {
            self.emit_sign(self.words.power, next, out);
        }
    }

    /// A star that is no emphasis: `2 * 3`, `2*3`, `press * to repeat`. Whether it was said.
    pub(super) fn resolve_star(&mut self, next: Option<char>, out: &mut CompactString) -> bool {
        let digits = self.last.is_some_and(|c| c.is_ascii_digit());
        let spaced = self.last == Some(' ');
        let factor = self.last_visible.is_some_and(ends_a_number) || self.word_chars == 1;
        if (digits && next.is_some_and(|c| c.is_ascii_digit()))
            || (spaced && factor && next == Some(' '))
        {
            self.emit('×', out);
        } else if spaced && next.is_none_or(ends_a_key) {
            self.emit_sign(self.words.star, None, out);
        } else {
            return false;
        }
        true
    }

    /// After a star that a digit follows: `*67`, or `*25*` in emphasis.
    pub(super) fn star(&mut self, c: char, out: &mut CompactString) {
        let closed = self.pending.ends_with('*');
        match c {
            '0'..='9' if !closed && self.pending.len() < CODE_DIGITS_MAX => self.pending.push(c),
            '*' if !closed => self.pending.push(c),
            // `*21*5551234#`
            '0'..='9' | '#' if closed => {
                self.emit_dial_code(out);
                self.step(c, out);
            }
            _ => {
                self.release_star(out);
                self.step(c, out);
            }
        }
    }

    /// The digits behind a star are over.
    pub(super) fn release_star(&mut self, out: &mut CompactString) {
        if self.pending.ends_with('*') {
            self.pending.pop();
            return self.emit_pending(out);
        }
        self.emit_dial_code(out);
    }

    /// A star, digits, and perhaps a star again.
    fn emit_dial_code(&mut self, out: &mut CompactString) {
        let held = std::mem::take(&mut self.pending);
        self.state = FilterState::Text;
        self.line_start = false;
        self.in_dial_code = true;
        self.emit_sign(self.words.star, held.chars().next(), out);
        let digits = held.trim_end_matches('*');
        for c in digits.chars() {
            self.emit(c, out);
        }
        if digits.len() < held.len() {
            self.emit_sign(self.words.star, Some('0'), out);
        }
    }

    /// `#25`, `C#`, and the key of a telephone.
    pub(super) fn resolve_number_sign(&mut self, next: Option<char>, out: &mut CompactString) {
        let note = self.word_chars == 1 && self.last.is_some_and(|c| c.is_ascii_uppercase());
        if note {
            self.emit_sign(self.words.sharp, next.filter(|c| c.is_alphanumeric()), out);
        } else if next == Some(' ') && !self.in_dial_code && !self.in_heading {
            self.pending.clear();
            self.state = FilterState::Pound;
        } else if self.in_dial_code || next.is_none_or(ends_a_key) {
            if !self.in_heading {
                self.emit_sign(self.words.pound, next.filter(|c| c.is_alphanumeric()), out);
            }
        } else if next.is_some_and(|c| c.is_ascii_digit()) {
            self.emit_sign(self.words.number, next, out);
        }
    }

    /// After `#`, at its space: `entry # 25`, or `press # to repeat`.
    pub(super) fn pound(&mut self, c: char, out: &mut CompactString) {
        if self.pending.is_empty() {
            return self.pending.push(c);
        }
        if c.is_ascii_digit() {
            self.pending.clear();
            self.state = FilterState::Text;
            self.emit_sign(self.words.number, Some(c), out);
        } else {
            self.release_pound(out);
        }
        self.step(c, out);
    }

    /// It was the key, and what is held the space behind it.
    pub(super) fn release_pound(&mut self, out: &mut CompactString) {
        self.emit_sign(self.words.pound, None, out);
        self.emit_pending(out);
    }

    /// `5 > 3`, `level>30`, `a >= b`.
    pub(super) fn resolve_greater(&mut self, next: Option<char>, out: &mut CompactString) {
        let number = next.is_some_and(begins_a_number);
        let between = self.last.is_some_and(|c| c.is_alphanumeric() || c == ')');
        let spaced = self.after_space() && next.is_none_or(char::is_whitespace);
        let joined = between && (number || next.is_some_and(char::is_alphanumeric));
        if spaced || joined || (self.after_space() && number) {
            self.emit_sign(self.words.greater, next, out);
        }
    }

    /// `3 < 5`, `level<20`, `a <= b`: the sign is said, if it is one, before the text behind it.
    /// How many bytes of that text belong to the sign.
    pub(super) fn resolve_less(&mut self, text: &str, out: &mut CompactString) -> usize {
        let next = text.chars().next();
        let between = self.last.is_some_and(|c| c.is_alphanumeric() || c == ')');
        if next == Some('=') && (between || self.after_space()) {
            self.emit_sign(self.words.at_most, text[1..].chars().next(), out);
            return 1;
        }
        let heart = text.starts_with('3') && !text[1..].starts_with(begins_a_number);
        let number = next.is_some_and(begins_a_number) && !(heart && self.after_space());
        let spaced = next == Some(' ') && self.after_space();
        let joined = between && next.is_some_and(char::is_alphanumeric);
        if spaced || joined || number {
            self.emit_sign(self.words.less, next, out);
        }
        0
    }

    /// A sign's word, apart from what stands around it. Without a word two numbers stay apart.
    pub(super) fn emit_sign(&mut self, word: &str, next: Option<char>, out: &mut CompactString) {
        let before = self.last.is_some_and(|c| !c.is_whitespace() && !opens(c));
        let behind = next.is_some_and(|c| !c.is_whitespace());
        if before && (behind || !word.is_empty()) {
            self.emit(' ', out);
        }
        for c in word.chars() {
            self.emit(c, out);
        }
        if behind && !word.is_empty() {
            self.emit(' ', out);
        }
    }
}

fn ends_a_number(c: char) -> bool {
    c.is_numeric() || matches!(c, '%' | '°' | '€' | '$' | '£' | '¥' | ')')
}

fn begins_a_number(c: char) -> bool {
    c.is_numeric() || matches!(c, '€' | '$' | '£' | '¥')
}

/// What may follow the name of a key.
fn ends_a_key(c: char) -> bool {
    c.is_whitespace() || "*_.,;:!?…)\"'”’»`。、，！？）".contains(c)
}

fn opens(c: char) -> bool {
    "(\"'“‘«¿¡[（".contains(c)
}
