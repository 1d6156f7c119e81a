//! Settings of the agent: which models are asked, in which order, and how long a caller waits at most.
//!
//! The models themselves are the tables `[model.NAME]`, see [`super::model_config`]. Where the first model has
//! neither a key nor a `base_url`, the offline agent replies.

use super::model_config::{ModelConfig, ModelConfigs, SectionValidator};
use crate::settings::ConfigError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The model that `OPENAI_API_KEY`, `OPENAI_BASE_URL` and `OPENAI_MODEL` describe.
pub const DEFAULT_MODEL: &str = "default";
/// A whole reply with its retries, in milliseconds.
pub const REPLY_MS_MAX: u64 = 30_000;
/// Longest verification of a name, in the background, in milliseconds.
pub const NAME_VERIFICATION_MS_MAX: u64 = 3_000;
/// Failures in a row after which a model is skipped.
pub const BREAKER_FAILURES_MAX: u32 = 5;
/// How long it is skipped before one request tries it again, in milliseconds.
pub const BREAKER_OPEN_MS: u64 = 10_000;
/// Pause between the offline agent's words, in milliseconds.
pub const OFFLINE_WORD_MS: u64 = 30;

/// Most models that are asked for one reply.
const FALLBACKS_MAX: usize = 4;
/// Upper bound of every duration, in milliseconds.
const WAIT_MS_MAX: u64 = 120_000;

/// `[agent]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// The `[model.NAME]` that is asked, where a line names no other.
    pub model: String,
    /// Names of the models that are asked in this order when that one fails.
    pub fallback: Vec<String>,
    /// Hedging delay in milliseconds: when the model has sent nothing for so long, the first fallback is asked in
    /// parallel, and the first of the two to send an event is used. Costs a second request for at most one reply in
    /// ten. Absent: the fallback is asked only when the model has failed.
    pub hedge_ms: Option<u64>,
    /// Longest reply with its retries and fallbacks, in milliseconds.
    pub reply_ms_max: u64,
    /// Longest verification of a name, in the background, in milliseconds.
    pub name_verification_ms_max: u64,
    /// Failures in a row after which a model is skipped.
    pub breaker_failures_max: u32,
    /// How long it is skipped, in milliseconds.
    pub breaker_open_ms: u64,
    /// Pause between the offline agent's words, in milliseconds.
    pub offline_word_ms: u64,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            model: DEFAULT_MODEL.to_owned(),
            fallback: Vec::new(),
            hedge_ms: None,
            reply_ms_max: REPLY_MS_MAX,
            name_verification_ms_max: NAME_VERIFICATION_MS_MAX,
            breaker_failures_max: BREAKER_FAILURES_MAX,
            breaker_open_ms: BREAKER_OPEN_MS,
            offline_word_ms: OFFLINE_WORD_MS,
        }
    }
}

impl AgentConfig {
    /// The names of the models in the order in which they are asked: the model, then its fallbacks.
    pub fn model_order(&self) -> Vec<String> {
        std::iter::once(&self.model)
            .chain(&self.fallback)
            .cloned()
            .collect()
    }

    /// Whether no model is configured, so that the offline agent replies.
    pub fn is_offline(&self, models: &ModelConfigs) -> bool {
        models
            .get(&self.model)
            .is_none_or(ModelConfig::is_unconfigured)
    }

    /// All errors of these settings and of `models`; empty if there is none.
    pub fn validate(&self, models: &ModelConfigs) -> Vec<ConfigError> {
        let mut errors = super::model_config::validate(models, self.reply_ms_max);
        errors.extend(validate_model_order(
            "agent.model",
            "agent.fallback",
            &self.model_order(),
            models,
        ));
        let mut checks = SectionValidator::of("agent");
        for (setting, value) in [
            ("reply_ms_max", self.reply_ms_max),
            ("name_verification_ms_max", self.name_verification_ms_max),
            ("breaker_open_ms", self.breaker_open_ms),
        ] {
            checks.within(setting, value, 1, WAIT_MS_MAX);
        }
        checks.within(
            "breaker_failures_max",
            self.breaker_failures_max.into(),
            1,
            1_000,
        );
        checks.within("offline_word_ms", self.offline_word_ms, 0, 2_000);
        if let Some(hedge_ms) = self.hedge_ms {
            checks.within("hedge_ms", hedge_ms, 1, self.reply_ms_max);
            let hint = "needs agent.fallback, whose first model is asked in parallel: name one, or leave it out";
            checks.check(!self.fallback.is_empty(), "hedge_ms", hedge_ms, hint);
        }
        errors.extend(checks.errors);
        errors
    }

    pub(super) fn reply_max(&self) -> Duration {
        Duration::from_millis(self.reply_ms_max)
    }
}

/// All errors of `order`, the models of a line: the first is from the setting `model`, the others from `fallback`.
pub fn validate_model_order(
    model: &str,
    fallback: &str,
    order: &[String],
    models: &BTreeMap<String, ModelConfig>,
) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for (at, name) in order.iter().enumerate() {
        let setting = if at == 0 { model } else { fallback };
        let hint = match models.get(name) {
            None => format!(
                "there is no [model.{name}]: name one of {}. The model's name at its provider is model.NAME.model \
                 (OPENAI_MODEL for [model.default])",
                models.keys().cloned().collect::<Vec<_>>().join(", ")
            ),
            Some(config) if at > 0 && config.is_unconfigured() => {
                format!("[model.{name}] has neither api_key nor base_url: set one, or leave it out")
            }
            Some(_) if order[..at].contains(name) => "is named twice".to_owned(),
            Some(_) => continue,
        };
        errors.push(ConfigError::new(setting, name, hint));
    }
    let is_offline = order
        .first()
        .and_then(|name| models.get(name))
        .is_some_and(ModelConfig::is_unconfigured);
    if is_offline && order.len() > 1 {
        let hint = format!(
            "has no effect without a first model: set api_key or base_url of [model.{}] as well, or leave the fallback out",
            order[0]
        );
        errors.push(ConfigError::new(fallback, order[1..].join(", "), hint));
    }
    if order.len() > 1 + FALLBACKS_MAX {
        let hint = format!("at most {FALLBACKS_MAX}");
        errors.push(ConfigError::new(fallback, order.len() - 1, hint));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use calldex_observability::redaction::Secret;

    fn models(tables: &str) -> ModelConfigs {
        toml::from_str(tables).unwrap()
    }

    fn faulty(config: &AgentConfig, models: &ModelConfigs) -> Vec<String> {
        let errors = config.validate(models).into_iter();
        errors.map(|fault| fault.setting).collect()
    }

    #[test]
    fn the_defaults_are_in_order_and_offline() {
        let models = crate::config::Config::default().model;
        assert_eq!(AgentConfig::default().validate(&models), []);
        assert!(AgentConfig::default().is_offline(&models));
    }

    #[test]
    fn a_key_or_an_address_makes_it_live() {
        let with = |key: Option<&str>, base_url: Option<&str>| {
            let model = ModelConfig {
                api_key: key.map(Secret::new),
                base_url: base_url.map(str::to_owned),
                ..ModelConfig::default()
            };
            AgentConfig::default().is_offline(&[(DEFAULT_MODEL.to_owned(), model)].into())
        };
        assert!(!with(Some("k"), None));
        assert!(!with(None, Some("http://localhost:1/v1")));
        assert!(with(Some(""), None) && with(None, None));
    }

    #[test]
    fn all_faults_are_told_at_once_and_none_tells_a_secret() {
        let models = models(
            r#"
            [default]
            base_url = "ftp://hidden-user:hidden-word@example.com"
            api_key = "hidden\nkey"
            model = " "
            temperature = 3.0
            max_tokens = 0
            first_token_ms_max = 50000
            history_messages_max = 0
            extra_body = { messages = [], top_k = 3 }
            [default.headers]
            "not a header" = "hidden"
            [default.price]
            input = -1.0
            [backup]
            base_url = "nowhere"
            [empty]
            ["two words"]
            "#,
        );
        let config = AgentConfig {
            fallback: vec!["backup".into(), "empty".into(), "missing".into()],
            hedge_ms: Some(0),
            ..AgentConfig::default()
        };
        let mut found = faulty(&config, &models);
        found.sort();
        found.dedup();
        assert_eq!(
            found,
            [
                "agent.fallback",
                "agent.hedge_ms",
                "model.backup.base_url",
                "model.default.api_key",
                "model.default.base_url",
                "model.default.extra_body",
                "model.default.first_token_ms_max",
                "model.default.headers",
                "model.default.history_messages_max",
                "model.default.max_tokens",
                "model.default.model",
                "model.default.price.input",
                "model.default.temperature",
                "model.two words",
            ]
        );
        let told = format!("{:?}", config.validate(&models));
        assert!(
            !told.contains("hidden-") && !told.contains("hidden\\n"),
            "{told}"
        );
    }

    #[test]
    fn a_model_that_is_no_table_is_told_with_the_tables_there_are() {
        let config = AgentConfig {
            model: "gpt-4o".into(),
            ..AgentConfig::default()
        };
        let errors = config.validate(&models("[default]\n[fast]"));
        assert!(
            errors[0].hint.contains("default, fast") && errors[0].hint.contains("OPENAI_MODEL")
        );
    }
}
