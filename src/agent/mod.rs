//! The agent: asks the model for a reply and passes it on as it comes, speakable.
//!
//! [`Agent::reply`] is a stream driven by the call's own task: nothing is spawned for it, and
//! dropping it closes the request at once. Knows nothing of Twilio, of storage, or of how long a
//! caller has waited elsewhere.

pub mod brief;
pub mod catalog;
pub mod config;
pub mod facts;
pub mod failure;
pub mod message;
pub mod model_config;
pub mod per_language;
pub mod persona;
#[cfg(feature = "otel")]
pub mod post;
pub mod prompt;
pub mod speech;
pub mod tools;

mod address;
mod answer;
mod assembly;
mod attempt;
mod body;
mod breaker;
mod capabilities;
mod chat_markup;
mod chunk;
mod fallback;
mod hedge;
mod intake;
mod judge;
mod lanes;
mod ledger;
mod live;
mod loose;
mod offer;
mod offered;
mod offline;
mod provider;
mod reason;
mod refusal;
mod rejection;
mod reply;
mod request;
mod roles;
mod template;
pub(crate) mod tls;
mod warmth;

#[cfg(test)]
mod tests;

use crate::config::Fault;
pub use brief::Brief;
pub use catalog::{ToolCatalog, ToolDescription, ToolSpec};
pub use config::AgentConfig;
pub use facts::{CallerFacts, Channel, NameAsking};
pub use failure::{Failure, Reason};
pub use judge::{NameKind, NameOpinion};
pub use message::{Message, Speaker};
pub use model_config::{ModelConfig, Models, Price, Structured, TokenLimit};
pub use persona::Persona;
pub use prompt::{Prompts, knowledge_of};
pub use reply::{Ending, Finish, Reply, ReplyEvent, Usage};
pub use tools::{Tool, ToolCall, ToolKind, ToolSet};

use fallback::Route;
use hedge::Hedge;
use judge::Judge;
use provider::Provider;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The agent of a server: one for all calls, cheap to clone.
#[derive(Clone)]
pub struct Agent {
    voice: Voice,
}

#[derive(Clone)]
enum Voice {
    Model(Arc<Providers>),
    Script { word_pause: Duration },
}

/// The models, and the order in which they are asked.
struct Providers {
    by_name: HashMap<String, Arc<Provider>>,
    /// Where a line names none.
    order: Arc<[String]>,
    hedge: Option<Arc<Hedge>>,
    turn_max: Duration,
    judge: Judge,
}

impl Providers {
    /// Those of `names` that there are, in their order; else the usual ones.
    fn of(&self, names: &[String]) -> Vec<Arc<Provider>> {
        let known = |names: &[String]| -> Vec<_> {
            let found = names.iter().filter_map(|name| self.by_name.get(name));
            found.cloned().collect()
        };
        let models = known(names);
        match models.is_empty() {
            true => known(&self.order),
            false => models,
        }
    }

    fn route(&self, names: &[String]) -> Route {
        Route {
            models: self.of(names),
            hedge: self.hedge.clone(),
            turn_max: self.turn_max,
        }
    }
}

impl Agent {
    /// Reads the system's certificates where an address is `https`, so it belongs to the start. Of `models`
    /// those that have a key or an address can be asked.
    ///
    /// # Errors
    /// Everything wrong with the configuration, at once.
    pub fn new(config: &AgentConfig, models: &Models) -> Result<Agent, Vec<Fault>> {
        let faults = config.validate(models);
        if !faults.is_empty() {
            return Err(faults);
        }
        if config.is_offline(models) {
            let word_pause = Duration::from_millis(config.offline_word_ms);
            return Ok(Agent {
                voice: Voice::Script { word_pause },
            });
        }
        let reachable = models.iter().filter(|(_, model)| !model.is_placeless());
        let (mut by_name, mut faults) = (HashMap::new(), Vec::new());
        for (name, model) in reachable {
            match Provider::new(config, name, model) {
                Ok(provider) => drop(by_name.insert(name.clone(), provider)),
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Agent {
            voice: Voice::Model(Arc::new(Providers {
                by_name,
                order: config.order().into(),
                hedge: config.hedge_ms.map(Hedge::new).map(Arc::new),
                turn_max: config.turn_max(),
                judge: Judge::new(config),
            })),
        })
    }

    /// Whether the scripted agent speaks, for want of a model.
    pub fn is_offline(&self) -> bool {
        matches!(self.voice, Voice::Script { .. })
    }

    /// Has the first of `models` loaded, in the background, where it may have to be: with the prompt that calls
    /// begin with, as `brief` has it. Returns at once.
    pub fn preload(&self, models: &[String], brief: impl FnOnce() -> Brief) {
        if let Voice::Model(providers) = &self.voice
            && let Some(first) = providers.of(models).first()
        {
            first.preload(brief);
        }
    }

    /// A call rings that is answered by `models`: opens a connection to the first of them, so that the next
    /// reply need not, and has it loaded where that may be wanted. Returns at once; at most one connection is
    /// being opened at a time, and none while one lies ready.
    pub fn warm(&self, models: &[String], brief: impl FnOnce() -> Brief) {
        let Voice::Model(providers) = &self.voice else {
            return;
        };
        let models = providers.of(models);
        if let Some(first) = models.first() {
            first.warm();
            first.preload(brief);
        }
        // One that is asked in a hurry must not begin with a handshake.
        if let (Some(_), Some(second)) = (&providers.hedge, models.get(1)) {
            second.warm();
        }
    }

    /// Asks the models that the brief names. Nothing happens until the reply is polled, within a tokio
    /// runtime.
    pub fn reply(&self, brief: Brief) -> Reply {
        match &self.voice {
            Voice::Model(providers) => Reply::asked(providers.route(&brief.models), brief),
            Voice::Script { word_pause } => Reply::scripted(offline::recite(&brief, *word_pause)),
        }
    }

    /// What the first of `models` makes of `transcript`, the answer to `question`, as a name. `None` if it
    /// does not know, does not answer within `judge_ms_max`, is too busy, or quotes what was not
    /// said. For the background: it delays no reply and tries nothing twice.
    pub async fn judge_name(
        &self,
        models: &[String],
        question: &str,
        transcript: &str,
    ) -> Option<NameOpinion> {
        let Voice::Model(providers) = &self.voice else {
            return None;
        };
        let provider = providers.of(models).into_iter().next()?;
        providers.judge.judge(&provider, question, transcript).await
    }
}
