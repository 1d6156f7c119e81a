//! What is a word, a first name or a family name by the lists.

use super::rules::{ClauseRules, FAMILY_CHARS_MAX, GIVEN_CHARS_MAX, contains, is_in};
use super::script::{is_kanji, is_separator};
use crate::evidence;
use crate::language::Language;
use crate::text;
use crate::wordlist::WordEntry;

/// Characters of a family name at most, all four languages together ("勅使河原").
const SURNAME_CHARS_MAX: usize = 4;
pub(super) const THAI_CHARS_MAX: usize = 30;

impl ClauseRules {
    pub(super) fn is_loan_word(&self, said: &str) -> bool {
        is_in(&self.nouns, said)
            || self
                .noun_endings
                .iter()
                .any(|ending| said.ends_with(ending) && said != *ending)
    }

    /// What holds grammar, or is longer than names of the language are, is a phrase.
    pub(super) fn is_phrase(&self, said: &str) -> bool {
        let chars = said.chars().filter(|c| !is_separator(*c)).count();
        self.particles
            .iter()
            .any(|particle| contains(said, particle))
            || self.language == Language::Chinese
                && chars > FAMILY_CHARS_MAX + GIVEN_CHARS_MAX
                && !said.contains('·')
    }

    pub(super) fn is_common(&self, said: &str) -> bool {
        is_in(&self.common, said)
            || is_in(&self.nouns, said)
            || !evidence::is_listed_first_name(&text::fold(said), self.language)
                && WordEntry::look_up(&text::fold(said)).is_common_word_in(self.language)
    }

    pub(super) fn is_given(&self, word: &str) -> bool {
        let folded = text::fold(word);
        let known = WordEntry::look_up(&folded);
        evidence::is_listed_first_name(&folded, self.language)
            || match self.language {
                Language::Japanese => known.is_first_name_in(Language::Japanese),
                _ => known.is_first_name_abroad(),
            }
    }

    pub(super) fn is_family(&self, word: &str) -> bool {
        is_in(&self.family_names, word)
            || self.language == Language::Japanese
                && WordEntry::look_up(&text::fold(word)).surname_rank() > 0
    }

    /// A family name with one or two characters behind it: where the second begins.
    pub(super) fn family_and_given(&self, compact: &str) -> Option<usize> {
        let family = (self.family_names.iter()).find(|family| compact.starts_with(**family))?;
        let given = compact[family.len()..].chars().count();
        (1..=GIVEN_CHARS_MAX)
            .contains(&given)
            .then_some(family.len())
    }

    /// A listed surname, first name, or one behind the other.
    pub(super) fn is_listed(&self, said: &str) -> bool {
        if said.chars().nth(THAI_CHARS_MAX).is_some() {
            return false;
        }
        let compact: String = said.chars().filter(|c| !is_separator(*c)).collect();
        let japanese = self.language == Language::Japanese;
        let alone = self.is_given(&compact) || japanese && self.is_family(&compact);
        if alone && compact.chars().count() > 1 {
            return true;
        }
        if self.language == Language::Thai {
            return said
                .split(' ')
                .next()
                .is_some_and(|first| self.is_given(first));
        }
        let mut parts = said.split(is_separator).filter(|part| !part.is_empty());
        if !japanese && parts.clone().count() == 2 && parts.any(|part| self.is_given(part)) {
            return true;
        }
        let families = compact.char_indices().skip(1).take(SURNAME_CHARS_MAX);
        { families }.any(|(at, _)| {
            let rest = &compact[at..];
            let short = japanese && self.may_be_given(&compact[..at], rest);
            self.is_family(&compact[..at]) && (self.is_given(rest) || short)
        })
    }

    /// One to three characters behind a surname of two, which are no word that we know.
    pub(super) fn may_be_given(&self, family: &str, rest: &str) -> bool {
        family.chars().count() > 1
            && rest.chars().count() <= 3
            && rest.chars().all(is_kanji)
            && !self.is_common(rest)
            && !self.is_phrase(rest)
    }
}
