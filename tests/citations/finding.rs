//! Finds citations in a text and says which do not resolve.

use crate::repository::Repository;
use crate::text::Kind;

/// Kinds of files that a path in backticks may name; others (databases, certificates) are made at run time.
const PATH_ENDINGS: [&str; 12] = [
    "rs", "md", "toml", "yml", "yaml", "json", "jsonl", "py", "sh", "cfg", "conf", "service",
];
/// Words before a number or a guarantee that cite something which has neither.
const NUMBERED_ELSEWHERE: [&str; 6] = [
    "protocol", "design", "issue", "issues", "section", "sections",
];
/// What stands outside of the repository.
const OUTSIDE: [&str; 2] = ["PRD", "../shared"];

/// What was found.
#[derive(Default)]
pub struct Found {
    pub resolved: usize,
    /// `file:line: what is wrong`.
    pub broken: Vec<String>,
}

/// Checks every text of the repository.
pub fn check(repository: &Repository) -> Found {
    let mut found = Found::default();
    for (path, kind, text) in repository.texts() {
        let text = kind.read(text);
        let mut reader = Reader {
            repository,
            path,
            text: &text,
            found: &mut found,
            cited: Vec::new(),
        };
        reader.documents();
        reader.outside();
        if kind == Kind::Markdown {
            reader.links();
        }
        if kind != Kind::Plain {
            reader.paths();
        }
    }
    found
}

struct Reader<'a> {
    repository: &'a Repository,
    path: &'a str,
    text: &'a str,
    found: &'a mut Found,
    /// Where the sections begin that were cited with their document.
    cited: Vec<usize>,
}

impl Reader<'_> {
    fn broken(&mut self, at: usize, what: &str) {
        let line = 1 + self.text[..at].matches('\n').count();
        let path = self.path;
        self.found.broken.push(format!("{path}:{line}: {what}"));
    }

    fn count(&mut self, at: usize, resolves: bool, what: impl FnOnce() -> String) {
        match resolves {
            true => self.found.resolved += 1,
            false => self.broken(at, &what()),
        }
    }

    /// Markdown documents by name, with what is cited of them.
    fn documents(&mut self) {
        let text = self.text;
        for (at, word) in words(text) {
            let name = word.trim_end_matches('.');
            // A link is looked at as a link. An address, what follows a variable and what stands in quotation
            // marks is no document of the repository.
            let other = ["](", "$", "\""]
                .iter()
                .any(|mark| text[..at].ends_with(mark));
            if !name.ends_with(".md") || name == ".md" || other || name.starts_with('/') {
                continue;
            }
            let rest = &text[at + name.len()..];
            let rest = rest.strip_prefix('`').unwrap_or(rest);
            let (sections, heading) = (sections(rest), heading(rest));
            // Of several README.md that it may be, the nearest that has the heading.
            let documents = self.repository.resolve(self.path, name);
            let has = |document: &&str| {
                let headings = self.repository.headings(document);
                let mut headings = headings.iter().map(|one| one.replace('`', ""));
                heading
                    .as_ref()
                    .is_none_or(|heading| headings.any(|one| one == *heading))
            };
            let suits = documents.iter().find(|document| has(document));
            let Some(document) = suits.or(documents.first()) else {
                self.broken(at, &format!("{name} is no file of the repository"));
                continue;
            };
            if sections.is_empty() && heading.is_none() {
                self.found.resolved += 1;
            }
            for section in sections {
                self.cited.push(begin_in(text, section));
                let has = self.repository.has_section(document, section);
                self.count(at, has, || format!("{name} has no section {section}"));
            }
            if let Some(heading) = &heading {
                self.count(at, suits.is_some(), || {
                    format!("{name} has no heading \"{heading}\"")
                });
            }
        }
    }

    /// Citations of what the repository does not have.
    fn outside(&mut self) {
        let text = self.text;
        for mark in OUTSIDE {
            for (at, _) in text.match_indices(mark) {
                let end = text[at + mark.len()..].chars().next();
                let begin = text[..at].chars().next_back();
                if !is_word(begin) && (mark.starts_with('.') || !is_word(end)) {
                    self.broken(at, &format!("{mark} is no document of the repository"));
                }
            }
        }
        for (at, word) in words(text) {
            let is_guarantee = matches!(word.trim_end_matches('.').as_bytes(), [b'G', b'0'..=b'9']);
            if is_guarantee && !self.cited.contains(&at) && !self.defines(word) {
                self.broken(at, &format!("{word} is cited without its document"));
            }
            let elsewhere = |one: &&str| word.eq_ignore_ascii_case(one);
            if !NUMBERED_ELSEWHERE.iter().any(elsewhere) {
                continue;
            }
            let numbers = sections(&text[at + word.len()..]).into_iter();
            let Some(number) = numbers.take(1).find(|one| !one.starts_with('G')) else {
                continue;
            };
            let own = self.repository.is_numbered(self.path);
            match word.to_ascii_lowercase().starts_with("section") {
                true if text[..at]
                    .trim_end_matches([',', ' ', '\n'])
                    .ends_with(char::is_numeric) => {}
                true if own => {
                    let has = self.repository.has_section(self.path, number);
                    self.count(at, has, || format!("there is no section {number}"));
                }
                _ => self.broken(
                    at,
                    &format!("\"{word} {number}\" cites no document of the repository"),
                ),
            }
        }
    }

    fn defines(&self, guarantee: &str) -> bool {
        let number = guarantee.trim_end_matches('.');
        self.repository.has_section(self.path, number)
    }

    /// `[text](target#anchor)` to files of the repository.
    fn links(&mut self) {
        let text = self.text;
        for (at, _) in text.match_indices("](") {
            let target = &text[at + 2..];
            let target = &target[..target.find([')', '\n']).unwrap_or(target.len())];
            if target.contains("://") || target.starts_with("mailto:") || target.contains(' ') {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => Some(self.path.to_owned()),
                file => self.repository.linked(self.path, file),
            };
            let Some(file) = file else {
                self.broken(at, &format!("{target} is no file of the repository"));
                continue;
            };
            let has = anchor.is_empty() || self.repository.has_anchor(&file, anchor);
            self.count(at, has, || format!("{file} has no heading #{anchor}"));
        }
    }

    /// Paths in backticks, and names of Rust files. Documents are found by their name.
    fn paths(&mut self) {
        let text = self.text;
        let mut begin = 0;
        while let Some(open) = text[begin..].find('`') {
            let at = begin + open + 1;
            let Some(length) = text[at..].find(['`', '\n']) else {
                return;
            };
            begin = at + length + 1;
            let path = &text[at..at + length];
            let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
            if path.chars().all(is_part)
                && (path.contains('/') || ending == "rs")
                && !path.starts_with(['/', '.'])
                && ending != "md"
                && PATH_ENDINGS.contains(&ending)
            {
                let there = !self.repository.resolve(self.path, path).is_empty();
                self.count(at, there, || format!("{path} is no file of the repository"));
            }
        }
    }
}

fn is_word(character: Option<char>) -> bool {
    character.is_some_and(|character| character.is_alphanumeric() || character == '_')
}

/// Whether a path or the name of a document may hold it.
fn is_part(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '/' | '-')
}

/// Runs of characters that a path may hold, each with where it begins.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(|character| !is_part(character))
        .filter(|word| !word.is_empty())
        .map(|word| (begin_in(text, word), word))
}

/// Where `part`, a part of `text`, begins in it.
fn begin_in(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}

/// The section numbers and guarantees with which `text` begins, such as `4.4, 5.2 and 6`.
fn sections(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let begin = rest.trim_start_matches([' ', '\n']);
        let length = begin
            .find(|character: char| !(character.is_ascii_alphanumeric() || character == '.'))
            .unwrap_or(begin.len());
        let number = begin[..length].trim_end_matches('.');
        let digits = number.strip_prefix('G').unwrap_or(number);
        let is_number = digits.starts_with(|character: char| character.is_ascii_digit())
            && digits
                .chars()
                .all(|character| character == '.' || character.is_ascii_digit());
        if begin.len() == rest.len() || !is_number {
            return found;
        }
        found.push(number);
        rest = &begin[number.len()..];
        let further = [",", " and", "\nand"]
            .iter()
            .find_map(|mark| rest.strip_prefix(*mark));
        match further {
            Some(further) => rest = further,
            None => return found,
        }
    }
}

/// The heading in quotation marks with which `text` begins, behind a comma.
fn heading(text: &str) -> Option<String> {
    let quoted = text.strip_prefix(',')?.trim_start().strip_prefix('"')?;
    let (heading, _) = quoted.split_once('"')?;
    Some(heading.replace('\n', " "))
}
