//! The names of the tools that a request offers, and what models make of them.

use super::catalog::ToolCatalog;
use super::tools::{ToolKind, ToolSet};
use compact_str::CompactString;
use std::sync::Arc;

/// The names that one request offers.
#[derive(Debug, Clone, Default)]
pub(super) struct Offered {
    names: Vec<CompactString>,
    own: Arc<ToolCatalog>,
}

impl Offered {
    /// Ours.
    pub(super) fn of(tools: &ToolSet) -> Self {
        let kinds = ToolKind::ALL.iter().filter(|kind| tools.has(**kind));
        Self {
            names: kinds.map(|kind| kind.name().into()).collect(),
            own: Arc::default(),
        }
    }

    /// And the operator's.
    pub(super) fn with_own(mut self, own: &Arc<ToolCatalog>) -> Self {
        let names = own.tools().iter().map(|tool| tool.name.as_str().into());
        self.names.extend(names);
        self.own = Arc::clone(own);
        self
    }

    /// The operator's.
    pub(super) fn own(&self) -> &Arc<ToolCatalog> {
        &self.own
    }

    /// Whether `name` is offered, to the letter.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|offered| offered == name)
    }

    /// Whether an offered name begins with `beginning`.
    pub(super) fn any_begins_with(&self, beginning: &str) -> bool {
        self.names.iter().any(|name| name.starts_with(beginning))
    }

    /// Whether an offered name stands in `text`.
    pub(super) fn is_named_in(&self, text: &str) -> bool {
        self.names.iter().any(|name| text.contains(name.as_str()))
    }

    /// The offered tool that a model means by `said`: the name itself, the name in a namespace
    /// (`functions.end_call`, `default_api:end_call`), with a number, with a token of its
    /// template or brackets behind it (`end_call<|channel|>commentary`), or in another case.
    pub(super) fn named(&self, said: &str) -> Option<&str> {
        let end = said.find(['<', '(', '{', '[']).unwrap_or(said.len());
        let said = said[..end].trim().trim_matches(['"', '\'', '`', '*']);
        if let Some(exact) = self.exactly(said) {
            return Some(exact);
        }
        let numbered = said.trim_end_matches(|c: char| c.is_ascii_digit());
        let said = numbered.strip_suffix(':').unwrap_or(said);
        let mut names = said.match_indices(['.', ':', '/', ' ']).rev();
        self.exactly(said)
            .or_else(|| names.find_map(|(at, _)| self.exactly(&said[at + 1..])))
            .or_else(|| self.exactly(said.rsplit("__").next().unwrap_or(said)))
    }

    fn exactly(&self, said: &str) -> Option<&str> {
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
        let offered = Offered::of(&ToolSet::ALL.without(ToolKind::SetName));
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
            assert_eq!(offered.named(said), Some("end_call"), "{said}");
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
            assert_eq!(offered.named(said), None, "{said}");
        }
    }
}
