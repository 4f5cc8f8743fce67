//! Every test that docs/RELIABILITY.md names exists.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::source_tree::{module_of, rust_files};

const DOCUMENT: &str = include_str!("../../docs/RELIABILITY.md");

/// The prefix of unit tests, which stand beside the code; other names are tests of this program.
const UNIT_PREFIX: &str = "backscroll::";

/// The test names in a document: paths in backquotes, of which the last part may end with `*`.
fn named_tests(document: &str) -> BTreeSet<&str> {
    let quoted = document.split('`').skip(1).step_by(2);
    let is_path = |text: &&str| {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '*');
        text.contains("::") && !text.ends_with("::") && text.chars().all(is_part)
    };
    quoted.filter(is_path).collect()
}

/// True if a name equals the pattern, or begins with what stands before its `*`.
fn matches(pattern: &str, name: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(name == pattern, |prefix| name.starts_with(prefix))
}

/// The names of all tests of this program.
fn integration_tests() -> Vec<String> {
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this).arg("--list").output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    list.lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect()
}

/// The names of all unit tests. A test is listed both by the module of its file and by that file's
/// inner module `tests`, since the reader does not tell the two apart.
fn unit_tests() -> Vec<String> {
    let sources = rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let tests_of = |(path, text): (String, String)| {
        let module = module_of(&path).join("::");
        let names = test_functions(&text);
        let paths = names.into_iter().flat_map(move |name| {
            [
                format!("{module}::{name}"),
                format!("{module}::tests::{name}"),
            ]
        });
        paths.collect::<Vec<_>>()
    };
    sources.into_iter().flat_map(tests_of).collect()
}

/// The names of the functions under `#[test]` or `#[tokio::test]`.
fn test_functions(text: &str) -> Vec<String> {
    let attributes = text.split("#[").skip(1);
    let is_test = |rest: &&str| rest.starts_with("test]") || rest.starts_with("tokio::test");
    let names = attributes
        .filter(is_test)
        .filter_map(|rest| rest.split_once("fn ")?.1.split('(').next());
    names.map(str::to_owned).collect()
}

#[test]
fn every_test_named_in_the_document_exists() {
    let named = named_tests(DOCUMENT);
    assert!(named.len() > 90, "{} tests are named", named.len());
    let integration = integration_tests();
    let unit = unit_tests();
    let exists = |pattern: &str| {
        let (pattern, tests) = match pattern.strip_prefix(UNIT_PREFIX) {
            Some(pattern) => (pattern, &unit),
            None => (pattern, &integration),
        };
        tests.iter().any(|name| matches(pattern, name))
    };
    let missing: Vec<&str> = named
        .into_iter()
        .filter(|pattern| !exists(pattern))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn named_tests_are_recognised() {
    let document = "`a::b`, `a::c_*` and `a b`, `--flag`, `x` by `backscroll::d::tests::*`";
    assert_eq!(
        named_tests(document),
        BTreeSet::from(["a::b", "a::c_*", "backscroll::d::tests::*"])
    );
    assert!(
        matches("a::c_*", "a::c_d") && !matches("a::c_*", "a::b") && !matches("a::c", "a::c_d")
    );
    let text = "#[test]\nfn first() {} fn helper() {} #[tokio::test]\nasync fn second() {}";
    assert_eq!(test_functions(text), ["first", "second"]);
    assert!(unit_tests().len() > 300, "the reader finds the unit tests");
}
