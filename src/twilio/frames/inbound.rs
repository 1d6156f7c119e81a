//! Frames from Twilio (docs/protocol.md 4). Parsing is lenient: unknown fields are ignored, missing ones
//! have a default, and only a frame that cannot be handled is an error.

use super::FRAME_BYTES_MAX;
use super::info::InfoFrame;
use super::raw_frame::{MalformedFrame, RawFrame, to_label};
use super::setup::SetupFrame;
use std::borrow::Cow;
use std::fmt;

/// One frame from Twilio. Texts are borrowed from the frame where they have no escapes. `Debug`
/// prints neither texts nor numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboundFrame<'a> {
    /// The first frame on every socket; again when a call is taken up.
    Setup(Box<SetupFrame>),
    /// The caller said something.
    Prompt(PromptFrame<'a>),
    /// The caller interrupted; Twilio has dropped everything that was queued.
    Interrupt(InterruptFrame<'a>),
    /// The caller pressed a key. It comes before the interrupt that it causes.
    Dtmf(DtmfKey),
    /// An event on the line, such as speech that begins or ends.
    Info(InfoFrame<'a>),
    /// Twilio refused a frame of ours. Not fatal by itself; ten in a row are.
    Error(ErrorFrame<'a>),
    /// An unknown type: to be counted and ignored.
    Unknown {
        /// The type, cut to 32 characters of `[A-Za-z0-9_-]`.
        kind: String,
    },
}

/// What the caller said.
#[derive(Clone, PartialEq, Eq)]
pub struct PromptFrame<'a> {
    /// The whole utterance so far, not a difference.
    pub text: Cow<'a, str>,
    /// Language as the recogniser names it: `en-US` or only `en`; `""` when not said.
    pub lang: Cow<'a, str>,
    /// Whether the utterance is finished. A frame that does not say counts as finished: partial
    /// ones come only where they were asked for, and an unanswered caller is the worse mistake.
    pub last: bool,
}

/// The caller interrupted.
#[derive(Clone, PartialEq, Eq)]
pub struct InterruptFrame<'a> {
    /// What was heard **of the clause in play** (docs/protocol.md 4.4), trimmed; may be empty.
    pub heard: Cow<'a, str>,
    /// Milliseconds of that clause.
    pub after_ms: Option<u64>,
}

/// A key of the telephone: `0`-`9`, `*`, `#`, `A`-`D`. `Debug` does not say which: keys spell
/// card numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DtmfKey(char);

/// Twilio's complaint about a frame of ours.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorFrame<'a> {
    /// Twilio's words, which echo our frame: personal data.
    pub description: Cow<'a, str>,
}

impl<'a> InboundFrame<'a> {
    /// Parses one text frame.
    ///
    /// # Errors
    /// If it is over [`FRAME_BYTES_MAX`], no JSON object, or without its type or a required field.
    pub fn parse(text: &'a str) -> Result<Self, MalformedFrame> {
        if text.len() > FRAME_BYTES_MAX {
            return Err(MalformedFrame::TooLarge);
        }
        // A sequence would fill the struct field by field; only an object is a frame.
        if !text.trim_start().starts_with('{') {
            return Err(MalformedFrame::NotAnObject);
        }
        let frame: RawFrame<'a> =
            serde_json::from_str(text).map_err(|_| MalformedFrame::NotAnObject)?;
        Self::from_raw(frame)
    }

    fn from_raw(frame: RawFrame<'a>) -> Result<Self, MalformedFrame> {
        Ok(match frame.kind.as_str() {
            "" => return Err(MalformedFrame::MissingType),
            "prompt" => Self::Prompt(PromptFrame {
                last: frame.last.as_bool().unwrap_or(true),
                text: frame.voice_prompt.into_text(),
                lang: frame.lang.into_text(),
            }),
            "info" => Self::Info(InfoFrame::from_raw(frame.name, frame.value)),
            "interrupt" => Self::Interrupt(InterruptFrame {
                heard: frame.utterance_until_interrupt.into_text(),
                after_ms: frame.duration_until_interrupt_ms.as_count(),
            }),
            "dtmf" => Self::Dtmf(
                DtmfKey::parse(frame.digit.as_str())
                    .ok_or(MalformedFrame::MissingField { field: "digit" })?,
            ),
            "setup" => Self::Setup(Box::new(SetupFrame::from_raw(frame)?)),
            "error" => Self::Error(ErrorFrame {
                description: frame.description.into_text(),
            }),
            other => Self::Unknown {
                kind: to_label(other),
            },
        })
    }

    /// The type as a label of metrics and logs; `unknown` for an unknown one.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Setup(_) => "setup",
            Self::Prompt(_) => "prompt",
            Self::Interrupt(_) => "interrupt",
            Self::Dtmf(_) => "dtmf",
            Self::Info(_) => "info",
            Self::Error(_) => "error",
            Self::Unknown { .. } => "unknown",
        }
    }
}

impl DtmfKey {
    /// The key that `text` names, any case of `a`-`d`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut characters = text.trim().chars();
        let key = characters.next()?.to_ascii_uppercase();
        let only = characters.next().is_none();
        (only && matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')).then_some(Self(key))
    }

    /// The character on the key.
    pub fn as_char(self) -> char {
        self.0
    }
}

impl ErrorFrame<'_> {
    /// The code in the words, such as 64107 for a frame that Twilio could not read.
    pub fn code(&self) -> Option<u32> {
        let (_, after) = self.description.split_once("code: ")?;
        after
            .split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()
    }
}

impl fmt::Debug for PromptFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PromptFrame {{ {} bytes, last: {} }}",
            self.text.len(),
            self.last
        )
    }
}

impl fmt::Debug for InterruptFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "InterruptFrame {{ {} bytes, after_ms: {:?} }}",
            self.heard.len(),
            self.after_ms
        )
    }
}

impl fmt::Debug for DtmfKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DtmfKey(•)")
    }
}

impl fmt::Debug for ErrorFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorFrame {{ code: {:?} }}", self.code())
    }
}

#[cfg(test)]
#[path = "inbound_tests.rs"]
mod tests;
