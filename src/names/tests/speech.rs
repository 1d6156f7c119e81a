//! Our own everyday sentences, and introductions by names in no list: how many are heard right.

use super::super::{ExcludedWords, ExtractionContext, Language, NameDecision, extract, text};

const LINES: &str = include_str!("speech.tsv");
/// Of the sentences without a name, at most so many in a thousand may give one.
const FALSE_PER_MILLE_MAX: usize = 7;
/// Of the introductions, at least so many in a thousand must be captured.
const RIGHT_PER_MILLE_MIN: usize = 960;

/// The name captured in a line, folded, and the one that was to be.
fn heard(line: &str, lowered: bool) -> (Option<String>, Option<String>) {
    let parts: Vec<&str> = line.split('\t').collect();
    let [name, asked, language, said] = parts[..] else {
        panic!("four columns: {line}")
    };
    let said = if lowered {
        said.to_lowercase()
    } else {
        said.to_owned()
    };
    let excluded = ExcludedWords::default();
    let context = ExtractionContext {
        name_asked: asked == "asked",
        language: Language::from_tag(language),
        excluded: &excluded,
    };
    let heard = extract(&said, &context);
    let captured = heard
        .name
        .filter(|_| heard.decision == NameDecision::Capture);
    let wanted = (name != "-").then(|| text::fold(name));
    (captured.map(|name| text::fold(&name.first)), wanted)
}

fn is_heard_right(lowered: bool) {
    let lines = LINES.lines().filter(|line| !line.starts_with('#'));
    let (mut negatives, mut positives, mut right) = (0, 0, 0);
    let mut falsely = Vec::new();
    for line in lines {
        let (captured, wanted) = heard(line, lowered);
        match wanted {
            None => {
                negatives += 1;
                falsely.extend(captured.map(|name| format!("{line} => {name}")));
            }
            Some(_) => {
                positives += 1;
                right += usize::from(captured == wanted);
            }
        }
    }
    assert!(
        negatives >= 800 && positives >= 300,
        "{negatives} {positives}"
    );
    let allowed = falsely.len() * 1000 <= negatives * FALSE_PER_MILLE_MAX;
    assert!(
        allowed,
        "{} of {negatives}:\n{}",
        falsely.len(),
        falsely.join("\n")
    );
    assert!(
        right * 1000 >= positives * RIGHT_PER_MILLE_MIN,
        "{right} of {positives}"
    );
}

#[test]
fn everyday_sentences_give_no_name_and_unlisted_names_are_heard() {
    is_heard_right(false);
}

#[test]
fn the_same_holds_without_capitals() {
    is_heard_right(true);
}
