//! One configured model: its URLs, its request options, and the state of its server (circuit breaker, capabilities,
//! loading, connections).

use super::capabilities::{RequestField, ServerCapabilities, UnopenedThinking};
use super::circuit_breaker::CircuitBreaker;
use super::connection_pool::{ConnectionPool, RequestSlot};
use super::endpoint_url;
use super::http_error::check_status;
use super::prewarm::ConnectPlan;
use super::request_body::RequestOptions;
use crate::agent::config::AgentConfig;
use crate::agent::event::Usage;
use crate::agent::model_config::{
    self, ModelConfig, StructuredOutput, TokenLimitField, TokenPrice,
};
use crate::agent::prompt::prompt_context::PromptContext;
use crate::agent::reply_failure::ReplyFailure;
use crate::agent::stream::body_decoder::{read_whole, usage_of};
use crate::net::address::is_local_network;
use crate::settings::ConfigError;
use bytes::Bytes;
use calldex_observability::catalog;
use calldex_observability::spans::{ModelRequestInfo, ModelSpan};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Url};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// How long opening a connection in advance may take.
const PREWARM_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a server may take to load its model; then the request in the background is dropped.
const LOADING_TIMEOUT: Duration = Duration::from_secs(120);
/// After this many responses in a row that are empty only when tools are offered, tools are not offered any more.
const EMPTY_WITH_TOOLS_MAX: u32 = 3;
/// Time between two requests to a server that is loading its model.
pub(super) const LOADING_POLL_INTERVAL: Duration = Duration::from_millis(500);
/// A model that answered within this time is assumed to be loaded: common servers unload one after five minutes
/// at the earliest.
const LOADED_TTL: Duration = Duration::from_secs(240);

/// Bytes of a request per token, for an estimate.
const BYTES_PER_TOKEN: usize = 4;

/// A configured model and the state of its server.
pub(in crate::agent) struct Provider {
    /// Its name in the configuration.
    pub name: String,
    pub options: RequestOptions,
    /// Longest wait for the first event of a response, for each attempt.
    pub first_token_max: Duration,
    /// Longest pause within a response.
    pub idle_max: Duration,
    /// Its server may have to load it: a request that was sent is then not aborted.
    pub may_load: bool,
    price: Option<TokenPrice>,
    chat_url: Url,
    models_url: Url,
    headers: HeaderMap,
    pool: ConnectionPool,
    breaker: Mutex<CircuitBreaker>,
    capabilities: Mutex<ServerCapabilities>,
    /// When it last answered.
    last_response_at: Mutex<Option<Instant>>,
    /// A request in the background is waiting until it is loaded.
    is_loading: AtomicBool,
    /// Responses in a row that were empty with tools offered and not without.
    empty_with_tools: AtomicU32,
}

impl Provider {
    /// The model `[model.<name>]`.
    ///
    /// # Errors
    /// The setting that cannot be used; its value is not shown.
    pub(in crate::agent) fn new(
        agent: &AgentConfig,
        name: &str,
        model: &ModelConfig,
    ) -> Result<Arc<Self>, ConfigError> {
        let fault = |setting: &str, hint: &str| {
            ConfigError::new(format!("model.{name}.{setting}"), "(not shown)", hint)
        };
        let base_url = model.base_url.as_deref().map(str::trim);
        let base_url = base_url
            .filter(|url| !url.is_empty())
            .unwrap_or(model_config::BASE_URL);
        let base = endpoint_url::parse_base_url(base_url)
            .ok_or_else(|| fault("base_url", "an http or https address"))?;
        let headers = headers(model, &base)
            .ok_or_else(|| fault("headers", "a key and headers that can be sent"))?;
        let pool = ConnectionPool::new(&base, model.connect_max())
            .map_err(|_| fault("base_url", "an address that can be connected to"))?;
        catalog::MODEL_TOKENS_TOTAL.init_series(name);
        catalog::MODEL_ADAPTATIONS_TOTAL.init_series(name);
        Ok(Arc::new(Self {
            name: name.to_owned(),
            options: RequestOptions::new(model),
            first_token_max: Duration::from_millis(model.first_token_ms_max),
            idle_max: Duration::from_millis(model.idle_ms_max),
            may_load: model.preload.unwrap_or_else(|| is_local_network(&base)),
            price: model.price,
            chat_url: endpoint_url::chat_completions_url(&base, &model.query),
            models_url: endpoint_url::models_url(&base, &model.query),
            headers,
            pool,
            breaker: Mutex::new(CircuitBreaker::new(
                agent.breaker_failures_max,
                Duration::from_millis(agent.breaker_open_ms),
            )),
            capabilities: Mutex::new(initial_capabilities(model, &base)),
            last_response_at: Mutex::new(None),
            is_loading: AtomicBool::new(false),
            empty_with_tools: AtomicU32::new(0),
        }))
    }

    /// A slot for one request. Where a connection that carries many requests (HTTP/2) is just being opened, waits for
    /// it, at most `connect_ms_max`: requests that begin together would otherwise open one connection each.
    pub(in crate::agent) async fn acquire_slot(self: &Arc<Self>) -> RequestSlot {
        let slot = self.pool.acquire();
        if slot.is_at_half_load() {
            self.prewarm();
        }
        self.await_connection(&slot).await;
        slot
    }

    async fn await_connection(self: &Arc<Self>, slot: &RequestSlot) {
        // Subscribed before the state is read, so that no notification is missed.
        let opening = slot.next_connection();
        match self.pool.connect_plan(slot, Instant::now()) {
            ConnectPlan::ConnectNow => return,
            ConnectPlan::Wait => {}
            ConnectPlan::OpenAndWait => {
                let (provider, beside) = (Arc::clone(self), slot.sibling());
                tokio::spawn(async move { provider.open_connection(&beside).await });
            }
        }
        // If no connection was opened in time, the request opens one by itself.
        let _ = timeout(self.pool.connect_max(), opening).await;
    }

    /// A new span for one request.
    pub(super) fn span(&self) -> ModelSpan {
        ModelSpan::start(&ModelRequestInfo {
            model: &self.options.model,
            host: self.chat_url.host_str().unwrap_or_default(),
            port: self.chat_url.port_or_known_default().unwrap_or_default(),
            configured_name: &self.name,
        })
    }

    /// A chat request with this body.
    pub(in crate::agent) fn chat_request(&self, slot: &RequestSlot, body: Bytes) -> RequestBuilder {
        slot.client()
            .post(self.chat_url.clone())
            .headers(self.headers.clone())
            .body(body)
    }

    /// # Errors
    /// The failure that opened the circuit breaker, while it is open.
    pub(super) fn admit(&self) -> Result<(), ReplyFailure> {
        locked(&self.breaker).admit(Instant::now())
    }

    /// The first event has arrived.
    pub(super) fn record_success(&self) {
        locked(&self.breaker).record_success();
        self.record_response();
    }

    fn record_response(&self) {
        *locked(&self.last_response_at) = Some(Instant::now());
    }

    /// An attempt failed.
    pub(super) fn record_failure(&self, failure: ReplyFailure) {
        if locked(&self.breaker).record_failure(failure, Instant::now()) {
            tracing::warn!(
                model = self.name,
                failure = failure.kind(),
                "the circuit breaker opened: the model is skipped"
            );
        }
    }

    /// The capabilities of its server, as far as they are known.
    pub(in crate::agent) fn known_capabilities(&self) -> ServerCapabilities {
        *locked(&self.capabilities)
    }

    /// A request with these capabilities was accepted after others were rejected: the next ones begin with them.
    pub(in crate::agent) fn merge_capabilities(&self, found: &ServerCapabilities) {
        locked(&self.capabilities).merge(found);
    }

    /// Records whether thinking ended with a closing tag that had no opening tag. Once it did, it is expected.
    pub(super) fn record_unopened_thinking(&self, came: bool) {
        let mut capabilities = locked(&self.capabilities);
        capabilities.unopened_thinking = match (came, capabilities.unopened_thinking) {
            (true, _) | (false, UnopenedThinking::Seen) => UnopenedThinking::Seen,
            (false, _) => UnopenedThinking::Unlikely,
        };
    }

    /// A response was empty with tools offered, and not without. After [`EMPTY_WITH_TOOLS_MAX`] in a row tools are
    /// not offered any more.
    pub(super) fn record_empty_with_tools(&self) {
        let lost = self.empty_with_tools.fetch_add(1, Ordering::Relaxed) + 1;
        if lost == EMPTY_WITH_TOOLS_MAX {
            catalog::MODEL_ADAPTATIONS_TOTAL.increment(&self.name, RequestField::Tools.name(), 1);
            tracing::warn!(
                model = self.name,
                "the model's server sends empty responses when tools are offered: tools are not offered any more"
            );
            let mut takes = locked(&self.capabilities);
            *takes = takes.without(RequestField::Tools);
        }
    }

    /// A response with tools offered was not empty.
    pub(super) fn reset_empty_with_tools(&self) {
        if self.empty_with_tools.load(Ordering::Relaxed) != 0 {
            self.empty_with_tools.store(0, Ordering::Relaxed);
        }
    }

    /// Counts the tokens that the provider reported. Returns their cost in millionths of the currency; `None`
    /// without a price.
    pub(in crate::agent) fn count_tokens(&self, usage: &Usage) -> Option<u64> {
        for (direction, tokens) in [
            ("input", usage.prompt_tokens),
            ("cached", usage.cached_tokens),
            ("output", usage.completion_tokens),
        ] {
            catalog::MODEL_TOKENS_TOTAL.increment(&self.name, direction, tokens.into());
        }
        self.cost_micros(usage)
    }

    /// Counts the tokens of a reply that was dropped after `pieces` of text, by an estimate: a provider reports its
    /// count at the end.
    pub(super) fn estimate_tokens(&self, request_bytes: usize, pieces: u32) {
        let prompt_tokens = u32::try_from(request_bytes / BYTES_PER_TOKEN).unwrap_or(u32::MAX);
        for (direction, tokens) in [
            ("input_estimated", prompt_tokens),
            ("output_estimated", pieces),
        ] {
            catalog::MODEL_TOKENS_TOTAL.increment(&self.name, direction, tokens.into());
        }
        self.cost_micros(&Usage {
            prompt_tokens,
            completion_tokens: pieces,
            ..Usage::default()
        });
    }

    /// The cost of a response in millionths of the currency; `None` without a price.
    fn cost_micros(&self, usage: &Usage) -> Option<u64> {
        let price = self.price?;
        let cached = usage.cached_tokens.min(usage.prompt_tokens);
        let fresh = f64::from(usage.prompt_tokens - cached);
        let input = fresh * price.input + f64::from(cached) * price.cached.unwrap_or(price.input);
        let output = f64::from(usage.completion_tokens) * price.output;
        // The price is for a million tokens, so one token costs that number of millionths.
        let micros = |amount: f64| amount.round() as u64;
        catalog::MODEL_COST_MICROS_TOTAL.increment(&self.name, "input", micros(input));
        catalog::MODEL_COST_MICROS_TOTAL.increment(&self.name, "output", micros(output));
        Some(micros(input) + micros(output))
    }

    /// Whether its server may have to load it before it can answer.
    pub(in crate::agent) fn may_need_loading(&self) -> bool {
        let answered = *locked(&self.last_response_at);
        self.may_load && answered.is_none_or(|at| at.elapsed() >= LOADED_TTL)
    }

    /// Marks a request in the background as waiting for the model; `false` if there is one already.
    fn begin_loading(&self) -> bool {
        !self.is_loading.swap(true, Ordering::AcqRel)
    }

    /// Continues an attempt in the background after its caller has stopped waiting, so that the server does not
    /// abort the loading of the model. One at a time, at most [`LOADING_TIMEOUT`].
    pub(super) fn continue_in_background<T>(
        self: &Arc<Self>,
        attempt: impl Future<Output = Result<T, super::attempt_error::AttemptError>> + Send + 'static,
    ) where
        T: Send + 'static,
    {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if !self.begin_loading() {
            return;
        }
        let provider = Arc::clone(self);
        runtime.spawn(async move {
            if let Ok(Ok(_)) = timeout(LOADING_TIMEOUT, attempt).await {
                provider.record_response();
                tracing::info!(model = provider.name, "the model is loaded");
            }
            provider.is_loading.store(false, Ordering::Release);
        });
    }

    /// Requests one token in the background where the model may have to be loaded, so that it is loaded and has the
    /// prompt that calls begin with in its cache. Returns at once; outside a tokio runtime it does nothing. One at
    /// a time, at most [`LOADING_TIMEOUT`].
    pub(in crate::agent) fn preload(
        self: &Arc<Self>,
        prompt_context: impl FnOnce() -> PromptContext,
    ) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if !self.may_need_loading() || !self.begin_loading() {
            return;
        }
        let (provider, prompt_context) = (Arc::clone(self), prompt_context());
        runtime.spawn(async move {
            let loaded = timeout(LOADING_TIMEOUT, provider.load_model(&prompt_context)).await;
            match loaded {
                Ok(true) => tracing::info!(model = provider.name, "the model is loaded"),
                Ok(false) => tracing::info!(model = provider.name, "the model does not answer yet"),
                Err(_) => {
                    tracing::warn!(
                        model = provider.name,
                        "the model was not loaded in two minutes"
                    );
                }
            }
            provider.is_loading.store(false, Ordering::Release);
        });
    }

    /// Whether one token came. Asks again every [`LOADING_POLL_INTERVAL`] while the server reports that it is loading.
    async fn load_model(self: &Arc<Self>, prompt_context: &PromptContext) -> bool {
        loop {
            let body = self
                .options
                .preload_body(prompt_context, &self.known_capabilities());
            let slot = self.acquire_slot().await;
            let Ok(response) = self.chat_request(&slot, body).send().await else {
                return false;
            };
            match check_status(response).await {
                Ok(response) => {
                    let version = response.version();
                    let Ok(answer) = read_whole(response).await else {
                        return false;
                    };
                    // Any response shows that the model is loaded.
                    slot.response_finished(version, Instant::now());
                    self.record_response();
                    if let Some(usage) = usage_of(&answer) {
                        self.count_tokens(&usage);
                    }
                    return true;
                }
                Err(attempt_error) if attempt_error.is_loading => {
                    sleep(LOADING_POLL_INTERVAL).await
                }
                Err(attempt_error) => {
                    // The model is loaded; the router sends the first reply without the rejected part.
                    return attempt_error.rejected_part.is_some();
                }
            }
        }
    }

    /// Opens a connection in advance if one is needed. Returns at once; outside a tokio runtime it does nothing.
    pub(in crate::agent) fn prewarm(self: &Arc<Self>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if let Some(slot) = self.pool.slot_to_prewarm(Instant::now()) {
            let provider = Arc::clone(self);
            runtime.spawn(async move { provider.open_connection(&slot).await });
        }
    }

    /// Requests the list of models: the cheapest request. Whatever the response, the connection is open then.
    async fn open_connection(&self, slot: &RequestSlot) {
        let request = slot
            .client()
            .head(self.models_url.clone())
            .headers(self.headers.clone());
        let answer = timeout(PREWARM_TIMEOUT, request.send()).await;
        let version = answer
            .ok()
            .and_then(Result::ok)
            .map(|answer| answer.version());
        slot.prewarm_finished(version, Instant::now());
    }
}

/// A poisoned lock is used as it is: the state is valid after every statement.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The capabilities assumed of a server before it has rejected anything.
fn initial_capabilities(model: &ModelConfig, base: &Url) -> ServerCapabilities {
    let limit = match endpoint_url::is_openai(base) {
        true => TokenLimitField::MaxCompletionTokens,
        false => TokenLimitField::MaxTokens,
    };
    let structured = match endpoint_url::is_openai(base) || endpoint_url::is_azure(base) {
        true => StructuredOutput::JsonSchema,
        false => StructuredOutput::JsonObject,
    };
    let mut all = ServerCapabilities::new(
        model.max_tokens_as.unwrap_or(limit),
        model.response_format.unwrap_or(structured),
        model.history_bytes_max,
    );
    if model.may_stream_unopened_thinking() {
        all.unopened_thinking = UnopenedThinking::Likely;
    }
    let unwanted = [
        (RequestField::StreamOptions, !model.usage),
        (RequestField::Tools, !model.tools),
        (RequestField::CacheKey, !endpoint_url::is_openai(base)),
    ];
    let without =
        |takes: ServerCapabilities, (field, unwanted): (RequestField, bool)| match unwanted {
            true => takes.without(field),
            false => takes,
        };
    unwanted.into_iter().fold(all, without)
}

fn headers(model: &ModelConfig, base: &Url) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        ACCEPT,
        HeaderValue::from_static("text/event-stream, application/json"),
    );
    let key = model.api_key.as_ref().map(|key| key.reveal().trim());
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        if endpoint_url::is_azure(base) {
            headers.insert("api-key", sensitive_header(key)?);
        } else {
            headers.insert(AUTHORIZATION, sensitive_header(&format!("Bearer {key}"))?);
        }
    }
    for (name, value) in &model.headers {
        headers.insert(
            HeaderName::try_from(name).ok()?,
            sensitive_header(value.reveal())?,
        );
    }
    Some(headers)
}

fn sensitive_header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use calldex_observability::redaction::Secret;

    fn provider(model: ModelConfig) -> Arc<Provider> {
        Provider::new(&AgentConfig::default(), "default", &model).unwrap()
    }

    fn at(base_url: Option<&str>) -> Arc<Provider> {
        provider(ModelConfig {
            base_url: base_url.map(str::to_owned),
            api_key: Some(Secret::new(" key\n")),
            ..ModelConfig::default()
        })
    }

    #[test]
    fn the_longest_reply_and_json_are_asked_for_as_the_host_reads_them() {
        let openai = at(None).known_capabilities();
        assert_eq!(
            (openai.token_limit_field, openai.structured_output),
            (
                TokenLimitField::MaxCompletionTokens,
                StructuredOutput::JsonSchema
            )
        );
        let local = at(Some("http://localhost:1/v1")).known_capabilities();
        assert_eq!(
            (local.token_limit_field, local.structured_output),
            (TokenLimitField::MaxTokens, StructuredOutput::JsonObject)
        );
    }

    #[test]
    fn thoughts_among_the_words_are_expected_by_name_until_a_reply_shows_otherwise() {
        let named = |name: &str| {
            let base_url = Some("http://localhost:1/v1".to_owned());
            let model = name.to_owned();
            provider(ModelConfig {
                base_url,
                model,
                ..ModelConfig::default()
            })
        };
        let thinker = named("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B");
        assert_eq!(
            thinker.known_capabilities().unopened_thinking,
            UnopenedThinking::Likely
        );
        thinker.record_unopened_thinking(false);
        assert_eq!(
            thinker.known_capabilities().unopened_thinking,
            UnopenedThinking::Unlikely
        );
        let other = named("table-model");
        assert_eq!(
            other.known_capabilities().unopened_thinking,
            UnopenedThinking::Unlikely
        );
        other.record_unopened_thinking(true);
        other.record_unopened_thinking(false);
        assert_eq!(
            other.known_capabilities().unopened_thinking,
            UnopenedThinking::Seen
        );
    }

    #[test]
    fn the_key_is_sent_trimmed_and_does_not_print() {
        let provider = at(None);
        assert_eq!(provider.headers[AUTHORIZATION], "Bearer key");
        assert!(!format!("{:?}", provider.headers).contains("Bearer"));
        let azure = at(Some("https://x.openai.azure.com/openai/v1"));
        assert_eq!(azure.headers["api-key"], "key");
        assert!(!azure.headers.contains_key(AUTHORIZATION));
    }

    #[test]
    fn local_servers_may_have_to_load_and_others_do_not() {
        assert!(at(Some("http://localhost:1/v1")).may_need_loading());
        assert!(!at(None).may_need_loading());
        let local = at(Some("http://localhost:1/v1"));
        local.record_success();
        assert!(!local.may_need_loading());
    }

    #[test]
    fn an_answer_costs_what_the_price_table_says() {
        let price = TokenPrice {
            input: 0.15,
            cached: Some(0.075),
            output: 0.60,
        };
        let priced = provider(ModelConfig {
            price: Some(price),
            api_key: Some(Secret::new("k")),
            ..ModelConfig::default()
        });
        let usage = Usage {
            prompt_tokens: 2_000,
            completion_tokens: 100,
            cached_tokens: 1_000,
            ..Usage::default()
        };
        assert_eq!(priced.cost_micros(&usage), Some(225 + 60));
        assert_eq!(at(None).cost_micros(&usage), None);
    }
}
