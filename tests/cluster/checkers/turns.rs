//! The set of unique turns: nothing acknowledged is lost, nothing is there twice, nothing is there
//! that was never said, and every word is right. Calls counted on a number are counted once each.

use super::CheckResult;
use crate::database_contents::{DatabaseContents, StoredCallRow};
use crate::events::SubmittedWrite;
use crate::generated_text;
use crate::history::{History, WriteOutcome};
use std::collections::{BTreeMap, BTreeSet};

/// Judges what one instance holds.
pub fn check(history: &History, books: &DatabaseContents, verdict: &mut CheckResult) {
    let all = AcknowledgedFacts::gather(history);
    for (call, row) in &books.calls {
        check_texts(call, row, &all, verdict);
    }
    all.check_loss(books, verdict);
    all.check_counts(books, verdict);
}

/// What was submitted, and what of it is durable.
#[derive(Default)]
struct AcknowledgedFacts {
    calls: BTreeSet<String>,
    /// Highest revision submitted, and highest acknowledged, by place.
    turns: BTreeMap<(String, u32, u32), (u32, Option<u32>)>,
    begun: BTreeSet<String>,
    ended: BTreeSet<String>,
    may_have_ended: BTreeSet<String>,
    /// Calls begun by number: with acknowledgement, and in all.
    counts: BTreeMap<String, (u64, u64)>,
}

impl AcknowledgedFacts {
    fn gather(history: &History) -> Self {
        let mut claims = Self::default();
        for write in history.writes.values() {
            let durable = matches!(write.fate, WriteOutcome::Acknowledged { .. });
            claims.add(&write.deed, durable);
        }
        claims
    }

    fn add(&mut self, deed: &SubmittedWrite, durable: bool) {
        match deed {
            SubmittedWrite::Began { call, number } => {
                self.add_begun(call, number.as_deref(), durable)
            }
            SubmittedWrite::Turn {
                call,
                epoch,
                seq,
                revision,
            } => {
                self.calls.insert(call.clone());
                let place = (call.clone(), *epoch, *seq);
                let (submitted, acknowledged) = self.turns.entry(place).or_default();
                *submitted = (*submitted).max(*revision);
                if durable {
                    *acknowledged = (*acknowledged).max(Some(*revision));
                }
            }
            SubmittedWrite::Ended { call } => {
                self.may_have_ended.insert(call.clone());
                if durable {
                    self.ended.insert(call.clone());
                }
            }
            SubmittedWrite::Claimed { call, .. } => {
                self.calls.insert(call.clone());
            }
            SubmittedWrite::Named { .. } => {}
        }
    }

    fn add_begun(&mut self, call: &str, number: Option<&str>, durable: bool) {
        self.calls.insert(call.to_owned());
        if let Some(number) = number {
            let (least, most) = self.counts.entry(number.to_owned()).or_default();
            *least += u64::from(durable);
            *most += 1;
        }
        if durable {
            self.begun.insert(call.to_owned());
        }
    }

    fn check_loss(&self, books: &DatabaseContents, verdict: &mut CheckResult) {
        for ((call, epoch, seq), (_, acknowledged)) in &self.turns {
            let Some(revision) = acknowledged else {
                continue;
            };
            let kept = books.calls.get(call).and_then(|row| {
                let at = |turn: &&crate::database_contents::StoredTurn| {
                    (turn.epoch, turn.seq) == (*epoch, *seq)
                };
                row.turns.iter().find(at)
            });
            match kept {
                None => verdict.add(format!("lost: turn {epoch}.{seq} of {call}")),
                Some(turn) => verdict.expect(turn.revision >= *revision, || {
                    format!("lost: amendment {revision} of turn {epoch}.{seq} of {call}")
                }),
            }
        }
        for call in &self.begun {
            let kept = books.calls.get(call).is_some_and(|row| row.has_begun);
            verdict.expect(kept, || format!("lost: the beginning of {call}"));
        }
        for call in &self.ended {
            let kept = books.calls.get(call).is_some_and(|row| row.is_ended);
            verdict.expect(kept, || format!("lost: the end of {call}"));
        }
    }

    fn check_counts(&self, books: &DatabaseContents, verdict: &mut CheckResult) {
        for (number, (least, most)) in &self.counts {
            let counted = books.callers.get(number).map_or(0, |caller| caller.calls);
            let rows = books.calls.values();
            let known = rows
                .filter(|call| call.number.as_ref() == Some(number))
                .count();
            verdict.expect(counted == known as u64, || {
                format!("{number} is said to have called {counted} times, {known} calls are kept")
            });
            verdict.expect((*least..=*most).contains(&counted), || {
                format!("{number} called {counted} times, {least} to {most} were told of")
            });
        }
    }
}

fn check_texts(
    call: &str,
    row: &StoredCallRow,
    all: &AcknowledgedFacts,
    verdict: &mut CheckResult,
) {
    verdict.expect(all.calls.contains(call), || {
        format!("ghost: call {call} was never made")
    });
    verdict.expect(!row.is_ended || all.may_have_ended.contains(call), || {
        format!("ghost: {call} was never ended")
    });
    for pair in row.turns.windows(2) {
        let same = (pair[0].epoch, pair[0].seq) == (pair[1].epoch, pair[1].seq);
        verdict.expect(!same, || {
            let (epoch, seq) = (pair[0].epoch, pair[0].seq);
            format!("duplicate: turn {epoch}.{seq} of {call}")
        });
    }
    for turn in &row.turns {
        let place = (call.to_owned(), turn.epoch, turn.seq);
        let said = all
            .turns
            .get(&place)
            .is_some_and(|(highest, _)| turn.revision <= *highest);
        verdict.expect(said, || {
            let (epoch, seq, revision) = (turn.epoch, turn.seq, turn.revision);
            format!("ghost: turn {epoch}.{seq} revision {revision} of {call}")
        });
        let right = generated_text::of_turn(call, turn.epoch, turn.seq, turn.revision);
        verdict.expect(turn.content == right, || {
            format!("wrong words: turn {}.{} of {call}", turn.epoch, turn.seq)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::history_builder::{HistoryBuilder, began, books, row, turn};

    fn told() -> HistoryBuilder {
        let mut told = HistoryBuilder::default();
        told.acknowledged(1, began("CA1", None), 4);
        told.acknowledged(1, turn("CA1", 0, 0, 0), 5);
        told.acknowledged(1, turn("CA1", 0, 0, 1), 6);
        told.submitted(1, turn("CA1", 0, 1, 0));
        told
    }

    fn check_sample(told: &HistoryBuilder, books: &DatabaseContents) -> String {
        let mut verdict = CheckResult::default();
        check(&told.history, books, &mut verdict);
        if verdict.is_clean() {
            return String::new();
        }
        verdict.report()
    }

    #[test]
    fn what_is_undecided_may_be_there_or_not() {
        let turns = vec![row("CA1", 0, 0, 1, 1)];
        assert_eq!(check_sample(&told(), &books("CA1", turns.clone())), "");
        let both = [turns, vec![row("CA1", 0, 1, 0, 2)]].concat();
        assert_eq!(check_sample(&told(), &books("CA1", both)), "");
    }

    #[test]
    fn a_lost_turn_is_found() {
        assert!(check_sample(&told(), &books("CA1", vec![])).contains("lost: turn 0.0"));
        assert!(
            check_sample(&told(), &DatabaseContents::default()).contains("lost: the beginning")
        );
    }

    #[test]
    fn a_lost_amendment_is_found() {
        let turns = vec![row("CA1", 0, 0, 0, 1)];
        assert!(check_sample(&told(), &books("CA1", turns)).contains("lost: amendment"));
    }

    #[test]
    fn a_lost_end_is_found() {
        let mut told = told();
        let ended = SubmittedWrite::Ended { call: "CA1".into() };
        told.acknowledged(1, ended, 9);
        let turns = vec![row("CA1", 0, 0, 1, 1)];
        assert!(check_sample(&told, &books("CA1", turns)).contains("lost: the end"));
    }

    #[test]
    fn a_turn_that_is_there_twice_is_found() {
        let turns = vec![row("CA1", 0, 0, 1, 1), row("CA1", 0, 0, 1, 2)];
        assert!(check_sample(&told(), &books("CA1", turns)).contains("duplicate"));
    }

    #[test]
    fn what_was_never_said_is_found() {
        let turns = vec![row("CA1", 0, 0, 1, 1), row("CA1", 0, 7, 0, 2)];
        assert!(check_sample(&told(), &books("CA1", turns)).contains("ghost: turn 0.7"));
        let turns = vec![row("CA1", 0, 0, 2, 1)];
        assert!(check_sample(&told(), &books("CA1", turns)).contains("ghost"));
        let mut other = books("CA1", vec![row("CA1", 0, 0, 1, 1)]);
        other.calls.insert("CA9".into(), StoredCallRow::default());
        assert!(check_sample(&told(), &other).contains("ghost: call CA9"));
    }

    #[test]
    fn other_words_are_found() {
        let mut wrong = row("CA1", 0, 0, 1, 1);
        wrong.content.push('!');
        assert!(check_sample(&told(), &books("CA1", vec![wrong])).contains("wrong words"));
    }

    #[test]
    fn a_call_that_is_counted_twice_is_found() {
        let mut told = HistoryBuilder::default();
        told.acknowledged(1, began("CA1", Some("+15550100000")), 4);
        let mut kept = books("CA1", vec![]);
        kept.calls.get_mut("CA1").unwrap().number = Some("+15550100000".into());
        let caller = |calls| crate::database_contents::StoredCaller { name: None, calls };
        kept.callers.insert("+15550100000".into(), caller(1));
        assert_eq!(check_sample(&told, &kept), "");
        kept.callers.insert("+15550100000".into(), caller(2));
        assert!(check_sample(&told, &kept).contains("2 times"));
    }
}
