//! The failures of a reply, as the call has to tell them apart. They contain no text, no name and no secret.

use std::time::Duration;

/// The failure of a reply. Before the first token the agent has already made its retry and asked the fallbacks; after
/// the first token nothing is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyFailure {
    /// No connection, or it broke before the response began.
    #[error("the model cannot be reached")]
    Connect,
    /// Status 429, and waiting would exceed the deadline.
    #[error("the model is limiting requests")]
    RateLimited {
        /// The wait that the provider asked for, if any.
        retry_after: Option<Duration>,
    },
    /// Any other status than success: a wrong key, a wrong name of the model, or an error of the provider.
    #[error("the model's server rejected the request with status {0}")]
    Refused(u16),
    /// Nothing speakable within `first_token_ms_max`.
    #[error("the model was silent past the first-token deadline")]
    FirstTokenTimeout,
    /// No event for `idle_ms_max` after the first one.
    #[error("the model fell silent in the middle of a reply")]
    Stalled,
    /// The connection ended before the end of the reply.
    #[error("the reply was cut off")]
    ConnectionLost,
    /// The reply exceeded `reply_ms_max` or the bound on its bytes.
    #[error("the reply exceeded its bounds")]
    LimitExceeded,
    /// A response that is not a valid reply.
    #[error("the model's response is invalid: {0}")]
    Protocol(ProtocolError),
}

/// What was invalid about a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// More events without valid JSON of a known form than are tolerated.
    #[error("malformed")]
    Malformed,
    /// The provider reported an error inside the stream.
    #[error("error inside the stream")]
    ErrorInStream,
    /// A complete response with neither text nor a tool call.
    #[error("empty")]
    Empty,
    /// The tokens were used up before the first text, mostly by thinking.
    #[error("out of tokens")]
    OutOfTokens,
    /// The provider's content filter left neither text nor a tool call.
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

    /// Whether the same request may succeed at the same provider a moment later: not after a rejection (400, 401, 403,
    /// 404, ...), and not where the time is used up.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            ReplyFailure::Refused(status) => matches!(status, 408 | 409 | 425 | 500..=599),
            ReplyFailure::LimitExceeded
            | ReplyFailure::Protocol(ProtocolError::OutOfTokens | ProtocolError::Filtered) => false,
            _ => true,
        }
    }
}
