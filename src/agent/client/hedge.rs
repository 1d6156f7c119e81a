//! Hedging: a second request in parallel to a slow first one, and the budget for it.

use super::provider::Provider;
use calldex_observability::catalog;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The window over which hedged replies are compared with all replies, in steps of [`STEP`].
const WINDOW: Duration = Duration::from_secs(60);
const STEPS: usize = 12;
const STEP: Duration = Duration::from_secs(WINDOW.as_secs() / STEPS as u64);
/// Most replies of a window that are hedged, in percent. Beyond it a reply waits for the first request alone: a slow
/// provider must neither double the costs nor flood the fallback.
const HEDGES_PERCENT_MAX: u64 = 10;
/// Hedged replies that a window allows in any case: ten percent of a few replies would be none.
const HEDGES_MIN: u64 = 2;

/// The delay after which a reply is hedged, and the budget for it.
pub(in crate::agent) struct HedgePolicy {
    pub after: Duration,
    budget: Mutex<HedgeBudget>,
}

impl HedgePolicy {
    pub(in crate::agent) fn new(after_ms: u64) -> Self {
        Self {
            after: Duration::from_millis(after_ms),
            budget: Mutex::new(HedgeBudget::new(Instant::now())),
        }
    }

    /// Counts a reply that is requested.
    pub(super) fn record_reply(&self) {
        self.with_budget(|budget| budget.record_reply(Instant::now()));
    }

    /// Whether `provider` may be asked in parallel now. To be called at most once a reply.
    pub(super) fn admit(&self, provider: &Provider) -> Option<HedgeGuard> {
        let affordable = self.with_budget(|budget| budget.admit(Instant::now()));
        if affordable && provider.admit().is_ok() {
            return Some(HedgeGuard { result: "lost" });
        }
        catalog::MODEL_HEDGES_TOTAL.with("refused").increment(1);
        None
    }

    fn with_budget<T>(&self, act: impl FnOnce(&mut HedgeBudget) -> T) -> T {
        // A poisoned lock is used as it is: the budget is valid after every statement.
        act(&mut self.budget.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Guard of one hedged request. Counted on drop: lost, unless [`HedgeGuard::won`] was called.
pub(super) struct HedgeGuard {
    result: &'static str,
}

impl HedgeGuard {
    pub(super) fn won(mut self) {
        self.result = "won";
    }
}

impl Drop for HedgeGuard {
    fn drop(&mut self) {
        catalog::MODEL_HEDGES_TOTAL.with(self.result).increment(1);
    }
}

/// The replies and hedges of the last window. Pure: the time is an argument.
struct HedgeBudget {
    since: Instant,
    steps: [BudgetStep; STEPS],
}

#[derive(Clone, Copy, Default)]
struct BudgetStep {
    /// Number of the step since the start.
    index: u64,
    replies: u64,
    hedges: u64,
}

impl HedgeBudget {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            steps: [BudgetStep::default(); STEPS],
        }
    }

    fn record_reply(&mut self, now: Instant) {
        self.step(now).replies += 1;
    }

    /// Whether one more reply may be hedged; if so, it counts as hedged.
    fn admit(&mut self, now: Instant) -> bool {
        let newest = self.step(now).index;
        let window = self
            .steps
            .iter()
            .filter(|step| newest - step.index < STEPS as u64);
        let (replies, hedges) = window.fold((0, 0), |(replies, hedges), step| {
            (replies + step.replies, hedges + step.hedges)
        });
        let affordable = hedges < HEDGES_MIN.max(replies * HEDGES_PERCENT_MAX / 100);
        self.step(now).hedges += u64::from(affordable);
        affordable
    }

    /// The step of `now`; an older step in its slot is reset. A time before the newest step counts for the newest
    /// step: threads may call in any order.
    fn step(&mut self, now: Instant) -> &mut BudgetStep {
        let elapsed = now.saturating_duration_since(self.since).as_secs() / STEP.as_secs();
        let newest = self.steps.iter().map(|step| step.index).max().unwrap_or(0);
        let at = elapsed.max(newest);
        let step = &mut self.steps[(at % STEPS as u64) as usize];
        if step.index != at {
            *step = BudgetStep {
                index: at,
                ..BudgetStep::default()
            };
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn admitted(budget: &mut HedgeBudget, tries: usize, now: Instant) -> usize {
        (0..tries).filter(|_| budget.admit(now)).count()
    }

    #[test]
    fn a_quiet_line_may_hedge_a_few_replies_a_window() {
        let start = Instant::now();
        let mut budget = HedgeBudget::new(start);
        budget.record_reply(start);
        assert_eq!(admitted(&mut budget, 5, start), HEDGES_MIN as usize);
        assert_eq!(admitted(&mut budget, 5, start + WINDOW - STEP), 0);
        assert_eq!(
            admitted(&mut budget, 5, start + WINDOW),
            HEDGES_MIN as usize
        );
    }

    #[test]
    fn a_busy_line_may_hedge_a_share_of_its_replies() {
        let start = Instant::now();
        let mut budget = HedgeBudget::new(start);
        for i in 0..600 {
            budget.record_reply(start + Duration::from_millis(i * 90));
        }
        let now = start + Duration::from_secs(54);
        assert_eq!(admitted(&mut budget, 600, now), 60);
        let idle = now + 2 * WINDOW;
        assert_eq!(admitted(&mut budget, 600, idle), HEDGES_MIN as usize);
    }

    proptest! {
        /// Held against a list of everything that happened. Repeat a failure by the seed that
        /// proptest prints into proptest-regressions.
        #[test]
        fn whatever_comes_the_share_is_kept(
            moves in proptest::collection::vec((any::<bool>(), 0u64..9_000), 1..400)
        ) {
            let start = Instant::now();
            let mut budget = HedgeBudget::new(start);
            let (mut now_ms, mut replies, mut hedges) = (0, Vec::new(), Vec::new());
            for (hedge, pause_ms) in moves {
                now_ms += pause_ms;
                let now = start + Duration::from_millis(now_ms);
                if !hedge {
                    budget.record_reply(now);
                    replies.push(now_ms);
                } else if budget.admit(now) {
                    hedges.push(now_ms);
                    // What the steps surely still hold, and what they may still hold.
                    let within = |times: &[u64], ms: u64| {
                        times.iter().filter(|at| *at + ms > now_ms).count() as u64
                    };
                    let (window_ms, step_ms) = (WINDOW.as_millis() as u64, STEP.as_millis() as u64);
                    let share = within(&replies, window_ms) * HEDGES_PERCENT_MAX / 100;
                    prop_assert!(within(&hedges, window_ms - step_ms) <= HEDGES_MIN.max(share));
                }
            }
        }
    }
}
