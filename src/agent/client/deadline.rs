//! The deadline of an attempt until its first event.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long the first event of a response is waited for, from the last sign of activity.
pub(super) struct AttemptDeadline {
    silence_max: Duration,
    turn_deadline: Instant,
    /// When the server last showed activity.
    last_activity: Mutex<Instant>,
}

impl AttemptDeadline {
    /// The wait ends after `silence_max` without activity, at the latest at `turn_deadline`.
    pub(in crate::agent) fn new(silence_max: Duration, turn_deadline: Instant) -> Arc<Self> {
        Arc::new(Self {
            silence_max,
            turn_deadline,
            last_activity: Mutex::new(Instant::now()),
        })
    }

    /// Records activity: text, thinking, or the server's report that it is loading the model.
    pub(super) fn touch(&self) {
        *self
            .last_activity
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// The end of the whole turn.
    pub(super) fn turn_deadline(&self) -> Instant {
        self.turn_deadline
    }

    /// When the wait for the first event is over, unless [`touch`](Self::touch) moves it on.
    pub(super) fn due_at(&self) -> Instant {
        let last_activity = *self
            .last_activity
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (last_activity + self.silence_max).min(self.turn_deadline)
    }
}
