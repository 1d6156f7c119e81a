//! The action request: a relay session ended, and Twilio requests what to do with the call next
//! (docs/protocol.md 6.1).

use super::status_values::{CallStatus, SessionStatus};
use super::{CallParties, InvalidWebhook, parse_call_sid, parse_number};
use crate::twilio::form::Form;
use std::fmt;

/// Error codes of ConversationRelay: any of them is a failed session (docs/protocol.md 8).
const RELAY_ERROR_CODES: std::ops::RangeInclusive<u32> = 64100..=64199;
/// Failures that a new session cannot resolve: a value of our TwiML (64101, 64106), our own address
/// (64102), a limit of the account or the call (64104, 64109, 64110), and audio that has stopped, as it
/// does when the caller is gone (64108).
const NON_RETRYABLE_CODES: [u32; 7] = [64101, 64102, 64104, 64106, 64108, 64109, 64110];
/// Failures that are not the speech or recognition provider's: Twilio's own (64103), and a socket that
/// was closed or dropped (64105), or sent malformed frames (64107).
const NON_PROVIDER_CODES: [u32; 3] = [64103, 64105, 64107];

/// A session ended. `Debug` masks the numbers and leaves the handoff out.
#[derive(Clone, PartialEq, Eq)]
pub struct ActionCallback {
    /// The call, the same for all its sessions.
    pub call_sid: String,
    /// The session; `""` when not said.
    pub session_id: String,
    /// The two ends of the call.
    pub parties: CallParties,
    /// How the session ended.
    pub session_status: SessionStatus,
    /// Whether the call itself goes on (`in-progress`) or is over.
    pub call_status: CallStatus,
    /// What our `end` carried, unchanged: parse it defensively.
    pub handoff_data: Option<String>,
    /// Why the session failed.
    pub error_code: Option<u32>,
}

impl ActionCallback {
    /// Reads the form of a POST, or the query of a GET.
    pub fn from_form(form: &Form) -> Result<Self, InvalidWebhook> {
        Ok(Self {
            call_sid: parse_call_sid(form)?,
            session_id: form
                .non_blank("SessionId")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            parties: CallParties::from_form(form),
            session_status: SessionStatus::parse(form.get("SessionStatus").unwrap_or_default()),
            call_status: CallStatus::parse(form.get("CallStatus").unwrap_or_default()),
            handoff_data: form.non_blank("HandoffData").map(str::to_owned),
            error_code: parse_number(form, "ErrorCode"),
        })
    }

    /// Whether the session failed, by its status or by an error code of the relay.
    pub fn has_session_failed(&self) -> bool {
        self.session_status == SessionStatus::Failed
            || self
                .error_code
                .is_some_and(|code| RELAY_ERROR_CODES.contains(&code))
    }

    /// Whether the call continues, so that our response decides what happens next.
    pub fn is_call_in_progress(&self) -> bool {
        !self.call_status.is_terminal() && self.session_status != SessionStatus::Completed
    }

    /// Whether a new session may continue the call: the session failed, the call is in progress, and the
    /// cause may be temporary or limited to one provider.
    pub fn is_retryable(&self) -> bool {
        let curable =
            |code| RELAY_ERROR_CODES.contains(&code) && !NON_RETRYABLE_CODES.contains(&code);
        self.is_call_in_progress() && self.error_code.is_some_and(curable)
    }

    /// Whether the speech or recognition provider failed, so that another one may help.
    pub fn has_provider_failed(&self) -> bool {
        let provider = |code| !NON_PROVIDER_CODES.contains(&code);
        self.is_retryable() && self.error_code.is_some_and(provider)
    }
}

impl fmt::Debug for ActionCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionCallback")
            .field("call_sid", &self.call_sid)
            .field("session_id", &self.session_id)
            .field("session_status", &self.session_status)
            .field("call_status", &self.call_status)
            .field("error_code", &self.error_code)
            .finish_non_exhaustive()
    }
}
