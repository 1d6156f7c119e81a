//! In which language the call goes on, and in which its words are spoken.

use super::*;
use crate::agent::Finish;
use crate::agent::ToolKind;

/// A line with these settings of the relay.
fn line(relay: &str) -> Arc<Line> {
    let mut config = Config::default();
    config.twilio.relay = toml::from_str(relay).unwrap();
    assert_eq!(config.validate(), []);
    Arc::clone(Lines::new(&config).of(""))
}

fn call_on(relay: &str) -> Desk {
    let line = line(relay);
    let setting = Setting {
        language: line.language.as_str().into(),
        line,
        ..setting(None)
    };
    let mut desk = Desk::with(setting, Recalled::New);
    desk.hears("My name is Erika.");
    desk
}

const SPANISH_TOO: &str = "languages = [{ code = 'es-MX' }]";

fn switch(code: &str) -> ToolCall {
    ToolCall {
        id: "call_1".to_owned(),
        tool: Tool::SwitchLanguage { code: code.into() },
    }
}

fn languages_kept(desk: &Desk) -> Vec<&str> {
    let chosen = desk.writes.iter().filter_map(|write| match write {
        Write::LanguageChosen { language, .. } => Some(language.as_str()),
        _ => None,
    });
    chosen.collect()
}

#[test]
fn words_of_the_new_language_are_marked_where_the_switch_comes_after_them() {
    let mut desk = call_on(SPANISH_TOO);
    desk.hears("¿Podemos hablar en español?");
    let asked = desk.asked;
    for token in ["¡Claro! ", "Hablemos ", "en español."] {
        desk.on(Event::Token(token));
    }
    desk.on(Event::Tool(&switch("es")))
        .on(Event::Replied(&Finish::default()));
    let said = desk.said[desk.said.len() - 2..].concat();
    assert!(said.starts_with("<es-MX>¡Claro!"), "{said}");
    assert_eq!(
        said.replace("<es-MX>", ""),
        "¡Claro! Hablemos en español.[es-MX/es-MX]"
    );
    assert_eq!(desk.asked, asked, "it was said in the new language");
    assert_eq!(languages_kept(&desk), ["es-MX"]);
    // From here on the voice is Spanish.
    desk.hears("¿De qué tipo es Tangela?");
    desk.reply(&["Es de ", "tipo planta."]);
    assert_eq!(desk.said.last().unwrap(), "Es de tipo planta.");
}

#[test]
fn after_a_switch_something_is_said_in_the_new_language() {
    for words in ["", "Sure, one moment. "] {
        let mut desk = call_on(SPANISH_TOO);
        desk.hears("Spanish, could we?");
        let asked = desk.asked;
        if !words.is_empty() {
            desk.on(Event::Token(words));
        }
        desk.on(Event::Tool(&switch("es-MX")))
            .on(Event::Replied(&Finish::default()));
        assert_eq!(desk.asked, asked + 1, "{words:?}");
        assert_eq!(desk.said.last().unwrap(), "[es-MX/es-MX]");
        desk.reply(&["Claro, hablemos en español."]);
        assert_eq!(desk.said.last().unwrap(), "Claro, hablemos en español.");
    }
}

#[test]
fn a_switch_is_offered_only_where_there_is_one_and_lists_what_there_is() {
    let mut one = call_on("voice = 'x'");
    one.hears("What type is Tangela?");
    let brief = one.brief.take().unwrap();
    assert!(!brief.tools.has(ToolKind::SwitchLanguage));
    assert!(!brief.about.contains("another one") && !brief.about.contains("also speaks"));
    let mut two = call_on(SPANISH_TOO);
    two.hears("What type is Tangela?");
    let brief = two.brief.take().unwrap();
    assert!(brief.tools.has(ToolKind::SwitchLanguage));
    assert_eq!(brief.languages, ["en-US", "es-MX"]);
    assert!(brief.about.contains("also speaks es-MX"), "{}", brief.about);
}

#[test]
fn the_call_follows_the_caller_where_any_language_is_understood() {
    let british =
        "language = 'en-GB'\ntranscription_language = 'multi'\nlanguages = [{ code = 'es-MX' }]";
    let hears = |desk: &mut Desk, text, language| {
        desk.on(Event::Prompt {
            text,
            language,
            last: true,
        });
    };
    let mut desk = call_on(british);
    hears(&mut desk, "What type is Tangela?", "en");
    assert_eq!(
        desk.state.language(),
        "en-GB",
        "never overwritten by its first part"
    );
    hears(&mut desk, "Mario.", "it");
    hears(&mut desk, "Sí.", "es");
    assert_eq!(desk.state.language(), "en-GB", "a word is not enough");
    hears(&mut desk, "Pikachu.", "es");
    assert_eq!(desk.state.language(), "es-MX", "twice is");
    assert!(
        desk.said.contains(&"[es-MX/multi]".to_owned()),
        "{:?}",
        desk.said
    );
    hears(&mut desk, "I would rather speak English.", "en");
    assert_eq!(desk.state.language(), "en-GB");
    assert_eq!(languages_kept(&desk), ["es-MX", "en-GB"]);
    // One that understands a single language cannot have heard another.
    let mut fixed = call_on(SPANISH_TOO);
    hears(&mut fixed, "Quiero hablar en español.", "es");
    assert_eq!(fixed.state.language(), "en-US");
}

#[test]
fn any_language_is_never_a_languages_name() {
    let mut desk = call_on("language = 'multi'\nlanguages = [{ code = 'es-MX' }]");
    desk.hears("What type is Tangela?");
    let brief = desk.brief.take().unwrap();
    assert_eq!(brief.language, "en-US");
    assert!(!brief.about.contains("multi"), "{}", brief.about);
    desk.state.language = "es-MX".into();
    let mut actions = Vec::new();
    desk.state
        .offer_language("en", false, desk.now, &mut actions);
    desk.open = false;
    desk.note(actions, "");
    assert!(
        desk.said.contains(&"[multi/multi]".to_owned()),
        "{:?}",
        desk.said
    );
}

#[test]
fn a_language_that_is_asked_for_is_switched_to_or_those_there_are_are_named() {
    let wants = |relay: &str, wanted: &str| {
        let mut desk = call_on(relay);
        let before = desk.said.len();
        let mut actions = Vec::new();
        desk.state
            .offer_language(wanted, false, desk.now, &mut actions);
        desk.note(actions, "");
        (desk.said[before..].to_vec(), desk.asked)
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
    let mut setting = setting(None);
    setting.earlier = Some(3);
    let mut desk = Desk::with(setting, Recalled::New);
    desk.hears("My name is Erika.");
    let Some(Write::CallResumed(claim)) = desk.writes.first() else {
        panic!("{:?}", desk.writes);
    };
    assert!(claim.epoch > 3 && !claim.returned);
    let epochs = desk.writes.iter().filter_map(|write| match write {
        Write::TurnAppended { turn, .. } => Some(turn.epoch),
        _ => None,
    });
    assert!(epochs.clone().count() > 1 && epochs.into_iter().all(|epoch| epoch == claim.epoch));
}

#[test]
fn what_is_said_after_a_hand_over_that_nobody_took_belongs_to_the_conversation() {
    let mut desk = Desk::known_as("Misty");
    desk.hears("A person, please.");
    desk.reply(&["One moment."]);
    desk.on(Event::Closed);
    let nobody = "I'm sorry, nobody is free.";
    desk.on(Event::Resumed {
        session_id: "VX2",
        greeted: Some(nobody),
        counted: false,
        lost: false,
    });
    assert_eq!(desk.state.resumes(), 0, "no failure");
    desk.hears("Then tell me about Onix.");
    let brief = desk.brief.take().unwrap();
    let told: Vec<&str> = brief
        .history
        .iter()
        .map(|message| message.content.as_str())
        .collect();
    assert!(told.contains(&nobody), "{told:?}");
}
