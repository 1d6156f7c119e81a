//! Refusals to give a name, and requests to forget it: both need their object.

use std::ops::Range;

use super::capitalization;
use super::cue_candidates::CueMatch;
use super::extraction::{Extraction, NameIntent};
use super::grammar::CueKind;
use super::name_reader::{CueStrength, NameReader};
use super::token::Pause;
use super::word_class::WordClass;

/// Words behind a refusal that holds its object and still belong to it at most ("to strangers").
const REFUSED_WORDS_MAX: usize = 3;

/// The words of a refusal to give the name: one that is the whole turn, or one that holds its object
/// or says plainly that the caller had rather not, to the end of its clause.
pub fn find_refusal(reader: &NameReader<'_>, found: &[CueMatch]) -> Option<Range<usize>> {
    let all = 0..reader.turn.tokens.len();
    let around = WordClass::FILLER
        .union(WordClass::TAIL)
        .union(WordClass::COURTESY)
        .union(WordClass::NO);
    let is_alone = |one: &CueMatch| {
        { all.clone() }
            .all(|at| one.words.contains(&at) || reader.turn.tokens[at].has_class(around))
    };
    let refuses = |one: &&CueMatch| matches!(one.kind, CueKind::Refuse | CueKind::RefuseAlone);
    if found.iter().filter(refuses).any(is_alone) || is_only_no(reader) {
        return Some(all);
    }
    found
        .iter()
        .filter(|one| one.kind == CueKind::Refuse)
        .find_map(|one| refused_clause(reader, one))
}

/// "No", "no, sorry": nothing else.
fn is_only_no(reader: &NameReader<'_>) -> bool {
    reader.opens_with(WordClass::NO)
        && reader
            .turn
            .tokens
            .iter()
            .all(|token| token.has_class(WordClass::NO.union(WordClass::TAIL)))
}

/// The words of the clause that a refusal ends, with few words behind one that holds its object.
fn refused_clause(reader: &NameReader<'_>, one: &CueMatch) -> Option<Range<usize>> {
    let turn = reader.turn;
    let ends = |at: usize| reader.is_clause_end(at);
    let mut end = one.words.end;
    while !ends(end)
        && turn.tokens[end].has_class(
            WordClass::TAIL
                .union(WordClass::FILLER)
                .union(WordClass::COURTESY),
        )
    {
        end += 1;
    }
    if ends(end) {
        return Some(one.words.start..end);
    }
    let has_object =
        { one.words.clone() }.any(|at| turn.tokens[at].has_class(WordClass::NAME_NOUN));
    if !has_object {
        return None;
    }
    let clause_end = (end..=turn.tokens.len())
        .find(|at| ends(*at))
        .unwrap_or(end);
    let asks = (end..clause_end).any(|at| turn.tokens[at].has_class(WordClass::QUESTION));
    let short = clause_end - end <= REFUSED_WORDS_MAX && !asks;
    Some(one.words.start..if short { clause_end } else { end })
}

/// "Forget my name", "don't call me X".
pub fn find_forget_request(reader: &NameReader<'_>, found: &[CueMatch]) -> Option<Extraction> {
    let name_after = |one: &CueMatch| reader.read_after(one.words.end, CueStrength::Strong);
    let (one, name) = found.iter().find_map(|one| match one.kind {
        CueKind::Forget => Some((one, name_after(one))),
        CueKind::ForgetNamed if !reader.is_clause_end(one.words.end) => {
            Some((one, Some(name_after(one)?)))
        }
        _ => None,
    })?;
    let end = name.as_ref().map_or(one.words.end, |name| name.words.end);
    Some(Extraction {
        name: name.map(|name| capitalization::name_of(reader.turn, name.words)),
        intent: NameIntent::Forget,
        confidence: 0.9,
        has_more: has_more_than(reader, found, &(one.words.start..end), is_courtesy),
        ..Extraction::default()
    })
}

/// "Why do you need my name?": a refusal that wants an answer.
pub fn is_question(reader: &NameReader<'_>, found: &[CueMatch], refusal: &Range<usize>) -> bool {
    let turn = reader.turn;
    let behind = turn
        .tokens
        .get(refusal.end)
        .map_or(turn.final_pause, |next| next.pause);
    let begins = found.iter().any(|one| {
        refusal.contains(&one.words.start)
            && matches!(one.kind, CueKind::Refuse | CueKind::RefuseAlone)
            && turn.tokens[one.words.start].has_class(WordClass::QUESTION)
    });
    behind == Pause::Question || begins
}

/// Whether a turn says more than `words`, the phrases of the kinds that `is_told` names, fillers and
/// courtesies.
pub fn has_more_than(
    reader: &NameReader<'_>,
    found: &[CueMatch],
    words: &Range<usize>,
    is_told: impl Fn(CueKind) -> bool,
) -> bool {
    let turn = reader.turn;
    let told = |at: usize| {
        words.contains(&at)
            || { found.iter() }.any(|one| is_told(one.kind) && one.words.contains(&at))
            || turn.tokens[at].has_class(
                WordClass::FILLER
                    .union(WordClass::TAIL)
                    .union(WordClass::COURTESY)
                    .union(WordClass::NO)
                    .union(WordClass::RETRACT)
                    .union(WordClass::TITLE),
            )
    };
    (0..turn.tokens.len()).any(|at| !told(at))
}

/// A phrase that is nothing but courtesy.
pub fn is_courtesy(act: CueKind) -> bool {
    act == CueKind::Courtesy
}
