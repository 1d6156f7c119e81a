//! What the caller's ear gets: clauses spoken one after another, queue, interrupts, preemption (docs/protocol.md 4.4,
//! 4.6, 5.2).
//!
//! Pure: every input carries `now`, Twilio's time since the session began, and may not go back. [`Playback::advance`]
//! is due at [`Playback::next_deadline`]; each input advances by itself.

mod clause;
mod pace;
mod piece;

#[cfg(test)]
mod tests;

pub use pace::Pace;
pub use piece::{InterruptCause, Interruptible, PieceFlags};

use piece::{OpenCycle, Piece, PieceContent, PlayingPiece};
use std::{collections::VecDeque, time::Duration};

/// How long the voice counts as speaking between two clauses of a reply that is still being written.
const GAP_MAX: Duration = Duration::from_millis(1000);
/// The same after a preemption, until the newer message sounds.
const PREEMPTION_GAP_MAX: Duration = Duration::from_millis(2000);
/// A clause whose punctuation ends the text so far is spoken when nothing follows for this long.
const TRAILING_WAIT: Duration = Duration::from_millis(150);
/// Pieces waiting at most; what comes beyond is not played.
pub const QUEUE_PIECES_MAX: usize = 10_000;

/// Something that the server may hear about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaybackEvent {
    /// `agentSpeaking`.
    Speaking(bool),
    /// `tokensPlayed`, of this talk cycle.
    Played { cycle: u64, text: String },
    /// A later message cut this cycle off.
    CutShort { cycle: u64 },
}

/// What an interrupt reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaybackInterrupt {
    /// Cycle in play.
    pub cycle: u64,
    /// What was heard of the clause in play, trimmed.
    pub fragment: String,
    pub duration_ms: u64,
}

/// The queue of one session and what sounds now.
#[derive(Debug, Default)]
pub struct Playback {
    pace: Pace,
    queue: VecDeque<Piece>,
    current: Option<PlayingPiece>,
    open: Option<OpenCycle>,
    speaking: bool,
    /// Between two pieces the voice counts as speaking until then.
    held_until: Option<Duration>,
    /// When the last piece ended.
    free_at: Duration,
}

enum PlaybackTimer {
    Flush,
    Finish,
    Start,
    LetGo,
}

impl Playback {
    /// Nothing queued.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            ..Self::default()
        }
    }

    /// The voice can be heard, or is between two clauses.
    pub fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// Nothing sounds and nothing is queued; an unclosed tail does not count, for it is never spoken.
    pub fn is_drained(&self) -> bool {
        self.current.is_none()
            && self.queue.is_empty()
            && !self
                .open
                .as_ref()
                .is_some_and(OpenCycle::ends_in_punctuation)
    }

    /// Queues the greeting: one piece, reported as a whole.
    pub fn greet(&mut self, text: &str, interruptible: Interruptible, now: Duration) {
        let marks = PieceFlags {
            interruptible,
            preemptible: false,
        };
        let piece = Piece {
            cycle: 0,
            voice: PieceContent::Words(text.to_owned()),
            marks,
            ready_at: now + self.pace.greeting_after,
        };
        let begun_before = self.pace.greeting_before;
        if begun_before.is_zero() {
            self.push(piece);
            return;
        }
        // Nobody is told that it began.
        self.speaking = true;
        let until = now + piece.voice.lasts(&self.pace).saturating_sub(begun_before);
        self.current = Some(PlayingPiece {
            piece,
            since: now,
            begun_before,
            until,
        });
    }

    /// Takes a token of a talk cycle. A cycle's first token cuts off whatever is preemptible.
    pub fn text(
        &mut self,
        cycle: u64,
        token: &str,
        marks: PieceFlags,
        now: Duration,
    ) -> Vec<PlaybackEvent> {
        let mut sounds = self.advance(now);
        if token.is_empty() {
            return sounds;
        }
        if self.open.as_ref().is_none_or(|open| open.cycle != cycle) {
            self.close(now);
            sounds.extend(self.preempt(now));
            self.open = Some(OpenCycle::new(cycle, marks, now));
        }
        if let Some(open) = &mut self.open {
            open.add(token, marks, now);
        }
        self.take_clauses(now);
        sounds
    }

    /// Closes the open cycle: its tail is spoken.
    pub fn close(&mut self, now: Duration) {
        if let Some(mut open) = self.open.take() {
            let tail = std::mem::take(&mut open.text);
            self.say(&open, tail, now);
        }
    }

    /// Queues a sound file that lasts this long.
    pub fn media(
        &mut self,
        cycle: u64,
        lasts: Duration,
        marks: PieceFlags,
        now: Duration,
    ) -> Vec<PlaybackEvent> {
        self.enqueue(cycle, PieceContent::Media(lasts), marks, now)
    }

    /// Queues keypad tones.
    pub fn digits(&mut self, cycle: u64, digits: &str, now: Duration) -> Vec<PlaybackEvent> {
        let marks = PieceFlags {
            interruptible: Interruptible::NONE,
            preemptible: false,
        };
        self.enqueue(cycle, PieceContent::Tones(digits.to_owned()), marks, now)
    }

    fn enqueue(
        &mut self,
        cycle: u64,
        voice: PieceContent,
        marks: PieceFlags,
        now: Duration,
    ) -> Vec<PlaybackEvent> {
        let mut sounds = self.advance(now);
        sounds.extend(self.preempt(now));
        self.push(Piece {
            cycle,
            voice,
            marks,
            ready_at: now,
        });
        sounds
    }

    /// The caller speaks or presses a key. Where that stops the voice, everything queued is thrown away and the cut
    /// is returned; the voice is silent from here on.
    pub fn interrupt(&mut self, by: InterruptCause, now: Duration) -> Option<PlaybackInterrupt> {
        if !self.speaking && self.current.is_none() {
            return None;
        }
        let cut = match (&self.current, &self.open) {
            (Some(current), _) if current.piece.marks.interruptible.allows(by) => {
                current.cut(&self.pace, now)
            }
            (None, open)
                if open
                    .as_ref()
                    .is_none_or(|open| open.marks.interruptible.allows(by)) =>
            {
                let cycle = open.as_ref().map_or(0, |open| open.cycle);
                PlaybackInterrupt {
                    cycle,
                    fragment: String::new(),
                    duration_ms: 0,
                }
            }
            _ => return None,
        };
        *self = Self {
            pace: self.pace.clone(),
            free_at: now,
            ..Self::default()
        };
        Some(cut)
    }

    /// Lets time pass up to `now`.
    pub fn advance(&mut self, now: Duration) -> Vec<PlaybackEvent> {
        let mut sounds = Vec::new();
        while let Some((at, due)) = self.due().filter(|(at, _)| *at <= now) {
            match due {
                PlaybackTimer::Flush => self.flush_trailing(at),
                PlaybackTimer::Finish => self.finish(at, &mut sounds),
                PlaybackTimer::Start => self.start(at, &mut sounds),
                PlaybackTimer::LetGo => self.stop_playing(&mut sounds),
            }
        }
        sounds
    }

    /// When something happens next if no input comes.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.due().map(|(at, _)| at)
    }

    /// What is due first; of things due at once a flush goes first, so that a clause is queued before silence falls.
    fn due(&self) -> Option<(Duration, PlaybackTimer)> {
        let flush = self.open.as_ref().filter(|open| open.ends_in_punctuation());
        let flush = flush.map(|open| (open.last_at + TRAILING_WAIT, PlaybackTimer::Flush));
        let sound = match (&self.current, self.queue.front(), self.held_until) {
            (Some(current), _, _) => Some((current.until, PlaybackTimer::Finish)),
            (None, Some(piece), _) => {
                Some((piece.ready_at.max(self.free_at), PlaybackTimer::Start))
            }
            (None, None, Some(until)) => Some((until, PlaybackTimer::LetGo)),
            (None, None, None) => None,
        };
        match (flush, sound) {
            (Some(flush), Some(sound)) if flush.0 <= sound.0 => Some(flush),
            (flush, None) => flush,
            (_, sound) => sound,
        }
    }

    fn flush_trailing(&mut self, at: Duration) {
        if let Some(mut open) = self.open.take() {
            let text = std::mem::take(&mut open.text);
            self.say(&open, text, at);
            self.open = Some(open);
        }
    }

    fn finish(&mut self, at: Duration, sounds: &mut Vec<PlaybackEvent>) {
        let Some(current) = self.current.take() else {
            return;
        };
        self.free_at = at;
        if let Some(text) = current.piece.voice.reported() {
            sounds.push(PlaybackEvent::Played {
                cycle: current.piece.cycle,
                text,
            });
        }
        match self.queue.front() {
            Some(next) if next.voice.is_words() => {}
            None if self.speaking && self.open.is_some() => self.held_until = Some(at + GAP_MAX),
            _ => self.stop_playing(sounds),
        }
    }

    fn start(&mut self, at: Duration, sounds: &mut Vec<PlaybackEvent>) {
        let Some(piece) = self.queue.pop_front() else {
            return;
        };
        self.held_until = None;
        if piece.voice.is_words() && !self.speaking {
            self.speaking = true;
            sounds.push(PlaybackEvent::Speaking(true));
        }
        let until = at + piece.voice.lasts(&self.pace);
        self.current = Some(PlayingPiece {
            piece,
            since: at,
            begun_before: Duration::ZERO,
            until,
        });
    }

    fn stop_playing(&mut self, sounds: &mut Vec<PlaybackEvent>) {
        self.held_until = None;
        if std::mem::take(&mut self.speaking) {
            sounds.push(PlaybackEvent::Speaking(false));
        }
    }

    /// A newer message arrives: preemptible pieces go, the one in play is reported as far as it was heard. The voice
    /// does not count as silent in between, and no interrupt follows.
    fn preempt(&mut self, now: Duration) -> Vec<PlaybackEvent> {
        let mut gone: Vec<u64> = Vec::new();
        let mut sounds = Vec::new();
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.piece.marks.preemptible)
            && let Some(current) = self.current.take()
        {
            let PlaybackInterrupt {
                cycle, fragment, ..
            } = current.cut(&self.pace, now);
            gone.push(cycle);
            self.free_at = now;
            self.held_until = self.speaking.then_some(now + PREEMPTION_GAP_MAX);
            if !fragment.is_empty() {
                sounds.push(PlaybackEvent::Played {
                    cycle,
                    text: fragment,
                });
            }
        }
        self.queue.retain(|piece| {
            if piece.marks.preemptible && gone.last() != Some(&piece.cycle) {
                gone.push(piece.cycle);
            }
            !piece.marks.preemptible
        });
        sounds.extend(
            gone.into_iter()
                .map(|cycle| PlaybackEvent::CutShort { cycle }),
        );
        sounds
    }

    fn take_clauses(&mut self, now: Duration) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        while let Some(clause) = open.take_clause() {
            self.say(&open, clause, now);
            open.clause_marks = open.marks;
        }
        self.open = Some(open);
    }

    fn say(&mut self, open: &OpenCycle, text: String, now: Duration) {
        if text.trim().is_empty() {
            return;
        }
        let synthesised = now + self.pace.synthesis;
        let idle = !self.speaking && self.current.is_none() && self.queue.is_empty();
        let first_audio = if idle {
            open.first_at + self.pace.first_audio
        } else {
            now
        };
        self.push(Piece {
            cycle: open.cycle,
            voice: PieceContent::Words(text),
            marks: open.clause_marks,
            ready_at: synthesised.max(first_audio),
        });
    }

    fn push(&mut self, piece: Piece) {
        if self.queue.len() < QUEUE_PIECES_MAX {
            self.queue.push_back(piece);
        }
    }
}
