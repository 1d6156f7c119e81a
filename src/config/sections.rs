//! The settings of the modules that have no configuration file of their own beside their code.

use super::handoff::HandoffSection;
use crate::settings::ConfigError;
use crate::twilio::signature::PublicBaseUrl;
use crate::twilio::twiml::RelayConfig;
use calldex_observability::redaction::Secret;
use calldex_observability::{logs, spans};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// `[server]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSection {
    /// The address of the webhook listener.
    pub listen: SocketAddr,
    /// How Twilio reaches that listener (`https://calls.example.net`, a path prefix is allowed).
    /// Signatures are checked over it. Without it the `Host` header is believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Believe `X-Forwarded-Proto`, `-Host`, `-Port` and `-Prefix`, or `Forwarded`, when there is no
    /// `public_url`. Only behind a proxy that sets them itself.
    pub trust_forwarded: bool,
    /// Where `calls.db` lies.
    pub data: PathBuf,
    /// The name of this instance in conversations and logs; the host's name when empty.
    pub instance: String,
    /// Whether it takes calls. In cluster mode an instance may only hold a copy and vote: the webhook
    /// listener is not opened then.
    pub calls: bool,
    /// On SIGTERM live calls may go on for this long, in milliseconds. Then each is said goodbye to,
    /// and what is written is flushed: allow 30 s more before the process is killed.
    pub drain_ms_max: u64,
    /// Where other instances go on with the calls: on SIGTERM `/readyz` says no for this long, in
    /// milliseconds, before calls move, so that load balancers send nothing here any more.
    pub drain_notice_ms: u64,
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            trust_forwarded: false,
            data: PathBuf::from("data"),
            instance: String::new(),
            calls: true,
            drain_ms_max: 30_000,
            drain_notice_ms: 3_000,
        }
    }
}

/// Whether a URL's host is this machine.
pub(super) fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    ["127.", "localhost", "[::1]"]
        .iter()
        .any(|start| host.starts_with(start))
}

impl ServerSection {
    pub(super) fn validate(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        if let Some(url) = &self.public_url {
            let base = PublicBaseUrl::parse(url);
            let hint = "must be the address Twilio requests, such as https://calls.example.net, \
                          without query or fragment";
            match base {
                Err(_) => errors.push(ConfigError::new("server.public_url", url, hint)),
                Ok(base) if !base.is_tls() && !is_loopback(url) => {
                    let hint = "must be https: Twilio opens the relay's socket over TLS only";
                    errors.push(ConfigError::new("server.public_url", url, hint));
                }
                Ok(_) => {}
            }
        }
        if self.data.as_os_str().is_empty() {
            errors.push(ConfigError::new(
                "server.data",
                "\"\"",
                "must name a directory",
            ));
        }
        errors
    }

    /// The configured name, or the host's, or `calldex`.
    pub fn instance_name(&self) -> String {
        if !self.instance.is_empty() {
            return self.instance.clone();
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim();
        if host.is_empty() {
            "calldex".to_owned()
        } else {
            host.to_owned()
        }
    }
}

/// `[twilio]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TwilioSection {
    /// The account's primary auth token: signs every request of Twilio's.
    #[serde(skip_serializing)]
    pub auth_token: Option<Secret>,
    /// Further tokens that are accepted, tried in order: those of other regions and of sub-accounts,
    /// which sign with their own. As a variable: separated by commas.
    #[serde(skip_serializing, deserialize_with = "secrets")]
    pub auth_tokens: Vec<Secret>,
    /// The previous token, accepted while it is rotated.
    #[serde(skip_serializing)]
    pub auth_token_old: Option<Secret>,
    /// Signs our own call references; derived from the auth token when not set. All instances
    /// need the same.
    #[serde(skip_serializing)]
    pub call_token_secret: Option<Secret>,
    /// The account (`AC…`). With it and the auth token the primary of a cluster can tell
    /// Twilio to redirect the calls of one that is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_sid: Option<String>,
    /// Twilio's REST API, for that.
    pub api_base: String,
    /// How long after the webhook a socket may open with its reference, in seconds.
    pub call_token_s_max: u64,
    /// A call that lost its socket is connected again this often.
    pub reconnects_max: u32,
    /// What happens when the agent hands a call over.
    pub handoff: HandoffSection,
    /// Attributes of `<ConversationRelay>`.
    pub relay: RelayConfig,
    /// Settings of `[twilio.relay]` that differ for the session after a speech or recognition provider
    /// has failed: another provider with its voice and model.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub fallback: toml::Table,
}

impl Default for TwilioSection {
    fn default() -> Self {
        Self {
            auth_token: None,
            auth_tokens: Vec::new(),
            auth_token_old: None,
            call_token_secret: None,
            account_sid: None,
            api_base: "https://api.twilio.com".to_owned(),
            call_token_s_max: 300,
            reconnects_max: 3,
            handoff: HandoffSection::default(),
            relay: RelayConfig::default(),
            fallback: toml::Table::new(),
        }
    }
}

/// A list of secrets, or one text that holds them with commas or white space between. Nothing between two commas is
/// a secret that is missing, and kept as an empty one; behind the last it is not.
fn secrets<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Vec<Secret>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        List(Vec<Secret>),
        Text(Secret),
    }
    Ok(match Written::deserialize(source)? {
        Written::List(list) => list,
        Written::Text(text) => {
            let text = text.reveal().trim();
            let between_commas = text.strip_suffix(',').unwrap_or(text).split(',');
            let tokens = between_commas.flat_map(|between| {
                let is_empty = between.trim().is_empty();
                let tokens = between.split_whitespace().map(Secret::new);
                is_empty.then(|| Secret::new("")).into_iter().chain(tokens)
            });
            tokens.collect()
        }
    })
}

impl TwilioSection {
    /// Every token that signs requests of Twilio's, in the order in which they are tried. The first one
    /// is ours: it also opens Twilio's REST API.
    pub fn tokens(&self) -> impl Iterator<Item = &Secret> {
        self.auth_token
            .iter()
            .chain(&self.auth_tokens)
            .chain(&self.auth_token_old)
    }

    pub(super) fn validate(&self) -> Vec<ConfigError> {
        let mut errors = self.relay.validate("twilio.relay");
        if self.call_token_s_max == 0 {
            errors.push(ConfigError::new(
                "twilio.call_token_s_max",
                0,
                "must be at least 1 second",
            ));
        }
        if self.relay.welcome_greeting.is_some() {
            let hint = "is chosen by caller: set the sentences under [phrases], or [[line]]";
            errors.push(ConfigError::new("twilio.relay.welcome_greeting", "", hint));
        }
        let further = self.auth_tokens.iter().map(|token| ("auth_tokens", token));
        let single = [
            ("auth_token", &self.auth_token),
            ("auth_token_old", &self.auth_token_old),
            ("call_token_secret", &self.call_token_secret),
        ];
        let single = single
            .into_iter()
            .filter_map(|(name, token)| Some((name, token.as_ref()?)));
        for (name, token) in single.chain(further) {
            if token.reveal().trim().is_empty() {
                errors.push(ConfigError::new(
                    format!("twilio.{name}"),
                    "",
                    "is empty: set it or leave it out",
                ));
            }
        }
        errors.extend(self.account_errors());
        errors.extend(self.handoff.validate("twilio.handoff"));
        errors
    }

    fn account_errors(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        let is_api = self.api_base.starts_with("https://")
            || (self.api_base.starts_with("http://") && is_loopback(&self.api_base));
        if !is_api || self.api_base.contains(['?', '#']) {
            let hint = "must be an https address such as https://api.twilio.com: the auth token \
                          is sent there";
            errors.push(ConfigError::new("twilio.api_base", &self.api_base, hint));
        }
        let Some(account) = &self.account_sid else {
            return errors;
        };
        let digits = account.strip_prefix("AC").unwrap_or_default();
        if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let hint = "must be AC and 32 hexadecimal digits, as Twilio's console shows it";
            errors.push(ConfigError::new("twilio.account_sid", account, hint));
        }
        if self.tokens().next().is_none() {
            let hint = "is of no use without the account's auth token: set TWILIO_AUTH_TOKEN too";
            errors.push(ConfigError::new("twilio.account_sid", account, hint));
        }
        errors
    }
}

/// `[call]`: bounds and waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallSection {
    /// Live calls at once; a further caller hears the busy sentence.
    pub live_max: usize,
    /// The greeting waits this long for the directory, in milliseconds.
    pub lookup_ms_max: u64,
    /// After this long without a token a bridging sentence is said.
    pub filler_after_ms: u64,
    /// A reply stands still this long after a sentence of ours before `end` is sent.
    pub goodbye_playback_ms_max: u64,
    /// This long after our last word was played, without one of theirs, the caller is asked whether
    /// they are there; 0: never.
    pub silence_prompt_ms: u64,
    /// This long after that question without an answer they are asked a second time, and this long
    /// after the second one the call ends.
    pub silence_end_ms: u64,
    /// Keys pressed within this time of each other are one answer; `#` ends it at once.
    pub dtmf_wait_ms: u64,
    /// After about this long (a fifth more or less) without a frame one way or the other the socket is
    /// pinged, so that no proxy takes it for idle; 0: never.
    pub ping_ms: u64,
    /// A call ends after this long whatever happens.
    pub duration_s_max: u64,
    /// A call whose socket is lost may come back for this long.
    pub resume_s_max: u64,
    /// A member of the cluster that has not answered for this long is taken for gone, in
    /// milliseconds: its calls are redirected. Twilio itself asks 1.2 s after a socket that it
    /// knows to be lost.
    pub watchdog_ms: u64,
    /// How often one call asks for the caller's name.
    pub name_asks_max: u32,
    /// Requests to the model for one turn of the caller, tool answers included.
    pub tool_steps_max: u8,
    /// Questions in a row that no model answers; at this many the call is handed over, or said goodbye to
    /// where there is nobody. 0: never.
    pub model_failures_max: u32,
    /// Turns one call may have; then the agent says goodbye.
    pub turns_max: u32,
    /// Begin to answer on a partial prompt that reads as finished (needs
    /// `twilio.relay.partial_prompts`); given up when the final prompt differs.
    pub preemptive_generation: bool,
    /// How often one turn of the caller may begin an answer early: the bound on what it costs.
    pub preemptive_attempts_max: u32,
    /// Ask the model about an unsure name in the background.
    pub verify_names: bool,
    /// Use what is known only for callers whose number the network vouches for (STIR A or B); others
    /// are answered as if they had never called.
    pub name_needs_attestation: bool,
}

impl Default for CallSection {
    fn default() -> Self {
        Self {
            live_max: 5_000,
            lookup_ms_max: 100,
            filler_after_ms: 1_500,
            goodbye_playback_ms_max: 10_000,
            silence_prompt_ms: 10_000,
            silence_end_ms: 10_000,
            dtmf_wait_ms: 600,
            ping_ms: 25_000,
            duration_s_max: 4 * 3_600,
            resume_s_max: 60,
            watchdog_ms: 2_000,
            name_asks_max: 2,
            tool_steps_max: 3,
            model_failures_max: 3,
            turns_max: 2_000,
            preemptive_generation: false,
            preemptive_attempts_max: 1,
            verify_names: true,
            name_needs_attestation: false,
        }
    }
}

impl CallSection {
    pub(super) fn validate(&self) -> Vec<ConfigError> {
        let at_least_one = [
            ("live_max", self.live_max as u64),
            ("lookup_ms_max", self.lookup_ms_max),
            ("filler_after_ms", self.filler_after_ms),
            ("goodbye_playback_ms_max", self.goodbye_playback_ms_max),
            ("duration_s_max", self.duration_s_max),
            ("tool_steps_max", u64::from(self.tool_steps_max)),
            ("turns_max", u64::from(self.turns_max)),
            ("watchdog_ms", self.watchdog_ms),
            ("dtmf_wait_ms", self.dtmf_wait_ms),
        ];
        let mut errors: Vec<ConfigError> = at_least_one
            .iter()
            .filter(|(_, value)| *value == 0)
            .map(|(key, value)| {
                ConfigError::new(format!("call.{key}"), value, "must be at least 1")
            })
            .collect();
        if self.lookup_ms_max > 5_000 {
            let hint = "must be at most 5000: Twilio gives the webhook 15 seconds in all";
            errors.push(ConfigError::new(
                "call.lookup_ms_max",
                self.lookup_ms_max,
                hint,
            ));
        }
        errors
    }
}

/// `[names]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NamesSection {
    /// Words that are never the caller: further names of the agent, the line's brand words.
    pub excluded: Vec<String>,
    /// The world whose words are no names either, so that "Pikachu" is an answer and not a caller.
    pub domain: NamesDomain,
}

/// A list of words that the name extractor comes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamesDomain {
    /// Species, moves, items and types of Pokémon, "gym leader", "trainer".
    #[default]
    Pokemon,
    /// None: on another line "Ruby" and "Leader" are words like any other.
    None,
}

/// One `[[line]]`: a called number with a character of its own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LineSection {
    /// The called number, E.164.
    pub number: String,
    /// Language of greeting, recognition and speech (BCP-47).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The voice, in the form of the speech provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// `agent.model` of this line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `agent.fallback` of this line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Vec<String>>,
    /// `call.silence_prompt_ms` of this line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence_prompt_ms: Option<u64>,
    /// `call.silence_end_ms` of this line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence_end_ms: Option<u64>,
    /// `call.dtmf_wait_ms` of this line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtmf_wait_ms: Option<u64>,
    /// `prompt.time_zone` of this line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// `prompt.knowledge` of this line, in place of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knowledge: Option<Vec<PathBuf>>,
    /// Settings of `[persona]` that differ.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub persona: toml::Table,
    /// Settings of `[phrases]` that differ: `[line.phrases.en]`.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub phrases: toml::Table,
    /// Settings of `[twilio.relay]` that differ.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub relay: toml::Table,
    /// Settings of `[twilio.handoff]` that differ.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub handoff: toml::Table,
}

/// `[prompt]`: what the prompts of all lines tell besides the persona.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromptSection {
    /// The zone of date and time, as the IANA names it: `Europe/Berlin`.
    pub time_zone: String,
    /// Text files that every prompt holds, 32 KiB together; relative to the configuration file's folder.
    pub knowledge: Vec<PathBuf>,
}

impl Default for PromptSection {
    fn default() -> Self {
        Self {
            time_zone: "UTC".to_owned(),
            knowledge: Vec::new(),
        }
    }
}

/// `[storage]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSection {
    /// Callers kept in memory; past it the least recently used are dropped.
    pub hot_callers_max: usize,
}

impl Default for StorageSection {
    fn default() -> Self {
        Self {
            hot_callers_max: calldex_storage::HOT_CALLERS_MAX,
        }
    }
}

impl StorageSection {
    pub(super) fn validate(&self) -> Vec<ConfigError> {
        let value = self.hot_callers_max;
        let is_low = value < 100;
        let error = || ConfigError::new("storage.hot_callers_max", value, "must be at least 100");
        is_low.then(error).into_iter().collect()
    }
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminSection {
    /// Metrics, health and, with a token, everything else.
    pub listen: SocketAddr,
    /// Bearer token; without it only `/metrics`, `/healthz` and `/readyz` answer beyond loopback.
    #[serde(skip_serializing)]
    pub token: Option<Secret>,
}

impl Default for AdminSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            token: None,
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// `human` or `json`.
    pub format: LogFormatSetting,
    /// `error`, `warn`, `info`, `debug`, or directives of tracing's filter.
    pub level: String,
    /// Base address of an OpenTelemetry collector that takes spans over OTLP/HTTP. Absent: none are
    /// made. Needs a build with the feature `otel`.
    pub otlp_endpoint: Option<String>,
}

impl LogSection {
    pub(super) fn validate(&self) -> Vec<ConfigError> {
        let level = logs::check_level(&self.level).err().map(|_| {
            let hint = "error, warn, info, debug, or directives such as info,calldex::call=debug";
            ConfigError::new("log.level", &self.level, hint)
        });
        // The address is not shown: it may carry a password.
        let endpoint = |hint: &str| ConfigError::new("log.otlp_endpoint", "", hint);
        let otlp = match self.otlp_endpoint.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(_) if !spans::CAN_EXPORT => Some(endpoint(
                "this build exports no spans: build with `--features otel`, or leave the setting \
                 out",
            )),
            Some(url) if !url.starts_with("http://") && !url.starts_with("https://") => Some(
                endpoint("the collector's http or https address, e.g. http://127.0.0.1:4318"),
            ),
            Some(_) => None,
        };
        level.into_iter().chain(otlp).collect()
    }
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            format: LogFormatSetting::Human,
            level: "info".to_owned(),
            otlp_endpoint: None,
        }
    }
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormatSetting {
    /// For people.
    Human,
    /// One object a line.
    Json,
}
