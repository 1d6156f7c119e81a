//! Where a name begins and ends in a clause: "my name is" before it, "is" and titles behind.

use super::prefiltered_phrase::letters_of;
use super::rules::{ClauseCue, ClauseRules, without_prefix};
use super::script::ends_in_consonant;
use crate::language::Language;

impl ClauseRules {
    /// "石井ですけどそちらって…": where a listed name and its "is" end, and more follows.
    pub(super) fn listed_name_end(&self, said: &str) -> Option<usize> {
        self.copula.iter().find_map(|copula| {
            let at = said.find(copula)?;
            let name = at > 0 && copula.chars().count() > 1 && self.is_listed(&said[..at]);
            name.then_some(at + copula.len())
        })
    }

    /// The text before "am called", and the text after it.
    pub(super) fn split_at_called<'t>(&self, said: &'t str) -> Option<(&'t str, &'t str)> {
        let letters = letters_of(said);
        let mut possible = self
            .called
            .iter()
            .filter(|ending| ending.may_be_in(letters));
        possible.find_map(|ending| {
            let (before, behind) = said.split_once(ending.text)?;
            self.may_end(before, ending.text)
                .then_some((before, behind))
        })
    }

    /// The text without an ending, where the ending fits it and something is left.
    pub(super) fn without_ending<'t>(&self, said: &'t str, ending: &str) -> Option<&'t str> {
        let before = said.strip_suffix(ending)?;
        (!before.is_empty() && self.may_end(before, ending)).then(|| before.trim_end())
    }

    /// Korean endings that begin with 이 stand behind consonants only: 제이라고 is 제이 + 라고.
    fn may_end(&self, before: &str, ending: &str) -> bool {
        self.language != Language::Korean
            || !ending.starts_with('이')
            || before.chars().last().is_some_and(ends_in_consonant)
    }

    /// Cuts "is" and politeness off. A shorter cut that leaves a listed name wins: มานะ + ครับ.
    pub(super) fn without_copula<'t>(&self, said: &'t str) -> &'t str {
        let cuts = |said: &'t str| {
            let cuts = self.copula.iter();
            cuts.filter_map(move |copula| self.without_ending(said, copula))
        };
        if self.language == Language::Japanese {
            return cuts(said).next().unwrap_or(said);
        }
        if self.language == Language::Thai && self.is_listed(said) {
            return said;
        }
        let listed = cuts(said).filter(|cut| self.is_listed(self.without_honorific(cut)));
        if let Some(listed) = listed.max_by_key(|cut| cut.len()) {
            return listed;
        }
        let mut rest = said;
        while let Some(shorter) = cuts(rest).next() {
            rest = shorter;
            if self.language == Language::Korean || self.is_listed(rest) {
                break;
            }
        }
        rest
    }

    /// Whether the ending states a name. 야 does not: it is as often used to address somebody.
    pub(super) fn is_statement(&self, ending: &str) -> bool {
        self.language != Language::Korean || ending.trim().chars().count() > 1
    }

    /// Where the next sentence begins behind a name, nothing written between them.
    pub(super) fn next_sentence_start(&self, said: &str, cue: ClauseCue) -> Option<usize> {
        let after_first = said.char_indices().nth(1).map(|(at, _)| at)?;
        let starters: &[&str] = match (self.language, cue) {
            (Language::Korean | Language::Thai, _) | (Language::Japanese, ClauseCue::Plain) => &[],
            _ => &self.starters,
        };
        let courtesies: &[&str] = match self.language {
            Language::Japanese => &[],
            _ => &self.courtesies,
        };
        let found = starters.iter().chain(courtesies).filter_map(|starter| {
            let at = said[after_first..].find(starter)? + after_first;
            Some(at)
        });
        let behind_name = (cue != ClauseCue::Plain)
            .then(|| self.thai_starters(said))
            .flatten();
        found.chain(behind_name).min()
    }

    /// Where a Thai sentence begins behind a listed name: กฤษฎา + อยากถาม.
    fn thai_starters(&self, said: &str) -> Option<usize> {
        if self.language != Language::Thai {
            return None;
        }
        let places = self
            .starters
            .iter()
            .filter_map(|starter| said.find(starter));
        places.filter(|at| self.is_given(&said[..*at])).max()
    }

    /// The text after "my name is" or "I am", or the whole text without either; `None` if it is about
    /// somebody else.
    pub(super) fn after_cue<'t>(&self, clause: &'t str) -> Option<(&'t str, ClauseCue)> {
        let letters = letters_of(clause);
        let mut possible = self
            .own_name
            .iter()
            .filter(|own| own.may_be_in(letters))
            .map(|own| own.text);
        if let Some((own, owner, behind)) = possible.find_map(|own| {
            let at = clause.find(own)?;
            let behind = &clause[at + own.len()..];
            let owned = self.language != Language::Chinese || self.is_own_name(&clause[..at]);
            (owned && self.is_separate_word(own, behind)).then_some((own, &clause[..at], behind))
        }) {
            // "叫" alone may be about any name.
            let vague = self.language == Language::Chinese && own.chars().count() == 1;
            let cue = match vague && behind.chars().count() > 1 {
                true => ClauseCue::OwnPerson,
                false => ClauseCue::Strong,
            };
            let behind = behind.trim_start();
            // "ชื่อเล่น หนูชื่อ …": announced twice.
            let again = (self.own_name.iter()).any(|own| behind.contains(own.text));
            let said = again.then(|| self.after_cue(behind)).flatten();
            let said = said.filter(|(_, cue)| *cue == ClauseCue::Strong);
            return self
                .is_own_name(owner.trim())
                .then_some(said.unwrap_or((behind, cue)));
        }
        if let Some(rest) = self.after_own_person(clause) {
            return Some((rest, ClauseCue::OwnPerson));
        }
        let presented = (self.language == Language::Japanese)
            .then(|| {
                clause
                    .strip_prefix("こちらは")
                    .or_else(|| clause.strip_prefix("こちら"))
            })
            .flatten();
        Some(presented.map_or((clause, ClauseCue::Plain), |rest| {
            (rest, ClauseCue::OwnPerson)
        }))
    }

    /// Whether the text before "name is" is the speaker or empty.
    fn is_own_name(&self, owner: &str) -> bool {
        if self.language != Language::Japanese {
            return self.is_about_own_name(owner);
        }
        let owner = owner.trim_end_matches('の');
        let own = owner.is_empty() || self.own_person.iter().any(|me| owner.ends_with(me));
        let other = self.other_persons.iter().any(|one| owner.ends_with(one))
            && !self.own_person.contains(&owner);
        own && !other
    }

    /// The text after "I am".
    fn after_own_person<'t>(&self, clause: &'t str) -> Option<&'t str> {
        self.own_person.iter().find_map(|me| {
            let rest = clause.strip_prefix(me)?;
            let joined = without_prefix(rest.trim_start(), &self.own_person_ends);
            let loose = match self.language {
                Language::Korean => rest.starts_with(' '),
                Language::Thai => true,
                _ => false,
            };
            let rest = joined.or_else(|| loose.then_some(rest))?.trim_start();
            (!rest.is_empty()).then_some(rest)
        })
    }

    /// The text without a title behind it; in Thai before it.
    pub(super) fn without_honorific<'t>(&self, said: &'t str) -> &'t str {
        let said = said.trim();
        let thai = self.language == Language::Thai;
        let whole = self.language != Language::Japanese && self.is_listed(said);
        let cut = |honorific: &&str| {
            let rest = match thai {
                true => said.strip_prefix(honorific),
                false => said.strip_suffix(honorific),
            };
            rest.filter(|rest| !rest.is_empty() && (!whole || rest.ends_with(' ')))
        };
        self.honorifics.iter().find_map(cut).unwrap_or(said).trim()
    }
}
