//! The workspace as it is on disk: its crates and their files.

use crate::tree::{CrateRoot, Sources, is_test_file};
use std::fs;
use std::path::Path;
use toml::{Table, Value};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn manifest(folder: &str) -> Table {
    let path = root().join(folder).join("Cargo.toml");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The members' folders, those of tests left out.
fn members() -> Vec<String> {
    let manifest = manifest(".");
    let members = manifest["workspace"]["members"].as_array().cloned();
    members
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_str)
        .filter(|member| !member.starts_with("tests/"))
        .map(|member| {
            if member == "." {
                String::new()
            } else {
                format!("{member}/")
            }
        })
        .collect()
}

/// The library of every member, and its programs under their name with `bin ` before it.
pub fn crates() -> Vec<CrateRoot> {
    let mut crates = Vec::new();
    for folder in members() {
        let manifest = manifest(&folder);
        let name = manifest["package"]["name"].as_str().unwrap_or_default();
        let path = |target: &Value| {
            let path = target.get("path").and_then(Value::as_str);
            format!("{folder}{}", path.unwrap_or("src/lib.rs"))
        };
        if let Some(library) = manifest.get("lib") {
            let name = name.replace('-', "_");
            let file = path(library);
            crates.push(CrateRoot { name, file });
        }
        let programs = manifest.get("bin").and_then(Value::as_array);
        for program in programs.into_iter().flatten() {
            let file = path(program);
            if !file.starts_with("tests/") {
                let name = program.get("name").and_then(Value::as_str);
                let name = format!("bin {}", name.unwrap_or_default());
                crates.push(CrateRoot { name, file });
            }
        }
    }
    crates
}

/// Every product file, by its path below the repository.
pub fn sources() -> Sources {
    let mut sources = Sources::new();
    let mut open = vec!["src".to_owned()];
    open.extend(
        members()
            .iter()
            .map(|folder| folder.trim_end_matches('/').to_owned())
            .filter(|folder| !folder.is_empty() && !folder.starts_with("src/")),
    );
    while let Some(folder) = open.pop() {
        let entries =
            fs::read_dir(root().join(&folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
        for entry in entries {
            let entry = entry.unwrap_or_else(|error| panic!("{folder}: {error}"));
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                open.push(path);
            } else if path.ends_with(".rs") && !is_test_file(&path) {
                let text = fs::read_to_string(entry.path())
                    .unwrap_or_else(|error| panic!("{path}: {error}"));
                sources.insert(path, text);
            }
        }
    }
    sources
}

/// The lines of a file before its test module, which stands last.
pub fn product_lines(text: &str) -> usize {
    let product = text.split("\n#[cfg(test)]\nmod ").next();
    product.unwrap_or_default().lines().count()
}
