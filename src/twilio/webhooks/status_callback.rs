//! Call status callbacks (docs/protocol.md 2.6). They may come out of order and may repeat.

use super::status_values::CallStatus;
use super::{InvalidWebhook, parse_call_sid, parse_number};
use crate::twilio::form::Form;
use crate::twilio::identity::Attestation;

/// A call's status changed. Holds no number, so `Debug` has nothing to mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusCallback {
    /// The call.
    pub call_sid: String,
    /// Where it stands now.
    pub status: CallStatus,
    /// Position among the callbacks of the call, from 0; not the order of arrival.
    pub sequence: Option<u32>,
    /// When it happened, RFC 2822 as Twilio wrote it.
    pub timestamp: Option<String>,
    /// Seconds of the call, with `completed`.
    pub call_seconds: Option<u32>,
    /// Minutes billed.
    pub billed_minutes: Option<u32>,
    /// The far end's SIP answer, on outbound legs.
    pub sip_response_code: Option<u32>,
    /// What our own carrier said about us, on outbound legs.
    pub attestation: Attestation,
}

impl StatusCallback {
    /// Reads the form of a POST, or the query of a GET.
    pub fn from_form(form: &Form) -> Result<Self, InvalidWebhook> {
        Ok(Self {
            call_sid: parse_call_sid(form)?,
            status: CallStatus::parse(form.get("CallStatus").unwrap_or_default()),
            sequence: parse_number(form, "SequenceNumber"),
            timestamp: form
                .non_blank("Timestamp")
                .map(|text| text.trim().to_owned()),
            call_seconds: parse_number(form, "CallDuration"),
            billed_minutes: parse_number(form, "Duration"),
            sip_response_code: parse_number(form, "SipResponseCode"),
            attestation: Attestation::parse(form.get("StirStatus")),
        })
    }
}
