//! Names of a number: whoever has seen a later decision at an instance sees no earlier one there
//! again, and the latest that is durable stands in the end.

use super::CheckResult;
use crate::database_contents::DatabaseContents;
use crate::events::{NameOrder, SubmittedWrite};
use crate::generated_text;
use crate::history::History;
use std::collections::{BTreeMap, BTreeSet};

/// Judges what each life saw of each number.
pub fn check(history: &History, verdict: &mut CheckResult) {
    for ((life, number), marks) in &history.names_seen {
        let falls = marks.windows(2).find(|pair| pair[1] < pair[0]);
        verdict.expect(falls.is_none(), || {
            format!("life {life} saw {number} fall back to an earlier name: {falls:?}")
        });
    }
}

/// Judges the names that stand in the end.
pub fn check_database(history: &History, books: &DatabaseContents, verdict: &mut CheckResult) {
    let mut durable: BTreeMap<&str, NameOrder> = BTreeMap::new();
    let mut given: BTreeSet<(&str, NameOrder)> = BTreeSet::new();
    for write in history.writes.values() {
        let SubmittedWrite::Named { number, mark } = &write.deed else {
            continue;
        };
        given.insert((number, *mark));
        if write.position().is_some() {
            let latest = durable.entry(number).or_insert(*mark);
            *latest = (*latest).max(*mark);
        }
    }
    let numbers: BTreeSet<&str> = given.iter().map(|(number, _)| *number).collect();
    for number in numbers {
        let name = books
            .callers
            .get(number)
            .and_then(|caller| caller.name.clone());
        let mark = name.as_deref().and_then(generated_text::mark_of_name);
        let latest = durable.get(number).copied();
        verdict.expect(mark >= latest, || {
            format!("lost: {number} is called {name:?}, {latest:?} is durable")
        });
        let known = mark.is_none_or(|mark| given.contains(&(number, mark)));
        let is_a_name_of_ours = name.is_some() == mark.is_some();
        verdict.expect(known && is_a_name_of_ours, || {
            format!("ghost: {number} is called {name:?}, which nobody said")
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::history_builder::{HistoryBuilder, directory, named};
    use crate::events::InstanceEvent;

    const NUMBER: &str = "+16660200000";

    fn told() -> HistoryBuilder {
        let mut told = HistoryBuilder::default();
        told.acknowledged(1, named(NUMBER, 10), 4);
        told.acknowledged(2, named(NUMBER, 20), 5);
        told.submitted(1, named(NUMBER, 30));
        told
    }

    fn check_sample(told: &HistoryBuilder, name: Option<&str>) -> String {
        let mut verdict = CheckResult::default();
        check(&told.history, &mut verdict);
        let books = directory(NUMBER, name.map(str::to_owned));
        check_database(&told.history, &books, &mut verdict);
        if verdict.is_clean() {
            return String::new();
        }
        verdict.report()
    }

    #[test]
    fn the_latest_durable_name_or_one_under_way_may_stand() {
        assert_eq!(check_sample(&told(), Some("N20.0")), "");
        assert_eq!(check_sample(&told(), Some("N30.0")), "");
    }

    #[test]
    fn a_lost_name_is_found() {
        assert!(check_sample(&told(), Some("N10.0")).contains("lost"));
        assert!(check_sample(&told(), None).contains("lost"));
    }

    #[test]
    fn a_name_that_nobody_said_is_found() {
        assert!(check_sample(&told(), Some("N25.0")).contains("ghost"));
        assert!(check_sample(&told(), Some("Misty")).contains("ghost"));
    }

    #[test]
    fn an_earlier_name_after_a_later_one_is_found() {
        let mut told = told();
        for at_ms in [10, 20, 10] {
            let (number, mark) = (NUMBER.to_owned(), NameOrder { at_ms, step: 0 });
            told.history
                .note(1, &InstanceEvent::NameSeen { number, mark });
        }
        assert!(check_sample(&told, Some("N20.0")).contains("fall back"));
    }
}
