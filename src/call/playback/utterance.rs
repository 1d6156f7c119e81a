//! One `text` cycle in Twilio's queue.

use super::matching::find;
use super::{Cut, GREETING_MS_MAX, LEAD_MS, Sounding, TurnSeq, UNDER_WAY_MS_MAX, clause};
use std::collections::VecDeque;

/// What was sent of one cycle, and how far it was heard.
#[derive(Debug)]
pub(super) struct Utterance {
    pub(super) turn: TurnSeq,
    /// Everything sent of it.
    pub(super) text: String,
    /// How far it was heard, as a byte index into `text`.
    pub(super) heard: usize,
    /// What Twilio reported of it, word for word.
    pub(super) reported: String,
    /// Whether every report was found in `text`.
    exact: bool,
    /// How far it was heard was estimated.
    estimated: bool,
    /// `last:true` went out.
    pub(super) closed: bool,
    /// A later one that is not may cut it off.
    pub(super) preemptible: bool,
    /// When something was sent that cuts it off.
    superseded_at: Option<u64>,
    /// Twilio speaks it in one piece: the greeting.
    pub(super) one_clause: bool,
    /// When its last token went out.
    pub(super) sent_at: u64,
    /// Where the tokens of the last [`UNDER_WAY_MS_MAX`] begin, one entry a millisecond.
    marks: VecDeque<(u64, usize)>,
}

impl Utterance {
    pub(super) fn new(turn: TurnSeq, preemptible: bool) -> Self {
        Self {
            turn,
            text: String::new(),
            heard: 0,
            reported: String::new(),
            exact: true,
            estimated: false,
            closed: false,
            preemptible,
            superseded_at: None,
            one_clause: false,
            sent_at: 0,
            marks: VecDeque::new(),
        }
    }

    pub(super) fn add(&mut self, token: &str, now: u64) {
        while self
            .marks
            .front()
            .is_some_and(|(at, _)| at + UNDER_WAY_MS_MAX < now)
        {
            self.marks.pop_front();
        }
        if self.marks.back().is_none_or(|(at, _)| *at != now) {
            self.marks.push_back((now, self.text.len()));
        }
        self.sent_at = now;
        self.text.push_str(token);
    }

    /// Something is sent behind it.
    pub(super) fn supersede(&mut self, now: u64) {
        if self.preemptible {
            self.superseded_at.get_or_insert(now);
        }
    }

    /// It was cut off by something sent later, and long enough ago that nothing comes of it any more.
    pub(super) fn is_gone(&self, now: u64) -> bool {
        self.superseded_at
            .is_some_and(|at| now > at + UNDER_WAY_MS_MAX)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.closed && !self.text[self.heard..].chars().any(char::is_alphanumeric)
    }

    /// Twilio says that this was played.
    pub(super) fn report(&mut self, played: &str) {
        self.reported.push_str(played);
        match find(&self.text, self.heard, played) {
            Some(end) => self.heard = end,
            None => self.exact = false,
        }
    }

    pub(super) fn heard_text(&self) -> String {
        if self.exact {
            self.text[..self.heard].trim().to_owned()
        } else {
            self.reported.trim().to_owned()
        }
    }

    /// It ends here.
    pub(super) fn cut(&self) -> Cut {
        Cut {
            turn: self.turn,
            heard: self.heard_text(),
            estimated: self.estimated,
            whole: self.is_whole(),
        }
    }

    /// Where the words begin that may still be under way to Twilio.
    pub(super) fn under_way(&self, now: u64) -> Option<usize> {
        let mut marks = self.marks.iter();
        let (_, from) = marks.find(|(at, _)| at + UNDER_WAY_MS_MAX >= now)?;
        Some((*from).max(self.heard)).filter(|from| *from < self.text.len())
    }

    /// How far the clause in play was said by `now`.
    pub(super) fn estimate(&mut self, sounding: Sounding, now: u64) {
        let clause_end = match (self.one_clause, self.closed) {
            (true, _) => Some(self.text.len()),
            (false, true) => clause::end(&self.text, self.heard).or(Some(self.text.len())),
            // The tail of a reply that was not closed is not spoken.
            (false, false) => clause::end(&self.text, self.heard),
        };
        let Some(clause_end) = clause_end.filter(|_| self.exact) else {
            return;
        };
        let mut since = sounding.since;
        let mut marks = self.marks.iter();
        if self.heard > 0
            && let Some((at, _)) = marks.find(|(_, from)| *from >= self.heard)
        {
            // It was sent after the clause before it had been heard.
            since = since.max(at + LEAD_MS);
        }
        let lasted = now.saturating_sub(since);
        if !sounding.told && lasted < GREETING_MS_MAX {
            return;
        }
        let said = clause::said(&self.text[self.heard..clause_end], lasted);
        self.estimated = said > 0;
        self.heard += said;
    }

    /// How long the rest of it takes to be said, in milliseconds.
    pub(super) fn left_ms(&self) -> u64 {
        let left = &self.text[self.heard..];
        if self.one_clause {
            clause::lasts(left)
        } else {
            clause::all_last(left)
        }
    }
}
