//! What was heard of a turn, where that is not what was said.

use super::TurnSeq;
use super::matching::{advance, find};
use super::utterance::Utterance;

/// How much of a turn was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The turn.
    pub turn: TurnSeq,
    /// What of it was heard; empty when nothing was.
    pub heard: String,
    /// The end of it was not reported, but estimated from the time that passed.
    pub estimated: bool,
    /// All of it was heard.
    pub whole: bool,
}

/// An utterance that a barge-in cut while words of it may have been under way: they reach Twilio
/// afterwards, begin a cycle of their own and are heard.
#[derive(Debug)]
pub(super) struct Stray {
    turn: TurnSeq,
    /// What was heard of it so far.
    heard: String,
    text: String,
    /// What comes from here on may be heard yet.
    from: usize,
    /// All of it was sent, and nothing was left out of what was heard.
    unbroken: bool,
}

impl Stray {
    /// The words of `utterance` that may be under way at `now`, if there are any.
    pub(super) fn of(utterance: &Utterance, now: u64) -> Option<Self> {
        Some(Self {
            turn: utterance.turn,
            heard: utterance.heard_text(),
            text: utterance.text.clone(),
            from: utterance.under_way(now)?,
            unbroken: utterance.closed,
        })
    }

    /// Twilio reports `text`: if it is of these words, more was heard of the turn.
    pub(super) fn played(&mut self, text: &str) -> Option<Cut> {
        let end = find(&self.text, self.from, text)?;
        let at_once = advance(&self.text, self.heard_end(), text).is_some();
        self.unbroken &= at_once;
        self.from = end;
        if !self.heard.is_empty() {
            self.heard.push(' ');
        }
        self.heard.push_str(text.trim());
        let left = &self.text[end..];
        Some(Cut {
            turn: self.turn,
            heard: self.heard.clone(),
            estimated: false,
            whole: self.unbroken && !left.chars().any(char::is_alphanumeric),
        })
    }

    /// Where what was heard ends in the text.
    fn heard_end(&self) -> usize {
        advance(&self.text, 0, &self.heard).unwrap_or_default()
    }
}
