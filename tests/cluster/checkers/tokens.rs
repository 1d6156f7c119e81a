//! Reading one's own writes elsewhere: an instance that says it has reached the position of a write
//! shows that write.

use super::Verdict;
use crate::history::History;

/// Judges all looks.
pub fn judge(history: &History, verdict: &mut Verdict) {
    for look in &history.looks {
        verdict.expect(look.found || !look.reached, || {
            format!(
                "life {} reached the position of {:?} and does not show it",
                look.life, look.deed
            )
        });
    }
}

/// Looks at which the position was reached, and all of them.
pub fn reached(history: &History) -> (usize, usize) {
    let reached = history.looks.iter().filter(|look| look.reached).count();
    (reached, history.looks.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::told::turn;
    use crate::history::Look;

    fn judged(reached: bool, found: bool) -> bool {
        let mut history = History::default();
        history.looks.push(Look {
            life: 1,
            deed: turn("CA1", 0, 0, 0),
            reached,
            found,
        });
        let mut verdict = Verdict::default();
        judge(&history, &mut verdict);
        verdict.is_clean()
    }

    #[test]
    fn what_is_not_shown_at_its_position_is_found() {
        assert!(judged(true, true) && judged(false, false) && judged(false, true));
        assert!(!judged(true, false));
    }
}
