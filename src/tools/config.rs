//! `[[tool]]` and `[[mcp]]`: the operator's own tools.

use super::address_policy::AddressPolicy;
use super::env_expansion::expand_variables;
use crate::agent::localized_text::LocalizedText;
use crate::agent::tools::catalog::{CONFIGURED_TOOLS_MAX, is_tool_name};
use crate::agent::tools::is_built_in;
use crate::agent::{ToolSpec, ToolSpecSource};
use crate::net::address::literal_ip;
use crate::settings::ConfigError;
use calldex_observability::redaction::Secret;
use calldex_storage::record::PhoneNumber;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// Most MCP servers.
pub const MCP_SERVERS_MAX: usize = 16;
/// Upper bound of `timeout_ms`, in milliseconds.
const TIMEOUT_MS_MAX: u64 = 30_000;
/// Upper bound of `result_bytes_max`.
const RESULT_BYTES_MAX: usize = 64 * 1024;
/// Default of `timeout_ms`.
const TIMEOUT_MS_DEFAULT: u64 = 3_000;
/// Default of `result_bytes_max`.
const RESULT_BYTES_DEFAULT: usize = 8_192;

/// The HTTP method of a tool's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ToolMethod {
    /// `POST`
    #[default]
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
}

impl From<ToolMethod> for reqwest::Method {
    fn from(method: ToolMethod) -> Self {
        match method {
            ToolMethod::Post => Self::POST,
            ToolMethod::Put => Self::PUT,
            ToolMethod::Patch => Self::PATCH,
        }
    }
}

/// A JSON Schema: as a table, or as JSON text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ToolParameters {
    /// `{ type = "object", ... }`
    Table(toml::Table),
    /// `'{"type": "object", ...}'`
    Text(String),
}

impl Default for ToolParameters {
    fn default() -> Self {
        Self::Table(toml::Table::new())
    }
}

impl ToolParameters {
    /// The schema as JSON; a schema without arguments if none is set.
    ///
    /// # Errors
    /// Why the text is not JSON.
    fn schema(&self) -> Result<Value, String> {
        match self {
            Self::Table(table) if table.is_empty() => {
                Ok(serde_json::json!({ "type": "object", "properties": {} }))
            }
            Self::Table(table) => serde_json::to_value(table).map_err(|error| error.to_string()),
            Self::Text(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
        }
    }
}

/// One `[[tool]]`: a tool behind an HTTP endpoint of the operator's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToolSection {
    /// The name the model calls it by, 1 to 64 of `a-z A-Z 0-9 _ -`.
    pub name: String,
    /// Describes to the model what it does and when to call it.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: ToolParameters,
    /// Its URL: `https`, or `http` with `allow_private`.
    pub url: String,
    /// `POST`, `PUT` or `PATCH`.
    pub method: ToolMethod,
    /// Further headers; `${NAME}` is replaced by the environment variable.
    #[serde(skip_serializing)]
    pub headers: BTreeMap<String, Secret>,
    /// The secret that signs each request; `${NAME}` as in `headers`.
    #[serde(skip_serializing)]
    pub secret: Option<Secret>,
    /// Longest time of one call, in milliseconds.
    pub timeout_ms: u64,
    /// Most bytes of a result that are sent to the model.
    pub result_bytes_max: usize,
    /// Whether a call has side effects. Then it is never cancelled.
    pub side_effects: bool,
    /// Whether the caller's number is sent to the tool.
    pub send_caller: bool,
    /// Whether its host may be this machine or in a private network.
    pub allow_private: bool,
    /// Called numbers for which it is offered; all if empty.
    pub lines: Vec<String>,
    /// Filler that is spoken while it runs, where the model sent no text with the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub say: Option<LocalizedText>,
}

impl Default for ToolSection {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            parameters: ToolParameters::default(),
            url: String::new(),
            method: ToolMethod::default(),
            headers: BTreeMap::new(),
            secret: None,
            timeout_ms: TIMEOUT_MS_DEFAULT,
            result_bytes_max: RESULT_BYTES_DEFAULT,
            side_effects: true,
            send_caller: false,
            allow_private: false,
            lines: Vec::new(),
            say: None,
        }
    }
}

/// One `[[mcp]]`: a server of the Model Context Protocol, reached at a URL or started as a child process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct McpSection {
    /// Its name in metrics and logs, and the prefix of its tools' names where they clash with others.
    pub name: String,
    /// Its URL (streamable HTTP): `https`, or `http` with `allow_private`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The program to start, instead of `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Arguments of `command`.
    pub args: Vec<String>,
    /// The whole environment of `command`, in addition to `PATH`; `${NAME}` is replaced by the server's own variable.
    #[serde(skip_serializing)]
    pub env: BTreeMap<String, Secret>,
    /// Further headers for `url`; `${NAME}` as in `env`.
    #[serde(skip_serializing)]
    pub headers: BTreeMap<String, Secret>,
    /// Its tools that are offered; all if empty.
    pub allow: Vec<String>,
    /// Longest time of one call, in milliseconds.
    pub timeout_ms: u64,
    /// Most bytes of a result that are sent to the model.
    pub result_bytes_max: usize,
    /// Whether its tools have side effects. Then a call is never cancelled.
    pub side_effects: bool,
    /// Whether its host may be this machine or in a private network.
    pub allow_private: bool,
    /// Called numbers for which its tools are offered; all if empty.
    pub lines: Vec<String>,
    /// Filler that is spoken while one runs, where the model sent no text with the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub say: Option<LocalizedText>,
}

impl Default for McpSection {
    fn default() -> Self {
        Self {
            name: String::new(),
            url: None,
            command: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            headers: BTreeMap::new(),
            allow: Vec::new(),
            timeout_ms: TIMEOUT_MS_DEFAULT,
            result_bytes_max: RESULT_BYTES_DEFAULT,
            side_effects: true,
            allow_private: false,
            lines: Vec::new(),
            say: None,
        }
    }
}

impl ToolSection {
    /// The tool as it is offered.
    ///
    /// # Errors
    /// What is wrong with its parameters.
    pub fn spec(&self) -> Result<ToolSpec, String> {
        ToolSpec::new(&ToolSpecSource {
            name: &self.name,
            description: &self.description,
            parameters: &self.parameters.schema()?,
            metric_label: &self.name,
            side_effects: self.side_effects,
            timeout_ms: self.timeout_ms,
            filler: self.say.clone(),
        })
    }

    /// The addresses that its host may have.
    pub fn address_policy(&self, url: &Url) -> AddressPolicy {
        address_policy(url, self.allow_private)
    }

    fn validate(&self) -> Vec<ConfigError> {
        let at = SectionPath(format!("tool[{}]", self.name));
        let mut errors = at.validate_common(&self.lines, self.timeout_ms, self.result_bytes_max);
        if self.description.trim().is_empty() {
            errors.push(at.error(
                "description",
                "",
                "is missing: say when the model is to call it",
            ));
        }
        for language in self.say.iter().flat_map(LocalizedText::unknown_languages) {
            errors.push(at.error("say", language, "is no code of a language"));
        }
        if let Err(error) = self.spec() {
            errors.push(at.error("parameters", "", error));
        }
        errors.extend(at.validate_url("url", &self.url, self.allow_private));
        errors.extend(at.validate_headers(&self.headers));
        if let Some(secret) = &self.secret {
            errors.extend(at.validate_secret("secret", secret));
        }
        errors
    }
}

impl McpSection {
    fn validate(&self) -> Vec<ConfigError> {
        let at = SectionPath(format!("mcp[{}]", self.name));
        let mut errors = at.validate_common(&self.lines, self.timeout_ms, self.result_bytes_max);
        match (&self.url, &self.command) {
            (Some(url), None) => {
                errors.extend(at.validate_url("url", url, self.allow_private));
                if !self.args.is_empty() || !self.env.is_empty() {
                    errors.push(at.error("args", "", "and env are for command, not for url"));
                }
            }
            (None, Some(command)) if command.trim().is_empty() => {
                errors.push(at.error("command", "\"\"", "must name a program"));
            }
            (None, Some(_)) if !self.headers.is_empty() => {
                errors.push(at.error("headers", "", "are for url, not for command"));
            }
            (None, Some(_)) => {}
            _ => errors.push(at.error("url", "", "or command must be set, and not both")),
        }
        errors.extend(at.validate_headers(&self.headers));
        for (name, value) in &self.env {
            errors.extend(at.validate_secret(&format!("env.{name}"), value));
        }
        errors
    }
}

/// Public addresses only, or all with `allow_private`; unencrypted requests to private addresses only.
pub(super) fn address_policy(url: &Url, allow_private: bool) -> AddressPolicy {
    match (url.scheme(), allow_private) {
        ("http", _) => AddressPolicy::Private,
        (_, true) => AddressPolicy::Anywhere,
        (_, false) => AddressPolicy::Public,
    }
}

/// A section, for its errors.
struct SectionPath(String);

impl SectionPath {
    fn error(&self, key: &str, value: &str, hint: impl Into<String>) -> ConfigError {
        ConfigError::new(format!("{}.{key}", self.0), value, hint)
    }

    fn validate_common(
        &self,
        lines: &[String],
        timeout_ms: u64,
        bytes_max: usize,
    ) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        for line in lines {
            if PhoneNumber::parse(line).is_none() {
                let hint = "must hold called numbers such as +14155550100";
                errors.push(self.error("lines", &format!("{line:?}"), hint));
            }
        }
        if !(1..=TIMEOUT_MS_MAX).contains(&timeout_ms) {
            let hint = format!("must be 1 to {TIMEOUT_MS_MAX}");
            errors.push(self.error("timeout_ms", &timeout_ms.to_string(), hint));
        }
        if !(1..=RESULT_BYTES_MAX).contains(&bytes_max) {
            let hint = format!("must be 1 to {RESULT_BYTES_MAX}");
            errors.push(self.error("result_bytes_max", &bytes_max.to_string(), hint));
        }
        errors
    }

    fn validate_url(&self, key: &str, url: &str, allow_private: bool) -> Option<ConfigError> {
        // Not shown: a URL may contain a password.
        let fault = |hint: &str| Some(self.error(key, "", hint));
        let parsed = Url::parse(url).ok();
        let Some(parsed) = parsed.filter(|url| matches!(url.scheme(), "https" | "http")) else {
            return fault("must be an address such as https://tools.example.net/orders");
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return fault("must hold no password: use headers");
        }
        if parsed.scheme() == "http" && !allow_private {
            return fault("must be https; http is for private networks, with allow_private = true");
        }
        let address_policy = address_policy(&parsed, allow_private);
        match literal_ip(&parsed) {
            Some(address)
                if !address_policy.allows(address) && address_policy == AddressPolicy::Private =>
            {
                fault("must be https: http is for hosts in private networks only")
            }
            Some(address) if !address_policy.allows(address) => fault(
                "is an address of this machine or of a private network: set allow_private = true \
                 if that is meant",
            ),
            _ => None,
        }
    }

    fn validate_headers(&self, headers: &BTreeMap<String, Secret>) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        for (name, value) in headers {
            let key = format!("headers.{name}");
            if HeaderName::try_from(name.as_str()).is_err() {
                errors.push(self.error(&key, "", "is not a valid header name"));
            }
            match expand_variables(value.reveal()) {
                Err(hint) => errors.push(self.error(&key, "", hint)),
                Ok(value) if HeaderValue::try_from(&value).is_err() => {
                    errors.push(self.error(
                        &key,
                        "",
                        "has characters that a header value cannot have",
                    ));
                }
                Ok(_) => {}
            }
        }
        errors
    }

    fn validate_secret(&self, key: &str, secret: &Secret) -> Option<ConfigError> {
        match expand_variables(secret.reveal()) {
            Err(hint) => Some(self.error(key, "", hint)),
            Ok(value) if value.trim().is_empty() => {
                Some(self.error(key, "", "is empty: set it or leave it out"))
            }
            Ok(_) => None,
        }
    }
}

/// All errors of the operator's tools.
pub fn validate(tools: &[ToolSection], servers: &[McpSection]) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    let names = tools
        .iter()
        .map(|tool| ("tool.name", &tool.name))
        .chain(servers.iter().map(|server| ("mcp.name", &server.name)));
    for (setting, name) in names {
        let hint = if !is_tool_name(name) {
            "must be 1 to 64 of a-z, A-Z, 0-9, _ and -"
        } else if is_built_in(name) {
            "is a built-in tool: choose another name"
        } else if !seen.insert(name) {
            "is used twice: each tool and each MCP server needs a name of its own"
        } else {
            continue;
        };
        errors.push(ConfigError::new(setting, format!("{name:?}"), hint));
    }
    if tools.len() > CONFIGURED_TOOLS_MAX {
        let hint = format!("at most {CONFIGURED_TOOLS_MAX} can be offered");
        errors.push(ConfigError::new("tool", tools.len(), hint));
    }
    if servers.len() > MCP_SERVERS_MAX {
        let hint = format!("at most {MCP_SERVERS_MAX} can be used");
        errors.push(ConfigError::new("mcp", servers.len(), hint));
    }
    errors.extend(tools.iter().flat_map(ToolSection::validate));
    errors.extend(servers.iter().flat_map(McpSection::validate));
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(toml: &str) -> ToolSection {
        toml::from_str(toml).unwrap()
    }

    fn faults_of(tools: &[ToolSection], servers: &[McpSection]) -> String {
        let errors = validate(tools, servers);
        let lines: Vec<String> = errors.iter().map(ConfigError::to_string).collect();
        lines.join("\n")
    }

    const GOOD: &str = r#"
        name = "order_status"
        description = "Where an order is."
        url = "https://tools.example.net/orders"
        parameters = { type = "object", properties = { order = { type = "string" } }, required = ["order"] }
    "#;

    #[test]
    fn a_tool_as_it_is_documented_is_in_order() {
        assert_eq!(faults_of(&[tool(GOOD)], &[]), "");
        let text = GOOD.replace(
            r#"{ type = "object", properties = { order = { type = "string" } }, required = ["order"] }"#,
            r#"'{"type": "object", "required": ["order"]}'"#,
        );
        assert_eq!(faults_of(&[tool(&text)], &[]), "");
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let wrong = tool(
            r#"
            name = "end_call"
            url = "http://169.254.169.254/latest"
            parameters = { type = "object", properties = 3 }
            headers = { authorization = "Bearer ${CALLDEX_TEST_MISSING}", "a b" = "x" }
            secret = ""
            timeout_ms = 600000
            result_bytes_max = 0
            lines = ["me"]
            "#,
        );
        let server = McpSection {
            name: "shop".into(),
            ..McpSection::default()
        };
        let errors = faults_of(&[tool(GOOD), tool(GOOD), wrong], &[server]);
        for named in [
            "tool.name = \"order_status\": is used twice",
            "is a built-in tool",
            "tool[end_call].description",
            "tool[end_call].url",
            "tool[end_call].parameters",
            "CALLDEX_TEST_MISSING",
            "tool[end_call].headers.a b",
            "tool[end_call].secret",
            "tool[end_call].timeout_ms",
            "tool[end_call].result_bytes_max",
            "tool[end_call].lines",
            "mcp[shop].url: or command must be set",
        ] {
            assert!(errors.contains(named), "{named} is not in\n{errors}");
        }
    }

    #[test]
    fn an_address_is_refused_where_it_may_not_lead() {
        let at = |url: &str, private: bool| {
            let tool = ToolSection {
                url: url.into(),
                allow_private: private,
                ..tool(GOOD)
            };
            faults_of(&[tool], &[]).is_empty()
        };
        assert!(at("https://tools.example.net", false) && at("https://tools.example.net", true));
        assert!(at("http://127.0.0.1:9000/x", true) && at("https://10.0.0.1", true));
        assert!(at("http://orders.internal", true));
        for refused in [
            "http://tools.example.net",
            "https://127.0.0.1",
            "https://[::1]/",
            "https://2130706433/",
            "https://user:pass@tools.example.net",
            "ftp://tools.example.net",
            "tools.example.net",
        ] {
            assert!(!at(refused, false), "{refused}");
        }
        assert!(!at("http://8.8.8.8", true), "unencrypted into the internet");
    }

    #[test]
    fn no_secret_prints() {
        let tool = tool(&format!(
            "{GOOD}\nsecret = 'hush'\nheaders = {{ a = 'hush' }}"
        ));
        let shown = format!("{tool:?} {}", toml::to_string(&tool).unwrap());
        assert!(!shown.contains("hush"), "{shown}");
    }
}
