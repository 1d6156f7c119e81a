//! In which language the call goes on, and in which its words are spoken.

use super::*;
use crate::agent::BuiltInTool;
use crate::agent::Finish;

/// A line with these settings of the relay.
fn line(relay: &str) -> Arc<PhoneLine> {
    let mut config = Config::default();
    config.twilio.relay = toml::from_str(relay).unwrap();
    assert_eq!(config.validate(), []);
    Arc::clone(PhoneLines::new(&config).for_number(""))
}

fn call_on(relay: &str) -> CallHarness {
    let line = line(relay);
    let context = CallContext {
        language: line.language.as_str().into(),
        line,
        ..context(None)
    };
    let mut harness = CallHarness::with(context, CallerLookup::New);
    harness.hears("My name is Erika.");
    harness
}

const SPANISH_TOO: &str = "languages = [{ code = 'es-MX' }]";

fn switch(code: &str) -> ToolCall {
    ToolCall {
        id: "call_1".to_owned(),
        invocation: ToolInvocation::SwitchLanguage { code: code.into() },
    }
}

fn languages_kept(harness: &CallHarness) -> Vec<&str> {
    let chosen = harness.writes.iter().filter_map(|write| match write {
        Write::LanguageChosen { language, .. } => Some(language.as_str()),
        _ => None,
    });
    chosen.collect()
}

#[test]
fn words_of_the_new_language_are_marked_where_the_switch_comes_after_them() {
    let mut harness = call_on(SPANISH_TOO);
    harness.hears("¿Podemos hablar en español?");
    let asked = harness.replies_requested;
    for token in ["¡Claro! ", "Hablemos ", "en español."] {
        harness.feed(CallEvent::ReplyToken(token));
    }
    harness
        .feed(CallEvent::ToolCalled(&switch("es")))
        .feed(CallEvent::ReplyCompleted(&Finish::default()));
    let said = harness.said[harness.said.len() - 2..].concat();
    assert!(said.starts_with("<es-MX>¡Claro!"), "{said}");
    assert_eq!(
        said.replace("<es-MX>", ""),
        "¡Claro! Hablemos en español.[es-MX/es-MX]"
    );
    assert_eq!(
        harness.replies_requested, asked,
        "it was said in the new language"
    );
    assert_eq!(languages_kept(&harness), ["es-MX"]);
    // From here on the voice is Spanish.
    harness.hears("¿De qué tipo es Tangela?");
    harness.reply(&["Es de ", "tipo planta."]);
    assert_eq!(harness.said.last().unwrap(), "Es de tipo planta.");
}

#[test]
fn after_a_switch_something_is_said_in_the_new_language() {
    for words in ["", "Sure, one moment. "] {
        let mut harness = call_on(SPANISH_TOO);
        harness.hears("Spanish, could we?");
        let asked = harness.replies_requested;
        if !words.is_empty() {
            harness.feed(CallEvent::ReplyToken(words));
        }
        harness
            .feed(CallEvent::ToolCalled(&switch("es-MX")))
            .feed(CallEvent::ReplyCompleted(&Finish::default()));
        assert_eq!(harness.replies_requested, asked + 1, "{words:?}");
        assert_eq!(harness.said.last().unwrap(), "[es-MX/es-MX]");
        harness.reply(&["Claro, hablemos en español."]);
        assert_eq!(harness.said.last().unwrap(), "Claro, hablemos en español.");
    }
}

#[test]
fn a_switch_is_offered_only_where_there_is_one_and_lists_what_there_is() {
    let mut one = call_on("voice = 'x'");
    one.hears("What type is Tangela?");
    let prompt = one.last_prompt.take().unwrap();
    assert!(!prompt.built_in_tools.contains(BuiltInTool::SwitchLanguage));
    assert!(
        !prompt.dynamic_prompt.contains("another one")
            && !prompt.dynamic_prompt.contains("also speaks")
    );
    let mut two = call_on(SPANISH_TOO);
    two.hears("What type is Tangela?");
    let prompt = two.last_prompt.take().unwrap();
    assert!(prompt.built_in_tools.contains(BuiltInTool::SwitchLanguage));
    assert_eq!(prompt.line_languages, ["en-US", "es-MX"]);
    assert!(
        prompt.dynamic_prompt.contains("also speaks es-MX"),
        "{}",
        prompt.dynamic_prompt
    );
}

#[test]
fn the_call_follows_the_caller_where_any_language_is_understood() {
    let british =
        "language = 'en-GB'\ntranscription_language = 'multi'\nlanguages = [{ code = 'es-MX' }]";
    let hears = |harness: &mut CallHarness, text, language| {
        harness.feed(CallEvent::Prompt {
            text,
            language,
            last: true,
        });
    };
    let mut harness = call_on(british);
    hears(&mut harness, "What type is Tangela?", "en");
    assert_eq!(
        harness.state.language(),
        "en-GB",
        "never overwritten by its first part"
    );
    hears(&mut harness, "Mario.", "it");
    hears(&mut harness, "Sí.", "es");
    assert_eq!(harness.state.language(), "en-GB", "a word is not enough");
    hears(&mut harness, "Pikachu.", "es");
    assert_eq!(harness.state.language(), "es-MX", "twice is");
    assert!(
        harness.said.contains(&"[es-MX/multi]".to_owned()),
        "{:?}",
        harness.said
    );
    hears(&mut harness, "I would rather speak English.", "en");
    assert_eq!(harness.state.language(), "en-GB");
    assert_eq!(languages_kept(&harness), ["es-MX", "en-GB"]);
    // One that understands a single language cannot have heard another.
    let mut fixed = call_on(SPANISH_TOO);
    hears(&mut fixed, "Quiero hablar en español.", "es");
    assert_eq!(fixed.state.language(), "en-US");
}

#[test]
fn any_language_is_never_a_languages_name() {
    let mut harness = call_on("language = 'multi'\nlanguages = [{ code = 'es-MX' }]");
    harness.hears("What type is Tangela?");
    let prompt = harness.last_prompt.take().unwrap();
    assert_eq!(prompt.language, "en-US");
    assert!(
        !prompt.dynamic_prompt.contains("multi"),
        "{}",
        prompt.dynamic_prompt
    );
    harness.state.language = "es-MX".into();
    let mut actions = Vec::new();
    harness
        .state
        .offer_language("en", false, harness.now, &mut actions);
    harness.cycle_open = false;
    harness.record_actions(actions, "");
    assert!(
        harness.said.contains(&"[multi/multi]".to_owned()),
        "{:?}",
        harness.said
    );
}

#[test]
fn a_language_that_is_asked_for_is_switched_to_or_those_there_are_are_named() {
    let wants = |relay: &str, wanted: &str| {
        let mut harness = call_on(relay);
        let before = harness.said.len();
        let mut actions = Vec::new();
        harness
            .state
            .offer_language(wanted, false, harness.now, &mut actions);
        harness.record_actions(actions, "");
        (harness.said[before..].to_vec(), harness.replies_requested)
    };
    let (said, asked) = wants(SPANISH_TOO, "es");
    assert_eq!(
        said,
        [
            "[es-MX/es-MX]",
            "Claro, sigamos en español. ¿Qué quieres saber?"
        ]
    );
    assert_eq!(asked, 0);
    let (said, _) = wants(SPANISH_TOO, "en");
    assert_eq!(
        said,
        ["Of course, let's go on in English. What would you like to know?"]
    );
    let (said, _) = wants(SPANISH_TOO, "fr");
    assert_eq!(
        said,
        ["I can speak English, español. Which one would you like?"]
    );
    let (said, _) = wants("", "fr");
    assert_eq!(
        said,
        ["I'm sorry, I only speak English on this line. What would you like to know?"]
    );
    // We have no sentence in Swedish: the model has.
    let (said, asked) = wants("languages = [{ code = 'sv-SE' }]", "sv");
    assert_eq!(said, ["[sv-SE/sv-SE]"]);
    assert_eq!(asked, 1);
}

#[test]
fn a_call_whose_number_rings_again_goes_on_under_a_later_epoch() {
    let mut context = context(None);
    context.earlier_epoch = Some(3);
    let mut harness = CallHarness::with(context, CallerLookup::New);
    harness.hears("My name is Erika.");
    let Some(Write::CallResumed(claim)) = harness.writes.first() else {
        panic!("{:?}", harness.writes);
    };
    assert!(claim.epoch > 3 && !claim.returned);
    let epochs = harness.writes.iter().filter_map(|write| match write {
        Write::TurnAppended { turn, .. } => Some(turn.epoch),
        _ => None,
    });
    assert!(epochs.clone().count() > 1 && epochs.into_iter().all(|epoch| epoch == claim.epoch));
}

#[test]
fn what_is_said_after_an_unanswered_handoff_belongs_to_the_conversation() {
    let mut harness = CallHarness::known_as("Misty");
    harness.hears("A person, please.");
    harness.reply(&["One moment."]);
    harness.feed(CallEvent::SocketClosed);
    let nobody = "I'm sorry, nobody is free.";
    harness.feed(CallEvent::Resumed {
        session_id: "VX2",
        twiml_greeting: Some(nobody),
        already_counted: false,
        connection_lost: false,
    });
    assert_eq!(harness.state.resumes(), 0, "no failure");
    harness.hears("Then tell me about Onix.");
    let prompt = harness.last_prompt.take().unwrap();
    let told: Vec<&str> = prompt
        .history
        .iter()
        .map(|message| message.content.as_str())
        .collect();
    assert!(told.contains(&nobody), "{told:?}");
}
