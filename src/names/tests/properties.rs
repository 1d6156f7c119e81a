//! Whatever is said, in whatever script.

use proptest::prelude::*;

use super::super::{
    ExcludedWords, ExtractionContext, Language, Name, YesNo, extract, parse_confirmation,
    parse_yes_no, text,
};

fn languages() -> impl Strategy<Value = Language> {
    let mut all = Language::ALL.to_vec();
    all.push(Language::Other);
    prop::sample::select(all)
}

/// Turns of words that mean something to the extractor, between arbitrary ones.
fn turns() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "my",
        "name",
        "is",
        "I'm",
        "this",
        "call",
        "me",
        "Misty",
        "not",
        "Tom",
        "with",
        "a",
        "k",
        "J",
        "O",
        "N",
        "double",
        "'kay",
        "o'brien",
        "je",
        "m'appelle",
        "ich",
        "heiße",
        "Łukasz",
        "私の名前は",
        "です",
        "？",
        ".",
        ",",
        "-",
        "'",
        "şЁß",
        "7",
        "van",
        "de",
        "Dr.",
        "here",
        "speaking",
        "under",
        "sono",
        "è",
        "\u{301}",
        "👍",
        "ﬁ",
        "İ",
    ]);
    let word = prop_oneof![4 => words.prop_map(str::to_owned), 1 => "\\PC{0,6}"];
    prop::collection::vec(word, 0..12).prop_map(|words| words.join(" "))
}

fn compact(text: &str) -> String {
    let spoken: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
    text::fold(&spoken)
        .chars()
        .filter(|c| c.is_alphanumeric())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_unicode_never_panics(said in "\\PC{0,80}", name_asked: bool, language in languages()) {
        let excluded = ExcludedWords::default();
        let context = ExtractionContext { name_asked, language, excluded: &excluded };
        let heard = extract(&said, &context);
        prop_assert!((0.0..=1.0).contains(&heard.confidence));
        let kay = Name { first: "Kay".to_owned(), full: None, title: None };
        let _ = parse_confirmation(&kay, &said, &context);
        if let YesNo::NoWithText(rest) = parse_yes_no(&said, language) {
            prop_assert!(said.ends_with(rest));
        }
    }

    #[test]
    fn a_heard_name_stands_in_the_turn_or_is_spelled_there(said in turns(), name_asked: bool, language in languages()) {
        let excluded = ExcludedWords::default();
        let heard = extract(&said, &ExtractionContext { name_asked, language, excluded: &excluded });
        if let Some(name) = heard.name.filter(|_| !heard.is_spelled) {
            prop_assert!(compact(&said).contains(&compact(&name.first)), "{name:?} in {said:?}");
            let words = name.full.iter().flat_map(|full| full.split(' '));
            let whole = { words }.all(|word| compact(&said).contains(&compact(word)));
            prop_assert!(whole, "{name:?} in {said:?}");
        }
    }

    #[test]
    fn extraction_is_deterministic(said in turns(), name_asked: bool, language in languages()) {
        let excluded = ExcludedWords::default();
        let context = ExtractionContext { name_asked, language, excluded: &excluded };
        prop_assert_eq!(extract(&said, &context), extract(&said, &context));
    }

    #[test]
    fn normalising_and_folding_twice_change_nothing_more(said in "\\PC{0,60}") {
        let once = text::normalise(&said).into_owned();
        prop_assert_eq!(text::normalise(&once).into_owned(), once);
        let folded = text::fold(&said);
        prop_assert_eq!(text::fold(&folded), folded);
    }

    #[test]
    fn an_excluded_name_is_never_used(said in turns(), name_asked: bool, language in languages()) {
        let excluded = ExcludedWords::new(["Misty Tom Łukasz o'brien"]);
        let heard = extract(&said, &ExtractionContext { name_asked, language, excluded: &excluded });
        if let Some(name) = heard.name {
            prop_assert!(!["misty", "tom", "lukasz", "o'brien"].contains(&text::fold(&name.first).as_str()), "{said:?}");
        }
    }
}
