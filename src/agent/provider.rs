//! One model: where it is served, on which terms it is asked, and how its server has behaved.

use super::address;
use super::body::{usage_in, whole};
use super::breaker::Breaker;
use super::brief::Brief;
use super::capabilities::{Capabilities, Field, LoneThoughts};
use super::config::AgentConfig;
use super::failure::Failure;
use super::lanes::{Lanes, Place};
use super::model_config::{self, ModelConfig, Price, Structured, TokenLimit};
use super::refusal::accepted;
use super::reply::Usage;
use super::request::Terms;
use super::warmth::Approach;
use crate::config::Fault;
use bytes::Bytes;
use calldex_observability::catalog;
use calldex_observability::spans::{ModelRequest, ModelSpan};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Url};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// How long a connection opened ahead may take.
const WARM_WAIT: Duration = Duration::from_secs(5);
/// How long a server may take to load its model; a request in the background is given up then.
const LOADING_MAX: Duration = Duration::from_secs(120);
/// So many answers in a row that are empty only where tools are offered tell of the server, not of chance.
const LOST_WITH_TOOLS_MAX: u32 = 3;
/// From one look at a server that loads its model to the next.
pub(super) const LOADING_PAUSE: Duration = Duration::from_millis(500);
/// A model that answered within this time is taken to be loaded: the shortest time after which a common
/// server unloads one is five minutes.
const LOADED_FOR: Duration = Duration::from_secs(240);

/// Bytes of a request that are about one token.
const BYTES_A_TOKEN: usize = 4;

/// A model somewhere.
pub(super) struct Provider {
    /// Its name in the configuration.
    pub name: String,
    pub terms: Terms,
    /// Silence before the first event of an answer, for each attempt.
    pub first_token_max: Duration,
    /// Silence within an answer.
    pub idle_max: Duration,
    /// Its server may have to load it: work that was begun there is not thrown away.
    pub may_load: bool,
    price: Option<Price>,
    chat: Url,
    models: Url,
    headers: HeaderMap,
    lanes: Lanes,
    breaker: Mutex<Breaker>,
    capabilities: Mutex<Capabilities>,
    /// When it last answered.
    answered_at: Mutex<Option<Instant>>,
    /// A request in the background waits for it to be loaded.
    is_loading: AtomicBool,
    /// Answers in a row that were empty with tools on offer and not without.
    lost_with_tools: AtomicU32,
}

impl Provider {
    /// The model `[model.<name>]`.
    ///
    /// # Errors
    /// What of `model` cannot be used; not its values.
    pub(super) fn new(
        agent: &AgentConfig,
        name: &str,
        model: &ModelConfig,
    ) -> Result<Arc<Self>, Fault> {
        let fault = |setting: &str, remedy: &str| {
            Fault::new(format!("model.{name}.{setting}"), "(not shown)", remedy)
        };
        let base_url = model.base_url.as_deref().map(str::trim);
        let base_url = base_url
            .filter(|url| !url.is_empty())
            .unwrap_or(model_config::BASE_URL);
        let base = address::parse_address(base_url)
            .ok_or_else(|| fault("base_url", "an http or https address"))?;
        let headers = headers(model, &base)
            .ok_or_else(|| fault("headers", "a key and headers that can be sent"))?;
        let lanes = Lanes::new(&base, model.connect_max())
            .map_err(|_| fault("base_url", "an address that can be connected to"))?;
        catalog::MODEL_TOKENS_TOTAL.show(name);
        catalog::MODEL_ADAPTATIONS_TOTAL.show(name);
        Ok(Arc::new(Self {
            name: name.to_owned(),
            terms: Terms::new(model),
            first_token_max: Duration::from_millis(model.first_token_ms_max),
            idle_max: Duration::from_millis(model.idle_ms_max),
            may_load: model.preload.unwrap_or_else(|| address::is_local(&base)),
            price: model.price,
            chat: address::chat(&base, &model.query),
            models: address::models(&base, &model.query),
            headers,
            lanes,
            breaker: Mutex::new(Breaker::new(
                agent.breaker_failures_max,
                Duration::from_millis(agent.breaker_open_ms),
            )),
            capabilities: Mutex::new(capabilities(model, &base)),
            answered_at: Mutex::new(None),
            is_loading: AtomicBool::new(false),
            lost_with_tools: AtomicU32::new(0),
        }))
    }

    /// A place for one request. Where a connection carries many replies (HTTP/2) and is just being
    /// opened, waits for it, within `connect_ms_max`: replies that begin together would dial one
    /// each otherwise.
    pub(super) async fn place(self: &Arc<Self>) -> Place {
        let place = self.lanes.take();
        if place.crowds() {
            self.warm();
        }
        self.approach(&place).await;
        place
    }

    async fn approach(self: &Arc<Self>, place: &Place) {
        // Before the look at the lane, so that what is opened in between is not missed.
        let opening = place.opening();
        match self.lanes.approach(place, Instant::now()) {
            Approach::Clear => return,
            Approach::Wait => {}
            Approach::OpenAndWait => {
                let (provider, beside) = (Arc::clone(self), place.beside());
                tokio::spawn(async move { provider.knock(&beside).await });
            }
        }
        // Whatever came of it, or nothing in time: the request then fends for itself.
        let _ = timeout(self.lanes.connect_max(), opening).await;
    }

    /// The span of one request, open.
    pub(super) fn span(&self) -> ModelSpan {
        ModelSpan::open(&ModelRequest {
            model: &self.terms.model,
            host: self.chat.host_str().unwrap_or_default(),
            port: self.chat.port_or_known_default().unwrap_or_default(),
            provider: &self.name,
        })
    }

    /// A request for an answer to `body`.
    pub(super) fn ask(&self, place: &Place, body: Bytes) -> RequestBuilder {
        place
            .client()
            .post(self.chat.clone())
            .headers(self.headers.clone())
            .body(body)
    }

    /// Whether it may be asked now; if not, the failure that keeps it from being asked.
    pub(super) fn admit(&self) -> Result<(), Failure> {
        locked(&self.breaker).admit(Instant::now())
    }

    /// Speech has begun.
    pub(super) fn succeeded(&self) {
        locked(&self.breaker).succeeded();
        self.answered();
    }

    fn answered(&self) {
        *locked(&self.answered_at) = Some(Instant::now());
    }

    /// An attempt failed.
    pub(super) fn failed(&self, failure: Failure) {
        if locked(&self.breaker).failed(failure, Instant::now()) {
            tracing::warn!(
                model = self.name,
                failure = failure.kind(),
                "the model is not waited for, for a while"
            );
        }
    }

    /// What its server takes, as far as is known.
    pub(super) fn capabilities(&self) -> Capabilities {
        *locked(&self.capabilities)
    }

    /// A request of this form was accepted after others were refused: the next ones begin with it.
    pub(super) fn learn(&self, found: &Capabilities) {
        locked(&self.capabilities).learn(found);
    }

    /// Whether its thoughts came before a closing tag without an opening one. Once they did, they are expected.
    pub(super) fn learn_of_thoughts(&self, came: bool) {
        let mut capabilities = locked(&self.capabilities);
        capabilities.lone_thoughts = match (came, capabilities.lone_thoughts) {
            (true, _) | (false, LoneThoughts::Seen) => LoneThoughts::Seen,
            (false, _) => LoneThoughts::Unlikely,
        };
    }

    /// An answer was empty with tools on offer, and without them it was not. After a few in a row tools are
    /// not offered any more.
    pub(super) fn lost_words_with_tools(&self) {
        let lost = self.lost_with_tools.fetch_add(1, Ordering::Relaxed) + 1;
        if lost == LOST_WITH_TOOLS_MAX {
            catalog::MODEL_ADAPTATIONS_TOTAL.increment(&self.name, Field::Tools.name(), 1);
            tracing::warn!(
                model = self.name,
                "the model's server answers nothing where tools are offered: asked without them from now on"
            );
            let mut takes = locked(&self.capabilities);
            *takes = takes.refusing(Field::Tools);
        }
    }

    /// An answer came with tools on offer.
    pub(super) fn kept_words_with_tools(&self) {
        if self.lost_with_tools.load(Ordering::Relaxed) != 0 {
            self.lost_with_tools.store(0, Ordering::Relaxed);
        }
    }

    /// Counts the tokens of an answer, by the provider's own count. What they cost, in millionths; `None` without
    /// a price.
    pub(super) fn count_tokens(&self, usage: &Usage) -> Option<u64> {
        for (direction, tokens) in [
            ("input", usage.prompt_tokens),
            ("cached", usage.cached_tokens),
            ("output", usage.completion_tokens),
        ] {
            catalog::MODEL_TOKENS_TOTAL.increment(&self.name, direction, tokens.into());
        }
        self.cost_micros(usage)
    }

    /// Counts the tokens of a reply that was given up after `pieces` of text, to a request of so many bytes: by
    /// estimate, since a provider tells its count at the end.
    pub(super) fn estimate_tokens(&self, request_bytes: usize, pieces: u32) {
        let prompt_tokens = u32::try_from(request_bytes / BYTES_A_TOKEN).unwrap_or(u32::MAX);
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

    /// What an answer cost, in millionths; `None` without a price.
    fn cost_micros(&self, usage: &Usage) -> Option<u64> {
        let price = self.price?;
        let cached = usage.cached_tokens.min(usage.prompt_tokens);
        let fresh = f64::from(usage.prompt_tokens - cached);
        let input = fresh * price.input + f64::from(cached) * price.cached.unwrap_or(price.input);
        let output = f64::from(usage.completion_tokens) * price.output;
        // A million tokens cost the price, so a token costs as many millionths.
        let micros = |amount: f64| amount.round() as u64;
        catalog::MODEL_COST_MICROS_TOTAL.increment(&self.name, "input", micros(input));
        catalog::MODEL_COST_MICROS_TOTAL.increment(&self.name, "output", micros(output));
        Some(micros(input) + micros(output))
    }

    /// Whether its server may have to load it before it can answer.
    pub(super) fn is_cold(&self) -> bool {
        let answered = *locked(&self.answered_at);
        self.may_load && answered.is_none_or(|at| at.elapsed() >= LOADED_FOR)
    }

    /// Whether a request in the background waits for it to be loaded.
    fn begin_loading(&self) -> bool {
        !self.is_loading.swap(true, Ordering::AcqRel)
    }

    /// Goes on in the background with an attempt that nobody waits for any more, so that the server does not
    /// give up what it has begun to load. One at a time, for at most two minutes.
    pub(super) fn go_on<T>(
        self: &Arc<Self>,
        attempt: impl Future<Output = Result<T, super::rejection::Rejection>> + Send + 'static,
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
            if let Ok(Ok(_)) = timeout(LOADING_MAX, attempt).await {
                provider.answered();
                tracing::info!(model = provider.name, "the model is loaded");
            }
            provider.is_loading.store(false, Ordering::Release);
        });
    }

    /// Asks for one token in the background where the model may have to be loaded, so that it is, and has
    /// read the prompt that calls begin with. Returns at once; outside
    /// of a runtime it does nothing. One at a time, for at most two minutes.
    pub(super) fn preload(self: &Arc<Self>, brief: impl FnOnce() -> Brief) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if !self.is_cold() || !self.begin_loading() {
            return;
        }
        let (provider, brief) = (Arc::clone(self), brief());
        runtime.spawn(async move {
            let loaded = timeout(LOADING_MAX, provider.load(&brief)).await;
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

    /// Whether one token came; asks again while the server says that it loads.
    async fn load(self: &Arc<Self>, brief: &Brief) -> bool {
        loop {
            let body = self.terms.preload(brief, &self.capabilities());
            let place = self.place().await;
            let Ok(response) = self.ask(&place, body).send().await else {
                return false;
            };
            match accepted(response).await {
                Ok(response) => {
                    let version = response.version();
                    let Ok(answer) = whole(response).await else {
                        return false;
                    };
                    // The server has the model when it has an answer, whatever it is.
                    place.returned(version, Instant::now());
                    self.answered();
                    if let Some(usage) = usage_in(&answer) {
                        self.count_tokens(&usage);
                    }
                    return true;
                }
                Err(rejection) if rejection.is_loading => sleep(LOADING_PAUSE).await,
                Err(rejection) => {
                    // What it does not take is left out of the first reply too, if that helps there.
                    return rejection.objection.is_some();
                }
            }
        }
    }

    /// Opens a connection where one is wanted. Returns at once; outside of a runtime it does nothing.
    pub(super) fn warm(self: &Arc<Self>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if let Some(place) = self.lanes.open_ahead(Instant::now()) {
            let provider = Arc::clone(self);
            runtime.spawn(async move { provider.knock(&place).await });
        }
    }

    /// The cheapest request there is; whatever the answer, the connection is then open.
    async fn knock(&self, place: &Place) {
        let request = place
            .client()
            .head(self.models.clone())
            .headers(self.headers.clone());
        let answer = timeout(WARM_WAIT, request.send()).await;
        let version = answer
            .ok()
            .and_then(Result::ok)
            .map(|answer| answer.version());
        place.opened(version, Instant::now());
    }
}

/// What is behind these locks is whole at any moment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a server is taken to take before it has refused anything.
fn capabilities(model: &ModelConfig, base: &Url) -> Capabilities {
    let limit = match address::is_openai(base) {
        true => TokenLimit::MaxCompletionTokens,
        false => TokenLimit::MaxTokens,
    };
    let structured = match address::is_openai(base) || address::is_azure(base) {
        true => Structured::JsonSchema,
        false => Structured::JsonObject,
    };
    let mut all = Capabilities::new(
        model.max_tokens_as.unwrap_or(limit),
        model.structured.unwrap_or(structured),
        model.history_bytes_max,
    );
    if model.may_think_in_words() {
        all.lone_thoughts = LoneThoughts::Likely;
    }
    let unwanted = [
        (Field::StreamOptions, !model.usage),
        (Field::Tools, !model.tools),
        (Field::CacheKey, !address::is_openai(base)),
    ];
    let without = |takes: Capabilities, (field, unwanted): (Field, bool)| match unwanted {
        true => takes.refusing(field),
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
        if address::is_azure(base) {
            headers.insert("api-key", sensitive(key)?);
        } else {
            headers.insert(AUTHORIZATION, sensitive(&format!("Bearer {key}"))?);
        }
    }
    for (name, value) in &model.headers {
        headers.insert(HeaderName::try_from(name).ok()?, sensitive(value.reveal())?);
    }
    Some(headers)
}

fn sensitive(value: &str) -> Option<HeaderValue> {
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
        let openai = at(None).capabilities();
        assert_eq!(
            (openai.limit, openai.structured),
            (TokenLimit::MaxCompletionTokens, Structured::JsonSchema)
        );
        let local = at(Some("http://localhost:1/v1")).capabilities();
        assert_eq!(
            (local.limit, local.structured),
            (TokenLimit::MaxTokens, Structured::JsonObject)
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
        assert_eq!(thinker.capabilities().lone_thoughts, LoneThoughts::Likely);
        thinker.learn_of_thoughts(false);
        assert_eq!(thinker.capabilities().lone_thoughts, LoneThoughts::Unlikely);
        let other = named("table-model");
        assert_eq!(other.capabilities().lone_thoughts, LoneThoughts::Unlikely);
        other.learn_of_thoughts(true);
        other.learn_of_thoughts(false);
        assert_eq!(other.capabilities().lone_thoughts, LoneThoughts::Seen);
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
        assert!(at(Some("http://localhost:1/v1")).is_cold());
        assert!(!at(None).is_cold());
        let local = at(Some("http://localhost:1/v1"));
        local.succeeded();
        assert!(!local.is_cold());
    }

    #[test]
    fn an_answer_costs_what_the_price_table_says() {
        let price = Price {
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
