//! The configuration: defaults < TOML file < environment < flags, and every fault at once.

mod cluster;
mod fault;
mod handoff;
mod knowledge;
mod layers;
mod lines;
mod sections;

pub use cluster::{ClusterSection, is_address, split_addresses};
pub use fault::{Fault, Faults};
pub use handoff::HandoffSection;
pub use knowledge::KNOWLEDGE_BYTES_MAX;
pub use layers::{Flags, OTLP_VARIABLE, Sources, environment};
pub use lines::{Line, Lines};
pub use sections::{
    AdminSection, CallSection, LineSection, LogFormatSetting, LogSection, NamesDomain,
    NamesSection, PromptSection, ServerSection, StorageSection, TwilioSection,
};

use crate::agent::config::DEFAULT_MODEL;
use crate::agent::{AgentConfig, ModelConfig, Models, Persona};
use crate::call::phrases::PhraseBook;
use crate::tools::config::{self as tools, McpSection, ToolSection};
use calldex_observability::redaction::Secret;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Everything that can be set, one struct a room.
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
    pub model: Models,
    /// Who the agent is.
    pub persona: Persona,
    /// What the prompts tell besides: time zone, knowledge.
    pub prompt: PromptSection,
    /// The sentences said without a model, by language.
    pub phrases: PhraseBook,
    /// Called numbers with a persona, greeting or voice of their own.
    pub line: Vec<LineSection>,
    /// The operator's own tools, behind addresses of theirs.
    pub tool: Vec<ToolSection>,
    /// MCP servers with further tools.
    pub mcp: Vec<McpSection>,
    /// The writer's and the directory's bounds.
    pub storage: StorageSection,
    /// This instance among several.
    pub cluster: ClusterSection,
    /// The admin door.
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
            phrases: PhraseBook::default(),
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
fn default_model() -> Models {
    [(DEFAULT_MODEL.to_owned(), ModelConfig::default())].into()
}

impl Config {
    /// Puts the layers together and checks the whole.
    ///
    /// # Errors
    /// [`Faults`] with everything that is wrong, not only the first thing.
    pub fn load(sources: &Sources) -> Result<Self, Faults> {
        let (mut config, mut faults) = layers::merge(sources);
        if let Some(folder) = sources.file.as_deref().and_then(Path::parent) {
            config.found_from(folder);
        }
        faults.extend(config.validate());
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(Faults(faults))
        }
    }

    /// All faults that only the values together show; none for a usable configuration.
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = self.server.validate();
        faults.extend(self.twilio.validate());
        faults.extend(self.call.validate());
        faults.extend(self.storage.validate());
        faults.extend(self.cluster.validate());
        faults.extend(self.agent.validate(&self.model));
        faults.extend(self.persona.validate("persona"));
        faults.extend(self.phrases.validate(&self.persona));
        faults.extend(lines::validate(self));
        faults.extend(tools::validate(&self.tool, &self.mcp));
        faults.extend(self.log.validate());
        faults.extend(self.doors());
        faults
    }

    /// Files that are named relative to `folder` are named in full.
    fn found_from(&mut self, folder: &Path) {
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

    /// What is in order and may surprise all the same, a line each.
    pub fn notes(&self) -> Vec<String> {
        lines::notes(self)
    }

    /// A door that the internet can reach must know Twilio from anybody else.
    fn doors(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let server = &self.server;
        if self.twilio.tokens().next().is_none() {
            if !server.listen.ip().is_loopback() {
                let remedy = "is reachable from outside, so requests must be verified: set \
                              TWILIO_AUTH_TOKEN (twilio.auth_token), or listen on 127.0.0.1";
                faults.push(Fault::new("server.listen", server.listen, remedy));
            }
            if let Some(url) = server
                .public_url
                .as_ref()
                .filter(|url| !sections::is_loopback(url))
            {
                let remedy = "makes the server reachable from outside, so requests must be \
                              verified: set TWILIO_AUTH_TOKEN (twilio.auth_token)";
                faults.push(Fault::new("server.public_url", url, remedy));
            }
        }
        if server.listen == self.admin.listen && server.listen.port() != 0 {
            let remedy = "is Twilio's door too (server.listen): give each a port of its own";
            faults.push(Fault::new("admin.listen", self.admin.listen, remedy));
        }
        let cluster = self.cluster.listen.filter(|listen| listen.port() != 0);
        if let Some(listen) = cluster.filter(|at| [server.listen, self.admin.listen].contains(at)) {
            let remedy = "is the port of another door too (server.listen or admin.listen): give \
                          each one of its own";
            faults.push(Fault::new("cluster.listen", listen, remedy));
        }
        if !server.calls && !self.cluster.is_set() {
            let remedy = "is for one of several instances: an instance alone has nothing else to \
                          do; set cluster.listen, or leave it out";
            faults.push(Fault::new("server.calls", false, remedy));
        }
        if self.admin.token.as_ref().is_some_and(Secret::is_empty) {
            faults.push(Fault::new(
                "admin.token",
                "",
                "is empty: set it or leave it out",
            ));
        }
        faults
    }
}

#[cfg(test)]
mod tests;
