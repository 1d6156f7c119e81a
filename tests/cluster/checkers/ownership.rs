//! The register of owners: a call is claimed by compare-and-swap, so that nobody ever shares it.
//! Never two owners in an epoch, epochs only grow, no two winners from one state, every instance
//! hears the same.

use super::CheckResult;
use crate::database_contents::DatabaseContents;
use crate::events::{ClaimReport, SubmittedWrite, instance_name};
use crate::history::{ClaimFeedItem, History};
use std::collections::{BTreeMap, BTreeSet};

/// Judges the feeds of all lives.
pub fn check(history: &History, verdict: &mut CheckResult) {
    check_owners(history, verdict);
    check_winners(history, verdict);
    for (life, feed) in &history.feeds {
        check_epochs_grow(*life, feed, verdict);
        check_agreement(*life, feed, &winners(history), verdict);
    }
    check_answers(history, verdict);
    let winners = winners(history);
    for ((life, call), epochs) in &history.owners_seen {
        // An instance reads its own claim while it waits to be decided, and it may lose.
        let was_won = |epoch: &u32| winners.get(call).is_some_and(|won| won.contains(epoch));
        let decided: Vec<u32> = epochs.iter().copied().filter(was_won).collect();
        let falls = decided.windows(2).find(|pair| pair[1] < pair[0]);
        verdict.expect(falls.is_none(), || {
            format!("life {life} read the epoch of {call} fall: {falls:?}")
        });
    }
}

fn rulings(feed: &[ClaimFeedItem]) -> impl Iterator<Item = &ClaimReport> {
    feed.iter().filter_map(|heard| match heard {
        ClaimFeedItem::Ruled(ruling) => Some(ruling),
        ClaimFeedItem::Missed => None,
    })
}

/// The epochs of each call in which somebody won it, over all feeds.
fn winners(history: &History) -> BTreeMap<String, BTreeSet<u32>> {
    let mut winners: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for ruling in history.feeds.values().flat_map(|feed| rulings(feed)) {
        if ruling.applied {
            let of_call = winners.entry(ruling.call.clone()).or_default();
            of_call.insert(ruling.epoch);
        }
    }
    winners
}

fn check_owners(history: &History, verdict: &mut CheckResult) {
    let mut owners: BTreeMap<(&str, u32), &str> = BTreeMap::new();
    for ruling in history.feeds.values().flat_map(|feed| rulings(feed)) {
        let place = (ruling.call.as_str(), ruling.epoch);
        let owner = *owners.entry(place).or_insert(&ruling.owner);
        verdict.expect(owner == ruling.owner, || {
            let (call, epoch) = place;
            format!(
                "two owners of {call} in epoch {epoch}: {owner} and {}",
                ruling.owner
            )
        });
    }
}

/// Each state of a call lets one claim win.
fn check_winners(history: &History, verdict: &mut CheckResult) {
    let winners = winners(history);
    let mut taken: BTreeMap<(&str, u32), BTreeSet<u32>> = BTreeMap::new();
    let mut expected_by: BTreeMap<(&str, u32), BTreeSet<u32>> = BTreeMap::new();
    for write in history.writes.values() {
        if let SubmittedWrite::Claimed {
            call,
            expected,
            epoch,
        } = &write.deed
        {
            let claims = expected_by.entry((call, *epoch)).or_default();
            claims.insert(*expected);
        }
    }
    for ((call, epoch), expected) in &expected_by {
        let won = winners.get(*call).is_some_and(|won| won.contains(epoch));
        // One that was claimed from two states may have won from either.
        if won && expected.len() == 1 {
            taken
                .entry((call, expected.first().copied().unwrap_or(0)))
                .or_default()
                .insert(*epoch);
        }
    }
    for ((call, from), epochs) in taken {
        verdict.expect(epochs.len() == 1, || {
            format!("{call} was won from epoch {from} by several: {epochs:?}")
        });
    }
    for (call, won) in &winners {
        for epoch in won {
            let claimed = expected_by.contains_key(&(call.as_str(), *epoch));
            verdict.expect(claimed, || {
                format!("ghost: {call} won in {epoch}, which nobody claimed")
            });
        }
    }
}

fn check_epochs_grow(life: u64, feed: &[ClaimFeedItem], verdict: &mut CheckResult) {
    let mut last: BTreeMap<&str, u32> = BTreeMap::new();
    for ruling in rulings(feed) {
        let before = last.insert(&ruling.call, ruling.epoch);
        // Equal is right: a claim that comes twice is told of twice.
        verdict.expect(before <= Some(ruling.epoch), || {
            format!("life {life} heard the epoch fall from {before:?}: {ruling:?}")
        });
    }
}

/// Between two winners that a life heard of there is no other; unless it was told that it missed some
/// (or was sent a snapshot, in which only the last of several is told).
fn check_agreement(
    life: u64,
    feed: &[ClaimFeedItem],
    winners: &BTreeMap<String, BTreeSet<u32>>,
    verdict: &mut CheckResult,
) {
    if feed.contains(&ClaimFeedItem::Missed) {
        return;
    }
    let mut last: BTreeMap<&str, u32> = BTreeMap::new();
    for ruling in rulings(feed) {
        let before = last.insert(&ruling.call, ruling.epoch);
        let Some(before) = before.filter(|before| *before < ruling.epoch) else {
            continue;
        };
        let mut between = winners
            .get(&ruling.call)
            .into_iter()
            .flat_map(|won| won.range(before + 1..ruling.epoch));
        let unheard = between.next();
        verdict.expect(unheard.is_none(), || {
            format!(
                "life {life} did not hear that {} was won in {unheard:?}",
                ruling.call
            )
        });
    }
}

/// Who claims and lives on is answered.
fn check_answers(history: &History, verdict: &mut CheckResult) {
    for (life, write) in history.acknowledged() {
        let SubmittedWrite::Claimed { call, epoch, .. } = &write.deed else {
            continue;
        };
        let feed = history.feeds.get(&life).map_or(&[][..], Vec::as_slice);
        if history.dead.contains(&life) || feed.contains(&ClaimFeedItem::Missed) {
            continue;
        }
        let name = name_of(history, life);
        let mut rulings = rulings(feed);
        let answered = rulings.any(|ruling| {
            (&ruling.call, ruling.claimed_epoch, &ruling.claimed_by) == (call, *epoch, &name)
        });
        verdict.expect(answered, || {
            format!("life {life} never heard what became of its claim of {call} in {epoch}")
        });
    }
}

fn name_of(history: &History, life: u64) -> String {
    instance_name(history.nodes.get(&life).copied().unwrap_or(u64::MAX))
}

/// Judges the owners that one instance has in its books.
pub fn check_database(history: &History, books: &DatabaseContents, verdict: &mut CheckResult) {
    let mut claimants: BTreeMap<(&str, u32), String> = BTreeMap::new();
    for ((life, _), write) in &history.writes {
        if let SubmittedWrite::Claimed { call, epoch, .. } = &write.deed {
            claimants.insert((call, *epoch), name_of(history, *life));
        }
    }
    for (call, won) in winners(history) {
        let Some(row) = books.calls.get(&call) else {
            verdict.add(format!("lost: {call}, which was won"));
            continue;
        };
        let last = won.last().copied().unwrap_or(0);
        verdict.expect(row.epoch >= last, || {
            format!("lost: {call} was won in {last}, its epoch is {}", row.epoch)
        });
        let claimant = claimants.get(&(call.as_str(), row.epoch));
        verdict.expect(claimant == row.owner.as_ref(), || {
            format!(
                "{call} belongs to {:?} in {}, claimed by {claimant:?}",
                row.owner, row.epoch
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::history_builder::{HistoryBuilder, claimed, lost, won};
    use crate::database_contents::StoredCallRow;
    use crate::events::InstanceEvent;

    fn check_sample(told: &HistoryBuilder) -> String {
        let mut verdict = CheckResult::default();
        check(&told.history, &mut verdict);
        if verdict.is_clean() {
            return String::new();
        }
        verdict.report()
    }

    /// Two lives, of instances 0 and 1; the first claims from 0, the second from there.
    fn told() -> HistoryBuilder {
        let mut told = HistoryBuilder::default();
        told.history.nodes.extend([(1, 0), (2, 1)]);
        told.acknowledged(1, claimed("CW1", 0, 10), 5);
        told.acknowledged(2, claimed("CW1", 10, 20), 6);
        for life in [1, 2] {
            told.ruled(life, won("CW1", 10, "calldex-0"));
            told.ruled(life, won("CW1", 20, "calldex-1"));
        }
        told
    }

    #[test]
    fn owners_one_after_the_other_are_right() {
        assert_eq!(check_sample(&told()), "");
    }

    #[test]
    fn two_owners_in_an_epoch_are_found() {
        let mut told = told();
        told.ruled(3, won("CW1", 20, "calldex-0"));
        assert!(check_sample(&told).contains("two owners of CW1 in epoch 20"));
    }

    #[test]
    fn two_winners_from_one_state_are_found() {
        let mut told = told();
        told.submitted(1, claimed("CW1", 10, 21));
        told.ruled(1, won("CW1", 21, "calldex-0"));
        assert!(check_sample(&told).contains("won from epoch 10 by several"));
    }

    #[test]
    fn a_winner_that_nobody_knows_is_found() {
        let mut told = told();
        told.ruled(1, won("CW1", 33, "calldex-0"));
        assert!(check_sample(&told).contains("which nobody claimed"));
    }

    #[test]
    fn an_epoch_that_falls_is_found() {
        let mut told = told();
        told.ruled(1, lost("CW1", 10, "calldex-0", 11, "calldex-1"));
        assert!(check_sample(&told).contains("heard the epoch fall"));
        let mut read = HistoryBuilder::default();
        for epoch in [4, 3] {
            read.ruled(5, won("CW1", epoch, "calldex-0"));
            let call = "CW1".to_owned();
            read.history
                .note(1, &InstanceEvent::OwnerSeen { call, epoch });
        }
        assert!(check_sample(&read).contains("read the epoch"));
    }

    #[test]
    fn an_own_claim_that_was_read_before_it_lost_is_no_fall() {
        let mut read = HistoryBuilder::default();
        read.ruled(5, won("CW1", 3, "calldex-0"));
        for epoch in [4, 3] {
            let call = "CW1".to_owned();
            read.history
                .note(1, &InstanceEvent::OwnerSeen { call, epoch });
        }
        assert!(!check_sample(&read).contains("read the epoch"));
    }

    #[test]
    fn a_winner_that_one_life_does_not_hear_of_is_found() {
        let mut told = told();
        told.submitted(1, claimed("CW1", 20, 30));
        told.ruled(1, won("CW1", 30, "calldex-0"));
        told.ruled(4, won("CW1", 10, "calldex-0"));
        told.ruled(4, won("CW1", 30, "calldex-0"));
        assert!(check_sample(&told).contains("life 4 did not hear that CW1 was won in Some(20)"));
    }

    #[test]
    fn who_missed_some_may_not_have_heard() {
        let mut told = told();
        told.submitted(1, claimed("CW1", 20, 30));
        told.ruled(1, won("CW1", 30, "calldex-0"));
        told.ruled(4, won("CW1", 10, "calldex-0"));
        told.history.note(4, &InstanceEvent::Missed);
        told.ruled(4, won("CW1", 30, "calldex-0"));
        assert_eq!(check_sample(&told), "");
    }

    #[test]
    fn a_claim_without_an_answer_is_found_unless_its_maker_died() {
        let mut told = told();
        told.acknowledged(2, claimed("CW1", 10, 31), 9);
        assert!(check_sample(&told).contains("never heard what became"));
        told.history.dead.insert(2);
        assert_eq!(check_sample(&told), "");
    }

    fn check_sample_database(epoch: u32, owner: &str) -> String {
        let mut books = DatabaseContents::default();
        let row = StoredCallRow {
            epoch,
            owner: Some(owner.to_owned()),
            ..StoredCallRow::default()
        };
        books.calls.insert("CW1".to_owned(), row);
        let mut verdict = CheckResult::default();
        super::check_database(&told().history, &books, &mut verdict);
        if verdict.is_clean() {
            return String::new();
        }
        verdict.report()
    }

    #[test]
    fn a_take_over_that_is_lost_and_a_false_owner_are_found() {
        assert_eq!(check_sample_database(20, "calldex-1"), "");
        assert!(check_sample_database(10, "calldex-0").contains("lost: CW1 was won in 20"));
        assert!(check_sample_database(20, "calldex-0").contains("claimed by"));
    }
}
