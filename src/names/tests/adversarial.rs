//! Our own hard lines for the product's domain, each with the decision it must get.

use super::super::{ExcludedWords, ExtractionContext, Language, NameDecision, extract};

const LINES: &str = include_str!("adversarial.tsv");
const LINES_MIN: usize = 300;

struct Line<'l> {
    expected: &'l str,
    name: &'l str,
    asked: bool,
    language: Language,
    text: &'l str,
}

fn lines() -> Vec<Line<'static>> {
    let data = LINES
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    data.map(|line| {
        let parts: Vec<&str> = line.split('\t').collect();
        let [expected, name, asked, language, text] = parts[..] else {
            panic!("five columns: {line}")
        };
        Line {
            expected,
            name,
            asked: asked == "asked",
            language: Language::from_tag(language),
            text,
        }
    })
    .collect()
}

/// What is wrong with the decision on a line, if anything is.
fn complaint(line: &Line<'_>, excluded: &ExcludedWords) -> Option<String> {
    let context = ExtractionContext {
        name_asked: line.asked,
        language: line.language,
        excluded,
    };
    let heard = extract(line.text, &context);
    let first = heard.name.as_ref().map_or("-", |name| name.first.as_str());
    let decided = match line.expected {
        "capture" => heard.decision == NameDecision::Capture,
        "confirm" => heard.decision == NameDecision::Confirm,
        "heard" => heard.decision != NameDecision::Ignore,
        _ => heard.decision == NameDecision::Ignore,
    };
    let named = line.expected == "ignore" || first == line.name;
    (!decided || !named).then(|| {
        format!(
            "{:?}: {} {} expected, {:?} {first} {} heard",
            line.text, line.expected, line.name, heard.decision, heard.confidence
        )
    })
}

#[test]
fn every_adversarial_line_gets_its_decision() {
    let excluded = ExcludedWords::new(["Professor Oak"]);
    let lines = lines();
    assert!(lines.len() >= LINES_MIN, "{} lines", lines.len());
    let complaints: Vec<String> = lines
        .iter()
        .filter_map(|line| complaint(line, &excluded))
        .collect();
    assert!(
        complaints.is_empty(),
        "{} of {}:\n{}",
        complaints.len(),
        lines.len(),
        complaints.join("\n")
    );
}
