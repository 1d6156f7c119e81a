//! Names in Thai.

use super::rules::{Cue, Rules};

impl Rules {
    /// First and last name, or the first word, of a stretch of Thai.
    pub(super) fn thai_name<'t>(&self, said: &'t str, cue: Cue) -> Option<&'t str> {
        let mut words = said.split(' ').filter(|word| !word.is_empty());
        let first = words.next()?;
        let Some(second) = words.next() else {
            return Some(first);
        };
        let longer = words.next().is_some();
        if longer && !matches!(cue, Cue::Strong | Cue::Called) {
            return None;
        }
        let whole = !longer && !self.is_phrase(second) && !self.is_common(second);
        Some(if whole { said } else { first })
    }
}
