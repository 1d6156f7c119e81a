//! Introductions in another language than the turn's: "ich heiße Jürgen" on an English line.
//!
//! Only an explicit cue counts ("I am called X"), and only where the turn's own language hears none.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::clauses;
use super::extraction::{Extraction, ExtractionContext, NameDecision, NameIntent};
use super::extractor;
use super::grammar::Grammar;
use super::language::{Language, LanguageSet, Script};
use super::language_data;
use super::text;
use super::token::TokenizedTurn;

/// Languages whose cues are tried on one turn at most: bounds the time of a turn.
const LANGUAGES_MAX: usize = 3;
/// Letters that are looked at to tell the script.
const LETTERS_MAX: usize = 40;

/// The introduction that another language's cue announces, if one does. `cues`: the languages by
/// [`languages_with_cue`]; of a text that is read by clause, none.
pub fn extract_in_other_languages(
    text: &str,
    cues: LanguageSet,
    context: &ExtractionContext<'_>,
) -> Option<Extraction> {
    let script = text.chars().take(LETTERS_MAX).find_map(Script::of)?;
    let own = context.language;
    Language::ALL
        .into_iter()
        .filter(|language| *language != own && language.script() == script)
        .filter(|language| is_written_so(*language, text))
        .filter(|language| language.is_clause_based() || cues >> *language as u32 & 1 != 0)
        .take(LANGUAGES_MAX)
        .map(|language| extract_in_language(text, language, context))
        .find(|heard| {
            heard.has_explicit_cue
                && heard.decision == NameDecision::Capture
                && matches!(
                    heard.intent,
                    NameIntent::Introduction | NameIntent::Correction
                )
        })
}

/// Japanese has kana in every sentence, and Chinese none.
fn is_written_so(language: Language, text: &str) -> bool {
    let kana = || text.chars().any(|c| ('\u{3040}'..='\u{30ff}').contains(&c));
    match language {
        Language::Japanese => kana(),
        Language::Chinese => !kana(),
        _ => true,
    }
}

/// The languages with an explicit cue that begins as some words of the turn do.
pub fn languages_with_cue(turn: &TokenizedTurn<'_>) -> LanguageSet {
    let starts = CueStarts::all();
    (0..turn.tokens.len()).fold(0, |found, at| {
        found | starts.at(turn.folded(at), turn.folded(at + 1))
    })
}

fn extract_in_language(
    text: &str,
    language: Language,
    context: &ExtractionContext<'_>,
) -> Extraction {
    let context = ExtractionContext {
        name_asked: false,
        language,
        ..*context
    };
    if language.is_clause_based() {
        return clauses::extract_from_turn(text, &context);
    }
    let grammar = Grammar::of(language);
    extractor::extract_from_turn(
        &TokenizedTurn::tokenize(text, &context, grammar.vocabulary()),
        grammar,
        &context,
    )
}

/// How explicit cues begin: with one word, or with two.
#[derive(Default)]
struct CueStarts {
    single: HashMap<&'static str, LanguageSet>,
    pairs: HashMap<(&'static str, &'static str), LanguageSet>,
}

impl CueStarts {
    fn all() -> &'static Self {
        static STARTS: OnceLock<CueStarts> = OnceLock::new();
        STARTS.get_or_init(|| {
            let mut starts = Self::default();
            for language in Language::ALL {
                for line in language_data::lines(&language_data::data_of(language).phrases.strong) {
                    starts.add(text::fold(line).leak(), 1 << language as u32);
                }
            }
            starts
        })
    }

    fn add(&mut self, line: &'static str, language: LanguageSet) {
        let elements: Vec<&'static str> = line.split_whitespace().collect();
        for (index, element) in elements.iter().enumerate() {
            for first in element.trim_end_matches('?').split('|') {
                let seconds = &elements[index + 1..];
                if seconds.is_empty() || seconds[0].starts_with('@') {
                    *self.single.entry(first).or_default() |= language;
                }
                for second in possible_first_words(seconds) {
                    *self.pairs.entry((first, second)).or_default() |= language;
                }
            }
            if !element.ends_with('?') {
                break;
            }
        }
    }

    fn at(&self, first: &str, second: &str) -> LanguageSet {
        let single = self.single.get(first).copied().unwrap_or_default();
        let pair = self.pairs.get(&(first, second)).copied();
        single | pair.unwrap_or_default()
    }
}

/// The words that a phrase may begin with: its optional ones, and the first that is not.
fn possible_first_words<'a>(
    elements: &'a [&'static str],
) -> impl Iterator<Item = &'static str> + 'a {
    let optional = elements
        .iter()
        .take_while(|element| element.ends_with('?'))
        .count();
    elements
        .iter()
        .take(optional + 1)
        .flat_map(|element| element.trim_end_matches('?').split('|'))
}
