//! Reading one's own writes elsewhere: an instance that says it has reached the position of a write
//! shows that write.

use super::CheckResult;
use crate::history::History;

/// Judges all looks.
pub fn check(history: &History, verdict: &mut CheckResult) {
    for look in &history.looks {
        verdict.expect(look.found || !look.reached, || {
            format!(
                "life {} reached the position of {:?} and does not show it",
                look.life, look.deed
            )
        });
    }
}

/// What came of the looks, in words.
pub fn tell(history: &History) -> String {
    let reached: Vec<_> = history.looks.iter().filter(|look| look.reached).collect();
    let mut waits_us: Vec<u64> = reached.iter().filter_map(|look| look.waited_us).collect();
    waits_us.sort_unstable();
    let at = |percent: usize| {
        let wait_us = waits_us.get((waits_us.len() * percent / 100).min(waits_us.len().max(1) - 1));
        wait_us.map_or(0.0, |wait_us| *wait_us as f64 / 1_000.0)
    };
    format!(
        "{} of {} looks elsewhere reached the position (token waits p50 {:.1} ms, p99 {:.1} ms)",
        reached.len(),
        history.looks.len(),
        at(50),
        at(99)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::history_builder::turn;
    use crate::history::ReadCheck;

    fn check_sample(reached: bool, found: bool) -> bool {
        let mut history = History::default();
        history.looks.push(ReadCheck {
            life: 1,
            deed: turn("CA1", 0, 0, 0),
            reached,
            found,
            waited_us: None,
        });
        let mut verdict = CheckResult::default();
        check(&history, &mut verdict);
        verdict.is_clean()
    }

    #[test]
    fn what_is_not_shown_at_its_position_is_found() {
        assert!(
            check_sample(true, true) && check_sample(false, false) && check_sample(false, true)
        );
        assert!(!check_sample(true, false));
    }
}
