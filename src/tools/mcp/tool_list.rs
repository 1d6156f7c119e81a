//! The tools that a server lists, as they are offered to the model: checked, bounded, with unique names.

use crate::agent::tools::catalog::{CONFIGURED_TOOLS_MAX, TOOL_NAME_BYTES_MAX, is_tool_name};
use crate::agent::tools::is_built_in;
use crate::agent::{ToolSpec, ToolSpecSource};
use crate::tools::config::McpSection;
use rmcp::model::Tool;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A tool of a server.
pub struct ListedTool {
    /// Its definition for the model.
    pub spec: Arc<ToolSpec>,
    /// The server's own name of it.
    pub remote_name: String,
}

/// The names in use: those of `[[tool]]`s are always reserved, those of servers as long as they list them.
pub struct ToolNameTable {
    configured: Vec<String>,
    /// The index of the server, by the name of the tool.
    listed: Mutex<HashMap<String, usize>>,
}

impl ToolNameTable {
    /// With the names of the `[[tool]]`s reserved.
    pub fn new(own: impl IntoIterator<Item = String>) -> Self {
        Self {
            configured: own.into_iter().collect(),
            listed: Mutex::default(),
        }
    }

    /// Releases all names of the server at `server_index`.
    fn release_all(&self, server_index: usize) {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.retain(|_, by| *by != server_index);
    }

    /// Reserves the name for the server at `server_index`; `false` if it is in use.
    fn reserve(&self, name: &str, server_index: usize) -> bool {
        if is_built_in(name) || self.configured.iter().any(|own| own == name) {
            return false;
        }
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.contains_key(name) {
            return false;
        }
        listed.insert(name.to_owned(), server_index);
        true
    }
}

/// The tools of `found` that can be offered: allowed by the configuration, and with a valid schema.
pub fn list_offered_tools(
    section: &McpSection,
    server_index: usize,
    names: &ToolNameTable,
    found: Vec<Tool>,
) -> Vec<ListedTool> {
    names.release_all(server_index);
    let is_allowed = |tool: &Tool| {
        section.allow.is_empty() || section.allow.iter().any(|name| *name == tool.name)
    };
    let missing = section
        .allow
        .iter()
        .filter(|name| !found.iter().any(|tool| tool.name == **name));
    for name in missing {
        tracing::warn!(server = %section.name, tool = %name, "an MCP server has no such tool");
    }
    let allowed = found.iter().filter(|tool| is_allowed(tool));
    allowed
        .take(CONFIGURED_TOOLS_MAX)
        .filter_map(|tool| offered_tool(section, server_index, names, tool))
        .collect()
}

fn offered_tool(
    section: &McpSection,
    server_index: usize,
    names: &ToolNameTable,
    tool: &Tool,
) -> Option<ListedTool> {
    let Some(name) = reserve_name(section, server_index, names, &tool.name) else {
        tracing::warn!(server = %section.name, tool = %tool.name, "a tool of an MCP server is skipped: its name is in use");
        return None;
    };
    let spec = ToolSpec::new(&ToolSpecSource {
        name: &name,
        description: tool.description.as_deref().unwrap_or_default(),
        parameters: &Value::Object((*tool.input_schema).clone()),
        metric_label: &section.name,
        side_effects: section.side_effects,
        timeout_ms: section.timeout_ms,
        filler: section.say.clone(),
    });
    match spec {
        Ok(spec) => Some(ListedTool {
            spec: Arc::new(spec),
            remote_name: tool.name.to_string(),
        }),
        Err(reason) => {
            tracing::warn!(server = %section.name, tool = %tool.name, %reason, "a tool of an MCP server is skipped");
            None
        }
    }
}

/// The name under which it is offered: its own with invalid characters replaced; with the server's name as prefix where
/// that is in use.
fn reserve_name(
    section: &McpSection,
    server_index: usize,
    names: &ToolNameTable,
    remote: &str,
) -> Option<String> {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
            c
        } else {
            '_'
        }
    };
    let bounded = |name: String| -> String { name.chars().take(TOOL_NAME_BYTES_MAX).collect() };
    let plain = bounded(remote.chars().map(legal).collect());
    let prefixed = bounded(format!("{}_{plain}", section.name));
    [plain, prefixed]
        .into_iter()
        .find(|name| is_tool_name(name) && names.reserve(name, server_index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tool(name: &str) -> Tool {
        serde_json::from_value(json!({
            "name": name,
            "description": "x",
            "inputSchema": { "type": "object" },
        }))
        .unwrap()
    }

    fn section(name: &str) -> McpSection {
        McpSection {
            name: name.into(),
            ..McpSection::default()
        }
    }

    fn names_of(listed: &[ListedTool]) -> Vec<&str> {
        listed.iter().map(|one| one.spec.name.as_str()).collect()
    }

    #[test]
    fn clashing_and_illegal_names_are_made_apart() {
        let names = ToolNameTable::new(["order_status".to_owned()]);
        let found = || {
            ["find", "order_status", "end_call", "naïve tool"]
                .map(tool)
                .to_vec()
        };
        let one = list_offered_tools(&section("shop"), 0, &names, found());
        assert_eq!(
            names_of(&one),
            ["find", "shop_order_status", "shop_end_call", "na_ve_tool"]
        );
        assert_eq!(one[3].remote_name, "naïve tool");
        let other = list_offered_tools(&section("store"), 1, &names, found());
        assert_eq!(names_of(&other)[0], "store_find");
        // Listed again, everything is called as before.
        let again = list_offered_tools(&section("shop"), 0, &names, found());
        assert_eq!(names_of(&again), names_of(&one));
    }

    #[test]
    fn only_what_is_allowed_and_usable_is_offered() {
        let names = ToolNameTable::new([]);
        let mut allowing = section("shop");
        allowing.allow = vec!["find".into(), "gone".into()];
        let found = vec![tool("find"), tool("drop_tables")];
        assert_eq!(
            names_of(&list_offered_tools(&allowing, 0, &names, found)),
            ["find"]
        );
        let mut wrong = tool("wrong");
        wrong.input_schema = Arc::new(json!({ "type": "string" }).as_object().unwrap().clone());
        let many = (0..200)
            .map(|at| tool(&format!("t{at}")))
            .chain([wrong.clone()]);
        let listed_all = list_offered_tools(&section("shop"), 0, &names, many.collect());
        assert_eq!(listed_all.len(), CONFIGURED_TOOLS_MAX);
        assert!(list_offered_tools(&section("shop"), 0, &names, vec![wrong]).is_empty());
    }
}
