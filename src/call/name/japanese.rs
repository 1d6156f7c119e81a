//! Japanese, which writes no spaces: clauses are cut at punctuation, cues found inside them.

use super::extraction::{Context, Decision, Extraction, Kind, Name};
use super::language::Language;
use super::lexicon::japanese::{
    CALLED, COMMON, COPULA, FILLERS, FORGETS, HONORIFICS, NOUN_ENDINGS, NOUNS, OTHERS, OWN_NAME,
    REFUSALS, SELF, SELF_ENDS,
};
use super::text;
use super::wordlist::Word;

/// Characters of a name at most, separators counted.
const NAME_CHARS_MAX: usize = 16;
/// Characters of a name in kanji or hiragana at most ("長谷川 花子").
const NATIVE_CHARS_MAX: usize = 8;

/// Where a clause stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// First, or behind greetings only.
    Opening,
    Inside,
    /// Behind a question of the speaker's own, which it may answer.
    Answer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cue {
    Strong,
    Called,
    Self_,
    Plain,
}

/// Reads one turn.
pub fn read(turn: &str, context: &Context<'_>) -> Extraction {
    let clauses = clauses(turn);
    if FORGETS.iter().any(|phrase| turn.contains(phrase)) {
        return Extraction {
            kind: Kind::Forget,
            confidence: 0.9,
            name: unwanted(&clauses, context),
            ..Extraction::default()
        };
    }
    let mut best: Option<(Name, f32, Cue, usize)> = None;
    let mut rejected = None;
    let mut greeted = true;
    let mut asked_back = false;
    for (index, (clause, question)) in clauses.iter().enumerate() {
        let (clause, denied) = without_denial(clause);
        rejected = denied
            .and_then(|part| name_in(part, Cue::Strong, context, true))
            .map(|(name, _)| name)
            .or(rejected);
        let spoken = peel(clause);
        if !question
            && let Some((name, confidence, cue)) = clause_name(
                spoken,
                context,
                if asked_back {
                    Place::Answer
                } else if greeted {
                    Place::Opening
                } else {
                    Place::Inside
                },
            )
            && best.as_ref().is_none_or(|(_, held, ..)| confidence > *held)
        {
            best = Some((name, confidence, cue, index));
        }
        greeted = greeted && spoken.is_empty();
        asked_back |= question;
    }
    finish(turn, context, best, rejected, clauses.len())
}

fn finish(
    turn: &str,
    context: &Context<'_>,
    best: Option<(Name, f32, Cue, usize)>,
    rejected: Option<Name>,
    clauses: usize,
) -> Extraction {
    let denied = turn.trim_start().starts_with("いいえ") || turn.trim_start().starts_with("違");
    let Some((name, confidence, cue, _)) = best else {
        let refused = context.asked && REFUSALS.iter().any(|phrase| turn.contains(phrase));
        let kind = match (refused, &rejected) {
            (true, _) => Kind::Refusal,
            (_, Some(_)) => Kind::Correction,
            _ => Kind::None,
        };
        return Extraction {
            kind,
            rejected,
            rest: !refused && !turn.is_empty(),
            ..Extraction::default()
        };
    };
    Extraction {
        kind: if denied || rejected.is_some() {
            Kind::Correction
        } else {
            Kind::Introduction
        },
        decision: Decision::from_confidence(confidence),
        strong: matches!(cue, Cue::Strong | Cue::Called),
        rest: clauses > 1 && peeled_clauses(turn) > 1,
        name: Some(name),
        confidence,
        rejected,
        ..Extraction::default()
    }
}

/// Clauses that are more than a greeting or courtesy.
fn peeled_clauses(turn: &str) -> usize {
    let courtesy = |clause: &str| {
        clause.is_empty() || clause.starts_with("よろしく") || clause.starts_with("お願い")
    };
    clauses(turn)
        .iter()
        .filter(|(clause, _)| !courtesy(peel(clause)))
        .count()
}

fn clauses(turn: &str) -> Vec<(&str, bool)> {
    let mut clauses = Vec::new();
    for part in turn.split_inclusive(['。', '、', '！', '？', '!', '?', ',', '.', '，', '．', '\n'])
    {
        let question = part.ends_with(['？', '?']);
        let clause = part
            .trim_end_matches(['。', '、', '！', '？', '!', '?', ',', '.', '，', '．', '\n'])
            .trim();
        if clause.is_empty() {
            if let Some((_, asked)) = clauses.last_mut() {
                *asked |= question;
            }
            continue;
        }
        clauses.push((clause, question || clause.ends_with("か")));
    }
    clauses
}

fn peel(clause: &str) -> &str {
    let mut rest = clause;
    loop {
        let next = FILLERS
            .iter()
            .filter_map(|filler| rest.strip_prefix(filler))
            .min_by_key(|rest| rest.len());
        match next {
            Some(shorter) => rest = shorter.trim_start_matches([' ', '　', 'ー']),
            None => return rest,
        }
    }
}

/// "XじゃなくてY": what is said, and what is turned down.
fn without_denial(clause: &str) -> (&str, Option<&str>) {
    for cut in ["じゃなくて", "ではなくて", "じゃなく", "ではなく"] {
        if let Some((denied, said)) = clause.split_once(cut) {
            return (said, Some(denied));
        }
    }
    for end in [
        "ではありません",
        "じゃありません",
        "じゃないです",
        "ではないです",
        "じゃない",
    ] {
        if let Some(denied) = clause.strip_suffix(end) {
            return ("", Some(denied));
        }
    }
    (clause, None)
}

fn clause_name(clause: &str, context: &Context<'_>, place: Place) -> Option<(Name, f32, Cue)> {
    let (said, mut cue) = after_cue(clause)?;
    let mut said = said;
    for ending in CALLED {
        if let Some((before, _)) = said.split_once(ending) {
            said = before;
            cue = Cue::Called;
        }
    }
    let said = COPULA
        .iter()
        .find_map(|copula| said.strip_suffix(copula))
        .unwrap_or(said);
    if cue == Cue::Plain && !context.asked && !(place == Place::Opening && clause.ends_with("です"))
    {
        return None;
    }
    name_in(
        said,
        cue,
        context,
        place != Place::Answer && (place == Place::Opening || cue == Cue::Self_),
    )
    .map(|(name, confidence)| (name, confidence, cue))
}

/// What stands behind "my name is", "I am", or nothing; `None` if it is of somebody else.
fn after_cue(clause: &str) -> Option<(&str, Cue)> {
    if let Some((owner, cut)) = OWN_NAME.iter().find_map(|own| {
        clause
            .find(own)
            .map(|at| (&clause[..at], &clause[at + own.len()..]))
    }) {
        let owner = owner.trim_end_matches('の');
        let own = owner.is_empty() || SELF.iter().any(|me| owner.ends_with(me));
        let other = OTHERS.iter().any(|one| owner.ends_with(one)) && !SELF.contains(&owner);
        return (own && !other).then_some((cut, Cue::Strong));
    }
    for me in SELF {
        if let Some(rest) = clause.strip_prefix(me)
            && let Some(rest) = SELF_ENDS.iter().find_map(|end| rest.strip_prefix(end))
        {
            return Some((rest, Cue::Self_));
        }
    }
    let presented = clause
        .strip_prefix("こちらは")
        .or_else(|| clause.strip_prefix("こちら"));
    Some(presented.map_or((clause, Cue::Plain), |rest| (rest, Cue::Self_)))
}

/// The name a stretch of text is, with its confidence.
fn name_in(said: &str, cue: Cue, context: &Context<'_>, greeted: bool) -> Option<(Name, f32)> {
    let said = said.trim_matches([' ', '　', '「', '」', '『', '』', '"']);
    let said = HONORIFICS
        .iter()
        .find_map(|honorific| said.strip_suffix(honorific))
        .unwrap_or(said);
    let folded = text::fold(said);
    if said.is_empty() || said.chars().count() > NAME_CHARS_MAX || is_excluded(&folded, context) {
        return None;
    }
    let strong = matches!(cue, Cue::Strong | Cue::Called);
    if Word::of(&folded).is_species() {
        return strong.then(|| (name(said), 0.6));
    }
    let confidence = if is_katakana(said) {
        katakana_confidence(said, strong, greeted)?
    } else if said.is_ascii() {
        latin_confidence(&folded, strong)?
    } else {
        native_confidence(said, strong, context.asked)?
    };
    Some((name(said), confidence))
}

fn is_excluded(folded: &str, context: &Context<'_>) -> bool {
    folded
        .split(['・', ' ', '　', '=', '＝'])
        .any(|part| context.excluded.holds(part))
}

fn katakana_confidence(said: &str, strong: bool, expected: bool) -> Option<f32> {
    let noun = NOUNS.contains(&said)
        || NOUN_ENDINGS
            .iter()
            .any(|ending| said.ends_with(ending) && said != *ending);
    match (strong, noun) {
        (true, false) => Some(0.92),
        (true, true) => Some(0.7),
        (false, true) => None,
        (false, false) => Some(if expected { 0.84 } else { 0.7 }),
    }
}

fn latin_confidence(folded: &str, strong: bool) -> Option<f32> {
    let word = Word::of(folded.split(' ').next().unwrap_or_default());
    match (strong, word.is_given() && word.band() == 0) {
        (_, true) => Some(0.85),
        (true, false) if folded.chars().all(|c| c.is_alphabetic() || c == ' ') => Some(0.7),
        _ => None,
    }
}

/// Kanji and hiragana: a listed name, or what a strong cue says.
fn native_confidence(said: &str, strong: bool, asked: bool) -> Option<f32> {
    let chars = said.chars().count();
    let native = said
        .chars()
        .all(|c| is_kanji(c) || is_hiragana(c) || is_separator(c));
    if !native || !(2..=NATIVE_CHARS_MAX).contains(&chars) {
        return None;
    }
    let particles = said.chars().any(|c| "はがをにでともへや".contains(c));
    match (is_listed(said) && (strong || !is_common(said)), strong) {
        (true, _) => Some(0.9),
        (false, true) if !particles => Some(0.85),
        (false, true) => Some(0.6),
        (false, false) if asked && !particles && said.chars().all(is_kanji) && !is_common(said) => {
            Some(0.55)
        }
        _ => None,
    }
}

fn is_common(said: &str) -> bool {
    COMMON.contains(&said) || Word::of(said).is_common_in(Language::Japanese)
}

/// A listed surname, first name, or one behind the other.
fn is_listed(said: &str) -> bool {
    let compact: String = said.chars().filter(|c| !is_separator(*c)).collect();
    let compact = text::fold(&compact);
    let given = |word: &str| Word::of(word).is_first_in(Language::Japanese);
    let family = |word: &str| Word::of(word).surname() > 0;
    if given(&compact) || family(&compact) {
        return true;
    }
    compact.char_indices().skip(1).any(|(at, _)| {
        family(&compact[..at])
            && (given(&compact[at..])
                || compact[at..].chars().count() <= 3 && compact[at..].chars().all(is_kanji))
    })
}

/// First and full name of a written one: "ジョン・スミス" is ジョン, "佐藤 花子" is 花子.
fn name(said: &str) -> Name {
    let parts: Vec<&str> = said
        .split(is_separator)
        .filter(|part| !part.is_empty())
        .collect();
    let family_first = !is_katakana(said) && !said.is_ascii();
    let first = if family_first {
        parts.last()
    } else {
        parts.first()
    };
    let first = first.copied().unwrap_or(said).to_owned();
    let first = if said.is_ascii() {
        super::written::capitalised(&first, Language::Japanese)
    } else {
        first
    };
    Name {
        full: (parts.len() > 1).then(|| said.to_owned()),
        first,
    }
}

fn unwanted(clauses: &[(&str, bool)], context: &Context<'_>) -> Option<Name> {
    let (clause, _) = clauses
        .iter()
        .find(|(clause, _)| FORGETS.iter().any(|phrase| clause.contains(phrase)))?;
    let before = FORGETS
        .iter()
        .find_map(|phrase| clause.split_once(phrase).map(|(before, _)| before))?;
    let (said, _) = after_cue(peel(before))?;
    name_in(said, Cue::Strong, context, true).map(|(name, _)| name)
}

fn is_katakana(said: &str) -> bool {
    said.chars().count() >= 2
        && said
            .chars()
            .all(|c| ('\u{30a1}'..='\u{30ff}').contains(&c) || is_separator(c))
}

fn is_kanji(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c) || c == '々'
}

fn is_hiragana(c: char) -> bool {
    ('\u{3041}'..='\u{309f}').contains(&c)
}

fn is_separator(c: char) -> bool {
    matches!(c, '・' | ' ' | '　' | '＝' | '=')
}
