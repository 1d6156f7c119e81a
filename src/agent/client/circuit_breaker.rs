//! Skips a provider that fails repeatedly. Pure: the time is an argument.

use crate::agent::reply_failure::ReplyFailure;
use std::time::{Duration, Instant};

/// Failures further apart than this do not count as failures in a row.
pub(super) const FAILURE_WINDOW: Duration = Duration::from_secs(60);

/// Closed: requests pass. Open: requests fail fast for `open_for`. Half-open: one probe; its result closes or
/// reopens the breaker. A probe without a result (its caller hung up) expires after `open_for`.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    failures_max: u32,
    open_for: Duration,
    state: BreakerState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BreakerState {
    Closed {
        failures: u32,
        last_failure_at: Option<Instant>,
    },
    Open {
        since: Instant,
        cause: ReplyFailure,
    },
    HalfOpen {
        since: Instant,
        cause: ReplyFailure,
    },
}

impl CircuitBreaker {
    /// Opens after `failures_max` (at least 1) failures in a row, for `open_for`.
    pub(in crate::agent) fn new(failures_max: u32, open_for: Duration) -> Self {
        Self {
            failures_max,
            open_for,
            state: BreakerState::Closed {
                failures: 0,
                last_failure_at: None,
            },
        }
    }

    /// Lets a request pass, as the probe when the breaker is half-open.
    ///
    /// # Errors
    /// The failure that opened the breaker, while requests are not allowed.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), ReplyFailure> {
        match self.state {
            BreakerState::Closed { .. } => Ok(()),
            BreakerState::Open { since, cause: by }
            | BreakerState::HalfOpen { since, cause: by } => {
                if now.saturating_duration_since(since) < self.open_for {
                    return Err(by);
                }
                self.state = BreakerState::HalfOpen {
                    since: now,
                    cause: by,
                };
                Ok(())
            }
        }
    }

    /// The first event has arrived.
    pub(super) fn record_success(&mut self) {
        self.state = BreakerState::Closed {
            failures: 0,
            last_failure_at: None,
        };
    }

    /// An attempt failed. Returns whether the breaker opened by it.
    pub(super) fn record_failure(&mut self, failure: ReplyFailure, now: Instant) -> bool {
        if !counts_against_provider(&failure) {
            if self.is_half_open() && is_request_error(&failure) {
                // The provider answered: a rejected request is a successful probe.
                self.record_success();
            }
            return false;
        }
        let failures = match self.state {
            // Attempts that began before it opened may report late; they do not prolong the open state.
            BreakerState::Open { .. } => return false,
            BreakerState::HalfOpen { .. } => self.failures_max,
            BreakerState::Closed {
                failures,
                last_failure_at: last_at,
            } => {
                let fresh =
                    last_at.is_some_and(|at| now.saturating_duration_since(at) <= FAILURE_WINDOW);
                if fresh { failures + 1 } else { 1 }
            }
        };
        let opens = failures >= self.failures_max;
        self.state = match opens {
            true => BreakerState::Open {
                since: now,
                cause: failure,
            },
            false => BreakerState::Closed {
                failures,
                last_failure_at: Some(now),
            },
        };
        opens
    }

    fn is_half_open(&self) -> bool {
        matches!(self.state, BreakerState::HalfOpen { .. })
    }
}

/// A request that is rejected because of its content says nothing about the next one.
fn counts_against_provider(failure: &ReplyFailure) -> bool {
    !is_request_error(failure) && !matches!(failure, ReplyFailure::LimitExceeded)
}

/// Whether the provider works and only this request was wrong.
fn is_request_error(failure: &ReplyFailure) -> bool {
    matches!(failure, ReplyFailure::Refused(400 | 413 | 422))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(10);

    fn opened(at: Instant) -> CircuitBreaker {
        let mut breaker = CircuitBreaker::new(3, OPEN_FOR);
        let opens: Vec<bool> = (0..3)
            .map(|_| breaker.record_failure(ReplyFailure::Connect, at))
            .collect();
        assert_eq!(opens, [false, false, true]);
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_says_why() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(
            breaker.admit(now + OPEN_FOR / 2),
            Err(ReplyFailure::Connect)
        );
    }

    #[test]
    fn a_success_between_starts_the_count_again() {
        let now = Instant::now();
        let mut breaker = CircuitBreaker::new(2, OPEN_FOR);
        for _ in 0..10 {
            assert!(!breaker.record_failure(ReplyFailure::Stalled, now));
            breaker.record_success();
        }
        assert_eq!(breaker.admit(now), Ok(()));
    }

    #[test]
    fn failures_far_apart_do_not_add_up() {
        let mut breaker = CircuitBreaker::new(2, OPEN_FOR);
        let start = Instant::now();
        for minute in 0..10 {
            assert!(!breaker.record_failure(
                ReplyFailure::Connect,
                start + minute * (FAILURE_WINDOW + OPEN_FOR)
            ));
        }
    }

    #[test]
    fn after_a_while_one_may_try_and_closes_it_by_success() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + OPEN_FOR;
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(
            breaker.admit(later),
            Err(ReplyFailure::Connect),
            "only one probes"
        );
        breaker.record_success();
        assert_eq!(
            (breaker.admit(later), breaker.admit(later)),
            (Ok(()), Ok(()))
        );
    }

    #[test]
    fn a_failed_probe_opens_it_again_and_a_lost_one_is_given_up() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.admit(now + OPEN_FOR), Ok(()));
        assert!(breaker.record_failure(ReplyFailure::FirstTokenTimeout, now + OPEN_FOR));
        assert_eq!(
            breaker.admit(now + OPEN_FOR),
            Err(ReplyFailure::FirstTokenTimeout)
        );
        assert_eq!(breaker.admit(now + 2 * OPEN_FOR), Ok(()));
        assert!(breaker.admit(now + 2 * OPEN_FOR).is_err());
        assert_eq!(
            breaker.admit(now + 3 * OPEN_FOR),
            Ok(()),
            "the probe never came back"
        );
    }

    #[test]
    fn a_question_refused_for_its_own_sake_does_not_count() {
        let mut breaker = CircuitBreaker::new(1, OPEN_FOR);
        assert!(!breaker.record_failure(ReplyFailure::Refused(400), Instant::now()));
        assert!(breaker.record_failure(ReplyFailure::Refused(401), Instant::now()));
    }

    #[test]
    fn a_probe_refused_for_its_own_sake_closes_it() {
        for status in [400, 413, 422] {
            let now = Instant::now();
            let mut breaker = opened(now);
            let later = now + OPEN_FOR;
            assert_eq!(breaker.admit(later), Ok(()));
            assert!(!breaker.record_failure(ReplyFailure::Refused(status), later));
            let admitted = (breaker.admit(later), breaker.admit(later));
            assert_eq!(admitted, (Ok(()), Ok(())), "{status}");
        }
    }

    #[test]
    fn a_refusal_that_comes_late_does_not_close_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert!(!breaker.record_failure(ReplyFailure::Refused(400), now));
        assert_eq!(breaker.admit(now), Err(ReplyFailure::Connect));
        assert_eq!(breaker.admit(now + OPEN_FOR), Ok(()));
        assert!(!breaker.record_failure(ReplyFailure::LimitExceeded, now + OPEN_FOR));
        assert!(breaker.admit(now + OPEN_FOR).is_err(), "it proves nothing");
    }
}
