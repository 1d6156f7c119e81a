//! Stops waiting for a dead provider. Pure: the time comes in as an argument.

use super::failure::Failure;
use std::time::{Duration, Instant};

/// Failures further apart than this do not belong together.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// Closed: all may ask. Open: nobody may, for a while. Then one may, and by its luck the breaker
/// closes or opens again. A probe that never reports (its caller hung up) is given up after the
/// same while.
#[derive(Debug)]
pub(super) struct Breaker {
    failures_max: u32,
    open_for: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
        last_at: Option<Instant>,
    },
    Open {
        since: Instant,
        by: Failure,
    },
    Probing {
        since: Instant,
        by: Failure,
    },
}

impl Breaker {
    /// Opens after `failures_max` (at least 1) failures in a row, for `open_for`.
    pub(super) fn new(failures_max: u32, open_for: Duration) -> Self {
        Self {
            failures_max,
            open_for,
            state: State::Closed {
                failures: 0,
                last_at: None,
            },
        }
    }

    /// Whether the provider may be asked now; if not, the failure that opened the breaker.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Failure> {
        match self.state {
            State::Closed { .. } => Ok(()),
            State::Open { since, by } | State::Probing { since, by } => {
                if now.saturating_duration_since(since) < self.open_for {
                    return Err(by);
                }
                self.state = State::Probing { since: now, by };
                Ok(())
            }
        }
    }

    /// Speech has begun.
    pub(super) fn succeeded(&mut self) {
        self.state = State::Closed {
            failures: 0,
            last_at: None,
        };
    }

    /// An attempt failed. Returns whether the breaker opened by it.
    pub(super) fn failed(&mut self, failure: Failure, now: Instant) -> bool {
        if !tells_of_the_provider(&failure) {
            if self.is_probing() && refuses_the_question(&failure) {
                // It was reached and it judged: a refusal is what the probe was sent out for.
                self.succeeded();
            }
            return false;
        }
        let failures = match self.state {
            // Attempts that began before it opened report late: they prolong nothing.
            State::Open { .. } => return false,
            State::Probing { .. } => self.failures_max,
            State::Closed { failures, last_at } => {
                let fresh = last_at.is_some_and(|at| now.saturating_duration_since(at) <= WINDOW);
                if fresh { failures + 1 } else { 1 }
            }
        };
        let opens = failures >= self.failures_max;
        self.state = match opens {
            true => State::Open {
                since: now,
                by: failure,
            },
            false => State::Closed {
                failures,
                last_at: Some(now),
            },
        };
        opens
    }

    fn is_probing(&self) -> bool {
        matches!(self.state, State::Probing { .. })
    }
}

/// A question that is refused for its own sake says nothing about the next one.
fn tells_of_the_provider(failure: &Failure) -> bool {
    !refuses_the_question(failure) && !matches!(failure, Failure::TooLong)
}

/// Whether the provider lives and only this question was wrong.
fn refuses_the_question(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(400 | 413 | 422))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(10);

    fn opened(at: Instant) -> Breaker {
        let mut breaker = Breaker::new(3, OPEN_FOR);
        let opens: Vec<bool> = (0..3)
            .map(|_| breaker.failed(Failure::Connect, at))
            .collect();
        assert_eq!(opens, [false, false, true]);
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_says_why() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.admit(now + OPEN_FOR / 2), Err(Failure::Connect));
    }

    #[test]
    fn a_success_between_starts_the_count_again() {
        let now = Instant::now();
        let mut breaker = Breaker::new(2, OPEN_FOR);
        for _ in 0..10 {
            assert!(!breaker.failed(Failure::Stalled, now));
            breaker.succeeded();
        }
        assert_eq!(breaker.admit(now), Ok(()));
    }

    #[test]
    fn failures_far_apart_do_not_add_up() {
        let mut breaker = Breaker::new(2, OPEN_FOR);
        let start = Instant::now();
        for minute in 0..10 {
            assert!(!breaker.failed(Failure::Connect, start + minute * (WINDOW + OPEN_FOR)));
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
            Err(Failure::Connect),
            "only one probes"
        );
        breaker.succeeded();
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
        assert!(breaker.failed(Failure::FirstTokenTimeout, now + OPEN_FOR));
        assert_eq!(
            breaker.admit(now + OPEN_FOR),
            Err(Failure::FirstTokenTimeout)
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
        let mut breaker = Breaker::new(1, OPEN_FOR);
        assert!(!breaker.failed(Failure::Refused(400), Instant::now()));
        assert!(breaker.failed(Failure::Refused(401), Instant::now()));
    }

    #[test]
    fn a_probe_refused_for_its_own_sake_closes_it() {
        for status in [400, 413, 422] {
            let now = Instant::now();
            let mut breaker = opened(now);
            let later = now + OPEN_FOR;
            assert_eq!(breaker.admit(later), Ok(()));
            assert!(!breaker.failed(Failure::Refused(status), later));
            let admitted = (breaker.admit(later), breaker.admit(later));
            assert_eq!(admitted, (Ok(()), Ok(())), "{status}");
        }
    }

    #[test]
    fn a_refusal_that_comes_late_does_not_close_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert!(!breaker.failed(Failure::Refused(400), now));
        assert_eq!(breaker.admit(now), Err(Failure::Connect));
        assert_eq!(breaker.admit(now + OPEN_FOR), Ok(()));
        assert!(!breaker.failed(Failure::TooLong, now + OPEN_FOR));
        assert!(breaker.admit(now + OPEN_FOR).is_err(), "it proves nothing");
    }
}
