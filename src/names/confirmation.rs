//! The turn after "Was that Kay?".

use std::sync::OnceLock;

use super::extraction::{
    Confirmation, Extraction, ExtractionContext, Name, NameDecision, NameIntent, YesNo,
};
use super::grammar::Grammar;
use super::language::Language;
use super::language_data;
use super::name_reader::NameReader;
use super::token::TokenizedTurn;
use super::word_class::WordClass;
use super::{extract, spelling, text};

/// The phrases that agree, and those that deny, folded and cut into words.
struct YesNoMatcher {
    yes: Vec<Vec<&'static str>>,
    no: Vec<Vec<&'static str>>,
}

impl YesNoMatcher {
    /// Those of a language; English ones where it has none.
    fn of(language: Language) -> &'static Self {
        static ANSWERS: [OnceLock<YesNoMatcher>; Language::COUNT] =
            [const { OnceLock::new() }; Language::COUNT];
        ANSWERS[language as usize].get_or_init(|| {
            let file = language
                .data()
                .unwrap_or_else(|| language_data::data_of(Language::English));
            Self {
                yes: split_phrases(&file.answers.yes),
                no: split_phrases(&file.answers.no),
            }
        })
    }
}

fn split_phrases(phrases: &str) -> Vec<Vec<&'static str>> {
    let folded: &'static str = text::fold(phrases).leak();
    language_data::lines(folded)
        .map(|phrase| phrase.split(' ').collect())
        .collect()
}

/// Particles and courtesies that add nothing behind a yes or no that is written without spaces.
const CLAUSE_ENDS: &[char] = &['。', '、', '！', '!', ' ', '　', 'ね', 'よ', '.', ','];

/// Reads the reply to "Was that Kay?".
#[must_use]
pub fn parse_yes_no(turn: &str, language: Language) -> YesNo<'_> {
    match language {
        _ if language.is_clause_based() => yes_no_by_clause(turn, language),
        _ => yes_no_by_words(turn, language),
    }
}

fn yes_no_by_words(turn: &str, language: Language) -> YesNo<'_> {
    let words = folded_words(turn);
    let skipped = words
        .iter()
        .take_while(|(word, _)| is_hesitation(word))
        .count();
    let said = words.get(skipped..).unwrap_or_default();
    let answers = YesNoMatcher::of(language);
    let no = longest_match(said, &answers.no);
    let yes = longest_match(said, &answers.yes);
    if no > 0 && no >= yes {
        let rest = said.get(no).map_or("", |(_, at)| &turn[*at..]);
        return if has_more(rest, language) {
            YesNo::NoWithText(rest)
        } else {
            YesNo::No
        };
    }
    if yes > 0 { YesNo::Yes } else { YesNo::Unclear }
}

/// Whether what follows a "no" is more than courtesy and repetition of it.
fn has_more(rest: &str, language: Language) -> bool {
    let grammar = Grammar::of(language);
    let courtesy = WordClass::FILLER
        .union(WordClass::TAIL)
        .union(WordClass::NO)
        .union(WordClass::HESITATION);
    folded_words(rest).iter().any(|(word, _)| {
        !grammar.classes(word).intersects(courtesy)
            && !matches!(
                word.as_str(),
                "that's"
                    | "thats"
                    | "not"
                    | "it"
                    | "my"
                    | "name"
                    | "wrong"
                    | "it's"
                    | "right"
                    | "isn't"
            )
    })
}

/// How many words of the turn's start the longest phrase of a list takes.
fn longest_match(words: &[(String, usize)], phrases: &[Vec<&str>]) -> usize {
    let begins = |phrase: &&Vec<&str>| {
        phrase.len() <= words.len() && phrase.iter().zip(words).all(|(one, (word, _))| one == word)
    };
    { phrases.iter().filter(begins) }
        .map(Vec::len)
        .max()
        .unwrap_or(0)
}

fn is_hesitation(word: &str) -> bool {
    matches!(
        word,
        "uh" | "um"
            | "er"
            | "oh"
            | "ah"
            | "eh"
            | "well"
            | "hmm"
            | "hm"
            | "euh"
            | "ahm"
            | "pues"
            | "ben"
            | "na"
            | "nou"
            | "actually"
            | "sorry"
            | "ay"
    )
}

/// Words folded, with their place in the turn.
fn folded_words(turn: &str) -> Vec<(String, usize)> {
    let joined = |c: char| c.is_alphanumeric() || super::token::is_apostrophe(c);
    let mut words = Vec::new();
    let mut start = None;
    for (at, c) in turn.char_indices().chain([(turn.len(), ' ')]) {
        match (joined(c), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                words.push((text::fold(&turn[from..at]), from));
                start = None;
            }
            _ => {}
        }
    }
    words
}

fn yes_no_by_clause(turn: &str, language: Language) -> YesNo<'_> {
    let said = turn.trim_start();
    let Some(file) = language.data() else {
        return YesNo::Unclear;
    };
    let after = |said: &'_ str, phrases: &str| {
        let ends = language_data::lines(phrases).filter_map(|phrase| {
            let rest = said.strip_prefix(phrase)?;
            Some(said.len() - rest.len())
        });
        ends.max()
    };
    if let Some(end) = after(said, &file.answers.no) {
        let mut rest = said[end..].trim_start_matches(CLAUSE_ENDS);
        if let Some(again) = after(rest, &file.answers.no) {
            rest = rest[again..].trim_start_matches(CLAUSE_ENDS);
        }
        return if rest.chars().count() > 1 {
            YesNo::NoWithText(rest)
        } else {
            YesNo::No
        };
    }
    if after(said, &file.answers.yes).is_some() {
        YesNo::Yes
    } else {
        YesNo::Unclear
    }
}

/// Reads the reply to "Was that Kay?" together with the name that was asked about: "no, it's
/// K A Y E", "yes, with an e", "no, Jay".
#[must_use]
pub fn parse_confirmation(
    asked_about: &Name,
    turn: &str,
    context: &ExtractionContext<'_>,
) -> Confirmation {
    let asked = ExtractionContext {
        name_asked: true,
        ..*context
    };
    match parse_yes_no(turn, context.language) {
        YesNo::Yes => Confirmation::Confirmed(respelled(asked_about, turn, &asked)),
        YesNo::No => Confirmation::Denied,
        YesNo::NoWithText(rest) => {
            corrected(asked_about, rest, &asked).unwrap_or(Confirmation::Denied)
        }
        YesNo::Unclear => corrected(asked_about, turn, &asked).unwrap_or(Confirmation::Unclear),
    }
}

/// The name as a "yes, with an e" or "yes, K A Y E" spells it.
fn respelled(name: &Name, turn: &str, context: &ExtractionContext<'_>) -> Name {
    if let Some(varied) = respelled_by_letter(name, turn, context) {
        return varied;
    }
    let heard = extract(turn, context);
    match heard.name {
        Some(spelled) if heard.is_spelled && same_start(&spelled, name) => spelled,
        _ => name.clone(),
    }
}

fn same_start(one: &Name, other: &Name) -> bool {
    text::fold(&one.first).chars().next() == text::fold(&other.first).chars().next()
}

fn respelled_by_letter(name: &Name, turn: &str, context: &ExtractionContext<'_>) -> Option<Name> {
    if context.language.is_clause_based() {
        return None;
    }
    let normal = text::normalise(turn);
    let grammar = Grammar::of(context.language);
    let read = TokenizedTurn::tokenize(&normal, context, grammar.vocabulary());
    let reader = NameReader {
        turn: &read,
        grammar,
        excluded: context.excluded,
        name_asked: true,
    };
    (0..read.tokens.len()).find_map(|at| {
        let (letter, without, _) = spelling::letter_after(&reader, at)?;
        spelling::respell_with_letter(name, letter, without, &reader)
    })
}

/// What a denial (or neither yes nor no) puts in the name's place.
fn corrected(
    asked_about: &Name,
    rest: &str,
    context: &ExtractionContext<'_>,
) -> Option<Confirmation> {
    let heard = extract(rest, context);
    if heard.intent == NameIntent::Refusal {
        return Some(Confirmation::Refused);
    }
    if heard.name.is_none() || heard.decision == NameDecision::Ignore {
        let varied = respelled_by_letter(asked_about, rest, context)
            .filter(|varied| varied != asked_about)?;
        return Some(Confirmation::Corrected(Extraction {
            name: Some(varied),
            confidence: 0.9,
            intent: NameIntent::Correction,
            decision: NameDecision::Capture,
            has_explicit_cue: true,
            is_spelled: true,
            ..Extraction::default()
        }));
    }
    let same = heard.name.as_ref().is_some_and(|name| {
        text::fold(&name.first) == text::fold(&asked_about.first) && heard.rejected_name.is_none()
    });
    Some(match heard.name {
        Some(name) if same => Confirmation::Confirmed(name),
        _ => Confirmation::Corrected(Extraction {
            intent: NameIntent::Correction,
            ..heard
        }),
    })
}
