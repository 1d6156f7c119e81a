//! The turn after "Was that Kay?".

use std::sync::OnceLock;

use super::extraction::{Answer, Confirmation, Context, Decision, Extraction, Kind, Name};
use super::grammar::{Grammar, Role};
use super::language::Language;
use super::languages;
use super::reader::Reader;
use super::token::Turn;
use super::{extract, spelling, text};

/// The phrases that agree, and those that deny, folded and cut into words.
struct Answers {
    yes: Vec<Vec<&'static str>>,
    no: Vec<Vec<&'static str>>,
}

impl Answers {
    /// Those of a language; English ones where it has none.
    fn of(language: Language) -> &'static Self {
        static ANSWERS: [OnceLock<Answers>; Language::COUNT] =
            [const { OnceLock::new() }; Language::COUNT];
        ANSWERS[language as usize].get_or_init(|| {
            let file = language
                .file()
                .unwrap_or_else(|| languages::of(Language::English));
            Self {
                yes: cut(&file.answers.yes),
                no: cut(&file.answers.no),
            }
        })
    }
}

fn cut(phrases: &str) -> Vec<Vec<&'static str>> {
    let folded: &'static str = text::fold(phrases).leak();
    languages::lines(folded)
        .map(|phrase| phrase.split(' ').collect())
        .collect()
}

/// Particles and courtesies that add nothing behind a yes or no that is written without spaces.
const CLAUSE_ENDS: &[char] = &['。', '、', '！', '!', ' ', '　', 'ね', 'よ', '.', ','];

/// Reads the reply to "Was that Kay?".
#[must_use]
pub fn answer(turn: &str, language: Language) -> Answer<'_> {
    match language {
        _ if language.is_read_by_clause() => answer_in_clause(turn, language),
        _ => answer_in_words(turn, language),
    }
}

fn answer_in_words(turn: &str, language: Language) -> Answer<'_> {
    let words = folded_words(turn);
    let skipped = words
        .iter()
        .take_while(|(word, _)| is_hesitation(word))
        .count();
    let said = words.get(skipped..).unwrap_or_default();
    let answers = Answers::of(language);
    let no = longest(said, &answers.no);
    let yes = longest(said, &answers.yes);
    if no > 0 && no >= yes {
        let rest = said.get(no).map_or("", |(_, at)| &turn[*at..]);
        return if is_more(rest, language) {
            Answer::NoBut(rest)
        } else {
            Answer::No
        };
    }
    if yes > 0 {
        Answer::Yes
    } else {
        Answer::Unclear
    }
}

/// Whether what follows a "no" is more than courtesy and repetition of it.
fn is_more(rest: &str, language: Language) -> bool {
    let grammar = Grammar::of(language);
    let courtesy = Role::FILLER
        .or(Role::TAIL)
        .or(Role::NO)
        .or(Role::HESITATION);
    folded_words(rest).iter().any(|(word, _)| {
        !grammar.roles(word).intersects(courtesy)
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
fn longest(words: &[(String, usize)], phrases: &[Vec<&str>]) -> usize {
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

fn answer_in_clause(turn: &str, language: Language) -> Answer<'_> {
    let said = turn.trim_start();
    let Some(file) = language.file() else {
        return Answer::Unclear;
    };
    let after = |said: &'_ str, phrases: &str| {
        let ends = languages::lines(phrases).filter_map(|phrase| {
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
            Answer::NoBut(rest)
        } else {
            Answer::No
        };
    }
    if after(said, &file.answers.yes).is_some() {
        Answer::Yes
    } else {
        Answer::Unclear
    }
}

/// Reads the reply to "Was that Kay?" together with the name that was asked about: "no, it's
/// K A Y E", "yes, with an e", "no, Jay".
#[must_use]
pub fn confirm(asked_about: &Name, turn: &str, context: &Context<'_>) -> Confirmation {
    let asked = Context {
        asked: true,
        ..*context
    };
    match answer(turn, context.language) {
        Answer::Yes => Confirmation::Kept(respelled(asked_about, turn, &asked)),
        Answer::No => Confirmation::Denied,
        Answer::NoBut(rest) => corrected(asked_about, rest, &asked).unwrap_or(Confirmation::Denied),
        Answer::Unclear => corrected(asked_about, turn, &asked).unwrap_or(Confirmation::Unclear),
    }
}

/// The name as a "yes, with an e" or "yes, K A Y E" spells it.
fn respelled(name: &Name, turn: &str, context: &Context<'_>) -> Name {
    if let Some(varied) = varied(name, turn, context) {
        return varied;
    }
    let heard = extract(turn, context);
    match heard.name {
        Some(spelled) if heard.letters && same_start(&spelled, name) => spelled,
        _ => name.clone(),
    }
}

fn same_start(one: &Name, other: &Name) -> bool {
    text::fold(&one.first).chars().next() == text::fold(&other.first).chars().next()
}

fn varied(name: &Name, turn: &str, context: &Context<'_>) -> Option<Name> {
    if context.language.is_read_by_clause() {
        return None;
    }
    let normal = text::normalise(turn);
    let grammar = Grammar::of(context.language);
    let read = Turn::read(&normal, context, grammar);
    let reader = Reader {
        turn: &read,
        grammar,
        excluded: context.excluded,
        asked: true,
    };
    (0..read.tokens.len()).find_map(|at| {
        let (letter, without, _) = spelling::letter_after(&reader, at)?;
        spelling::vary(name, letter, without, &reader)
    })
}

/// What a denial (or neither yes nor no) puts in the name's place.
fn corrected(asked_about: &Name, rest: &str, context: &Context<'_>) -> Option<Confirmation> {
    let heard = extract(rest, context);
    if heard.kind == Kind::Refusal {
        return Some(Confirmation::Refused);
    }
    if heard.name.is_none() || heard.decision == Decision::Ignore {
        let varied = varied(asked_about, rest, context).filter(|varied| varied != asked_about)?;
        return Some(Confirmation::Corrected(Extraction {
            name: Some(varied),
            confidence: 0.9,
            kind: Kind::Correction,
            decision: Decision::Capture,
            strong: true,
            letters: true,
            ..Extraction::default()
        }));
    }
    let same = heard.name.as_ref().is_some_and(|name| {
        text::fold(&name.first) == text::fold(&asked_about.first) && heard.rejected.is_none()
    });
    Some(match heard.name {
        Some(name) if same => Confirmation::Kept(name),
        _ => Confirmation::Corrected(Extraction {
            kind: Kind::Correction,
            ..heard
        }),
    })
}
