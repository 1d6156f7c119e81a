//! Words that were on their way to Twilio at an interruption and are heard after it.

use super::text_matching::{find_first_match, match_at};
use super::types::{HeardText, TurnSeq};
use super::utterance::Utterance;

/// An interrupted utterance whose last words may arrive at Twilio after the interruption. They start a
/// cycle of their own there and are heard.
#[derive(Debug)]
pub(super) struct InFlightWords {
    turn: TurnSeq,
    /// The text heard so far.
    heard: String,
    text: String,
    /// The byte index in `text` from which words may still be heard.
    next_byte: usize,
    /// The whole utterance was sent, and no gap was heard in it.
    unbroken: bool,
}

impl InFlightWords {
    /// The words of `utterance` that may be on their way at `now`, if there are any.
    pub(super) fn of(utterance: &Utterance, now: u64) -> Option<Self> {
        Some(Self {
            turn: utterance.turn,
            heard: utterance.heard_text(),
            text: utterance.text.clone(),
            next_byte: utterance.in_flight_from(now)?,
            unbroken: utterance.closed,
        })
    }

    /// Twilio reports `text` as played. Returns the heard text of the turn if `text` is part of these words.
    pub(super) fn report_played(&mut self, text: &str) -> Option<HeardText> {
        let end = find_first_match(&self.text, self.next_byte, text)?;
        let at_once = match_at(&self.text, self.heard_end(), text).is_some();
        self.unbroken &= at_once;
        self.next_byte = end;
        if !self.heard.is_empty() {
            self.heard.push(' ');
        }
        self.heard.push_str(text.trim());
        let left = &self.text[end..];
        Some(HeardText {
            turn: self.turn,
            text: self.heard.clone(),
            estimated: false,
            complete: self.unbroken && !left.chars().any(char::is_alphanumeric),
        })
    }

    /// Where what was heard ends in the text.
    fn heard_end(&self) -> usize {
        match_at(&self.text, 0, &self.heard).unwrap_or_default()
    }
}
