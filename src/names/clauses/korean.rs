//! Names in Korean.

use super::rules::{ClauseCue, ClauseRules, GIVEN_CHARS_MAX};
use super::script::ends_in_consonant;

impl ClauseRules {
    /// A family name and two syllables, which are no noun and its particle.
    pub(super) fn may_be_korean(&self, said: &str) -> bool {
        const PARTICLES: [char; 14] = [
            '을', '를', '은', '는', '의', '에', '도', '만', '로', '와', '과', '고', '요', '서',
        ];
        let chars = said.chars().count();
        let noun = said.chars().last().is_some_and(|c| {
            PARTICLES.contains(&c) || self.is_common(&said[..said.len() - c.len_utf8()])
        });
        chars > GIVEN_CHARS_MAX && !noun && self.family_and_given(said).is_some()
    }

    /// The name at the end of a stretch of Korean: "예약한 오세훈", "김 나영", "소피아 김".
    pub(super) fn korean_name<'t>(&self, said: &'t str, cue: ClauseCue) -> Option<&'t str> {
        let words: Vec<&str> = said.split_whitespace().collect();
        let last = *words.last()?;
        let spelled =
            (3..=4).contains(&words.len()) && words.iter().all(|word| word.chars().count() == 1);
        let before = words.len().checked_sub(2).map(|at| words[at]);
        let joined = before.filter(|before| {
            self.is_family(before) && last.chars().count() <= 3 && !self.is_common(last)
                || self.is_given(before) && !self.is_common(before)
        });
        let name = match (spelled, joined) {
            (true, _) => said,
            (_, Some(before)) => &said[said.rfind(before)?..],
            _ => last,
        };
        let name = name
            .strip_suffix('이')
            .filter(|short| {
                short.chars().last().is_some_and(ends_in_consonant)
                    && self.is_listed(short)
                    && !self.is_listed(name)
            })
            .unwrap_or(name);
        let lead = said.strip_suffix(name).unwrap_or_default().trim();
        if lead.is_empty() {
            return Some(name);
        }
        let full = self.is_listed(name) && self.family_and_given(name).is_some();
        let of_me = lead
            .split(' ')
            .next_back()
            .is_some_and(|word| self.own_person.contains(&word));
        let own = of_me || !lead.split(' ').any(|word| self.is_of_another(word));
        (own && (full || matches!(cue, ClauseCue::Strong | ClauseCue::NameBefore))).then_some(name)
    }

    /// "친구가": a word before the name that makes it somebody else's.
    fn is_of_another(&self, word: &str) -> bool {
        if self.own_person.iter().any(|me| word.starts_with(me)) {
            return false;
        }
        self.other_persons
            .iter()
            .any(|other| word.starts_with(other))
            || word.chars().count() > 1 && word.ends_with(['가', '의'])
    }
}
