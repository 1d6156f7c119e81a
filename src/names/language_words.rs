//! Words for languages and peoples in every known language, and turns that ask for a language.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::evidence::Evidence;
use super::grammar::Grammar;
use super::language::{Language, LanguageSet};
use super::language_data;
use super::text;
use super::token::TokenizedTurn;
use super::word_class::WordClass;

/// Words of an answer that asks for a language at most ("can we please speak Spanish").
const REQUEST_WORDS_MAX: usize = 8;

/// A word for a language or a people: the tag of the language, and the languages that say so.
type LanguageWord = (&'static str, LanguageSet);

/// The tag of the language that a folded word names: "spanish", "espanol" and "spanisch" are `es`. A
/// known name of the turn's language that only others read so ("Frances") names none.
pub fn language_of_word(
    folded: &str,
    evidence: Evidence,
    language: Language,
) -> Option<&'static str> {
    let (tag, said_in) = look_up_language_word(folded)?;
    let own = said_in >> language as u32 & 1 != 0;
    (own || evidence != Evidence::Name).then_some(tag)
}

fn look_up_language_word(folded: &str) -> Option<LanguageWord> {
    static WORDS: OnceLock<HashMap<&'static str, LanguageWord>> = OnceLock::new();
    let words = WORDS.get_or_init(|| {
        let mut words: HashMap<&'static str, LanguageWord> = HashMap::new();
        for language in Language::ALL {
            let file = language_data::data_of(language);
            let own = file
                .own_name
                .split_whitespace()
                .map(|name| (language.tag(), name));
            let named = file.languages.iter().flat_map(|(tag, names)| {
                names
                    .split_whitespace()
                    .map(move |name| (tag.as_str(), name))
            });
            for (tag, name) in own.chain(named) {
                let word = words.entry(&*text::fold(name).leak()).or_insert((tag, 0));
                word.1 |= 1 << language as u32;
            }
        }
        words
    });
    words.get(folded).copied()
}

/// Whether a word, written in any way, names a language or a people.
pub fn is_language_word(word: &str) -> bool {
    look_up_language_word(&text::fold(word)).is_some()
}

/// The language that a turn asks for and says nothing else: "Spanish please", "¿Habla español?".
pub fn requested_language(turn: &TokenizedTurn<'_>, grammar: &Grammar) -> Option<&'static str> {
    if turn.tokens.len() > REQUEST_WORDS_MAX {
        return None;
    }
    let mut wanted = None;
    for at in 0..turn.tokens.len() {
        let evidence = turn.tokens[at].evidence;
        if let Some(tag) = language_of_word(turn.folded(at), evidence, turn.language) {
            wanted = Some(tag);
        }
    }
    let wanted = wanted?;
    let spoken = Grammar::of(Language::from_tag(wanted));
    let requests = |language: Language, folded: &str| {
        language.data().is_some_and(|file| {
            file.language_request
                .split_whitespace()
                .any(|word| text::fold(word) == folded)
        })
    };
    let around = WordClass::FILLER
        .union(WordClass::TAIL)
        .union(WordClass::NO);
    let passes = |at: usize| {
        let folded = turn.folded(at);
        look_up_language_word(folded).is_some()
            || grammar.classes(folded).intersects(around)
            || spoken.classes(folded).intersects(around)
            || requests(turn.language, folded)
            || requests(Language::from_tag(wanted), folded)
    };
    (0..turn.tokens.len()).all(passes).then_some(wanted)
}
