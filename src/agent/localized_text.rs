//! A setting that is spoken: one text for every language, or one for each.

use calldex_names::is_language_code;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The language of the prompts, and the default of other texts.
const PROMPT_LANGUAGE: &str = "en";

/// `"Mount Moon Books"`, or `{ en = "the Pokédex Call Center", es = "el centro de llamadas Pokédex" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LocalizedText {
    /// The same text for all languages.
    Same(String),
    /// By language: a BCP-47 tag, or its first part.
    ByLanguage(BTreeMap<String, String>),
}

impl LocalizedText {
    /// The text for `language`: its own, else English, else any.
    pub fn text_for(&self, language: &str) -> &str {
        match self {
            Self::Same(text) => text,
            Self::ByLanguage(texts) => self
                .exact_text(language)
                .or_else(|| self.exact_text(PROMPT_LANGUAGE))
                .or_else(|| texts.values().next().map(String::as_str))
                .unwrap_or_default(),
        }
    }

    /// The text in `language` itself. A text for all languages counts as English: it does not fit into a sentence of
    /// another language.
    pub fn exact_text(&self, language: &str) -> Option<&str> {
        let primary = language.split(['-', '_']).next().unwrap_or_default();
        match self {
            Self::Same(text) => primary
                .eq_ignore_ascii_case(PROMPT_LANGUAGE)
                .then_some(text),
            Self::ByLanguage(texts) => texts
                .get(language)
                .or_else(|| texts.get(&primary.to_ascii_lowercase())),
        }
        .map(String::as_str)
    }

    /// Keys that are not language codes: their texts would never be used.
    pub fn unknown_languages(&self) -> impl Iterator<Item = &String> {
        let each = match self {
            Self::Same(_) => None,
            Self::ByLanguage(texts) => Some(texts.keys()),
        };
        let unknown = |language: &&String| !is_language_code(language);
        each.into_iter().flatten().filter(unknown)
    }

    /// All texts.
    pub fn texts(&self) -> impl Iterator<Item = &String> {
        let (one, each) = match self {
            Self::Same(text) => (Some(text), None),
            Self::ByLanguage(texts) => (None, Some(texts.values())),
        };
        one.into_iter().chain(each.into_iter().flatten())
    }
}

impl From<&str> for LocalizedText {
    fn from(text: &str) -> Self {
        Self::Same(text.to_owned())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for LocalizedText {
    fn from(pairs: [(&str, &str); N]) -> Self {
        let own = |(language, text): (&str, &str)| (language.to_owned(), text.to_owned());
        Self::ByLanguage(pairs.into_iter().map(own).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_has_its_own_text_or_what_there_is() {
        let each = LocalizedText::from([
            ("en", "books"),
            ("es-MX", "libros de aquí"),
            ("es", "libros"),
        ]);
        assert_eq!(each.text_for("es-MX"), "libros de aquí");
        assert_eq!(each.text_for("es-ES"), "libros");
        assert_eq!(each.text_for("fr"), "books");
        assert_eq!(each.exact_text("fr-FR"), None);
        let one = LocalizedText::from("Mount Moon Books");
        assert_eq!(one.text_for("fr"), "Mount Moon Books");
        assert_eq!(
            (one.exact_text("fr"), one.exact_text("en-GB")),
            (None, Some("Mount Moon Books"))
        );
    }
}
