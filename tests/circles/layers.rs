//! Which module of a crate uses which: ARCHITECTURE.md and storage/DESIGN.md as tables.

use crate::graph::Graph;
use std::collections::{BTreeMap, BTreeSet};

/// A module, and those that it may use.
pub type Row = (&'static str, &'static [&'static str]);

/// Which top-level module uses which, with one of the uses.
pub type Found = BTreeMap<(String, String), Vec<String>>;

/// The top-level modules of a crate, and the other crates, as they are used.
pub fn module_edges(graph: &Graph, krate: &str) -> Found {
    let mut found = Found::new();
    for edge in graph.edges.keys() {
        let (from, to) = (&graph.modules[edge.0], &graph.modules[edge.1]);
        if from[0] != krate {
            continue;
        }
        let own = top(from);
        let used = if to[0] == krate { top(to) } else { &to[0] };
        if own != used {
            let uses = found.entry((own.to_owned(), used.to_owned())).or_default();
            uses.push(graph.show(*edge));
        }
    }
    found
}

/// The module below the crate's root; the root itself is `lib`.
fn top(module: &[String]) -> &str {
    module.get(1).map_or("lib", String::as_str)
}

/// What is used and not in the table, and what is in the table and not used.
pub fn differences(found: &Found, table: &[Row]) -> Vec<String> {
    let mut differences = Vec::new();
    let allowed: BTreeSet<(&str, &str)> = table
        .iter()
        .flat_map(|(from, to)| to.iter().map(|to| (*from, *to)))
        .collect();
    for ((from, to), uses) in found {
        if !allowed.contains(&(from.as_str(), to.as_str())) {
            differences.push(format!("{from} uses {to}, which the table does not allow:"));
            differences.extend(uses.iter().map(|used| format!("    {used}")));
        }
    }
    for (from, to) in allowed {
        if !found.contains_key(&(from.to_owned(), to.to_owned())) {
            differences.push(format!(
                "{from} may use {to} and does not: the row is stale"
            ));
        }
    }
    differences
}

/// Modules of a table that may use each other, directly or through others.
pub fn circles(table: &[Row]) -> Vec<String> {
    let rows: BTreeMap<&str, &[&str]> = table.iter().copied().collect();
    let reaches = |from: &str| {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            for next in rows.get(at).copied().unwrap_or_default() {
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
        seen
    };
    rows.keys()
        .filter(|module| reaches(module).contains(**module))
        .map(|module| format!("{module} reaches itself"))
        .collect()
}
