//! No circle of files outside a module's own parent: holds it over the product's files, and holds
//! which top-level module may use which.
//!
//! `cargo test --test circles -- --nocapture` prints the figures.
//!
//! A file uses another where a `use`, or a path in its types, expressions, patterns, attributes or
//! macros, leads to a module or an item of it. Re-exports are followed to the file that defines the
//! item. A call of a method names no file and is not seen. What a module re-exports of the modules below
//! it, and does not name itself, is no use.

#[path = "circles/disk.rs"]
mod disk;
#[path = "circles/graph.rs"]
mod graph;
#[path = "circles/layers.rs"]
mod layers;
#[path = "circles/resolve.rs"]
mod resolve;
#[path = "circles/resolver_cases.rs"]
mod resolver_cases;
#[path = "circles/tree.rs"]
mod tree;
#[path = "circles/uses.rs"]
mod uses;

use graph::Graph;
use layers::{Row, circles, differences, module_edges};
use std::sync::OnceLock;
use tree::Workspace;

/// The product's graph, read once for all tests.
fn product() -> &'static Graph {
    static GRAPH: OnceLock<Graph> = OnceLock::new();
    GRAPH.get_or_init(|| {
        let workspace = Workspace::parse(&disk::sources(), &disk::crates());
        resolve::graph(&workspace).unwrap_or_else(|unresolved| panic!("{}", unresolved.join("\n")))
    })
}

#[test]
fn no_circle_of_files_outside_a_modules_own_parent() {
    let graph = product();
    let failing = graph.failing();
    assert!(
        failing.is_empty(),
        "{} circles:\n\n{}",
        failing.len(),
        graph.report(&failing)
    );
}

#[test]
fn every_file_of_the_product_is_read() {
    let graph = product();
    // Declared for tests only.
    let for_tests = ["src/twilio/signature/sign.rs"];
    let left_out: Vec<String> = disk::sources()
        .into_keys()
        .filter(|file| !graph.files.contains(file) && !for_tests.contains(&file.as_str()))
        .collect();
    assert_eq!(left_out, Vec::<String>::new(), "no module declares them");
}

#[test]
fn figures() {
    let graph = product();
    let sources = disk::sources();
    let mut lines: Vec<(usize, &String)> = graph
        .files
        .iter()
        .map(|file| (disk::product_lines(&sources[file]), file))
        .collect();
    lines.sort_unstable();
    let total: usize = lines.iter().map(|(lines, _)| lines).sum();
    let failing = graph.failing();
    let sizes = |components: Vec<usize>| {
        let files: usize = components.iter().sum();
        let largest = components.iter().max().copied().unwrap_or_default();
        format!(
            "{} of {files} files, the largest of {largest}",
            components.len()
        )
    };
    let all = graph.strong_components();
    println!("files                     {}", graph.files.len());
    println!("edges                     {}", graph.edges.len());
    let names: usize = graph.edges.values().map(Vec::len).sum();
    println!("names used over edges     {names}");
    println!(
        "strongly connected        {}",
        sizes(all.iter().map(std::collections::BTreeSet::len).collect())
    );
    println!(
        "circles that are at fault {}",
        sizes(
            failing
                .iter()
                .map(|component| component.files.len())
                .collect()
        )
    );
    println!("lines of product          {total}");
    println!(
        "median file               {} lines",
        lines[lines.len() / 2].0
    );
    for (lines, file) in lines.iter().rev().take(3) {
        println!("large                     {lines} lines, {file}");
    }
}

/// Which top-level module of the server uses which: webhook -> call -> agent and storage; `app` and
/// `commands` connect them. `config` puts the settings of all modules together. That `call` and `cluster`
/// use sections of `config`, and `cluster` the clock of `call` and a path of `webhook`, is to go.
const SRC: [Row; 10] = [
    (
        "admin",
        &["call", "cluster", "webhook", "calldex_observability"],
    ),
    (
        "agent",
        &["net", "settings", "calldex_names", "calldex_observability"],
    ),
    (
        "app",
        &[
            "admin",
            "agent",
            "call",
            "cluster",
            "config",
            "settings",
            "tools",
            "twilio",
            "webhook",
            "calldex_names",
            "calldex_observability",
            "calldex_storage",
        ],
    ),
    (
        "call",
        &[
            "agent",
            "config",
            "settings",
            "twilio",
            "calldex_names",
            "calldex_observability",
            "calldex_storage",
        ],
    ),
    (
        "cluster",
        &[
            "call",
            "config",
            "net",
            "twilio",
            "webhook",
            "calldex_observability",
            "calldex_storage",
        ],
    ),
    (
        "commands",
        &[
            "agent",
            "app",
            "call",
            "cluster",
            "config",
            "net",
            "calldex_names",
            "calldex_observability",
            "calldex_storage",
        ],
    ),
    (
        "config",
        &[
            "agent",
            "call",
            "settings",
            "tools",
            "twilio",
            "calldex_names",
            "calldex_observability",
            "calldex_storage",
        ],
    ),
    (
        "tools",
        &[
            "agent",
            "call",
            "net",
            "settings",
            "calldex_observability",
            "calldex_storage",
        ],
    ),
    (
        "twilio",
        &[
            "settings",
            "calldex_names",
            "calldex_observability",
            "calldex_storage",
        ],
    ),
    (
        "webhook",
        &["call", "twilio", "calldex_observability", "calldex_storage"],
    ),
];

/// See the table of modules in storage/DESIGN.md.
const STORAGE: [Row; 15] = [
    ("backup", &["data_dir", "record", "sqlite"]),
    (
        "caller_directory",
        &[
            "backoff",
            "data_dir",
            "fault_injection",
            "file_permissions",
            "pending_writes",
            "reader_pool",
            "record",
            "sqlite",
            "thread_join",
            "write",
            "calldex_observability",
        ],
    ),
    (
        "conversations",
        &["pending_writes", "reader_pool", "record", "sqlite", "write"],
    ),
    ("data_dir_lock", &["data_dir"]),
    ("disk", &["calldex_observability"]),
    (
        "measured",
        &[
            "caller_directory",
            "fault_injection",
            "open",
            "reader_pool",
            "record",
            "sqlite",
        ],
    ),
    (
        "open",
        &[
            "backup",
            "caller_directory",
            "conversations",
            "data_dir",
            "data_dir_lock",
            "disk",
            "fault_injection",
            "file_permissions",
            "format_version",
            "outbox",
            "pending_writes",
            "reader_pool",
            "record",
            "replication",
            "sqlite",
            "thread_join",
            "write",
            "writer",
            "calldex_observability",
        ],
    ),
    (
        "outbox",
        &[
            "data_dir",
            "disk",
            "fault_injection",
            "file_permissions",
            "sqlite",
        ],
    ),
    ("pending_writes", &["record", "write"]),
    ("reader_pool", &["sqlite", "thread_join"]),
    ("record", &["calldex_observability"]),
    (
        "replication",
        &[
            "backoff",
            "data_dir",
            "data_dir_lock",
            "disk",
            "fault_injection",
            "file_permissions",
            "outbox",
            "record",
            "sqlite",
            "thread_join",
            "write",
            "writer",
            "calldex_observability",
        ],
    ),
    ("sqlite", &["file_permissions", "format_version", "record"]),
    ("write", &["format_version", "record", "sqlite"]),
    (
        "writer",
        &[
            "backoff",
            "disk",
            "fault_injection",
            "format_version",
            "outbox",
            "pending_writes",
            "record",
            "sqlite",
            "thread_join",
            "write",
            "calldex_observability",
        ],
    ),
];

#[test]
fn modules_of_the_server_know_only_what_they_may() {
    let broken = differences(&module_edges(product(), "calldex"), &SRC);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn modules_of_storage_know_only_what_they_may() {
    let broken = differences(&module_edges(product(), "calldex_storage"), &STORAGE);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_tables_have_no_circle_of_modules() {
    assert_eq!(circles(&STORAGE), Vec::<String>::new());
    // `call` uses sections of `config`, which is to go: then nothing is left here.
    let known = ["call", "config", "tools"].map(|module| format!("{module} reaches itself"));
    assert_eq!(circles(&SRC), known);
}
