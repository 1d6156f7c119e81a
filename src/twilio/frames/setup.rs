//! `setup`: the first frame of every socket (docs/protocol.md 4.1).

use super::raw_frame::{MalformedFrame, RawFrame};
use crate::twilio::call_token::CALL_TOKEN_PARAMETER;
use crate::twilio::identity::RawAddress;
use crate::twilio::webhooks::{CallDirection, CallParties, CallStatus, is_valid_call_sid};
use std::collections::BTreeMap;
use std::fmt;

/// The call and the session of a socket. `Debug` masks the numbers and leaves names and parameters out.
#[derive(Clone, PartialEq, Eq)]
pub struct SetupFrame {
    /// The call: the same in all its sessions.
    pub call_sid: String,
    /// The session: new for each; `""` when not said.
    pub session_id: String,
    /// The two ends of the call.
    pub parties: CallParties,
    /// `Ringing` on the first session of an inbound call, `InProgress` when it continues.
    pub call_status: CallStatus,
    /// The `<Parameter>`s of our TwiML; at most 64 are kept.
    pub parameters: BTreeMap<String, String>,
}

impl SetupFrame {
    pub(super) fn from_raw(frame: RawFrame<'_>) -> Result<Self, MalformedFrame> {
        let call_sid = frame.call_sid.into_text().trim().to_owned();
        if !is_valid_call_sid(&call_sid) {
            return Err(MalformedFrame::MissingField { field: "callSid" });
        }
        Ok(Self {
            call_sid,
            session_id: frame.session_id.into_text().into_owned(),
            parties: CallParties::new(
                RawAddress::new(frame.from.into_text()),
                RawAddress::new(frame.to.into_text()),
                CallDirection::parse(frame.direction.as_str()),
            ),
            call_status: CallStatus::parse(frame.call_status.as_str()),
            parameters: frame.custom_parameters.0,
        })
    }

    /// The call token of our TwiML, not yet verified.
    pub fn call_token(&self) -> Option<&str> {
        self.parameters
            .get(CALL_TOKEN_PARAMETER)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }
}

impl fmt::Debug for SetupFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetupFrame")
            .field("call_sid", &self.call_sid)
            .field("session_id", &self.session_id)
            .field("parties", &self.parties)
            .field("call_status", &self.call_status)
            .finish_non_exhaustive()
    }
}
