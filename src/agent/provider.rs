//! One provider: where it is, what it is sent, and how it has behaved.

use super::breaker::Breaker;
use super::config::{self, AgentConfig, FallbackConfig, TokenLimit};
use super::failure::Failure;
use super::lanes::{Lanes, Place};
use super::request::Terms;
use super::warmth::Approach;
use crate::config::Fault;
use bytes::Bytes;
use calldex_observability::redaction::Secret;
use calldex_observability::spans::{ModelRequest, ModelSpan};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Url};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a connection opened ahead may take.
const WARM_WAIT: Duration = Duration::from_secs(5);
/// The host that reads `max_completion_tokens`.
const OPENAI_HOST: &str = "api.openai.com";

/// A model somewhere.
pub(super) struct Provider {
    pub terms: Terms,
    /// What the log calls it.
    pub label: &'static str,
    chat: Url,
    models: Url,
    headers: HeaderMap,
    lanes: Lanes,
    breaker: Mutex<Breaker>,
}

/// What sets two providers apart.
struct Whereabouts<'a> {
    label: &'static str,
    setting: &'static str,
    base_url: Option<&'a str>,
    api_key: Option<&'a Secret>,
    model: &'a str,
    limit: Option<TokenLimit>,
    headers: &'a BTreeMap<String, Secret>,
}

impl Provider {
    /// The provider of `config` itself.
    pub(super) fn primary(config: &AgentConfig) -> Result<Arc<Self>, Fault> {
        let at = Whereabouts {
            label: "primary",
            setting: "agent.base_url",
            base_url: config.base_url.as_deref(),
            api_key: config.api_key.as_ref(),
            model: &config.model,
            limit: config.max_tokens_as,
            headers: &config.headers,
        };
        Self::new(config, &at)
    }

    /// The provider that answers when the primary does not.
    pub(super) fn fallback(
        config: &AgentConfig,
        fallback: &FallbackConfig,
    ) -> Result<Arc<Self>, Fault> {
        let at = Whereabouts {
            label: "fallback",
            setting: "agent.fallback.base_url",
            base_url: fallback.base_url.as_deref(),
            api_key: fallback.api_key.as_ref(),
            model: &fallback.model,
            limit: fallback.max_tokens_as,
            headers: &fallback.headers,
        };
        Self::new(config, &at)
    }

    fn new(config: &AgentConfig, at: &Whereabouts<'_>) -> Result<Arc<Self>, Fault> {
        let fault = |remedy: &str| Fault {
            setting: at.setting.to_owned(),
            value: "(not shown)".to_owned(),
            remedy: remedy.to_owned(),
        };
        let base_url = at
            .base_url
            .map(str::trim)
            .filter(|url| !url.is_empty())
            .unwrap_or(config::BASE_URL);
        let base =
            config::parse_address(base_url).ok_or_else(|| fault("an http or https address"))?;
        let headers = headers(at).ok_or_else(|| fault("a key and headers that can be sent"))?;
        let lanes = Lanes::new(&base, config.connect_max())
            .map_err(|_| fault("an address that can be connected to"))?;
        let by_host = match base.host_str() {
            Some(OPENAI_HOST) => TokenLimit::MaxCompletionTokens,
            _ => TokenLimit::MaxTokens,
        };
        Ok(Arc::new(Self {
            terms: Terms::new(config, at.model, at.limit.unwrap_or(by_host)),
            label: at.label,
            chat: below(&base, &["chat", "completions"]),
            models: below(&base, &["models"]),
            headers,
            lanes,
            breaker: Mutex::new(Breaker::new(
                config.breaker_failures_max,
                Duration::from_millis(config.breaker_open_ms),
            )),
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
        let _ = tokio::time::timeout(self.lanes.connect_max(), opening).await;
    }

    /// The span of one request, open.
    pub(super) fn span(&self) -> ModelSpan {
        ModelSpan::open(&ModelRequest {
            model: &self.terms.model,
            host: self.chat.host_str().unwrap_or_default(),
            port: self.chat.port_or_known_default().unwrap_or_default(),
            provider: self.label,
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
        self.breaker().admit(Instant::now())
    }

    /// Speech has begun.
    pub(super) fn succeeded(&self) {
        self.breaker().succeeded();
    }

    /// An attempt failed.
    pub(super) fn failed(&self, failure: Failure) {
        if self.breaker().failed(failure, Instant::now()) {
            tracing::warn!(
                provider = self.label,
                failure = failure.kind(),
                "the model is not waited for, for a while"
            );
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
        let answer = tokio::time::timeout(WARM_WAIT, request.send()).await;
        let version = answer
            .ok()
            .and_then(Result::ok)
            .map(|answer| answer.version());
        place.opened(version, Instant::now());
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn below(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

fn headers(at: &Whereabouts<'_>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        ACCEPT,
        HeaderValue::from_static("text/event-stream, application/json"),
    );
    if let Some(key) = at
        .api_key
        .map(|key| key.reveal().trim())
        .filter(|key| !key.is_empty())
    {
        headers.insert(AUTHORIZATION, sensitive(&format!("Bearer {key}"))?);
    }
    for (name, value) in at.headers {
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

    fn provider(base_url: Option<&str>) -> Arc<Provider> {
        let base_url = base_url.map(str::to_owned);
        let api_key = Some(Secret::new(" key\n"));
        Provider::primary(&AgentConfig {
            base_url,
            api_key,
            ..AgentConfig::default()
        })
        .unwrap()
    }

    #[test]
    fn the_address_may_end_in_a_slash_or_not() {
        for base_url in ["http://localhost:1/v1", "http://localhost:1/v1/"] {
            assert_eq!(
                provider(Some(base_url)).chat.as_str(),
                "http://localhost:1/v1/chat/completions"
            );
        }
        assert_eq!(
            provider(None).models.as_str(),
            "https://api.openai.com/v1/models"
        );
    }

    #[test]
    fn the_longest_reply_is_named_as_the_host_reads_it() {
        assert_eq!(provider(None).terms.limit, TokenLimit::MaxCompletionTokens);
        assert_eq!(
            provider(Some("http://localhost:1/v1")).terms.limit,
            TokenLimit::MaxTokens
        );
    }

    #[test]
    fn the_key_is_sent_trimmed_and_does_not_print() {
        let provider = provider(None);
        assert_eq!(provider.headers[AUTHORIZATION], "Bearer key");
        assert!(!format!("{:?}", provider.headers).contains("Bearer"));
    }
}
