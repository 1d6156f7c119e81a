//! Documents parsed back by a real XML parser, and settings judged.

use super::*;
use proptest::prelude::*;
use quick_xml::XmlVersion;
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use std::collections::BTreeMap;

const RELAY_URL: &str = "wss://calls.example.test/twilio/relay";

/// One element: its name, attributes, and the text directly in it.
#[derive(Debug, Default, PartialEq)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
}

/// Every element of `document` in the order in which they begin.
fn parse(document: &str) -> Vec<Element> {
    let mut reader = Reader::from_str(document);
    let (mut elements, mut open) = (Vec::<Element>::new(), Vec::<usize>::new());
    loop {
        let event = reader
            .read_event()
            .unwrap_or_else(|why| panic!("{why} in {document}"));
        let raw = match &event {
            Event::Start(tag) | Event::Empty(tag) => {
                elements.push(element(tag));
                if matches!(event, Event::Start(_)) {
                    open.push(elements.len() - 1);
                }
                continue;
            }
            Event::End(_) => {
                let at = open.pop().unwrap();
                elements[at].text = quick_xml::escape::unescape(&elements[at].text)
                    .unwrap()
                    .into_owned();
                continue;
            }
            Event::Text(text) => text.to_string(),
            Event::GeneralRef(reference) => format!("&{};", &**reference),
            Event::Decl(_) => continue,
            Event::Eof => break,
            other => panic!("{other:?}"),
        };
        elements[*open.last().expect("text outside of an element")]
            .text
            .push_str(&raw);
    }
    assert!(open.is_empty());
    elements
}

fn element(tag: &quick_xml::events::BytesStart<'_>) -> Element {
    let mut attributes = BTreeMap::new();
    for attribute in tag.attributes() {
        // An attribute that comes twice is an error of the parser's.
        let attribute = attribute.unwrap();
        let value = attribute
            .normalized_value(XmlVersion::Explicit1_0)
            .unwrap()
            .into_owned();
        attributes.insert(attribute.key.as_ref().to_owned(), value);
    }
    Element {
        name: tag.name().as_ref().to_owned(),
        attributes,
        text: String::new(),
    }
}

fn relay_element(relay: &RelayConfig) -> Element {
    let document = TwimlResponse::new()
        .then(Connect::new(relay, RELAY_URL))
        .render()
        .unwrap();
    parse(&document)
        .into_iter()
        .find(|element| element.name == "ConversationRelay")
        .unwrap()
}

fn settings(toml: &str) -> RelayConfig {
    toml::from_str(toml).unwrap_or_else(|why| panic!("{why}"))
}

fn faults(toml: &str) -> Vec<String> {
    settings(toml)
        .validate("")
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_defaults_carry_what_a_correct_transcript_needs() {
    assert_eq!(RelayConfig::default().validate(""), []);
    let relay = relay_element(&RelayConfig::default());
    let expected = [
        ("url", RELAY_URL),
        ("interruptible", "any"),
        ("reportInputDuringAgentSpeech", "any"),
        ("dtmfDetection", "true"),
        ("events", "speaker-events tokens-played"),
    ];
    assert_eq!(
        relay.attributes,
        expected
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    );
}

#[test]
fn the_whole_document_is_as_twilio_reads_it() {
    let relay = RelayConfig {
        languages: vec![RelayLanguage {
            voice: Some("v".into()),
            ..RelayLanguage::new("es-MX")
        }],
        tts_provider: Some("elevenlabs".into()),
        eot_threshold: Some(0.8.into()),
        extra: [("newAttribute".to_owned(), true.into())].into(),
        ..RelayConfig::unset()
    };
    let connect = Connect::new(&relay, RELAY_URL)
        .action("https://calls.example.test/twilio/action?callRef=a&x=1")
        .greeting("Welcome back, Misty!")
        .parameter("callRef", "ref_1");
    let document = TwimlResponse::new()
        .pause(1)
        .then(connect)
        .hangup()
        .render()
        .unwrap();
    assert_eq!(
        document,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Pause length=\"1\"/>\
         <Connect action=\"https://calls.example.test/twilio/action?callRef=a&amp;x=1\" method=\"POST\">\
         <ConversationRelay url=\"wss://calls.example.test/twilio/relay\" welcomeGreeting=\"Welcome back, Misty!\" \
         ttsProvider=\"ElevenLabs\" eotThreshold=\"0.8\" newAttribute=\"true\"><Language code=\"es-MX\" voice=\"v\"/>\
         <Parameter name=\"callRef\" value=\"ref_1\"/></ConversationRelay></Connect><Hangup/></Response>"
    );
}

#[test]
fn every_attribute_can_be_set_and_is_written_by_its_name() {
    let value = |attribute: &Attribute| match attribute.rule {
        AttributeRule::Text => "some text",
        AttributeRule::Bool | AttributeRule::BoolOrOnOff => "true",
        AttributeRule::InputKind => "speech",
        AttributeRule::OneOf(values) | AttributeRule::AnyOf(values) => values[0],
        AttributeRule::AutoOrMs(..) => "600",
        AttributeRule::NumberInRange(..) => "0.6",
        AttributeRule::Language => "en-US",
        AttributeRule::WebSocketUrl => "wss://other.example.test/ws",
    };
    let toml: String = RelayConfig::ATTRIBUTES
        .iter()
        .map(|a| format!("{} = {:?}\n", a.setting, value(a)))
        .collect();
    let relay = settings(&toml);
    assert_eq!(relay.validate(""), []);
    let written = relay_element(&relay).attributes;
    assert_eq!(written.len(), RelayConfig::ATTRIBUTES.len());
    for attribute in RelayConfig::ATTRIBUTES {
        assert_eq!(
            written[attribute.name],
            value(attribute),
            "{}",
            attribute.name
        );
        assert_eq!(
            attribute.setting,
            snake_case(attribute.name),
            "one spelling follows from the other"
        );
    }
}

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(character.to_ascii_lowercase());
    }
    out
}

#[test]
fn the_settings_read_back_as_they_are_written() {
    let relay = RelayConfig {
        eot_threshold: Some(0.7.into()),
        extra: [("newAttribute".to_owned(), SettingValue::from(3))].into(),
        parameters: [("desk".to_owned(), "3".to_owned())].into(),
        languages: vec![RelayLanguage::new("sv-SE")],
        ..RelayConfig::default()
    };
    assert_eq!(settings(&toml::to_string(&relay).unwrap()), relay);
    assert_eq!(settings(""), RelayConfig::default());
    assert!(
        toml::from_str::<RelayConfig>("eotThreshold = 0.7").is_err(),
        "an unknown key is refused"
    );
}

#[test]
fn all_faults_are_told_at_once_with_what_would_be_right() {
    let found = faults(
        "eot_threshold = 0.95\neager_eot_threshold = 0.2\nspeech_timeout = 100\ninterruptible = 'loud'\n\
         events = 'speaker-events all'\nurl = 'https://h'\ntts_provider = 'Polly'\nlanguage = 'english'\ndtmf_detection = 'maybe'",
    );
    assert_eq!(found.len(), 9, "{found:#?}");
    assert!(
        found.contains(&"eot_threshold = 0.95: a number from 0.5 to 0.9".to_owned()),
        "{found:#?}"
    );
    assert!(
        found.contains(&"speech_timeout = 100: auto, or 600 to 5000 milliseconds".to_owned()),
        "{found:#?}"
    );
}

#[test]
fn right_values_are_taken_in_every_spelling() {
    for toml in [
        "speech_timeout = 'auto'",
        "speech_timeout = 600",
        "speech_timeout = '5000'",
        "eot_threshold = 0.5",
        "eot_threshold = '0.9'",
        "interruptible = true",
        "interruptible = 'DTMF'",
        "partial_prompts = 'true'",
        "transcription_provider = 'deepgram'",
        "events = ''",
        "turn_detection = 'on'",
        "turn_detection = false",
        "url = 'wss://h.test/ws'",
        "url = 'ws://127.0.0.1:8080/ws'",
        "language = 'multi'",
    ] {
        assert!(faults(toml).is_empty(), "{toml}: {:?}", faults(toml));
    }
    let flags = relay_element(&settings(
        "turn_detection = 'on'\ntts_language_text_normalization = true\nelevenlabs_language_text_normalization = 'false'",
    ));
    for (name, value) in [
        ("turnDetection", "true"),
        ("ttsLanguageTextNormalization", "true"),
        ("elevenlabsLanguageTextNormalization", "false"),
    ] {
        assert_eq!(flags.attributes[name], value);
    }
    assert!(!flags.attributes.contains_key("customerName"));
    let relay = relay_element(&settings(
        "interruptible = false\nwelcome_greeting_interruptible = true\nevents = ' '",
    ));
    assert_eq!(relay.attributes["interruptible"], "none");
    assert_eq!(relay.attributes["welcomeGreetingInterruptible"], "any");
    assert!(
        !relay.attributes.contains_key("events"),
        "a blank setting leaves its attribute out"
    );
}

#[test]
fn faults_are_named_by_their_section() {
    let found = settings("speech_model = 'x'\nevents = 'all'").validate("twilio.relay");
    assert_eq!(found[0].setting, "twilio.relay.events");
    let found = settings("[[languages]]\ncode = '?'").validate("line[+1].relay");
    assert_eq!(found[0].setting, "line[+1].relay.languages[0].code");
}

#[test]
fn combinations_that_twilio_refuses_are_faults() {
    for (toml, setting) in [
        (
            "language = 'multi'\ntranscription_provider = 'Google'",
            "transcription_provider",
        ),
        (
            "language = 'multi'\ntts_provider = 'Amazon'",
            "tts_provider",
        ),
        (
            "transcription_provider = 'google'\nspeech_model = 'flux'",
            "speech_model",
        ),
        (
            "[[languages]]\ncode = 'multi'\ntts_provider = 'Google'",
            "languages[0].tts_provider",
        ),
        ("url = 'ws://calls.example.test/ws'", "url"),
        ("voice = 'Google.en-US-Chirp3-HD-Aoede'", "voice"),
        ("[[languages]]\nvoice = 'x'", "languages[0].code"),
        ("language = 'es-MX'\nvoice = 'en-US-Journey-O'", "voice"),
        (
            "tts_language_text_normalization = 'auto'",
            "tts_language_text_normalization",
        ),
        (
            "[[languages]]\ncode = 'es-MX'\ntts_language_text_normalization = 'auto'",
            "languages[0].tts_language_text_normalization",
        ),
        (
            "[[languages]]\ncode = 'es-MX'\nvoice = 'en-US-Journey-O'",
            "languages[0].voice",
        ),
        (
            "voice = 'en-US-Journey-O'\n[[languages]]\ncode = 'en-us'\nvoice = 'en-US-Journey-D'",
            "languages[0].voice",
        ),
        (
            "[[languages]]\ncode = 'es-MX'\n[[languages]]\ncode = 'es-mx'",
            "languages[1].code",
        ),
        (
            "[[languages]]\ncode = 'es-MX'\ntts_provider = 'Polly'",
            "languages[0].tts_provider",
        ),
        ("[extra]\nwelcomeGreeting = 'x'", "extra.welcomeGreeting"),
        ("[extra]\n'a b' = 'x'", "extra.a b"),
        ("[extra]\nvadSilenceMs = 300", "extra.vadSilenceMs"),
        ("[parameters]\ncallRef = 'x'", "parameters"),
    ] {
        let found = settings(toml).validate("");
        assert_eq!(
            found
                .iter()
                .map(|fault| fault.setting.as_str())
                .collect::<Vec<_>>(),
            [setting],
            "{toml}"
        );
    }
}

#[test]
fn a_bad_value_never_reaches_the_document() {
    let toml = "eot_threshold = 7\n[extra]\nurl = 'wss://evil.test'\n'a=\"b' = 1\nnewOne = 'x'\n[[languages]]\ncode = '?'";
    let relay = settings(toml);
    let written = relay_element(&relay).attributes;
    assert_eq!(written["url"], RELAY_URL);
    assert_eq!(written["newOne"], "x");
    assert!(
        !written.contains_key("eotThreshold") && written.len() == 6,
        "{written:?}"
    );
}

#[test]
fn a_call_taken_up_again_is_not_greeted() {
    let relay = settings("welcome_greeting = 'Hello'");
    let document = TwimlResponse::new()
        .then(Connect::new(&relay, RELAY_URL).greeting(""))
        .render()
        .unwrap();
    assert!(!document.contains("welcomeGreeting"), "{document}");
    assert_eq!(relay_element(&relay).attributes["welcomeGreeting"], "Hello");
}

/// Calls `to` with Twilio's defaults.
fn dial_to(to: &str) -> Dial {
    Dial {
        to: to.to_owned(),
        caller_id: None,
        timeout_seconds: None,
        action: None,
        answer_on_bridge: false,
    }
}

#[test]
fn the_other_verbs_are_written() {
    let dial = Dial {
        caller_id: Some("+16135550100".into()),
        timeout_seconds: Some(20),
        action: Some("/a?b&c".into()),
        answer_on_bridge: true,
        ..dial_to("+16135550199")
    };
    let enqueue = Enqueue::workflow("WW1")
        .task(r#"{"a":"<b>"}"#)
        .action(Some("https://calls.example.test/back?a=1&b=2".into()));
    let document = TwimlResponse::new()
        .then(Say::new("Please call again.").language("en-GB"))
        .then(dial)
        .then(dial_to("sip:desk@example.test"))
        .then(dial_to("client:desk"))
        .then(enqueue)
        .render()
        .unwrap();
    let elements = parse(&document);
    let of = |name: &str| {
        elements
            .iter()
            .find(|element| element.name == name)
            .unwrap()
    };
    assert_eq!(
        (
            of("Say").text.as_str(),
            of("Say").attributes["language"].as_str()
        ),
        ("Please call again.", "en-GB")
    );
    assert_eq!(
        of("Enqueue").attributes["action"],
        "https://calls.example.test/back?a=1&b=2"
    );
    assert_eq!(of("Enqueue").attributes["method"], "POST");
    let dial = &of("Dial").attributes;
    for (name, value) in [
        ("timeout", "20"),
        ("callerId", "+16135550100"),
        ("action", "/a?b&c"),
        ("method", "POST"),
        ("answerOnBridge", "true"),
    ] {
        assert_eq!(dial[name], value);
    }
    let called: Vec<_> = ["Number", "Sip", "Client"]
        .map(|noun| of(noun).text.as_str())
        .into();
    assert_eq!(called, ["+16135550199", "sip:desk@example.test", "desk"]);
    assert_eq!(
        (
            of("Enqueue").attributes["workflowSid"].as_str(),
            of("Task").text.as_str()
        ),
        ("WW1", r#"{"a":"<b>"}"#)
    );
    assert_eq!(
        TwimlResponse::new().render().unwrap(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>"
    );
}

#[test]
fn a_document_over_64_kb_is_refused() {
    let long = TwimlResponse::new().then(Say::new("x".repeat(TWIML_BYTES_MAX)));
    assert!(matches!(long.render(), Err(TwimlTooLarge { bytes }) if bytes > TWIML_BYTES_MAX));
}

#[test]
fn debug_shows_no_greeting_and_no_number() {
    let connect = Connect::new(&RelayConfig::default(), RELAY_URL)
        .greeting("Hello Misty")
        .parameter("p", "secret");
    let shown = format!(
        "{:?}",
        TwimlResponse::new()
            .then(connect)
            .then(Say::new("Misty"))
            .then(dial_to("+16135550199"))
    );
    assert!(
        !shown.contains("Misty") && !shown.contains("5550") && !shown.contains("secret"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn whatever_is_put_in_parses_back(text in "(?s).{0,60}|[\\x00-\\x7f]{0,60}", name in "(?s).{1,12}") {
        let legal = |text: &str| text.chars().filter(|c| xml_writer::is_legal_char(*c)).collect::<String>();
        let connect = Connect::new(&RelayConfig::default(), RELAY_URL).greeting(text.as_str()).parameter(name.as_str(), text.as_str());
        let elements = parse(&TwimlResponse::new().then(connect).then(Say::new(text.as_str())).render().unwrap());
        let (say, relay) = (elements.last().unwrap(), &elements[2]);
        prop_assert_eq!(&say.text, &legal(&text));
        let greeting = relay.attributes.get("welcomeGreeting").cloned().unwrap_or_default();
        prop_assert_eq!(greeting, if text.trim().is_empty() { String::new() } else { legal(&text) });
        if !name.trim().is_empty() {
            let parameter = elements.iter().find(|element| element.name == "Parameter").unwrap();
            prop_assert_eq!(&parameter.attributes["name"], &legal(&name));
            prop_assert_eq!(&parameter.attributes["value"], &legal(&text));
        }
    }
}
