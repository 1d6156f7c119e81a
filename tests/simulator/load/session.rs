//! What one caller of a load sees of its session.

use crate::twilio::{
    ViolationKind,
    internals::{Observer, SessionDriver, SessionObservation},
};
use std::time::Duration;
use tokio::time::Instant;

/// The socket and what is needed at its end.
pub(super) struct LoadSession {
    pub(super) line: SessionDriver,
    pub(super) watch: ReplyObserver,
    pub(super) session_id: String,
    pub(super) action: Option<String>,
    pub(super) since: Instant,
}

/// What a session has shown since the caller spoke last.
pub(super) struct ReplyObserver {
    pub(super) first_token: Option<Instant>,
    pub(super) last_token: Option<Instant>,
    pub(super) gaps: Vec<Duration>,
    pub(super) tokens: u64,
    pub(super) heard: String,
    /// The reply that is coming in is no bridge: not all of it is marked preemptible.
    pub(super) firm: bool,
    /// A whole reply came, and it was no bridge.
    pub(super) answered: Option<Instant>,
    pub(super) interrupted: bool,
    pub(super) not_speaking: bool,
    pub(super) violations: Vec<ViolationKind>,
}

impl ReplyObserver {
    pub(super) fn new() -> Self {
        Self {
            first_token: None,
            last_token: None,
            gaps: Vec::new(),
            tokens: 0,
            heard: String::new(),
            firm: false,
            answered: None,
            interrupted: false,
            not_speaking: false,
            violations: Vec::new(),
        }
    }

    pub(super) fn forget(&mut self) {
        let violations = std::mem::take(&mut self.violations);
        *self = Self {
            violations,
            ..Self::new()
        };
    }
}

impl Observer for ReplyObserver {
    fn saw(&mut self, seen: SessionObservation, at: Instant) {
        match seen {
            SessionObservation::Token {
                text,
                last,
                preemptible,
                ..
            } => {
                if !text.is_empty() {
                    self.tokens += 1;
                    self.first_token.get_or_insert(at);
                    self.gaps.extend(
                        self.last_token
                            .map(|before| at.saturating_duration_since(before)),
                    );
                    self.last_token = Some(at);
                    self.heard.push_str(&text);
                }
                self.firm |= !text.is_empty() && !preemptible;
                if last && std::mem::take(&mut self.firm) {
                    self.answered.get_or_insert(at);
                }
            }
            SessionObservation::Interrupted { .. } => self.interrupted = true,
            SessionObservation::NotSpeaking => self.not_speaking = true,
            SessionObservation::Violation(kind, _) => self.violations.push(kind),
            SessionObservation::Played { .. }
            | SessionObservation::CutShort { .. }
            | SessionObservation::Asked
            | SessionObservation::Said => {}
        }
    }
}
