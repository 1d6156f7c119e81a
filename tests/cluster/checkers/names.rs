//! Names of a number: whoever has seen a later decision at an instance sees no earlier one there
//! again, and the latest that is durable stands in the end.

use super::Verdict;
use crate::books::Books;
use crate::events::{Deed, Mark};
use crate::history::History;
use crate::words;
use std::collections::{BTreeMap, BTreeSet};

/// Judges what each life saw of each number.
pub fn judge(history: &History, verdict: &mut Verdict) {
    for ((life, number), marks) in &history.names_seen {
        let falls = marks.windows(2).find(|pair| pair[1] < pair[0]);
        verdict.expect(falls.is_none(), || {
            format!("life {life} saw {number} fall back to an earlier name: {falls:?}")
        });
    }
}

/// Judges the names that stand in the end.
pub fn judge_books(history: &History, books: &Books, verdict: &mut Verdict) {
    let mut durable: BTreeMap<&str, Mark> = BTreeMap::new();
    let mut given: BTreeSet<(&str, Mark)> = BTreeSet::new();
    for write in history.writes.values() {
        let Deed::Named { number, mark } = &write.deed else {
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
        let mark = name.as_deref().and_then(words::mark_of_name);
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
    use crate::checkers::told::{Told, directory, named};
    use crate::events::Event;

    const NUMBER: &str = "+16660200000";

    fn told() -> Told {
        let mut told = Told::default();
        told.acknowledged(1, named(NUMBER, 10), 4);
        told.acknowledged(2, named(NUMBER, 20), 5);
        told.submitted(1, named(NUMBER, 30));
        told
    }

    fn judged(told: &Told, name: Option<&str>) -> String {
        let mut verdict = Verdict::default();
        judge(&told.history, &mut verdict);
        let books = directory(NUMBER, name.map(str::to_owned));
        judge_books(&told.history, &books, &mut verdict);
        if verdict.is_clean() {
            return String::new();
        }
        verdict.tell()
    }

    #[test]
    fn the_latest_durable_name_or_one_under_way_may_stand() {
        assert_eq!(judged(&told(), Some("N20.0")), "");
        assert_eq!(judged(&told(), Some("N30.0")), "");
    }

    #[test]
    fn a_lost_name_is_found() {
        assert!(judged(&told(), Some("N10.0")).contains("lost"));
        assert!(judged(&told(), None).contains("lost"));
    }

    #[test]
    fn a_name_that_nobody_said_is_found() {
        assert!(judged(&told(), Some("N25.0")).contains("ghost"));
        assert!(judged(&told(), Some("Misty")).contains("ghost"));
    }

    #[test]
    fn an_earlier_name_after_a_later_one_is_found() {
        let mut told = told();
        for at_ms in [10, 20, 10] {
            let (number, mark) = (NUMBER.to_owned(), Mark { at_ms, step: 0 });
            told.history.note(1, &Event::NameSeen { number, mark });
        }
        assert!(judged(&told, Some("N20.0")).contains("fall back"));
    }
}
