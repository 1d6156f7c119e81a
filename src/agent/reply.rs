//! A reply as it comes.

use super::failure::Failure;
use super::tools::ToolCall;
use compact_str::CompactString;
use futures_util::Stream;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What comes of a brief, in this order: tokens; tools; then one `Done` or one `Failed`, and no more.
#[derive(Clone, PartialEq, Eq)]
pub enum ReplyEvent {
    /// Speakable text, to be said as it is: its white space belongs to it. Never empty.
    Token(CompactString),
    /// The model wants something done.
    Tool(ToolCall),
    /// The reply is complete.
    Done(Finish),
    /// The reply will not be completed. Tokens that came before were good.
    Failed(Failure),
}

/// How a complete reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish {
    /// Pieces of text that the model sent.
    pub tokens: u32,
    /// The provider's own count, where it gave one.
    pub usage: Option<Usage>,
    /// Why the model stopped.
    pub ending: Ending,
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It had said all.
    Said,
    /// It wants the results of its tools.
    Tools,
    /// It reached `max_tokens`: the last sentence may be half.
    Length,
    /// The provider's filter stopped it.
    Filtered,
}

/// Tokens by the provider's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub struct Usage {
    /// Tokens of the question.
    #[serde(default)]
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    #[serde(default)]
    pub completion_tokens: u32,
}

/// The stream of a reply. Lives in the task that polls it; dropping it closes the request at once.
/// Ends after `Done` or `Failed`.
#[must_use = "a reply does nothing unless polled"]
pub struct Reply {
    pub(super) over: bool,
}

impl Stream for Reply {
    type Item = ReplyEvent;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<ReplyEvent>> {
        let over = std::mem::replace(&mut self.over, true);
        Poll::Ready((!over).then_some(ReplyEvent::Failed(Failure::Connect)))
    }
}

impl fmt::Debug for ReplyEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplyEvent::Token(token) => write!(f, "Token({} bytes)", token.len()),
            ReplyEvent::Tool(call) => write!(f, "Tool({call:?})"),
            ReplyEvent::Done(finish) => write!(f, "Done({finish:?})"),
            ReplyEvent::Failed(failure) => write!(f, "Failed({failure:?})"),
        }
    }
}
