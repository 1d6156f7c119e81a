//! Weighs every cue of a turn and decides what was said about the caller's name.

use std::ops::Range;

use super::capitalization;
use super::cue_candidates::{
    CueMatch, NameCandidate, UNASKED_CONFIDENCE_MAX, find_cues, is_negated, name_candidates,
    with_confidence_max,
};
use super::extraction::{
    CAPTURE_CONFIDENCE_MIN, CONFIRM_CONFIDENCE_MIN, Extraction, ExtractionContext, Name,
    NameDecision, NameIntent,
};
use super::grammar::{CueKind, Grammar};
use super::language_words;
use super::name_reader::{CueStrength, NameReader, NameSpan};
use super::refusal::{find_forget_request, find_refusal, has_more_than, is_courtesy, is_question};
use super::spelling::{self, SpelledName};
use super::text;
use super::token::{Pause, TokenizedTurn};
use super::word_class::WordClass;

/// Edit distance up to which two names with one initial are one name heard twice ("Ana", "Anna").
const SAME_NAME_EDITS_MAX: usize = 2;
/// The same for names that begin otherwise ("Bob", "Rob").
const OTHER_INITIAL_EDITS_MAX: usize = 1;

/// Reads one turn of a language that writes spaces.
pub fn extract_from_turn(
    turn: &TokenizedTurn<'_>,
    grammar: &Grammar,
    context: &ExtractionContext<'_>,
) -> Extraction {
    let reader = NameReader {
        turn,
        grammar,
        excluded: context.excluded,
        name_asked: context.name_asked,
    };
    let found = find_cues(turn, grammar);
    let denied = rejected_name(&reader, &found);
    let denied_at = denied.as_ref().map(|denied| denied.words.end);
    let candidates = name_candidates(&reader, &found, denied.as_ref());
    let introduced = candidates
        .iter()
        .any(|one| one.span.confidence >= CAPTURE_CONFIDENCE_MIN);
    let forgotten = find_forget_request(&reader, &found);
    let rejected = match forgotten {
        Some(forgotten) if !introduced => return forgotten,
        Some(forgotten) => forgotten.name,
        None => denied.map(|denied| capitalization::name_of(turn, denied.words)),
    };
    let mut best = best_candidate(&reader, candidates, rejected.is_some());
    let refusal = if context.name_asked {
        find_refusal(&reader, &found)
    } else {
        None
    };
    if best.is_none() && (context.name_asked || reader.opens_with(WordClass::RETRACT)) {
        best = bare_candidate(&reader).filter(|bare| {
            refusal
                .as_ref()
                .is_none_or(|refusal| refusal.start >= bare.span.words.end)
        });
    }
    if best.is_none()
        && context.name_asked
        && let Some(denied) = &denied_at
    {
        best = reader
            .read_bare_at(*denied)
            .and_then(|reading| candidate_without_cue(&reader, reading));
    }
    best = best.and_then(|best| match best.has_explicit_cue {
        true => Some(best),
        false => {
            let reading = reader.checked_as_person(best.span)?;
            Some(NameCandidate {
                span: reading,
                ..best
            })
        }
    });
    if let Some(spelled) = spelling::find_spelling(
        &reader,
        best.as_ref().map(|best| &best.span),
        best.as_ref().is_some_and(|best| !best.cue.is_empty()),
    ) {
        return extraction_of_spelling(&reader, &found, best, rejected, spelled);
    }
    match best {
        Some(best) => extraction_of_candidate(&reader, &found, best, rejected),
        None => extraction_without_candidate(&reader, &found, rejected, refusal),
    }
}

/// The name turned down: "not Mark", "ich bin Mark nicht".
fn rejected_name(reader: &NameReader<'_>, found: &[CueMatch]) -> Option<NameSpan> {
    let sure = |reading: &NameSpan| reading.confidence >= CONFIRM_CONFIDENCE_MIN;
    let rejects = |one: &CueMatch| match one.kind {
        CueKind::Reject => reader.read_after(one.words.end, CueStrength::Medium),
        CueKind::Strong | CueKind::Medium | CueKind::Present | CueKind::Asked => reader
            .read_after(one.words.end, CueStrength::Strict)
            .filter(|reading| is_negated(reader, reading)),
        _ => None,
    };
    found.iter().filter_map(rejects).find(sure)
}

fn bare_candidate(reader: &NameReader<'_>) -> Option<NameCandidate> {
    candidate_without_cue(reader, reader.read_bare()?)
}

/// A reading without a cue, as far as it is trusted.
fn candidate_without_cue(reader: &NameReader<'_>, reading: NameSpan) -> Option<NameCandidate> {
    let reading = reader.checked_bare_answer(reading)?;
    let whole = reading.words.end == reader.turn.tokens.len();
    let reading = match (reader.name_asked, whole) {
        (true, _) => reading,
        (false, true) => with_confidence_max(reading, UNASKED_CONFIDENCE_MAX),
        (false, false) => return None,
    };
    let cue = reading.words.start..reading.words.start;
    Some(NameCandidate {
        span: reading,
        cue,
        kind: CueKind::Asked,
        has_explicit_cue: false,
    })
}

/// The surest candidate; the first of equals, the last after a correction or "call me".
fn best_candidate(
    reader: &NameReader<'_>,
    candidates: Vec<NameCandidate>,
    corrected: bool,
) -> Option<NameCandidate> {
    let mut best: Option<NameCandidate> = None;
    for one in candidates {
        let replaces = match &best {
            None => true,
            Some(best) => {
                let later = corrected
                    || one.kind == CueKind::CallMe
                    || is_retracted_between(reader, best, &one);
                let named = has_cue_class(reader, best, WordClass::LAST_KIND)
                    && has_cue_class(reader, &one, WordClass::FIRST_KIND);
                named
                    || one.span.confidence > best.span.confidence + 0.1
                    || later && one.span.confidence >= 0.5
                    || best.span.confidence < 0.5 && one.span.confidence >= best.span.confidence
            }
        };
        if replaces {
            best = Some(one);
        }
    }
    best
}

/// "last name X", "first name Y": which of them a cue announces.
fn has_cue_class(reader: &NameReader<'_>, one: &NameCandidate, kind: WordClass) -> bool {
    one.cue
        .clone()
        .any(|at| reader.turn.tokens[at].has_class(kind))
}

/// "actually", "sorry", "I mean" between two names: the second counts.
fn is_retracted_between(
    reader: &NameReader<'_>,
    first: &NameCandidate,
    second: &NameCandidate,
) -> bool {
    (first.span.words.end..second.cue.start).any(|at| {
        reader
            .grammar
            .classes(reader.turn.folded(at))
            .intersects(WordClass::RETRACT)
    })
}

fn extraction_of_candidate(
    reader: &NameReader<'_>,
    found: &[CueMatch],
    best: NameCandidate,
    rejected: Option<Name>,
) -> Extraction {
    let turn = reader.turn;
    let name = capitalization::name_of(turn, with_repeated_full_name(reader, &best.span.words));
    let denied = reader.opens_with(WordClass::NO);
    let another_person = best.kind == CueKind::AnotherPerson
        || (denied || rejected.is_some())
            && presents_speaker(&best)
            && !rejected
                .as_ref()
                .is_some_and(|other| is_similar_name(other, &name));
    let correction = denied
        || rejected.is_some()
        || best.kind == CueKind::CallMe
        || is_retraction_before(reader, &best);
    Extraction {
        confidence: best.span.confidence,
        intent: if correction {
            NameIntent::Correction
        } else {
            NameIntent::Introduction
        },
        decision: NameDecision::from_confidence(best.span.confidence),
        has_explicit_cue: best.has_explicit_cue,
        is_spelled: false,
        has_more: has_more(reader, found, &best),
        is_another_person: another_person,
        rejected_name: rejected,
        requested_language: None,
        name: Some(name),
    }
}

/// The letters' name takes the place of the heard one.
fn extraction_of_spelling(
    reader: &NameReader<'_>,
    found: &[CueMatch],
    best: Option<NameCandidate>,
    rejected: Option<Name>,
    spelled: SpelledName,
) -> Extraction {
    let reading = NameSpan {
        words: spelled.words.clone(),
        confidence: spelled.confidence,
    };
    let cue = spelled.words.start..spelled.words.start;
    let best = best.unwrap_or(NameCandidate {
        span: reading.clone(),
        cue,
        kind: CueKind::Asked,
        has_explicit_cue: true,
    });
    let best = NameCandidate {
        span: reading,
        ..best
    };
    let heard = extraction_of_candidate(reader, found, best, rejected);
    Extraction {
        name: Some(spelled.name),
        is_spelled: true,
        has_explicit_cue: true,
        ..heard
    }
}

/// "I'm Brian, Brian White"; "Bond. James Bond.": the name is said again in full.
fn with_repeated_full_name(reader: &NameReader<'_>, words: &Range<usize>) -> Range<usize> {
    let turn = reader.turn;
    let at = words.end;
    let again = words.len() == 1
        && at + 1 < turn.tokens.len()
        && turn.pause_before(at) != Pause::None
        && turn.pause_before(at + 1) == Pause::None
        && turn.pause_before(at + 2) != Pause::None;
    let said = turn.folded(words.start);
    let in_full = again
        && (turn.folded(at) == said && reader.may_be_surname(at + 1)
            || turn.folded(at + 1) == said && reader.can_be_name(at));
    if in_full { at..at + 2 } else { words.clone() }
}

/// "this is X", "I'm X", "you're speaking with X": somebody presents themselves.
fn presents_speaker(best: &NameCandidate) -> bool {
    matches!(
        best.kind,
        CueKind::Present | CueKind::Medium | CueKind::Speaking
    )
}

fn is_retraction_before(reader: &NameReader<'_>, best: &NameCandidate) -> bool {
    (0..best.cue.end).any(|at| reader.turn.tokens[at].has_class(WordClass::RETRACT))
}

fn is_similar_name(one: &Name, other: &Name) -> bool {
    let (one, other) = (text::fold(&one.first), text::fold(&other.first));
    let edits_max = if one.chars().next() == other.chars().next() {
        SAME_NAME_EDITS_MAX
    } else {
        OTHER_INITIAL_EDITS_MAX
    };
    strsim::levenshtein(&one, &other) <= edits_max
}

/// Whether the turn says more than the introduction and courtesies.
fn has_more(reader: &NameReader<'_>, found: &[CueMatch], best: &NameCandidate) -> bool {
    let is_told = |act: CueKind| !matches!(act, CueKind::Refuse | CueKind::RefuseAlone);
    has_more_than(reader, found, &best.span.words, is_told)
        || has_question_besides(reader, found, best)
}

/// "Joel, who is this?": a clause behind the name is a question, and no courtesy ("how are you?").
fn has_question_besides(reader: &NameReader<'_>, found: &[CueMatch], best: &NameCandidate) -> bool {
    let turn = reader.turn;
    let courteous =
        |at: usize| { found.iter() }.any(|one| is_courtesy(one.kind) && one.words.contains(&at));
    let mut start = 0;
    for end in 1..=turn.tokens.len() {
        let pause = turn
            .tokens
            .get(end)
            .map_or(turn.final_pause, |next| next.pause);
        if pause == Pause::Question && !(start..end).any(|at| best.span.words.contains(&at)) {
            return !(start..end).all(courteous);
        }
        if pause != Pause::None {
            start = end;
        }
    }
    false
}

/// The turn introduces nobody: a refusal, somebody else's name, a language asked for, or nothing.
fn extraction_without_candidate(
    reader: &NameReader<'_>,
    found: &[CueMatch],
    rejected: Option<Name>,
    refusal: Option<Range<usize>>,
) -> Extraction {
    let denied = rejected.is_some();
    let other = found
        .iter()
        .filter(|one| one.kind == CueKind::Other)
        .find_map(|one| reader.read_after(one.words.end, CueStrength::Strict));
    let kind = match (&other, denied) {
        (_, true) => NameIntent::Correction,
        _ if refusal.is_some() => NameIntent::Refusal,
        (Some(_), _) => NameIntent::OtherPerson,
        _ => NameIntent::None,
    };
    let name = other.filter(|_| kind == NameIntent::OtherPerson);
    let rest = match refusal {
        Some(refusal) if kind == NameIntent::Refusal => {
            is_question(reader, found, &refusal)
                || has_more_than(reader, found, &refusal, is_courtesy)
        }
        _ => !reader.turn.tokens.is_empty(),
    };
    Extraction {
        name: name.map(|reading| capitalization::name_of(reader.turn, reading.words)),
        intent: kind,
        rejected_name: rejected,
        has_more: rest,
        requested_language: if kind == NameIntent::None {
            language_words::requested_language(reader.turn, reader.grammar)
        } else {
            None
        },
        ..Extraction::default()
    }
}
