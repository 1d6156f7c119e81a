//! The language files: each has what `languages/README.md` asks of it.

use super::super::grammar::Grammar;
use super::super::language::Language;
use super::super::language_data::{self, LanguageFile};
use super::super::text;
use super::super::word_class::WordClass;

/// Signs that every language must have a word for.
const SIGNS: &str = "&%+=€$£°@#*";
/// Classes of words that every language that writes spaces must have.
const CLASSES: [&str; 17] = [
    "filler",
    "greeting",
    "parting",
    "tail",
    "starter",
    "never",
    "title",
    "address",
    "first_kind",
    "last_kind",
    "relation",
    "name_kind",
    "name_noun",
    "question",
    "no",
    "retract",
    "detail",
];

fn files() -> impl Iterator<Item = (&'static str, &'static LanguageFile)> {
    Language::ALL
        .into_iter()
        .map(|language| (language.tag(), language_data::data_of(language)))
}

#[test]
fn every_language_file_has_what_all_need() {
    for (tag, file) in files() {
        for (key, text) in [
            ("own_name", &file.own_name),
            ("language_request", &file.language_request),
            ("farewells", &file.farewells),
            ("denials", &file.denials),
            ("complaints", &file.complaints),
            ("answers.yes", &file.answers.yes),
            ("answers.no", &file.answers.no),
        ] {
            assert!(!text.trim().is_empty(), "{tag} has no {key}");
        }
        let keys = ["# key", "* key", "~", "≈", "^", "♯", "<", ">", "≤", "≥"].map(String::from);
        for sign in SIGNS.chars().map(String::from).chain(keys) {
            let spoken = file.symbols.get(&sign);
            assert!(spoken.is_some_and(|word| !word.is_empty()), "{tag}: {sign}");
        }
        for language in Language::ALL {
            let named = file.languages.get(language.tag());
            let named = named.is_some_and(|words| !words.trim().is_empty());
            assert!(named, "{tag} has no word for {}", language.tag());
        }
    }
}

#[test]
fn every_language_has_the_words_and_phrases_of_its_kind() {
    for (tag, file) in files() {
        let filled = |texts: &[&String]| texts.iter().all(|text| !text.trim().is_empty());
        if let Some(clauses) = &file.clauses {
            assert!(file.words.is_empty(), "{tag}: classes that nothing reads");
            assert!(
                filled(&[&clauses.own_name, &clauses.copula, &clauses.refusals]),
                "{tag}"
            );
            assert!(
                filled(&[&clauses.forgets, &clauses.common, &file.first_names]),
                "{tag}"
            );
            continue;
        }
        for class in CLASSES {
            let words = file.words.get(class).map_or("", |words| words.trim());
            assert!(!words.is_empty(), "{tag} has no {class}");
        }
        let phrases = &file.phrases;
        assert!(
            filled(&[&phrases.strong, &phrases.medium, &phrases.asked]),
            "{tag}"
        );
        assert!(
            filled(&[&phrases.other, &phrases.reject, &phrases.forget]),
            "{tag}"
        );
        assert!(filled(&[&phrases.refuse, &phrases.refuse_alone]), "{tag}");
    }
}

#[test]
fn a_class_that_nothing_reads_is_none() {
    for (tag, file) in files() {
        for class in file.words.keys() {
            assert!(WordClass::from_name(class).is_some(), "{tag}: {class}");
        }
    }
}

#[test]
fn a_first_name_is_no_other_word_of_its_language() {
    let other = WordClass::NEVER
        .union(WordClass::STARTER)
        .union(WordClass::FILLER)
        .union(WordClass::RELATION)
        .union(WordClass::TITLE);
    for language in Language::ALL
        .into_iter()
        .filter(|one| !one.is_clause_based() && *one != Language::Vietnamese)
    {
        let grammar = Grammar::of(language);
        for name in language
            .data()
            .map_or("", |file| &file.first_names)
            .split_whitespace()
        {
            let roles = grammar.classes(&text::fold(name));
            assert!(!roles.intersects(other), "{}: {name}", language.tag());
        }
    }
}
