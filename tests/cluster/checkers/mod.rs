//! Judges of a history. Each says what is wrong in words; a history that is right leaves nothing.
//! Each is shown histories that are wrong, and has to find them so.

pub mod names;
pub mod order;
pub mod ownership;
pub mod tokens;
pub mod turns;

#[cfg(test)]
mod told;

use crate::books::Books;
use crate::history::History;

/// Violations told of one checker; the rest is counted.
const TOLD_MAX: usize = 8;

/// What is wrong.
#[derive(Default)]
pub struct Verdict {
    wrong: Vec<String>,
    more: usize,
}

impl Verdict {
    /// Notes what is wrong.
    pub fn add(&mut self, violation: String) {
        match self.wrong.len() < TOLD_MAX {
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
    pub fn tell(&self) -> String {
        format!("{}\n(and {} more)", self.wrong.join("\n"), self.more)
    }
}

/// Judges what can be judged from the history alone.
pub fn judge_history(history: &History) -> Verdict {
    let mut verdict = Verdict::default();
    order::judge(history, &mut verdict);
    ownership::judge(history, &mut verdict);
    names::judge(history, &mut verdict);
    tokens::judge(history, &mut verdict);
    verdict
}

/// Judges what one instance holds, once everything has come to rest.
pub fn judge_books(history: &History, books: &Books) -> Verdict {
    let mut verdict = Verdict::default();
    turns::judge(history, books, &mut verdict);
    order::judge_books(history, books, &mut verdict);
    ownership::judge_books(history, books, &mut verdict);
    names::judge_books(history, books, &mut verdict);
    verdict
}
