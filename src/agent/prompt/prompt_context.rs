//! The context of a turn's prompt: the persona, the facts about the caller, the conversation.

use super::caller_facts::CallerFacts;
use super::persona::Persona;
use super::system_prompt::{DynamicPrompt, SystemPrompt};
use crate::agent::message::Message;
use crate::agent::tools::catalog::ToolCatalog;
use crate::agent::tools::invocation::BuiltInTools;
use compact_str::CompactString;
use std::fmt;
use std::sync::Arc;

/// Everything that a model is sent for one turn. Cheap to make: texts and messages are shared.
#[derive(Clone)]
pub struct PromptContext {
    /// The part of the system prompt that is the same in all calls of the line; see [`SystemPrompt::prefix`].
    pub prompt_prefix: Arc<str>,
    /// The part that changes, sent after that prefix; see [`SystemPrompt::render_dynamic`].
    pub dynamic_prompt: Arc<str>,
    /// Identifies the line's prefix, for servers that cache prefixes.
    pub cache_key: Option<Arc<str>>,
    /// Texts of the prompt that could not be rendered and were replaced by the built-in ones.
    pub failed_texts: Vec<&'static str>,
    /// The persona that answers; used, like `caller`, by the offline agent, which reads no prompt.
    pub persona: Arc<Persona>,
    /// The facts about the caller.
    pub caller: Arc<CallerFacts>,
    /// The conversation so far, oldest first. The last message is the one to answer.
    pub history: Vec<Arc<Message>>,
    /// The built-in tools that are offered.
    pub built_in_tools: BuiltInTools,
    /// The operator's tools of this line, offered too.
    pub configured_tools: Arc<ToolCatalog>,
    /// BCP 47 codes of the line's languages, for the tool that switches.
    pub line_languages: Vec<CompactString>,
    /// BCP 47 code in which to answer.
    pub language: CompactString,
    /// Extra instruction for this turn.
    pub turn_instruction: Option<String>,
    /// Names of the models to ask, in order; the default order if empty.
    pub model_names: Arc<[String]>,
    /// 0 for a reply to the caller, plus 1 for each reply to tool results. From 1 on an empty reply is not a failure:
    /// the text came before the tool calls.
    pub tool_step: u8,
}

impl PromptContext {
    /// A context for a line without settings of its own: this persona, all built-in tools, no turn instruction, tool
    /// step 0. Compiles the persona's prompts; a line has them compiled for [`PromptContext::for_line`].
    pub fn new(
        persona: &Arc<Persona>,
        caller: Arc<CallerFacts>,
        history: Vec<Arc<Message>>,
    ) -> Self {
        Self::for_line(&SystemPrompt::for_persona(persona), caller, history)
    }

    /// A context for the line of `prompts`, with all built-in tools, no turn instruction, tool step 0.
    pub fn for_line(
        prompts: &SystemPrompt,
        caller: Arc<CallerFacts>,
        history: Vec<Arc<Message>>,
    ) -> Self {
        let DynamicPrompt {
            text,
            failed_texts: failed,
        } = prompts.render_dynamic(&caller);
        Self {
            prompt_prefix: Arc::clone(prompts.prefix()),
            dynamic_prompt: text,
            cache_key: Some(Arc::clone(prompts.cache_key())),
            failed_texts: failed,
            persona: Arc::clone(prompts.persona()),
            language: caller.language.clone(),
            caller,
            history,
            built_in_tools: BuiltInTools::ALL,
            configured_tools: Arc::default(),
            line_languages: Vec::new(),
            turn_instruction: None,
            model_names: Arc::default(),
            tool_step: 0,
        }
    }

    /// Whether any tool is offered.
    pub fn offers_tools(&self) -> bool {
        !self.built_in_tools.is_empty() || !self.configured_tools.is_empty()
    }
}

impl fmt::Debug for PromptContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptContext")
            .field("caller", &self.caller)
            .field("messages", &self.history.len())
            .field("tools", &self.built_in_tools)
            .field("nudged", &self.turn_instruction.is_some())
            .field("round", &self.tool_step)
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
        let prompt_context =
            PromptContext::new(&Arc::new(Persona::default()), Arc::new(caller), history);
        let shown = format!("{prompt_context:?} {:?}", prompt_context.history);
        assert!(
            !shown.contains("Misty") && !shown.contains("Togepi"),
            "{shown}"
        );
    }
}
