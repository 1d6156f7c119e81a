//! Judges of a history. Each says what is wrong in words; a history that is right leaves nothing.
//! Each is shown histories that are wrong, and has to find them so.

pub mod names;
pub mod order;
pub mod ownership;
pub mod tokens;
pub mod turns;

#[cfg(test)]
mod history_builder;

use crate::database_contents::DatabaseContents;
use crate::history::History;

/// Violations told of one checker; the rest is counted.
const REPORTED_MAX: usize = 8;

/// What is wrong.
#[derive(Default)]
pub struct CheckResult {
    wrong: Vec<String>,
    more: usize,
}

impl CheckResult {
    /// Notes what is wrong.
    pub fn add(&mut self, violation: String) {
        match self.wrong.len() < REPORTED_MAX {
            true => self.wrong.push(violation),
            false => self.more += 1,
        }
    }

    /// Notes it unless it holds.
    pub fn expect(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        if !holds {
            self.add(violation());
        }
    }

    /// Whether nothing is.
    pub fn is_clean(&self) -> bool {
        self.wrong.is_empty()
    }

    /// In words.
    pub fn report(&self) -> String {
        format!("{}\n(and {} more)", self.wrong.join("\n"), self.more)
    }
}

/// Judges what can be judged from the history alone.
pub fn check_history(history: &History) -> CheckResult {
    let mut verdict = CheckResult::default();
    order::check(history, &mut verdict);
    ownership::check(history, &mut verdict);
    names::check(history, &mut verdict);
    tokens::check(history, &mut verdict);
    verdict
}

/// Judges what one instance holds, once everything has come to rest.
pub fn check_database(history: &History, books: &DatabaseContents) -> CheckResult {
    let mut verdict = CheckResult::default();
    turns::check(history, books, &mut verdict);
    order::check_database(history, books, &mut verdict);
    ownership::check_database(history, books, &mut verdict);
    names::check_database(history, books, &mut verdict);
    verdict
}
