//! The fields of a frame from Twilio before its type is known, and the reasons to refuse a frame.

use super::FRAME_BYTES_MAX;
use super::lenient::{CustomParameters, LenientScalar};
use serde::Deserialize;

/// Characters kept of an unknown type or name.
pub(super) const LABEL_CHARS_MAX: usize = 32;

/// Why a frame cannot be handled. Contains nothing of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedFrame {
    /// More than [`FRAME_BYTES_MAX`] bytes.
    #[error("a frame of more than {FRAME_BYTES_MAX} bytes")]
    TooLarge,
    /// No JSON object.
    #[error("not a JSON object")]
    NotAnObject,
    /// `type` is missing, empty or no string.
    #[error("a frame without a type")]
    MissingType,
    /// A required field is missing.
    #[error("a frame without its {field}")]
    MissingField {
        /// Its name.
        field: &'static str,
    },
}

impl MalformedFrame {
    /// A label of metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotAnObject => "not_an_object",
            Self::MissingType => "no_type",
            Self::MissingField { .. } => "without_a_field",
        }
    }
}

/// The fields of all types of frames.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawFrame<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: LenientScalar<'a>,
    pub name: LenientScalar<'a>,
    pub value: LenientScalar<'a>,
    pub voice_prompt: LenientScalar<'a>,
    pub lang: LenientScalar<'a>,
    pub last: LenientScalar<'a>,
    pub utterance_until_interrupt: LenientScalar<'a>,
    pub duration_until_interrupt_ms: LenientScalar<'a>,
    pub digit: LenientScalar<'a>,
    pub description: LenientScalar<'a>,
    pub session_id: LenientScalar<'a>,
    pub call_sid: LenientScalar<'a>,
    pub from: LenientScalar<'a>,
    pub to: LenientScalar<'a>,
    pub direction: LenientScalar<'a>,
    pub call_status: LenientScalar<'a>,
    pub custom_parameters: CustomParameters,
}

/// `word` as a label: only characters of `[A-Za-z0-9_-]`, and at most [`LABEL_CHARS_MAX`] of them.
pub(super) fn to_label(word: &str) -> String {
    let safe = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    word.chars().filter(safe).take(LABEL_CHARS_MAX).collect()
}
