//! Settings of the agent: which model, how long a caller may wait for it, how much it is told.
//!
//! Without a key and without a `base_url` there is no model, and the offline agent speaks.

use crate::config::Fault;
use calldex_observability::redaction::Secret;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// OpenAI's own address; any other that speaks chat completions will do.
pub const BASE_URL: &str = "https://api.openai.com/v1";
/// Small and fast: on the telephone the first token counts more than the last bit of wit.
pub const MODEL: &str = "gpt-4o-mini";
/// Longest reply: two or three spoken sentences are under 100 tokens, a minute of speech under 300.
pub const TOKENS_MAX: u32 = 300;
/// Silence before the first speakable token, for each attempt, in milliseconds.
pub const FIRST_TOKEN_MS_MAX: u64 = 4_000;
/// Silence within a reply, in milliseconds.
pub const IDLE_MS_MAX: u64 = 5_000;
/// A whole reply with its retries, in milliseconds.
pub const TURN_MS_MAX: u64 = 30_000;
/// TCP and TLS, in milliseconds.
pub const CONNECT_MS_MAX: u64 = 2_000;
/// A name judged in the background, in milliseconds.
pub const JUDGE_MS_MAX: u64 = 3_000;
/// Messages of the conversation that the model is told; the oldest are left out.
pub const HISTORY_TURNS_MAX: usize = 60;
/// Bytes of the conversation that the model is told; the oldest are left out.
pub const HISTORY_BYTES_MAX: usize = 24 * 1024;
/// Failures in a row after which a provider is not waited for.
pub const BREAKER_FAILURES_MAX: u32 = 5;
/// How long it is not waited for before one call tries again, in milliseconds.
pub const BREAKER_OPEN_MS: u64 = 10_000;
/// Pause between the offline agent's words, in milliseconds.
pub const OFFLINE_WORD_MS: u64 = 30;

/// Most extra headers.
const HEADERS_MAX: usize = 16;
/// Upper bound of every duration in this room: nobody waits longer on the telephone.
const WAIT_MS_MAX: u64 = 120_000;

/// The agent's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// Where the model is served, up to and without `/chat/completions`. Default: OpenAI, if there is a key.
    pub base_url: Option<String>,
    /// Sent as bearer token. May be absent where `base_url` is a local model.
    #[serde(skip_serializing)]
    pub api_key: Option<Secret>,
    /// The model's name at the provider.
    pub model: String,
    /// 0 to 2; absent: the provider's default, since some models refuse any other.
    pub temperature: Option<f32>,
    /// For models that think before they speak: `minimal`, `low`, ... Absent: not sent.
    pub reasoning_effort: Option<String>,
    /// Longest reply in tokens, 16 to 4096.
    pub max_tokens: u32,
    /// How the longest reply is named on the wire. Absent: by the address.
    pub max_tokens_as: Option<TokenLimit>,
    /// Whether to ask for the usage at the end of a stream; some old servers refuse it.
    pub usage: bool,
    /// Silence before the first speakable token, for each attempt.
    pub first_token_ms_max: u64,
    /// Silence within a reply.
    pub idle_ms_max: u64,
    /// A whole reply with its retries.
    pub turn_ms_max: u64,
    /// TCP and TLS.
    pub connect_ms_max: u64,
    /// A name judged in the background.
    pub judge_ms_max: u64,
    /// Messages of history the model is told; at the bound the oldest are left out, the system prompt never.
    pub history_turns_max: usize,
    /// Bytes of history the model is told; same policy. The last message always goes.
    pub history_bytes_max: usize,
    /// Failures in a row after which the provider is not waited for.
    pub breaker_failures_max: u32,
    /// How long it is not waited for.
    pub breaker_open_ms: u64,
    /// Sent with every request, such as `OpenAI-Organization`. Values do not print.
    #[serde(skip_serializing)]
    pub headers: BTreeMap<String, Secret>,
    /// The `user` field of every request: a hint to the provider's abuse detection. Never a caller.
    pub user: Option<String>,
    /// Who answers when the model above does not.
    pub fallback: Option<FallbackConfig>,
    /// Pause between the offline agent's words.
    pub offline_word_ms: u64,
}

/// A second provider, or a second model at the same one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FallbackConfig {
    /// Absent: OpenAI.
    pub base_url: Option<String>,
    /// Absent: no key is sent.
    #[serde(skip_serializing)]
    pub api_key: Option<Secret>,
    /// The model's name there.
    pub model: String,
    /// As above.
    pub max_tokens_as: Option<TokenLimit>,
    /// After how long a silence of the primary, in milliseconds, the fallback is asked beside it:
    /// whoever speaks first is heard. Costs a second request for at most one reply in ten. Absent:
    /// the fallback is asked only when the primary has failed.
    pub hedge_ms: Option<u64>,
    /// Sent with every request to the fallback.
    #[serde(skip_serializing)]
    pub headers: BTreeMap<String, Secret>,
}

/// The field that carries the longest reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenLimit {
    /// What nearly every compatible server reads.
    MaxTokens,
    /// What OpenAI reads since its reasoning models.
    MaxCompletionTokens,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            base_url: None,
            api_key: None,
            model: MODEL.to_owned(),
            temperature: None,
            reasoning_effort: None,
            max_tokens: TOKENS_MAX,
            max_tokens_as: None,
            usage: true,
            first_token_ms_max: FIRST_TOKEN_MS_MAX,
            idle_ms_max: IDLE_MS_MAX,
            turn_ms_max: TURN_MS_MAX,
            connect_ms_max: CONNECT_MS_MAX,
            judge_ms_max: JUDGE_MS_MAX,
            history_turns_max: HISTORY_TURNS_MAX,
            history_bytes_max: HISTORY_BYTES_MAX,
            breaker_failures_max: BREAKER_FAILURES_MAX,
            breaker_open_ms: BREAKER_OPEN_MS,
            headers: BTreeMap::new(),
            user: None,
            fallback: None,
            offline_word_ms: OFFLINE_WORD_MS,
        }
    }
}

impl Default for FallbackConfig {
    fn default() -> Self {
        Self {
            base_url: None,
            api_key: None,
            model: MODEL.to_owned(),
            max_tokens_as: None,
            hedge_ms: None,
            headers: BTreeMap::new(),
        }
    }
}

impl AgentConfig {
    /// Whether nothing is configured that could be called a model.
    pub fn is_offline(&self) -> bool {
        let keyless = self.api_key.as_ref().is_none_or(Secret::is_empty);
        let placeless = self
            .base_url
            .as_deref()
            .is_none_or(|url| url.trim().is_empty());
        keyless && placeless
    }

    /// Everything that is wrong, at once; empty if all is well.
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults(Vec::new());
        faults.address("agent.base_url", self.base_url.as_deref());
        faults.key("agent.api_key", self.api_key.as_ref());
        faults.model("agent.model", &self.model);
        faults.headers("agent.headers", &self.headers);
        if let Some(temperature) = self.temperature {
            faults.check(
                (0.0..=2.0).contains(&temperature),
                "agent.temperature",
                temperature,
                "between 0 and 2",
            );
        }
        faults.within("agent.max_tokens", self.max_tokens.into(), 16, 4_096);
        for (setting, value) in self.waits() {
            faults.within(setting, value, 1, WAIT_MS_MAX);
        }
        let fits = self.first_token_ms_max <= self.turn_ms_max;
        faults.check(
            fits,
            "agent.first_token_ms_max",
            self.first_token_ms_max,
            "at most agent.turn_ms_max",
        );
        faults.within(
            "agent.history_turns_max",
            self.history_turns_max as u64,
            2,
            1_000,
        );
        faults.within(
            "agent.history_bytes_max",
            self.history_bytes_max as u64,
            1_024,
            1024 * 1024,
        );
        faults.within(
            "agent.breaker_failures_max",
            self.breaker_failures_max.into(),
            1,
            1_000,
        );
        faults.within("agent.offline_word_ms", self.offline_word_ms, 0, 2_000);
        if let Some(fallback) = &self.fallback {
            fallback.validate_into(&mut faults);
            if let Some(hedge_ms) = fallback.hedge_ms {
                faults.within("agent.fallback.hedge_ms", hedge_ms, 1, self.turn_ms_max);
            }
            let remedy = "set agent.api_key or agent.base_url as well, or leave the fallback out";
            faults.check(
                !self.is_offline(),
                "agent.fallback",
                &fallback.model,
                remedy,
            );
        }
        faults.0
    }

    fn waits(&self) -> [(&'static str, u64); 6] {
        [
            ("agent.first_token_ms_max", self.first_token_ms_max),
            ("agent.idle_ms_max", self.idle_ms_max),
            ("agent.turn_ms_max", self.turn_ms_max),
            ("agent.connect_ms_max", self.connect_ms_max),
            ("agent.judge_ms_max", self.judge_ms_max),
            ("agent.breaker_open_ms", self.breaker_open_ms),
        ]
    }

    pub(super) fn connect_max(&self) -> Duration {
        Duration::from_millis(self.connect_ms_max)
    }
}

impl FallbackConfig {
    fn validate_into(&self, faults: &mut Faults) {
        faults.address("agent.fallback.base_url", self.base_url.as_deref());
        faults.key("agent.fallback.api_key", self.api_key.as_ref());
        faults.model("agent.fallback.model", &self.model);
        faults.headers("agent.fallback.headers", &self.headers);
    }
}

/// The faults found so far.
struct Faults(Vec<Fault>);

impl Faults {
    fn check(&mut self, holds: bool, setting: &str, value: impl ToString, remedy: &str) {
        if !holds {
            let (setting, remedy) = (setting.to_owned(), remedy.to_owned());
            self.0.push(Fault {
                setting,
                value: value.to_string(),
                remedy,
            });
        }
    }

    fn within(&mut self, setting: &str, value: u64, least: u64, most: u64) {
        self.check(
            (least..=most).contains(&value),
            setting,
            value,
            &format!("between {least} and {most}"),
        );
    }

    fn model(&mut self, setting: &str, model: &str) {
        self.check(
            !model.trim().is_empty(),
            setting,
            model,
            "the model's name at the provider, e.g. gpt-4o-mini",
        );
    }

    /// The value is not shown: an address may carry a password.
    fn address(&mut self, setting: &str, url: Option<&str>) {
        let Some(url) = url.map(str::trim).filter(|url| !url.is_empty()) else {
            return;
        };
        let remedy = "an http or https address without ?query, e.g. http://127.0.0.1:11434/v1";
        self.check(
            parse_address(url).is_some(),
            setting,
            "(not an address)",
            remedy,
        );
    }

    fn key(&mut self, setting: &str, key: Option<&Secret>) {
        let sendable = key.is_none_or(|key| HeaderValue::from_str(key.reveal().trim()).is_ok());
        self.check(
            sendable,
            setting,
            "(hidden)",
            "a key without line breaks or control characters",
        );
    }

    fn headers(&mut self, setting: &str, headers: &BTreeMap<String, Secret>) {
        self.check(
            headers.len() <= HEADERS_MAX,
            setting,
            headers.len(),
            &format!("at most {HEADERS_MAX} headers"),
        );
        for (name, value) in headers {
            let sendable =
                HeaderName::try_from(name).is_ok() && HeaderValue::from_str(value.reveal()).is_ok();
            self.check(
                sendable,
                setting,
                name,
                "a valid header name and a value without control characters",
            );
        }
    }
}

/// The address in its one form: http or https, with a host, without query or fragment.
pub(super) fn parse_address(url: &str) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.query().is_none()
        && url.fragment().is_none();
    (plain && url.has_host()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faulty(config: &AgentConfig) -> Vec<String> {
        config
            .validate()
            .into_iter()
            .map(|fault| fault.setting)
            .collect()
    }

    #[test]
    fn the_defaults_are_in_order_and_offline() {
        assert_eq!(AgentConfig::default().validate(), []);
        assert!(AgentConfig::default().is_offline());
    }

    #[test]
    fn a_key_or_an_address_makes_it_live() {
        let keyed = AgentConfig {
            api_key: Some(Secret::new("k")),
            ..AgentConfig::default()
        };
        let local = AgentConfig {
            base_url: Some("http://localhost:1/v1".into()),
            ..AgentConfig::default()
        };
        let empty = AgentConfig {
            api_key: Some(Secret::new("")),
            ..AgentConfig::default()
        };
        assert!(!keyed.is_offline() && !local.is_offline() && empty.is_offline());
    }

    #[test]
    fn all_faults_are_told_at_once_and_none_tells_a_secret() {
        let config: AgentConfig = toml::from_str(
            r#"
            base_url = "ftp://hidden-user:hidden-word@example.com"
            api_key = "hidden\nkey"
            model = " "
            temperature = 3.0
            max_tokens = 0
            first_token_ms_max = 50000
            history_turns_max = 0
            [headers]
            "not a header" = "hidden"
            [fallback]
            base_url = "nowhere"
            hedge_ms = 0
            "#,
        )
        .unwrap();
        let expected = [
            "agent.base_url",
            "agent.api_key",
            "agent.model",
            "agent.headers",
            "agent.temperature",
            "agent.max_tokens",
            "agent.first_token_ms_max",
            "agent.history_turns_max",
            "agent.fallback.base_url",
            "agent.fallback.hedge_ms",
        ];
        assert_eq!(faulty(&config), expected);
        assert!(!format!("{:?}", config.validate()).contains("hidden-"));
        assert!(!format!("{config:?}").contains("hidden\\nkey"));
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(toml::from_str::<AgentConfig>("modell = 'x'").is_err());
        assert!(toml::from_str::<AgentConfig>("[fallback]\nmodell = 'x'").is_err());
    }
}
