//! What each cue of a turn announces: the names that may be the caller's, with their confidence.

use std::ops::Range;

use super::evidence::Evidence;
use super::extraction::CAPTURE_CONFIDENCE_MIN;
use super::grammar::{Act, Grammar, Role};
use super::reader::{Reader, Reading, Trust};
use super::token::{Break, Turn};

/// Confidence of a name that a cue and "speaking", "here" or "calling" hold between them.
const ENDED_CONFIDENCE: f32 = 0.93;
/// "no, it's X" corrects without being asked when the cue comes this soon.
const CORRECTION_WORDS_MAX: usize = 3;
/// "It's X, ..." at the start of a turn, nobody having asked.
const OPENING_CONFIDENCE: f32 = 0.6;
/// "Sorry, Pauline": a bare name that replaces another, nobody having asked, is asked back.
pub const UNASKED_CONFIDENCE_MAX: f32 = 0.7;

/// A phrase of the grammar found in the turn.
#[derive(Clone, Debug)]
pub struct Found {
    pub act: Act,
    pub words: Range<usize>,
}

/// A name the turn may introduce.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub reading: Reading,
    pub cue: Range<usize>,
    pub act: Act,
    pub strong: bool,
}

/// The phrases of the grammar in a turn, in order, none inside another.
pub fn find(turn: &Turn<'_>, grammar: &Grammar) -> Vec<Found> {
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

/// The names that the cues of a turn announce; not the one turned down (`denied`).
pub fn candidates(
    reader: &Reader<'_>,
    found: &[Found],
    denied: Option<&Reading>,
) -> Vec<Candidate> {
    let read = found
        .iter()
        .filter_map(|one| candidate(reader, one, denied));
    read.filter(|one| !is_negated(reader, &one.reading))
        .collect()
}

fn candidate(reader: &Reader<'_>, one: &Found, denied: Option<&Reading>) -> Option<Candidate> {
    let cue = one.words.clone();
    let after = |trust| reader.read_after(cue.end, trust);
    if let Some(reading) = named_before(reader, one) {
        return Some(Candidate {
            reading,
            cue,
            act: one.act,
            strong: one.act == Act::Strong,
        });
    }
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

/// "Ольга меня зовут", "Ο Θανάσης είμαι": a cue that ends its clause, with a known name that opens it
/// right before, is read as an ending. English says "I'm" so only where it breaks off.
fn named_before(reader: &Reader<'_>, one: &Found) -> Option<Reading> {
    let cue = match one.act {
        Act::Strong => true,
        Act::Medium => !reader.turn.language.is_english(),
        _ => false,
    };
    if !cue || !reader.pauses_at(one.words.end) || reader.pauses_at(one.words.start) {
        return None;
    }
    let reading = reader.read_before(one.words.start)?;
    let first = &reader.turn.tokens[reading.words.start];
    let known = first.evidence == Evidence::Name && !first.is(Role::NEVER);
    let asks = reader.turn.pause_before(one.words.end) == Break::Question
        || one.words.end == reader.turn.tokens.len() && reader.turn.end == Break::Question;
    (known && !asks).then_some(reading)
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

/// A reading whose confidence is at most that.
pub fn capped(reading: Reading, confidence_max: f32) -> Reading {
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
    let confidence_max =
        if points_at_thing(reader, cue, &reading) || reader.is_doubted_by_tag(&reading) {
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
    let expected = reader.asked || reader.opens_with(Role::NO) && soon;
    let known = reader.turn.tokens[reading.words.start].evidence == Evidence::Name;
    let closes = known && reader.turn.pause_before(reading.words.end) >= Break::Stop;
    let greeted = known && reader.is_greeted(reading.words.start);
    let opens_turn =
        known && cue.start == 0 && reader.turn.pause_before(reading.words.end) > Break::None;
    let corrects = closes && soon && reader.opens_with(Role::RETRACT);
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

/// "ik ben Pieter niet": what denies stands behind the name.
pub fn is_negated(reader: &Reader<'_>, reading: &Reading) -> bool {
    reader.turn.pause_before(reading.words.end) == Break::None
        && matches!(reader.turn.folded(reading.words.end), "nicht" | "niet")
}
