//! The configuration: defaults < TOML file < environment < flags, and every error at once.

mod cluster;
mod handoff;
mod knowledge;
mod layers;
mod lines;
mod renamed;
mod sections;
mod variables;

pub use cluster::{ClusterSection, is_address, split_addresses};
pub use handoff::HandoffSection;
pub use knowledge::KNOWLEDGE_BYTES_MAX;
pub use layers::{ConfigFlags, ConfigSources, environment};
pub use lines::{PhoneLine, PhoneLines};
pub use sections::{
    AdminSection, CallSection, LineSection, LogFormatSetting, LogSection, NamesDomain,
    NamesSection, PromptSection, ServerSection, StorageSection, TwilioSection,
};
pub use variables::OTLP_VARIABLE;

use crate::agent::config::DEFAULT_MODEL;
use crate::agent::{AgentConfig, ModelConfig, ModelConfigs, Persona};
use crate::call::phrases::PhraseCatalog;
use crate::settings::{ConfigError, ConfigErrors};
use crate::tools::config::{self as tools, McpSection, ToolSection};
use calldex_observability::redaction::Secret;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// All settings, one struct for each section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Doors, data directory, drain.
    pub server: ServerSection,
    /// Tokens and what the TwiML says.
    pub twilio: TwilioSection,
    /// Bounds and waits of a call.
    pub call: CallSection,
    /// What is never a caller's name.
    pub names: NamesSection,
    /// Which models answer, in which order, and how long.
    pub agent: AgentConfig,
    /// The models by name: `[model.default]`.
    #[serde(default = "default_model")]
    pub model: ModelConfigs,
    /// Who the agent is.
    pub persona: Persona,
    /// What the prompts tell besides: time zone, knowledge.
    pub prompt: PromptSection,
    /// The sentences said without a model, by language.
    pub phrases: PhraseCatalog,
    /// Called numbers with a persona, greeting or voice of their own.
    pub line: Vec<LineSection>,
    /// The operator's own tools, behind addresses of theirs.
    pub tool: Vec<ToolSection>,
    /// MCP servers with further tools.
    pub mcp: Vec<McpSection>,
    /// The writer's and the directory's bounds.
    pub storage: StorageSection,
    /// Cluster mode.
    pub cluster: ClusterSection,
    /// The admin server.
    pub admin: AdminSection,
    /// What goes to standard error.
    pub log: LogSection,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerSection::default(),
            twilio: TwilioSection::default(),
            call: CallSection::default(),
            names: NamesSection::default(),
            agent: AgentConfig::default(),
            model: default_model(),
            persona: Persona::default(),
            prompt: PromptSection::default(),
            phrases: PhraseCatalog::default(),
            line: Vec::new(),
            tool: Vec::new(),
            mcp: Vec::new(),
            storage: StorageSection::default(),
            cluster: ClusterSection::default(),
            admin: AdminSection::default(),
            log: LogSection::default(),
        }
    }
}

/// The one that `OPENAI_API_KEY`, `OPENAI_BASE_URL` and `OPENAI_MODEL` describe.
fn default_model() -> ModelConfigs {
    [(DEFAULT_MODEL.to_owned(), ModelConfig::default())].into()
}

impl Config {
    /// Puts the layers together and checks the whole.
    ///
    /// # Errors
    /// [`ConfigErrors`] with everything that is wrong, not only the first thing.
    pub fn load(sources: &ConfigSources) -> Result<Self, ConfigErrors> {
        let (mut config, mut errors) = layers::merge(sources);
        if let Some(folder) = sources.file.as_deref().and_then(Path::parent) {
            config.resolve_paths(folder);
        }
        errors.extend(config.validate());
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(ConfigErrors(errors))
        }
    }

    /// All errors that only show in the values together; none for a usable configuration.
    pub fn validate(&self) -> Vec<ConfigError> {
        let mut errors = self.server.validate();
        errors.extend(self.twilio.validate());
        errors.extend(self.call.validate());
        errors.extend(self.storage.validate());
        errors.extend(self.cluster.validate());
        errors.extend(self.agent.validate(&self.model));
        errors.extend(self.persona.validate("persona"));
        errors.extend(self.phrases.validate(&self.persona));
        errors.extend(lines::validate(self));
        errors.extend(tools::validate(&self.tool, &self.mcp));
        errors.extend(self.log.validate());
        errors.extend(self.listener_errors());
        errors
    }

    /// Files that are named relative to `folder` are named in full.
    fn resolve_paths(&mut self, folder: &Path) {
        let own = self
            .line
            .iter_mut()
            .filter_map(|line| line.knowledge.as_mut());
        for files in own.chain([&mut self.prompt.knowledge]) {
            for file in files {
                *file = folder.join(&file);
            }
        }
    }

    /// Notes on settings that are valid and may be unexpected, one line each.
    pub fn notes(&self) -> Vec<String> {
        lines::notes(self)
    }

    /// A listener that the internet can reach must verify that requests come from Twilio.
    fn listener_errors(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        let server = &self.server;
        if self.twilio.tokens().next().is_none() {
            if !server.listen.ip().is_loopback() {
                let hint = "is reachable from outside, so requests must be verified: set \
                              TWILIO_AUTH_TOKEN (twilio.auth_token), or listen on 127.0.0.1";
                errors.push(ConfigError::new("server.listen", server.listen, hint));
            }
            if let Some(url) = server
                .public_url
                .as_ref()
                .filter(|url| !sections::is_loopback(url))
            {
                let hint = "makes the server reachable from outside, so requests must be \
                              verified: set TWILIO_AUTH_TOKEN (twilio.auth_token)";
                errors.push(ConfigError::new("server.public_url", url, hint));
            }
        }
        if server.listen == self.admin.listen && server.listen.port() != 0 {
            let hint = "is the webhook listener too (server.listen): give each a port of its own";
            errors.push(ConfigError::new("admin.listen", self.admin.listen, hint));
        }
        let cluster = self.cluster.listen.filter(|listen| listen.port() != 0);
        if let Some(listen) = cluster.filter(|at| [server.listen, self.admin.listen].contains(at)) {
            let hint = "is the port of another listener too (server.listen or admin.listen): give \
                          each one of its own";
            errors.push(ConfigError::new("cluster.listen", listen, hint));
        }
        if !server.calls && !self.cluster.is_enabled() {
            let hint = "is for cluster mode: a single node has nothing else to do; set \
                          cluster.listen, or leave it out";
            errors.push(ConfigError::new("server.calls", false, hint));
        }
        if self.admin.token.as_ref().is_some_and(Secret::is_empty) {
            errors.push(ConfigError::new(
                "admin.token",
                "",
                "is empty: set it or leave it out",
            ));
        }
        errors
    }
}

#[cfg(test)]
mod tests;
