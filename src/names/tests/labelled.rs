//! The labelled turns beside the repository, where there are any, and the rates that the extractor
//! must reach.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::super::score::{self, ClassScore, ScoreClass, ScoreOptions};

/// A debug build reads every this many turns.
const SAMPLE_EVERY: usize = 1;

fn turns() -> Option<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/names");
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).ok();
    let found = read("positives.jsonl")
        .zip(read("negatives.jsonl"))
        .map(|(positives, negatives)| positives + &negatives);
    if found.is_none() {
        println!("skipped: no development turns in {}", folder.display());
    }
    found
}

fn tallies(input: &str, options: &ScoreOptions) -> BTreeMap<ScoreClass, ClassScore> {
    let (turns, complaints) = score::parse(input.as_bytes());
    assert_eq!(complaints, []);
    let sampled = turns.into_iter().step_by(SAMPLE_EVERY).collect();
    score::summarize(&score::score(sampled, options, || Duration::ZERO))
}

fn class<'t>(
    tallies: &'t BTreeMap<ScoreClass, ClassScore>,
    group: &str,
    lang: &str,
) -> &'t ClassScore {
    tallies
        .get(&(group.to_owned(), "*".to_owned(), lang.to_owned()))
        .unwrap_or_else(|| panic!("{group} {lang}"))
}

/// Shares are compared in thousandths of the turns of a class.
fn at_least(part: usize, whole: usize, thousandths: usize, what: &str) {
    assert!(
        part * 1000 >= whole * thousandths,
        "{what}: {part} of {whole}, {thousandths} per mille wanted"
    );
}

fn at_most(part: usize, whole: usize, thousandths: usize, what: &str) {
    assert!(
        part * 1000 <= whole * thousandths,
        "{what}: {part} of {whole}, at most {thousandths} per mille"
    );
}

/// Targets, in thousandths: English asked, English volunteered, French and Italian and Japanese.
fn reaches(
    tallies: &BTreeMap<ScoreClass, ClassScore>,
    asked: usize,
    volunteered: usize,
    others: usize,
) {
    let english = class(tallies, "asked", "en");
    at_least(english.right, english.turns, asked, "English asked");
    at_most(english.wrong, english.turns, 5, "English asked, wrong");
    let english = class(tallies, "volunteered", "en");
    at_least(
        english.right,
        english.turns,
        volunteered,
        "English volunteered",
    );
    let polish = class(tallies, "asked", "pl");
    at_least(polish.right, polish.turns, 970, "Polish asked");
    for lang in ["fr", "it", "ja"] {
        let introductions = class(tallies, "volunteered", lang);
        at_least(introductions.right, introductions.turns, others, lang);
    }
    let negatives = class(tallies, "negatives", "*");
    at_most(
        negatives.false_captures,
        negatives.turns,
        1,
        "false captures",
    );
}

#[test]
fn development_turns_reach_the_targets() {
    let Some(input) = turns() else { return };
    reaches(&tallies(&input, &ScoreOptions::default()), 975, 960, 950);
}

#[test]
fn lower_cased_development_turns_reach_the_targets() {
    let Some(input) = turns() else { return };
    let options = ScoreOptions {
        lowercase: true,
        ..ScoreOptions::default()
    };
    reaches(&tallies(&input, &options), 965, 910, 900);
}

#[test]
fn negatives_replayed_as_answers_are_seldom_captured() {
    let Some(input) = turns() else { return };
    let options = ScoreOptions {
        as_asked: true,
        ..ScoreOptions::default()
    };
    let tallies = tallies(&input, &options);
    let negatives = class(&tallies, "negatives", "*");
    at_most(
        negatives.false_captures,
        negatives.turns,
        12,
        "replayed negatives",
    );
}
