//! The agent: asks the model for a reply and passes it on as it comes, speakable.
//!
//! [`Agent::reply`] is a stream driven by the call's own task: nothing is spawned for it, and
//! dropping it closes the request at once. Knows nothing of Twilio, of storage, or of how long a
//! caller has waited elsewhere.

pub mod brief;
pub mod config;
pub mod failure;
pub mod message;
pub mod persona;
#[cfg(feature = "otel")]
pub mod post;
pub mod speech;
pub mod tools;

mod answer;
mod assembly;
mod breaker;
mod chunk;
mod fallback;
mod hedge;
mod intake;
mod judge;
mod lanes;
mod ledger;
mod live;
mod offer;
mod offline;
mod provider;
mod refusal;
mod reply;
mod request;
pub(crate) mod tls;
mod warmth;

#[cfg(test)]
mod tests;

use crate::config::Fault;
pub use brief::{Brief, CallerFacts, Channel, system_prompt};
pub use config::{AgentConfig, FallbackConfig, TokenLimit};
pub use failure::{Failure, Reason};
pub use judge::{NameKind, NameOpinion};
pub use message::{Message, Speaker};
pub use persona::Persona;
pub use reply::{Ending, Finish, Reply, ReplyEvent, Usage};
pub use tools::{Tool, ToolCall, ToolKind, ToolSet};

use fallback::Desk;
use judge::Judge;
use provider::Provider;
use std::sync::Arc;
use std::time::Duration;

/// The agent of a server: one for all calls, cheap to clone.
#[derive(Clone)]
pub struct Agent {
    voice: Voice,
}

#[derive(Clone)]
enum Voice {
    Model { desk: Arc<Desk>, judge: Arc<Judge> },
    Script { word_pause: Duration },
}

impl Agent {
    /// Reads the system's certificates where an address is `https`, so it belongs to the start.
    ///
    /// # Errors
    /// Everything wrong with `config`, at once.
    pub fn new(config: &AgentConfig) -> Result<Agent, Vec<Fault>> {
        let faults = config.validate();
        if !faults.is_empty() {
            return Err(faults);
        }
        if config.is_offline() {
            let word_pause = Duration::from_millis(config.offline_word_ms);
            return Ok(Agent {
                voice: Voice::Script { word_pause },
            });
        }
        let one = |fault| vec![fault];
        let primary = Provider::primary(config).map_err(one)?;
        let fallback = config
            .fallback
            .as_ref()
            .map(|fallback| Provider::fallback(config, fallback));
        let fallback = fallback.transpose().map_err(one)?;
        let judge = Arc::new(Judge::new(config, Arc::clone(&primary)));
        let desk = Arc::new(Desk::new(config, primary, fallback));
        Ok(Agent {
            voice: Voice::Model { desk, judge },
        })
    }

    /// Whether the scripted agent speaks, for want of a model.
    pub fn is_offline(&self) -> bool {
        matches!(self.voice, Voice::Script { .. })
    }

    /// Opens a connection to the model so that the next reply need not. Returns at once; at most
    /// one is being opened at a time, and none while one lies ready.
    pub fn warm(&self) {
        if let Voice::Model { desk, .. } = &self.voice {
            desk.primary.warm();
            // One that is asked in a hurry must not begin with a handshake.
            if let (Some(_), Some(fallback)) = (&desk.hedge, &desk.fallback) {
                fallback.warm();
            }
        }
    }

    /// Asks the model. Nothing happens until the reply is polled, within a tokio runtime.
    pub fn reply(&self, brief: Brief) -> Reply {
        match &self.voice {
            Voice::Model { desk, .. } => Reply::asked(Arc::clone(desk), brief),
            Voice::Script { word_pause } => Reply::scripted(offline::recite(&brief, *word_pause)),
        }
    }

    /// What the model makes of `transcript`, the answer to `question`, as a name. `None` if it
    /// does not know, does not answer within `judge_ms_max`, is too busy, or quotes what was not
    /// said. For the background: it delays no reply and tries nothing twice.
    pub async fn judge_name(&self, question: &str, transcript: &str) -> Option<NameOpinion> {
        match &self.voice {
            Voice::Model { judge, .. } => judge.judge(question, transcript).await,
            Voice::Script { .. } => None,
        }
    }
}
