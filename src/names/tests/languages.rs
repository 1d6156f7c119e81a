//! The same behaviours in the other eight languages.

use super::super::{
    Confirmation, ExcludedWords, Extraction, ExtractionContext, Language, Name, NameDecision,
    NameIntent, extract, parse_confirmation,
};
use Language::{Dutch, French, German, Italian, Japanese, Polish, Portuguese, Spanish};

fn hear(said: &str, asked: bool, language: Language) -> Extraction {
    let excluded = ExcludedWords::default();
    extract(
        said,
        &ExtractionContext {
            name_asked: asked,
            language,
            excluded: &excluded,
        },
    )
}

fn first(heard: &Extraction) -> &str {
    heard.name.as_ref().map_or("", |name| name.first.as_str())
}

#[test]
fn a_denied_read_back_takes_the_right_name() {
    for (said, language, name) in [
        ("no, es Pablo", Spanish, "Pablo"),
        ("no, me llamo Pablo", Spanish, "Pablo"),
        ("non, c'est Léa", French, "Léa"),
        ("nein, ich heiße Kai", German, "Kai"),
        ("nein, Martin", German, "Martin"),
        ("não, é o Ricardo", Portuguese, "Ricardo"),
        ("no, sono Luca", Italian, "Luca"),
        ("nie, Katarzyna", Polish, "Katarzyna"),
        ("nee, het is Willem", Dutch, "Willem"),
        ("いいえ、ケンです", Japanese, "ケン"),
    ] {
        let excluded = ExcludedWords::default();
        let asked_about = Name {
            title: None,
            first: "Kay".to_owned(),
            full: None,
        };
        let reply = parse_confirmation(
            &asked_about,
            said,
            &ExtractionContext {
                name_asked: false,
                language,
                excluded: &excluded,
            },
        );
        let Confirmation::Corrected(heard) = reply else {
            panic!("{said}: {reply:?}")
        };
        assert_eq!(
            (first(&heard), heard.decision),
            (name, NameDecision::Capture),
            "{said}"
        );
    }
}

#[test]
fn a_second_person_says_so() {
    for (said, language) in [
        ("no, soy su esposa, Ana", Spanish),
        ("non, c'est sa femme Ana", French),
        ("nein, hier ist seine Frau Ana", German),
        ("não, sou a esposa dele, Ana", Portuguese),
        ("no, sono sua moglie Ana", Italian),
        ("nie, to jego żona Ana", Polish),
        ("nee, dit is zijn vrouw Ana", Dutch),
    ] {
        let heard = hear(said, false, language);
        assert_eq!(
            (first(&heard), heard.is_another_person, heard.decision),
            ("Ana", true, NameDecision::Capture),
            "{said}"
        );
    }
}

#[test]
fn a_name_is_forgotten_on_request() {
    for (said, language, name) in [
        ("no me llames Max", Spanish, "Max"),
        ("ne m'appelez pas Max", French, "Max"),
        ("nenn mich nicht Max", German, "Max"),
        ("não me chame de Max", Portuguese, "Max"),
        ("non chiamarmi Max", Italian, "Max"),
        ("nie mów do mnie Max", Polish, "Max"),
        ("noem me niet Max", Dutch, "Max"),
        ("マックスと呼ばないでください", Japanese, "マックス"),
    ] {
        let heard = hear(said, false, language);
        assert_eq!(
            (first(&heard), heard.intent, heard.decision),
            (name, NameIntent::Forget, NameDecision::Ignore),
            "{said}"
        );
    }
}

#[test]
fn not_this_but_that_is_a_correction() {
    for (said, language, name) in [
        ("no soy Marcos, soy Andrés", Spanish, "Andrés"),
        ("je ne suis pas Marc, je suis Anne", French, "Anne"),
        ("ich bin nicht Mark, ich bin Anna", German, "Anna"),
        ("não sou o Marcos, sou o André", Portuguese, "André"),
        ("non sono Marco, sono Andrea", Italian, "Andrea"),
        ("nie jestem Marek, jestem Anna", Polish, "Anna"),
        ("ik ben niet Mark, ik ben Anna", Dutch, "Anna"),
        ("トムじゃなくてケンです", Japanese, "ケン"),
    ] {
        let heard = hear(said, true, language);
        assert_eq!(
            (first(&heard), heard.intent),
            (name, NameIntent::Correction),
            "{said}"
        );
        assert!(heard.rejected_name.is_some(), "{said}");
    }
}

#[test]
fn a_question_behind_the_introduction_is_the_rest() {
    for (said, language, name) in [
        ("me llamo Lucía, ¿qué tipo es Pikachu?", Spanish, "Lucía"),
        (
            "je m'appelle Élodie, quel est le type de Pikachu ?",
            French,
            "Élodie",
        ),
        (
            "ich heiße Jürgen, welcher Typ ist Pikachu?",
            German,
            "Jürgen",
        ),
        (
            "me chamo Beatriz, qual é o tipo do Pikachu?",
            Portuguese,
            "Beatriz",
        ),
        ("mi chiamo Giulia, che tipo è Pikachu?", Italian, "Giulia"),
        (
            "nazywam się Agnieszka, jakiego typu jest Pikachu?",
            Polish,
            "Agnieszka",
        ),
        ("ik heet Sanne, welk type is Pikachu?", Dutch, "Sanne"),
        (
            "私の名前はケンジです。ピカチュウのタイプは何ですか？",
            Japanese,
            "ケンジ",
        ),
    ] {
        let heard = hear(said, true, language);
        assert_eq!(
            (first(&heard), heard.has_more, heard.has_explicit_cue),
            (name, true, true),
            "{said}"
        );
    }
}
