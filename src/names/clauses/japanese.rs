//! Names in Japanese.

use super::rules::{ClauseCue, ClauseRules, contains_in_order, without_prefix};
use super::script::is_katakana_letter;
use crate::language::Language;

/// A Japanese name that holds what may be a particle (ゆうと) has few characters.
const JAPANESE_CHARS_MAX: usize = 5;

impl ClauseRules {
    /// A Japanese name may hold one character that is a particle elsewhere: ゆうと.
    pub(super) fn is_ambiguous(&self, said: &str) -> bool {
        let grammar = self.particles.iter().filter(|one| one.chars().count() > 1);
        self.language == Language::Japanese
            && said.chars().count() <= JAPANESE_CHARS_MAX
            && !{ grammar }.any(|one| said.contains(one))
    }

    /// The name at the end of a stretch of Japanese: "株式会社青空の木村", "予約した阿部".
    pub(super) fn japanese_name<'t>(&self, said: &'t str, cue: ClauseCue) -> Option<&'t str> {
        if self.is_listed(said) {
            return Some(said);
        }
        let ends = |cut: &str| said.rfind(cut).map(|at| at + cut.len());
        let me = without_prefix(said, &self.own_person);
        if let Some(name) = me.filter(|name| self.is_listed(name)) {
            return Some(name);
        }
        if cue == ClauseCue::NameBefore
            && self
                .other_persons
                .iter()
                .any(|other| contains_in_order(said, &format!("{other}は")))
        {
            return None;
        }
        let told = ends("した").max(ends("いた"));
        let of = ends("の").filter(|_| cue == ClauseCue::NameBefore);
        let Some(at) = told.max(of) else {
            return Some(said);
        };
        let (lead, name) = said.split_at(at);
        if !self.is_listed(name) {
            return Some(said);
        }
        let other = self.other_persons.iter().any(|other| {
            [lead.strip_suffix('の'), Some(lead)]
                .into_iter()
                .flatten()
                .any(|lead| lead.ends_with(other))
        });
        (!other).then_some(name)
    }

    pub(super) fn japanese_given<'t>(&self, compact: &'t str) -> Option<&'t str> {
        if self.is_family(compact) || compact.chars().all(is_katakana_letter) {
            return None;
        }
        let cuts = compact.char_indices().skip(2);
        let divided = cuts.map(|(at, _)| compact.split_at(at));
        let named = divided.filter(|(family, rest)| {
            self.is_family(family) && (self.is_given(rest) || self.may_be_given(family, rest))
        });
        named.last().map(|(_, given)| given)
    }
}
