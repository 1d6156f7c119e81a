//! What each cue of a turn announces: the names that may be the caller's, with their confidence.

use std::ops::Range;

use super::evidence::Evidence;
use super::extraction::CAPTURE_CONFIDENCE_MIN;
use super::grammar::{CueKind, Grammar};
use super::name_reader::{CueStrength, NameReader, NameSpan};
use super::token::{Pause, TokenizedTurn};
use super::word_class::WordClass;

/// Confidence of a name that a cue and "speaking", "here" or "calling" hold between them.
const CUE_AND_ENDING_CONFIDENCE: f32 = 0.93;
/// "no, it's X" corrects without being asked when the cue comes this soon.
const CORRECTION_WORDS_MAX: usize = 3;
/// "It's X, ..." at the start of a turn, nobody having asked.
const UNASKED_OPENING_CONFIDENCE: f32 = 0.6;
/// "Sorry, Pauline": a bare name that replaces another, nobody having asked, is asked back.
pub const UNASKED_CONFIDENCE_MAX: f32 = 0.7;

/// A phrase of the grammar found in the turn.
#[derive(Clone, Debug)]
pub struct CueMatch {
    pub kind: CueKind,
    pub words: Range<usize>,
}

/// A name the turn may introduce.
#[derive(Clone, Debug)]
pub struct NameCandidate {
    pub span: NameSpan,
    pub cue: Range<usize>,
    pub kind: CueKind,
    pub has_explicit_cue: bool,
}

/// The phrases of the grammar in a turn, in order, none inside another.
pub fn find_cues(turn: &TokenizedTurn<'_>, grammar: &Grammar) -> Vec<CueMatch> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < turn.tokens.len() {
        match grammar.longest_cue_at(turn, at) {
            Some((act, end)) => {
                found.push(CueMatch {
                    kind: act,
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
pub fn name_candidates(
    reader: &NameReader<'_>,
    found: &[CueMatch],
    denied: Option<&NameSpan>,
) -> Vec<NameCandidate> {
    let read = found
        .iter()
        .filter_map(|one| name_candidate(reader, one, denied));
    read.filter(|one| !is_negated(reader, &one.span)).collect()
}

fn name_candidate(
    reader: &NameReader<'_>,
    one: &CueMatch,
    denied: Option<&NameSpan>,
) -> Option<NameCandidate> {
    let cue = one.words.clone();
    let after = |trust| reader.read_after(cue.end, trust);
    if let Some(reading) = name_before_cue(reader, one) {
        return Some(NameCandidate {
            span: reading,
            cue,
            kind: one.kind,
            has_explicit_cue: one.kind == CueKind::Strong,
        });
    }
    let (reading, strong) = match one.kind {
        CueKind::Strong | CueKind::CallMe => {
            let reading = after(CueStrength::Strong)?;
            if is_travel_phrase(reader, &cue, &reading) {
                return None;
            }
            (reading, true)
        }
        CueKind::Strict => (name_after_strict_cue(reader, &cue)?, true),
        CueKind::Speaking if !reader.is_behind_fillers_only(cue.start) => return None,
        CueKind::Medium | CueKind::Present | CueKind::Asked
            if follows_denied_name(&cue, denied) =>
        {
            (name_replacing_denied(reader, &cue)?, false)
        }
        CueKind::Medium | CueKind::Present | CueKind::Speaking => {
            name_after_medium_cue(reader, &cue)?
        }
        CueKind::Asked => name_after_asked_cue(reader, &cue)?,
        CueKind::Booking => (
            with_confidence_max(after(CueStrength::Strong)?, 0.85),
            false,
        ),
        CueKind::BookingWeak if is_denied(reader, cue.start) => return None,
        CueKind::BookingWeak => (name_after_booking_cue(reader, &cue)?, false),
        CueKind::AnotherPerson => (with_confidence_max(after(CueStrength::Strict)?, 0.88), true),
        CueKind::Ending => name_before_ending(reader, &cue)?,
        _ => return None,
    };
    Some(NameCandidate {
        span: reading,
        cue,
        kind: one.kind,
        has_explicit_cue: strong,
    })
}

/// "Ольга меня зовут", "Ο Θανάσης είμαι": a cue that ends its clause, with a known name that opens it
/// right before, is read as an ending. English says "I'm" so only where it breaks off.
fn name_before_cue(reader: &NameReader<'_>, one: &CueMatch) -> Option<NameSpan> {
    let cue = match one.kind {
        CueKind::Strong => true,
        CueKind::Medium => !reader.turn.language.is_english(),
        _ => false,
    };
    if !cue || !reader.is_clause_end(one.words.end) || reader.is_clause_end(one.words.start) {
        return None;
    }
    let reading = reader.read_before(one.words.start)?;
    let first = &reader.turn.tokens[reading.words.start];
    let known = first.evidence == Evidence::Name && !first.has_class(WordClass::NEVER);
    let asks = reader.turn.pause_before(one.words.end) == Pause::Question
        || one.words.end == reader.turn.tokens.len() && reader.turn.final_pause == Pause::Question;
    (known && !asks).then_some(reading)
}

/// "not under X".
fn is_denied(reader: &NameReader<'_>, at: usize) -> bool {
    at > 0 && reader.turn.folded(at - 1) == "not"
}

/// "X speaking"; "Santa is here", "Harvey is calling" and "rain here again" are told of another
/// as often as of oneself.
fn name_before_ending(reader: &NameReader<'_>, cue: &Range<usize>) -> Option<(NameSpan, bool)> {
    let reading = reader.read_before(cue.start)?;
    let turn = reader.turn;
    let words = (turn.folded(cue.start), turn.folded(cue.start + 1));
    let third = words.0 == "is" && matches!(words.1, "here" | "calling" | "speaking");
    let at = reading.words.start;
    let vague = reading.words.len() == 1
        && turn.tokens[at].evidence != Evidence::Name
        && !reader.is_meaningful_capital(at);
    let of_another = third || words.0 == "here" && vague;
    if of_another && !reader.name_asked && turn.language.is_english() {
        Some((with_confidence_max(reading, UNASKED_CONFIDENCE_MAX), false))
    } else {
        Some((reading, true))
    }
}

/// "I go by bus": no name, where nothing speaks for one.
fn is_travel_phrase(reader: &NameReader<'_>, cue: &Range<usize>, reading: &NameSpan) -> bool {
    reader.turn.folded(cue.end - 1) == "by"
        && reading.confidence < UNASKED_CONFIDENCE_MAX
        && !reader.name_asked
}

/// A reading whose confidence is at most that.
pub fn with_confidence_max(reading: NameSpan, confidence_max: f32) -> NameSpan {
    NameSpan {
        confidence: reading.confidence.min(confidence_max),
        ..reading
    }
}

/// "name X" opens a clause; "my name X" may stand anywhere but in "what is my name".
fn name_after_strict_cue(reader: &NameReader<'_>, cue: &Range<usize>) -> Option<NameSpan> {
    let own = !reader
        .grammar
        .classes(reader.turn.folded(cue.start))
        .intersects(WordClass::NAME_KIND)
        && cue.len() > 1
        && !reader.turn.folded(cue.start).starts_with("name");
    let before = cue.start.checked_sub(1).map(|at| &reader.turn.tokens[at]);
    let joined = before.filter(|_| reader.turn.pause_before(cue.start) == Pause::None);
    let blocked = joined.is_some_and(|token| token.has_class(WordClass::NEVER));
    let owned = joined.is_some() && is_other_owner(reader.turn.folded(cue.start - 1));
    let opens = reader.is_at_clause_start(cue.start);
    let kind = reader.turn.tokens[cue.start].has_class(WordClass::NAME_KIND);
    if owned || !(opens || (own || kind) && !blocked) {
        return None;
    }
    reader.read_after(
        cue.end,
        if kind {
            CueStrength::Strong
        } else {
            CueStrength::Strict
        },
    )
}

/// "your name X", "what name X": not the speaker's.
fn is_other_owner(folded: &str) -> bool {
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

fn name_after_medium_cue(reader: &NameReader<'_>, cue: &Range<usize>) -> Option<(NameSpan, bool)> {
    if let Some(reading) = name_between_cue_and_ending(reader, cue) {
        return Some((reading, true));
    }
    let reading = reader.read_after(cue.end, CueStrength::Medium)?;
    let confidence_max =
        if points_at_thing(reader, cue, &reading) || reader.is_questioned_by_tag(&reading) {
            UNASKED_CONFIDENCE_MAX
        } else {
            1.0
        };
    Some((with_confidence_max(reading, confidence_max), false))
}

/// "This is Minecraft": an unlisted word, not greeted, not asked for, may be a thing.
fn points_at_thing(reader: &NameReader<'_>, cue: &Range<usize>, reading: &NameSpan) -> bool {
    let at = reading.words.start;
    let unlisted = reader.turn.tokens[at].evidence == Evidence::Unknown && reading.words.len() == 1;
    let points = matches!(reader.turn.folded(cue.start), "this" | "this's" | "thisis");
    let placed = reader.turn.folded(reading.words.end) == "from";
    !reader.name_asked && unlisted && points && !placed && !reader.is_greeted(at)
}

/// "not Bob, it's X": the cue stands right behind the name turned down.
fn follows_denied_name(cue: &Range<usize>, denied: Option<&NameSpan>) -> bool {
    denied.is_some_and(|denied| denied.words.end == cue.start)
}

/// The name in the place of the one turned down, where it ends its clause.
fn name_replacing_denied(reader: &NameReader<'_>, cue: &Range<usize>) -> Option<NameSpan> {
    let reading = reader.read_after(cue.end, CueStrength::Strict)?;
    reader.may_end_name(reading.words.end).then_some(reading)
}

/// "it's X" counts when the name was asked, "it's X calling" always.
fn name_after_asked_cue(reader: &NameReader<'_>, cue: &Range<usize>) -> Option<(NameSpan, bool)> {
    if let Some(reading) = name_between_cue_and_ending(reader, cue) {
        return Some((reading, true));
    }
    let reading = reader.read_after(cue.end, CueStrength::Medium)?;
    let reading = if is_guess(reader, cue, &reading) {
        with_confidence_max(reading, UNASKED_CONFIDENCE_MAX)
    } else {
        reading
    };
    let soon = cue.start <= CORRECTION_WORDS_MAX;
    let expected = reader.name_asked || reader.opens_with(WordClass::NO) && soon;
    let known = reader.turn.tokens[reading.words.start].evidence == Evidence::Name;
    let closes = known && reader.turn.pause_before(reading.words.end) >= Pause::Stop;
    let greeted = known && reader.is_greeted(reading.words.start);
    let opens_turn =
        known && cue.start == 0 && reader.turn.pause_before(reading.words.end) > Pause::None;
    let corrects = closes && soon && reader.opens_with(WordClass::RETRACT);
    if (expected || greeted || corrects) && reader.is_at_clause_start(cue.start) {
        Some((reading, false))
    } else if opens_turn && !reader.name_asked {
        Some((
            with_confidence_max(reading, UNASKED_OPENING_CONFIDENCE),
            false,
        ))
    } else {
        (reader.name_asked && closes)
            .then(|| (with_confidence_max(reading, CAPTURE_CONFIDENCE_MIN), false))
    }
}

/// "I think it's X", "it's X who knows": about somebody, perhaps not the speaker.
fn is_guess(reader: &NameReader<'_>, cue: &Range<usize>, reading: &NameSpan) -> bool {
    let turn = reader.turn;
    let hedge = |at| {
        matches!(
            turn.folded(at),
            "think" | "guess" | "bet" | "believe" | "maybe" | "perhaps"
        )
    };
    let hedged = cue.start > 0 && hedge(cue.start - 1);
    let relative = matches!(turn.folded(reading.words.end), "who" | "that" | "which");
    hedged || relative && turn.pause_before(reading.words.end) == Pause::None
}

fn name_between_cue_and_ending(reader: &NameReader<'_>, cue: &Range<usize>) -> Option<NameSpan> {
    let reading = reader.read_after(cue.end, CueStrength::Strict)?;
    let ends =
        reader.ending_follows(reading.words.end) && !reader.has_tag_question(reading.words.end);
    ends.then_some(NameSpan {
        confidence: CUE_AND_ENDING_CONFIDENCE,
        ..reading
    })
}

/// "under X" is a question to ask back, unless the name was asked or a surname makes it sure.
fn name_after_booking_cue(reader: &NameReader<'_>, cue: &Range<usize>) -> Option<NameSpan> {
    let reading = reader.read_after(cue.end, CueStrength::Strict)?;
    let at = reading.words.start;
    let vague = reader.turn.tokens[at].evidence == Evidence::Unknown && reading.words.len() == 1;
    if vague && !reader.name_asked && !reader.is_meaningful_capital(at) {
        return None;
    }
    let under = reader.turn.folded(cue.start) == "under" && reading.words.len() > 1;
    let sure = under && reader.turn.tokens[at].evidence == Evidence::Name;
    let confidence_max = if reader.name_asked || sure { 0.85 } else { 0.7 };
    Some(with_confidence_max(reading, confidence_max))
}

/// "ik ben Pieter niet": what denies stands behind the name.
pub fn is_negated(reader: &NameReader<'_>, reading: &NameSpan) -> bool {
    reader.turn.pause_before(reading.words.end) == Pause::None
        && matches!(reader.turn.folded(reading.words.end), "nicht" | "niet")
}
