//! What the script answers.

use super::*;
use crate::agent::{BuiltInTools, CallerFacts, Message, Persona};
use std::sync::Arc;

fn prompt_context(name: Option<&str>, language: &str, history: Vec<Arc<Message>>) -> PromptContext {
    let caller = CallerFacts {
        name: name.map(Into::into),
        language: language.into(),
        ..CallerFacts::default()
    };
    PromptContext::new(&Arc::new(Persona::default()), Arc::new(caller), history)
}

fn asked(words: &str) -> ScriptedAnswer {
    scripted_answer(&prompt_context(
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
    let first = asked("What type is Onix?").text;
    assert!(
        first.contains("offline agent") && first.contains("rock and ground"),
        "{first}"
    );
    let history = vec![
        Message::agent(first),
        Message::caller("And Pikachu's type?"),
    ];
    let second = scripted_answer(&prompt_context(None, "en-US", history)).text;
    assert!(
        !second.contains("offline agent, a small script") && second.contains("an electric type"),
        "{second}"
    );
}

#[test]
fn what_it_does_not_know_it_says_and_how_to_help_it() {
    let answer = asked("How tall is the Eiffel tower?").text;
    assert!(answer.contains("set OPENAI_API_KEY"), "{answer}");
}

#[test]
fn a_known_name_is_used_in_greetings() {
    for words in ["Hi there", "This is Misty."] {
        let answer = asked(words).text;
        assert!(answer.contains("Hello, Misty!"), "{answer}");
    }
    let opening = scripted_answer(&prompt_context(Some("Misty"), "en-US", vec![])).text;
    assert!(opening.contains("Hello, Misty!"), "{opening}");
}

#[test]
fn a_name_just_told_is_met() {
    let history = vec![
        Message::agent("May I have your name?"),
        Message::caller("My name is Misty."),
    ];
    let answer = scripted_answer(&prompt_context(Some("Misty"), "en-US", history)).text;
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
        let ScriptedAnswer { text: said, tool } = asked(words);
        let farewell = "Goodbye, Misty! Thank you for calling.".to_owned();
        assert_eq!(
            tool,
            Some(ToolInvocation::EndCall {
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
    let ScriptedAnswer { text: words, tool } = asked("Can I talk to a real person, please?");
    assert!(matches!(tool, Some(ToolInvocation::Handoff { .. })) && words.contains("a person"));
}

#[test]
fn a_tool_that_is_not_offered_is_not_called() {
    let prompt_context = PromptContext {
        built_in_tools: BuiltInTools::NONE,
        ..prompt_context(None, "en-US", vec![Message::caller("Goodbye")])
    };
    assert_eq!(scripted_answer(&prompt_context).tool, None);
    assert!(!scripted_answer(&prompt_context).text.is_empty());
}

#[test]
fn other_languages_get_an_honest_sentence() {
    for (language, goodbye) in [
        ("es-MX", "adiós"),
        ("fr-FR", "au revoir"),
        ("de-DE", "tschüss"),
    ] {
        let answer = scripted_answer(&prompt_context(
            None,
            language,
            vec![Message::caller("???")],
        ))
        .text;
        assert!(answer.contains("OPENAI_API_KEY"), "{answer}");
        let parting = scripted_answer(&prompt_context(
            None,
            language,
            vec![Message::caller(goodbye)],
        ))
        .tool;
        assert!(
            matches!(parting, Some(ToolInvocation::EndCall { .. })),
            "{language}"
        );
    }
}

#[test]
fn after_a_tool_nothing_more_is_said() {
    let history = vec![
        Message::caller("Goodbye"),
        Message::tool_result("offline_1", "noted"),
    ];
    let prompt_context = PromptContext {
        tool_step: 1,
        ..prompt_context(None, "en-US", history)
    };
    assert_eq!(
        (
            scripted_answer(&prompt_context).text.as_str(),
            scripted_answer(&prompt_context).tool
        ),
        ("", None)
    );
}

#[test]
fn another_language_of_the_line_is_switched_to_and_back_from() {
    let wants = |language: &str, words: &str| {
        let mut prompt_context = prompt_context(None, language, vec![Message::caller(words)]);
        prompt_context.built_in_tools = BuiltInTools::ALL;
        prompt_context.line_languages = ["en-US", "es-MX", "de-DE"].map(Into::into).to_vec();
        match scripted_answer(&prompt_context).tool {
            Some(ToolInvocation::SwitchLanguage { code }) => Some(code),
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
