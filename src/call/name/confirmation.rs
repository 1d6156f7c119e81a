//! The turn after "Was that Kay?".

use super::extraction::{Answer, Confirmation, Context, Decision, Extraction, Kind, Name};
use super::grammar::{Grammar, Role};
use super::language::Language;
use super::reader::Reader;
use super::token::Turn;
use super::{extract, spelling, text};

/// Words that agree, folded. A phrase is matched at the start of the turn, longest first.
const YES: &[(Language, &str)] = &[
    (
        Language::English,
        "yes|yeah|yep|yup|yea|ya|correct|right|that's right|thats right|that is right|that's correct|thats correct|that is correct|that's me|thats me|that's it|thats it|it is|exactly|sure|indeed|you got it|got it|absolutely|definitely|affirmative|of course|uh huh|mhm|mm hmm|that's my name|you are right|you're right|perfect|ok|okay|true|it was|spot on|bingo|yes sir|yes ma'am|i am|that is me|that would be me",
    ),
    (
        Language::Spanish,
        "si|claro|correcto|exacto|asi es|eso es|efectivamente|por supuesto|el mismo|la misma|soy yo|vale|cierto|exactamente|desde luego|ese soy yo|esa soy yo|ok",
    ),
    (
        Language::French,
        "oui|ouais|c'est ca|c'est correct|exact|exactement|tout a fait|c'est bien ca|c'est moi|bien sur|correct|d'accord|effectivement|c'est exact|voila|absolument|ok|si",
    ),
    (
        Language::German,
        "ja|genau|richtig|stimmt|das stimmt|korrekt|jawohl|das ist richtig|das bin ich|klar|exakt|ganz genau|so ist es|sicher|jo|jep|ok|bin ich|das ist korrekt",
    ),
    (
        Language::Portuguese,
        "sim|isso|isso mesmo|correto|certo|exato|exatamente|claro|com certeza|sou eu|e isso|e sim|isso ai|esta certo|esta correto|pois|pode ser|ok|e",
    ),
    (
        Language::Italian,
        "si|esatto|esattamente|corretto|giusto|certo|proprio cosi|sono io|e giusto|e corretto|certamente|ok|si si",
    ),
    (
        Language::Polish,
        "tak|zgadza sie|dokladnie|owszem|to ja|prawda|jasne|oczywiscie|tak jest|poprawnie|ok|no tak",
    ),
    (
        Language::Dutch,
        "ja|klopt|dat klopt|juist|dat is juist|correct|precies|inderdaad|zeker|dat ben ik|goed|jazeker|ok|jawel",
    ),
];

/// Words that deny.
const NO: &[(Language, &str)] = &[
    (
        Language::English,
        "no|nope|nah|not quite|not really|not exactly|wrong|incorrect|that's wrong|thats wrong|that's not right|thats not right|that is wrong|that's incorrect|it's not|its not|it isn't|it is not|that's not it|that's not my name|thats not my name|that is not my name|not at all|negative|it wasn't|you got it wrong|uh uh|not correct|no no|not me|that's not me",
    ),
    (
        Language::Spanish,
        "no|incorrecto|no es asi|para nada|no exactamente|no es correcto|equivocado|mal|no soy yo|se equivoca|negativo",
    ),
    (
        Language::French,
        "non|pas du tout|pas exactement|pas tout a fait|c'est faux|incorrect|ce n'est pas ca|c'est pas ca|pas vraiment|faux|nan",
    ),
    (
        Language::German,
        "nein|ne|nee|falsch|nicht ganz|das stimmt nicht|stimmt nicht|das ist falsch|nicht richtig|leider nein|leider nicht|uberhaupt nicht",
    ),
    (
        Language::Portuguese,
        "nao|errado|incorreto|nao e isso|nao exatamente|esta errado|negativo|nao esta certo",
    ),
    (
        Language::Italian,
        "no|sbagliato|non e corretto|non e giusto|non esattamente|errato|per niente|non e cosi",
    ),
    (
        Language::Polish,
        "nie|niepoprawnie|blednie|zle|nie zgadza sie|to nie tak|nie do konca|niezupelnie|nieprawda",
    ),
    (
        Language::Dutch,
        "nee|neen|fout|niet juist|dat klopt niet|klopt niet|niet helemaal|verkeerd|dat is niet juist|helemaal niet",
    ),
];

const YES_JAPANESE: &[&str] = &[
    "はい",
    "ええ",
    "うん",
    "そうです",
    "そう",
    "合ってます",
    "合っています",
    "あってます",
    "正解",
    "その通り",
    "もちろん",
];
const NO_JAPANESE: &[&str] = &[
    "いいえ",
    "いえ",
    "ううん",
    "違います",
    "違う",
    "ちがいます",
    "ちがう",
    "いや",
    "間違",
    "そうじゃ",
];
/// Particles and courtesies that add nothing behind a Japanese yes or no.
const JAPANESE_ENDS: &[char] = &['。', '、', '！', '!', ' ', '　', 'ね', 'よ', '.', ','];

/// Reads the reply to "Was that Kay?".
#[must_use]
pub fn answer(turn: &str, language: Language) -> Answer<'_> {
    match language {
        Language::Japanese => answer_in_japanese(turn),
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
    let no = longest(said, phrases(NO, language));
    let yes = longest(said, phrases(YES, language));
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

fn phrases(lists: &'static [(Language, &'static str)], language: Language) -> &'static str {
    let of = |wanted: Language| {
        lists
            .iter()
            .find(|(one, _)| *one == wanted)
            .map(|(_, list)| *list)
    };
    of(language)
        .or_else(|| of(Language::English))
        .unwrap_or_default()
}

/// How many words of the turn's start the longest phrase of a list takes.
fn longest(words: &[(String, usize)], list: &str) -> usize {
    let taken = |phrase: &str| {
        let count = phrase.split(' ').count();
        let matches = phrase
            .split(' ')
            .zip(words)
            .filter(|(one, (word, _))| one == word)
            .count();
        if matches == count { count } else { 0 }
    };
    list.split('|').map(taken).max().unwrap_or(0)
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

fn answer_in_japanese(turn: &str) -> Answer<'_> {
    let said = turn.trim_start();
    if let Some(rest) = NO_JAPANESE
        .iter()
        .filter_map(|no| said.strip_prefix(no))
        .min_by_key(|rest| rest.len())
    {
        let rest = rest.trim_start_matches(JAPANESE_ENDS);
        let rest = NO_JAPANESE
            .iter()
            .find_map(|no| rest.strip_prefix(no))
            .unwrap_or(rest);
        let rest = rest.trim_start_matches(JAPANESE_ENDS);
        return if rest.chars().count() > 1 {
            Answer::NoBut(rest)
        } else {
            Answer::No
        };
    }
    if YES_JAPANESE.iter().any(|yes| said.starts_with(yes)) {
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
    if context.language == Language::Japanese {
        return None;
    }
    let normal = text::normalise(turn);
    let grammar = Grammar::of(context.language);
    let read = Turn::read(&normal, context.language, grammar);
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
