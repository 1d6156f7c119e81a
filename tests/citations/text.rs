//! What of a file is read: comments, and documents without their code.

use std::borrow::Cow;

/// How a file is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Comments.
    Rust,
    /// All but fenced code.
    Markdown,
    /// All: TOML, YAML, scripts.
    Plain,
}

impl Kind {
    /// `None` where the file cannot cite.
    pub fn of(path: &str, text: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        match ending(name) {
            Some("rs") => Some(Self::Rust),
            Some("md") => Some(Self::Markdown),
            Some("toml" | "yml" | "yaml" | "sh" | "py") => Some(Self::Plain),
            None if text.starts_with("#!") => Some(Self::Plain),
            _ => None,
        }
    }

    /// Whether a file of this name is of some kind, or a script if its content says so.
    pub fn may_cite(name: &str) -> bool {
        ending(name).is_none() || Self::of(name, "").is_some()
    }

    /// The part of `text` that is read, line by line as in `text`; a line of which nothing is read is empty.
    pub fn read(self, text: &str) -> String {
        let mut fenced = false;
        let mut lines = text.lines().map(|line| match self {
            Self::Rust => Cow::Borrowed(comment(line)),
            Self::Markdown => {
                let fence = line.trim_start().starts_with("```");
                fenced ^= fence;
                Cow::Borrowed(if fenced || fence { "" } else { line })
            }
            Self::Plain => Cow::Owned(line.trim_start().trim_start_matches(['#', ' ']).to_owned()),
        });
        let mut read = String::with_capacity(text.len());
        lines.by_ref().for_each(|line| {
            read.push_str(&line);
            read.push('\n');
        });
        read
    }
}

/// What stands behind the last full stop of a file's name; `None` in `run` and `.gitignore`.
fn ending(name: &str) -> Option<&str> {
    let (before, ending) = name.rsplit_once('.')?;
    (!before.is_empty()).then_some(ending)
}

/// The comment of a line of Rust, without its marks.
fn comment(line: &str) -> &str {
    let begin = match line.trim_start().starts_with("//") {
        true => line.find("//"),
        // Behind code: a blank before it, and no text that is still open.
        false => line
            .find(" // ")
            .filter(|at| line[..*at].matches('"').count().is_multiple_of(2)),
    };
    let text = begin.map_or("", |at| &line[at..]);
    text.trim_start()
        .trim_start_matches('/')
        .trim_start_matches('!')
}

/// The headings of a Markdown document.
pub fn headings(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in Kind::Markdown.read(document).lines() {
        let text = line.trim_start_matches('#');
        if text.len() < line.len() && text.starts_with(' ') {
            found.push(text.trim().to_owned());
        }
    }
    found
}

/// The anchor that GitHub gives a heading.
pub fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|character| match character {
        ' ' => Some('-'),
        '-' | '_' => Some(character),
        _ if character.is_alphanumeric() => Some(character),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}
