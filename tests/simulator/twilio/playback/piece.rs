//! What waits in the queue and what sounds.

use super::{PlaybackInterrupt, clause, pace::Pace};
use std::time::Duration;

/// Half a second, as `w` in `sendDigits`.
const TONE_PAUSE: Duration = Duration::from_millis(500);

/// What the caller did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptCause {
    Speech,
    Key,
}

/// Which caller input stops a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interruptible {
    pub speech: bool,
    pub key: bool,
}

impl Interruptible {
    pub const ANY: Self = Self {
        speech: true,
        key: true,
    };
    pub const NONE: Self = Self {
        speech: false,
        key: false,
    };

    /// This input stops it.
    pub fn allows(self, by: InterruptCause) -> bool {
        match by {
            InterruptCause::Speech => self.speech,
            InterruptCause::Key => self.key,
        }
    }
}

/// What may stop a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceFlags {
    pub interruptible: Interruptible,
    /// A later message of the server may cut it off.
    pub preemptible: bool,
}

#[derive(Debug)]
pub(super) enum PieceContent {
    Words(String),
    Tones(String),
    Media(Duration),
}

impl PieceContent {
    pub(super) fn is_words(&self) -> bool {
        matches!(self, Self::Words(_))
    }

    pub(super) fn lasts(&self, pace: &Pace) -> Duration {
        match self {
            Self::Words(text) => pace.speaking(text.trim().chars().count()),
            Self::Tones(digits) => digits
                .chars()
                .map(|digit| if digit == 'w' { TONE_PAUSE } else { pace.tone })
                .sum(),
            Self::Media(lasts) => *lasts,
        }
    }

    /// What `tokensPlayed` says at its end; a sound file reports nothing.
    pub(super) fn reported(self) -> Option<String> {
        match self {
            Self::Words(text) | Self::Tones(text) => Some(text),
            Self::Media(_) => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Piece {
    pub(super) cycle: u64,
    pub(super) voice: PieceContent,
    pub(super) marks: PieceFlags,
    /// Not audible before this.
    pub(super) ready_at: Duration,
}

#[derive(Debug)]
pub(super) struct PlayingPiece {
    pub(super) piece: Piece,
    pub(super) since: Duration,
    /// It had been audible for so long then.
    pub(super) begun_before: Duration,
    pub(super) until: Duration,
}

impl PlayingPiece {
    /// How far it was heard.
    pub(super) fn cut(&self, pace: &Pace, now: Duration) -> PlaybackInterrupt {
        let elapsed = now.saturating_sub(self.since) + self.begun_before;
        let fragment = match &self.piece.voice {
            PieceContent::Words(text) => {
                let characters = text.trim().chars().count();
                clause::heard(text, pace.spoken(characters, elapsed))
            }
            PieceContent::Tones(_) | PieceContent::Media(_) => String::new(),
        };
        PlaybackInterrupt {
            cycle: self.piece.cycle,
            fragment,
            duration_ms: elapsed.as_millis() as u64,
        }
    }
}

/// A talk cycle whose `last:true` has not come: text that is not yet a clause.
#[derive(Debug)]
pub(super) struct OpenCycle {
    pub(super) cycle: u64,
    pub(super) first_at: Duration,
    pub(super) last_at: Duration,
    pub(super) text: String,
    /// Marks of the clause being written.
    pub(super) marks: PieceFlags,
    /// Marks of the clause taken last.
    pub(super) clause_marks: PieceFlags,
}

impl OpenCycle {
    pub(super) fn new(cycle: u64, marks: PieceFlags, now: Duration) -> Self {
        Self {
            cycle,
            first_at: now,
            last_at: now,
            text: String::new(),
            marks,
            clause_marks: marks,
        }
    }

    /// Adds a token. A clause has the marks of the token that began it.
    pub(super) fn add(&mut self, token: &str, marks: PieceFlags, now: Duration) {
        if self.text.trim().is_empty() {
            self.clause_marks = marks;
        }
        self.text.push_str(token);
        self.marks = marks;
        self.last_at = now;
    }

    pub(super) fn take_clause(&mut self) -> Option<String> {
        let length = clause::first_clause(&self.text)?;
        let rest = self.text.split_off(length);
        Some(std::mem::replace(&mut self.text, rest))
    }

    pub(super) fn ends_in_punctuation(&self) -> bool {
        clause::may_end_here(&self.text)
    }
}
