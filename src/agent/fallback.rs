//! From a brief to an answer that has begun: one retry before the first token, then the fallback;
//! the fallback beside the primary when it is slow and that is configured.

use super::brief::Brief;
use super::config::AgentConfig;
use super::failure::Failure;
use super::hedge::Hedge;
use super::intake::Intake;
use super::live::Live;
use super::provider::Provider;
use super::refusal::{accepted, pause_before_retry};
use bytes::Bytes;
use calldex_observability::catalog;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::select;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Who can be asked, and how long.
pub(super) struct Desk {
    pub primary: Arc<Provider>,
    pub fallback: Option<Arc<Provider>>,
    /// Given where the fallback may be asked beside the primary.
    pub hedge: Option<Hedge>,
    first_token_max: Duration,
    idle_max: Duration,
    turn_max: Duration,
}

impl Desk {
    pub(super) fn new(
        config: &AgentConfig,
        primary: Arc<Provider>,
        fallback: Option<Arc<Provider>>,
    ) -> Self {
        Self {
            primary,
            fallback,
            hedge: config
                .fallback
                .as_ref()
                .and_then(|fallback| fallback.hedge_ms)
                .map(Hedge::new),
            first_token_max: Duration::from_millis(config.first_token_ms_max),
            idle_max: Duration::from_millis(config.idle_ms_max),
            turn_max: Duration::from_millis(config.turn_ms_max),
        }
    }
}

/// One turn's question, on its way.
struct Question {
    desk: Arc<Desk>,
    brief: Brief,
    turn_deadline: Instant,
}

/// Asks until an answer has begun: the primary, once more if that may help, then the fallback.
/// A provider whose breaker is open is passed over at once.
///
/// # Errors
/// The failure of the last attempt, or of the one that opened the breaker.
pub(super) async fn open(desk: Arc<Desk>, brief: Brief) -> Result<Live, Failure> {
    let turn_deadline = Instant::now() + desk.turn_max;
    let question = Question {
        desk,
        brief,
        turn_deadline,
    };
    match (&question.desk.hedge, &question.desk.fallback) {
        (Some(hedge), Some(fallback)) => question.ask_beside(hedge, fallback).await,
        _ => {
            let outcome = question.ask_twice(&question.desk.primary).await;
            question.or_fallback(outcome).await
        }
    }
}

impl Question {
    /// The primary's answer, or the fallback's if there is none.
    async fn or_fallback(&self, primary: Result<Live, Failure>) -> Result<Live, Failure> {
        match (primary, &self.desk.fallback) {
            (Err(_), Some(fallback)) if Instant::now() < self.turn_deadline => {
                fallback.admit()?;
                self.ask_once(fallback).await
            }
            (primary, _) => primary,
        }
    }

    /// As the others, but when the primary has been silent for a while, the fallback is asked
    /// beside it. Whoever speaks first is heard; the other's request is closed by being dropped.
    /// The fallback is asked once at most.
    async fn ask_beside(&self, hedge: &Hedge, fallback: &Arc<Provider>) -> Result<Live, Failure> {
        hedge.reply();
        let mut primary = pin!(self.ask_twice(&self.desk.primary));
        if let Ok(outcome) = timeout(hedge.after, primary.as_mut()).await {
            return self.or_fallback(outcome).await;
        }
        let Some(wager) = hedge.admit(fallback) else {
            return self.or_fallback(primary.await).await;
        };
        let mut second = pin!(self.ask_once(fallback));
        let (outcome, fallback_is_out) = select! {
            biased;
            outcome = primary.as_mut() => (outcome, true),
            outcome = second.as_mut() => (outcome, false),
        };
        match (outcome, fallback_is_out) {
            (Err(_), true) => second.await.inspect(|_| wager.won()),
            (Err(_), false) => primary.await,
            (live, true) => live,
            (live, false) => live.inspect(|_| wager.won()),
        }
    }

    async fn ask_once(&self, provider: &Arc<Provider>) -> Result<Live, Failure> {
        self.ask(provider, provider.terms.body(&self.brief)).await
    }

    async fn ask_twice(&self, provider: &Arc<Provider>) -> Result<Live, Failure> {
        provider.admit()?;
        let body = provider.terms.body(&self.brief);
        let began = Instant::now();
        let failure = match self.ask(provider, body.clone()).await {
            Ok(live) => return Ok(live),
            Err(failure) => failure,
        };
        let left = self.desk.first_token_max.saturating_sub(began.elapsed());
        let Some(pause) = pause_before_retry(&failure, left) else {
            return Err(failure);
        };
        sleep(pause).await;
        // It may have opened by this very failure, or by those of other calls.
        provider.admit()?;
        catalog::MODEL_RETRIES_TOTAL.increment(1);
        self.ask(provider, body).await
    }

    /// One attempt, until its first event.
    async fn ask(&self, provider: &Arc<Provider>, body: Bytes) -> Result<Live, Failure> {
        let began = Instant::now();
        let deadline = (began + self.desk.first_token_max).min(self.turn_deadline);
        let span = provider.span();
        let attempt = timeout_at(deadline, self.begin(provider, body)).await;
        match attempt.unwrap_or(Err(Failure::FirstTokenTimeout)) {
            Ok(live) => {
                provider.succeeded();
                span.first_token(began.elapsed());
                Ok(live.within(span))
            }
            Err(failure) => {
                catalog::MODEL_FAILURES_TOTAL
                    .with(failure.kind())
                    .increment(1);
                tracing::debug!(
                    provider = provider.label,
                    failure = failure.kind(),
                    "an attempt at a reply failed"
                );
                provider.failed(failure);
                span.failed(failure.kind());
                Err(failure)
            }
        }
    }

    async fn begin(&self, provider: &Arc<Provider>, body: Bytes) -> Result<Live, Failure> {
        let place = provider.place().await;
        let response = provider
            .ask(&place, body)
            .send()
            .await
            .map_err(|_| Failure::Connect)?;
        let response = accepted(provider, response).await?;
        let intake = Intake::new(&self.brief.language, self.brief.round);
        let idle_max = self.desk.idle_max;
        let mut live = Live::new(response, intake, idle_max, self.turn_deadline, place);
        poll_fn(|cx| live.poll_fill(cx)).await?;
        Ok(live)
    }
}
