//! Whether a silent socket still stands: it is pinged, and one that has answered before and does not
//! any more is dead.
//!
//! Costs a timer that fires every [`KeepAlive::every`] at most, however much is said meanwhile; the
//! calls' intervals differ, so that sockets opened together are not pinged together.

use calldex_observability::catalog;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::time::Instant;

/// An answer to a ping may take this long.
const PONG_MAX: Duration = Duration::from_secs(10);

/// What is to be done about a socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pulse {
    /// Nothing.
    Quiet,
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
    every: Option<Duration>,
    /// When it is looked at next.
    due: Instant,
    received: Instant,
    sent: Instant,
    /// A ping went out then and nothing has come since.
    pinged: Option<Instant>,
    /// This socket has answered a ping before.
    answers: bool,
}

impl KeepAlive {
    /// For a socket that has just opened: pinged after about `ping_ms` of silence, a fifth more or
    /// less; 0: never.
    pub(super) fn new(ping_ms: u64) -> Self {
        let spread = RandomState::new().hash_one(ping_ms) % (ping_ms * 2 / 5).max(1);
        Self::every((ping_ms > 0).then(|| Duration::from_millis(ping_ms * 4 / 5 + spread)))
    }

    fn every(every: Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            every,
            due: now + every.unwrap_or_default(),
            received: now,
            sent: now,
            pinged: None,
            answers: false,
        }
    }

    /// When [`KeepAlive::tick`] is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.every.map(|_| self.due)
    }

    /// Something came in; whether it was the answer to a ping.
    pub(super) fn received(&mut self, pong: bool, now: Instant) {
        self.received = now;
        self.pinged = None;
        if pong {
            self.answers = true;
            catalog::PINGS_TOTAL.with("answered").increment(1);
        }
    }

    /// A frame goes out.
    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = now;
    }

    /// Looks, if it is time to.
    pub(super) fn tick(&mut self, now: Instant) -> Pulse {
        let Some(every) = self.every.filter(|_| self.due <= now) else {
            return Pulse::Quiet;
        };
        if self.pinged.take().is_some() {
            self.due = now + every;
            return if self.answers {
                Pulse::Dead
            } else {
                Pulse::Unanswered
            };
        }
        // Proxies count both ways: what is silent in one of them may be taken for idle.
        let silent_since = self.received.min(self.sent);
        if now < silent_since + every {
            self.due = silent_since + every;
            return Pulse::Quiet;
        }
        self.pinged = Some(now);
        self.sent = now;
        self.due = now + PONG_MAX.min(every);
        Pulse::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(25);

    fn socket() -> (KeepAlive, Instant) {
        let alive = KeepAlive::every(Some(EVERY));
        let began = alive.received;
        (alive, began)
    }

    #[test]
    fn a_socket_that_speaks_is_not_pinged_and_its_timer_stays_where_it_is() {
        let (mut alive, began) = socket();
        let due = alive.due();
        for second in 1..=20 {
            let now = began + Duration::from_secs(second);
            alive.received(false, now);
            alive.sent(now);
            assert_eq!(alive.due(), due, "no frame moves the timer");
        }
        assert_eq!(alive.tick(began + EVERY), Pulse::Quiet);
        assert_eq!(alive.due(), Some(began + Duration::from_secs(45)));
    }

    #[test]
    fn a_socket_that_is_silent_one_way_is_pinged() {
        let (mut alive, began) = socket();
        alive.received(false, began + Duration::from_secs(20));
        assert_eq!(alive.tick(began + EVERY), Pulse::Ping);
    }

    #[test]
    fn a_missing_answer_is_death_only_after_one_that_came() {
        let (mut alive, began) = socket();
        assert_eq!(alive.tick(began + EVERY), Pulse::Ping);
        let bound = alive.due().unwrap();
        assert_eq!(bound, began + EVERY + PONG_MAX);
        assert_eq!(alive.tick(bound), Pulse::Unanswered);
        let again = alive.due().unwrap();
        assert_eq!(alive.tick(again), Pulse::Ping, "it is asked again");
        alive.received(true, again);
        let quiet = alive.due().unwrap();
        assert_eq!(alive.tick(quiet), Pulse::Quiet);
        let silent = again + EVERY;
        alive.due = silent;
        assert_eq!(alive.tick(silent), Pulse::Ping);
        assert_eq!(alive.tick(alive.due().unwrap()), Pulse::Dead);
    }

    #[test]
    fn no_interval_means_no_timer() {
        let mut alive = KeepAlive::every(None);
        assert_eq!(alive.due(), None);
        assert_eq!(alive.tick(Instant::now() + EVERY * 10), Pulse::Quiet);
    }
}
