//! What the model is told before a turn: the persona, what is known of the caller, the conversation.

use super::catalog::ToolCatalog;
use super::facts::CallerFacts;
use super::message::Message;
use super::persona::Persona;
use super::prompt::{About, Prompts};
use super::tools::ToolSet;
use compact_str::CompactString;
use std::fmt;
use std::sync::Arc;

/// One turn's question to the model. Cheap to make: texts and messages are shared.
#[derive(Clone)]
pub struct Brief {
    /// The part of the system prompt that is the same in all calls of the line; see [`Prompts::prefix`].
    pub system: Arc<str>,
    /// The part that changes, told behind `system`; see [`Prompts::about`].
    pub about: Arc<str>,
    /// Tells the line's prefix from others, for servers that keep prefixes.
    pub cache_key: Option<Arc<str>>,
    /// Texts of the prompt that could not be rendered, and stand there as they are shipped.
    pub failed_texts: Vec<&'static str>,
    /// Who answers; with `caller` it is for the offline agent, which reads no prompt.
    pub persona: Arc<Persona>,
    /// What is known of the caller.
    pub caller: Arc<CallerFacts>,
    /// The conversation so far, oldest first. The last message is what is to be answered.
    pub history: Vec<Arc<Message>>,
    /// What the model may do besides talking.
    pub tools: ToolSet,
    /// The operator's tools of this line, offered beside.
    pub own_tools: Arc<ToolCatalog>,
    /// BCP 47 codes of the line's languages, for the tool that switches.
    pub languages: Vec<CompactString>,
    /// BCP 47 code in which to answer.
    pub language: CompactString,
    /// One more line of the house, for this turn only.
    pub nudge: Option<String>,
    /// Names of the models to ask, in order; empty: the usual ones.
    pub models: Arc<[String]>,
    /// 0 for an answer to the caller, counted up with each answer to the results of tools. From 1
    /// on an empty answer is no failure: the words came before the tools.
    pub round: u8,
}

impl Brief {
    /// A brief on a general line with this persona, with all tools, no nudge, round 0. Compiles the
    /// persona's prompts: a line has them ready for [`Brief::on`].
    pub fn new(
        persona: &Arc<Persona>,
        caller: Arc<CallerFacts>,
        history: Vec<Arc<Message>>,
    ) -> Self {
        Self::on(&Prompts::of_persona(persona), caller, history)
    }

    /// A brief on the line of `prompts`, with all tools, no nudge, round 0.
    pub fn on(prompts: &Prompts, caller: Arc<CallerFacts>, history: Vec<Arc<Message>>) -> Self {
        let About { text, failed } = prompts.about(&caller);
        Self {
            system: Arc::clone(prompts.prefix()),
            about: text,
            cache_key: Some(Arc::clone(prompts.cache_key())),
            failed_texts: failed,
            persona: Arc::clone(prompts.persona()),
            language: caller.language.clone(),
            caller,
            history,
            tools: ToolSet::ALL,
            own_tools: Arc::default(),
            languages: Vec::new(),
            nudge: None,
            models: Arc::default(),
            round: 0,
        }
    }

    /// Whether the model may call anything.
    pub fn offers_tools(&self) -> bool {
        !self.tools.is_empty() || !self.own_tools.is_empty()
    }
}

impl fmt::Debug for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brief")
            .field("caller", &self.caller)
            .field("messages", &self.history.len())
            .field("tools", &self.tools)
            .field("nudged", &self.nudge.is_some())
            .field("round", &self.round)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_personal_prints() {
        let caller = CallerFacts {
            name: Some("Misty".into()),
            ..CallerFacts::default()
        };
        let history = vec![Message::caller("my secret is Togepi")];
        let brief = Brief::new(&Arc::new(Persona::default()), Arc::new(caller), history);
        let shown = format!("{brief:?} {:?}", brief.history);
        assert!(
            !shown.contains("Misty") && !shown.contains("Togepi"),
            "{shown}"
        );
    }
}
