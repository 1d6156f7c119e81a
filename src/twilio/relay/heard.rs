//! Frames from Twilio (protocol 4), read so that no odd field ends a call: what is unknown is
//! passed over, what is missing has a default, and only what cannot be acted on is refused.

use super::FRAME_BYTES_MAX;
use super::info::Info;
use super::lenient::{Loose, Parameters};
use super::setup::Setup;
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;

/// Characters kept of a type or name that is not known: enough for a metric's label.
const KIND_CHARS_MAX: usize = 32;

/// One frame from Twilio. Words are borrowed from the frame's text where they have no escapes;
/// [`Heard::into_owned`] lets go of it. `Debug` prints neither words nor numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard<'a> {
    /// The first frame on every socket; again when a call is taken up.
    Setup(Box<Setup>),
    /// The caller said something.
    Prompt(Prompt<'a>),
    /// The caller cut in; everything queued at Twilio is gone.
    Interrupt(Interrupt<'a>),
    /// The caller pressed a key. It comes before the interrupt that it causes.
    Dtmf(Key),
    /// What is going on on the line.
    Info(Info<'a>),
    /// Twilio refused a frame of ours. Not fatal by itself; ten in a row are.
    Error(ErrorFrame<'a>),
    /// A type that we do not know: to be counted and passed over.
    Unknown {
        /// The type, cut to 32 characters of `[A-Za-z0-9_-]`.
        kind: String,
    },
}

/// Words of the caller.
#[derive(Clone, PartialEq, Eq)]
pub struct Prompt<'a> {
    /// The whole utterance so far, not a difference.
    pub text: Cow<'a, str>,
    /// Language as the recogniser names it: `en-US` or only `en`; `""` when not said.
    pub lang: Cow<'a, str>,
    /// Whether the utterance is finished. A frame that does not say counts as finished: partial
    /// ones come only where they were asked for, and an unanswered caller is the worse mistake.
    pub last: bool,
}

/// The caller cut in.
#[derive(Clone, PartialEq, Eq)]
pub struct Interrupt<'a> {
    /// What was heard **of the clause in play** (protocol 4.4), trimmed; may be empty.
    pub heard: Cow<'a, str>,
    /// Milliseconds of that clause.
    pub after_ms: Option<u64>,
}

/// A key of the telephone: `0`-`9`, `*`, `#`, `A`-`D`. `Debug` does not say which: keys spell
/// card numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(char);

/// Twilio's complaint about a frame of ours.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorFrame<'a> {
    /// Twilio's words, which echo our frame: personal data.
    pub description: Cow<'a, str>,
}

/// Why a frame cannot be acted on. Nothing of the frame is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More than [`FRAME_BYTES_MAX`] bytes.
    #[error("a frame of more than {FRAME_BYTES_MAX} bytes")]
    TooLarge,
    /// No JSON object.
    #[error("not a JSON object")]
    NotAnObject,
    /// `type` is missing, empty or no text.
    #[error("a frame without a type")]
    NoType,
    /// A field without which the frame means nothing.
    #[error("a frame without its {field}")]
    Without {
        /// Which one.
        field: &'static str,
    },
}

impl Malformed {
    /// A bounded word for metrics and logs.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotAnObject => "not_an_object",
            Self::NoType => "no_type",
            Self::Without { .. } => "without_a_field",
        }
    }
}

/// Every field of every type, each wherever it may come.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Loose<'a>,
    name: Loose<'a>,
    value: Loose<'a>,
    voice_prompt: Loose<'a>,
    lang: Loose<'a>,
    last: Loose<'a>,
    utterance_until_interrupt: Loose<'a>,
    duration_until_interrupt_ms: Loose<'a>,
    digit: Loose<'a>,
    description: Loose<'a>,
    pub session_id: Loose<'a>,
    pub call_sid: Loose<'a>,
    pub account_sid: Loose<'a>,
    pub parent_call_sid: Loose<'a>,
    pub from: Loose<'a>,
    pub to: Loose<'a>,
    pub forwarded_from: Loose<'a>,
    pub caller_name: Loose<'a>,
    pub direction: Loose<'a>,
    pub call_type: Loose<'a>,
    pub call_status: Loose<'a>,
    pub custom_parameters: Parameters,
}

impl<'a> Heard<'a> {
    /// Reads one text frame.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        if text.len() > FRAME_BYTES_MAX {
            return Err(Malformed::TooLarge);
        }
        // A sequence would fill the struct field by field; only an object is a frame.
        if !text.trim_start().starts_with('{') {
            return Err(Malformed::NotAnObject);
        }
        let frame: Frame<'a> = serde_json::from_str(text).map_err(|_| Malformed::NotAnObject)?;
        Self::read(frame)
    }

    fn read(frame: Frame<'a>) -> Result<Self, Malformed> {
        Ok(match frame.kind.as_str() {
            "" => return Err(Malformed::NoType),
            "prompt" => Self::Prompt(Prompt {
                last: frame.last.truth().unwrap_or(true),
                text: frame.voice_prompt.text(),
                lang: frame.lang.text(),
            }),
            "info" => Self::Info(Info::read(frame.name, frame.value)),
            "interrupt" => Self::Interrupt(Interrupt {
                heard: frame.utterance_until_interrupt.text(),
                after_ms: frame.duration_until_interrupt_ms.count(),
            }),
            "dtmf" => Self::Dtmf(
                Key::read(frame.digit.as_str()).ok_or(Malformed::Without { field: "digit" })?,
            ),
            "setup" => Self::Setup(Box::new(Setup::read(frame)?)),
            "error" => Self::Error(ErrorFrame {
                description: frame.description.text(),
            }),
            other => Self::Unknown {
                kind: bounded(other),
            },
        })
    }

    /// The same without the frame's text.
    pub fn into_owned(self) -> Heard<'static> {
        match self {
            Self::Setup(setup) => Heard::Setup(setup),
            Self::Prompt(Prompt { text, lang, last }) => Heard::Prompt(Prompt {
                text: owned(text),
                lang: owned(lang),
                last,
            }),
            Self::Interrupt(Interrupt { heard, after_ms }) => Heard::Interrupt(Interrupt {
                heard: owned(heard),
                after_ms,
            }),
            Self::Dtmf(key) => Heard::Dtmf(key),
            Self::Info(info) => Heard::Info(info.into_owned()),
            Self::Error(ErrorFrame { description }) => Heard::Error(ErrorFrame {
                description: owned(description),
            }),
            Self::Unknown { kind } => Heard::Unknown { kind },
        }
    }

    /// A bounded word for metrics and logs: the type, `unknown` for what is not known.
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

impl Key {
    /// The key that `text` names, any case of `a`-`d`.
    pub fn read(text: &str) -> Option<Self> {
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

/// `word` as a label: other characters than `[A-Za-z0-9_-]` and those beyond the bound left out.
pub(super) fn bounded(word: &str) -> String {
    let safe = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    word.chars().filter(safe).take(KIND_CHARS_MAX).collect()
}

pub(super) fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

impl fmt::Debug for Prompt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Prompt {{ {} bytes, last: {} }}",
            self.text.len(),
            self.last
        )
    }
}

impl fmt::Debug for Interrupt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Interrupt {{ {} bytes, after_ms: {:?} }}",
            self.heard.len(),
            self.after_ms
        )
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(•)")
    }
}

impl fmt::Debug for ErrorFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorFrame {{ code: {:?} }}", self.code())
    }
}

#[cfg(test)]
#[path = "heard_tests.rs"]
mod tests;
