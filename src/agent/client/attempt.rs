//! One request to one model, until the first event of its response.

use super::attempt_error::AttemptError;
use super::capabilities::{ServerCapabilities, UnopenedThinking};
use super::deadline::AttemptDeadline;
use super::http_error::check_status;
use super::model_response::ModelResponse;
use super::provider::{LOADING_POLL_INTERVAL, Provider};
use crate::agent::prompt::prompt_context::PromptContext;
use crate::agent::reply_failure::ReplyFailure;
use crate::agent::stream::stream_decoder::{DecoderOptions, StreamDecoder};
use bytes::Bytes;
use calldex_observability::spans::ModelSpan;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use tokio::time::{Instant, sleep, timeout_at};

type AttemptFuture = Pin<Box<dyn Future<Output = Result<ModelResponse, AttemptError>> + Send>>;

/// A request in flight. Where the server may be loading the model, a dropped attempt continues in the background,
/// so that the server does not abort the loading.
pub(super) struct Attempt {
    provider: Arc<Provider>,
    deadline: Arc<AttemptDeadline>,
    /// `None` once it has finished.
    future: Option<AttemptFuture>,
    /// An earlier attempt continues in its place when it is dropped.
    is_parallel_retry: bool,
    span: Option<ModelSpan>,
}

impl Attempt {
    /// A request with these capabilities. Nothing is sent before [`Self::first_event`] is polled.
    pub(super) fn new(
        provider: &Arc<Provider>,
        prompt_context: Arc<PromptContext>,
        capabilities: ServerCapabilities,
        deadline: Arc<AttemptDeadline>,
    ) -> Self {
        let body = provider.options.reply_body(&prompt_context, &capabilities);
        let opening = send(
            Arc::clone(provider),
            prompt_context,
            capabilities,
            body,
            Arc::clone(&deadline),
        );
        Self {
            provider: Arc::clone(provider),
            deadline,
            future: Some(Box::pin(opening)),
            is_parallel_retry: false,
            span: Some(provider.span()),
        }
    }

    /// Marks it as sent in parallel to an earlier attempt: it does not continue in the background when dropped.
    pub(super) fn into_parallel_retry(mut self) -> Self {
        self.is_parallel_retry = true;
        self
    }

    pub(in crate::agent) fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    /// Its span, at the first call; an empty one afterwards.
    pub(super) fn take_span(&mut self) -> ModelSpan {
        self.span.take().unwrap_or_default()
    }

    /// Whether it has finished.
    pub(super) fn is_finished(&self) -> bool {
        self.future.is_none()
    }

    /// The response, once the first event has arrived. Cancel-safe: a later call goes on with the same request.
    ///
    /// # Errors
    /// `FirstTokenTimeout` after the silence that the deadline allows; a further call waits as long again. Else the
    /// failure of the request.
    pub(super) async fn first_event(&mut self) -> Result<ModelResponse, AttemptError> {
        let Some(opening) = &mut self.future else {
            return Err(ReplyFailure::FirstTokenTimeout.into());
        };
        if self.deadline.due_at() <= Instant::now() {
            self.deadline.touch();
        }
        let outcome = loop {
            match timeout_at(self.deadline.due_at(), opening.as_mut()).await {
                Ok(outcome) => break outcome,
                Err(_) if self.deadline.due_at() > Instant::now() => {}
                Err(_) => return Err(ReplyFailure::FirstTokenTimeout.into()),
            }
        };
        self.future = None;
        outcome
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(opening) = self.future.take()
            && !self.is_parallel_retry
            && self.provider.may_need_loading()
        {
            self.provider.continue_in_background(opening);
        }
    }
}

async fn send(
    provider: Arc<Provider>,
    prompt_context: Arc<PromptContext>,
    capabilities: ServerCapabilities,
    body: Bytes,
    deadline: Arc<AttemptDeadline>,
) -> Result<ModelResponse, AttemptError> {
    let slot = provider.acquire_slot().await;
    let request_bytes = body.len();
    let response = loop {
        let response = provider
            .chat_request(&slot, body.clone())
            .send()
            .await
            .map_err(|_| ReplyFailure::Connect)?;
        match check_status(response).await {
            Ok(response) => break response,
            Err(attempt_error) if attempt_error.is_loading => {
                deadline.touch();
                sleep(LOADING_POLL_INTERVAL).await;
            }
            Err(attempt_error) => return Err(attempt_error),
        }
    };
    let decoder = StreamDecoder::new(DecoderOptions {
        provider: &provider.name,
        language: &prompt_context.language,
        tool_step: prompt_context.tool_step,
        built_in_tools: &prompt_context.built_in_tools,
        configured_tools: &prompt_context.configured_tools,
        expects_unopened_thinking: capabilities.unopened_thinking != UnopenedThinking::Unlikely,
    });
    let mut model_response =
        ModelResponse::new(response, decoder, &provider, deadline, slot, request_bytes);
    match poll_fn(|cx| model_response.poll_ready(cx)).await {
        Ok(()) => Ok(model_response),
        Err(failure) => {
            model_response.record_unopened_thinking();
            Err(model_response.attempt_error(failure))
        }
    }
}
