//! The agent: asks a model for a reply and streams it as speakable text.
//!
//! [`Agent::reply`] is a stream that is polled by the call's own task: nothing is spawned for it, and dropping it
//! closes the request at once. The module imports nothing of Twilio, of storage or of the call.

pub mod config;
pub mod event;
pub mod localized_text;
pub mod message;
pub mod model_config;
pub mod prompt;
pub mod reply_failure;
pub mod speech;
pub mod tools;

mod client;
mod name_verifier;
mod offline;
mod reply_metrics;
mod reply_stream;
mod stream;
mod text;

#[cfg(test)]
mod tests;

use crate::settings::ConfigError;
pub use config::AgentConfig;
pub use event::{Finish, FinishReason, ReplyEvent, Usage};
pub use message::{Message, MessageRole};
pub use model_config::{ModelConfig, ModelConfigs, StructuredOutput, TokenLimitField, TokenPrice};
pub use name_verifier::{NameVerdict, NameVerdictKind};
pub use prompt::caller_facts::{CallerChannel, CallerFacts, NameAskPolicy};
pub use prompt::persona::Persona;
pub use prompt::prompt_context::PromptContext;
pub use prompt::system_prompt::{SystemPrompt, format_knowledge};
pub use reply_failure::{ProtocolError, ReplyFailure};
pub use reply_stream::ReplyStream;
pub use tools::catalog::{ToolCatalog, ToolSpec, ToolSpecSource};
pub use tools::invocation::{BuiltInTool, BuiltInTools, ToolCall, ToolInvocation};

use client::hedge::HedgePolicy;
use client::provider::Provider;
use client::router::ModelRouter;
use name_verifier::NameVerifier;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The agent of a server: one for all calls, cheap to clone.
#[derive(Clone)]
pub struct Agent {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Model(Arc<ModelSet>),
    Scripted { word_pause: Duration },
}

/// The models, and the order in which they are asked.
struct ModelSet {
    by_name: HashMap<String, Arc<Provider>>,
    /// For a line that names no models.
    default_order: Arc<[String]>,
    hedge: Option<Arc<HedgePolicy>>,
    turn_max: Duration,
    name_verifier: NameVerifier,
}

impl ModelSet {
    /// The configured models among `names`, in this order; the default order if there is none.
    fn resolve(&self, names: &[String]) -> Vec<Arc<Provider>> {
        let known = |names: &[String]| -> Vec<_> {
            let found = names.iter().filter_map(|name| self.by_name.get(name));
            found.cloned().collect()
        };
        let models = known(names);
        match models.is_empty() {
            true => known(&self.default_order),
            false => models,
        }
    }

    fn router(&self, names: &[String]) -> ModelRouter {
        ModelRouter {
            models: self.resolve(names),
            hedge: self.hedge.clone(),
            turn_max: self.turn_max,
        }
    }
}

impl Agent {
    /// Reads the system's certificates from files where a URL is `https`: to be called at start. Only those of
    /// `models` that have a key or a URL are used.
    ///
    /// # Errors
    /// All errors of the configuration.
    pub fn new(config: &AgentConfig, models: &ModelConfigs) -> Result<Agent, Vec<ConfigError>> {
        let errors = config.validate(models);
        if !errors.is_empty() {
            return Err(errors);
        }
        if config.is_offline(models) {
            let word_pause = Duration::from_millis(config.offline_word_ms);
            return Ok(Agent {
                backend: Backend::Scripted { word_pause },
            });
        }
        let reachable = models.iter().filter(|(_, model)| !model.is_unconfigured());
        let (mut by_name, mut errors) = (HashMap::new(), Vec::new());
        for (name, model) in reachable {
            match Provider::new(config, name, model) {
                Ok(provider) => drop(by_name.insert(name.clone(), provider)),
                Err(fault) => errors.push(fault),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Agent {
            backend: Backend::Model(Arc::new(ModelSet {
                by_name,
                default_order: config.model_order().into(),
                hedge: config.hedge_ms.map(HedgePolicy::new).map(Arc::new),
                turn_max: config.reply_max(),
                name_verifier: NameVerifier::new(config),
            })),
        })
    }

    /// Whether replies are scripted, because no model is configured.
    pub fn is_offline(&self) -> bool {
        matches!(self.backend, Backend::Scripted { .. })
    }

    /// Has the first of `models` loaded in the background, where its server may have to load it, with the prompt that
    /// calls begin with. Returns at once.
    pub fn preload(&self, models: &[String], prompt_context: impl FnOnce() -> PromptContext) {
        if let Backend::Model(providers) = &self.backend
            && let Some(first) = providers.resolve(models).first()
        {
            first.preload(prompt_context);
        }
    }

    /// Prepares the first of `models` for a call that is ringing: opens a connection in advance, and has the model
    /// loaded where that may be needed. Returns at once. At most one connection is opened at a time, and none
    /// while an idle one is alive.
    pub fn prewarm(&self, models: &[String], prompt_context: impl FnOnce() -> PromptContext) {
        let Backend::Model(providers) = &self.backend else {
            return;
        };
        let models = providers.resolve(models);
        if let Some(first) = models.first() {
            first.prewarm();
            first.preload(prompt_context);
        }
        // A hedged request must not begin with a handshake.
        if let (Some(_), Some(second)) = (&providers.hedge, models.get(1)) {
            second.prewarm();
        }
    }

    /// The reply of the models that `prompt_context` names. Nothing is sent before the stream is polled, which must
    /// happen within a tokio runtime. Takes at most `reply_ms_max`.
    pub fn reply(&self, prompt_context: PromptContext) -> ReplyStream {
        match &self.backend {
            Backend::Model(providers) => ReplyStream::from_router(
                providers.router(&prompt_context.model_names),
                prompt_context,
            ),
            Backend::Scripted { word_pause } => {
                ReplyStream::scripted(offline::scripted_reply(&prompt_context, *word_pause))
            }
        }
    }

    /// The name that the first of `models` finds in `transcript`, the answer to `question`. `None` if it finds none,
    /// does not answer within `name_verification_ms_max`, if too many verifications are running, or if it quotes
    /// text that is not in the transcript. Meant for the background; nothing is retried.
    pub async fn verify_name(
        &self,
        models: &[String],
        question: &str,
        transcript: &str,
    ) -> Option<NameVerdict> {
        let Backend::Model(providers) = &self.backend else {
            return None;
        };
        let provider = providers.resolve(models).into_iter().next()?;
        providers
            .name_verifier
            .verify(&provider, question, transcript)
            .await
    }
}
