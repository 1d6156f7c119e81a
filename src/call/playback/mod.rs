//! A model of Twilio's queue: what was sent, and how much of it the caller has heard (docs/protocol.md
//! 4.4, 5.2).
//!
//! Twilio plays in the order of sending and reports finished clauses with `tokensPlayed`. An interruption
//! discards the rest of the queue and reports only the heard part of the current clause. With this model
//! the transcript is cut to the heard text. If Twilio reports nothing (the current clause at a hang-up),
//! the heard part is estimated from the time.
//!
//! It reads no clock: every input carries `now`, in milliseconds on a monotonic clock.

mod clause;
mod in_flight;
mod text_matching;
mod types;
mod utterance;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

pub use types::{HeardText, TurnSeq};

use in_flight::InFlightWords;
use std::collections::VecDeque;
use text_matching::{find_first_match, find_last_match, is_word_end, match_at};
use types::{AudioStart, TTS_LEAD_MS};
use utterance::Utterance;

/// Utterances in the queue while nothing is reported (a provider without `tokensPlayed`). The oldest beyond
/// this number counts as heard.
const UTTERANCES_MAX: usize = 8;
/// Whether the provider reports what it played.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum ReportSupport {
    /// Not known: a missing report proves nothing.
    #[default]
    Unknown,
    /// The TwiML requested reports.
    Expected,
    /// Reports were received.
    Confirmed,
}

/// The model of Twilio's queue.
#[derive(Debug, Default)]
pub struct Playback {
    queue: VecDeque<Utterance>,
    report_support: ReportSupport,
    audio_start: Option<AudioStart>,
    /// Fillers that were never heard and not yet returned; at most [`UTTERANCES_MAX`].
    unheard_fillers: Vec<HeardText>,
    /// Interrupted utterances whose last words may still arrive at Twilio; at most [`UTTERANCES_MAX`].
    in_flight: Vec<InFlightWords>,
    /// Such words may have started a cycle at Twilio that is not closed.
    in_flight_cycle_open: bool,
}

impl Playback {
    /// The TwiML requests reports.
    pub fn expect_reports(&mut self) {
        self.report_support = ReportSupport::Expected;
    }

    /// An `info` frame was received: reports are supported.
    pub fn confirm_reports(&mut self) {
        self.report_support = ReportSupport::Confirmed;
    }

    /// Starts a cycle for `turn` and closes the one before. A `preemptible` utterance ends when a later one
    /// starts that is not preemptible.
    pub fn begin_utterance(&mut self, turn: TurnSeq, preemptible: bool, now: u64) {
        self.close_utterance();
        self.supersede(now);
        if self.queue.len() == UTTERANCES_MAX {
            self.queue.pop_front();
        }
        self.queue.push_back(Utterance::new(turn, preemptible));
    }

    /// A token of the last cycle was sent.
    pub fn append(&mut self, token: &str, now: u64) {
        if let Some(last) = self.queue.back_mut() {
            last.append(token, now);
        }
    }

    /// Closes the last cycle.
    pub fn close_utterance(&mut self) {
        if let Some(last) = self.queue.back_mut() {
            last.closed = true;
        }
    }

    /// Adds a whole utterance.
    pub fn add_utterance(&mut self, turn: TurnSeq, text: &str, preemptible: bool, now: u64) {
        self.begin_utterance(turn, preemptible, now);
        self.append(text, now);
        self.close_utterance();
    }

    /// Adds the greeting of the TwiML. Twilio speaks it as one clause and may have started already.
    pub fn add_greeting(&mut self, turn: TurnSeq, text: &str, now: u64) {
        self.add_utterance(turn, text, false, now);
        if let Some(last) = self.queue.back_mut() {
            last.one_clause = true;
        }
        self.audio_start = Some(AudioStart {
            since: now,
            reported: false,
        });
    }

    /// Whether anything sent may still be in Twilio's queue.
    pub fn is_pending(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Returns once whether words on their way at an interruption have started a cycle that is still open.
    /// It must be closed before other words are sent.
    pub fn take_in_flight_cycle(&mut self) -> bool {
        std::mem::take(&mut self.in_flight_cycle_open)
    }

    /// The agent's speech became audible.
    pub fn audio_started(&mut self, now: u64) {
        self.audio_start = Some(AudioStart {
            since: now,
            reported: true,
        });
    }

    /// Twilio reports `text` as played. Returns the turns whose heard text differs from the sent text.
    pub fn report_played(&mut self, text: &str, now: u64) -> Vec<HeardText> {
        self.report_support = ReportSupport::Confirmed;
        self.audio_started(now);
        let mut heard_texts = self.drop_superseded(now);
        if !self.queue.front().is_some_and(|u| continues_with(u, text))
            && let Some(heard_text) = self.in_flight_played(text)
        {
            heard_texts.push(heard_text);
            return heard_texts;
        }
        heard_texts.extend(self.skip_to_match(text));
        let Some(front) = self.queue.front_mut() else {
            return heard_texts;
        };
        self.in_flight.clear();
        front.report(text);
        if front.is_fully_heard() {
            self.queue.pop_front();
        }
        heard_texts
    }

    /// Something is sent: it cuts off the current filler, and queued fillers are never heard.
    fn supersede(&mut self, now: u64) {
        let mut waiting = false;
        let dropped = &mut self.unheard_fillers;
        self.queue.retain_mut(|utterance| {
            utterance.supersede(now);
            let never_heard = waiting && utterance.preemptible;
            waiting |= !utterance.is_dropped(now);
            if never_heard && dropped.len() < UTTERANCES_MAX {
                dropped.push(utterance.heard_so_far());
            }
            !never_heard
        });
    }

    /// Removes fillers that were cut off by now. Twilio reports nothing more of them.
    fn drop_superseded(&mut self, now: u64) -> Vec<HeardText> {
        let mut heard_texts = std::mem::take(&mut self.unheard_fillers);
        while self.queue.front().is_some_and(|u| u.is_dropped(now)) {
            heard_texts.extend(self.queue.pop_front().map(|u| u.heard_so_far()));
        }
        heard_texts
    }

    /// Matches `text` against words that were on their way at an interruption and are heard after all.
    fn in_flight_played(&mut self, text: &str) -> Option<HeardText> {
        let mut in_flight = self.in_flight.iter_mut();
        in_flight.find_map(|words| words.report_played(text))
    }

    /// Drops utterances whose end was not reported if `text` belongs to a later one, and fillers that a later
    /// one has cut off.
    fn skip_to_match(&mut self, text: &str) -> Vec<HeardText> {
        let at_front = |u: &Utterance| find_first_match(&u.text, u.heard_bytes, text).is_some();
        if self.queue.front().is_none_or(at_front) {
            return Vec::new();
        }
        let later = self.queue.iter().position(|u| continues_with(u, text));
        let count = later.unwrap_or_else(|| self.superseded_fillers());
        let gone = self.queue.drain(..count);
        gone.filter(|u| u.preemptible)
            .map(|u| u.heard_so_far())
            .collect()
    }

    /// The number of fillers at the front that a later utterance cuts off.
    fn superseded_fillers(&self) -> usize {
        let firm = self.queue.iter().position(|u| !u.preemptible);
        firm.unwrap_or(self.queue.len().saturating_sub(1))
    }

    /// The agent's speech stopped without an interruption: closed utterances that were reported in part are
    /// over, even if the reports differ from the text.
    pub fn audio_stopped(&mut self) {
        self.audio_start = None;
        while self
            .queue
            .front()
            .is_some_and(|u| u.closed && !u.reported.is_empty())
        {
            self.queue.pop_front();
        }
    }

    /// The caller answered without interrupting. Without reports (Telnyx, or no `events` in the TwiML) that is
    /// the only sign that the speech was heard.
    pub fn caller_answered(&mut self) {
        if self.report_support != ReportSupport::Confirmed {
            self.report_support = ReportSupport::Unknown;
            self.audio_start = None;
            self.queue.retain(|utterance| !utterance.closed);
        }
    }

    /// The caller interrupted: the queue is discarded. `fragment` is the heard part of the current clause.
    pub fn interrupt(&mut self, fragment: &str, now: u64) -> Vec<HeardText> {
        let fragment = fragment.trim();
        if self.report_support != ReportSupport::Confirmed {
            self.drop_before_interrupted(fragment);
        }
        let mut heard_texts = self.drop_superseded(now);
        let of_front = |u: &Utterance| {
            u.reported.trim_end().ends_with(fragment)
                || find_first_match(&u.text, u.heard_bytes, fragment).is_some()
        };
        if !fragment.is_empty() && !self.queue.front().is_none_or(of_front) {
            let count = self.superseded_fillers();
            heard_texts.extend(self.queue.drain(..count).map(|u| u.heard_so_far()));
        }
        if let Some(front) = self.queue.front_mut()
            && !fragment.is_empty()
            && !front.reported.trim_end().ends_with(fragment)
        {
            if let Some(end) = find_last_match(&front.text, front.heard_bytes, fragment) {
                front.heard_bytes = end;
            }
            front.reported.push_str(fragment);
        }
        self.audio_start = None;
        self.record_in_flight(now);
        heard_texts.extend(self.take_heard_texts());
        heard_texts
    }

    fn record_in_flight(&mut self, now: u64) {
        self.in_flight.clear();
        for utterance in &self.queue {
            if let Some(words) = InFlightWords::of(utterance, now) {
                self.in_flight_cycle_open |= !utterance.closed;
                self.in_flight.push(words);
            }
        }
    }

    /// The socket closed: the queue is discarded. Twilio reports nothing of the current clause, so its heard
    /// part is estimated. Without reports everything counts as heard.
    pub fn socket_lost(&mut self, now: u64) -> Vec<HeardText> {
        self.in_flight.clear();
        self.in_flight_cycle_open = false;
        let mut heard_texts = std::mem::take(&mut self.unheard_fillers);
        if self.report_support == ReportSupport::Unknown {
            heard_texts.clear();
            for utterance in &mut self.queue {
                utterance.heard_bytes = utterance.text.len();
            }
        } else {
            let count = self.superseded_fillers();
            heard_texts.extend(self.queue.drain(..count).map(|u| u.heard_so_far()));
            let sounding = self.audio_start.take();
            if let (Some(front), Some(sounding)) = (self.queue.front_mut(), sounding) {
                front.estimate(sounding, now);
            }
        }
        self.audio_start = None;
        heard_texts.extend(self.take_heard_texts());
        heard_texts
    }

    /// The estimated end of all queued speech, on the clock of `now`. Equals `now` if nothing is queued.
    pub fn speech_ends_at(&self, now: u64) -> u64 {
        let Some(front) = self.queue.front() else {
            return now;
        };
        let left = self.queue.iter().filter(|u| !u.is_dropped(now));
        let left = left.map(Utterance::remaining_ms).sum::<u64>();
        let begun = self.audio_start.map(|sounding| sounding.since);
        now.max(begun.unwrap_or(front.sent_at + TTS_LEAD_MS) + left)
    }

    fn take_heard_texts(&mut self) -> Vec<HeardText> {
        std::mem::take(&mut self.queue)
            .iter()
            .map(Utterance::heard_so_far)
            .collect()
    }

    /// Without reports the newest utterance that holds the fragment counts as the current one, and those
    /// before it as heard.
    fn drop_before_interrupted(&mut self, fragment: &str) {
        let holds = |utterance: &Utterance| find_last_match(&utterance.text, 0, fragment).is_some();
        let newest = self.queue.len().saturating_sub(1);
        let in_play = self.queue.iter().rposition(holds).unwrap_or(newest);
        self.queue.drain(..in_play);
    }
}

/// Whether `text` continues the heard part of the utterance.
fn continues_with(utterance: &Utterance, text: &str) -> bool {
    match_at(&utterance.text, utterance.heard_bytes, text)
        .is_some_and(|end| is_word_end(&utterance.text, end))
}
