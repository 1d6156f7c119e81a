//! A reply as it comes.

use super::brief::Brief;
use super::failure::Failure;
use super::fallback::{self, Route};
use super::ledger::Ledger;
use super::live::Live;
use super::offline::Recital;
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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finish {
    /// Pieces of text that the model sent.
    pub tokens: u32,
    /// The configured name of the model that answered; empty for the offline agent.
    pub model: CompactString,
    /// The provider's own count, where it gave one.
    pub usage: Option<Usage>,
    /// What that costs, in millionths of the currency of the price table, where there is one.
    pub cost_micros: Option<u64>,
    /// Why the model stopped.
    pub ending: Ending,
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ending {
    /// It had said all.
    #[default]
    Said,
    /// It wants the results of its tools.
    Tools,
    /// It reached `max_tokens`: the last sentence may be half.
    Length,
    /// The provider's filter stopped it.
    Filtered,
}

/// Tokens by the provider's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the question.
    pub prompt_tokens: u32,
    /// Tokens of the answer, thoughts included.
    pub completion_tokens: u32,
    /// Of `prompt_tokens`: those that the provider had in its cache.
    pub cached_tokens: u32,
    /// Of `completion_tokens`: those of thoughts.
    pub reasoning_tokens: u32,
}

/// The stream of a reply. Lives in the task that polls it; dropping it closes the request at once.
/// Ends after `Done` or `Failed`.
#[must_use = "a reply does nothing unless polled"]
pub struct Reply {
    stage: Stage,
}

type Opening = Pin<Box<dyn Future<Output = Result<Live, Failure>> + Send>>;

enum Stage {
    /// Asked by the first poll.
    Asked(Opening),
    /// Nothing has come yet.
    Opening(Opening, Ledger),
    /// Speech has begun.
    Live(Box<Live>, Ledger),
    /// The offline agent speaks.
    Scripted(Recital),
    Over,
}

impl Reply {
    pub(super) fn asked(route: Route, brief: Brief) -> Self {
        Self {
            stage: Stage::Asked(Box::pin(fallback::open(route, brief))),
        }
    }

    pub(super) fn scripted(recital: Recital) -> Self {
        Self {
            stage: Stage::Scripted(recital),
        }
    }

    fn poll_opening(
        mut opening: Opening,
        mut ledger: Ledger,
        cx: &mut Context<'_>,
    ) -> (Stage, Poll<Option<ReplyEvent>>) {
        match opening.as_mut().poll(cx) {
            Poll::Pending => (Stage::Opening(opening, ledger), Poll::Pending),
            Poll::Ready(Ok(live)) => {
                ledger.first_event();
                Self::poll_live(Box::new(live), ledger, cx)
            }
            Poll::Ready(Err(failure)) => {
                ledger.failed();
                (Stage::Over, Poll::Ready(Some(ReplyEvent::Failed(failure))))
            }
        }
    }

    fn poll_live(
        mut live: Box<Live>,
        mut ledger: Ledger,
        cx: &mut Context<'_>,
    ) -> (Stage, Poll<Option<ReplyEvent>>) {
        let event = live.poll_event(cx);
        ledger.tokens(live.tokens());
        match event {
            Poll::Pending => (Stage::Live(live, ledger), Poll::Pending),
            Poll::Ready(Ok(Some(ReplyEvent::Done(mut finish)))) => {
                ledger.done(&mut finish, live.provider());
                live.release();
                (Stage::Over, Poll::Ready(Some(ReplyEvent::Done(finish))))
            }
            Poll::Ready(Ok(event)) => {
                if let Some(ReplyEvent::Tool(call)) = &event {
                    ledger.tool(&call.tool);
                }
                (Stage::Live(live, ledger), Poll::Ready(event))
            }
            Poll::Ready(Err(failure)) => {
                ledger.broke(&failure);
                (Stage::Over, Poll::Ready(Some(ReplyEvent::Failed(failure))))
            }
        }
    }
}

impl Stream for Reply {
    type Item = ReplyEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ReplyEvent>> {
        let (stage, event) = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Asked(opening) => Self::poll_opening(opening, Ledger::open(), cx),
            Stage::Opening(opening, ledger) => Self::poll_opening(opening, ledger, cx),
            Stage::Live(live, ledger) => Self::poll_live(live, ledger, cx),
            Stage::Scripted(mut recital) => {
                let event = recital.poll_event(cx);
                (Stage::Scripted(recital), event)
            }
            Stage::Over => (Stage::Over, Poll::Ready(None)),
        };
        self.stage = stage;
        event
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
