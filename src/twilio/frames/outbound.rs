//! Frames to Twilio (docs/protocol.md 5). Ten malformed frames in a row end the session, so every
//! constructor rejects what Twilio would reject.

use super::json_string::write_string;
use super::language_tag::LanguageTag;
use std::borrow::Cow;
use std::fmt;

/// Bytes of a token in one frame at most: frames should stay under 16 KB (docs/protocol.md 8), and
/// escaping may double a text. [`TextFrame::chunks`] cuts what is longer.
pub const TOKEN_BYTES_MAX: usize = 4 * 1024;
/// Bytes of handoff data at most.
pub const HANDOFF_BYTES_MAX: usize = 4 * 1024;

/// One frame to Twilio. `Debug` prints no texts.
#[derive(Clone, PartialEq, Eq)]
pub enum OutboundFrame<'a> {
    /// Say something.
    Text(TextFrame<'a>),
    /// Speak or listen in another language from now on.
    Language(LanguageSwitch),
    /// End the session; the action is requested with this handoff.
    End(HandoffData),
}

/// A piece of a reply. A reply is closed by exactly one piece with `last`.
#[derive(Clone, PartialEq, Eq)]
pub struct TextFrame<'a> {
    token: Cow<'a, str>,
    last: bool,
    lang: Option<LanguageTag>,
    interruptible: Option<bool>,
    preemptible: Option<bool>,
}

/// A change of languages: at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct LanguageSwitch {
    tts_language: Option<LanguageTag>,
    transcription_language: Option<LanguageTag>,
}

/// What the action gets back, if anything.
#[derive(Clone, PartialEq, Eq)]
pub struct HandoffData(Option<String>);

/// Why a frame is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFrame {
    /// Neither language is given.
    #[error("a change of language names at least one")]
    NoLanguage,
    /// Over [`HANDOFF_BYTES_MAX`].
    #[error("handoff data has {HANDOFF_BYTES_MAX} bytes at most")]
    HandoffData,
}

impl<'a> TextFrame<'a> {
    /// A token with more to follow. White space is part of it. Longer ones than
    /// [`TOKEN_BYTES_MAX`] belong through [`TextFrame::chunks`].
    pub fn token(token: impl Into<Cow<'a, str>>) -> Self {
        Self {
            token: token.into(),
            last: false,
            lang: None,
            interruptible: None,
            preemptible: None,
        }
    }

    /// A whole reply, or its last piece.
    pub fn last_token(token: impl Into<Cow<'a, str>>) -> Self {
        Self {
            last: true,
            ..Self::token(token)
        }
    }

    /// `text` in pieces of at most [`TOKEN_BYTES_MAX`] bytes, cut between characters; the last
    /// one closes the reply if `last`. An empty text is one empty piece.
    pub fn chunks(text: &'a str, last: bool) -> impl Iterator<Item = TextFrame<'a>> {
        let mut rest = Some(text);
        std::iter::from_fn(move || {
            let text = rest?;
            let end = text.floor_char_boundary(TOKEN_BYTES_MAX);
            let (piece, after) = text.split_at(end);
            rest = (!after.is_empty()).then_some(after);
            Some(Self {
                last: last && after.is_empty(),
                ..Self::token(piece)
            })
        })
    }

    /// In this language instead of the session's.
    pub fn in_language(self, lang: LanguageTag) -> Self {
        Self {
            lang: Some(lang),
            ..self
        }
    }

    /// Whether the caller may interrupt it.
    pub fn interruptible(self, may: bool) -> Self {
        Self {
            interruptible: Some(may),
            ..self
        }
    }

    /// Whether a **later frame of ours** may interrupt it (docs/protocol.md 5.2): for fillers.
    pub fn preemptible(self, may: bool) -> Self {
        Self {
            preemptible: Some(may),
            ..self
        }
    }
}

impl<'a> OutboundFrame<'a> {
    /// Speaks in `spoken` and listens in `heard` from now on; `None` leaves one as it is.
    pub fn switch_language(
        spoken: Option<LanguageTag>,
        heard: Option<LanguageTag>,
    ) -> Result<Self, InvalidFrame> {
        if spoken.is_none() && heard.is_none() {
            return Err(InvalidFrame::NoLanguage);
        }
        Ok(Self::Language(LanguageSwitch {
            tts_language: spoken,
            transcription_language: heard,
        }))
    }

    /// Ends the session without a handoff.
    pub fn end() -> Self {
        Self::End(HandoffData(None))
    }

    /// Ends the session; the action gets `data` back unchanged. No card or health data.
    pub fn end_with_handoff(data: impl Into<String>) -> Result<Self, InvalidFrame> {
        let data = data.into();
        if data.len() > HANDOFF_BYTES_MAX {
            Err(InvalidFrame::HandoffData)
        } else {
            Ok(Self::End(HandoffData(Some(data))))
        }
    }

    /// Appends the frame's JSON to `out`, which may be kept and cleared between frames.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Self::Text(text) => text.write(out),
            Self::Language(LanguageSwitch {
                tts_language: spoken,
                transcription_language: heard,
            }) => {
                out.push_str(r#"{"type":"language""#);
                write_language_field(out, "ttsLanguage", spoken.as_ref());
                write_language_field(out, "transcriptionLanguage", heard.as_ref());
            }
            Self::End(HandoffData(data)) => {
                out.push_str(r#"{"type":"end""#);
                if let Some(data) = data {
                    write_string_field(out, "handoffData", data);
                }
            }
        }
        out.push('}');
    }

    /// The frame's JSON.
    #[cfg(test)]
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(96);
        self.write_json(&mut out);
        out
    }

    /// The frame's type, as a label of metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Language(_) => "language",
            Self::End(_) => "end",
        }
    }
}

impl TextFrame<'_> {
    fn write(&self, out: &mut String) {
        out.push_str(r#"{"type":"text""#);
        write_string_field(out, "token", &self.token);
        write_bool_field(out, "last", Some(self.last));
        write_language_field(out, "lang", self.lang.as_ref());
        write_bool_field(out, "interruptible", self.interruptible);
        write_bool_field(out, "preemptible", self.preemptible);
    }
}

fn write_string_field(out: &mut String, name: &str, text: &str) {
    write_field_name(out, name);
    write_string(out, text);
}

fn write_language_field(out: &mut String, name: &str, tag: Option<&LanguageTag>) {
    if let Some(tag) = tag {
        write_string_field(out, name, tag.as_str());
    }
}

fn write_bool_field(out: &mut String, name: &str, flag: Option<bool>) {
    if let Some(flag) = flag {
        write_field_name(out, name);
        out.push_str(if flag { "true" } else { "false" });
    }
}

fn write_field_name(out: &mut String, name: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
}

impl fmt::Debug for TextFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TextFrame {{ {} bytes, last: {} }}",
            self.token.len(),
            self.last
        )
    }
}

impl fmt::Debug for OutboundFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Language(LanguageSwitch {
                tts_language: spoken,
                transcription_language: heard,
            }) => {
                write!(f, "Language({spoken:?}, {heard:?})")
            }
            Self::End(HandoffData(data)) => write!(f, "End(with data: {})", data.is_some()),
        }
    }
}

#[cfg(test)]
#[path = "outbound_tests.rs"]
mod tests;
