//! The tools that a model may call: their definitions, and its calls.

pub mod catalog;
pub mod invocation;
pub(super) mod offered_names;
pub(super) mod tool_definitions;

use invocation::{BuiltInTool, UNKNOWN_NAME};

/// Whether the name is that of a built-in tool, or reserved for unknown ones.
pub fn is_built_in(name: &str) -> bool {
    BuiltInTool::ALL.iter().any(|kind| kind.name() == name) || name == UNKNOWN_NAME
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_unknown_tool_is_reserved_like_those_of_the_built_in_tools() {
        assert!(is_built_in("end_call") && is_built_in("unknown_tool") && !is_built_in("find"));
    }
}
