//! From a brief to an answer that has begun: the model, once more before the first token if that may help,
//! then its fallbacks; the first fallback beside it when it is slow and that is configured.

use super::attempt::{Attempt, Progress};
use super::brief::Brief;
use super::capabilities::{Capabilities, Field, LoneThoughts};
use super::failure::{Failure, Reason};
use super::hedge::Hedge;
use super::live::Live;
use super::provider::Provider;
use super::reason;
use super::refusal::pause_before_retry;
use super::rejection::Rejection;
use calldex_observability::catalog;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::select;
use tokio::time::{Instant, sleep, timeout};

/// How long a server may load its model beyond two waits for its first token. Whoever waits says so meanwhile.
const LOADING_WAIT_MAX: Duration = Duration::from_secs(16);
/// Changes of a request that one server may ask for in one reply.
const ADAPTATIONS_MAX: usize = 8;

/// Who is asked for a reply, in which order, and how long.
pub(super) struct Route {
    /// At least one.
    pub models: Vec<Arc<Provider>>,
    /// Given where the first fallback may be asked beside the model.
    pub hedge: Option<Arc<Hedge>>,
    pub turn_max: Duration,
}

/// One turn's question, on its way.
struct Question {
    route: Route,
    brief: Arc<Brief>,
    turn_deadline: Instant,
}

/// Asks until an answer has begun: the model, once more if that may help, then its fallbacks in order.
/// A model whose breaker is open is passed over at once.
///
/// # Errors
/// The failure of the last attempt, or of the one that opened the breaker.
pub(super) async fn open(route: Route, brief: Brief) -> Result<Live, Failure> {
    let turn_deadline = Instant::now() + route.turn_max;
    let question = Question {
        route,
        brief: Arc::new(brief),
        turn_deadline,
    };
    let (first, others) = question
        .route
        .models
        .split_first()
        .ok_or(Failure::Connect)?;
    match (&question.route.hedge, others.first()) {
        (Some(hedge), Some(second)) => question.ask_beside(hedge, first, second).await,
        _ => {
            let outcome = question.ask(first, true).await;
            question.or_others(outcome, others).await
        }
    }
}

impl Question {
    /// The model's answer, or that of the first of `others` that has one.
    async fn or_others(
        &self,
        first: Result<Live, Failure>,
        others: &[Arc<Provider>],
    ) -> Result<Live, Failure> {
        let mut outcome = first;
        for other in others {
            if outcome.is_ok() || Instant::now() >= self.turn_deadline {
                break;
            }
            outcome = self.ask(other, false).await;
        }
        outcome
    }

    /// As the others, but when the model has been silent for a while, the first fallback is asked beside
    /// it. Whoever speaks first is heard; the other's request is closed by being dropped. The fallback is
    /// asked once at most.
    async fn ask_beside(
        &self,
        hedge: &Hedge,
        first: &Arc<Provider>,
        second: &Arc<Provider>,
    ) -> Result<Live, Failure> {
        hedge.reply();
        let others = &self.route.models[1..];
        let mut primary = pin!(self.ask(first, true));
        if let Ok(outcome) = timeout(hedge.after, primary.as_mut()).await {
            return self.or_others(outcome, others).await;
        }
        let Some(wager) = hedge.admit(second) else {
            return self.or_others(primary.await, others).await;
        };
        let mut beside = pin!(self.ask(second, false));
        let (outcome, fallback_is_out) = select! {
            biased;
            outcome = primary.as_mut() => (outcome, true),
            outcome = beside.as_mut() => (outcome, false),
        };
        let outcome = match (outcome, fallback_is_out) {
            (Err(_), true) => beside.await.inspect(|_| wager.won()),
            (Err(_), false) => primary.await,
            (live, true) => live,
            (live, false) => live.inspect(|_| wager.won()),
        };
        self.or_others(outcome, &others[1..]).await
    }

    /// Asks one model: in the form that its server is known to take, and in another where the server refuses
    /// a part of it. What was accepted in the end is remembered.
    async fn ask(&self, provider: &Arc<Provider>, twice: bool) -> Result<Live, Failure> {
        provider.admit()?;
        let mut form = provider.capabilities();
        let mut changed = false;
        for _ in 0..ADAPTATIONS_MAX {
            let rejection = match self.try_form(provider, &form, twice).await {
                Ok(live) => {
                    if changed {
                        provider.learn(&form);
                    }
                    return Ok(live);
                }
                Err(rejection) => rejection,
            };
            let next = self.changed(provider, &form, &rejection);
            let Some(next) = next.or_else(|| with_room_for_thoughts(provider, &form, &rejection))
            else {
                self.refused(provider, &rejection);
                return Err(rejection.failure);
            };
            (form, changed) = (next, true);
        }
        Err(Failure::Refused(400))
    }

    /// The form of the request without what was objected to, if there is one.
    fn changed(
        &self,
        provider: &Provider,
        form: &Capabilities,
        rejection: &Rejection,
    ) -> Option<Capabilities> {
        let objection = rejection.objection?;
        let told = provider.terms.told_bytes(&self.brief, form);
        let next = form.after(objection, told)?;
        catalog::MODEL_ADAPTATIONS_TOTAL.increment(&provider.name, objection.label(), 1);
        tracing::warn!(
            model = provider.name,
            parameter = objection.label(),
            code = rejection.code,
            reason = reason::safe(&rejection.reason, &self.brief),
            "the model's server refused a part of the request: asked again without it"
        );
        Some(next)
    }

    /// Mostly a wrong key or model name: the operator's business, so it is said aloud.
    fn refused(&self, provider: &Provider, rejection: &Rejection) {
        if let Failure::Refused(status) = rejection.failure {
            tracing::warn!(
                model = provider.name,
                status,
                code = rejection.code,
                reason = reason::safe(&rejection.reason, &self.brief),
                "the model refused"
            );
        }
        if rejection.objection.is_some() {
            // Until here it was left to the change of the request.
            self.count(provider, rejection.failure);
        }
    }

    async fn try_form(
        &self,
        provider: &Arc<Provider>,
        form: &Capabilities,
        twice: bool,
    ) -> Result<Live, Rejection> {
        let began = Instant::now();
        let mut first = self.attempt(provider, form);
        let rejection = match self.wait(&mut first).await {
            Ok(live) => {
                provider.kept_words_with_tools();
                return Ok(live);
            }
            Err(rejection) if !twice || rejection.objection.is_some() => return Err(rejection),
            Err(rejection) => rejection,
        };
        let left = provider.first_token_max.saturating_sub(began.elapsed());
        let Some(pause) = pause_before_retry(&rejection, left) else {
            return Err(rejection);
        };
        sleep(pause).await;
        // It may have opened by this very failure, or by those of other calls.
        provider.admit()?;
        catalog::MODEL_RETRIES_TOTAL.increment(1);
        // Some servers lose what a model writes where its template knows tools and they do not know its form.
        let is_lost = rejection.failure == Failure::Protocol(Reason::Empty);
        if is_lost && form.takes(Field::Tools) && !self.brief.tools.is_empty() {
            let live = self
                .wait(&mut self.attempt(provider, &form.refusing(Field::Tools)))
                .await?;
            provider.lost_words_with_tools();
            return Ok(live);
        }
        let mut second = self.attempt(provider, form);
        if first.is_over() || !provider.may_load {
            drop(first);
            return self.wait(&mut second).await;
        }
        let mut second = second.beside_another();
        // A server that loads its model would give that up: whoever of the two answers is heard.
        let outcome = select! {
            biased;
            outcome = self.wait(&mut first) => match outcome {
                Ok(live) => Ok(live),
                Err(_) => self.wait(&mut second).await,
            },
            outcome = self.wait(&mut second) => outcome,
        };
        match outcome {
            Err(rejection)
                if rejection.failure == Failure::FirstTokenTimeout
                    && self.route.models.len() == 1 =>
            {
                drop(second);
                self.wait_for_loading(&mut first, rejection).await
            }
            outcome => outcome,
        }
    }

    /// Goes on waiting for a request that both waits were too short for, where its server may be loading the model
    /// and nobody else can be asked: an apology would have the caller ask again, and wait as long.
    ///
    /// # Errors
    /// `rejection` after [`LOADING_WAIT_MAX`], at the end of the turn, or where the model is loaded already.
    async fn wait_for_loading(
        &self,
        attempt: &mut Attempt,
        rejection: Rejection,
    ) -> Result<Live, Rejection> {
        let until = (Instant::now() + LOADING_WAIT_MAX).min(self.turn_deadline);
        while !attempt.is_over() && attempt.provider().is_cold() && Instant::now() < until {
            match attempt.wait().await {
                Ok(live) => {
                    attempt.provider().succeeded();
                    return Ok(live);
                }
                Err(other) if other.failure != Failure::FirstTokenTimeout => return Err(other),
                Err(_) => {}
            }
        }
        Err(rejection)
    }

    fn attempt(&self, provider: &Arc<Provider>, form: &Capabilities) -> Attempt {
        let progress = Progress::new(provider.first_token_max, self.turn_deadline);
        Attempt::new(provider, Arc::clone(&self.brief), *form, progress)
    }

    /// Waits for an attempt's first event, within its bounds.
    async fn wait(&self, attempt: &mut Attempt) -> Result<Live, Rejection> {
        let span = attempt.take_span();
        let began = Instant::now();
        let outcome = attempt.wait().await;
        let provider = attempt.provider();
        match outcome {
            Ok(live) => {
                provider.succeeded();
                span.first_token(began.elapsed());
                Ok(live.within(span))
            }
            Err(rejection) => {
                if rejection.objection.is_none() {
                    self.count(provider, rejection.failure);
                }
                span.failed(rejection.failure.kind());
                Err(rejection)
            }
        }
    }

    fn count(&self, provider: &Provider, failure: Failure) {
        catalog::MODEL_FAILURES_TOTAL
            .with(failure.kind())
            .increment(1);
        tracing::debug!(
            model = provider.name,
            failure = failure.kind(),
            "an attempt at a reply failed"
        );
        provider.failed(failure);
    }
}

/// The form of the request with tokens for the thoughts that used up those of the words, where they were not
/// expected.
fn with_room_for_thoughts(
    provider: &Provider,
    form: &Capabilities,
    rejection: &Rejection,
) -> Option<Capabilities> {
    let lone_thoughts = provider.capabilities().lone_thoughts;
    let is_new = lone_thoughts != form.lone_thoughts && lone_thoughts == LoneThoughts::Seen;
    let ran_out = rejection.failure == Failure::Protocol(Reason::OutOfTokens);
    let mut next = *form;
    next.lone_thoughts = lone_thoughts;
    (is_new && ran_out).then_some(next)
}
