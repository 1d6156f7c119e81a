//! Introductions in another language than the turn's: "ich heiße Jürgen" on an English line.
//!
//! Only an explicit cue counts ("I am called X"), and only where the turn's own language hears none.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::checks::Languages;
use super::clauses;
use super::engine;
use super::extraction::{Context, Decision, Extraction, Kind};
use super::grammar::Grammar;
use super::language::{Language, Script};
use super::languages;
use super::text;
use super::token::Turn;

/// Languages whose cues are tried on one turn at most: bounds the time of a turn.
const LANGUAGES_MAX: usize = 3;
/// Letters that are looked at to tell the script.
const LETTERS_MAX: usize = 40;

/// The introduction that another language's cue announces, if one does. `cues`: the languages by
/// [`cues_in`]; of a text that is read by clause, none.
pub fn read(text: &str, cues: Languages, context: &Context<'_>) -> Option<Extraction> {
    let script = text.chars().take(LETTERS_MAX).find_map(Script::of)?;
    let own = context.language;
    Language::ALL
        .into_iter()
        .filter(|language| *language != own && language.script() == script)
        .filter(|language| is_written_so(*language, text))
        .filter(|language| language.is_read_by_clause() || cues >> *language as u32 & 1 != 0)
        .take(LANGUAGES_MAX)
        .map(|language| read_as(text, language, context))
        .find(|heard| {
            heard.strong
                && heard.decision == Decision::Capture
                && matches!(heard.kind, Kind::Introduction | Kind::Correction)
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
pub fn cues_in(turn: &Turn<'_>) -> Languages {
    let starts = Starts::all();
    (0..turn.tokens.len()).fold(0, |found, at| {
        found | starts.at(turn.folded(at), turn.folded(at + 1))
    })
}

fn read_as(text: &str, language: Language, context: &Context<'_>) -> Extraction {
    let context = Context {
        asked: false,
        language,
        ..*context
    };
    if language.is_read_by_clause() {
        return clauses::read(text, &context);
    }
    let grammar = Grammar::of(language);
    engine::read(&Turn::read(text, &context, grammar), grammar, &context)
}

/// How explicit cues begin: with one word, or with two.
#[derive(Default)]
struct Starts {
    single: HashMap<&'static str, Languages>,
    pairs: HashMap<(&'static str, &'static str), Languages>,
}

impl Starts {
    fn all() -> &'static Self {
        static STARTS: OnceLock<Starts> = OnceLock::new();
        STARTS.get_or_init(|| {
            let mut starts = Self::default();
            for language in Language::ALL {
                for line in languages::lines(&languages::of(language).phrases.strong) {
                    starts.add(text::fold(line).leak(), 1 << language as u32);
                }
            }
            starts
        })
    }

    fn add(&mut self, line: &'static str, language: Languages) {
        let elements: Vec<&'static str> = line.split_whitespace().collect();
        for (index, element) in elements.iter().enumerate() {
            for first in element.trim_end_matches('?').split('|') {
                let seconds = &elements[index + 1..];
                if seconds.is_empty() || seconds[0].starts_with('@') {
                    *self.single.entry(first).or_default() |= language;
                }
                for second in firsts(seconds) {
                    *self.pairs.entry((first, second)).or_default() |= language;
                }
            }
            if !element.ends_with('?') {
                break;
            }
        }
    }

    fn at(&self, first: &str, second: &str) -> Languages {
        let single = self.single.get(first).copied().unwrap_or_default();
        let pair = self.pairs.get(&(first, second)).copied();
        single | pair.unwrap_or_default()
    }
}

/// The words that a phrase may begin with: its optional ones, and the first that is not.
fn firsts<'a>(elements: &'a [&'static str]) -> impl Iterator<Item = &'static str> + 'a {
    let optional = elements
        .iter()
        .take_while(|element| element.ends_with('?'))
        .count();
    elements
        .iter()
        .take(optional + 1)
        .flat_map(|element| element.trim_end_matches('?').split('|'))
}
