//! An answer in flight: its bytes, its deadlines, its place on a connection.

use super::answer::Answer;
use super::failure::Failure;
use super::intake::Intake;
use super::lanes::Place;
use super::reply::ReplyEvent;
use calldex_observability::spans::ModelSpan;
use reqwest::{Response, Version};
use std::pin::Pin;
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
    idle_max: Duration,
    turn_deadline: Instant,
    /// When the answer last moved on; `None` before it does: the first token has its own deadline.
    moved_at: Option<Instant>,
    /// Set to an earlier time than needed and moved on when it rings: not reset by every token.
    alarm: Pin<Box<Sleep>>,
    version: Version,
    place: Place,
    span: ModelSpan,
}

impl Live {
    pub(super) fn new(
        response: Response,
        intake: Intake,
        idle_max: Duration,
        turn_deadline: Instant,
        place: Place,
    ) -> Self {
        let version = response.version();
        place.answered(version, Instant::now().into_std());
        Self {
            version,
            answer: Answer::new(response),
            intake,
            failure: None,
            idle_max,
            turn_deadline,
            moved_at: None,
            alarm: Box::pin(tokio::time::sleep_until(turn_deadline)),
            place,
            span: ModelSpan::default(),
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
        let filled = std::task::ready!(self.poll_fill(cx));
        let event = filled.map(|()| self.intake.next());
        match &event {
            Ok(Some(ReplyEvent::Done(finish))) => {
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
            match self.answer.poll_piece(&mut self.intake, cx) {
                Poll::Ready(Some(Ok(true))) => self.moved_at = Some(Instant::now()),
                Poll::Ready(Some(Ok(false))) => {}
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
            self.idle_max
        };
        let idle = self.moved_at.map(|at| at + wait);
        idle.map_or(self.turn_deadline, |idle| idle.min(self.turn_deadline))
    }

    fn out_of_time(&mut self) -> Result<(), Failure> {
        if self.intake.is_ending() {
            return self.intake.end();
        }
        Err(if Instant::now() >= self.turn_deadline {
            Failure::TooLong
        } else {
            Failure::Stalled
        })
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
