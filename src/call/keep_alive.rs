//! Whether a silent socket still stands: it is pinged, and one that has answered before and does not
//! any more is dead.
//!
//! Costs a timer that fires every [`KeepAlive::with_interval`] at most, however much is said meanwhile; the
//! calls' intervals differ, so that sockets opened together are not pinged together.

use calldex_observability::catalog;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::time::Instant;

/// An answer to a ping may take this long.
const PONG_WAIT_MAX: Duration = Duration::from_secs(10);

/// What is to be done about a socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeepAliveStep {
    /// Nothing.
    Wait,
    /// It was silent: a ping goes out.
    Ping,
    /// A ping was not answered, on a socket that never answered one: it is kept.
    Unanswered,
    /// A ping was not answered on a socket that answered before.
    Dead,
}

/// The state of one socket.
pub(super) struct KeepAlive {
    /// The silence after which the socket is pinged; `None`: never.
    interval: Option<Duration>,
    /// When it is looked at next.
    next_check: Instant,
    last_received: Instant,
    last_sent: Instant,
    /// A ping went out then and nothing has come since.
    ping_sent_at: Option<Instant>,
    /// This socket has answered a ping before.
    has_answered: bool,
}

impl KeepAlive {
    /// For a socket that has just opened: pinged after about `ping_ms` of silence, a fifth more or
    /// less; 0: never.
    pub(super) fn new(ping_ms: u64) -> Self {
        let spread = RandomState::new().hash_one(ping_ms) % (ping_ms * 2 / 5).max(1);
        Self::with_interval((ping_ms > 0).then(|| Duration::from_millis(ping_ms * 4 / 5 + spread)))
    }

    fn with_interval(interval: Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            interval,
            next_check: now + interval.unwrap_or_default(),
            last_received: now,
            last_sent: now,
            ping_sent_at: None,
            has_answered: false,
        }
    }

    /// When [`KeepAlive::check`] is due.
    pub(super) fn next_check(&self) -> Option<Instant> {
        self.interval.map(|_| self.next_check)
    }

    /// Something came in; whether it was the answer to a ping.
    pub(super) fn record_received(&mut self, pong: bool, now: Instant) {
        self.last_received = now;
        self.ping_sent_at = None;
        if pong {
            self.has_answered = true;
            catalog::PINGS_TOTAL.with("answered").increment(1);
        }
    }

    /// A frame goes out.
    pub(super) fn record_sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Looks, if it is time to.
    pub(super) fn check(&mut self, now: Instant) -> KeepAliveStep {
        let Some(every) = self.interval.filter(|_| self.next_check <= now) else {
            return KeepAliveStep::Wait;
        };
        if self.ping_sent_at.take().is_some() {
            self.next_check = now + every;
            return if self.has_answered {
                KeepAliveStep::Dead
            } else {
                KeepAliveStep::Unanswered
            };
        }
        // Proxies count both ways: what is silent in one of them may be taken for idle.
        let silent_since = self.last_received.min(self.last_sent);
        if now < silent_since + every {
            self.next_check = silent_since + every;
            return KeepAliveStep::Wait;
        }
        self.ping_sent_at = Some(now);
        self.last_sent = now;
        self.next_check = now + PONG_WAIT_MAX.min(every);
        KeepAliveStep::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(25);

    fn socket() -> (KeepAlive, Instant) {
        let alive = KeepAlive::with_interval(Some(EVERY));
        let began = alive.last_received;
        (alive, began)
    }

    #[test]
    fn a_socket_with_traffic_is_not_pinged_and_its_timer_is_not_moved() {
        let (mut alive, began) = socket();
        let due = alive.next_check();
        for second in 1..=20 {
            let now = began + Duration::from_secs(second);
            alive.record_received(false, now);
            alive.record_sent(now);
            assert_eq!(alive.next_check(), due, "no frame moves the timer");
        }
        assert_eq!(alive.check(began + EVERY), KeepAliveStep::Wait);
        assert_eq!(alive.next_check(), Some(began + Duration::from_secs(45)));
    }

    #[test]
    fn a_socket_that_is_silent_one_way_is_pinged() {
        let (mut alive, began) = socket();
        alive.record_received(false, began + Duration::from_secs(20));
        assert_eq!(alive.check(began + EVERY), KeepAliveStep::Ping);
    }

    #[test]
    fn a_missing_pong_means_dead_only_after_one_that_came() {
        let (mut alive, began) = socket();
        assert_eq!(alive.check(began + EVERY), KeepAliveStep::Ping);
        let bound = alive.next_check().unwrap();
        assert_eq!(bound, began + EVERY + PONG_WAIT_MAX);
        assert_eq!(alive.check(bound), KeepAliveStep::Unanswered);
        let again = alive.next_check().unwrap();
        assert_eq!(alive.check(again), KeepAliveStep::Ping, "it is asked again");
        alive.record_received(true, again);
        let quiet = alive.next_check().unwrap();
        assert_eq!(alive.check(quiet), KeepAliveStep::Wait);
        let silent = again + EVERY;
        alive.next_check = silent;
        assert_eq!(alive.check(silent), KeepAliveStep::Ping);
        assert_eq!(
            alive.check(alive.next_check().unwrap()),
            KeepAliveStep::Dead
        );
    }

    #[test]
    fn no_interval_means_no_timer() {
        let mut alive = KeepAlive::with_interval(None);
        assert_eq!(alive.next_check(), None);
        assert_eq!(
            alive.check(Instant::now() + EVERY * 10),
            KeepAliveStep::Wait
        );
    }
}
