//! Enumerated values of the webhooks and of `setup`. An unknown value is kept as `Other`.

/// Characters kept of an unknown value.
const OTHER_CHARS_MAX: usize = 32;

/// The status of a call: lower case with hyphens in webhooks, upper case with underscores in
/// `setup` (docs/protocol.md 4.1); both are parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallStatus {
    /// The call waits to be placed.
    Queued,
    /// The call is being placed.
    Initiated,
    /// The call rings: an inbound call's first webhook and first `setup`.
    Ringing,
    /// The call was answered.
    InProgress,
    /// The call ended after it was answered.
    Completed,
    /// The far end is busy.
    Busy,
    /// The call could not be placed.
    Failed,
    /// Nobody answered.
    NoAnswer,
    /// The call was cancelled while it rang.
    Canceled,
    /// Another value, cut to 32 characters; empty if missing.
    Other(String),
}

impl CallStatus {
    /// Parses either spelling.
    pub fn parse(text: &str) -> Self {
        match normalized(text).as_str() {
            "queued" => Self::Queued,
            "initiated" => Self::Initiated,
            "ringing" => Self::Ringing,
            "in-progress" => Self::InProgress,
            "completed" => Self::Completed,
            "busy" => Self::Busy,
            "failed" => Self::Failed,
            "no-answer" => Self::NoAnswer,
            "canceled" => Self::Canceled,
            _ => Self::Other(truncated(text)),
        }
    }

    /// Whether the call is over.
    pub fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Busy | Self::Failed | Self::NoAnswer | Self::Canceled
        )
    }
}

/// Who placed a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallDirection {
    /// Somebody calls us.
    Inbound,
    /// Placed by the API.
    OutboundApi,
    /// Placed by `<Dial>`.
    OutboundDial,
    /// Another value, cut to 32 characters; empty if missing.
    Other(String),
}

impl CallDirection {
    /// Parses either spelling.
    pub fn parse(text: &str) -> Self {
        match normalized(text).as_str() {
            "inbound" => Self::Inbound,
            "outbound-api" => Self::OutboundApi,
            "outbound-dial" => Self::OutboundDial,
            _ => Self::Other(truncated(text)),
        }
    }
}

/// How a relay session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionStatus {
    /// The caller hung up, or the call was ended by the API.
    Completed,
    /// We sent `end`.
    Ended,
    /// Socket or session error: the response to the action decides how the call continues.
    Failed,
    /// Another value, cut to 32 characters; empty if missing.
    Other(String),
}

impl SessionStatus {
    /// Parses the value in any case.
    pub fn parse(text: &str) -> Self {
        match normalized(text).as_str() {
            "completed" => Self::Completed,
            "ended" => Self::Ended,
            "failed" => Self::Failed,
            _ => Self::Other(truncated(text)),
        }
    }
}

fn normalized(text: &str) -> String {
    truncated(text).to_ascii_lowercase().replace('_', "-")
}

/// At most [`OTHER_CHARS_MAX`] characters of an unknown value.
fn truncated(text: &str) -> String {
    text.trim().chars().take(OTHER_CHARS_MAX).collect()
}
