//! `[model.NAME]`: a model at a provider, and the options of its requests.

use crate::agent::client::endpoint_url::parse_base_url;
use crate::settings::ConfigError;
use calldex_observability::redaction::Secret;
use reqwest::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// OpenAI's API; any other server with the chat completions API can be configured.
pub const BASE_URL: &str = "https://api.openai.com/v1";
/// Small and fast: on the telephone a short time to the first token matters most.
pub const MODEL: &str = "gpt-4o-mini";
/// Longest reply: two or three spoken sentences are under 100 tokens, a minute of speech under 300.
pub const TOKENS_MAX: u32 = 300;
/// Token budget for the thinking of a reasoning model, in addition to that of its text.
pub const THINKING_TOKENS: u32 = 2_000;
/// Longest wait for the first speakable token, for each attempt, in milliseconds.
pub const FIRST_TOKEN_MS_MAX: u64 = 4_000;
/// Longest pause within a reply, in milliseconds.
pub const IDLE_MS_MAX: u64 = 5_000;
/// Longest TCP connect and TLS handshake, in milliseconds.
pub const CONNECT_MS_MAX: u64 = 2_000;
/// Most messages of the conversation that are sent to the model; the oldest are omitted.
pub const HISTORY_MESSAGES_MAX: usize = 60;
/// Most bytes of the conversation that are sent to the model; the oldest messages are omitted.
pub const HISTORY_BYTES_MAX: usize = 24 * 1024;

/// Most tables, and the longest name of one.
const MODELS_MAX: usize = 16;
const NAME_CHARS_MAX: usize = 32;
/// Most extra headers, query parameters and extra fields of the body.
const EXTRAS_MAX: usize = 16;
/// Upper bound of every duration, in milliseconds.
const WAIT_MS_MAX: u64 = 120_000;
/// Fields of the body that the server sets itself: `extra_body` may not set them.
const RESERVED_BODY_FIELDS: [&str; 6] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "tools",
    "functions",
];

/// The models by name.
pub type ModelConfigs = BTreeMap<String, ModelConfig>;

/// One `[model.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Base URL of the model, without `/chat/completions`; may have a query. Default: OpenAI, if there is a key.
    pub base_url: Option<String>,
    /// Query parameters of every request, such as Azure's `api-version`.
    pub query: BTreeMap<String, String>,
    /// Sent as bearer token; at Azure's addresses as `api-key`. May be absent where `base_url` is a local
    /// model.
    #[serde(skip_serializing)]
    pub api_key: Option<Secret>,
    /// The model's name at the provider.
    pub model: String,
    /// Sent with every request, such as `OpenAI-Organization`. Values do not print.
    #[serde(skip_serializing)]
    pub headers: BTreeMap<String, Secret>,
    /// 0 to 2; absent: the provider's default, since some models refuse any other.
    pub temperature: Option<f32>,
    /// For reasoning models: `minimal`, `low`, ... Absent: not sent.
    pub reasoning_effort: Option<String>,
    /// Longest reply in tokens, 16 to 4096.
    pub max_tokens: u32,
    /// Token budget for thinking, in addition to `max_tokens`: reasoning models count thinking in the same limit, and
    /// send no text when it is used up. Absent: 2000 where `reasoning_effort` is set and for OpenAI's reasoning
    /// models, else 0.
    pub thinking_tokens: Option<u32>,
    /// The request field with the token limit. Absent: chosen by the base URL.
    pub max_tokens_as: Option<TokenLimitField>,
    /// Whether the usage is requested at the end of a stream. A server that rejects the field is asked without it.
    pub usage: bool,
    /// Whether tools are offered. A server that rejects them is asked without them.
    pub tools: bool,
    /// How a JSON response is requested. Absent: by a schema at OpenAI and Azure, else `json_object`.
    pub response_format: Option<StructuredOutput>,
    /// Most messages of history that are sent; the oldest are omitted, the system prompt never.
    pub history_messages_max: usize,
    /// Most bytes of history that are sent; the oldest messages are omitted. The last message is always sent.
    pub history_bytes_max: usize,
    /// Longest wait for the first speakable token, for each attempt, in milliseconds. Thinking that arrives restarts it.
    pub first_token_ms_max: u64,
    /// Longest pause within a reply, in milliseconds.
    pub idle_ms_max: u64,
    /// Longest TCP connect and TLS handshake, in milliseconds.
    pub connect_ms_max: u64,
    /// Whether one token is requested at start, and when a call rings after minutes without a request, so that the
    /// server loads the model. Absent: for local base URLs only.
    pub preload: Option<bool>,
    /// The `user` field of every request, for the provider's abuse detection. Never anything of a caller.
    pub user: Option<String>,
    /// Further fields of the request's body, such as `chat_template_kwargs`.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub extra_body: toml::Table,
    /// The price of its tokens.
    pub price: Option<TokenPrice>,
}

/// Prices of a million tokens, in the operator's currency.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenPrice {
    /// Tokens of the request.
    pub input: f64,
    /// Tokens of the request that the provider had in its cache. Absent: as `input`.
    pub cached: Option<f64>,
    /// Tokens of the response, thinking included.
    pub output: f64,
}

/// The request field with the token limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenLimitField {
    /// The field that nearly every compatible server reads.
    MaxTokens,
    /// The field that OpenAI reads since its reasoning models.
    MaxCompletionTokens,
}

/// How a JSON response is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StructuredOutput {
    /// `response_format` with the schema.
    JsonSchema,
    /// `response_format` without it; the prompt describes the form.
    JsonObject,
    /// The prompt only.
    None,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            base_url: None,
            query: BTreeMap::new(),
            api_key: None,
            model: MODEL.to_owned(),
            headers: BTreeMap::new(),
            temperature: None,
            reasoning_effort: None,
            max_tokens: TOKENS_MAX,
            thinking_tokens: None,
            max_tokens_as: None,
            usage: true,
            tools: true,
            response_format: None,
            history_messages_max: HISTORY_MESSAGES_MAX,
            history_bytes_max: HISTORY_BYTES_MAX,
            first_token_ms_max: FIRST_TOKEN_MS_MAX,
            idle_ms_max: IDLE_MS_MAX,
            connect_ms_max: CONNECT_MS_MAX,
            preload: None,
            user: None,
            extra_body: toml::Table::new(),
            price: None,
        }
    }
}

impl ModelConfig {
    /// Whether it has neither a key nor a base URL, so that it cannot be asked.
    pub fn is_unconfigured(&self) -> bool {
        let is_set = |text: &str| !text.trim().is_empty();
        let keyed = self.api_key.as_ref().is_some_and(|key| !key.is_empty());
        !keyed && !self.base_url.as_deref().is_some_and(is_set)
    }

    /// Token budget for thinking, in addition to that of the text.
    pub fn thinking_budget(&self) -> u32 {
        let thinks = || {
            let effort = self.reasoning_effort.as_deref();
            let asked = effort.is_some_and(|effort| effort != "none");
            asked || is_openai_reasoning_model(&self.model) || self.may_stream_unopened_thinking()
        };
        let by_name = || if thinks() { THINKING_TOKENS } else { 0 };
        self.thinking_tokens.unwrap_or_else(by_name)
    }

    /// Token budget for thinking, once thinking was seen in the text.
    pub(super) fn thinking_budget_when_seen(&self) -> u32 {
        self.thinking_tokens.unwrap_or(THINKING_TOKENS)
    }

    /// Whether the chat template of a model of this name may put the opening tag of the thinking into the prompt, so
    /// that a server without a reasoning parser sends the thinking as text before a lone closing tag: DeepSeek-R1 and
    /// its distillations, QwQ, Qwen3, and models whose name says that they think.
    pub(super) fn may_stream_unopened_thinking(&self) -> bool {
        if self.has_thinking_disabled() {
            return false;
        }
        let name = self.model.to_ascii_lowercase();
        let name = name.trim().rsplit('/').next().unwrap_or_default();
        let parts = || name.split(|c: char| !c.is_ascii_alphanumeric());
        let is_denied = ["instruct", "no", "non", "nothink", "nothinking"];
        let says_so = |part: &str| {
            let whole = [
                "r1",
                "z1",
                "think",
                "thinking",
                "thinker",
                "reasoning",
                "reasoner",
            ];
            let begins = ["qwq", "qwen3", "openthinker"];
            whole.contains(&part) || begins.iter().any(|family| part.starts_with(family))
        };
        parts().any(says_so) && !parts().any(|part| is_denied.contains(&part))
    }

    fn has_thinking_disabled(&self) -> bool {
        let template = self.extra_body.get("chat_template_kwargs");
        let switch = template.and_then(|settings| settings.get("enable_thinking"));
        self.reasoning_effort.as_deref() == Some("none")
            || switch.and_then(toml::Value::as_bool) == Some(false)
    }

    pub(super) fn connect_max(&self) -> Duration {
        Duration::from_millis(self.connect_ms_max)
    }

    fn check(&self, name: &str, reply_ms_max: u64) -> Vec<ConfigError> {
        let mut checks = SectionValidator::of(&format!("model.{name}"));
        checks.address("base_url", self.base_url.as_deref());
        checks.key("api_key", self.api_key.as_ref());
        checks.check(
            !self.model.trim().is_empty(),
            "model",
            &self.model,
            "the model's name at the provider, e.g. gpt-4o-mini",
        );
        checks.headers("headers", &self.headers);
        checks.within("query", self.query.len() as u64, 0, EXTRAS_MAX as u64);
        if let Some(temperature) = self.temperature {
            let fits = (0.0..=2.0).contains(&temperature);
            checks.check(fits, "temperature", temperature, "between 0 and 2");
        }
        checks.within("max_tokens", self.max_tokens.into(), 16, 4_096);
        if let Some(thinking) = self.thinking_tokens {
            checks.within("thinking_tokens", thinking.into(), 0, 100_000);
        }
        for (setting, value) in [
            ("first_token_ms_max", self.first_token_ms_max),
            ("idle_ms_max", self.idle_ms_max),
            ("connect_ms_max", self.connect_ms_max),
        ] {
            checks.within(setting, value, 1, WAIT_MS_MAX);
        }
        checks.check(
            self.first_token_ms_max <= reply_ms_max,
            "first_token_ms_max",
            self.first_token_ms_max,
            "at most agent.reply_ms_max",
        );
        checks.within(
            "history_messages_max",
            self.history_messages_max as u64,
            2,
            1_000,
        );
        let bytes = self.history_bytes_max as u64;
        checks.within("history_bytes_max", bytes, 1_024, 1024 * 1024);
        self.check_extra_body(&mut checks);
        self.check_price(&mut checks);
        checks.errors
    }

    fn check_extra_body(&self, checks: &mut SectionValidator) {
        let fields = self.extra_body.len() as u64;
        checks.within("extra_body", fields, 0, EXTRAS_MAX as u64);
        for field in RESERVED_BODY_FIELDS {
            let is_free = !self.extra_body.contains_key(field);
            checks.check(is_free, "extra_body", field, "is set by calldex itself");
        }
    }

    fn check_price(&self, checks: &mut SectionValidator) {
        let Some(price) = &self.price else {
            return;
        };
        for (setting, value) in [
            ("price.input", Some(price.input)),
            ("price.cached", price.cached),
            ("price.output", Some(price.output)),
        ] {
            let value = value.unwrap_or_default();
            let fits = (0.0..=1_000_000.0).contains(&value);
            checks.check(
                fits,
                setting,
                value,
                "the price of a million tokens, 0 or more",
            );
        }
    }
}

/// OpenAI's reasoning models: their token limit includes the thinking.
fn is_openai_reasoning_model(model: &str) -> bool {
    let name = model.trim().rsplit('/').next().unwrap_or_default();
    let is_chat = name.contains("chat");
    let families = ["o1", "o3", "o4", "gpt-5"];
    let begins = |family: &str| {
        let rest = name.strip_prefix(family);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.', ':']))
    };
    !is_chat && families.into_iter().any(begins)
}

/// All errors of the models.
pub(super) fn validate(models: &ModelConfigs, reply_ms_max: u64) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    if models.len() > MODELS_MAX {
        let hint = format!("at most {MODELS_MAX} models");
        errors.push(ConfigError::new("model", models.len(), hint));
    }
    for (name, model) in models {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(plain) {
            let hint = format!(
                "a name of letters, digits, - and _, at most {NAME_CHARS_MAX}: it is a metric label"
            );
            errors.push(ConfigError::new(format!("model.{name}"), "", hint));
        }
        errors.extend(model.check(name, reply_ms_max));
    }
    errors
}

/// Collects the errors of one section.
pub(super) struct SectionValidator {
    section: String,
    pub(super) errors: Vec<ConfigError>,
}

impl SectionValidator {
    pub(super) fn of(section: &str) -> Self {
        Self {
            section: section.to_owned(),
            errors: Vec::new(),
        }
    }

    pub(super) fn check(&mut self, holds: bool, setting: &str, value: impl ToString, hint: &str) {
        if !holds {
            let setting = format!("{}.{setting}", self.section);
            self.errors
                .push(ConfigError::new(setting, value.to_string(), hint));
        }
    }

    pub(super) fn within(&mut self, setting: &str, value: u64, least: u64, most: u64) {
        let fits = (least..=most).contains(&value);
        self.check(fits, setting, value, &format!("between {least} and {most}"));
    }

    /// The value is not shown: a URL may contain a password.
    fn address(&mut self, setting: &str, url: Option<&str>) {
        let Some(url) = url.map(str::trim).filter(|url| !url.is_empty()) else {
            return;
        };
        let hint = "an http or https address, e.g. http://127.0.0.1:11434/v1";
        let is_address = parse_base_url(url).is_some();
        self.check(is_address, setting, "(not an address)", hint);
    }

    fn key(&mut self, setting: &str, key: Option<&Secret>) {
        let sendable = key.is_none_or(|key| HeaderValue::from_str(key.reveal().trim()).is_ok());
        let hint = "a key without line breaks or control characters";
        self.check(sendable, setting, "(hidden)", hint);
    }

    fn headers(&mut self, setting: &str, headers: &BTreeMap<String, Secret>) {
        self.within(setting, headers.len() as u64, 0, EXTRAS_MAX as u64);
        for (name, value) in headers {
            let sendable =
                HeaderName::try_from(name).is_ok() && HeaderValue::from_str(value.reveal()).is_ok();
            let hint = "a valid header name and a value without control characters";
            self.check(sendable, setting, name, hint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_think_have_a_budget_for_it() {
        let thinking = |model: &str, effort: Option<&str>, set: Option<u32>| {
            ModelConfig {
                model: model.into(),
                reasoning_effort: effort.map(str::to_owned),
                thinking_tokens: set,
                ..ModelConfig::default()
            }
            .thinking_budget()
        };
        for model in ["o3-mini", "o1", "gpt-5", "gpt-5-nano", "openai/o4-mini"] {
            assert_eq!(thinking(model, None, None), THINKING_TOKENS, "{model}");
        }
        for model in ["gpt-4o-mini", "gpt-5-chat-latest", "o1ama", "llama3"] {
            assert_eq!(thinking(model, None, None), 0, "{model}");
        }
        assert_eq!(thinking("qwen3", Some("low"), None), THINKING_TOKENS);
        assert_eq!(thinking("qwen3", Some("none"), None), 0);
        for model in [
            "deepseek-r1:7b",
            "Qwen/QwQ-32B",
            "qwen3-30b-a3b-thinking-2507",
            "phi-4-reasoning",
        ] {
            assert_eq!(thinking(model, None, None), THINKING_TOKENS, "{model}");
        }
        for model in [
            "qwen3-4b-instruct-2507",
            "grok-4-fast-non-reasoning",
            "qwen2.5",
            "deepseek-v3",
        ] {
            assert_eq!(thinking(model, None, None), 0, "{model}");
        }
        let quiet = ModelConfig {
            model: "qwen3".into(),
            extra_body: toml::from_str("chat_template_kwargs = { enable_thinking = false }")
                .unwrap(),
            ..ModelConfig::default()
        };
        assert_eq!(quiet.thinking_budget(), 0);
        assert_eq!(thinking("o3", None, Some(500)), 500);
    }
}
