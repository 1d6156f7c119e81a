//! Frames, written and read by hand: what Twilio sends (docs/protocol.md 4) and what it accepts (docs/protocol.md 5).

use serde_json::{Map, Value, json};

/// Longest text frame that is looked at: Jetty's default (docs/protocol.md 8).
pub(crate) const FRAME_BYTES_MAX: usize = 64 * 1024;

/// A frame of the server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AppFrame {
    Text {
        token: String,
        last: bool,
        lang: Option<String>,
        interruptible: Option<bool>,
        preemptible: Option<bool>,
    },
    Play {
        times: u32,
        interruptible: Option<bool>,
        preemptible: Option<bool>,
    },
    SendDigits {
        digits: String,
    },
    Language {
        transcription: Option<String>,
    },
    End {
        handoff_data: Option<String>,
    },
    /// `config` and `hints` of 2026-10-28: their form is not established, so they are taken and not applied.
    Dynamic,
}

/// Why a frame is malformed (64107).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    NotAnObject,
    UnknownType,
    /// `text` without a string as token.
    Token,
    /// A required field is missing, or a field has the wrong type.
    Field,
}

/// Reads one frame of the server.
pub(crate) fn parse(text: &str) -> Result<AppFrame, Malformed> {
    if text.len() > FRAME_BYTES_MAX {
        return Err(Malformed::NotAnObject);
    }
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(text) else {
        return Err(Malformed::NotAnObject);
    };
    let fields = Fields(fields);
    match fields.0.get("type").and_then(Value::as_str) {
        Some("text") => fields.text(),
        Some("play") => fields.play(),
        Some("sendDigits") => fields.digits(),
        Some("language") => fields.language(),
        Some("end") => Ok(AppFrame::End {
            handoff_data: fields.string("handoffData")?,
        }),
        Some("config" | "hints") => Ok(AppFrame::Dynamic),
        _ => Err(Malformed::UnknownType),
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    fn string(&self, name: &str) -> Result<Option<String>, Malformed> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Malformed::Field),
        }
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, Malformed> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(Malformed::Field),
        }
    }

    fn text(&self) -> Result<AppFrame, Malformed> {
        let Some(Value::String(token)) = self.0.get("token") else {
            return Err(Malformed::Token);
        };
        Ok(AppFrame::Text {
            token: token.clone(),
            last: self.flag("last")?.unwrap_or(false),
            lang: self.string("lang")?,
            interruptible: self.flag("interruptible")?,
            preemptible: self.flag("preemptible")?,
        })
    }

    fn play(&self) -> Result<AppFrame, Malformed> {
        self.string("source")?
            .filter(|source| !source.is_empty())
            .ok_or(Malformed::Field)?;
        let times = match self.0.get("loop") {
            None => 1,
            Some(value) => value
                .as_u64()
                .filter(|times| *times <= 1000)
                .ok_or(Malformed::Field)? as u32,
        };
        Ok(AppFrame::Play {
            times: if times == 0 { 1000 } else { times },
            interruptible: self.flag("interruptible")?,
            preemptible: self.flag("preemptible")?,
        })
    }

    fn digits(&self) -> Result<AppFrame, Malformed> {
        let digits = self.string("digits")?.unwrap_or_default();
        let fine = !digits.is_empty()
            && digits
                .chars()
                .all(|digit| digit.is_ascii_digit() || "w#*".contains(digit));
        if fine {
            Ok(AppFrame::SendDigits { digits })
        } else {
            Err(Malformed::Field)
        }
    }

    fn language(&self) -> Result<AppFrame, Malformed> {
        let (speech, transcription) = (
            self.string("ttsLanguage")?,
            self.string("transcriptionLanguage")?,
        );
        if speech.is_none() && transcription.is_none() {
            return Err(Malformed::Field);
        }
        Ok(AppFrame::Language { transcription })
    }
}

/// `info`; its value is always a string.
pub(crate) fn info(name: &str, value: &str) -> String {
    json!({"type": "info", "name": name, "value": value}).to_string()
}

/// `agentSpeaking` or `clientSpeaking`.
pub(crate) fn speaking(name: &str, on: bool) -> String {
    info(name, if on { "on" } else { "off" })
}

/// `prompt`.
pub(crate) fn prompt(text: &str, lang: &str, last: bool) -> String {
    json!({"type": "prompt", "voicePrompt": text, "lang": lang, "last": last}).to_string()
}

/// `dtmf`.
pub(crate) fn dtmf(digit: char) -> String {
    json!({"type": "dtmf", "digit": digit.to_string()}).to_string()
}

/// `interrupt`.
pub(crate) fn interrupt(fragment: &str, duration_ms: u64) -> String {
    json!({"type": "interrupt", "utteranceUntilInterrupt": fragment, "durationUntilInterruptMs": duration_ms}).to_string()
}

/// `error` for a malformed frame, which it repeats.
pub(crate) fn error(frame: &str) -> String {
    json!({"type": "error", "description": format!("Invalid message received, code: 64107, {frame}")}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_frames_are_read() {
        let text =
            parse(r#"{"type":"text","token":"Hi ","last":true,"preemptible":true,"later":1}"#)
                .unwrap();
        assert_eq!(
            text,
            AppFrame::Text {
                token: "Hi ".into(),
                last: true,
                lang: None,
                interruptible: None,
                preemptible: Some(true)
            }
        );
        assert_eq!(
            parse(r#"{"type":"text","token":""}"#)
                .map(|frame| matches!(frame, AppFrame::Text { last: false, .. })),
            Ok(true)
        );
        assert_eq!(
            parse(r#"{"type":"sendDigits","digits":"9ww#*"}"#),
            Ok(AppFrame::SendDigits {
                digits: "9ww#*".into()
            })
        );
        assert_eq!(
            parse(r#"{"type":"play","source":"https://h/a.mp3","loop":0}"#)
                .map(|frame| matches!(frame, AppFrame::Play { times: 1000, .. })),
            Ok(true)
        );
        assert_eq!(
            parse(r#"{"type":"end"}"#),
            Ok(AppFrame::End { handoff_data: None })
        );
    }

    #[test]
    fn what_twilio_calls_malformed_is_malformed() {
        for (text, why) in [
            ("plain words", Malformed::NotAnObject),
            ("[]", Malformed::NotAnObject),
            (r#"{"type":"pong"}"#, Malformed::UnknownType),
            (r#"{"token":"Hi"}"#, Malformed::UnknownType),
            (r#"{"type":"text"}"#, Malformed::Token),
            (
                r#"{"type":"text","token":null,"last":true}"#,
                Malformed::Token,
            ),
            (
                r#"{"type":"text","token":"a","last":"yes"}"#,
                Malformed::Field,
            ),
            (r#"{"type":"play"}"#, Malformed::Field),
            (r#"{"type":"sendDigits","digits":""}"#, Malformed::Field),
            (r#"{"type":"sendDigits","digits":"12A"}"#, Malformed::Field),
            (r#"{"type":"language"}"#, Malformed::Field),
            (r#"{"type":"end","handoffData":{"a":1}}"#, Malformed::Field),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }
}
