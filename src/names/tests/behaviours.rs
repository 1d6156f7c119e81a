//! One behaviour a test.

use std::time::Duration;

use super::super::score::{self, ScoreOptions};
use super::super::{
    Confirmation, ExcludedWords, Extraction, ExtractionContext, Language, Name, NameDecision,
    NameIntent, YesNo, extract, parse_confirmation, parse_yes_no,
};

fn hear(said: &str, asked: bool) -> Extraction {
    hear_in(said, asked, Language::English)
}

fn hear_in(said: &str, asked: bool, language: Language) -> Extraction {
    let excluded = ExcludedWords::new(["Professor Oak", "PokéDesk"]);
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

fn full(heard: &Extraction) -> &str {
    heard
        .name
        .as_ref()
        .and_then(|name| name.full.as_deref())
        .unwrap_or_default()
}

fn reply(asked_about: &str, said: &str) -> Confirmation {
    let excluded = ExcludedWords::default();
    let name = Name {
        title: None,
        first: asked_about.to_owned(),
        full: None,
    };
    parse_confirmation(
        &name,
        said,
        &ExtractionContext {
            name_asked: false,
            language: Language::English,
            excluded: &excluded,
        },
    )
}

#[test]
fn a_denied_name_may_be_followed_by_fillers_only() {
    for said in ["not Misty 'kay", "not Misty, okay", "not Misty okay"] {
        let heard = hear(said, true);
        assert_eq!(heard.decision, NameDecision::Ignore, "{said}");
    }
}

#[test]
fn an_introduction_with_a_question_leaves_the_question_to_answer() {
    let heard = hear("This is Misty, what type is Pikachu?", false);
    assert_eq!(
        (first(&heard), heard.has_more, heard.decision),
        ("Misty", true, NameDecision::Capture)
    );
    let heard = hear("Hi, my name is Misty, thanks", false);
    assert_eq!(
        (first(&heard), heard.has_more, heard.has_explicit_cue),
        ("Misty", false, true)
    );
}

#[test]
fn a_name_is_written_as_it_should_be() {
    for (said, first_name, full_name) in [
        ("my name is misty", "Misty", ""),
        ("my name is kevin o'brien", "Kevin", "Kevin O'Brien"),
        ("MY NAME IS JOHN MCDONALD", "John", "John McDonald"),
        ("my name is jean-luc picard", "Jean-Luc", "Jean-Luc Picard"),
        (
            "my name is ludwig van beethoven",
            "Ludwig",
            "Ludwig van Beethoven",
        ),
        ("I'm Dr. Susan Miller", "Susan", "Susan Miller"),
        ("my name is shane o connor", "Shane", "Shane O'Connor"),
    ] {
        let heard = hear(said, true);
        assert_eq!(
            (first(&heard), full(&heard)),
            (first_name, full_name),
            "{said}"
        );
    }
}

#[test]
fn a_correction_turns_the_old_name_down() {
    let heard = hear("not Mark, it's Mike", true);
    assert_eq!(
        (first(&heard), heard.intent),
        ("Mike", NameIntent::Correction)
    );
    assert_eq!(
        heard.rejected_name.map(|name| name.first).as_deref(),
        Some("Mark")
    );
    let heard = hear("no, it's Kay", true);
    assert_eq!(
        (first(&heard), heard.intent, heard.is_another_person),
        ("Kay", NameIntent::Correction, false)
    );
}

#[test]
fn a_negated_introduction_turns_a_name_down_and_gives_none() {
    for (said, language, name) in [
        ("I'm not Bob", Language::English, "Bob"),
        ("My name is not Bob", Language::English, "Bob"),
        ("My name isn't Bob", Language::English, "Bob"),
        ("I am not Carl", Language::English, "Carl"),
        ("no soy Pablo", Language::Spanish, "Pablo"),
        ("je ne suis pas Pierre", Language::French, "Pierre"),
        ("ich bin nicht Klaus", Language::German, "Klaus"),
        ("non mi chiamo Marco", Language::Italian, "Marco"),
        ("não sou o Pedro", Language::Portuguese, "Pedro"),
        ("nie jestem Piotr", Language::Polish, "Piotr"),
        ("ik ben Pieter niet", Language::Dutch, "Pieter"),
    ] {
        for asked in [false, true] {
            let heard = hear_in(said, asked, language);
            let rejected = heard.rejected_name.map(|name| name.first);
            assert_eq!(
                (heard.name, heard.intent, rejected.as_deref()),
                (None, NameIntent::Correction, Some(name)),
                "{said}"
            );
        }
    }
    let heard = hear("I'm not Bob, I'm Rob", false);
    assert_eq!(
        (first(&heard), heard.intent, heard.is_another_person),
        ("Rob", NameIntent::Correction, false)
    );
}

#[test]
fn an_announced_spelling_leaves_nothing_to_answer() {
    for (said, name) in [
        ("my name is spelled K A R L", "Karl"),
        ("It is spelled B-R-O-C-K", "Brock"),
        ("My name is S I O B H A N", "Siobhan"),
    ] {
        let heard = hear(said, true);
        assert_eq!(
            (first(&heard), heard.is_spelled, heard.has_more),
            (name, true, false),
            "{said}"
        );
    }
}

#[test]
fn what_is_taken_back_corrects() {
    for (said, asked, name) in [
        ("Actually it's Paul", true, "Paul"),
        ("Actually it's Paul", false, "Paul"),
        ("Sorry, Pauline", true, "Pauline"),
        ("Sorry, Pauline", false, "Pauline"),
        ("I meant Pauline", true, "Pauline"),
    ] {
        let heard = hear(said, asked);
        assert_eq!(
            (first(&heard), heard.intent),
            (name, NameIntent::Correction),
            "{said}"
        );
        assert_ne!(heard.decision, NameDecision::Ignore, "{said}");
    }
}

#[test]
fn a_second_person_is_told_from_a_misheard_name() {
    for said in [
        "no, this is his wife Ana",
        "this is Ana, not Mark",
        "No, this is Ana",
        "I'm his wife, Ana",
    ] {
        let heard = hear(said, false);
        assert_eq!(
            (first(&heard), heard.is_another_person),
            ("Ana", true),
            "{said}"
        );
        assert_eq!(heard.decision, NameDecision::Capture, "{said}");
    }
    let heard = hear("it's Ana, not Anna", true);
    assert_eq!((first(&heard), heard.is_another_person), ("Ana", false));
}

#[test]
fn a_refusal_is_known_when_asked() {
    for said in [
        "skip",
        "I'd rather not say",
        "why do you need it?",
        "none of your business",
        "no",
        "no thanks",
        "I don't want to give my name",
    ] {
        let heard = hear(said, true);
        assert_eq!(
            (heard.intent, heard.decision),
            (NameIntent::Refusal, NameDecision::Ignore),
            "{said}"
        );
    }
    for (said, language) in [
        ("prefiero no decirlo", Language::Spanish),
        ("je préfère ne pas le dire", Language::French),
        ("lieber nicht", Language::German),
        ("prefiro não dizer", Language::Portuguese),
        ("preferisco non dirlo", Language::Italian),
        ("wolę nie mówić", Language::Polish),
        ("言いたくないです", Language::Japanese),
        ("liever niet", Language::Dutch),
    ] {
        assert_eq!(
            hear_in(said, true, language).intent,
            NameIntent::Refusal,
            "{said}"
        );
    }
}

#[test]
fn a_name_can_be_forgotten_on_request() {
    for said in [
        "stop calling me Max",
        "don't call me Max",
        "please don't call me Max",
        "never call me Max",
    ] {
        let heard = hear(said, false);
        assert_eq!(
            (first(&heard), heard.intent, heard.decision),
            ("Max", NameIntent::Forget, NameDecision::Ignore),
            "{said}"
        );
    }
    assert_eq!(hear("forget my name", false).intent, NameIntent::Forget);
    assert_ne!(hear("don't call me back", false).intent, NameIntent::Forget);
}

#[test]
fn somebody_elses_name_is_not_the_callers() {
    for said in [
        "it's for my son Max",
        "my son's name is Max",
        "his name is Max",
    ] {
        let heard = hear(said, true);
        assert_eq!(
            (heard.intent, heard.decision, first(&heard)),
            (NameIntent::OtherPerson, NameDecision::Ignore, "Max"),
            "{said}"
        );
    }
}

#[test]
fn the_agents_own_name_is_never_captured() {
    for said in ["Oak", "my name is Oak", "thanks Oak", "It's Oak"] {
        assert_eq!(hear(said, true).decision, NameDecision::Ignore, "{said}");
    }
}

#[test]
fn letters_override_what_was_heard() {
    for (said, name) in [
        ("it's Kay, K A Y E", "Kaye"),
        ("my name is Jon, J-O-N", "Jon"),
        ("Eric with a k", "Erik"),
        ("Sara with an h", "Sarah"),
        ("J as in Juliet O as in Oscar N as in November", "Jon"),
        ("my name is spelled K A Y E", "Kaye"),
    ] {
        let heard = hear(said, true);
        assert_eq!((first(&heard), heard.is_spelled), (name, true), "{said}");
    }
}

#[test]
fn yes_and_no_are_understood_in_nine_languages() {
    for (language, yes, no) in [
        (Language::English, "yes that's right", "nope"),
        (Language::Spanish, "sí, correcto", "no"),
        (Language::French, "oui c'est ça", "non"),
        (Language::German, "ja genau", "nein"),
        (Language::Portuguese, "isso mesmo", "não"),
        (Language::Italian, "esatto", "no"),
        (Language::Polish, "tak, zgadza się", "nie"),
        (Language::Japanese, "はい、そうです", "いいえ"),
        (Language::Dutch, "ja, dat klopt", "nee"),
    ] {
        assert_eq!(parse_yes_no(yes, language), YesNo::Yes, "{yes}");
        assert_eq!(parse_yes_no(no, language), YesNo::No, "{no}");
    }
    assert_eq!(
        parse_yes_no("no, it's Jay", Language::English),
        YesNo::NoWithText("it's Jay")
    );
    assert_eq!(
        parse_yes_no("what type is Pikachu?", Language::English),
        YesNo::Unclear
    );
    assert_eq!(
        parse_yes_no("いいえ、ケンです", Language::Japanese),
        YesNo::NoWithText("ケンです")
    );
}

#[test]
fn a_read_back_is_kept_corrected_or_denied() {
    let kept = |name: &str| {
        Confirmation::Confirmed(Name {
            title: None,
            first: name.to_owned(),
            full: None,
        })
    };
    assert_eq!(reply("Kay", "yes"), kept("Kay"));
    assert_eq!(reply("Kay", "yes with an e"), kept("Kaye"));
    assert_eq!(reply("Kay", "yes, K A Y E"), kept("Kaye"));
    assert_eq!(reply("Kay", "Kay"), kept("Kay"));
    assert_eq!(reply("Kay", "no"), Confirmation::Denied);
    assert_eq!(reply("Kay", "no that's wrong"), Confirmation::Denied);
    assert_eq!(reply("Kay", "what type is Pikachu?"), Confirmation::Unclear);
    assert_eq!(reply("Kay", "I'd rather not say"), Confirmation::Refused);
    for (said, name) in [
        ("no it's K A Y E", "Kaye"),
        ("no, Jay", "Jay"),
        ("no, my name is Ray", "Ray"),
        ("it's Faye", "Faye"),
        ("no, with an e", "Kaye"),
    ] {
        let Confirmation::Corrected(heard) = reply("Kay", said) else {
            panic!("{said}: {:?}", reply("Kay", said))
        };
        assert_eq!(
            (first(&heard), heard.intent),
            (name, NameIntent::Correction),
            "{said}"
        );
        assert_ne!(heard.decision, NameDecision::Ignore, "{said}");
    }
}

#[test]
fn names_stay_out_of_debug_output() {
    let heard = hear("my name is Misty", false);
    assert!(!format!("{heard:?}").contains("Misty"));
}

#[test]
fn tags_are_read_by_their_primary_subtag() {
    assert_eq!(Language::from_tag("pt-BR"), Language::Portuguese);
    assert_eq!(Language::from_tag("EN_us"), Language::English);
    assert_eq!(Language::from_tag("is-IS"), Language::Other);
    assert_eq!(Language::from_tag(""), Language::Other);
}

#[test]
fn the_scorer_counts_and_reports_bad_lines() {
    let mut input = concat!(
        "{\"id\":1,\"lang\":\"en\",\"asked\":false,\"text\":\"my name is Misty\",\"name\":\"misty\",\"source\":\"own\",\"kind\":\"intro\",\"later\":1}\n",
        "not json\n",
        "{\"id\":\"b\",\"lang\":\"en\",\"asked\":true,\"text\":\"skip\",\"name\":null,\"source\":\"own\",\"kind\":\"neg\"}\n",
    )
    .as_bytes()
    .to_vec();
    input.extend(b"\xff is no text\n\n");
    let printed = score::run(&input, &ScoreOptions::default(), || Duration::ZERO);
    let lines: Vec<usize> = printed.bad_lines.iter().map(|bad| bad.line).collect();
    assert_eq!((lines.as_slice(), printed.turns_read), (&[2, 4][..], 2));
    let report = printed.text;
    assert!(report.contains("\"line\":2"), "{report}");
    assert!(
        report
            .lines()
            .any(|line| line.starts_with("volunteered") && line.contains("100.00")),
        "{report}"
    );
    let options = ScoreOptions {
        predictions: true,
        ..ScoreOptions::default()
    };
    let report = score::run(&input, &options, || Duration::ZERO).text;
    let predictions: Vec<serde_json::Value> = report
        .lines()
        .skip(2)
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect();
    assert_eq!(predictions.len(), 2);
    assert_eq!(
        (&predictions[0]["name"], &predictions[0]["decision"]),
        (&"Misty".into(), &"capture".into())
    );
    assert_eq!(
        (&predictions[1]["name"], &predictions[1]["decision"]),
        (&serde_json::Value::Null, &"ignore".into())
    );
}

fn heard_first(text: &str, language: Language) -> Extraction {
    let context = ExtractionContext {
        name_asked: true,
        language,
        excluded: &ExcludedWords::default(),
    };
    extract(text, &context)
}

#[test]
fn a_question_behind_a_name_is_left_to_answer() {
    for text in [
        "Joel, who is this?",
        "It's Joel, who are you?",
        "Joel, are you there?",
    ] {
        let heard = heard_first(text, Language::English);
        assert!(
            heard.has_more && heard.decision == NameDecision::Capture,
            "{text:?}: {heard:?}"
        );
    }
    let courtesy = heard_first("Joel, how are you?", Language::English);
    assert!(!courtesy.has_more, "{courtesy:?}");
    let refusal = heard_first("匿名でも予約できますか。", Language::Japanese);
    assert!(
        refusal.intent != NameIntent::Refusal || refusal.has_more,
        "{refusal:?}"
    );
}

#[test]
fn a_name_that_is_spoken_to_or_asked_about_is_not_captured() {
    for (text, language) in [
        ("Sorry, Kevin, I can't hear you.", Language::English),
        (
            "Entschuldigung, Sabine, ich höre Sie nicht.",
            Language::German,
        ),
        ("This is Dallas Plumbing, right?", Language::English),
        ("Phoenix Auto, right?", Language::English),
    ] {
        let heard = heard_first(text, language);
        assert!(
            heard.decision != NameDecision::Capture,
            "{text:?}: {heard:?}"
        );
    }
}

#[test]
fn a_name_taken_off_a_list_is_not_forgotten() {
    for text in [
        "Can you take my name off the mailing list?",
        "Please remove my name from the lease.",
    ] {
        let heard = heard_first(text, Language::English);
        assert_eq!(heard.intent, NameIntent::None, "{text:?}");
    }
    let forget = heard_first("Please remove my name from your system.", Language::English);
    assert_eq!(forget.intent, NameIntent::Forget);
}
