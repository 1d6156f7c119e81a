//! A name that was found, as its first and full name.

use super::rules::ClauseRules;
use super::script::{is_katakana, is_separator};
use crate::extraction::Name;
use crate::language::Language;

impl ClauseRules {
    /// First and full name of a written one: "ジョン・スミス" is ジョン, "佐藤 花子" is 花子,
    /// "김민수" is 민수; Chinese given names of one character are not said alone.
    pub(super) fn to_name(&self, said: &str) -> Name {
        let parts: Vec<&str> = said
            .split(is_separator)
            .filter(|part| !part.is_empty())
            .collect();
        if parts.len() < 2 || parts.iter().all(|part| part.chars().count() == 1) {
            let compact = parts.concat();
            return match self.given_part(&compact) {
                Some(given) => Name {
                    title: None,
                    first: given.to_owned(),
                    full: Some(compact),
                },
                None => Name {
                    title: None,
                    first: self.capitalised(&compact),
                    full: None,
                },
            };
        }
        let first = if self.says_family_first(said, &parts) {
            parts.last()
        } else {
            parts.first()
        };
        Name {
            title: None,
            first: self.capitalised(first.copied().unwrap_or(said)),
            full: Some(said.to_owned()),
        }
    }

    /// The given name behind a family name, nothing written between them.
    fn given_part<'t>(&self, compact: &'t str) -> Option<&'t str> {
        if self.is_given(compact) {
            return None;
        }
        let given = match self.language {
            Language::Korean | Language::Chinese => &compact[self.family_and_given(compact)?..],
            Language::Japanese => self.japanese_given(compact)?,
            _ => return None,
        };
        (given.chars().count() > 1 || self.language == Language::Japanese).then_some(given)
    }

    fn says_family_first(&self, said: &str, parts: &[&str]) -> bool {
        match self.language {
            Language::Thai => false,
            Language::Korean => self.is_family(parts[0]) && !self.is_given(parts[0]),
            _ => !is_katakana(said) && !said.is_ascii() && !said.contains('·'),
        }
    }

    fn capitalised(&self, name: &str) -> String {
        if name.is_ascii() {
            crate::capitalization::capitalised(name, self.language)
        } else {
            name.to_owned()
        }
    }
}
