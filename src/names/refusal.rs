//! Refusals to give a name, and requests to forget it: both need their object.

use std::ops::Range;

use super::cue::Found;
use super::extraction::{Extraction, Kind};
use super::grammar::{Act, Role};
use super::reader::{Reader, Trust};
use super::token::Break;
use super::written;

/// Words behind a refusal that holds its object and still belong to it at most ("to strangers").
const REFUSED_WORDS_MAX: usize = 3;

/// The words of a refusal to give the name: one that is the whole turn, or one that holds its object
/// or says plainly that the caller had rather not, to the end of its clause.
pub fn refusal(reader: &Reader<'_>, found: &[Found]) -> Option<Range<usize>> {
    let all = 0..reader.turn.tokens.len();
    let around = Role::FILLER.or(Role::TAIL).or(Role::COURTESY).or(Role::NO);
    let is_alone = |one: &Found| {
        { all.clone() }.all(|at| one.words.contains(&at) || reader.turn.tokens[at].is(around))
    };
    let refuses = |one: &&Found| matches!(one.act, Act::Refuse | Act::RefuseAlone);
    if found.iter().filter(refuses).any(is_alone) || is_only_no(reader) {
        return Some(all);
    }
    found
        .iter()
        .filter(|one| one.act == Act::Refuse)
        .find_map(|one| refused_clause(reader, one))
}

/// "No", "no, sorry": nothing else.
fn is_only_no(reader: &Reader<'_>) -> bool {
    reader.opens_with(Role::NO)
        && reader
            .turn
            .tokens
            .iter()
            .all(|token| token.is(Role::NO.or(Role::TAIL)))
}

/// The words of the clause that a refusal ends, with few words behind one that holds its object.
fn refused_clause(reader: &Reader<'_>, one: &Found) -> Option<Range<usize>> {
    let turn = reader.turn;
    let ends = |at: usize| reader.pauses_at(at);
    let mut end = one.words.end;
    while !ends(end) && turn.tokens[end].is(Role::TAIL.or(Role::FILLER).or(Role::COURTESY)) {
        end += 1;
    }
    if ends(end) {
        return Some(one.words.start..end);
    }
    let has_object = { one.words.clone() }.any(|at| turn.tokens[at].is(Role::NAME_NOUN));
    if !has_object {
        return None;
    }
    let clause_end = (end..=turn.tokens.len())
        .find(|at| ends(*at))
        .unwrap_or(end);
    let asks = (end..clause_end).any(|at| turn.tokens[at].is(Role::QUESTION));
    let short = clause_end - end <= REFUSED_WORDS_MAX && !asks;
    Some(one.words.start..if short { clause_end } else { end })
}

/// "Forget my name", "don't call me X".
pub fn forget(reader: &Reader<'_>, found: &[Found]) -> Option<Extraction> {
    let name_after = |one: &Found| reader.read_after(one.words.end, Trust::Strong);
    let (one, name) = found.iter().find_map(|one| match one.act {
        Act::Forget => Some((one, name_after(one))),
        Act::ForgetNamed if !reader.pauses_at(one.words.end) => Some((one, Some(name_after(one)?))),
        _ => None,
    })?;
    let end = name.as_ref().map_or(one.words.end, |name| name.words.end);
    Some(Extraction {
        name: name.map(|name| written::name_of(reader.turn, name.words)),
        kind: Kind::Forget,
        confidence: 0.9,
        rest: is_more_than(reader, found, &(one.words.start..end), is_courtesy),
        ..Extraction::default()
    })
}

/// "Why do you need my name?": a refusal that wants an answer.
pub fn asks(reader: &Reader<'_>, found: &[Found], refusal: &Range<usize>) -> bool {
    let turn = reader.turn;
    let behind = turn
        .tokens
        .get(refusal.end)
        .map_or(turn.end, |next| next.pause);
    let begins = found.iter().any(|one| {
        refusal.contains(&one.words.start)
            && matches!(one.act, Act::Refuse | Act::RefuseAlone)
            && turn.tokens[one.words.start].is(Role::QUESTION)
    });
    behind == Break::Question || begins
}

/// Whether a turn says more than `words`, the phrases of the kinds that `is_told` names, fillers and
/// courtesies.
pub fn is_more_than(
    reader: &Reader<'_>,
    found: &[Found],
    words: &Range<usize>,
    is_told: impl Fn(Act) -> bool,
) -> bool {
    let turn = reader.turn;
    let told = |at: usize| {
        words.contains(&at)
            || { found.iter() }.any(|one| is_told(one.act) && one.words.contains(&at))
            || turn.tokens[at].is(Role::FILLER
                .or(Role::TAIL)
                .or(Role::COURTESY)
                .or(Role::NO)
                .or(Role::RETRACT)
                .or(Role::TITLE))
    };
    (0..turn.tokens.len()).any(|at| !told(at))
}

/// A phrase that is nothing but courtesy.
pub fn is_courtesy(act: Act) -> bool {
    act == Act::Courtesy
}
