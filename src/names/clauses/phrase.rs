//! A phrase that is looked for in a clause, with the letters it is made of: most are ruled out by
//! these, without a search.

use super::rules::{CLOSE, GAP};

/// A set of characters, one bit for every 64th of them.
pub(super) type Letters = u64;

/// A phrase of a language file.
pub(super) struct Phrase {
    pub(super) text: &'static str,
    letters: Letters,
}

impl Phrase {
    pub(super) fn new(text: &'static str) -> Self {
        let written = text.chars().filter(|c| !matches!(*c, GAP | CLOSE));
        Self {
            text,
            letters: letters(written),
        }
    }

    /// Whether all its letters are among those of a clause.
    pub(super) fn may_be_in(&self, clause: Letters) -> bool {
        self.letters & !clause == 0
    }
}

/// The letters of a clause.
pub(super) fn letters_of(clause: &str) -> Letters {
    letters(clause.chars())
}

fn letters(chars: impl Iterator<Item = char>) -> Letters {
    chars.fold(0, |set, c| set | 1 << (u32::from(c) % Letters::BITS))
}
