//! The layers of the crate: imports between rooms run down only, and no files of the crate use each
//! other in a circle.

use std::path::Path;

use crate::support::source_tree::{Import, ModulePath, SourceTree};

/// The rooms of the crate, from the lowest to the highest, with the rooms that each may use.
const ROOMS: [(&str, &[&str]); 11] = [
    ("domain", &[]),
    ("config", &["domain"]),
    ("sandbox", &["domain"]),
    ("store", &["domain"]),
    ("proof", &["domain", "store"]),
    ("reader", &["domain", "store", "proof"]),
    ("provider", &["domain"]),
    ("sync", &["domain", "store", "proof", "provider"]),
    ("alerts", &["domain", "store", "proof", "provider", "sync"]),
    (
        "daemon",
        &[
            "domain", "store", "proof", "provider", "sync", "alerts", "config",
        ],
    ),
    (
        "cli",
        &[
            "domain", "store", "proof", "reader", "provider", "sync", "alerts", "daemon", "config",
            "sandbox",
        ],
    ),
];

/// The crate under test.
fn sources() -> SourceTree {
    let tree = SourceTree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(
        tree.modules().count() > 100,
        "the reader found the files of the crate"
    );
    assert!(tree.imports().len() > 500, "the reader found their imports");
    tree
}

/// The room of a file. `None` for the root of the crate.
fn room_of(module: &[String]) -> Option<&str> {
    module.first().map(String::as_str)
}

/// Imports that lead from a room to one that it may not use, by the file that defines the name or
/// by the path as it is written.
fn imports_against_the_layers(tree: &SourceTree) -> Vec<Import> {
    let is_forbidden = |import: &Import| {
        let Some(from) = room_of(&import.from) else {
            return false;
        };
        let (_, allowed) = ROOMS
            .iter()
            .find(|(room, _)| *room == from)
            .unwrap_or_else(|| panic!("no layer for `{from}`"));
        let targets = [room_of(&import.to), room_of(&import.written)];
        targets
            .into_iter()
            .flatten()
            .any(|to| to != from && !allowed.contains(&to))
    };
    tree.imports().into_iter().filter(is_forbidden).collect()
}

fn names(circle: &[ModulePath]) -> Vec<String> {
    circle.iter().map(|module| module.join("::")).collect()
}

#[test]
fn imports_between_rooms_run_down_only() {
    let found = imports_against_the_layers(&sources());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let circles = sources().circles();
    let found: Vec<_> = circles.iter().map(|circle| names(circle)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn upward_import_is_found() {
    let tree = SourceTree::from_files([
        ("lib.rs", "pub mod domain; pub mod store; pub mod sync;"),
        ("domain/mod.rs", "pub mod time;"),
        ("domain/time.rs", "pub struct Second(pub i64);"),
        (
            "store/mod.rs",
            "use crate::domain::time::Second; use crate::sync::{Engine, pass}; pub struct Store(Second);",
        ),
        (
            "sync/mod.rs",
            "mod pass; use crate::store::Store; pub struct Engine(Store);",
        ),
        ("sync/pass.rs", "fn run() { crate::cli::print(); }"),
        ("cli.rs", "pub fn print() {}"),
    ]);
    let found = imports_against_the_layers(&tree);
    let written: Vec<String> = found
        .iter()
        .map(|import| import.written.join("::"))
        .collect();
    assert_eq!(written, ["sync::Engine", "sync::pass", "cli::print"]);
}

#[test]
fn import_through_a_reexport_of_a_higher_room_is_found() {
    let tree = SourceTree::from_files([
        ("domain/mod.rs", "pub struct Second(pub i64);"),
        ("sync/mod.rs", "pub use crate::domain::Second;"),
        (
            "store/mod.rs",
            "use crate::sync::Second; struct Row(Second);",
        ),
    ]);
    let found = imports_against_the_layers(&tree);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].to, ["domain"]);
}

#[test]
fn circle_of_files_is_found() {
    let tree = SourceTree::from_files([
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", "use crate::b::B; pub struct A(B);"),
        (
            "b.rs",
            "pub struct B; impl B { fn next() { super::c::go(); } }",
        ),
        (
            "c.rs",
            "use super::a::{self, A}; pub fn go() -> a::A { todo!() }",
        ),
        ("d.rs", "use crate::a::A; pub struct D(A);"),
    ]);
    let circles: Vec<_> = tree.circles().iter().map(|circle| names(circle)).collect();
    assert_eq!(circles, [["a", "b", "c"]]);
}

#[test]
fn parent_that_defines_what_its_children_use_is_in_a_circle() {
    let parent = "mod child; use child::Child; pub struct Limit(u8); fn make() -> Child { Child }";
    let child = "use super::Limit; pub struct Child; fn limit() -> Limit { Limit(1) }";
    let tree = SourceTree::from_files([("room/mod.rs", parent), ("room/child.rs", child)]);
    assert_eq!(tree.circles().len(), 1);
}

#[test]
fn parent_that_only_reexports_is_in_no_circle() {
    let tree = SourceTree::from_files([
        (
            "room/mod.rs",
            "mod first; mod second; pub use first::First; pub(crate) use self::second::*;",
        ),
        (
            "room/first.rs",
            "use super::Second; pub struct First(Second);",
        ),
        ("room/second.rs", "pub struct Second;"),
    ]);
    assert!(tree.circles().is_empty());
    let found: Vec<_> = tree
        .imports()
        .into_iter()
        .map(|import| (import.from, import.to))
        .collect();
    let path = |name: &str| vec!["room".to_owned(), name.to_owned()];
    assert_eq!(found, [(path("first"), path("second"))]);
}

#[test]
fn test_code_comments_and_literals_are_no_imports() {
    let text = r##"
        //! use crate::b::B;
        /* use crate::b::B; /* crate::b::c() */ */
        const TEXT: &str = "use crate::b::B; \" crate::b::c()";
        const RAW: &str = r#"crate::b::c() " "#;
        const QUOTE: char = '"';
        fn f<'a>(x: &'a str) -> char { '\'' }
        #[cfg(test)]
        mod tests { use crate::b::B; #[test] fn t() { crate::b::c(); } }
        #[cfg(test)]
        use crate::b::B;
    "##;
    let b = "pub struct B; pub fn c() {} #[cfg(test)] mod checks;";
    let tree = SourceTree::from_files([
        ("a.rs", text),
        ("b.rs", b),
        ("b/checks.rs", "use crate::a::f;"),
    ]);
    assert!(tree.imports().is_empty(), "{:?}", tree.imports());
    assert_eq!(tree.modules().count(), 2);
}
