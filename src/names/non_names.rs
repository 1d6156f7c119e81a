//! Words that are never a name, or never one without a cue: function words of any language, the
//! names of voice assistants, excluded words.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::clauses;
use super::evidence::{self, Evidence};
use super::extraction::ExcludedWords;
use super::language::{Language, LanguageSet, Script};
use super::language_data;
use super::language_words::language_of_word;
use super::text;
use super::word_class::WordClass;
use super::wordlist::WordEntry;

/// What voice assistants are called: whoever says it speaks to one.
const ASSISTANTS: [&str; 8] = [
    "siri", "alexa", "cortana", "google", "bixby", "gemini", "chatgpt", "copilot",
];

/// Whether a folded word names an assistant rather than the caller.
pub fn is_assistant(folded: &str) -> bool {
    ASSISTANTS.contains(&folded)
}

/// The languages in which a folded word is a function word, a greeting, a yes or a no.
pub fn languages_with_function_word(folded: &str) -> LanguageSet {
    static WORDS: OnceLock<HashMap<&'static str, LanguageSet>> = OnceLock::new();
    let words = WORDS.get_or_init(|| {
        let mut words: HashMap<&'static str, LanguageSet> = HashMap::new();
        for language in Language::ALL {
            for (class, list) in &language_data::data_of(language).words {
                if !is_function_word_class(WordClass::from_name(class).unwrap_or_default()) {
                    continue;
                }
                for word in text::fold(list).leak().split_whitespace() {
                    *words.entry(word).or_default() |= 1 << language as u32;
                }
            }
        }
        words
    });
    words.get(folded).copied().unwrap_or_default()
}

fn is_function_word_class(role: WordClass) -> bool {
    role.intersects(
        WordClass::NEVER
            .union(WordClass::STARTER)
            .union(WordClass::FILLER)
            .union(WordClass::NO)
            .union(WordClass::GREETING),
    )
}

/// Whether a word is a small word of another language than the turn's, and no frequent name in the
/// turn's ("Ich" on an English line).
pub fn is_foreign_function_word(folded: &str, word_evidence: Evidence, language: Language) -> bool {
    let own: LanguageSet = 1 << language as u32;
    word_evidence != Evidence::Name && languages_with_function_word(folded) & !own != 0
}

/// Whether all letters of a word are of the script that the language is written in.
pub fn is_in_script(word: &str, language: Language) -> bool {
    word.chars()
        .filter_map(Script::of)
        .all(|script| script == language.script())
}

/// Whether a name from outside (the model's tool or judgement, an operator) can be somebody's name on
/// this line: letters, no excluded or domain word, no word for a language, no function word of the
/// language.
#[must_use]
pub fn is_plausible_name(name: &str, language: Language, excluded: &ExcludedWords) -> bool {
    let words: Vec<String> = name
        .split(|c: char| {
            !(c.is_alphanumeric()
                || matches!(c, '\'' | '’' | '-' | '.')
                || unicode_normalization::char::is_combining_mark(c))
        })
        .map(text::fold)
        .filter(|word| word.chars().any(char::is_alphabetic))
        .collect();
    let Some(first) = words.first() else {
        return false;
    };
    let is_barred = |word: &String| {
        excluded.contains(word)
            || is_assistant(word)
            || language_of_word(
                word,
                evidence::first_name_evidence(WordEntry::look_up(word), word, language),
                language,
            )
            .is_some()
            || word.chars().any(|c| c.is_ascii_digit())
    };
    if words.iter().any(is_barred) {
        return false;
    }
    if language.is_clause_based() && clauses::is_function_word(name, language) {
        return false;
    }
    let word = WordEntry::look_up(first);
    let evidence = evidence::first_name_evidence(word, first, language);
    let domain = excluded.excludes_domain_words() && word.is_domain() && evidence != Evidence::Name;
    // "Will" and "May" are words and names.
    let known = matches!(evidence, Evidence::Name | Evidence::Ambiguous);
    let small = words.len() == 1
        && !known
        && (languages_with_function_word(first) != 0
            || word.is_stop_word() && !word.is_first_name());
    !domain && !small
}
