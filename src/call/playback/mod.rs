//! What was said to Twilio and how much of it the caller has heard (protocol 4.4, 5.2).
//!
//! Twilio plays first in, first out and reports finished clauses with `tokensPlayed`; a barge-in
//! throws the rest of the queue away and names only the fragment of the clause in play. This keeps
//! the queue's image, so that the transcript can be cut to what was heard. Where Twilio tells
//! nothing (the clause in play at a hang-up), the clock says how far it was said.
//!
//! Pure: every input carries `now`, in milliseconds on a clock that never jumps.

mod clause;
mod cut;
mod matching;
mod utterance;

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;

pub use cut::Cut;

use cut::Stray;
use matching::{advance, find, find_last, is_word_end};
use std::collections::VecDeque;
use utterance::Utterance;

/// Utterances kept while nothing is reported of them (a provider without `tokensPlayed`); the
/// oldest beyond it counts as heard.
const UTTERANCES_MAX: usize = 8;
/// Words that left this long before a barge-in was told may have reached Twilio after it: there and
/// back took 90 ms on recorded calls, and takes 600 ms on a route with 300 ms each way.
const UNDER_WAY_MS_MAX: u64 = 700;
/// A greeting whose sound was not reported within this time began before the socket did (recorded:
/// up to 0.15 s before, or 0.76 s after).
const GREETING_MS_MAX: u64 = 760;
/// From the first word of a clause to its sound, in milliseconds.
const LEAD_MS: u64 = 400;

/// The turn (by its sequence number) that an utterance belongs to.
pub type TurnSeq = u32;

/// Whether the provider reports what it played.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Reports {
    /// It does not, as far as is known: silence proves nothing.
    #[default]
    Unknown,
    /// Our TwiML asked for them.
    Expected,
    /// They come.
    Proven,
}

/// Since when the clause in play sounds.
#[derive(Debug, Clone, Copy)]
struct Sounding {
    since: u64,
    /// A report said so.
    told: bool,
}

/// The image of Twilio's queue.
#[derive(Debug, Default)]
pub struct Playback {
    queue: VecDeque<Utterance>,
    reports: Reports,
    sounding: Option<Sounding>,
    /// Fillers that were never heard, not yet told; at most [`UTTERANCES_MAX`].
    dropped: Vec<Cut>,
    /// Cut utterances of which words may have been under way, at most [`UTTERANCES_MAX`].
    strays: Vec<Stray>,
    /// Such words have begun a cycle at Twilio that nobody has closed.
    stray_is_open: bool,
}

impl Playback {
    /// Our TwiML asked Twilio for reports.
    pub fn expect_reports(&mut self) {
        self.reports = Reports::Expected;
    }

    /// Any `info` frame proves that reports come.
    pub fn informed(&mut self) {
        self.reports = Reports::Proven;
    }

    /// A cycle for `turn` begins; an unclosed one before it is taken as closed. What is
    /// `preemptible` ends where a later one that is not begins.
    pub fn begin(&mut self, turn: TurnSeq, preemptible: bool, now: u64) {
        self.close();
        self.supersede(now);
        if self.queue.len() == UTTERANCES_MAX {
            self.queue.pop_front();
        }
        self.queue.push_back(Utterance::new(turn, preemptible));
    }

    /// A token of the cycle begun last went out.
    pub fn sent(&mut self, token: &str, now: u64) {
        if let Some(last) = self.queue.back_mut() {
            last.add(token, now);
        }
    }

    /// The cycle begun last is complete.
    pub fn close(&mut self) {
        if let Some(last) = self.queue.back_mut() {
            last.closed = true;
        }
    }

    /// A whole utterance at once.
    pub fn say(&mut self, turn: TurnSeq, text: &str, preemptible: bool, now: u64) {
        self.begin(turn, preemptible, now);
        self.sent(text, now);
        self.close();
    }

    /// The greeting in the TwiML: Twilio speaks it as one clause, and may have begun already.
    pub fn greet(&mut self, turn: TurnSeq, text: &str, now: u64) {
        self.say(turn, text, false, now);
        if let Some(last) = self.queue.back_mut() {
            last.one_clause = true;
        }
        self.sounding = Some(Sounding {
            since: now,
            told: false,
        });
    }

    /// Whether anything sent may still be in Twilio's queue.
    pub fn is_pending(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether words that were under way at a barge-in have begun a cycle that is still open: it must
    /// be closed before anything else is said. Told once.
    pub fn take_stray_cycle(&mut self) -> bool {
        std::mem::take(&mut self.stray_is_open)
    }

    /// Our voice became audible.
    pub fn sounds(&mut self, now: u64) {
        self.sounding = Some(Sounding {
            since: now,
            told: true,
        });
    }

    /// Twilio reports `text` as played. What is returned was heard otherwise than it was said.
    pub fn played(&mut self, text: &str, now: u64) -> Vec<Cut> {
        self.reports = Reports::Proven;
        self.sounds(now);
        let mut cuts = self.drop_superseded(now);
        if !self.queue.front().is_some_and(|u| goes_on(u, text))
            && let Some(cut) = self.stray_played(text)
        {
            cuts.push(cut);
            return cuts;
        }
        cuts.extend(self.skip_to_match(text));
        let Some(front) = self.queue.front_mut() else {
            return cuts;
        };
        self.strays.clear();
        front.report(text);
        if front.is_whole() {
            self.queue.pop_front();
        }
        cuts
    }

    /// Something is sent: it cuts off the filler in play, and those that wait are never heard.
    fn supersede(&mut self, now: u64) {
        let mut waiting = false;
        let dropped = &mut self.dropped;
        self.queue.retain_mut(|utterance| {
            utterance.supersede(now);
            let never_heard = waiting && utterance.preemptible;
            waiting |= !utterance.is_gone(now);
            if never_heard && dropped.len() < UTTERANCES_MAX {
                dropped.push(utterance.cut());
            }
            !never_heard
        });
    }

    /// Fillers that something sent later has cut off by now: Twilio reports nothing more of them.
    fn drop_superseded(&mut self, now: u64) -> Vec<Cut> {
        let mut cuts = std::mem::take(&mut self.dropped);
        while self.queue.front().is_some_and(|u| u.is_gone(now)) {
            cuts.extend(self.queue.pop_front().map(|u| u.cut()));
        }
        cuts
    }

    /// Words that were under way at a barge-in are heard after all.
    fn stray_played(&mut self, text: &str) -> Option<Cut> {
        let mut strays = self.strays.iter_mut();
        strays.find_map(|stray| stray.played(text))
    }

    /// Drops utterances whose end was missed when `text` plainly belongs to a later one, and fillers
    /// that a later one has cut off.
    fn skip_to_match(&mut self, text: &str) -> Vec<Cut> {
        let at_front = |u: &Utterance| find(&u.text, u.heard, text).is_some();
        if self.queue.front().is_none_or(at_front) {
            return Vec::new();
        }
        let later = self.queue.iter().position(|u| goes_on(u, text));
        let count = later.unwrap_or_else(|| self.superseded());
        let gone = self.queue.drain(..count);
        gone.filter(|u| u.preemptible).map(|u| u.cut()).collect()
    }

    /// How many fillers at the front have something behind them that cuts them off.
    fn superseded(&self) -> usize {
        let firm = self.queue.iter().position(|u| !u.preemptible);
        firm.unwrap_or(self.queue.len().saturating_sub(1))
    }

    /// Our voice fell silent by itself: what is closed and was begun is over, even if the speech
    /// differed from the text.
    pub fn fell_silent(&mut self) {
        self.sounding = None;
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
    pub fn answered(&mut self) {
        if self.reports != Reports::Proven {
            self.reports = Reports::Unknown;
            self.sounding = None;
            self.queue.retain(|utterance| !utterance.closed);
        }
    }

    /// A barge-in: everything queued is gone. `fragment` is what was heard of the clause in play.
    pub fn interrupted(&mut self, fragment: &str, now: u64) -> Vec<Cut> {
        let fragment = fragment.trim();
        if self.reports != Reports::Proven {
            self.find_interrupted(fragment);
        }
        let mut cuts = self.drop_superseded(now);
        let of_front = |u: &Utterance| {
            u.reported.trim_end().ends_with(fragment) || find(&u.text, u.heard, fragment).is_some()
        };
        if !fragment.is_empty() && !self.queue.front().is_none_or(of_front) {
            let count = self.superseded();
            cuts.extend(self.queue.drain(..count).map(|u| u.cut()));
        }
        if let Some(front) = self.queue.front_mut()
            && !fragment.is_empty()
            && !front.reported.trim_end().ends_with(fragment)
        {
            if let Some(end) = find_last(&front.text, front.heard, fragment) {
                front.heard = end;
            }
            front.reported.push_str(fragment);
        }
        self.sounding = None;
        self.note_strays(now);
        cuts.extend(self.take_cuts());
        cuts
    }

    fn note_strays(&mut self, now: u64) {
        self.strays.clear();
        for utterance in &self.queue {
            if let Some(stray) = Stray::of(utterance, now) {
                self.stray_is_open |= !utterance.closed;
                self.strays.push(stray);
            }
        }
    }

    /// The socket is gone, and with it what was queued. Of the clause in play Twilio tells nothing:
    /// how far it was said is estimated. Without reports all of it may have been heard, and is left
    /// as it was said.
    pub fn lost(&mut self, now: u64) -> Vec<Cut> {
        self.strays.clear();
        self.stray_is_open = false;
        let mut cuts = std::mem::take(&mut self.dropped);
        if self.reports == Reports::Unknown {
            cuts.clear();
            for utterance in &mut self.queue {
                utterance.heard = utterance.text.len();
            }
        } else {
            let count = self.superseded();
            cuts.extend(self.queue.drain(..count).map(|u| u.cut()));
            let sounding = self.sounding.take();
            if let (Some(front), Some(sounding)) = (self.queue.front_mut(), sounding) {
                front.estimate(sounding, now);
            }
        }
        self.sounding = None;
        cuts.extend(self.take_cuts());
        cuts
    }

    /// When all that was sent has been said, as far as can be told: on the same clock as `now`,
    /// which it is if nothing is left to say.
    pub fn silent_from(&self, now: u64) -> u64 {
        let Some(front) = self.queue.front() else {
            return now;
        };
        let left = self.queue.iter().filter(|u| !u.is_gone(now));
        let left = left.map(Utterance::left_ms).sum::<u64>();
        let begun = self.sounding.map(|sounding| sounding.since);
        now.max(begun.unwrap_or(front.sent_at + LEAD_MS) + left)
    }

    fn take_cuts(&mut self) -> Vec<Cut> {
        std::mem::take(&mut self.queue)
            .iter()
            .map(Utterance::cut)
            .collect()
    }

    /// Without reports: the newest utterance that has the fragment is the one in play, and those
    /// before it were heard.
    fn find_interrupted(&mut self, fragment: &str) {
        let holds = |utterance: &Utterance| find_last(&utterance.text, 0, fragment).is_some();
        let newest = self.queue.len().saturating_sub(1);
        let in_play = self.queue.iter().rposition(holds).unwrap_or(newest);
        self.queue.drain(..in_play);
    }
}

/// Whether `text` is what comes next of an utterance.
fn goes_on(utterance: &Utterance, text: &str) -> bool {
    advance(&utterance.text, utterance.heard, text)
        .is_some_and(|end| is_word_end(&utterance.text, end))
}
