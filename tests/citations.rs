//! Every citation in comments and documents resolves: a document of this repository that exists, a section,
//! guarantee or heading that it has, a link's target and anchor, a path in backticks, the name of a Rust file in
//! backticks. Nothing cites a document outside of the repository.
//!
//! Forms of a citation, after the name of the document: section numbers (`docs/protocol.md 4.4, 5.2`), guarantees
//! (`ARCHITECTURE.md G5`), or a heading in quotation marks (`README.md, "Prompts"`).

#[path = "citations/finding.rs"]
mod finding;
#[path = "citations/repository.rs"]
mod repository;
#[path = "citations/text.rs"]
mod text;

use finding::check;
use repository::Repository;
use std::path::Path;

#[test]
fn every_citation_resolves() {
    let repository = Repository::read(Path::new(env!("CARGO_MANIFEST_DIR")));
    let found = check(&repository);
    println!(
        "{} citations resolve, in {} files",
        found.resolved,
        repository.texts().count()
    );
    assert!(
        found.broken.is_empty(),
        "{} citations do not resolve:\n{}",
        found.broken.len(),
        found.broken.join("\n")
    );
    assert!(
        found.resolved > 100,
        "only {} citations: were they read?",
        found.resolved
    );
}

/// A small repository with the file `name` that says `text`.
fn beside(name: &str, text: &str) -> Repository {
    Repository::of([
        (
            "docs/wire.md",
            "# Wire\n\n## 4. Frames\n\n### 4.4 `interrupt`\n\n## 10. REST\n",
        ),
        (
            "ARCHITECTURE.md",
            "# Architecture\n\n## Guarantees\n\n- **G5** The caller hears no long silence.\n",
        ),
        ("storage/writer/commit.rs", "fn commit() {}\n"),
        (name, text),
    ])
}

#[track_caller]
fn resolves(name: &str, text: &str, citations: usize) {
    let found = check(&beside(name, text));
    assert_eq!(found.broken, Vec::<String>::new(), "{text}");
    assert_eq!(found.resolved, citations, "{text}");
}

#[track_caller]
fn fails(name: &str, text: &str, line: usize, reason: &str) {
    let found = check(&beside(name, text));
    let [broken] = &found.broken[..] else {
        panic!("{text}: {:?}", found.broken);
    };
    assert!(broken.starts_with(&format!("{name}:{line}: ")), "{broken}");
    assert!(broken.contains(reason), "{broken}");
}

#[test]
fn what_exists_resolves() {
    resolves(
        "src/a.rs",
        "/// Clauses (docs/wire.md 4.4).\nfn a() {}\n",
        1,
    );
    resolves("src/a.rs", "//! Frames (docs/wire.md\n//! 4.4, 10).\n", 2);
    resolves(
        "src/a.rs",
        "let a = 1; // silence (ARCHITECTURE.md G5)\n",
        1,
    );
    resolves("src/a.rs", "/// See ARCHITECTURE.md, \"Guarantees\".\n", 1);
    resolves("src/a.rs", "/// In `writer/commit.rs`.\n", 1);
    resolves("storage/README.md", "In `writer/commit.rs`.\n", 1);
    resolves("README.md", "`commit.rs` and `calls.db`\n", 1);
    resolves(
        "deploy/README.md",
        "[Frames](../docs/wire.md#44-interrupt), [there](#here)\n# Here\n",
        2,
    );
    resolves("deploy/a.toml", "# Frames: docs/wire.md 4.4.\na = 1\n", 1);
    resolves("src/a.rs", "/// RFC 8410, section 7.\n", 0);
    resolves("src/a.rs", "const NAME: &str = \"protocol 4.4, PRD\";\n", 0);
    resolves("README.md", "```\n[a](nowhere.md) protocol 3\n```\n", 0);
}

#[test]
fn what_is_broken_is_named_with_its_line() {
    let gone = "is no file of the repository";
    fails("src/a.rs", "\n/// As in evidence.md.\n", 2, gone);
    fails("README.md", "# A\n\nSee docs/other.md.\n", 3, gone);
    fails("README.md", "[wire](docs/wires.md)\n", 1, gone);
    fails("src/a.rs", "/// In `writer/persist.rs`.\n", 1, gone);
    fails("README.md", "`storage/writer/persist.rs`\n", 1, gone);
    fails("README.md", "`persist.rs`\n", 1, gone);
    fails(
        "src/a.rs",
        "/// Clauses (docs/wire.md 4.5).\n",
        1,
        "has no section 4.5",
    );
    fails(
        "src/a.rs",
        "/// Clauses (docs/wire.md 4.4,\n/// 6).\n",
        1,
        "has no section 6",
    );
    fails(
        "src/a.rs",
        "/// ARCHITECTURE.md G4\n",
        1,
        "has no section G4",
    );
    fails(
        "src/a.rs",
        "/// See ARCHITECTURE.md, \"Bounds\".\n",
        1,
        "has no heading \"Bounds\"",
    );
    fails(
        "README.md",
        "[wire](docs/wire.md#45-interrupt)\n",
        1,
        "has no heading #45-interrupt",
    );
}

#[test]
fn documents_outside_of_the_repository_are_named_with_their_line() {
    let outside = "no document of the repository";
    fails("src/a.rs", "/// Clauses (protocol 4.4).\n", 1, outside);
    fails("src/a.rs", "/// Clauses (protocol\n/// 4.4).\n", 1, outside);
    fails("src/a.rs", "/// Corrects (design 6).\n", 1, outside);
    fails("src/a.rs", "/// (design G5)\n", 1, "without its document");
    fails(
        "src/a.rs",
        "/// No silence (G5).\n",
        1,
        "without its document",
    );
    fails("tests/a.rs", "//! Names (issue 3).\n", 1, outside);
    fails("tests/a.rs", "//! What the PRD asks.\n", 1, outside);
    fails("tests/a.rs", "//! As written (section 5).\n", 1, outside);
    fails(
        "tests/a",
        "#!/bin/sh\n# needs ../shared/bench\n",
        2,
        outside,
    );
    fails("deploy/a.yaml", "# (protocol 3.4)\n", 1, outside);
}
