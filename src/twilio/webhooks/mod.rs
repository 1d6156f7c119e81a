//! The webhooks as typed values: a call rings, its session ended, its status changed
//! (docs/protocol.md 2.1, 6.1, 2.6). Unknown keys are ignored, because Twilio adds some from time to
//! time.

mod action_callback;
mod call_parties;
mod dial_action;
mod status_callback;
mod status_values;

pub use action_callback::ActionCallback;
pub use call_parties::CallParties;
pub use dial_action::{DialActionCallback, DialStatus};
pub use status_callback::StatusCallback;
pub use status_values::{CallDirection, CallStatus, SessionStatus};

use super::call_token::CALL_SID_BYTES_MAX;
use super::form::Form;
use super::identity::Attestation;
use std::fmt;

/// Name of the header that is the same on every retry of one request (docs/protocol.md 2.2), lower
/// case.
pub const IDEMPOTENCY_HEADER: &str = "i-twilio-idempotency-token";

/// Why a webhook's form is invalid: HTTP 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWebhook {
    /// `CallSid` is missing or blank.
    #[error("no CallSid")]
    MissingCallSid,
    /// `CallSid` is longer than [`CALL_SID_BYTES_MAX`] or not printable ASCII.
    #[error("a CallSid that is no id")]
    InvalidCallSid,
}

/// A call rings: the voice webhook. `Debug` masks the numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct VoiceWebhook {
    /// Names the call for its whole life, also over several sessions. Not checked for `CA…`:
    /// other carriers of the same protocol spell it differently.
    pub call_sid: String,
    /// The two ends of the call.
    pub parties: CallParties,
    /// The carrier's attestation of the remote number.
    pub attestation: Attestation,
    /// The status of the call.
    pub status: CallStatus,
}

impl VoiceWebhook {
    /// Reads the form of a POST, or the query of a GET.
    pub fn from_form(form: &Form) -> Result<Self, InvalidWebhook> {
        let ends = CallParties::from_form(form);
        let attestation = if ends.is_outbound() {
            // We dialled the number: it needs no attestation.
            Attestation::Full
        } else {
            Attestation::parse(form.get("StirVerstat"))
        };
        Ok(Self {
            call_sid: parse_call_sid(form)?,
            parties: ends,
            attestation,
            status: CallStatus::parse(form.get("CallStatus").unwrap_or_default()),
        })
    }
}

impl fmt::Debug for VoiceWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VoiceWebhook")
            .field("call_sid", &self.call_sid)
            .field("parties", &self.parties)
            .field("attestation", &self.attestation)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

fn parse_call_sid(form: &Form) -> Result<String, InvalidWebhook> {
    let sid = form
        .non_blank("CallSid")
        .ok_or(InvalidWebhook::MissingCallSid)?
        .trim();
    if is_valid_call_sid(sid) {
        Ok(sid.to_owned())
    } else {
        Err(InvalidWebhook::InvalidCallSid)
    }
}

/// Whether `text` can be a call's id: printable ASCII, 1 to [`CALL_SID_BYTES_MAX`] bytes.
pub(super) fn is_valid_call_sid(text: &str) -> bool {
    (1..=CALL_SID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Every number in a callback is a string (docs/protocol.md 2.1).
fn parse_number(form: &Form, name: &str) -> Option<u32> {
    form.non_blank(name)?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
