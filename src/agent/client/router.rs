//! Opens a reply: asks the first model, retries it once before the first token if that may help, then asks the
//! fallbacks in order. With hedging, the first fallback is asked in parallel when the model is slow.

use super::attempt::Attempt;
use super::attempt_error::AttemptError;
use super::capabilities::{RequestField, ServerCapabilities, UnopenedThinking};
use super::deadline::AttemptDeadline;
use super::hedge::HedgePolicy;
use super::http_error::retry_delay;
use super::log_redaction;
use super::model_response::ModelResponse;
use super::provider::Provider;
use crate::agent::prompt::prompt_context::PromptContext;
use crate::agent::reply_failure::{ProtocolError, ReplyFailure};
use calldex_observability::catalog;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::select;
use tokio::time::{Instant, sleep, timeout};

/// How long a server may go on loading its model after two first-token timeouts. The call plays fillers meanwhile.
const LOADING_TIMEOUT: Duration = Duration::from_secs(16);
/// Most adaptations of the request to one server within one reply.
const ADAPTATIONS_MAX: usize = 8;

/// The models of a reply in the order in which they are asked, and the bound on the whole turn.
pub(in crate::agent) struct ModelRouter {
    /// At least one.
    pub models: Vec<Arc<Provider>>,
    /// `Some` if hedging is enabled.
    pub hedge: Option<Arc<HedgePolicy>>,
    pub turn_max: Duration,
}

/// The request for one turn's reply.
struct ReplyRequest {
    router: ModelRouter,
    prompt_context: Arc<PromptContext>,
    turn_deadline: Instant,
}

/// Returns the first response that has begun: of the model, of one retry if that may help, or of its fallbacks in
/// order. A model whose circuit breaker is open is skipped at once.
///
/// # Errors
/// The failure of the last attempt, or the failure that opened the circuit breaker.
pub(in crate::agent) async fn open_reply(
    route: ModelRouter,
    prompt_context: PromptContext,
) -> Result<ModelResponse, ReplyFailure> {
    let turn_deadline = Instant::now() + route.turn_max;
    let request = ReplyRequest {
        router: route,
        prompt_context: Arc::new(prompt_context),
        turn_deadline,
    };
    let (first, others) = request
        .router
        .models
        .split_first()
        .ok_or(ReplyFailure::Connect)?;
    match (&request.router.hedge, others.first()) {
        (Some(hedge), Some(second)) => request.ask_hedged(hedge, first, second).await,
        _ => {
            let outcome = request.ask_model(first, true).await;
            request.or_fallbacks(outcome, others).await
        }
    }
}

impl ReplyRequest {
    /// The model's response, or the first response of one of `others`, asked in order.
    async fn or_fallbacks(
        &self,
        first: Result<ModelResponse, ReplyFailure>,
        others: &[Arc<Provider>],
    ) -> Result<ModelResponse, ReplyFailure> {
        let mut outcome = first;
        for other in others {
            if outcome.is_ok() || Instant::now() >= self.turn_deadline {
                break;
            }
            outcome = self.ask_model(other, false).await;
        }
        outcome
    }

    /// Like [`Self::or_fallbacks`], but when the model has sent nothing for the hedging delay, the first fallback
    /// is asked in parallel. The first of the two to send an event is used; the other request is dropped, which
    /// closes it. The fallback is asked at most once.
    async fn ask_hedged(
        &self,
        hedge: &HedgePolicy,
        first: &Arc<Provider>,
        second: &Arc<Provider>,
    ) -> Result<ModelResponse, ReplyFailure> {
        hedge.record_reply();
        let others = &self.router.models[1..];
        let mut primary = pin!(self.ask_model(first, true));
        if let Ok(outcome) = timeout(hedge.after, primary.as_mut()).await {
            return self.or_fallbacks(outcome, others).await;
        }
        let Some(hedge_guard) = hedge.admit(second) else {
            return self.or_fallbacks(primary.await, others).await;
        };
        let mut beside = pin!(self.ask_model(second, false));
        let (outcome, fallback_is_out) = select! {
            biased;
            outcome = primary.as_mut() => (outcome, true),
            outcome = beside.as_mut() => (outcome, false),
        };
        let outcome = match (outcome, fallback_is_out) {
            (Err(_), true) => beside.await.inspect(|_| hedge_guard.won()),
            (Err(_), false) => primary.await,
            (model_response, true) => model_response,
            (model_response, false) => model_response.inspect(|_| hedge_guard.won()),
        };
        self.or_fallbacks(outcome, &others[1..]).await
    }

    /// Asks one model, with the capabilities known of its server. Where the server rejects a part of the request,
    /// asks again without that part, at most [`ADAPTATIONS_MAX`] times. The accepted form is remembered.
    async fn ask_model(
        &self,
        provider: &Arc<Provider>,
        may_retry: bool,
    ) -> Result<ModelResponse, ReplyFailure> {
        provider.admit()?;
        let mut capabilities = provider.known_capabilities();
        let mut changed = false;
        for _ in 0..ADAPTATIONS_MAX {
            let attempt_error = match self.try_with(provider, &capabilities, may_retry).await {
                Ok(model_response) => {
                    if changed {
                        provider.merge_capabilities(&capabilities);
                    }
                    return Ok(model_response);
                }
                Err(attempt_error) => attempt_error,
            };
            let next = self.adapt(provider, &capabilities, &attempt_error);
            let Some(next) =
                next.or_else(|| with_thinking_budget(provider, &capabilities, &attempt_error))
            else {
                self.log_refusal(provider, &attempt_error);
                return Err(attempt_error.failure);
            };
            (capabilities, changed) = (next, true);
        }
        Err(ReplyFailure::Refused(400))
    }

    /// The capabilities without the part that was rejected; `None` if nothing can be left out.
    fn adapt(
        &self,
        provider: &Provider,
        capabilities: &ServerCapabilities,
        attempt_error: &AttemptError,
    ) -> Option<ServerCapabilities> {
        let rejected_part = attempt_error.rejected_part?;
        let told = provider
            .options
            .history_bytes(&self.prompt_context, capabilities);
        let next = capabilities.adapted_to(rejected_part, told)?;
        catalog::MODEL_ADAPTATIONS_TOTAL.increment(&provider.name, rejected_part.label(), 1);
        tracing::warn!(
            model = provider.name,
            parameter = rejected_part.label(),
            code = attempt_error.code,
            reason = log_redaction::redacted(&attempt_error.reason, &self.prompt_context),
            "the model's server rejected a part of the request: asking again without it"
        );
        Some(next)
    }

    /// Logs a rejection as a warning: mostly a wrong key or model name, which the operator must correct.
    fn log_refusal(&self, provider: &Provider, attempt_error: &AttemptError) {
        if let ReplyFailure::Refused(status) = attempt_error.failure {
            tracing::warn!(
                model = provider.name,
                status,
                code = attempt_error.code,
                reason = log_redaction::redacted(&attempt_error.reason, &self.prompt_context),
                "the model's server rejected the request"
            );
        }
        if attempt_error.rejected_part.is_some() {
            // No adaptation was possible: the rejection is final.
            self.record_failure(provider, attempt_error.failure);
        }
    }

    async fn try_with(
        &self,
        provider: &Arc<Provider>,
        capabilities: &ServerCapabilities,
        may_retry: bool,
    ) -> Result<ModelResponse, AttemptError> {
        let began = Instant::now();
        let mut first = self.attempt(provider, capabilities);
        let attempt_error = match self.await_first_event(&mut first).await {
            Ok(model_response) => {
                provider.reset_empty_with_tools();
                return Ok(model_response);
            }
            Err(attempt_error) if !may_retry || attempt_error.rejected_part.is_some() => {
                return Err(attempt_error);
            }
            Err(attempt_error) => attempt_error,
        };
        let left = provider.first_token_max.saturating_sub(began.elapsed());
        let Some(pause) = retry_delay(&attempt_error, left) else {
            return Err(attempt_error);
        };
        sleep(pause).await;
        // This failure, or those of other calls, may have opened the circuit breaker.
        provider.admit()?;
        catalog::MODEL_RETRIES_TOTAL.increment(1);
        // Some servers lose the text where the chat template has tools in a format that they cannot parse.
        let is_lost = attempt_error.failure == ReplyFailure::Protocol(ProtocolError::Empty);
        if is_lost
            && capabilities.supports(RequestField::Tools)
            && !self.prompt_context.built_in_tools.is_empty()
        {
            let model_response = self
                .await_first_event(
                    &mut self.attempt(provider, &capabilities.without(RequestField::Tools)),
                )
                .await?;
            provider.record_empty_with_tools();
            return Ok(model_response);
        }
        let mut second = self.attempt(provider, capabilities);
        if first.is_finished() || !provider.may_load {
            drop(first);
            return self.await_first_event(&mut second).await;
        }
        let mut second = second.into_parallel_retry();
        // A server that is loading its model would abort the loading: the first of the two to answer is used.
        let outcome = select! {
            biased;
            outcome = self.await_first_event(&mut first) => match outcome {
                Ok(model_response) => Ok(model_response),
                Err(_) => self.await_first_event(&mut second).await,
            },
            outcome = self.await_first_event(&mut second) => outcome,
        };
        match outcome {
            Err(attempt_error)
                if attempt_error.failure == ReplyFailure::FirstTokenTimeout
                    && self.router.models.len() == 1 =>
            {
                drop(second);
                self.wait_for_loading(&mut first, attempt_error).await
            }
            outcome => outcome,
        }
    }

    /// Waits on after two first-token timeouts, where the server may be loading the model and there is no other
    /// model to ask: after an apology the caller would ask again and wait as long.
    ///
    /// # Errors
    /// `attempt_error` after [`LOADING_TIMEOUT`], at the end of the turn, or where the model is already loaded.
    async fn wait_for_loading(
        &self,
        attempt: &mut Attempt,
        attempt_error: AttemptError,
    ) -> Result<ModelResponse, AttemptError> {
        let until = (Instant::now() + LOADING_TIMEOUT).min(self.turn_deadline);
        while !attempt.is_finished()
            && attempt.provider().may_need_loading()
            && Instant::now() < until
        {
            match attempt.first_event().await {
                Ok(model_response) => {
                    attempt.provider().record_success();
                    return Ok(model_response);
                }
                Err(other) if other.failure != ReplyFailure::FirstTokenTimeout => {
                    return Err(other);
                }
                Err(_) => {}
            }
        }
        Err(attempt_error)
    }

    fn attempt(&self, provider: &Arc<Provider>, capabilities: &ServerCapabilities) -> Attempt {
        let deadline = AttemptDeadline::new(provider.first_token_max, self.turn_deadline);
        Attempt::new(
            provider,
            Arc::clone(&self.prompt_context),
            *capabilities,
            deadline,
        )
    }

    /// Waits for an attempt's first event, within its bounds.
    async fn await_first_event(
        &self,
        attempt: &mut Attempt,
    ) -> Result<ModelResponse, AttemptError> {
        let span = attempt.take_span();
        let began = Instant::now();
        let outcome = attempt.first_event().await;
        let provider = attempt.provider();
        match outcome {
            Ok(model_response) => {
                provider.record_success();
                span.record_first_token(began.elapsed());
                Ok(model_response.with_span(span))
            }
            Err(attempt_error) => {
                if attempt_error.rejected_part.is_none() {
                    self.record_failure(provider, attempt_error.failure);
                }
                span.record_failure(attempt_error.failure.kind());
                Err(attempt_error)
            }
        }
    }

    fn record_failure(&self, provider: &Provider, failure: ReplyFailure) {
        catalog::MODEL_FAILURES_TOTAL
            .with(failure.kind())
            .increment(1);
        tracing::debug!(
            model = provider.name,
            failure = failure.kind(),
            "an attempt to get a reply failed"
        );
        provider.record_failure(failure);
    }
}

/// The capabilities with a token budget for thinking, where unexpected thinking used up the tokens of the text.
fn with_thinking_budget(
    provider: &Provider,
    capabilities: &ServerCapabilities,
    attempt_error: &AttemptError,
) -> Option<ServerCapabilities> {
    let lone_thoughts = provider.known_capabilities().unopened_thinking;
    let is_new =
        lone_thoughts != capabilities.unopened_thinking && lone_thoughts == UnopenedThinking::Seen;
    let ran_out = attempt_error.failure == ReplyFailure::Protocol(ProtocolError::OutOfTokens);
    let mut next = *capabilities;
    next.unopened_thinking = lone_thoughts;
    (is_new && ran_out).then_some(next)
}
