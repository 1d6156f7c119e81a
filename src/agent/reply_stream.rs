//! The stream of one reply's events.

use super::event::ReplyEvent;
use super::offline::ScriptedReply;
use super::reply_failure::ReplyFailure;
use super::reply_metrics::ReplyMetrics;
use crate::agent::client::model_response::ModelResponse;
use crate::agent::client::router::{self, ModelRouter};
use crate::agent::prompt::prompt_context::PromptContext;
use futures_util::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The stream of a reply. Lives in the task that polls it; dropping it closes the request at once.
/// Ends after `Done` or `Failed`.
#[must_use = "a reply does nothing unless polled"]
pub struct ReplyStream {
    stage: ReplyStage,
}

type RouterFuture = Pin<Box<dyn Future<Output = Result<ModelResponse, ReplyFailure>> + Send>>;

enum ReplyStage {
    /// The request is sent at the first poll.
    NotStarted(RouterFuture),
    /// No event has arrived yet.
    Opening(RouterFuture, ReplyMetrics),
    /// Events are arriving.
    Streaming(Box<ModelResponse>, ReplyMetrics),
    /// The reply of the offline agent.
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
