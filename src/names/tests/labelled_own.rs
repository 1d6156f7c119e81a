//! The labelled turns of our own (`tests/names/own`): what each language is held to.

use std::path::PathBuf;
use std::time::Duration;

use super::super::extraction::{NameDecision, NameIntent};
use super::super::language::Language;
use super::super::score::{self, ScoreOptions, ScoredTurn};

/// A language, and of how many per cent of its turns each kind is understood at least: introductions,
/// answers to "May I have your name?", refusals, requests to forget the name.
type Floor = (Language, [usize; 4]);

const FLOORS: [Floor; Language::ALL.len()] = [
    (Language::English, [90, 80, 95, 93]),
    (Language::Spanish, [97, 76, 94, 83]),
    (Language::French, [92, 80, 94, 83]),
    (Language::German, [92, 80, 94, 50]),
    (Language::Portuguese, [97, 76, 94, 83]),
    (Language::Italian, [95, 85, 94, 83]),
    (Language::Polish, [81, 66, 88, 66]),
    (Language::Japanese, [92, 89, 93, 50]),
    (Language::Dutch, [97, 80, 94, 83]),
    (Language::Swedish, [97, 75, 94, 83]),
    (Language::Danish, [97, 80, 94, 83]),
    (Language::Norwegian, [93, 80, 94, 83]),
    (Language::Czech, [92, 80, 93, 83]),
    (Language::Ukrainian, [90, 73, 94, 66]),
    (Language::Russian, [92, 73, 94, 66]),
    (Language::Turkish, [83, 80, 93, 83]),
    (Language::Greek, [95, 66, 93, 66]),
    (Language::Hebrew, [97, 86, 93, 83]),
    (Language::Arabic, [95, 73, 93, 83]),
    (Language::Hindi, [96, 69, 93, 83]),
    (Language::Korean, [96, 92, 93, 83]),
    (Language::Chinese, [96, 88, 93, 83]),
    (Language::Thai, [96, 96, 93, 83]),
    (Language::Vietnamese, [86, 53, 93, 83]),
];

/// Faults that stand for now: what these turns are taken for is known to be wrong.
const KNOWN: [&str; 3] = [
    // "Bill, please." and "Rose wine, a bottle": names of people, and here of things.
    "own-en-0537",
    "own-en-0541",
    // "Albert Heijn": a shop with a person's name.
    "own-nl-0191",
];

fn turns(language: Language) -> Vec<ScoredTurn> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/names/own");
    let file = folder.join(format!("{}.jsonl", language.tag()));
    let input = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let (turns, bad) = score::parse(&input);
    assert_eq!(bad, [], "{}", file.display());
    score::score(turns, &ScoreOptions::default(), || Duration::ZERO)
}

/// What a turn without a name, a refusal or a request in it is taken for wrongly.
fn fault(one: &ScoredTurn) -> Option<&'static str> {
    let kind = one.turn.kind.as_str();
    let negative = one.turn.name.is_none() && kind.starts_with("neg");
    let fault = match (one.extraction.intent, one.extraction.decision) {
        (NameIntent::Forget, _) => "a request to forget the name",
        (NameIntent::Refusal, _) if kind == "neg-no" => return None,
        (NameIntent::Refusal, _) => "a refusal",
        (_, NameDecision::Capture) => "a name",
        _ => return None,
    };
    negative.then_some(fault)
}

#[test]
fn what_tells_no_name_is_taken_for_none() {
    let mut faults = Vec::new();
    for language in Language::ALL {
        for one in turns(language) {
            let known = one.turn.id.as_str().is_some_and(|id| KNOWN.contains(&id));
            if let Some(fault) = fault(&one).filter(|_| !known) {
                faults.push(format!("{} {:?}: {fault}", one.turn.id, one.turn.text));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn names_refusals_and_requests_are_understood() {
    let kinds = ["intro", "answer", "refusal", "forget"];
    for (language, floors) in FLOORS {
        let turns = turns(language);
        for (kind, floor) in kinds.into_iter().zip(floors) {
            let of_kind = turns.iter().filter(|one| one.turn.kind.starts_with(kind));
            let (n, right) = of_kind.fold((0, 0), |(n, right), one| {
                (n + 1, right + usize::from(is_understood(one, kind)))
            });
            assert!(
                n > 0 && right * 100 >= n * floor,
                "{} {kind}: {right} of {n}, {floor} % wanted",
                language.tag()
            );
        }
    }
}

fn is_understood(one: &ScoredTurn, kind: &str) -> bool {
    match kind {
        "refusal" => one.extraction.intent == NameIntent::Refusal,
        "forget" => one.extraction.intent == NameIntent::Forget,
        _ => one.extraction.decision == NameDecision::Capture && one.is_right(),
    }
}
