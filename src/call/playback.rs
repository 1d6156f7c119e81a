//! What was said to Twilio and how much of it the caller has heard (protocol 4.4, 5.2).
//!
//! Twilio plays first in, first out and reports finished clauses with `tokensPlayed`; a barge-in
//! throws the rest of the queue away and names only the fragment of the clause in play. This keeps
//! the queue's image, so that the transcript can be cut to what was heard.

use std::collections::VecDeque;

/// Utterances kept while nothing is reported of them (a provider without `tokensPlayed`); the
/// oldest beyond it counts as heard.
const UTTERANCES_MAX: usize = 8;

/// The turn (by its sequence number) that an utterance belongs to.
pub type TurnSeq = u32;

/// One `text` cycle in Twilio's queue.
#[derive(Debug)]
struct Utterance {
    turn: TurnSeq,
    /// Everything sent of it.
    text: String,
    /// How far it was heard, as a byte index into `text`.
    heard: usize,
    /// What Twilio reported of it, word for word.
    reported: String,
    /// Whether every report was found in `text`.
    exact: bool,
    /// `last:true` went out.
    closed: bool,
}

impl Utterance {
    fn whole(&self) -> bool {
        self.closed && !self.text[self.heard..].chars().any(char::is_alphanumeric)
    }

    fn heard_text(&self) -> String {
        if self.exact {
            self.text[..self.heard].trim().to_owned()
        } else {
            self.reported.trim().to_owned()
        }
    }
}

/// How much of a turn was heard when a barge-in threw the rest away.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut {
    /// The turn.
    pub turn: TurnSeq,
    /// What of it was heard; empty when nothing was.
    pub heard: String,
}

/// The image of Twilio's queue.
#[derive(Debug, Default)]
pub struct Playback {
    queue: VecDeque<Utterance>,
    /// Whether the provider reports what it played. Until it does, silence proves nothing.
    reports: bool,
}

impl Playback {
    /// A cycle for `turn` begins; an unclosed one before it is taken as closed.
    pub fn begin(&mut self, turn: TurnSeq) {
        self.close();
        if self.queue.len() == UTTERANCES_MAX {
            self.queue.pop_front();
        }
        self.queue.push_back(Utterance {
            turn,
            text: String::new(),
            heard: 0,
            reported: String::new(),
            exact: true,
            closed: false,
        });
    }

    /// A token of the cycle begun last went out.
    pub fn sent(&mut self, token: &str) {
        if let Some(last) = self.queue.back_mut() {
            last.text.push_str(token);
        }
    }

    /// The cycle begun last is complete.
    pub fn close(&mut self) {
        if let Some(last) = self.queue.back_mut() {
            last.closed = true;
        }
    }

    /// A whole utterance at once, such as the greeting in the TwiML.
    pub fn say(&mut self, turn: TurnSeq, text: &str) {
        self.begin(turn);
        self.sent(text);
        self.close();
    }

    /// Whether anything sent may still be in Twilio's queue.
    pub fn is_pending(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Twilio reports `text` as played.
    pub fn played(&mut self, text: &str) {
        self.reports = true;
        self.skip_to_match(text);
        let Some(front) = self.queue.front_mut() else {
            return;
        };
        front.reported.push_str(text);
        match find(&front.text, front.heard, text) {
            Some(end) => front.heard = end,
            None => front.exact = false,
        }
        if front.whole() {
            self.queue.pop_front();
        }
    }

    /// Drops utterances whose end was missed when `text` plainly belongs to a later one.
    fn skip_to_match(&mut self, text: &str) {
        let at_front = |u: &Utterance| find(&u.text, u.heard, text).is_some();
        if self.queue.front().is_none_or(at_front) {
            return;
        }
        let later = self
            .queue
            .iter()
            .position(|u| advance(&u.text, u.heard, text).is_some());
        if let Some(count) = later {
            self.queue.drain(..count);
        }
    }

    /// The agent fell silent by itself: what is closed and was begun is over, even if the speech
    /// differed from the text.
    pub fn fell_silent(&mut self) {
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
        if !self.reports {
            self.queue.retain(|utterance| !utterance.closed);
        }
    }

    /// A barge-in: everything queued is gone. `fragment` is what was heard of the clause in play.
    pub fn interrupted(&mut self, fragment: &str) -> Vec<Cut> {
        let fragment = fragment.trim();
        if !self.reports {
            self.find_interrupted(fragment);
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
        self.take_cuts()
    }

    /// The socket is gone, and with it what was queued. Without reports all of it may have been
    /// heard, and is left as it was said.
    pub fn lost(&mut self) -> Vec<Cut> {
        if !self.reports {
            for utterance in &mut self.queue {
                utterance.heard = utterance.text.len();
            }
        }
        self.take_cuts()
    }

    fn take_cuts(&mut self) -> Vec<Cut> {
        std::mem::take(&mut self.queue)
            .iter()
            .map(|utterance| Cut {
                turn: utterance.turn,
                heard: utterance.heard_text(),
            })
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

/// The end of `played` in `text` if it stands right at `from`: compared by letters and digits
/// only, since clauses keep or lose white space (protocol 4.4).
fn advance(text: &str, from: usize, played: &str) -> Option<usize> {
    let mut rest = text[from..].char_indices();
    let mut end = from;
    let mut any = false;
    for wanted in played.chars().filter(|c| c.is_alphanumeric()) {
        let (at, found) = rest.find(|(_, c)| c.is_alphanumeric())?;
        if !found.to_lowercase().eq(wanted.to_lowercase()) {
            return None;
        }
        any = true;
        end = from + at + found.len_utf8();
    }
    if !any {
        return None;
    }
    // A clause ends after its punctuation, a cut fragment without.
    if played.trim_end().ends_with(|c: char| !c.is_alphanumeric()) {
        let tail = &text[end..];
        end += tail
            .char_indices()
            .find(|(_, c)| c.is_alphanumeric() || c.is_whitespace())
            .map_or(tail.len(), |(at, _)| at);
    }
    Some(end)
}

/// The end of the first place at or after `from` where `played` stands.
fn find(text: &str, from: usize, played: &str) -> Option<usize> {
    advance(text, from, played)
        .or_else(|| starts(text, from).find_map(|start| advance(text, start, played)))
}

/// The end of the last place at or after `from` where `played` stands; the one right at `from` is
/// preferred, being the clause in play.
fn find_last(text: &str, from: usize, played: &str) -> Option<usize> {
    advance(text, from, played).or_else(|| {
        starts(text, from)
            .filter_map(|start| advance(text, start, played))
            .last()
    })
}

/// Where words begin at or after `from`.
fn starts(text: &str, from: usize) -> impl Iterator<Item = usize> {
    let mut inside = false;
    text[from..].char_indices().filter_map(move |(at, c)| {
        let begins = c.is_alphanumeric() && !inside;
        inside = c.is_alphanumeric();
        begins.then_some(from + at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replied(turn: TurnSeq, tokens: &[&str]) -> Playback {
        let mut playback = Playback::default();
        playback.begin(turn);
        for token in tokens {
            playback.sent(token);
        }
        playback.close();
        playback
    }

    #[test]
    fn a_barge_in_leaves_the_clauses_played_and_the_fragment() {
        let mut playback = replied(
            3,
            &[
                "Here is our policy:",
                " you can cancel free.",
                " Later than that",
                " we charge half.",
            ],
        );
        playback.played("Here is our policy:");
        playback.played(" you can cancel free.");
        playback.played("Later than that we");
        let cuts = playback.interrupted("Later than that we");
        let heard = "Here is our policy: you can cancel free. Later than that we".to_owned();
        assert_eq!(cuts, [Cut { turn: 3, heard }]);
        assert!(!playback.is_pending());
    }

    #[test]
    fn without_reports_the_fragment_alone_tells_what_was_heard() {
        let mut playback = replied(
            1,
            &["Charizard is fire and flying. Charizard learns", " Fly."],
        );
        let cuts = playback.interrupted("Charizard learns");
        assert_eq!(
            cuts[0].heard,
            "Charizard is fire and flying. Charizard learns"
        );
    }

    #[test]
    fn an_empty_fragment_means_nothing_was_heard() {
        let mut playback = replied(1, &["Hello there."]);
        let cuts = playback.interrupted("");
        assert_eq!(
            cuts,
            [Cut {
                turn: 1,
                heard: String::new(),
            }]
        );
    }

    #[test]
    fn everything_queued_behind_the_clause_in_play_was_not_heard() {
        let mut playback = replied(1, &["One moment, please."]);
        playback.say(2, "Pikachu is electric.");
        let cuts = playback.interrupted("One");
        assert_eq!(cuts[0].heard, "One");
        assert_eq!(
            cuts[1],
            Cut {
                turn: 2,
                heard: String::new(),
            }
        );
    }

    #[test]
    fn speech_that_differs_from_the_text_is_taken_as_reported() {
        let mut playback = replied(1, &["It weighs 6 kg. It is small."]);
        playback.played("It weighs six kilograms.");
        playback.played(" It is");
        let cuts = playback.interrupted("It is");
        assert_eq!(cuts[0].heard, "It weighs six kilograms. It is");
        let mut playback = replied(1, &["It weighs 6 kg."]);
        playback.played("It weighs six kilograms.");
        playback.fell_silent();
        assert!(!playback.is_pending());
    }

    #[test]
    fn a_missed_report_does_not_hold_up_the_next_utterance() {
        let mut playback = replied(1, &["Ten. Twenty."]);
        playback.say(2, "Thirty. Forty.");
        playback.played(" Thirty.");
        let cuts = playback.interrupted("Forty");
        assert_eq!(cuts.len(), 1);
        assert_eq!(cuts[0].heard, "Thirty. Forty");
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut playback = Playback::default();
        for turn in 0..100 {
            playback.say(turn, "word");
        }
        assert_eq!(playback.lost().len(), UTTERANCES_MAX);
    }

    #[test]
    fn without_reports_nothing_is_taken_for_unheard() {
        let mut playback = replied(1, &["Ten."]);
        assert_eq!(playback.lost()[0].heard, "Ten.");
        let mut playback = replied(1, &["Ten."]);
        playback.answered();
        playback.say(2, "Twenty. Thirty.");
        playback.say(3, "Forty.");
        let cuts = playback.interrupted("Twenty");
        assert_eq!(cuts.len(), 2);
        assert_eq!((cuts[0].turn, cuts[0].heard.as_str()), (2, "Twenty"));
        assert_eq!(cuts[1].heard, "");
    }
}
