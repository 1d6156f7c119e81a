//! Names in Thai.

use super::rules::{ClauseCue, ClauseRules};

impl ClauseRules {
    /// First and last name, or the first word, of a stretch of Thai.
    pub(super) fn thai_name<'t>(&self, said: &'t str, cue: ClauseCue) -> Option<&'t str> {
        let mut words = said.split(' ').filter(|word| !word.is_empty());
        let first = words.next()?;
        let Some(second) = words.next() else {
            return Some(first);
        };
        let longer = words.next().is_some();
        if longer && !matches!(cue, ClauseCue::Strong | ClauseCue::NameBefore) {
            return None;
        }
        let whole = !longer && !self.is_phrase(second) && !self.is_common(second);
        Some(if whole { said } else { first })
    }
}
