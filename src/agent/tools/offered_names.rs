//! The names of the tools that a request offers, and the variants that models write.

use super::catalog::ToolCatalog;
use super::invocation::{BuiltInTool, BuiltInTools};
use compact_str::CompactString;
use std::sync::Arc;

/// The names that one request offers.
#[derive(Debug, Clone, Default)]
pub(in crate::agent) struct OfferedToolNames {
    names: Vec<CompactString>,
    configured: Arc<ToolCatalog>,
}

impl OfferedToolNames {
    /// The built-in tools.
    pub(in crate::agent) fn built_in(tools: &BuiltInTools) -> Self {
        let kinds = BuiltInTool::ALL
            .iter()
            .filter(|kind| tools.contains(**kind));
        Self {
            names: kinds.map(|kind| kind.name().into()).collect(),
            configured: Arc::default(),
        }
    }

    /// Adds the operator's tools.
    pub(in crate::agent) fn with_configured(mut self, own: &Arc<ToolCatalog>) -> Self {
        let names = own.tools().iter().map(|tool| tool.name.as_str().into());
        self.names.extend(names);
        self.configured = Arc::clone(own);
        self
    }

    /// The operator's tools.
    pub(in crate::agent) fn configured(&self) -> &Arc<ToolCatalog> {
        &self.configured
    }

    /// Whether `name` is offered exactly so.
    pub(in crate::agent) fn contains(&self, name: &str) -> bool {
        self.names.iter().any(|offered| offered == name)
    }

    /// Whether an offered name starts with `beginning`.
    pub(in crate::agent) fn any_begins_with(&self, beginning: &str) -> bool {
        self.names.iter().any(|name| name.starts_with(beginning))
    }

    /// Whether `text` contains an offered name.
    pub(in crate::agent) fn is_named_in(&self, text: &str) -> bool {
        self.names.iter().any(|name| text.contains(name.as_str()))
    }

    /// The offered tool that a model means by `said`: the name itself, the name in a namespace
    /// (`functions.end_call`, `default_api:end_call`), with a number, with a token of its
    /// template or brackets behind it (`end_call<|channel|>commentary`), or in another case.
    pub(in crate::agent) fn resolve(&self, said: &str) -> Option<&str> {
        let end = said.find(['<', '(', '{', '[']).unwrap_or(said.len());
        let said = said[..end].trim().trim_matches(['"', '\'', '`', '*']);
        if let Some(exact) = self.match_ignoring_case(said) {
            return Some(exact);
        }
        let numbered = said.trim_end_matches(|c: char| c.is_ascii_digit());
        let said = numbered.strip_suffix(':').unwrap_or(said);
        let mut names = said.match_indices(['.', ':', '/', ' ']).rev();
        self.match_ignoring_case(said)
            .or_else(|| names.find_map(|(at, _)| self.match_ignoring_case(&said[at + 1..])))
            .or_else(|| self.match_ignoring_case(said.rsplit("__").next().unwrap_or(said)))
    }

    fn match_ignoring_case(&self, said: &str) -> Option<&str> {
        let alike = |name: &&CompactString| {
            let letters = |text: &str| -> String {
                let plain = text.chars().filter(|c| !matches!(c, '_' | '-'));
                plain.flat_map(char::to_lowercase).collect()
            };
            letters(name) == letters(said)
        };
        let mut names = self.names.iter();
        let exact = names.clone().find(|name| *name == said);
        exact
            .or_else(|| names.find(alike))
            .map(CompactString::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_known_by_what_models_make_of_its_name() {
        let offered = OfferedToolNames::built_in(&BuiltInTools::ALL.without(BuiltInTool::SetName));
        for said in [
            "end_call",
            "functions.end_call",
            "default_api:end_call",
            "default_api.end_call",
            "functions.end_call:0",
            "tools/end_call",
            "mcp__calldex__end_call",
            "end_call()",
            "end_call<|channel|>commentary",
            "endCall",
            "End-Call",
            " \"end_call\"",
        ] {
            assert_eq!(offered.resolve(said), Some("end_call"), "{said}");
        }
        for said in [
            "",
            "set_name",
            "end",
            "end_call_now",
            "call",
            ".",
            "nonsense tool!",
        ] {
            assert_eq!(offered.resolve(said), None, "{said}");
        }
    }
}
