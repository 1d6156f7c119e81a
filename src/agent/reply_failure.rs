//! Why a reply did not come, as decisions for the call: nothing here carries a word, a name or a secret.

use std::time::Duration;

/// What went wrong with a reply. Before the first token the agent has already tried everything it
/// may (one retry, then the fallback); after the first token nothing is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyFailure {
    /// No connection, or it broke before an answer began.
    #[error("the model cannot be reached")]
    Connect,
    /// Status 429, and waiting would break the deadline. `retry_after` is the provider's own word.
    #[error("the model is limiting requests")]
    RateLimited {
        /// How long the provider asked to wait, if it said so.
        retry_after: Option<Duration>,
    },
    /// Any other status than success: the key, the model's name, or the provider is at fault.
    #[error("the model refused with status {0}")]
    Refused(u16),
    /// Nothing speakable within `first_token_ms_max`.
    #[error("the model was silent past the first-token deadline")]
    FirstTokenTimeout,
    /// Speech had begun, then nothing for `idle_ms_max`.
    #[error("the model fell silent in the middle of a reply")]
    Stalled,
    /// Speech had begun, then the connection ended without an end of the reply.
    #[error("the reply was cut off")]
    ConnectionLost,
    /// The reply outgrew `reply_ms_max` or the bound on its bytes.
    #[error("the reply outgrew its bounds")]
    LimitExceeded,
    /// An answer that is not an answer.
    #[error("the model's answer cannot be understood: {0}")]
    Protocol(ProtocolError),
}

/// What was wrong with an answer that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Events that are no JSON of the expected form, more than are forgiven.
    #[error("malformed")]
    Malformed,
    /// The provider reported an error inside the stream.
    #[error("error inside the stream")]
    ErrorInStream,
    /// A complete answer with neither a word nor a tool in it.
    #[error("empty")]
    Empty,
    /// The tokens were used up before the first word: by thoughts, mostly.
    #[error("out of tokens")]
    OutOfTokens,
    /// The provider's content filter left neither a word nor a tool.
    #[error("filtered")]
    Filtered,
}

impl ReplyFailure {
    /// The value of the metric label `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            ReplyFailure::Connect => "connect",
            ReplyFailure::RateLimited { .. } => "rate_limited",
            ReplyFailure::Refused(_) => "refused",
            ReplyFailure::FirstTokenTimeout => "first_token_timeout",
            ReplyFailure::Stalled => "stalled",
            ReplyFailure::ConnectionLost => "cut",
            ReplyFailure::LimitExceeded => "too_long",
            ReplyFailure::Protocol(ProtocolError::OutOfTokens) => "out_of_tokens",
            ReplyFailure::Protocol(ProtocolError::Filtered) => "filtered",
            ReplyFailure::Protocol(_) => "protocol",
        }
    }

    /// Whether the same question may fare better at the same provider a moment later: not where
    /// the provider said no (400, 401, 403, 404, ...), and not where the time is used up.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            ReplyFailure::Refused(status) => matches!(status, 408 | 409 | 425 | 500..=599),
            ReplyFailure::LimitExceeded
            | ReplyFailure::Protocol(ProtocolError::OutOfTokens | ProtocolError::Filtered) => false,
            _ => true,
        }
    }
}
