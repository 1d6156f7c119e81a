//! The files of the repository, and what the documents among them have.

use crate::text::{self, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Folders that hold no text of the project.
const LEFT_OUT: [&str; 4] = [".git", "data", "node_modules", "__pycache__"];
/// Below these folders files count as existing and are not read.
const NOT_READ: &str = "fixtures";

/// Paths from the root, and the text of those that are read.
pub struct Repository {
    files: BTreeMap<String, Option<String>>,
}

impl Repository {
    /// Everything below `root`, except what is built.
    pub fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut open = vec![root.to_owned()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder)
                .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            {
                let entry = entry.unwrap();
                let name = entry.file_name().to_string_lossy().into_owned();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() && !name.starts_with("target") && !LEFT_OUT.contains(&&*name) {
                    open.push(entry.path());
                } else if kind.is_file() {
                    let path = entry.path();
                    let path = path.strip_prefix(root).unwrap();
                    let path = path.to_string_lossy().replace('\\', "/");
                    let read =
                        Kind::may_cite(&name) && !path.split('/').any(|part| part == NOT_READ);
                    let text = read.then(|| fs::read(entry.path()).unwrap());
                    files.insert(path, text.and_then(|bytes| String::from_utf8(bytes).ok()));
                }
            }
        }
        Self { files }
    }

    /// Paths with their text.
    pub fn of<const N: usize>(files: [(&str, &str); N]) -> Self {
        let own = |(path, text): (&str, &str)| (path.to_owned(), Some(text.to_owned()));
        Self {
            files: files.into_iter().map(own).collect(),
        }
    }

    /// Path, kind and text of each file that can cite.
    pub fn texts(&self) -> impl Iterator<Item = (&str, Kind, &str)> {
        self.files.iter().filter_map(|(path, text)| {
            let text = text.as_deref()?;
            Some((path.as_str(), Kind::of(path, text)?, text))
        })
    }

    /// The files that `cited` may mean in the file `by`, the likeliest first: below a folder around `by` or below
    /// the root, else any whose path ends so.
    pub fn resolve(&self, by: &str, cited: &str) -> Vec<&str> {
        let mut found = Vec::new();
        let mut folder = by;
        while let Some((around, _)) = folder.rsplit_once('/') {
            folder = around;
            found.extend(self.exact(&format!("{folder}/{cited}")));
        }
        found.extend(self.exact(cited));
        if found.is_empty() && (cited.contains('/') || cited.ends_with(".rs")) {
            let end = format!("/{cited}");
            let files = self.files.keys().map(String::as_str);
            found.extend(files.filter(|path| path.ends_with(&end)));
        }
        found
    }

    /// The target of a link in the file `by`: a file or a folder.
    pub fn linked(&self, by: &str, target: &str) -> Option<String> {
        let folder = by.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = normal(&format!("{folder}/{target}"))?;
        let below = format!("{path}/");
        let there = self.files.contains_key(&path)
            || self.files.keys().any(|file| file.starts_with(&below));
        there.then_some(path)
    }

    fn exact(&self, path: &str) -> Option<&str> {
        let (path, _) = self.files.get_key_value(&normal(path)?)?;
        Some(path)
    }

    /// The headings of a document, without their marks.
    pub fn headings(&self, path: &str) -> Vec<String> {
        let document = self.files.get(path).and_then(Option::as_deref);
        text::headings(document.unwrap_or_default())
    }

    /// Whether a document has the section `number`: a heading that begins with it, or for a guarantee a line
    /// that begins with it in bold.
    pub fn has_section(&self, path: &str, number: &str) -> bool {
        let begins = |heading: &String| {
            let rest = heading.strip_prefix(number);
            rest.is_some_and(|rest| rest.starts_with(". ") || rest.starts_with(' '))
        };
        let document = self.files.get(path).and_then(Option::as_deref);
        let bold = format!("**{number}**");
        let mut lines = document.unwrap_or_default().lines();
        self.headings(path).iter().any(begins)
            || lines.any(|line| line.trim_start_matches(['-', ' ']).starts_with(&bold))
    }

    /// Whether a document's sections have numbers.
    pub fn is_numbered(&self, path: &str) -> bool {
        self.has_section(path, "1")
    }

    /// Whether a document has a heading with this anchor.
    pub fn has_anchor(&self, path: &str, anchor: &str) -> bool {
        let mut seen = BTreeMap::new();
        let mut anchors = BTreeSet::new();
        for heading in self.headings(path) {
            let plain = text::anchor(&heading);
            let times: &mut usize = seen.entry(plain.clone()).or_default();
            anchors.insert(match *times {
                0 => plain,
                times => format!("{plain}-{times}"),
            });
            *times += 1;
        }
        anchors.contains(anchor)
    }
}

/// The path without `.` and `..`; `None` above the root.
fn normal(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
