//! Phrases of the language files that the workflow around the extractor asks for: denials, complaints
//! about a name, farewells, and how signs are spoken.

use std::sync::OnceLock;

use super::language::Language;
use super::language_data;
use super::text;

/// What follows the known name where the caller turns it down: "Marc with a c" of "not Mark, Marc
/// with a c". `None` where they do not.
#[must_use]
pub fn text_after_denied_name<'t>(known: &str, text: &'t str) -> Option<&'t str> {
    let known = comparable(known);
    let (mut before, mut rest) = ("", text.trim_start());
    while !rest.is_empty() {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        if comparable(word) == known && is_denial(before) {
            return Some(after.trim());
        }
        (before, rest) = (word, after.trim_start());
    }
    None
}

fn is_denial(word: &str) -> bool {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    let words = WORDS.get_or_init(|| {
        let files = Language::ALL.into_iter().map(language_data::data_of);
        files
            .flat_map(|file| file.denials.split_whitespace())
            .map(text::fold)
            .collect()
    });
    let folded = text::fold(word);
    words.contains(&folded)
}

/// What follows a complaint that the name is wrong, at whatever time it comes: the right one may.
#[must_use]
pub fn text_after_complaint(text: &str, language: Language) -> Option<&str> {
    let lower = text.to_lowercase();
    if lower.len() != text.len() {
        // Places in the text would not agree.
        return None;
    }
    let file = language.data()?;
    language_data::lines(&file.complaints).find_map(|complaint| {
        let at = lower.find(complaint)?;
        text.get(at + complaint.len()..)
    })
}

/// Whether the caller takes their leave, in any language.
#[must_use]
pub fn says_goodbye(text: &str) -> bool {
    static PHRASES: OnceLock<Vec<String>> = OnceLock::new();
    let phrases = PHRASES.get_or_init(|| {
        let files = Language::ALL.into_iter().map(language_data::data_of);
        files
            .flat_map(|file| language_data::lines(&file.farewells))
            .map(text::fold)
            .collect()
    });
    let folded = text::fold(text);
    let padded: String = std::iter::once(' ')
        .chain(folded.chars().map(|c| {
            if c.is_alphanumeric() || c == '-' {
                c
            } else {
                ' '
            }
        }))
        .chain([' '])
        .collect();
    phrases.iter().any(|phrase| {
        let spaced =
            phrase.is_ascii() || phrase.chars().any(|c| c.is_alphabetic() && c < '\u{e00}');
        if spaced {
            padded.contains(&format!(" {phrase} "))
        } else {
            padded.contains(phrase.as_str())
        }
    })
}

/// How a sign is spoken in a language, or a key of a telephone (`# key`); `None` where the language
/// file does not say.
#[must_use]
pub fn spoken_symbol(sign: &str, language: Language) -> Option<&'static str> {
    language.data()?.symbols.get(sign).map(String::as_str)
}

/// Letters and digits only, lower case, accents as they are: two spellings of one word agree.
fn comparable(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}
