//! Weighs every cue of a turn and decides what was said about the caller's name.

use std::ops::Range;

use super::evidence::Evidence;
use super::extraction::{
    CAPTURE_CONFIDENCE_MIN, CONFIRM_CONFIDENCE_MIN, Context, Decision, Extraction, Kind, Name,
};
use super::grammar::{Act, Grammar, Role};
use super::reader::{Reader, Reading, Trust};
use super::spelling::{self, Spelled};
use super::text;
use super::token::{Break, Turn};
use super::written;

/// Edit distance up to which two names with one initial are one name heard twice ("Ana", "Anna").
const SAME_NAME_EDITS_MAX: usize = 2;
/// The same for names that begin otherwise ("Bob", "Rob").
const RHYME_EDITS_MAX: usize = 1;
/// "Sorry, Pauline": a bare name that replaces another, nobody having asked, is asked back.
const UNASKED_CONFIDENCE_MAX: f32 = 0.7;
/// "It's X, ..." at the start of a turn, nobody having asked.
const OPENING_CONFIDENCE: f32 = 0.6;
/// "no, it's X" corrects without being asked when the cue comes this soon.
const CORRECTION_WORDS_MAX: usize = 3;
/// Confidence of a name that a cue and "speaking", "here" or "calling" hold between them.
const ENDED_CONFIDENCE: f32 = 0.93;

/// A phrase of the grammar found in the turn.
#[derive(Clone, Debug)]
struct Found {
    act: Act,
    words: Range<usize>,
}

/// A name the turn may introduce.
#[derive(Clone, Debug)]
struct Candidate {
    reading: Reading,
    cue: Range<usize>,
    act: Act,
    strong: bool,
}

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
    let refusal = found
        .iter()
        .find(|one| one.act == Act::Refuse)
        .map(|one| one.words.start);
    if best.is_none() && (context.asked || opens_with(&reader, Role::RETRACT)) {
        best = bare(&reader).filter(|bare| refusal.is_none_or(|at| at >= bare.reading.words.end));
    }
    if let Some(spelled) = spelling::read(
        &reader,
        best.as_ref().map(|best| &best.reading),
        best.as_ref().is_some_and(|best| !best.cue.is_empty()),
    ) {
        return spell(&reader, &found, best, rejected, spelled);
    }
    match best {
        Some(best) => introduce(&reader, &found, best, rejected),
        None => nothing(&reader, &found, rejected, refusal.is_some()),
    }
}

fn find(turn: &Turn<'_>, grammar: &Grammar) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < turn.tokens.len() {
        match grammar.match_at(turn, at) {
            Some((act, end)) => {
                found.push(Found {
                    act,
                    words: at..end,
                });
                at = end;
            }
            None => at += 1,
        }
    }
    found
}

fn forget(reader: &Reader<'_>, found: &[Found]) -> Option<Extraction> {
    let one = found.iter().find(|one| one.act == Act::Forget)?;
    let name = reader.read_after(one.words.end, Trust::Strong);
    Some(Extraction {
        name: name.map(|name| written::name_of(reader.turn, name.words)),
        kind: Kind::Forget,
        confidence: 0.9,
        ..Extraction::default()
    })
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

/// "ik ben Pieter niet": what denies stands behind the name.
fn is_negated(reader: &Reader<'_>, reading: &Reading) -> bool {
    reader.turn.pause_before(reading.words.end) == Break::None
        && matches!(reader.turn.folded(reading.words.end), "nicht" | "niet")
}

fn candidates(reader: &Reader<'_>, found: &[Found], denied: Option<&Reading>) -> Vec<Candidate> {
    let read = found
        .iter()
        .filter_map(|one| candidate(reader, one, denied));
    read.filter(|one| !is_negated(reader, &one.reading))
        .collect()
}

fn candidate(reader: &Reader<'_>, one: &Found, denied: Option<&Reading>) -> Option<Candidate> {
    let cue = one.words.clone();
    let after = |trust| reader.read_after(cue.end, trust);
    let (reading, strong) = match one.act {
        Act::Strong | Act::CallMe => {
            let reading = after(Trust::Strong)?;
            if goes_by(reader, &cue, &reading) {
                return None;
            }
            (reading, true)
        }
        Act::Strict => (strict(reader, &cue)?, true),
        Act::Speaking if !reader.opens_speech(cue.start) => return None,
        Act::Medium | Act::Present | Act::Asked if replaces(&cue, denied) => {
            (replacement(reader, &cue)?, false)
        }
        Act::Medium | Act::Present | Act::Speaking => medium(reader, &cue)?,
        Act::Asked => asked(reader, &cue)?,
        Act::Booking => (capped(after(Trust::Strong)?, 0.85), false),
        Act::BookingWeak if is_denied(reader, cue.start) => return None,
        Act::BookingWeak => (booking(reader, &cue)?, false),
        Act::AnotherPerson => (capped(after(Trust::Strict)?, 0.88), true),
        Act::Ending => ending(reader, &cue)?,
        _ => return None,
    };
    Some(Candidate {
        reading,
        cue,
        act: one.act,
        strong,
    })
}

/// "not under X".
fn is_denied(reader: &Reader<'_>, at: usize) -> bool {
    at > 0 && reader.turn.folded(at - 1) == "not"
}

/// "X speaking"; "Santa is here", "Harvey is calling" and "rain here again" are told of another
/// as often as of oneself.
fn ending(reader: &Reader<'_>, cue: &Range<usize>) -> Option<(Reading, bool)> {
    let reading = reader.read_before(cue.start)?;
    let turn = reader.turn;
    let words = (turn.folded(cue.start), turn.folded(cue.start + 1));
    let third = words.0 == "is" && matches!(words.1, "here" | "calling" | "speaking");
    let at = reading.words.start;
    let vague = reading.words.len() == 1
        && turn.tokens[at].evidence != Evidence::Name
        && !reader.capital(at);
    let of_another = third || words.0 == "here" && vague;
    if of_another && !reader.asked && turn.language.is_english() {
        Some((capped(reading, UNASKED_CONFIDENCE_MAX), false))
    } else {
        Some((reading, true))
    }
}

/// "I go by bus": no name, where nothing speaks for one.
fn goes_by(reader: &Reader<'_>, cue: &Range<usize>, reading: &Reading) -> bool {
    reader.turn.folded(cue.end - 1) == "by"
        && reading.confidence < UNASKED_CONFIDENCE_MAX
        && !reader.asked
}

fn capped(reading: Reading, confidence_max: f32) -> Reading {
    Reading {
        confidence: reading.confidence.min(confidence_max),
        ..reading
    }
}

/// "name X" opens a clause; "my name X" may stand anywhere but in "what is my name".
fn strict(reader: &Reader<'_>, cue: &Range<usize>) -> Option<Reading> {
    let own = !reader
        .grammar
        .roles(reader.turn.folded(cue.start))
        .intersects(Role::NAME_KIND)
        && cue.len() > 1
        && !reader.turn.folded(cue.start).starts_with("name");
    let before = cue.start.checked_sub(1).map(|at| &reader.turn.tokens[at]);
    let joined = before.filter(|_| reader.turn.pause_before(cue.start) == Break::None);
    let blocked = joined.is_some_and(|token| token.is(Role::NEVER));
    let owned = joined.is_some() && is_owner(reader.turn.folded(cue.start - 1));
    let opens = reader.opens_clause(cue.start);
    let kind = reader.turn.tokens[cue.start].is(Role::NAME_KIND);
    if owned || !(opens || (own || kind) && !blocked) {
        return None;
    }
    reader.read_after(cue.end, if kind { Trust::Strong } else { Trust::Strict })
}

/// "your name X", "what name X": not the speaker's.
fn is_owner(folded: &str) -> bool {
    matches!(
        folded,
        "your"
            | "his"
            | "her"
            | "their"
            | "its"
            | "our"
            | "whose"
            | "what"
            | "which"
            | "what's"
            | "is"
            | "that"
    )
}

fn medium(reader: &Reader<'_>, cue: &Range<usize>) -> Option<(Reading, bool)> {
    if let Some(reading) = ended(reader, cue) {
        return Some((reading, true));
    }
    let reading = reader.read_after(cue.end, Trust::Medium)?;
    let confidence_max = if points_at_thing(reader, cue, &reading) {
        UNASKED_CONFIDENCE_MAX
    } else {
        1.0
    };
    Some((capped(reading, confidence_max), false))
}

/// "This is Minecraft": an unlisted word, not greeted, not asked for, may be a thing.
fn points_at_thing(reader: &Reader<'_>, cue: &Range<usize>, reading: &Reading) -> bool {
    let at = reading.words.start;
    let unlisted = reader.turn.tokens[at].evidence == Evidence::Unknown && reading.words.len() == 1;
    let points = matches!(reader.turn.folded(cue.start), "this" | "this's" | "thisis");
    let placed = reader.turn.folded(reading.words.end) == "from";
    !reader.asked && unlisted && points && !placed && !reader.is_greeted(at)
}

/// "not Bob, it's X": the cue stands right behind the name turned down.
fn replaces(cue: &Range<usize>, denied: Option<&Reading>) -> bool {
    denied.is_some_and(|denied| denied.words.end == cue.start)
}

/// The name in the place of the one turned down, where it ends its clause.
fn replacement(reader: &Reader<'_>, cue: &Range<usize>) -> Option<Reading> {
    let reading = reader.read_after(cue.end, Trust::Strict)?;
    reader.ends_name(reading.words.end).then_some(reading)
}

/// "it's X" counts when the name was asked, "it's X calling" always.
fn asked(reader: &Reader<'_>, cue: &Range<usize>) -> Option<(Reading, bool)> {
    if let Some(reading) = ended(reader, cue) {
        return Some((reading, true));
    }
    let reading = reader.read_after(cue.end, Trust::Medium)?;
    let reading = if is_guess(reader, cue, &reading) {
        capped(reading, UNASKED_CONFIDENCE_MAX)
    } else {
        reading
    };
    let soon = cue.start <= CORRECTION_WORDS_MAX;
    let expected = reader.asked || opens_with(reader, Role::NO) && soon;
    let known = reader.turn.tokens[reading.words.start].evidence == Evidence::Name;
    let closes = known && reader.turn.pause_before(reading.words.end) >= Break::Stop;
    let greeted = known && reader.is_greeted(reading.words.start);
    let opens_turn =
        known && cue.start == 0 && reader.turn.pause_before(reading.words.end) > Break::None;
    let corrects = closes && soon && opens_with(reader, Role::RETRACT);
    if (expected || greeted || corrects) && reader.opens_clause(cue.start) {
        Some((reading, false))
    } else if opens_turn && !reader.asked {
        Some((capped(reading, OPENING_CONFIDENCE), false))
    } else {
        (reader.asked && closes).then(|| (capped(reading, CAPTURE_CONFIDENCE_MIN), false))
    }
}

/// "I think it's X", "it's X who knows": about somebody, perhaps not the speaker.
fn is_guess(reader: &Reader<'_>, cue: &Range<usize>, reading: &Reading) -> bool {
    let turn = reader.turn;
    let hedge = |at| {
        matches!(
            turn.folded(at),
            "think" | "guess" | "bet" | "believe" | "maybe" | "perhaps"
        )
    };
    let hedged = cue.start > 0 && hedge(cue.start - 1);
    let relative = matches!(turn.folded(reading.words.end), "who" | "that" | "which");
    hedged || relative && turn.pause_before(reading.words.end) == Break::None
}

fn ended(reader: &Reader<'_>, cue: &Range<usize>) -> Option<Reading> {
    let reading = reader.read_after(cue.end, Trust::Strict)?;
    let ends = reader.ending_follows(reading.words.end) && !reader.is_tagged(reading.words.end);
    ends.then_some(Reading {
        confidence: ENDED_CONFIDENCE,
        ..reading
    })
}

/// "under X" is a question to ask back, unless the name was asked or a surname makes it sure.
fn booking(reader: &Reader<'_>, cue: &Range<usize>) -> Option<Reading> {
    let reading = reader.read_after(cue.end, Trust::Strict)?;
    let at = reading.words.start;
    let vague = reader.turn.tokens[at].evidence == Evidence::Unknown && reading.words.len() == 1;
    if vague && !reader.asked && !reader.capital(at) {
        return None;
    }
    let under = reader.turn.folded(cue.start) == "under" && reading.words.len() > 1;
    let sure = under && reader.turn.tokens[at].evidence == Evidence::Name;
    let confidence_max = if reader.asked || sure { 0.85 } else { 0.7 };
    Some(capped(reading, confidence_max))
}

fn bare(reader: &Reader<'_>) -> Option<Candidate> {
    let reading = reader.read_bare()?;
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
                one.reading.confidence > best.reading.confidence + 0.1
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
    let denied = opens_with(reader, Role::NO);
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

fn opens_with(reader: &Reader<'_>, role: Role) -> bool {
    let first = reader.turn.tokens.first();
    first.is_some_and(|token| token.is(role))
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
    let turn = reader.turn;
    let told = |at: usize| {
        best.reading.words.contains(&at)
            || found
                .iter()
                .any(|one| one.words.contains(&at) && one.act != Act::Refuse)
            || turn.tokens[at].is(Role::FILLER
                .or(Role::TAIL)
                .or(Role::COURTESY)
                .or(Role::NO)
                .or(Role::RETRACT)
                .or(Role::TITLE))
    };
    (0..turn.tokens.len()).any(|at| !told(at))
}

fn nothing(
    reader: &Reader<'_>,
    found: &[Found],
    rejected: Option<Name>,
    refused: bool,
) -> Extraction {
    let denied = rejected.is_some();
    let only_no = reader.asked && reader.turn.tokens.len() == 1 && opens_with(reader, Role::NO);
    let other = found
        .iter()
        .filter(|one| one.act == Act::Other)
        .find_map(|one| reader.read_after(one.words.end, Trust::Strict));
    let kind = match (&other, denied) {
        (_, true) => Kind::Correction,
        _ if reader.asked && (refused || only_no) => Kind::Refusal,
        (Some(_), _) => Kind::Other,
        _ => Kind::None,
    };
    let name = other.filter(|_| kind == Kind::Other);
    Extraction {
        name: name.map(|reading| written::name_of(reader.turn, reading.words)),
        kind,
        rejected,
        rest: kind != Kind::Refusal && !reader.turn.tokens.is_empty(),
        ..Extraction::default()
    }
}
