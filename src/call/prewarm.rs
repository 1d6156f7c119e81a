//! What a model reads before the first call: the beginning that all calls of a line have in common.

use super::state::available_tools;
use super::tool_runner::ToolRunner;
use crate::agent::{CallerFacts, Message, PromptContext};
use crate::config::PhoneLine;
use std::sync::Arc;

/// The prompt context of a new caller's first question on `line`, which was called as `called`.
pub(super) fn prewarm_context(
    line: &PhoneLine,
    called: &str,
    tools: &dyn ToolRunner,
) -> PromptContext {
    let caller = CallerFacts {
        first_call: true,
        language: line.language.as_str().into(),
        ..CallerFacts::default()
    };
    let history = vec![Message::caller("Hi")];
    PromptContext {
        built_in_tools: available_tools(line, line.handoff.is_possible(), true),
        configured_tools: tools.catalog(called),
        line_languages: line
            .languages
            .iter()
            .map(|tag| tag.as_str().into())
            .collect(),
        model_names: Arc::clone(&line.models),
        ..PromptContext::for_line(&line.prompts, Arc::new(caller), history)
    }
}
