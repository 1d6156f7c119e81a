//! Enumerated values of the webhooks and of `setup`. An unknown value is kept as `Other`.

/// Characters kept of a word that is not on the list.
const OTHER_CHARS_MAX: usize = 32;

/// Where a call stands: lower case with hyphens in webhooks, upper case with underscores in
/// `setup` (docs/protocol.md 4.1); both are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallStatus {
    /// Waits to be placed.
    Queued,
    /// Is being placed.
    Initiated,
    /// Rings: an inbound call's first webhook and first `setup`.
    Ringing,
    /// Was answered.
    InProgress,
    /// Is over after it was answered.
    Completed,
    /// The far end is busy.
    Busy,
    /// The call could not be placed.
    Failed,
    /// Nobody answered.
    NoAnswer,
    /// Was called off while it rang.
    Canceled,
    /// Another word, cut to 32 characters; empty when not said.
    Other(String),
}

impl CallStatus {
    /// Reads either spelling.
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

    /// Whether nothing more will come of the call.
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
    /// Another word, cut to 32 characters; empty when not said.
    Other(String),
}

impl CallDirection {
    /// Reads either spelling.
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
    /// Socket or session error: the call goes on with what the action answers.
    Failed,
    /// Another word, cut to 32 characters; empty when not said.
    Other(String),
}

impl SessionStatus {
    /// Reads the word in any case.
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

/// At most [`OTHER_CHARS_MAX`] characters: what is kept of a word that nobody has checked.
fn truncated(text: &str) -> String {
    text.trim().chars().take(OTHER_CHARS_MAX).collect()
}
