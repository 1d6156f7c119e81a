//! An answer in flight: its bytes, its deadlines, its place on a connection.

use super::answer::Answer;
use super::attempt::Progress;
use super::failure::Failure;
use super::intake::Intake;
use super::lanes::Place;
use super::provider::Provider;
use super::rejection::{self, Rejection};
use super::reply::{ReplyEvent, Usage};
use calldex_observability::spans::ModelSpan;
use reqwest::{Response, Version};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// After the model has said that it is done: how long the formalities (usage, `[DONE]`) may take.
const FORMALITIES_WAIT: Duration = Duration::from_millis(250);
/// How long the end of a body may take after `[DONE]`, so that its connection can be used again.
const END_OF_BODY_WAIT: Duration = Duration::from_millis(500);

/// An answer that has begun.
pub(super) struct Live {
    answer: Answer,
    intake: Intake,
    /// What ends the answer, once all that came before it is taken.
    failure: Option<Failure>,
    provider: Arc<Provider>,
    progress: Arc<Progress>,
    /// Its first event was there: nobody waits for that any more.
    is_heard: bool,
    /// When the answer last moved on; `None` before it does: until then whoever waits for it has a bound.
    moved_at: Option<Instant>,
    /// Set to an earlier time than needed and moved on when it rings: not reset by every token.
    alarm: Pin<Box<Sleep>>,
    version: Version,
    place: Place,
    span: ModelSpan,
    uncounted: Uncounted,
}

/// Tokens that no provider has counted: those of a reply that is given up.
struct Uncounted {
    provider: Arc<Provider>,
    request_bytes: usize,
    pieces: u32,
    usage: Option<Usage>,
    /// The reply is complete: its count is its end's.
    is_over: bool,
}

impl Drop for Uncounted {
    fn drop(&mut self) {
        match (self.is_over, &self.usage) {
            (true, _) => {}
            // Some servers tell with every chunk.
            (false, Some(usage)) => drop(self.provider.count_tokens(usage)),
            (false, None) => self
                .provider
                .estimate_tokens(self.request_bytes, self.pieces),
        }
    }
}

impl Live {
    pub(super) fn new(
        response: Response,
        intake: Intake,
        provider: &Arc<Provider>,
        progress: Arc<Progress>,
        place: Place,
        request_bytes: usize,
    ) -> Self {
        let version = response.version();
        place.answered(version, Instant::now().into_std());
        Self {
            version,
            answer: Answer::new(response),
            intake,
            failure: None,
            provider: Arc::clone(provider),
            alarm: Box::pin(tokio::time::sleep_until(progress.turn_deadline())),
            progress,
            is_heard: false,
            moved_at: None,
            place,
            span: ModelSpan::default(),
            uncounted: Uncounted {
                provider: Arc::clone(provider),
                request_bytes,
                pieces: 0,
                usage: None,
                is_over: false,
            },
        }
    }

    /// The answer, inside the span that tells of it.
    pub(super) fn within(self, span: ModelSpan) -> Self {
        Self { span, ..self }
    }

    /// The next event; an error ends the answer. `Ok(None)` after `Done`.
    pub(super) fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<ReplyEvent>, Failure>> {
        self.is_heard = true;
        let filled = std::task::ready!(self.poll_fill(cx));
        let event = filled.map(|()| self.intake.next());
        // Not only at its end: the caller may well interrupt such a reply.
        self.learn_of_thoughts();
        self.uncounted.pieces = self.intake.tokens() + self.intake.thoughts();
        self.uncounted.usage = self.intake.usage();
        match &event {
            Ok(Some(ReplyEvent::Done(finish))) => {
                self.uncounted.is_over = true;
                let usage = finish.usage;
                self.span
                    .finished(usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens)));
                // Ends here: what is left of the body is nobody's wait.
                self.span = ModelSpan::default();
            }
            Err(failure) => self.span.failed(failure.kind()),
            _ => {}
        }
        Poll::Ready(event)
    }

    /// Ready when there is an event to be had, or none will follow.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        while !self.intake.has_next() && !self.intake.is_closed() {
            if let Some(failure) = self.failure {
                return Poll::Ready(Err(failure));
            }
            let thoughts = self.intake.thoughts();
            match self.answer.poll_piece(&mut self.intake, cx) {
                Poll::Ready(Some(Ok(true))) => {
                    self.moved_at = Some(Instant::now());
                    // It may be a thought that is not said: no silence either. Later nobody looks at it.
                    if !self.is_heard {
                        self.progress.moved();
                    }
                }
                Poll::Ready(Some(Ok(false))) => {
                    if self.intake.thoughts() > thoughts {
                        self.progress.moved();
                    }
                }
                // Not before what came in the same piece is taken.
                Poll::Ready(Some(Err(failure))) => self.failure = Some(failure),
                Poll::Ready(None) => self.intake.end_of_body()?,
                Poll::Pending => std::task::ready!(self.poll_alarm(cx))?,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when a deadline has passed: with an error, or with the answer closed.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let due = self.due();
            if self.alarm.deadline() > due || self.alarm.is_elapsed() {
                self.alarm.as_mut().reset(due);
            }
            std::task::ready!(self.alarm.as_mut().poll(cx));
            // The answer may have moved on since the alarm was set.
            if self.due() <= Instant::now() {
                return Poll::Ready(self.out_of_time());
            }
        }
    }

    fn due(&self) -> Instant {
        let wait = if self.intake.is_ending() {
            FORMALITIES_WAIT
        } else {
            self.provider.idle_max
        };
        let turn_deadline = self.progress.turn_deadline();
        let idle = self.moved_at.map(|at| at + wait);
        idle.map_or_else(far, |idle| idle.min(turn_deadline))
    }

    fn out_of_time(&mut self) -> Result<(), Failure> {
        if self.intake.is_ending() {
            return self.intake.end();
        }
        Err(if Instant::now() >= self.progress.turn_deadline() {
            Failure::TooLong
        } else {
            Failure::Stalled
        })
    }

    /// Remembers for the next reply whether thoughts came as words.
    pub(super) fn learn_of_thoughts(&self) {
        if let Some(came) = self.intake.lone_thoughts() {
            self.provider.learn_of_thoughts(came);
        }
    }

    /// `failure` before the first event, with what the server said of it.
    pub(super) fn rejection(&self, failure: Failure) -> Rejection {
        match self.intake.error() {
            "" => failure.into(),
            error => rejection::in_stream(error),
        }
    }

    /// The model that answers.
    pub(super) fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    /// Pieces of text so far.
    pub(super) fn tokens(&self) -> u32 {
        self.intake.tokens()
    }

    /// After `Done`: reads the body to its end, which is a few bytes away, so that the connection
    /// can be used again. Bounded, and no caller waits for it.
    pub(super) fn release(self) {
        tokio::spawn(async move {
            let drained = tokio::time::timeout(END_OF_BODY_WAIT, self.answer.drain()).await;
            if drained == Ok(true) {
                self.place.returned(self.version, Instant::now().into_std());
            }
        });
    }
}

/// A day: no deadline at all.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(86_400)
}
