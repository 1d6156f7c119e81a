//! Whether a connection to the model lies ready, as far as can be told from outside the pool. Pure.

use std::time::{Duration, Instant};

/// How long a connection that lies idle is taken to be alive.
const FRESH: Duration = Duration::from_secs(30);

/// At most one connection is opened ahead at a time, and none while one lies ready.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    opening: bool,
    ready_at: Option<Instant>,
    /// HTTP/2: one connection carries many replies, so that using it does not use it up. Unknown
    /// before the first answer.
    shared: Option<bool>,
    /// When a reply last set out with nothing ready: it opens the connection by itself.
    dialled_at: Option<Instant>,
}

/// How a reply comes to its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Approach {
    /// It sets out at once.
    Clear,
    /// A connection that it can share is being opened.
    Wait,
    /// The same, and it is the one to see to it; [`Warmth::opened`] must follow.
    OpenAndWait,
}

impl Warmth {
    /// Whether a connection should be opened now; if so, [`Warmth::opened`] must follow.
    pub(super) fn should_open(&mut self, now: Instant) -> bool {
        let should = !self.is_ready(now) && !self.opening;
        self.opening |= should;
        should
    }

    fn is_ready(&self, now: Instant) -> bool {
        self.ready_at
            .is_some_and(|at| now.saturating_duration_since(at) < FRESH)
    }

    /// How a reply sets out where connections may be shared. The first with nothing ready dials by
    /// itself and so loses no time; those that come within `connect_max` of it, before it is
    /// answered, would dial one each: they wait for one more connection, and share it.
    pub(super) fn approach(&mut self, now: Instant, connect_max: Duration) -> Approach {
        if self.is_ready(now) || self.shared == Some(false) {
            return Approach::Clear;
        }
        if self.opening {
            return Approach::Wait;
        }
        let dialling = |at| now.saturating_duration_since(at) < connect_max;
        if self.dialled_at.is_some_and(dialling) {
            self.opening = true;
            return Approach::OpenAndWait;
        }
        self.dialled_at = Some(now);
        Approach::Clear
    }

    /// The attempt to open one is over; `shared` is given if it succeeded.
    pub(super) fn opened(&mut self, shared: Option<bool>, now: Instant) {
        self.opening = false;
        if let Some(shared) = shared {
            self.returned(shared, now);
        }
    }

    /// An answer has begun: if its connection is shared, the next reply can share it at once.
    pub(super) fn answered(&mut self, shared: bool, now: Instant) {
        self.shared = Some(shared);
        if shared {
            self.ready_at = Some(now);
        }
    }

    /// A reply takes the connection that lies ready.
    pub(super) fn taken(&mut self) {
        if self.shared != Some(true) {
            self.ready_at = None;
        }
    }

    /// A reply was read to its end: its connection lies ready again.
    pub(super) fn returned(&mut self, shared: bool, now: Instant) {
        self.shared = Some(shared);
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
    fn replies_that_begin_together_wait_for_one_connection() {
        let (mut warmth, now) = (Warmth::default(), Instant::now());
        let connect_max = Duration::from_secs(2);
        let mut approaches = [0; 4].map(|_| warmth.approach(now, connect_max));
        use Approach::{Clear, OpenAndWait, Wait};
        assert_eq!(approaches, [Clear, OpenAndWait, Wait, Wait]);
        warmth.opened(Some(true), now);
        approaches = [0; 4].map(|_| warmth.approach(now, connect_max));
        assert_eq!(approaches, [Clear; 4], "it lies ready");
    }

    #[test]
    fn nobody_waits_where_connections_are_not_shared_or_the_first_was_alone() {
        let (mut warmth, now) = (Warmth::default(), Instant::now());
        let connect_max = Duration::from_secs(2);
        for second in [0, 2, 4] {
            let later = now + Duration::from_secs(second);
            assert_eq!(warmth.approach(later, connect_max), Approach::Clear);
        }
        warmth.answered(false, now);
        for _ in 0..3 {
            assert_eq!(warmth.approach(now, connect_max), Approach::Clear);
        }
    }

    #[test]
    fn a_reply_gives_its_connection_back() {
        let (mut warmth, now) = (Warmth::default(), Instant::now());
        warmth.returned(false, now);
        assert!(!warmth.should_open(now));
    }
}
