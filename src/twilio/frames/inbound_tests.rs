//! Frames as they should not come, and still do.

use super::*;
use crate::twilio::frames::raw_frame::LABEL_CHARS_MAX;
use crate::twilio::webhooks::CallStatus;
use proptest::prelude::*;

fn heard(json: &str) -> InboundFrame<'_> {
    InboundFrame::parse(json).unwrap_or_else(|why| panic!("{json}: {why}"))
}

#[test]
fn numbers_may_be_texts_and_texts_numbers() {
    for ms in ["460", "\"460\"", "460.9", "\" 460 \""] {
        let json = format!(
            r#"{{"type":"interrupt","utteranceUntilInterrupt":"so","durationUntilInterruptMs":{ms}}}"#
        );
        assert_eq!(
            heard(&json),
            InboundFrame::Interrupt(InterruptFrame {
                heard: "so".into(),
                after_ms: Some(460)
            }),
            "{ms}"
        );
    }
    for ms in ["null", "-1", "\"soon\"", "[1]", "{\"a\":1}", "1e300"] {
        let json = format!(r#"{{"type":"interrupt","durationUntilInterruptMs":{ms}}}"#);
        assert_eq!(
            heard(&json),
            InboundFrame::Interrupt(InterruptFrame {
                heard: "".into(),
                after_ms: None
            }),
            "{ms}"
        );
    }
}

#[test]
fn truths_may_be_texts() {
    for (last, expected) in [
        ("true", true),
        ("\"true\"", true),
        ("false", false),
        ("\"False\"", false),
        ("0", false),
        ("null", true),
    ] {
        let json = format!(
            r#"{{"type":"prompt","voicePrompt":"Hi","lang":null,"last":{last},"new":[{{}}]}}"#
        );
        assert_eq!(
            heard(&json),
            InboundFrame::Prompt(PromptFrame {
                text: "Hi".into(),
                lang: "".into(),
                last: expected
            }),
            "{last}"
        );
    }
    assert_eq!(
        heard(r#"{"type":"info","name":"agentSpeaking","value":true}"#),
        InboundFrame::Info(InfoFrame::AgentSpeaking(true))
    );
    assert_eq!(
        heard(r#"{"type":"info","name":"clientSpeaking","value":"OFF"}"#),
        InboundFrame::Info(InfoFrame::ClientSpeaking(false))
    );
}

#[test]
fn words_are_borrowed_unless_they_are_escaped() {
    let InboundFrame::Prompt(plain) =
        heard(r#"{"type":"prompt","voicePrompt":"Zoë here","last":true}"#)
    else {
        panic!()
    };
    assert!(matches!(plain.text, Cow::Borrowed("Zoë here")));
    let InboundFrame::Prompt(escaped) =
        heard(r#"{"type":"prompt","voicePrompt":"a\n\u00e9","last":true}"#)
    else {
        panic!()
    };
    assert_eq!(escaped.text, "a\né");
}

#[test]
fn a_key_is_one_of_sixteen() {
    for (digit, key) in [
        ("\"9\"", '9'),
        ("9", '9'),
        ("\"#\"", '#'),
        ("\"*\"", '*'),
        ("\"a\"", 'A'),
    ] {
        let json = format!(r#"{{"type":"dtmf","digit":{digit}}}"#);
        let InboundFrame::Dtmf(heard) = heard(&json) else {
            panic!("{digit}")
        };
        assert_eq!(heard.as_char(), key);
    }
    for digit in ["\"\"", "null", "\"12\"", "12", "\"x\"", "\"٣\""] {
        let json = format!(r#"{{"type":"dtmf","digit":{digit}}}"#);
        assert_eq!(
            InboundFrame::parse(&json),
            Err(MalformedFrame::MissingField { field: "digit" }),
            "{digit}"
        );
    }
}

#[test]
fn a_setup_needs_its_call_and_nothing_else() {
    let InboundFrame::Setup(setup) =
        heard(r#"{"type":"setup","callSid":"v2:T02","customParameters":null,"from":16135550172}"#)
    else {
        panic!()
    };
    assert_eq!(
        (
            setup.call_sid.as_str(),
            setup.parties.remote_address().as_str()
        ),
        ("v2:T02", "16135550172")
    );
    assert_eq!(setup.call_token(), None);
    assert_eq!(setup.call_status, CallStatus::Other(String::new()));
    for json in [
        r#"{"type":"setup"}"#,
        r#"{"type":"setup","callSid":""}"#,
        r#"{"type":"setup","callSid":"CA 1"}"#,
    ] {
        assert_eq!(
            InboundFrame::parse(json),
            Err(MalformedFrame::MissingField { field: "callSid" }),
            "{json}"
        );
    }
}

#[test]
fn a_setup_brings_back_our_parameters() {
    let json = r#"{"type":"setup","callSid":"CA1","callStatus":"IN_PROGRESS","customParameters":{"callRef":"abc","n":7,"x":null}}"#;
    let InboundFrame::Setup(setup) = heard(json) else {
        panic!()
    };
    assert_eq!(setup.call_token(), Some("abc"));
    assert_eq!(
        (
            setup.parameters["n"].as_str(),
            setup.parameters["x"].as_str()
        ),
        ("7", "")
    );
    assert_eq!(setup.call_status, CallStatus::InProgress);
}

#[test]
fn an_unknown_type_has_a_bounded_name() {
    let json = format!(r#"{{"type":"config <\u0000> {}"}}"#, "x".repeat(500));
    let InboundFrame::Unknown { kind } = heard(&json) else {
        panic!()
    };
    assert_eq!(kind, format!("config{}", "x".repeat(LABEL_CHARS_MAX - 6)));
}

#[test]
fn what_is_no_frame_is_malformed() {
    for (text, why) in [
        ("", MalformedFrame::NotAnObject),
        ("hello", MalformedFrame::NotAnObject),
        ("[\"prompt\"]", MalformedFrame::NotAnObject),
        ("\"prompt\"", MalformedFrame::NotAnObject),
        ("{\"type\":\"prompt\"", MalformedFrame::NotAnObject),
        ("{\"type\":\"prompt\"} x", MalformedFrame::NotAnObject),
        ("{}", MalformedFrame::MissingType),
        ("{\"type\":null}", MalformedFrame::MissingType),
        ("{\"type\":[\"prompt\"]}", MalformedFrame::MissingType),
    ] {
        assert_eq!(InboundFrame::parse(text), Err(why), "{text}");
    }
    let long = format!(
        r#"{{"type":"prompt","voicePrompt":"{}"}}"#,
        "x".repeat(FRAME_BYTES_MAX)
    );
    assert_eq!(InboundFrame::parse(&long), Err(MalformedFrame::TooLarge));
}

#[test]
fn a_deep_value_is_passed_over_wherever_it_is() {
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    for field in ["value", "somethingNew"] {
        let json = format!(r#"{{"type":"info","name":"tokensPlayed","{field}":{deep}}}"#);
        let expected = InfoFrame::Other {
            name: "tokensPlayed".to_owned(),
        };
        assert_eq!(heard(&json), InboundFrame::Info(expected), "{field}");
    }
}

#[test]
fn debug_prints_no_words_and_no_numbers() {
    for json in [
        r#"{"type":"prompt","voicePrompt":"Misty 5550172"}"#,
        r#"{"type":"interrupt","utteranceUntilInterrupt":"Misty"}"#,
        r#"{"type":"info","name":"tokensPlayed","value":"Misty"}"#,
        r#"{"type":"info","name":"configUpdated","value":"Misty"}"#,
        r#"{"type":"error","description":"code: 64107, Misty"}"#,
        r#"{"type":"dtmf","digit":"7"}"#,
        r#"{"type":"setup","callSid":"CA1","from":"+16135550172","to":"sip:Misty@x","callerName":"Misty","customParameters":{"n":"Misty"}}"#,
    ] {
        let frame = heard(json);
        let shown = format!("{frame:?}");
        for personal in ["Misty", "5550", "Key(7"] {
            assert!(!shown.contains(personal), "{shown}");
        }
    }
}

/// Any JSON value, not too deep.
fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::hash_map("[a-z]{1,5}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_panics(text in "(?s).{0,200}|\\{\"type\":\"[a-z]{0,9}\"[,:\\[\\]{}\"a-z0-9]{0,60}\\}") {
        let _ = InboundFrame::parse(&text);
    }

    #[test]
    fn no_value_in_any_field_breaks_a_frame(
        kind in prop::sample::select(vec!["prompt", "interrupt", "info", "error", "new"]),
        field in prop::sample::select(vec!["voicePrompt", "last", "lang", "name", "value", "utteranceUntilInterrupt",
            "durationUntilInterruptMs", "description", "customParameters", "from", "callSid", "somethingNew"]),
        value in json_value(),
    ) {
        let frame = serde_json::json!({"type": kind, field: value}).to_string();
        prop_assert!(InboundFrame::parse(&frame).is_ok(), "{}", frame);
    }
}
