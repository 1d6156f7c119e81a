//! The action request of `<Dial>` and of `<Enqueue>`: the call to a person, or the wait in a queue, is
//! over.

use super::{CallParties, CallStatus, InvalidWebhook, parse_call_sid};
use crate::twilio::form::Form;

/// The result of a `<Dial>` or of an `<Enqueue>`. `Debug` masks the numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialActionCallback {
    /// The caller's call.
    pub call_sid: String,
    /// The two ends of the caller's call.
    pub parties: CallParties,
    /// The status of the caller's call.
    pub call_status: CallStatus,
    /// The result of the call to the person.
    pub dial_status: DialStatus,
}

/// The result of the call to the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialStatus {
    /// They answered; the conversation is over.
    Answered,
    /// Their line was busy.
    Busy,
    /// Nobody answered in time.
    NoAnswer,
    /// The call could not be placed.
    Failed,
    /// It was cancelled while it rang, because the caller hung up.
    Canceled,
}

impl DialStatus {
    /// Parses `DialCallStatus`. An unknown value counts as a failure, so that the caller returns to the
    /// agent.
    pub fn parse(text: &str) -> Self {
        match text.trim().to_ascii_lowercase().as_str() {
            "completed" | "answered" => Self::Answered,
            "busy" => Self::Busy,
            "no-answer" => Self::NoAnswer,
            "canceled" => Self::Canceled,
            _ => Self::Failed,
        }
    }

    /// Parses `QueueResult`, with the same rule. A caller who was connected to a person counts as answered,
    /// also if that person redirected the call.
    fn parse_queue_result(text: &str) -> Self {
        match text.trim().to_ascii_lowercase().as_str() {
            "bridged" | "redirected-from-bridged" | "redirected" => Self::Answered,
            "queue-full" => Self::Busy,
            "leave" => Self::NoAnswer,
            "hangup" => Self::Canceled,
            _ => Self::Failed,
        }
    }

    /// The label `result` of `calldex_handoffs_total`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

impl DialActionCallback {
    /// Reads the form of a POST, or the query of a GET.
    ///
    /// # Errors
    /// [`InvalidWebhook`] without a valid `CallSid`.
    pub fn from_form(form: &Form) -> Result<Self, InvalidWebhook> {
        let dial_status = match (form.get("DialCallStatus"), form.get("QueueResult")) {
            (None, Some(result)) => DialStatus::parse_queue_result(result),
            (status, _) => DialStatus::parse(status.unwrap_or_default()),
        };
        Ok(Self {
            call_sid: parse_call_sid(form)?,
            parties: CallParties::from_form(form),
            call_status: CallStatus::parse(form.get("CallStatus").unwrap_or_default()),
            dial_status,
        })
    }

    /// Whether the caller returns to the agent: nobody answered, and the caller's call is in progress.
    pub fn returns_to_agent(&self) -> bool {
        self.dial_status != DialStatus::Answered && !self.call_status.is_terminal()
    }
}
