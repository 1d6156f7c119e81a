//! Tracks whether a pooled connection is probably open. Pure.

use std::time::{Duration, Instant};

/// How long an idle connection is assumed to be alive.
const IDLE_CONNECTION_TTL: Duration = Duration::from_secs(30);

/// At most one connection is opened in advance at a time, and none while one is idle and alive.
#[derive(Debug, Default)]
pub(super) struct PrewarmState {
    is_opening: bool,
    ready_at: Option<Instant>,
    /// HTTP/2: one connection carries many requests at once. Unknown before the first response.
    is_multiplexed: Option<bool>,
    /// When a request was last sent without an idle connection: it opens one by itself.
    last_dial_at: Option<Instant>,
}

/// How a request gets its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectPlan {
    /// It is sent at once.
    ConnectNow,
    /// It waits for a connection that is being opened and can be shared.
    Wait,
    /// The same, and the request itself opens it; [`PrewarmState::prewarm_finished`] must follow.
    OpenAndWait,
}

impl PrewarmState {
    /// Whether a connection should be opened now; if so, [`PrewarmState::prewarm_finished`] must follow.
    pub(super) fn should_open(&mut self, now: Instant) -> bool {
        let should = !self.is_ready(now) && !self.is_opening;
        self.is_opening |= should;
        should
    }

    fn is_ready(&self, now: Instant) -> bool {
        self.ready_at
            .is_some_and(|at| now.saturating_duration_since(at) < IDLE_CONNECTION_TTL)
    }

    /// How a request gets its connection where connections may be shared. The first request without an idle
    /// connection connects by itself and loses no time. Requests that follow within `connect_max`, before the first
    /// is answered, would each open a connection: they wait for one more connection and share it.
    pub(super) fn connect_plan(&mut self, now: Instant, connect_max: Duration) -> ConnectPlan {
        if self.is_ready(now) || self.is_multiplexed == Some(false) {
            return ConnectPlan::ConnectNow;
        }
        if self.is_opening {
            return ConnectPlan::Wait;
        }
        let dialling = |at| now.saturating_duration_since(at) < connect_max;
        if self.last_dial_at.is_some_and(dialling) {
            self.is_opening = true;
            return ConnectPlan::OpenAndWait;
        }
        self.last_dial_at = Some(now);
        ConnectPlan::ConnectNow
    }

    /// Opening a connection has ended; `shared` is given if it succeeded.
    pub(super) fn prewarm_finished(&mut self, shared: Option<bool>, now: Instant) {
        self.is_opening = false;
        if let Some(shared) = shared {
            self.response_finished(shared, now);
        }
    }

    /// A response has begun: if its connection is shared, the next request can use it at once.
    pub(super) fn response_started(&mut self, shared: bool, now: Instant) {
        self.is_multiplexed = Some(shared);
        if shared {
            self.ready_at = Some(now);
        }
    }

    /// A request takes the idle connection.
    pub(super) fn request_started(&mut self) {
        if self.is_multiplexed != Some(true) {
            self.ready_at = None;
        }
    }

    /// A response was read to its end: its connection is idle again.
    pub(super) fn response_finished(&mut self, shared: bool, now: Instant) {
        self.is_multiplexed = Some(shared);
        self.ready_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_opened_at_a_time_and_none_while_one_lies_ready() {
        let (mut prewarm_state, now) = (PrewarmState::default(), Instant::now());
        assert!(prewarm_state.should_open(now));
        assert!(!prewarm_state.should_open(now), "one is being opened");
        prewarm_state.prewarm_finished(Some(false), now);
        assert!(!prewarm_state.should_open(now), "one is idle");
        assert!(
            prewarm_state.should_open(now + IDLE_CONNECTION_TTL),
            "it may be dead by now"
        );
        prewarm_state.prewarm_finished(None, now + IDLE_CONNECTION_TTL);
        assert!(
            prewarm_state.should_open(now + IDLE_CONNECTION_TTL),
            "the last attempt failed"
        );
    }

    #[test]
    fn a_reply_uses_up_a_connection_unless_it_is_shared() {
        for (shared, opens) in [(false, true), (true, false)] {
            let (mut prewarm_state, now) = (PrewarmState::default(), Instant::now());
            assert!(prewarm_state.should_open(now));
            prewarm_state.prewarm_finished(Some(shared), now);
            prewarm_state.request_started();
            assert_eq!(prewarm_state.should_open(now), opens);
        }
    }

    #[test]
    fn replies_that_begin_together_wait_for_one_connection() {
        let (mut prewarm_state, now) = (PrewarmState::default(), Instant::now());
        let connect_max = Duration::from_secs(2);
        let mut plans = [0; 4].map(|_| prewarm_state.connect_plan(now, connect_max));
        use ConnectPlan::{ConnectNow, OpenAndWait, Wait};
        assert_eq!(plans, [ConnectNow, OpenAndWait, Wait, Wait]);
        prewarm_state.prewarm_finished(Some(true), now);
        plans = [0; 4].map(|_| prewarm_state.connect_plan(now, connect_max));
        assert_eq!(plans, [ConnectNow; 4], "it is idle");
    }

    #[test]
    fn nobody_waits_where_connections_are_not_shared_or_the_first_was_alone() {
        let (mut prewarm_state, now) = (PrewarmState::default(), Instant::now());
        let connect_max = Duration::from_secs(2);
        for second in [0, 2, 4] {
            let later = now + Duration::from_secs(second);
            assert_eq!(
                prewarm_state.connect_plan(later, connect_max),
                ConnectPlan::ConnectNow
            );
        }
        prewarm_state.response_started(false, now);
        for _ in 0..3 {
            assert_eq!(
                prewarm_state.connect_plan(now, connect_max),
                ConnectPlan::ConnectNow
            );
        }
    }

    #[test]
    fn a_reply_gives_its_connection_back() {
        let (mut prewarm_state, now) = (PrewarmState::default(), Instant::now());
        prewarm_state.response_finished(false, now);
        assert!(!prewarm_state.should_open(now));
    }
}
