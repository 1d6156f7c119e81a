//! What a model is asked with: the system prompt, the facts about the caller, and the messages.

pub mod caller_facts;
pub(super) mod message_list;
pub mod persona;
pub mod prompt_context;
pub mod system_prompt;
mod template;
