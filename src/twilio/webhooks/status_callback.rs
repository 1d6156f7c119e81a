//! Call status callbacks (docs/protocol.md 2.6). They may come out of order and may repeat.

use super::status_values::CallStatus;
use super::{InvalidWebhook, parse_call_sid};
use crate::twilio::form::Form;

/// A call's status changed. Holds no number, so `Debug` has nothing to mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusCallback {
    /// The call.
    pub call_sid: String,
    /// Its status now.
    pub status: CallStatus,
}

impl StatusCallback {
    /// Reads the form of a POST, or the query of a GET.
    pub fn from_form(form: &Form) -> Result<Self, InvalidWebhook> {
        Ok(Self {
            call_sid: parse_call_sid(form)?,
            status: CallStatus::parse(form.get("CallStatus").unwrap_or_default()),
        })
    }
}
