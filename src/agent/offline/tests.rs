//! What the script answers.

use super::*;
use crate::agent::{CallerFacts, Message, Persona, ToolSet};
use std::sync::Arc;

fn brief(name: Option<&str>, language: &str, history: Vec<Arc<Message>>) -> Brief {
    let caller = CallerFacts {
        name: name.map(Into::into),
        language: language.into(),
        ..CallerFacts::default()
    };
    Brief::new(&Arc::new(Persona::default()), Arc::new(caller), history)
}

fn asked(words: &str) -> Line {
    line(&brief(
        Some("Misty"),
        "en-US",
        vec![
            Message::agent("Welcome back, Misty!"),
            Message::caller(words),
        ],
    ))
}

#[test]
fn it_says_once_what_it_is() {
    let first = asked("What type is Onix?").words;
    assert!(
        first.contains("offline agent") && first.contains("rock and ground"),
        "{first}"
    );
    let history = vec![
        Message::agent(first),
        Message::caller("And Pikachu's type?"),
    ];
    let second = line(&brief(None, "en-US", history)).words;
    assert!(
        !second.contains("offline agent, a small script") && second.contains("an electric type"),
        "{second}"
    );
}

#[test]
fn what_it_does_not_know_it_says_and_how_to_help_it() {
    let answer = asked("How tall is the Eiffel tower?").words;
    assert!(answer.contains("set OPENAI_API_KEY"), "{answer}");
}

#[test]
fn a_known_name_is_used_in_greetings() {
    for words in ["Hi there", "This is Misty."] {
        let answer = asked(words).words;
        assert!(answer.contains("Hello, Misty!"), "{answer}");
    }
    let opening = line(&brief(Some("Misty"), "en-US", vec![])).words;
    assert!(opening.contains("Hello, Misty!"), "{opening}");
}

#[test]
fn a_name_just_told_is_met() {
    let history = vec![
        Message::agent("May I have your name?"),
        Message::caller("My name is Misty."),
    ];
    let answer = line(&brief(Some("Misty"), "en-US", history)).words;
    assert!(
        answer.ends_with("Nice to meet you, Misty! What Pokémon would you like to know about?"),
        "{answer}"
    );
}

#[test]
fn a_goodbye_ends_the_call() {
    for words in [
        "Goodbye!",
        "okay that's all, bye",
        "No, thank you. Have a nice day.",
    ] {
        let Line { words: said, tool } = asked(words);
        let farewell = "Goodbye, Misty! Thank you for calling.".to_owned();
        assert_eq!(
            tool,
            Some(Tool::EndCall {
                farewell: Some(farewell)
            }),
            "{words}"
        );
        assert_eq!(said, "");
    }
    assert_eq!(
        asked("what is the type of a pokemon that says bye to everyone all the time").tool,
        None
    );
}

#[test]
fn the_wish_for_a_person_is_a_hand_over() {
    let Line { words, tool } = asked("Can I talk to a real person, please?");
    assert!(matches!(tool, Some(Tool::HandOver { .. })) && words.contains("a person"));
}

#[test]
fn a_tool_that_is_not_offered_is_not_called() {
    let brief = Brief {
        tools: ToolSet::NONE,
        ..brief(None, "en-US", vec![Message::caller("Goodbye")])
    };
    assert_eq!(line(&brief).tool, None);
    assert!(!line(&brief).words.is_empty());
}

#[test]
fn other_languages_get_an_honest_sentence() {
    for (language, goodbye) in [
        ("es-MX", "adiós"),
        ("fr-FR", "au revoir"),
        ("de-DE", "tschüss"),
    ] {
        let answer = line(&brief(None, language, vec![Message::caller("???")])).words;
        assert!(answer.contains("OPENAI_API_KEY"), "{answer}");
        let parting = line(&brief(None, language, vec![Message::caller(goodbye)])).tool;
        assert!(matches!(parting, Some(Tool::EndCall { .. })), "{language}");
    }
}

#[test]
fn after_a_tool_nothing_more_is_said() {
    let history = vec![
        Message::caller("Goodbye"),
        Message::tool("offline_1", "noted"),
    ];
    let brief = Brief {
        round: 1,
        ..brief(None, "en-US", history)
    };
    assert_eq!((line(&brief).words.as_str(), line(&brief).tool), ("", None));
}

#[test]
fn another_language_of_the_line_is_switched_to_and_back_from() {
    let wants = |language: &str, words: &str| {
        let mut brief = brief(None, language, vec![Message::caller(words)]);
        brief.tools = ToolSet::ALL;
        brief.languages = ["en-US", "es-MX", "de-DE"].map(Into::into).to_vec();
        match line(&brief).tool {
            Some(Tool::SwitchLanguage { code }) => Some(code),
            _ => None,
        }
    };
    for (language, words, code) in [
        ("es-MX", "English, please", "en-US"),
        ("es-MX", "En inglés, por favor.", "en-US"),
        ("de-DE", "Englisch bitte", "en-US"),
        ("de-DE", "English please", "en-US"),
        ("en-US", "Spanish please", "es-MX"),
        ("en-US", "Can we speak German?", "de-DE"),
    ] {
        assert_eq!(wants(language, words).as_deref(), Some(code), "{words}");
    }
    for (language, words) in [
        ("es-MX", "Español, por favor"),
        ("es-MX", "Français"),
        ("en-US", "My German shepherd is called Onix"),
    ] {
        assert_eq!(wants(language, words), None, "{words}");
    }
}
