//! Frames to Twilio: what is written is what serde_json would write, and nothing malformed is.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn written(spoken: impl Into<Spoken<'static>>) -> Value {
    serde_json::from_str(&spoken.into().to_json()).unwrap()
}

fn tag(text: &str) -> LanguageTag {
    LanguageTag::parse(text).unwrap()
}

#[test]
fn text_frames_have_what_was_asked_for() {
    assert_eq!(
        written(Text::token(" Hi")),
        json!({"type": "text", "token": " Hi", "last": false})
    );
    assert_eq!(
        written(Text::closing("")),
        json!({"type": "text", "token": "", "last": true})
    );
    let bridge = Text::closing("Un momento.")
        .in_language(tag("es-MX"))
        .interruptible(false)
        .preemptible(true);
    let expected = json!({"type": "text", "token": "Un momento.", "last": true, "lang": "es-MX", "interruptible": false, "preemptible": true});
    assert_eq!(written(bridge), expected);
}

#[test]
fn the_other_frames_have_their_fields() {
    let play = Play::new("https://calls.example.test/cue.mp3")
        .unwrap()
        .times(0)
        .unwrap()
        .preemptible(true);
    let expected = json!({"type": "play", "source": "https://calls.example.test/cue.mp3", "loop": 0, "preemptible": true});
    assert_eq!(written(play), expected);
    assert_eq!(
        written(Spoken::digits("1ww#*0").unwrap()),
        json!({"type": "sendDigits", "digits": "1ww#*0"})
    );
    assert_eq!(
        written(Spoken::language(Some(tag("sv-SE")), None).unwrap()),
        json!({"type": "language", "ttsLanguage": "sv-SE"})
    );
    let both = Spoken::language(Some(tag("sv-SE")), Some(tag("multi"))).unwrap();
    assert_eq!(
        written(both),
        json!({"type": "language", "ttsLanguage": "sv-SE", "transcriptionLanguage": "multi"})
    );
    assert_eq!(written(Spoken::end()), json!({"type": "end"}));
    let data = r#"{"why":"\"person\""}"#;
    assert_eq!(
        written(Spoken::end_with(data).unwrap()),
        json!({"type": "end", "handoffData": data})
    );
}

#[test]
fn a_frame_that_twilio_would_refuse_is_not_made() {
    for digits in ["", "12a", "1 2", "W", "+1", &"1".repeat(DIGITS_MAX + 1)] {
        assert_eq!(Spoken::digits(digits), Err(Refused::Digits), "{digits}");
    }
    assert_eq!(Spoken::language(None, None), Err(Refused::NoLanguage));
    for source in [
        "",
        "cue.mp3",
        "ftp://h/cue",
        "https://h/a b",
        "https://h/\n",
    ] {
        assert_eq!(Play::new(source), Err(Refused::Source), "{source}");
    }
    assert_eq!(
        Play::new("https://h/c").unwrap().times(LOOP_TIMES_MAX + 1),
        Err(Refused::Times)
    );
    assert_eq!(
        Spoken::end_with("x".repeat(HANDOFF_BYTES_MAX + 1)),
        Err(Refused::Handoff)
    );
}

#[test]
fn frames_follow_one_another_in_one_buffer() {
    let mut out = String::new();
    Spoken::from(Text::token("a")).write(&mut out);
    out.push('\n');
    Spoken::end().write(&mut out);
    assert_eq!(
        out,
        "{\"type\":\"text\",\"token\":\"a\",\"last\":false}\n{\"type\":\"end\"}"
    );
}

#[test]
fn debug_prints_no_words_and_no_digits() {
    let data = Spoken::end_with("Misty").unwrap();
    let shown = format!(
        "{:?} {data:?} {:?}",
        Spoken::from(Text::token("Misty")),
        Spoken::digits("4111").unwrap()
    );
    assert!(
        !shown.contains("Misty") && !shown.contains("4111"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn any_token_comes_out_as_it_went_in(token in "(?s).{0,80}", last in any::<bool>()) {
        let text = if last { Text::closing(token.as_str()) } else { Text::token(token.as_str()) };
        let value: Value = serde_json::from_str(&Spoken::from(text).to_json()).unwrap();
        prop_assert_eq!(value, json!({"type": "text", "token": token, "last": last}));
    }

    #[test]
    fn pieces_are_the_text_and_one_closes_it(unit in "\\PC{1,7}", times in 0usize..3000, last in any::<bool>()) {
        let text = unit.repeat(times);
        let pieces: Vec<Text<'_>> = Text::pieces(&text, last).collect();
        prop_assert_eq!(pieces.iter().map(Text::words).collect::<String>(), text.clone());
        prop_assert!(pieces.iter().all(|piece| piece.words().len() <= TOKEN_BYTES_MAX));
        let closing: Vec<usize> = pieces.iter().enumerate().filter(|(_, p)| p.is_last()).map(|(at, _)| at).collect();
        prop_assert_eq!(closing, if last { vec![pieces.len() - 1] } else { vec![] });
    }
}
