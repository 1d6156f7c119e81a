//! Holds the import rules of ARCHITECTURE.md: which room may know which technology.

use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file of the product below `folder`, tests excluded.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let below =
                fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            open.extend(
                below
                    .map(|entry| entry.unwrap().path())
                    .filter(|path| !is_test(path)),
            );
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            files.push((path, product(&text)));
        }
    }
    assert!(
        !files.is_empty(),
        "no source in {folder}: the rule would hold nothing"
    );
    files
}

fn is_test(path: &Path) -> bool {
    let name = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    name == "tests"
        || name.ends_with("_tests")
        || name == "fixtures"
        || name == "target"
        || name == "examples"
}

/// The text without comments and without its test module, which stands last.
fn product(text: &str) -> String {
    let text = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let code = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

fn mentions(text: &str, word: &str) -> bool {
    let boundary = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word).any(|(at, _)| {
        boundary(text[..at].chars().next_back()) && boundary(text[at + word.len()..].chars().next())
    })
}

/// `word` (a crate or path) is named only in files below one of `allowed`.
fn only_in(word: &str, folders: &[&str], allowed: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut broken = Vec::new();
    for folder in folders {
        for (path, text) in sources(folder) {
            let place = path.strip_prefix(root).unwrap().display().to_string();
            if mentions(&text, word) && !allowed.iter().any(|room| place.starts_with(room)) {
                broken.push(format!("{place} names {word}, which only {allowed:?} may"));
            }
        }
    }
    broken
}

const ALL: [&str; 3] = ["src", "storage", "observability"];

#[test]
fn each_technology_stays_in_its_rooms() {
    let rules: [(&str, &[&str]); 9] = [
        (
            "salvo",
            &["src/webhook", "src/admin", "src/cluster", "src/app/"],
        ),
        (
            "reqwest",
            &["src/agent", "src/cluster", "src/net", "src/tools"],
        ),
        ("rmcp", &["src/tools"]),
        ("jsonschema", &["src/agent/tools/catalog.rs"]),
        ("rusqlite", &["storage"]),
        ("sled", &["storage/caller_directory"]),
        (
            "openraft",
            // What it logs has its name.
            &[
                "storage/replication",
                "src/cluster",
                "observability/logs.rs",
            ],
        ),
        ("calldex_simulator", &["src/commands"]),
        ("metrics_exporter_prometheus", &["observability"]),
    ];
    let broken: Vec<String> = rules
        .iter()
        .flat_map(|(word, rooms)| only_in(word, &ALL, rooms))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn what_decides_is_pure() {
    let impure = [
        "tokio",
        "std::fs",
        "std::net",
        "std::thread",
        "Instant",
        "SystemTime",
        "reqwest",
        "salvo",
    ];
    let pure = [
        "src/twilio",
        "src/call/state",
        "src/names",
        "src/call/caller_name",
        "src/call/playback",
        "src/call/transcript.rs",
        "src/call/greeting.rs",
        "storage/write",
    ];
    for folder in pure {
        for word in impure {
            let broken = only_in(word, &[folder], &[]);
            assert!(broken.is_empty(), "{}", broken.join("\n"));
        }
    }
}

#[test]
fn data_flows_one_way() {
    let nobody_imports_app = only_in("crate::app", &["src"], &["src/commands", "src/app/"]);
    let call_imports_no_webhook = only_in(
        "crate::webhook",
        &["src/call", "src/agent", "src/twilio", "src/config"],
        &[],
    );
    let agent_knows_no_call = only_in("crate::call", &["src/agent", "src/twilio"], &[]);
    let call_knows_no_tool_but_its_runner =
        only_in("crate::tools", &["src/call", "src/agent"], &[]);
    let observability_knows_nobody = only_in("calldex_storage", &["observability"], &[]);
    let broken = [
        nobody_imports_app,
        call_imports_no_webhook,
        agent_knows_no_call,
        call_knows_no_tool_but_its_runner,
        observability_knows_nobody,
    ]
    .concat();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_simulator_imports_nothing_of_ours() {
    let simulator = ["tests/simulator"];
    let broken = [
        only_in("calldex_storage", &simulator, &[]),
        only_in("calldex_observability", &simulator, &[]),
    ]
    .concat();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let manifest = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulator/Cargo.toml"),
    )
    .unwrap();
    assert!(!manifest.contains("calldex-storage") && !manifest.contains("calldex-observability"));
}

#[test]
fn the_rule_can_be_broken() {
    assert!(mentions("use tokio::time;", "tokio") && !mentions("tokio_util", "tokio"));
    assert!(
        !only_in("serde", &["src"], &[]).is_empty(),
        "a rule that nothing breaks proves nothing"
    );
}

/// What is started once and for good is supervised: see observability/vital.rs.
#[test]
fn tasks_of_the_process_are_vital() {
    let mut files = sources("src/app");
    files.extend(sources("src/cluster/lifecycle.rs"));
    for (path, text) in files {
        let started = text.matches("tokio::spawn(").count();
        let vital = text.matches("tokio::spawn(vital::").count();
        assert_eq!(
            started,
            vital,
            "{}: a task is not supervised",
            path.display()
        );
    }
}

#[test]
fn no_file_is_a_god() {
    for folder in ALL {
        for (path, _) in sources(folder) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 600, "{} has {lines} lines", path.display());
        }
    }
}

/// The names of the public types that `text` declares.
fn public_types(text: &str) -> Vec<&str> {
    let declared = |line: &'_ str| -> Option<usize> {
        let rest = line.trim_start().strip_prefix("pub")?;
        let rest = match rest.strip_prefix('(') {
            Some(scoped) => scoped.split_once(')')?.1,
            None => rest,
        };
        let (kind, _) = rest.trim_start().split_once(' ')?;
        let is_type = ["struct", "enum", "trait", "type"].contains(&kind);
        is_type.then(|| line.len() - rest.trim_start().len() + kind.len() + 1)
    };
    let name = |line: &'_ str, from: usize| {
        let rest = &line[from..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        from..end.map_or(line.len(), |end| from + end)
    };
    text.lines()
        .filter_map(|line| declared(line).map(|from| &line[name(line, from)]))
        .collect()
}

#[test]
fn no_two_public_types_share_a_name() {
    assert_eq!(
        public_types("pub struct A;\n  pub(in crate::x) enum Bc<T> {\nstruct D;\npub fn e() {}"),
        ["A", "Bc"]
    );
    let mut declared = std::collections::BTreeMap::<String, Vec<PathBuf>>::new();
    for folder in ALL {
        for (path, text) in sources(folder) {
            for name in public_types(&text) {
                declared
                    .entry(name.to_owned())
                    .or_default()
                    .push(path.clone());
            }
        }
    }
    assert!(declared.len() > 500, "{} types were read", declared.len());
    // A type that a feature replaces is declared twice in one file.
    declared.values_mut().for_each(Vec::dedup);
    let shared: Vec<_> = declared
        .iter()
        .filter(|(_, files)| files.len() > 1)
        .collect();
    assert!(shared.is_empty(), "{shared:#?}");
}

#[test]
fn every_type_of_the_glossary_is_where_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let glossary = text.split("## Glossary").nth(1).expect("a glossary");
    let rows: Vec<&str> = glossary
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
        .collect();
    assert!((30..=40).contains(&rows.len()), "{} terms", rows.len());
    for row in rows {
        let carrier = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let (types, place) = carrier
            .rsplit_once(" (`")
            .unwrap_or_else(|| panic!("no file: {row}"));
        let place = root.join(place.trim_end_matches("`)"));
        let code = if place.is_dir() {
            let files = sources(place.strip_prefix(root).unwrap().to_str().unwrap());
            files.into_iter().map(|(_, text)| text).collect()
        } else {
            fs::read_to_string(&place).unwrap_or_else(|error| panic!("{row}: {error}"))
        };
        for name in types.split(", ").map(|name| name.trim_matches('`')) {
            let name = name.rsplit("::").next().unwrap();
            let is_there = ["struct", "enum", "trait", "fn"]
                .iter()
                .any(|kind| mentions(&code, name) && code.contains(&format!("{kind} {name}")));
            assert!(is_there, "{row}: no {name} in {}", place.display());
        }
    }
}
