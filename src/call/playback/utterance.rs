//! One `text` cycle in Twilio's queue.

use super::clause;
use super::text_matching::find_first_match;
use super::types::{
    AudioStart, GREETING_START_MS_MAX, HeardText, IN_FLIGHT_MS_MAX, TTS_LEAD_MS, TurnSeq,
};
use std::collections::VecDeque;

/// The sent and the heard text of one cycle.
#[derive(Debug)]
pub(super) struct Utterance {
    pub(super) turn: TurnSeq,
    /// The text sent so far.
    pub(super) text: String,
    /// The end of the heard part, as a byte index into `text`.
    pub(super) heard_bytes: usize,
    /// The text of Twilio's reports.
    pub(super) reported: String,
    /// Whether every report was found in `text`.
    reports_match: bool,
    /// The heard part was estimated.
    estimated: bool,
    /// `last:true` was sent.
    pub(super) closed: bool,
    /// A later utterance that is not preemptible cuts it off.
    pub(super) preemptible: bool,
    /// When an utterance was sent that cuts it off.
    superseded_at: Option<u64>,
    /// Twilio speaks it in one piece: the greeting.
    pub(super) one_clause: bool,
    /// When its last token was sent.
    pub(super) sent_at: u64,
    /// The start of the tokens sent in the last [`IN_FLIGHT_MS_MAX`] milliseconds: time and byte index, one
    /// entry for each millisecond.
    token_starts: VecDeque<(u64, usize)>,
}

impl Utterance {
    pub(super) fn new(turn: TurnSeq, preemptible: bool) -> Self {
        Self {
            turn,
            text: String::new(),
            heard_bytes: 0,
            reported: String::new(),
            reports_match: true,
            estimated: false,
            closed: false,
            preemptible,
            superseded_at: None,
            one_clause: false,
            sent_at: 0,
            token_starts: VecDeque::new(),
        }
    }

    pub(super) fn append(&mut self, token: &str, now: u64) {
        while self
            .token_starts
            .front()
            .is_some_and(|(at, _)| at + IN_FLIGHT_MS_MAX < now)
        {
            self.token_starts.pop_front();
        }
        if self.token_starts.back().is_none_or(|(at, _)| *at != now) {
            self.token_starts.push_back((now, self.text.len()));
        }
        self.sent_at = now;
        self.text.push_str(token);
    }

    /// Something is sent after it.
    pub(super) fn supersede(&mut self, now: u64) {
        if self.preemptible {
            self.superseded_at.get_or_insert(now);
        }
    }

    /// Whether it was cut off long enough ago that Twilio reports nothing more of it.
    pub(super) fn is_dropped(&self, now: u64) -> bool {
        self.superseded_at
            .is_some_and(|at| now > at + IN_FLIGHT_MS_MAX)
    }

    pub(super) fn is_fully_heard(&self) -> bool {
        self.closed
            && !self.text[self.heard_bytes..]
                .chars()
                .any(char::is_alphanumeric)
    }

    /// Twilio reports `played` as played.
    pub(super) fn report(&mut self, played: &str) {
        self.reported.push_str(played);
        match find_first_match(&self.text, self.heard_bytes, played) {
            Some(end) => self.heard_bytes = end,
            None => self.reports_match = false,
        }
    }

    pub(super) fn heard_text(&self) -> String {
        if self.reports_match {
            self.text[..self.heard_bytes].trim().to_owned()
        } else {
            self.reported.trim().to_owned()
        }
    }

    /// The heard text at this moment.
    pub(super) fn heard_so_far(&self) -> HeardText {
        HeardText {
            turn: self.turn,
            text: self.heard_text(),
            estimated: self.estimated,
            complete: self.is_fully_heard(),
        }
    }

    /// The byte index of the first word that may still be on its way to Twilio.
    pub(super) fn in_flight_from(&self, now: u64) -> Option<usize> {
        let mut marks = self.token_starts.iter();
        let (_, from) = marks.find(|(at, _)| at + IN_FLIGHT_MS_MAX >= now)?;
        Some((*from).max(self.heard_bytes)).filter(|from| *from < self.text.len())
    }

    /// Estimates how far the current clause was said by `now`.
    pub(super) fn estimate(&mut self, sounding: AudioStart, now: u64) {
        let clause_end = match (self.one_clause, self.closed) {
            (true, _) => Some(self.text.len()),
            (false, true) => {
                clause::clause_end(&self.text, self.heard_bytes).or(Some(self.text.len()))
            }
            // The tail of a reply that was not closed is not spoken.
            (false, false) => clause::clause_end(&self.text, self.heard_bytes),
        };
        let Some(clause_end) = clause_end.filter(|_| self.reports_match) else {
            return;
        };
        let mut since = sounding.since;
        let mut marks = self.token_starts.iter();
        if self.heard_bytes > 0
            && let Some((at, _)) = marks.find(|(_, from)| *from >= self.heard_bytes)
        {
            // The clause was sent after the one before it was heard.
            since = since.max(at + TTS_LEAD_MS);
        }
        let lasted = now.saturating_sub(since);
        if !sounding.reported && lasted < GREETING_START_MS_MAX {
            return;
        }
        let said = clause::spoken_bytes(&self.text[self.heard_bytes..clause_end], lasted);
        self.estimated = said > 0;
        self.heard_bytes += said;
    }

    /// How long its remaining speech takes, in milliseconds.
    pub(super) fn remaining_ms(&self) -> u64 {
        let left = &self.text[self.heard_bytes..];
        if self.one_clause {
            clause::clause_ms(left)
        } else {
            clause::speech_ms(left)
        }
    }
}
