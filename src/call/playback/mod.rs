//! What was said to Twilio and how much of it the caller has heard (docs/protocol.md 4.4, 5.2).
//!
//! Twilio plays first in, first out and reports finished clauses with `tokensPlayed`; an interruption
//! throws the rest of the queue away and names only the fragment of the clause in play. This keeps
//! the queue's image, so that the transcript can be cut to what was heard. Where Twilio tells
//! nothing (the clause in play at a hang-up), the clock says how far it was said.
//!
//! Pure: every input carries `now`, in milliseconds on a clock that never jumps.

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

/// Utterances kept while nothing is reported of them (a provider without `tokensPlayed`); the
/// oldest beyond it counts as heard.
const UTTERANCES_MAX: usize = 8;
/// Whether the provider reports what it played.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum ReportSupport {
    /// It does not, as far as is known: silence proves nothing.
    #[default]
    Unknown,
    /// Our TwiML asked for them.
    Expected,
    /// They come.
    Confirmed,
}

/// The image of Twilio's queue.
#[derive(Debug, Default)]
pub struct Playback {
    queue: VecDeque<Utterance>,
    report_support: ReportSupport,
    audio_start: Option<AudioStart>,
    /// Fillers that were never heard, not yet told; at most [`UTTERANCES_MAX`].
    unheard_fillers: Vec<HeardText>,
    /// Cut utterances of which words may have been under way, at most [`UTTERANCES_MAX`].
    in_flight: Vec<InFlightWords>,
    /// Such words have begun a cycle at Twilio that nobody has closed.
    in_flight_cycle_open: bool,
}

impl Playback {
    /// Our TwiML asked Twilio for reports.
    pub fn expect_reports(&mut self) {
        self.report_support = ReportSupport::Expected;
    }

    /// Any `info` frame proves that reports come.
    pub fn confirm_reports(&mut self) {
        self.report_support = ReportSupport::Confirmed;
    }

    /// A cycle for `turn` begins; an unclosed one before it is taken as closed. What is
    /// `preemptible` ends where a later one that is not begins.
    pub fn begin_utterance(&mut self, turn: TurnSeq, preemptible: bool, now: u64) {
        self.close_utterance();
        self.supersede(now);
        if self.queue.len() == UTTERANCES_MAX {
            self.queue.pop_front();
        }
        self.queue.push_back(Utterance::new(turn, preemptible));
    }

    /// A token of the cycle begun last went out.
    pub fn append(&mut self, token: &str, now: u64) {
        if let Some(last) = self.queue.back_mut() {
            last.append(token, now);
        }
    }

    /// The cycle begun last is complete.
    pub fn close_utterance(&mut self) {
        if let Some(last) = self.queue.back_mut() {
            last.closed = true;
        }
    }

    /// A whole utterance at once.
    pub fn add_utterance(&mut self, turn: TurnSeq, text: &str, preemptible: bool, now: u64) {
        self.begin_utterance(turn, preemptible, now);
        self.append(text, now);
        self.close_utterance();
    }

    /// The greeting in the TwiML: Twilio speaks it as one clause, and may have begun already.
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

    /// Whether words that were under way at an interruption have begun a cycle that is still open: it must
    /// be closed before anything else is said. Told once.
    pub fn take_in_flight_cycle(&mut self) -> bool {
        std::mem::take(&mut self.in_flight_cycle_open)
    }

    /// Our voice became audible.
    pub fn audio_started(&mut self, now: u64) {
        self.audio_start = Some(AudioStart {
            since: now,
            reported: true,
        });
    }

    /// Twilio reports `text` as played. What is returned was heard otherwise than it was said.
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

    /// Something is sent: it cuts off the filler in play, and those that wait are never heard.
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

    /// Fillers that something sent later has cut off by now: Twilio reports nothing more of them.
    fn drop_superseded(&mut self, now: u64) -> Vec<HeardText> {
        let mut heard_texts = std::mem::take(&mut self.unheard_fillers);
        while self.queue.front().is_some_and(|u| u.is_dropped(now)) {
            heard_texts.extend(self.queue.pop_front().map(|u| u.heard_so_far()));
        }
        heard_texts
    }

    /// Words that were under way at an interruption are heard after all.
    fn in_flight_played(&mut self, text: &str) -> Option<HeardText> {
        let mut in_flight = self.in_flight.iter_mut();
        in_flight.find_map(|words| words.report_played(text))
    }

    /// Drops utterances whose end was missed when `text` plainly belongs to a later one, and fillers
    /// that a later one has cut off.
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

    /// How many fillers at the front have something behind them that cuts them off.
    fn superseded_fillers(&self) -> usize {
        let firm = self.queue.iter().position(|u| !u.preemptible);
        firm.unwrap_or(self.queue.len().saturating_sub(1))
    }

    /// Our voice fell silent by itself: what is closed and was begun is over, even if the speech
    /// differed from the text.
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

    /// The caller answered without interrupting. Where nothing is ever reported (Telnyx, or no
    /// `events` in the TwiML), that is the only sign that what was said was heard.
    pub fn caller_answered(&mut self) {
        if self.report_support != ReportSupport::Confirmed {
            self.report_support = ReportSupport::Unknown;
            self.audio_start = None;
            self.queue.retain(|utterance| !utterance.closed);
        }
    }

    /// An interruption: everything queued is gone. `fragment` is what was heard of the clause in play.
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

    /// The socket is gone, and with it what was queued. Of the clause in play Twilio tells nothing:
    /// how far it was said is estimated. Without reports all of it may have been heard, and is left
    /// as it was said.
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

    /// When all that was sent has been said, as far as can be told: on the same clock as `now`,
    /// which it is if nothing is left to say.
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

    /// Without reports: the newest utterance that has the fragment is the one in play, and those
    /// before it were heard.
    fn drop_before_interrupted(&mut self, fragment: &str) {
        let holds = |utterance: &Utterance| find_last_match(&utterance.text, 0, fragment).is_some();
        let newest = self.queue.len().saturating_sub(1);
        let in_play = self.queue.iter().rposition(holds).unwrap_or(newest);
        self.queue.drain(..in_play);
    }
}

/// Whether `text` is what comes next of an utterance.
fn continues_with(utterance: &Utterance, text: &str) -> bool {
    match_at(&utterance.text, utterance.heard_bytes, text)
        .is_some_and(|end| is_word_end(&utterance.text, end))
}
