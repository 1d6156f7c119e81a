//! Frames to Twilio: what is written is what serde_json would write, and nothing malformed is.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn written(frame: OutboundFrame<'_>) -> Value {
    serde_json::from_str(&frame.to_json()).unwrap()
}

fn tag(text: &str) -> LanguageTag {
    LanguageTag::parse(text).unwrap()
}

#[test]
fn text_frames_have_what_was_asked_for() {
    assert_eq!(
        written(OutboundFrame::Text(TextFrame::token(" Hi"))),
        json!({"type": "text", "token": " Hi", "last": false})
    );
    assert_eq!(
        written(OutboundFrame::Text(TextFrame::last_token(""))),
        json!({"type": "text", "token": "", "last": true})
    );
    let filler = TextFrame::last_token("Un momento.")
        .in_language(tag("es-MX"))
        .interruptible(false)
        .preemptible(true);
    let expected = json!({"type": "text", "token": "Un momento.", "last": true, "lang": "es-MX", "interruptible": false, "preemptible": true});
    assert_eq!(written(OutboundFrame::Text(filler)), expected);
}

#[test]
fn the_other_frames_have_their_fields() {
    assert_eq!(
        written(OutboundFrame::switch_language(Some(tag("sv-SE")), None).unwrap()),
        json!({"type": "language", "ttsLanguage": "sv-SE"})
    );
    let both = OutboundFrame::switch_language(Some(tag("sv-SE")), Some(tag("multi"))).unwrap();
    assert_eq!(
        written(both),
        json!({"type": "language", "ttsLanguage": "sv-SE", "transcriptionLanguage": "multi"})
    );
    assert_eq!(written(OutboundFrame::end()), json!({"type": "end"}));
    let data = r#"{"why":"\"person\""}"#;
    assert_eq!(
        written(OutboundFrame::end_with_handoff(data).unwrap()),
        json!({"type": "end", "handoffData": data})
    );
}

#[test]
fn a_frame_that_twilio_would_refuse_is_not_made() {
    assert_eq!(
        OutboundFrame::switch_language(None, None),
        Err(InvalidFrame::NoLanguage)
    );
    assert_eq!(
        OutboundFrame::end_with_handoff("x".repeat(HANDOFF_BYTES_MAX + 1)),
        Err(InvalidFrame::HandoffData)
    );
}

#[test]
fn frames_follow_one_another_in_one_buffer() {
    let mut out = String::new();
    OutboundFrame::Text(TextFrame::token("a")).write_json(&mut out);
    out.push('\n');
    OutboundFrame::end().write_json(&mut out);
    assert_eq!(
        out,
        "{\"type\":\"text\",\"token\":\"a\",\"last\":false}\n{\"type\":\"end\"}"
    );
}

#[test]
fn debug_prints_no_words() {
    let data = OutboundFrame::end_with_handoff("Misty").unwrap();
    let shown = format!(
        "{:?} {data:?}",
        OutboundFrame::Text(TextFrame::token("Misty"))
    );
    assert!(!shown.contains("Misty"), "{shown}");
}

proptest! {
    #[test]
    fn any_token_comes_out_as_it_went_in(token in "(?s).{0,80}", last in any::<bool>()) {
        let text = if last { TextFrame::last_token(token.as_str()) } else { TextFrame::token(token.as_str()) };
        let value: Value = serde_json::from_str(&OutboundFrame::Text(text).to_json()).unwrap();
        prop_assert_eq!(value, json!({"type": "text", "token": token, "last": last}));
    }

    #[test]
    fn pieces_are_the_text_and_one_closes_it(unit in "\\PC{1,7}", times in 0usize..3000, last in any::<bool>()) {
        let text = unit.repeat(times);
        let pieces: Vec<TextFrame<'_>> = TextFrame::chunks(&text, last).collect();
        prop_assert_eq!(pieces.iter().map(|piece| piece.token.as_ref()).collect::<String>(), text.clone());
        prop_assert!(pieces.iter().all(|piece| piece.token.len() <= TOKEN_BYTES_MAX));
        let closing: Vec<usize> = pieces.iter().enumerate().filter(|(_, piece)| piece.last).map(|(at, _)| at).collect();
        prop_assert_eq!(closing, if last { vec![pieces.len() - 1] } else { vec![] });
    }
}
