//! The events of a reply, and how it ends.

use super::reply_failure::ReplyFailure;
use crate::agent::tools::invocation::ToolCall;
use compact_str::CompactString;
use std::fmt;

/// An event of a reply. They come in this order: tokens; tools; then one `Done` or one `Failed`, and no more.
#[derive(Clone, PartialEq, Eq)]
pub enum ReplyEvent {
    /// Speakable text, to be said as it is: its white space belongs to it. Never empty.
    Token(CompactString),
    /// The model calls a tool.
    Tool(ToolCall),
    /// The reply is complete.
    Done(Finish),
    /// The reply will not be completed. Tokens that came before were good.
    Failed(ReplyFailure),
}

/// How a complete reply ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finish {
    /// Pieces of text that the model sent.
    pub text_pieces: u32,
    /// The configured name of the model that answered; empty for the offline agent.
    pub model: CompactString,
    /// The provider's own count, where it gave one.
    pub usage: Option<Usage>,
    /// The cost in millionths of the currency of the price table, where there is one.
    pub cost_micros: Option<u64>,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FinishReason {
    /// It had finished.
    #[default]
    Stop,
    /// It wants the results of its tools.
    ToolCalls,
    /// It reached `max_tokens`: the last sentence may be half.
    Length,
    /// The provider's filter stopped it.
    ContentFilter,
}

/// Tokens by the provider's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the request.
    pub prompt_tokens: u32,
    /// Tokens of the response, thinking included.
    pub completion_tokens: u32,
    /// Those of `prompt_tokens` that the provider had in its cache.
    pub cached_tokens: u32,
    /// Those of `completion_tokens` that were thinking.
    pub reasoning_tokens: u32,
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
