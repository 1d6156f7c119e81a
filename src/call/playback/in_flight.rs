//! Words that were under way to Twilio at an interruption, and are heard after it.

use super::text_matching::{find_first_match, match_at};
use super::types::{HeardText, TurnSeq};
use super::utterance::Utterance;

/// An utterance that an interruption cut while words of it may have been under way: they reach Twilio
/// afterwards, begin a cycle of their own and are heard.
#[derive(Debug)]
pub(super) struct InFlightWords {
    turn: TurnSeq,
    /// What was heard of it so far.
    heard: String,
    text: String,
    /// What comes from here on may be heard yet.
    next_byte: usize,
    /// All of it was sent, and nothing was left out of what was heard.
    unbroken: bool,
}

impl InFlightWords {
    /// The words of `utterance` that may be under way at `now`, if there are any.
    pub(super) fn of(utterance: &Utterance, now: u64) -> Option<Self> {
        Some(Self {
            turn: utterance.turn,
            heard: utterance.heard_text(),
            text: utterance.text.clone(),
            next_byte: utterance.in_flight_from(now)?,
            unbroken: utterance.closed,
        })
    }

    /// Twilio reports `text`: if it is of these words, more was heard of the turn.
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
