//! Small trees in memory, which show that the rules can be broken and what is resolved to what.

use crate::graph::Graph;
use crate::layers::{circles, differences, module_edges};
use crate::resolve;
use crate::tree::{CrateRoot, Sources, Workspace};

fn read(files: &[(&str, &str)], crates: &[(&str, &str)]) -> Result<Graph, Vec<String>> {
    let sources: Sources = files
        .iter()
        .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
        .collect();
    let crates: Vec<CrateRoot> = crates
        .iter()
        .map(|(name, file)| CrateRoot {
            name: (*name).to_owned(),
            file: (*file).to_owned(),
        })
        .collect();
    resolve::graph(&Workspace::parse(&sources, &crates))
}

/// One crate, whose root is `lib.rs`.
fn tree(files: &[(&str, &str)]) -> Graph {
    read(files, &[("shop", "lib.rs")]).unwrap()
}

/// Every edge as `from -> to: names`.
fn edges(graph: &Graph) -> Vec<String> {
    graph
        .edges
        .iter()
        .map(|((from, to), uses)| {
            let names: Vec<&str> = uses.iter().map(|used| used.name.as_str()).collect();
            let (from, to) = (&graph.files[*from], &graph.files[*to]);
            format!("{from} -> {to}: {}", names.join(" "))
        })
        .collect()
}

fn failing(graph: &Graph) -> Vec<Vec<&str>> {
    let components = graph.failing();
    components
        .iter()
        .map(|component| {
            let files = component.files.iter();
            files.map(|file| graph.files[*file].as_str()).collect()
        })
        .collect()
}

#[test]
fn a_re_export_leads_to_the_file_that_defines() {
    let graph = tree(&[
        ("lib.rs", "mod a; mod b; pub use b::Word;"),
        ("a.rs", "use crate::Word; fn f(_: Word) {}"),
        ("b/mod.rs", "mod c; pub use c::{Deep as Word};"),
        ("b/c.rs", "mod d; pub use self::d::Deep;"),
        ("b/c/d.rs", "pub struct Deep;"),
    ]);
    assert_eq!(edges(&graph), ["a.rs -> b/c/d.rs: Deep"]);
}

#[test]
fn a_glob_is_looked_through() {
    let graph = tree(&[
        ("lib.rs", "mod a; mod b;"),
        (
            "a.rs",
            "use crate::b; fn f() -> b::Word { b::make!(); b::NUMBER }",
        ),
        ("b/mod.rs", "mod c; mod d; pub use c::*; pub use d::*;"),
        ("b/c.rs", "pub struct Word; numbers! { NUMBER = 1 }"),
        (
            "b/d.rs",
            "macro_rules! make { () => {} } pub(crate) use make;",
        ),
    ]);
    assert_eq!(
        edges(&graph),
        [
            "a.rs -> b/c.rs: Word NUMBER",
            "a.rs -> b/d.rs: make",
            "a.rs -> b/mod.rs: crate::b"
        ]
    );
}

#[test]
fn names_that_a_glob_brings_are_seen() {
    let graph = tree(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use crate::b::*; fn f(_: Option<Word>) {}"),
        ("b/mod.rs", "mod c; pub use c::Word;"),
        ("b/c.rs", "pub struct Word;"),
    ]);
    let expected = ["a.rs -> b/c.rs: Word", "a.rs -> b/mod.rs: crate::b"];
    assert_eq!(edges(&graph), expected);
}

#[test]
fn super_goes_up_as_often_as_it_stands() {
    let graph = tree(&[
        ("lib.rs", "mod a; mod b;"),
        ("a/mod.rs", "mod c;"),
        (
            "a/c.rs",
            "mod d { fn f() -> super::super::super::b::Word { self::g() } fn g() {} }",
        ),
        ("b.rs", "pub struct Word;"),
    ]);
    assert_eq!(edges(&graph), ["a/c.rs -> b.rs: Word"]);
}

#[test]
fn macros_attributes_and_functions_imports_are_read() {
    let graph = tree(&[
        ("lib.rs", "mod a; mod b; mod c; mod d; mod e; mod f;"),
        (
            "a.rs",
            "#[derive(E)] #[error(\"{}\", crate::b::LIMIT)] struct S { \
             #[serde(with = \"crate::f::form\")] x: u8 }
             fn g() { use super::c; print!(\"{}\", c::name(1.0)); list![0..crate::d::MAX]; }
             macro_rules! made { () => { $crate::e::run() } }",
        ),
        ("b.rs", "pub const LIMIT: u8 = 1;"),
        ("c.rs", "pub fn name(_: f64) {}"),
        ("d.rs", "pub const MAX: u8 = 1;"),
        ("e.rs", "pub fn run() {}"),
        ("f.rs", "pub mod form {}"),
    ]);
    assert_eq!(
        edges(&graph),
        [
            "a.rs -> b.rs: LIMIT",
            "a.rs -> c.rs: super::c name",
            "a.rs -> d.rs: MAX",
            "a.rs -> e.rs: run",
            "a.rs -> f.rs: crate::f::form"
        ]
    );
}

#[test]
fn what_is_only_for_tests_is_left_out() {
    let graph = tree(&[
        (
            "lib.rs",
            "mod a; mod b; #[cfg(test)] mod nowhere; mod tests;",
        ),
        (
            "a.rs",
            "#[cfg(test)] use crate::b::Word;
             #[cfg(all(test, unix))] fn f(_: crate::b::Word) {}
             #[cfg(test)] mod tests { use crate::b; }
             struct S; impl S { #[cfg(test)] fn g(_: crate::b::Word) {} }
             pub(in crate::a) fn h() { #[cfg(test)] let x = crate::b::Word; }",
        ),
        (
            "b.rs",
            "#[cfg(not(test))] fn f(_: crate::a::S) {} pub struct Word;",
        ),
    ]);
    assert_eq!(edges(&graph), ["b.rs -> a.rs: S"]);
}

#[test]
fn a_module_that_is_there_twice_is_read_twice() {
    let graph = tree(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        (
            "a.rs",
            "#[cfg(debug_assertions)] mod x { pub fn f() { crate::b::g() } pub fn only() {} }
             #[cfg(not(debug_assertions))] mod x { pub fn f() { crate::c::g() } }
             fn h() { x::f(); x::only() }",
        ),
        ("b.rs", "pub fn g() {}"),
        ("c.rs", "pub fn g() {}"),
    ]);
    assert_eq!(edges(&graph), ["a.rs -> b.rs: g", "a.rs -> c.rs: g"]);
}

#[test]
fn a_path_that_leads_nowhere_is_an_error() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        (
            "a.rs",
            "use crate::b::Gone; fn f() { super::lost(); std::mem::take(1) }",
        ),
        ("b.rs", ""),
    ];
    let unresolved = read(&files, &[("shop", "lib.rs")]).err().unwrap();
    assert_eq!(
        unresolved,
        [
            "a.rs:1: crate::b::Gone leads nowhere",
            "a.rs:1: super::lost leads nowhere"
        ]
    );
}

#[test]
fn another_crate_of_the_workspace_is_followed() {
    let files = [
        (
            "lib.rs",
            "use store::Word; fn f() { ::store::deep::run(); serde::f(); }",
        ),
        (
            "store/lib.rs",
            "pub mod deep; mod word; pub use word::Word;",
        ),
        ("store/deep.rs", "pub fn run() {}"),
        ("store/word.rs", "pub struct Word;"),
    ];
    let graph = read(&files, &[("shop", "lib.rs"), ("store", "store/lib.rs")]).unwrap();
    let expected = [
        "lib.rs -> store/deep.rs: run",
        "lib.rs -> store/word.rs: Word",
    ];
    assert_eq!(edges(&graph), expected);
}

#[test]
fn a_circle_is_found_and_what_ends_it() {
    let graph = tree(&[
        ("lib.rs", "mod a; mod b; mod x;"),
        ("a.rs", "use crate::b::B; pub struct A; pub struct A2;"),
        ("b/mod.rs", "mod c; pub use c::B;"),
        ("b/c.rs", "use crate::x::X; pub struct B;"),
        ("x.rs", "use crate::a::{A, A2}; pub struct X;"),
    ]);
    assert_eq!(failing(&graph), [["a.rs", "b/c.rs", "x.rs"]]);
    let components = graph.failing();
    let cuts = graph.cuts(&components[0]);
    assert_eq!(cuts.len(), 1);
    assert!(graph.edges[&cuts[0]].len() == 1, "the fewest names");
    assert!(graph.report(&components).contains("a.rs:1 -> b/c.rs  1:B"));
}

#[test]
fn a_parent_and_its_own_children_may_know_each_other() {
    let graph = tree(&[
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod c; mod d; pub struct A { c: c::C }"),
        (
            "a/c/mod.rs",
            "mod e; use super::{A, d::D}; pub struct C(e::E);",
        ),
        ("a/c/e.rs", "use super::C; pub struct E;"),
        ("a/d.rs", "use super::A; pub struct D;"),
    ]);
    assert_eq!(failing(&graph), Vec::<Vec<&str>>::new());
    assert_eq!(graph.strong_components()[0].len(), 4);
}

#[test]
fn children_of_one_parent_may_not_know_each_other_in_a_circle() {
    let graph = tree(&[
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod c; mod d; pub struct A { c: c::C }"),
        ("a/c.rs", "use super::{A, d::D}; pub struct C;"),
        ("a/d.rs", "use super::c::C; pub struct D;"),
    ]);
    assert_eq!(failing(&graph), [["a/c.rs", "a/d.rs"]]);
}

#[test]
fn a_circle_through_a_grandchild_or_an_outsider_fails() {
    let grandchild = tree(&[
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod c; pub struct A { c: c::C }"),
        ("a/c/mod.rs", "mod e; pub struct C(e::E);"),
        ("a/c/e.rs", "use crate::a::A; pub struct E;"),
    ]);
    assert_eq!(
        failing(&grandchild),
        [["a/c/e.rs", "a/c/mod.rs", "a/mod.rs"]]
    );
    let outsider = tree(&[
        ("lib.rs", "mod a; mod x;"),
        ("a/mod.rs", "mod c; pub struct A(c::C);"),
        ("a/c.rs", "pub struct C(crate::x::X);"),
        ("x.rs", "pub struct X(crate::a::A);"),
    ]);
    assert_eq!(failing(&outsider), [["a/c.rs", "a/mod.rs", "x.rs"]]);
}

#[test]
fn a_module_may_use_what_the_table_says_and_no_more() {
    let graph = tree(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::B;"),
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c.rs", "pub struct C;"),
    ]);
    let found = module_edges(&graph, "shop");
    assert!(differences(&found, &[("a", &["b"]), ("b", &["c"])]).is_empty());
    let broken = differences(&found, &[("a", &["b", "c"])]);
    assert_eq!(
        broken,
        [
            "b uses c, which the table does not allow:",
            "    b.rs:1 -> c.rs  1:C",
            "a may use c and does not: the row is stale"
        ]
    );
    assert_eq!(
        circles(&[("a", &["b"]), ("b", &["c"]), ("c", &[])]).len(),
        0
    );
    assert_eq!(circles(&[("a", &["b"]), ("b", &["a"])]).len(), 2);
}
