//! A reply as it comes.

use super::invocation::ToolCall;
use super::model_response::ModelResponse;
use super::offline::ScriptedReply;
use super::prompt_context::PromptContext;
use super::reply_failure::ReplyFailure;
use super::reply_metrics::ReplyMetrics;
use super::router::{self, ModelRouter};
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
    /// What that costs, in millionths of the currency of the price table, where there is one.
    pub cost_micros: Option<u64>,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FinishReason {
    /// It had said all.
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
pub struct ReplyStream {
    stage: ReplyStage,
}

type RouterFuture = Pin<Box<dyn Future<Output = Result<ModelResponse, ReplyFailure>> + Send>>;

enum ReplyStage {
    /// Asked by the first poll.
    NotStarted(RouterFuture),
    /// Nothing has come yet.
    Opening(RouterFuture, ReplyMetrics),
    /// Speech has begun.
    Streaming(Box<ModelResponse>, ReplyMetrics),
    /// The offline agent speaks.
    Scripted(ScriptedReply),
    Ended,
}

impl ReplyStream {
    pub(super) fn from_router(route: ModelRouter, prompt_context: PromptContext) -> Self {
        Self {
            stage: ReplyStage::NotStarted(Box::pin(router::open_reply(route, prompt_context))),
        }
    }

    pub(super) fn scripted(scripted_reply: ScriptedReply) -> Self {
        Self {
            stage: ReplyStage::Scripted(scripted_reply),
        }
    }

    fn poll_opening(
        mut opening: RouterFuture,
        mut metrics: ReplyMetrics,
        cx: &mut Context<'_>,
    ) -> (ReplyStage, Poll<Option<ReplyEvent>>) {
        match opening.as_mut().poll(cx) {
            Poll::Pending => (ReplyStage::Opening(opening, metrics), Poll::Pending),
            Poll::Ready(Ok(model_response)) => {
                metrics.record_first_event();
                Self::poll_live(Box::new(model_response), metrics, cx)
            }
            Poll::Ready(Err(failure)) => {
                metrics.record_failed();
                (
                    ReplyStage::Ended,
                    Poll::Ready(Some(ReplyEvent::Failed(failure))),
                )
            }
        }
    }

    fn poll_live(
        mut model_response: Box<ModelResponse>,
        mut metrics: ReplyMetrics,
        cx: &mut Context<'_>,
    ) -> (ReplyStage, Poll<Option<ReplyEvent>>) {
        let event = model_response.poll_event(cx);
        metrics.set_text_pieces(model_response.text_pieces());
        match event {
            Poll::Pending => (
                ReplyStage::Streaming(model_response, metrics),
                Poll::Pending,
            ),
            Poll::Ready(Ok(Some(ReplyEvent::Done(mut finish)))) => {
                metrics.record_done(&mut finish, model_response.provider());
                model_response.drain_in_background();
                (
                    ReplyStage::Ended,
                    Poll::Ready(Some(ReplyEvent::Done(finish))),
                )
            }
            Poll::Ready(Ok(event)) => {
                if let Some(ReplyEvent::Tool(call)) = &event {
                    metrics.record_tool(&call.invocation);
                }
                (
                    ReplyStage::Streaming(model_response, metrics),
                    Poll::Ready(event),
                )
            }
            Poll::Ready(Err(failure)) => {
                metrics.record_interrupted_failure(&failure);
                (
                    ReplyStage::Ended,
                    Poll::Ready(Some(ReplyEvent::Failed(failure))),
                )
            }
        }
    }
}

impl Stream for ReplyStream {
    type Item = ReplyEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ReplyEvent>> {
        let (stage, event) = match std::mem::replace(&mut self.stage, ReplyStage::Ended) {
            ReplyStage::NotStarted(opening) => {
                Self::poll_opening(opening, ReplyMetrics::start(), cx)
            }
            ReplyStage::Opening(opening, metrics) => Self::poll_opening(opening, metrics, cx),
            ReplyStage::Streaming(model_response, metrics) => {
                Self::poll_live(model_response, metrics, cx)
            }
            ReplyStage::Scripted(mut scripted_reply) => {
                let event = scripted_reply.poll_event(cx);
                (ReplyStage::Scripted(scripted_reply), event)
            }
            ReplyStage::Ended => (ReplyStage::Ended, Poll::Ready(None)),
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
