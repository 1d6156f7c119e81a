//! Names in Chinese.

use super::rules::{ClauseRules, GIVEN_CHARS_MAX};
use crate::language::Language;

impl ClauseRules {
    /// Four Chinese characters without a family name are a phrase as often: 方便查询.
    pub(super) fn is_long_and_unknown(&self, said: &str) -> bool {
        self.language == Language::Chinese
            && said.chars().count() > 3
            && !said.contains('·')
            && self.family_and_given(said).is_none()
    }

    /// A family name and two characters, which are no longer word.
    pub(super) fn may_be_chinese(&self, said: &str) -> bool {
        let mut chars = said.char_indices().skip(GIVEN_CHARS_MAX);
        let word = chars.next().map(|(at, _)| &said[..at]);
        word.is_some_and(|word| !self.is_common(word)) && self.family_and_given(said).is_some()
    }
}
