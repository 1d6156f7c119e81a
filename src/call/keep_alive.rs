//! Keep-alive of a socket: a silent socket is pinged. A socket that has answered pings before and does not
//! answer one is dead.
//!
//! The timer fires at most once per interval, whatever the traffic. The intervals of the calls differ, so
//! that sockets opened together are not pinged together.

use calldex_observability::catalog;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::time::Instant;

/// How long the answer to a ping may take.
const PONG_WAIT_MAX: Duration = Duration::from_secs(10);

/// What the session has to do about its socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeepAliveStep {
    /// Nothing.
    Wait,
    /// The socket was silent: send a ping.
    Ping,
    /// A ping was not answered, but the socket has never answered one: keep it.
    Unanswered,
    /// A ping was not answered, and the socket has answered before: close it.
    Dead,
}

/// The state of one socket.
pub(super) struct KeepAlive {
    /// The silence after which the socket is pinged; `None`: never.
    interval: Option<Duration>,
    /// The time of the next check.
    next_check: Instant,
    last_received: Instant,
    last_sent: Instant,
    /// When the ping was sent that nothing was received after.
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

    /// Records that something was received. `pong`: it was the answer to a ping.
    pub(super) fn record_received(&mut self, pong: bool, now: Instant) {
        self.last_received = now;
        self.ping_sent_at = None;
        if pong {
            self.has_answered = true;
            catalog::PINGS_TOTAL.with("answered").increment(1);
        }
    }

    /// Records that a frame was sent.
    pub(super) fn record_sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Checks the socket if that is due.
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
        // A proxy may take a socket for idle that is silent in one direction.
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
