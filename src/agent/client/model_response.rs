//! A response that is being received: its bytes, its deadlines, its request slot.

use super::attempt_error::{self, AttemptError};
use super::connection_pool::RequestSlot;
use super::deadline::AttemptDeadline;
use super::provider::Provider;
use crate::agent::event::{ReplyEvent, Usage};
use crate::agent::reply_failure::ReplyFailure;
use crate::agent::stream::sse_body::SseBody;
use crate::agent::stream::stream_decoder::StreamDecoder;
use calldex_observability::spans::ModelSpan;
use reqwest::{Response, Version};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// How long the usage chunk and `[DONE]` may take after `finish_reason`.
const FINAL_EVENTS_TIMEOUT: Duration = Duration::from_millis(250);
/// How long the end of the body may take after `[DONE]`; after it the connection can be used again.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// A response that has begun.
pub(in crate::agent) struct ModelResponse {
    body: SseBody,
    decoder: StreamDecoder,
    /// The failure that ends the response, reported after all events before it.
    failure: Option<ReplyFailure>,
    provider: Arc<Provider>,
    deadline: Arc<AttemptDeadline>,
    /// The first event has been delivered: the deadline of the attempt does not apply any more.
    has_started: bool,
    /// When the last event arrived; `None` before the first one, for which the attempt has a deadline.
    last_activity: Option<Instant>,
    /// May fire early and is then set again, so that not every token resets it.
    timer: Pin<Box<Sleep>>,
    version: Version,
    slot: RequestSlot,
    span: ModelSpan,
    token_count_guard: TokenCountGuard,
}

/// Counts the tokens of a reply that is dropped before its end, on drop.
struct TokenCountGuard {
    provider: Arc<Provider>,
    request_bytes: usize,
    pieces: u32,
    usage: Option<Usage>,
    /// The reply is complete, and its tokens are counted by its `Done` event.
    is_complete: bool,
}

impl Drop for TokenCountGuard {
    fn drop(&mut self) {
        match (self.is_complete, &self.usage) {
            (true, _) => {}
            // Some servers send the usage with every chunk.
            (false, Some(usage)) => drop(self.provider.count_tokens(usage)),
            (false, None) => self
                .provider
                .estimate_tokens(self.request_bytes, self.pieces),
        }
    }
}

impl ModelResponse {
    pub(super) fn new(
        response: Response,
        decoder: StreamDecoder,
        provider: &Arc<Provider>,
        deadline: Arc<AttemptDeadline>,
        slot: RequestSlot,
        request_bytes: usize,
    ) -> Self {
        let version = response.version();
        slot.response_started(version, Instant::now().into_std());
        Self {
            version,
            body: SseBody::new(response),
            decoder,
            failure: None,
            provider: Arc::clone(provider),
            timer: Box::pin(tokio::time::sleep_until(deadline.turn_deadline())),
            deadline,
            has_started: false,
            last_activity: None,
            slot,
            span: ModelSpan::default(),
            token_count_guard: TokenCountGuard {
                provider: Arc::clone(provider),
                request_bytes,
                pieces: 0,
                usage: None,
                is_complete: false,
            },
        }
    }

    /// The response with the span that records it.
    pub(super) fn with_span(self, span: ModelSpan) -> Self {
        Self { span, ..self }
    }

    /// The next event; an error ends the response. `Ok(None)` after `Done`.
    pub(in crate::agent) fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<ReplyEvent>, ReplyFailure>> {
        self.has_started = true;
        let filled = std::task::ready!(self.poll_ready(cx));
        let event = filled.map(|()| self.decoder.next());
        // Not only at the end: the caller may interrupt the reply before it.
        self.record_unopened_thinking();
        self.token_count_guard.pieces = self.decoder.text_pieces() + self.decoder.thinking_chunks();
        self.token_count_guard.usage = self.decoder.usage();
        match &event {
            Ok(Some(ReplyEvent::Done(finish))) => {
                self.token_count_guard.is_complete = true;
                let usage = finish.usage;
                self.span.record_usage(
                    usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens)),
                );
                // The span ends here: the rest of the body delays nothing.
                self.span = ModelSpan::default();
            }
            Err(failure) => self.span.record_failure(failure.kind()),
            _ => {}
        }
        Poll::Ready(event)
    }

    /// Ready when an event is available, or when none will follow.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReplyFailure>> {
        while !self.decoder.has_next() && !self.decoder.is_closed() {
            if let Some(failure) = self.failure {
                return Poll::Ready(Err(failure));
            }
            let thoughts = self.decoder.thinking_chunks();
            match self.body.poll_piece(&mut self.decoder, cx) {
                Poll::Ready(Some(Ok(true))) => {
                    self.last_activity = Some(Instant::now());
                    // Thinking counts as activity, too. After the first event the deadline is not used.
                    if !self.has_started {
                        self.deadline.touch();
                    }
                }
                Poll::Ready(Some(Ok(false))) => {
                    if self.decoder.thinking_chunks() > thoughts {
                        self.deadline.touch();
                    }
                }
                // Reported after the events of the same piece.
                Poll::Ready(Some(Err(failure))) => self.failure = Some(failure),
                Poll::Ready(None) => self.decoder.end_of_body()?,
                Poll::Pending => std::task::ready!(self.poll_timer(cx))?,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when a deadline has passed: with an error, or with the response ended.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReplyFailure>> {
        loop {
            let due = self.due_at();
            if self.timer.deadline() > due || self.timer.is_elapsed() {
                self.timer.as_mut().reset(due);
            }
            std::task::ready!(self.timer.as_mut().poll(cx));
            // Events may have arrived since the timer was set.
            if self.due_at() <= Instant::now() {
                return Poll::Ready(self.on_timeout());
            }
        }
    }

    fn due_at(&self) -> Instant {
        let wait = if self.decoder.has_finish_reason() {
            FINAL_EVENTS_TIMEOUT
        } else {
            self.provider.idle_max
        };
        let turn_deadline = self.deadline.turn_deadline();
        let idle = self.last_activity.map(|at| at + wait);
        idle.map_or_else(no_deadline, |idle| idle.min(turn_deadline))
    }

    fn on_timeout(&mut self) -> Result<(), ReplyFailure> {
        if self.decoder.has_finish_reason() {
            return self.decoder.end();
        }
        Err(if Instant::now() >= self.deadline.turn_deadline() {
            ReplyFailure::LimitExceeded
        } else {
            ReplyFailure::Stalled
        })
    }

    /// Remembers for the next reply whether thinking came without an opening tag.
    pub(super) fn record_unopened_thinking(&self) {
        if let Some(came) = self.decoder.unopened_thinking() {
            self.provider.record_unopened_thinking(came);
        }
    }

    /// `failure` before the first event, with the error that the server sent.
    pub(in crate::agent) fn attempt_error(&self, failure: ReplyFailure) -> AttemptError {
        match self.decoder.error() {
            "" => failure.into(),
            error => attempt_error::from_stream_error(error),
        }
    }

    /// The model that sends the response.
    pub(in crate::agent) fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    /// Pieces of text so far.
    pub(in crate::agent) fn text_pieces(&self) -> u32 {
        self.decoder.text_pieces()
    }

    /// After `Done`: reads the last few bytes of the body in a task of its own, so that the connection can be used
    /// again. Takes at most [`DRAIN_TIMEOUT`].
    pub(in crate::agent) fn drain_in_background(self) {
        tokio::spawn(async move {
            let drained = tokio::time::timeout(DRAIN_TIMEOUT, self.body.drain()).await;
            if drained == Ok(true) {
                self.slot
                    .response_finished(self.version, Instant::now().into_std());
            }
        });
    }
}

/// A day from now: as good as no deadline.
fn no_deadline() -> Instant {
    Instant::now() + Duration::from_secs(86_400)
}
