//! Runs of markup characters, numbered items and code fences.

use super::{FilterState, SpeechFilter, symbols};
use compact_str::CompactString;

/// Most digits of a list item's number.
const NUMBER_DIGITS_MAX: usize = 2;
/// Most characters of a fence's language.
const FENCE_CHARS_MAX: usize = 20;
/// `#` signs of the deepest heading.
const HEADING_MAX: usize = 6;
/// Fewest characters of a rule or an underline across the page, and of a fence.
const RULE_MIN: usize = 3;

impl SpeechFilter {
    pub(super) fn run(
        &mut self,
        mark: char,
        count: usize,
        at_start: bool,
        c: char,
        out: &mut CompactString,
    ) {
        if c == mark {
            self.state = FilterState::Run {
                mark,
                count: count + 1,
                at_start,
            };
            return;
        }
        self.state = FilterState::Text;
        if c == '>' && matches!(mark, '-' | '=') {
            self.emit(symbols::ARROW_PAUSE, out);
            return;
        }
        if c == '=' && mark == '>' && count == 1 && !at_start {
            self.state = FilterState::AtLeast;
            return;
        }
        self.resolve_run(mark, count, at_start, Some(c), out);
        // A run may have opened a fence, which takes the character itself.
        self.step(c, out);
    }

    /// `count` times `mark` is over; `next` is what follows, `None` at the end.
    pub(super) fn resolve_run(
        &mut self,
        mark: char,
        count: usize,
        at_start: bool,
        next: Option<char>,
        out: &mut CompactString,
    ) {
        self.state = FilterState::Text;
        let before_space = next.is_none_or(char::is_whitespace);
        let bullet = at_start && count == 1 && before_space;
        match mark {
            '*' | '-' | '+' if bullet => self.begin_item(),
            '*' if count == 1 && next.is_some_and(|c| c.is_ascii_digit()) && !self.in_a_word() => {
                self.pending.clear();
                self.state = FilterState::Star;
            }
            '*' if count == 1 && self.resolve_star(next, out) => {}
            '~' if count == 1 => self.resolve_tilde(next, out),
            '^' if count == 1 => self.resolve_power(next, out),
            '_' if count == 1 && self.joins_words(next) => self.emit(' ', out),
            '#' if at_start && count <= HEADING_MAX && before_space => {
                self.in_heading = next == Some(' ');
                self.pause_at_end |= self.in_heading;
            }
            '#' if count == 1 => self.resolve_number_sign(next, out),
            '>' if at_start => self.line_start = true,
            '>' if count == 1 => self.resolve_greater(next, out),
            '`' if at_start && count >= RULE_MIN => self.state = FilterState::Fence,
            '-' | '='
                if at_start && count >= RULE_MIN && next.is_none_or(|c| c == '\n' || c == '\r') => {
            }
            '-' | '=' | '+' => (0..count).for_each(|_| self.emit(mark, out)),
            _ => {}
        }
    }

    fn in_a_word(&self) -> bool {
        self.last.is_some_and(char::is_alphanumeric)
    }

    /// `snake_case`.
    fn joins_words(&self, next: Option<char>) -> bool {
        self.last.is_some_and(char::is_alphanumeric) && next.is_some_and(char::is_alphanumeric)
    }

    /// `2. ` at the start of a line, but not of the reply: "25. That is its number." is an answer.
    pub(super) fn number(&mut self, c: char, out: &mut CompactString) {
        let closed = self.pending.ends_with(['.', ')']);
        match c {
            '0'..='9' if !closed && self.pending.len() < NUMBER_DIGITS_MAX => self.pending.push(c),
            '.' | ')' if !closed => self.pending.push(c),
            ' ' if closed => {
                self.pending.clear();
                self.begin_item();
                self.text(c, out);
            }
            _ => {
                self.emit_pending(out);
                self.text(c, out);
            }
        }
    }

    /// The language after three backticks goes; other words on their line stay.
    pub(super) fn fence(&mut self, c: char, out: &mut CompactString) {
        let language = c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        match c {
            '\n' => {
                self.pending.clear();
                self.text(c, out);
            }
            '\r' => {}
            _ if language && self.pending.len() < FENCE_CHARS_MAX => self.pending.push(c),
            _ => {
                self.emit_pending(out);
                self.text(c, out);
            }
        }
    }
}
