//! Weighs every cue of a turn and decides what was said about the caller's name.

use std::ops::Range;

use super::checks;
use super::cue::{Candidate, Found, UNASKED_CONFIDENCE_MAX, candidates, capped, find, is_negated};
use super::extraction::{
    CAPTURE_CONFIDENCE_MIN, CONFIRM_CONFIDENCE_MIN, Context, Decision, Extraction, Kind, Name,
};
use super::grammar::{Act, Grammar, Role};
use super::reader::{Reader, Reading, Trust};
use super::refusal::{asks, forget, is_courtesy, is_more_than, refusal};
use super::spelling::{self, Spelled};
use super::text;
use super::token::{Break, Turn};
use super::written;

/// Edit distance up to which two names with one initial are one name heard twice ("Ana", "Anna").
const SAME_NAME_EDITS_MAX: usize = 2;
/// The same for names that begin otherwise ("Bob", "Rob").
const RHYME_EDITS_MAX: usize = 1;

/// Reads one turn of a language that writes spaces.
pub fn read(turn: &Turn<'_>, grammar: &Grammar, context: &Context<'_>) -> Extraction {
    let reader = Reader {
        turn,
        grammar,
        excluded: context.excluded,
        asked: context.asked,
    };
    let found = find(turn, grammar);
    let denied = rejected(&reader, &found);
    let denied_at = denied.as_ref().map(|denied| denied.words.end);
    let candidates = candidates(&reader, &found, denied.as_ref());
    let introduced = candidates
        .iter()
        .any(|one| one.reading.confidence >= CAPTURE_CONFIDENCE_MIN);
    let forgotten = forget(&reader, &found);
    let rejected = match forgotten {
        Some(forgotten) if !introduced => return forgotten,
        Some(forgotten) => forgotten.name,
        None => denied.map(|denied| written::name_of(turn, denied.words)),
    };
    let mut best = choose(&reader, candidates, rejected.is_some());
    let refusal = if context.asked {
        refusal(&reader, &found)
    } else {
        None
    };
    if best.is_none() && (context.asked || reader.opens_with(Role::RETRACT)) {
        best = bare(&reader).filter(|bare| {
            refusal
                .as_ref()
                .is_none_or(|refusal| refusal.start >= bare.reading.words.end)
        });
    }
    if best.is_none()
        && context.asked
        && let Some(denied) = &denied_at
    {
        best = reader
            .read_bare_at(*denied)
            .and_then(|reading| answer(&reader, reading));
    }
    best = best.and_then(|best| match best.strong {
        true => Some(best),
        false => {
            let reading = reader.of_person(best.reading)?;
            Some(Candidate { reading, ..best })
        }
    });
    if let Some(spelled) = spelling::read(
        &reader,
        best.as_ref().map(|best| &best.reading),
        best.as_ref().is_some_and(|best| !best.cue.is_empty()),
    ) {
        return spell(&reader, &found, best, rejected, spelled);
    }
    match best {
        Some(best) => introduce(&reader, &found, best, rejected),
        None => nothing(&reader, &found, rejected, refusal),
    }
}

/// The name turned down: "not Mark", "ich bin Mark nicht".
fn rejected(reader: &Reader<'_>, found: &[Found]) -> Option<Reading> {
    let sure = |reading: &Reading| reading.confidence >= CONFIRM_CONFIDENCE_MIN;
    let rejects = |one: &Found| match one.act {
        Act::Reject => reader.read_after(one.words.end, Trust::Medium),
        Act::Strong | Act::Medium | Act::Present | Act::Asked => reader
            .read_after(one.words.end, Trust::Strict)
            .filter(|reading| is_negated(reader, reading)),
        _ => None,
    };
    found.iter().filter_map(rejects).find(sure)
}

fn bare(reader: &Reader<'_>) -> Option<Candidate> {
    answer(reader, reader.read_bare()?)
}

/// A reading without a cue, as far as it is trusted.
fn answer(reader: &Reader<'_>, reading: Reading) -> Option<Candidate> {
    let reading = reader.trusted(reading)?;
    let whole = reading.words.end == reader.turn.tokens.len();
    let reading = match (reader.asked, whole) {
        (true, _) => reading,
        (false, true) => capped(reading, UNASKED_CONFIDENCE_MAX),
        (false, false) => return None,
    };
    let cue = reading.words.start..reading.words.start;
    Some(Candidate {
        reading,
        cue,
        act: Act::Asked,
        strong: false,
    })
}

/// The surest candidate; the first of equals, the last after a correction or "call me".
fn choose(reader: &Reader<'_>, candidates: Vec<Candidate>, corrected: bool) -> Option<Candidate> {
    let mut best: Option<Candidate> = None;
    for one in candidates {
        let replaces = match &best {
            None => true,
            Some(best) => {
                let later = corrected || one.act == Act::CallMe || retracted(reader, best, &one);
                let named = kind_of(reader, best, Role::LAST_KIND)
                    && kind_of(reader, &one, Role::FIRST_KIND);
                named
                    || one.reading.confidence > best.reading.confidence + 0.1
                    || later && one.reading.confidence >= 0.5
                    || best.reading.confidence < 0.5
                        && one.reading.confidence >= best.reading.confidence
            }
        };
        if replaces {
            best = Some(one);
        }
    }
    best
}

/// "last name X", "first name Y": which of them a cue announces.
fn kind_of(reader: &Reader<'_>, one: &Candidate, kind: Role) -> bool {
    one.cue.clone().any(|at| reader.turn.tokens[at].is(kind))
}

/// "actually", "sorry", "I mean" between two names: the second counts.
fn retracted(reader: &Reader<'_>, first: &Candidate, second: &Candidate) -> bool {
    (first.reading.words.end..second.cue.start).any(|at| {
        reader
            .grammar
            .roles(reader.turn.folded(at))
            .intersects(Role::RETRACT)
    })
}

fn introduce(
    reader: &Reader<'_>,
    found: &[Found],
    best: Candidate,
    rejected: Option<Name>,
) -> Extraction {
    let turn = reader.turn;
    let name = written::name_of(turn, elaborated(reader, &best.reading.words));
    let denied = reader.opens_with(Role::NO);
    let another_person = best.act == Act::AnotherPerson
        || (denied || rejected.is_some())
            && presents(&best)
            && !rejected.as_ref().is_some_and(|other| similar(other, &name));
    let correction =
        denied || rejected.is_some() || best.act == Act::CallMe || corrects(reader, &best);
    Extraction {
        confidence: best.reading.confidence,
        kind: if correction {
            Kind::Correction
        } else {
            Kind::Introduction
        },
        decision: Decision::from_confidence(best.reading.confidence),
        strong: best.strong,
        letters: false,
        rest: rest(reader, found, &best),
        another_person,
        rejected,
        language_wanted: None,
        name: Some(name),
    }
}

/// The letters' name takes the place of the heard one.
fn spell(
    reader: &Reader<'_>,
    found: &[Found],
    best: Option<Candidate>,
    rejected: Option<Name>,
    spelled: Spelled,
) -> Extraction {
    let reading = Reading {
        words: spelled.words.clone(),
        confidence: spelled.confidence,
    };
    let cue = spelled.words.start..spelled.words.start;
    let best = best.unwrap_or(Candidate {
        reading: reading.clone(),
        cue,
        act: Act::Asked,
        strong: true,
    });
    let best = Candidate { reading, ..best };
    let heard = introduce(reader, found, best, rejected);
    Extraction {
        name: Some(spelled.name),
        letters: true,
        strong: true,
        ..heard
    }
}

/// "I'm Brian, Brian White"; "Bond. James Bond.": the name is said again in full.
fn elaborated(reader: &Reader<'_>, words: &Range<usize>) -> Range<usize> {
    let turn = reader.turn;
    let at = words.end;
    let again = words.len() == 1
        && at + 1 < turn.tokens.len()
        && turn.pause_before(at) != Break::None
        && turn.pause_before(at + 1) == Break::None
        && turn.pause_before(at + 2) != Break::None;
    let said = turn.folded(words.start);
    let in_full = again
        && (turn.folded(at) == said && reader.surname_like(at + 1)
            || turn.folded(at + 1) == said && reader.can_be_name(at));
    if in_full { at..at + 2 } else { words.clone() }
}

/// "this is X", "I'm X", "you're speaking with X": somebody presents themselves.
fn presents(best: &Candidate) -> bool {
    matches!(best.act, Act::Present | Act::Medium | Act::Speaking)
}

fn corrects(reader: &Reader<'_>, best: &Candidate) -> bool {
    (0..best.cue.end).any(|at| reader.turn.tokens[at].is(Role::RETRACT))
}

fn similar(one: &Name, other: &Name) -> bool {
    let (one, other) = (text::fold(&one.first), text::fold(&other.first));
    let edits_max = if one.chars().next() == other.chars().next() {
        SAME_NAME_EDITS_MAX
    } else {
        RHYME_EDITS_MAX
    };
    text::edits(&one, &other) <= edits_max
}

/// Whether the turn says more than the introduction and courtesies.
fn rest(reader: &Reader<'_>, found: &[Found], best: &Candidate) -> bool {
    let is_told = |act: Act| !matches!(act, Act::Refuse | Act::RefuseAlone);
    is_more_than(reader, found, &best.reading.words, is_told) || asks_besides(reader, found, best)
}

/// "Joel, who is this?": a clause behind the name is a question, and no courtesy ("how are you?").
fn asks_besides(reader: &Reader<'_>, found: &[Found], best: &Candidate) -> bool {
    let turn = reader.turn;
    let courteous =
        |at: usize| { found.iter() }.any(|one| is_courtesy(one.act) && one.words.contains(&at));
    let mut start = 0;
    for end in 1..=turn.tokens.len() {
        let pause = turn.tokens.get(end).map_or(turn.end, |next| next.pause);
        if pause == Break::Question && !(start..end).any(|at| best.reading.words.contains(&at)) {
            return !(start..end).all(courteous);
        }
        if pause != Break::None {
            start = end;
        }
    }
    false
}

/// The turn introduces nobody: a refusal, somebody else's name, a language asked for, or nothing.
fn nothing(
    reader: &Reader<'_>,
    found: &[Found],
    rejected: Option<Name>,
    refusal: Option<Range<usize>>,
) -> Extraction {
    let denied = rejected.is_some();
    let other = found
        .iter()
        .filter(|one| one.act == Act::Other)
        .find_map(|one| reader.read_after(one.words.end, Trust::Strict));
    let kind = match (&other, denied) {
        (_, true) => Kind::Correction,
        _ if refusal.is_some() => Kind::Refusal,
        (Some(_), _) => Kind::Other,
        _ => Kind::None,
    };
    let name = other.filter(|_| kind == Kind::Other);
    let rest = match refusal {
        Some(refusal) if kind == Kind::Refusal => {
            asks(reader, found, &refusal) || is_more_than(reader, found, &refusal, is_courtesy)
        }
        _ => !reader.turn.tokens.is_empty(),
    };
    Extraction {
        name: name.map(|reading| written::name_of(reader.turn, reading.words)),
        kind,
        rejected,
        rest,
        language_wanted: if kind == Kind::None {
            checks::language_wanted(reader.turn, reader.grammar)
        } else {
            None
        },
        ..Extraction::default()
    }
}
