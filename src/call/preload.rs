//! What a model reads before the first call: the beginning that all calls of a line have in common.

use super::state::tools_of;
use super::tool_runner::ToolRunner;
use crate::agent::{Brief, CallerFacts, Message};
use crate::config::Line;
use std::sync::Arc;

/// A brief as a new caller's first question on `line`, the number `called`, would have it.
pub(super) fn brief(line: &Line, called: &str, tools: &dyn ToolRunner) -> Brief {
    let caller = CallerFacts {
        first_call: true,
        language: line.language.as_str().into(),
        ..CallerFacts::default()
    };
    let history = vec![Message::caller("Hi")];
    Brief {
        tools: tools_of(line, line.handoff.is_possible(), true),
        own_tools: tools.catalog(called),
        languages: line
            .languages
            .iter()
            .map(|tag| tag.as_str().into())
            .collect(),
        models: Arc::clone(&line.models),
        ..Brief::on(&line.prompts, Arc::new(caller), history)
    }
}
