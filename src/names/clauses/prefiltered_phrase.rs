//! A phrase that is looked for in a clause, with the letters it is made of: most are ruled out by
//! these, without a search.

/// Stands in a phrase for anything between its parts: "my name … delete".
pub(super) const GAP_MARK: char = '…';
/// Ends a refusal that must end its clause: "不想说$" is not 不想说话.
pub(super) const END_MARK: char = '$';

/// A set of characters, one bit for every 64th of them.
pub(super) type LetterSet = u64;

/// A phrase of a language file.
pub(super) struct PrefilteredPhrase {
    pub(super) text: &'static str,
    letters: LetterSet,
}

impl PrefilteredPhrase {
    pub(super) fn new(text: &'static str) -> Self {
        let written = text.chars().filter(|c| !matches!(*c, GAP_MARK | END_MARK));
        Self {
            text,
            letters: letters(written),
        }
    }

    /// Whether all its letters are among those of a clause.
    pub(super) fn may_be_in(&self, clause: LetterSet) -> bool {
        self.letters & !clause == 0
    }
}

/// The letters of a clause.
pub(super) fn letters_of(clause: &str) -> LetterSet {
    letters(clause.chars())
}

fn letters(chars: impl Iterator<Item = char>) -> LetterSet {
    chars.fold(0, |set, c| set | 1 << (u32::from(c) % LetterSet::BITS))
}
