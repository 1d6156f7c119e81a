//! Appends of one submitter keep their order: positions of its acknowledged writes never fall, what
//! is kept of a call has no hole before it, and lies in the order in which it was said. This holds
//! through the outbox too.

use super::CheckResult;
use crate::database_contents::DatabaseContents;
use crate::events::SubmittedWrite;
use crate::history::{History, WriteOutcome};
use std::collections::BTreeMap;

fn call_of(deed: &SubmittedWrite) -> Option<&str> {
    match deed {
        SubmittedWrite::Began { call, .. }
        | SubmittedWrite::Turn { call, .. }
        | SubmittedWrite::Ended { call } => Some(call),
        SubmittedWrite::Named { .. } | SubmittedWrite::Claimed { .. } => None,
    }
}

/// Judges the positions that one submitter was given for one call.
pub fn check(history: &History, verdict: &mut CheckResult) {
    let mut last: BTreeMap<(u64, &str), u64> = BTreeMap::new();
    for (life, write) in history.acknowledged() {
        let (Some(call), Some(position)) = (call_of(&write.deed), write.position()) else {
            continue;
        };
        let before = last.insert((life, call), position).unwrap_or(0);
        verdict.expect(before <= position, || {
            format!(
                "out of order: {:?} of life {life} has position {position}, one before it {before}",
                write.deed
            )
        });
    }
}

/// Judges that what is kept of a submitter's turns is a beginning of what it said.
pub fn check_database(history: &History, books: &DatabaseContents, verdict: &mut CheckResult) {
    let mut missing: BTreeMap<(u64, &str), (u32, u32)> = BTreeMap::new();
    let mut last_row: BTreeMap<(u64, &str), i64> = BTreeMap::new();
    for ((life, _), write) in &history.writes {
        let SubmittedWrite::Turn {
            call,
            epoch,
            seq,
            revision: 0,
        } = &write.deed
        else {
            continue;
        };
        if matches!(write.fate, WriteOutcome::Denied(_)) {
            continue;
        }
        let submitter = (*life, call.as_str());
        let turns = books.calls.get(call).map(|row| &row.turns);
        let kept = turns.and_then(|turns| {
            let mut places = turns.iter();
            places.find(|turn| (turn.epoch, turn.seq) == (*epoch, *seq))
        });
        match (kept, missing.get(&submitter)) {
            (None, _) => {
                missing.entry(submitter).or_insert((*epoch, *seq));
            }
            (Some(_), Some(hole)) => verdict.add(format!(
                "hole: turn {}.{} of {call} is missing, {epoch}.{seq} that was said after it is there",
                hole.0, hole.1
            )),
            (Some(turn), None) => check_row(submitter, turn.row, &mut last_row, verdict),
        }
    }
}

fn check_row<'a>(
    submitter: (u64, &'a str),
    row: Option<i64>,
    last_row: &mut BTreeMap<(u64, &'a str), i64>,
    verdict: &mut CheckResult,
) {
    let Some(row) = row else { return };
    let before = last_row.insert(submitter, row);
    verdict.expect(before < Some(row), || {
        format!(
            "out of order: a turn of {} lies before the one said before it",
            submitter.1
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::history_builder::{HistoryBuilder, books, row, turn};

    fn check_sample(told: &HistoryBuilder, books: &DatabaseContents) -> String {
        let mut verdict = CheckResult::default();
        check(&told.history, &mut verdict);
        check_database(&told.history, books, &mut verdict);
        if verdict.is_clean() {
            return String::new();
        }
        verdict.report()
    }

    fn three() -> HistoryBuilder {
        let mut told = HistoryBuilder::default();
        told.acknowledged(1, turn("CA1", 0, 0, 0), 5);
        told.submitted(1, turn("CA1", 0, 1, 0));
        told.submitted(1, turn("CA1", 0, 2, 0));
        told
    }

    #[test]
    fn a_beginning_is_right_and_a_hole_is_not() {
        let first = row("CA1", 0, 0, 0, 1);
        let kept = books("CA1", vec![first.clone(), row("CA1", 0, 1, 0, 2)]);
        assert_eq!(check_sample(&three(), &kept), "");
        let holed = books("CA1", vec![first, row("CA1", 0, 2, 0, 2)]);
        assert!(check_sample(&three(), &holed).contains("hole: turn 0.1"));
    }

    #[test]
    fn a_denied_turn_makes_no_hole() {
        let mut told = HistoryBuilder::default();
        told.denied(1, turn("CA1", 0, 0, 0));
        told.acknowledged(1, turn("CA1", 0, 1, 0), 5);
        assert_eq!(
            check_sample(&told, &books("CA1", vec![row("CA1", 0, 1, 0, 1)])),
            ""
        );
    }

    #[test]
    fn a_falling_position_is_found() {
        let mut told = three();
        told.acknowledged(1, turn("CA1", 0, 3, 0), 4);
        let all = (0..4).map(|seq| row("CA1", 0, seq, 0, i64::from(seq)));
        assert!(check_sample(&told, &books("CA1", all.collect())).contains("position 4"));
    }

    #[test]
    fn turns_that_lie_in_another_order_are_found() {
        let swapped = vec![row("CA1", 0, 0, 0, 9), row("CA1", 0, 1, 0, 3)];
        assert!(check_sample(&three(), &books("CA1", swapped)).contains("lies before"));
    }
}
