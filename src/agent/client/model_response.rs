//! An answer in flight: its bytes, its deadlines, its place on a connection.

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

/// After the model has said that it is done: how long the usage chunk and `[DONE]` may take after `finish_reason`.
const FINAL_EVENTS_TIMEOUT: Duration = Duration::from_millis(250);
/// How long the end of a body may take after `[DONE]`, so that its connection can be used again.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// An answer that has begun.
pub(in crate::agent) struct ModelResponse {
    body: SseBody,
    decoder: StreamDecoder,
    /// What ends the answer, once all that came before it is taken.
    failure: Option<ReplyFailure>,
    provider: Arc<Provider>,
    deadline: Arc<AttemptDeadline>,
    /// Its first event was there: nobody waits for that any more.
    has_started: bool,
    /// When the answer last moved on; `None` before it does: until then whoever waits for it has a bound.
    last_activity: Option<Instant>,
    /// Set to an earlier time than needed and moved on when it rings: not reset by every token.
    timer: Pin<Box<Sleep>>,
    version: Version,
    slot: RequestSlot,
    span: ModelSpan,
    token_count_guard: TokenCountGuard,
}

/// Tokens that no provider has counted: those of a reply that is given up.
struct TokenCountGuard {
    provider: Arc<Provider>,
    request_bytes: usize,
    pieces: u32,
    usage: Option<Usage>,
    /// The reply is complete: its count is its end's.
    is_complete: bool,
}

impl Drop for TokenCountGuard {
    fn drop(&mut self) {
        match (self.is_complete, &self.usage) {
            (true, _) => {}
            // Some servers tell with every chunk.
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

    /// The answer, inside the span that tells of it.
    pub(super) fn with_span(self, span: ModelSpan) -> Self {
        Self { span, ..self }
    }

    /// The next event; an error ends the answer. `Ok(None)` after `Done`.
    pub(in crate::agent) fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<ReplyEvent>, ReplyFailure>> {
        self.has_started = true;
        let filled = std::task::ready!(self.poll_ready(cx));
        let event = filled.map(|()| self.decoder.next());
        // Not only at its end: the caller may well interrupt such a reply.
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
                // Ends here: what is left of the body is nobody's wait.
                self.span = ModelSpan::default();
            }
            Err(failure) => self.span.record_failure(failure.kind()),
            _ => {}
        }
        Poll::Ready(event)
    }

    /// Ready when there is an event to be had, or none will follow.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReplyFailure>> {
        while !self.decoder.has_next() && !self.decoder.is_closed() {
            if let Some(failure) = self.failure {
                return Poll::Ready(Err(failure));
            }
            let thoughts = self.decoder.thinking_chunks();
            match self.body.poll_piece(&mut self.decoder, cx) {
                Poll::Ready(Some(Ok(true))) => {
                    self.last_activity = Some(Instant::now());
                    // It may be a thought that is not said: no silence either. Later nobody looks at it.
                    if !self.has_started {
                        self.deadline.touch();
                    }
                }
                Poll::Ready(Some(Ok(false))) => {
                    if self.decoder.thinking_chunks() > thoughts {
                        self.deadline.touch();
                    }
                }
                // Not before what came in the same piece is taken.
                Poll::Ready(Some(Err(failure))) => self.failure = Some(failure),
                Poll::Ready(None) => self.decoder.end_of_body()?,
                Poll::Pending => std::task::ready!(self.poll_timer(cx))?,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when a deadline has passed: with an error, or with the answer closed.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReplyFailure>> {
        loop {
            let due = self.due_at();
            if self.timer.deadline() > due || self.timer.is_elapsed() {
                self.timer.as_mut().reset(due);
            }
            std::task::ready!(self.timer.as_mut().poll(cx));
            // The answer may have moved on since the alarm was set.
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

    /// Remembers for the next reply whether thoughts came as words.
    pub(super) fn record_unopened_thinking(&self) {
        if let Some(came) = self.decoder.unopened_thinking() {
            self.provider.record_unopened_thinking(came);
        }
    }

    /// `failure` before the first event, with what the server said of it.
    pub(in crate::agent) fn attempt_error(&self, failure: ReplyFailure) -> AttemptError {
        match self.decoder.error() {
            "" => failure.into(),
            error => attempt_error::from_stream_error(error),
        }
    }

    /// The model that answers.
    pub(in crate::agent) fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    /// Pieces of text so far.
    pub(in crate::agent) fn text_pieces(&self) -> u32 {
        self.decoder.text_pieces()
    }

    /// After `Done`: reads the body to its end, which is a few bytes away, so that the connection
    /// can be used again. Bounded, and no caller waits for it.
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

/// A day: no deadline at all.
fn no_deadline() -> Instant {
    Instant::now() + Duration::from_secs(86_400)
}
