//! Whether a connection to the model lies ready, as far as can be told from outside the pool. Pure.

use std::time::{Duration, Instant};

/// How long a connection that lies idle is taken to be alive.
const FRESH: Duration = Duration::from_secs(30);

/// At most one connection is opened ahead at a time, and none while one lies ready.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    opening: bool,
    ready_at: Option<Instant>,
    /// HTTP/2: one connection carries many replies, so that using it does not use it up.
    shared: bool,
}

impl Warmth {
    /// Whether a connection should be opened now; if so, [`Warmth::opened`] must follow.
    pub(super) fn should_open(&mut self, now: Instant) -> bool {
        let ready = self
            .ready_at
            .is_some_and(|at| now.saturating_duration_since(at) < FRESH);
        let should = !ready && !self.opening;
        self.opening |= should;
        should
    }

    /// The attempt to open one is over; `shared` is given if it succeeded.
    pub(super) fn opened(&mut self, shared: Option<bool>, now: Instant) {
        self.opening = false;
        if let Some(shared) = shared {
            self.shared = shared;
            self.ready_at = Some(now);
        }
    }

    /// A reply takes the connection that lies ready.
    pub(super) fn taken(&mut self) {
        if !self.shared {
            self.ready_at = None;
        }
    }

    /// A reply was read to its end: its connection lies ready again.
    pub(super) fn returned(&mut self, shared: bool, now: Instant) {
        self.shared = shared;
        self.ready_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_opened_at_a_time_and_none_while_one_lies_ready() {
        let (mut warmth, now) = (Warmth::default(), Instant::now());
        assert!(warmth.should_open(now));
        assert!(!warmth.should_open(now), "one is being opened");
        warmth.opened(Some(false), now);
        assert!(!warmth.should_open(now), "one lies ready");
        assert!(warmth.should_open(now + FRESH), "it may be dead by now");
        warmth.opened(None, now + FRESH);
        assert!(warmth.should_open(now + FRESH), "the last attempt failed");
    }

    #[test]
    fn a_reply_uses_up_a_connection_unless_it_is_shared() {
        for (shared, opens) in [(false, true), (true, false)] {
            let (mut warmth, now) = (Warmth::default(), Instant::now());
            assert!(warmth.should_open(now));
            warmth.opened(Some(shared), now);
            warmth.taken();
            assert_eq!(warmth.should_open(now), opens);
        }
    }

    #[test]
    fn a_reply_gives_its_connection_back() {
        let (mut warmth, now) = (Warmth::default(), Instant::now());
        warmth.returned(false, now);
        assert!(!warmth.should_open(now));
    }
}
