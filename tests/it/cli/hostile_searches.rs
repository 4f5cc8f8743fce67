//! Two hundred queries with mistakes, and parts of the languages that the databases understand. They
//! are given to `backscroll search`, and to the search index in SQL. Nothing is changed, and the
//! program does not panic.

use serde_json::Value;

use super::search::{archive_messages, json, lobby, search};
use crate::support::env::{TestEnv, command_in, output_of};
use crate::support::postgres_server;

/// Queries of punctuation, operators, and parts of SQL.
const SYNTAX: [&str; 120] = [
    "'",
    "''",
    "'''",
    "\"",
    "\"\"",
    "\"\"\"",
    "\"'\"",
    "'\"'",
    "`",
    "``",
    "“",
    "”",
    "„",
    "“a”",
    "«a»",
    "' OR 1=1 --",
    "\" OR 1=1 --",
    "x' | 'y",
    "x') OR ('y",
    "x\") OR (\"y",
    "a:*",
    "'a':*",
    "a:A",
    "a:ABCD",
    "a:*A",
    "words : a",
    "words: \"a\"",
    "{words} : a",
    "- words : a",
    "{words rank} : a",
    "a NEAR b",
    "NEAR(a b, 2)",
    "NEAR(\"a\" \"b\", 99999999999)",
    "NEAR(",
    "^a",
    "^ a",
    "^\"a\"",
    "a + b",
    "\"a\" + \"b\"",
    "+a",
    "a AND b",
    "a AND",
    "AND b",
    "a NOT b",
    "NOT",
    "AND",
    "OR",
    "or",
    "OR OR",
    "a OR",
    "OR a",
    "a OR OR b",
    "a OR -b",
    "-a OR b",
    "-",
    "-a",
    "--",
    "---a",
    "- a",
    "-\"\"",
    "-\"a b\"",
    "-*",
    "-OR",
    "*",
    "**",
    "a**",
    "**a",
    "a*b*",
    "\"a\"*",
    "\"a b\"**",
    "(a",
    "a)",
    "((((",
    "))))",
    "(a) b",
    "{a b}",
    "[a]",
    "a\\",
    "\\",
    "\\\\",
    "\\'",
    "a\\' b",
    "\\x00",
    "\\u0000",
    "cafe'; DROP TABLE message; --",
    "cafe\"; DELETE FROM message; --",
    "'; DROP VIEW archive; --",
    "archive_search MATCH 'a'",
    "rank",
    "rowid",
    "delete-all",
    "integrity-check",
    "'rebuild'",
    "optimize",
    "automerge=0",
    "$1",
    "$$a$$",
    "?1",
    ":a",
    "@a",
    "%",
    "%s%n",
    "_",
    "a%",
    "a_b",
    "<->",
    "a <-> b",
    "a <2> b",
    "a <99999> b",
    "a & b",
    "a | b",
    "!a",
    "!!a",
    "!(a)",
    "a & ",
    "| a",
    "<script>alert(1)</script>",
    "§6584",
    "-§6584",
    "\"§6584\"",
];

/// Queries of characters and numbers that programs stumble over.
const CHARACTERS: [&str; 76] = [
    "\u{FEFF}",
    "\u{FEFF}a",
    "\u{202E}abc",
    "\u{2066}a\u{2069}",
    "\u{200B}",
    "\u{200D}",
    "a\u{200D}b",
    "\u{AD}",
    "a\u{AD}b",
    "\u{0301}",
    "a\u{0301}",
    "\u{0301}\u{0301}a",
    "\u{1b}[2J",
    "\u{7}",
    "\u{7f}",
    "\u{1}",
    "\u{1c}a",
    "\u{85}",
    "\u{A0}",
    "\u{2028}",
    "\u{3000}",
    "🇩",
    "🇩🇪🇩",
    "👍🏽",
    "👩\u{200D}💻",
    "👍*",
    "❤\u{FE0F}",
    "1\u{FE0F}\u{20E3}",
    "\u{FFFD}",
    "\u{FFFE}",
    "\u{10FFFF}",
    "\u{E000}",
    "\u{E0001}",
    "\u{F0000}*",
    "\u{3164}",
    "\u{115F}",
    "\u{1160}",
    "\u{1100}",
    "\u{FF9E}",
    "ﷺ",
    "ß",
    "ẞ",
    "İ",
    "ı",
    "ﬃ",
    "Ǆ",
    "ς",
    "\u{345}",
    "\u{1F80}",
    "Ⅷ",
    "½",
    "①",
    "２",
    "٣",
    "०",
    "〇",
    "々",
    "ー",
    "・",
    "、",
    "。",
    "\n",
    "\r\n",
    "\t a \n",
    "a\nb",
    "a\u{b}b",
    "0",
    "00",
    "-0",
    "1e400",
    "99999999999999999999999",
    "0x",
    "NULL",
    "null",
    "true",
    "nan",
];

/// Returns all queries.
fn queries() -> Vec<String> {
    let long = [
        "a".repeat(1000),
        "a".repeat(1001),
        "a ".repeat(500),
        "a OR ".repeat(199) + "b",
        "a -b ".repeat(199),
        "東京".repeat(500),
        "東 ".repeat(500),
        "👍".repeat(1000),
        "\u{0301}".repeat(1000),
        "\"a\" ".repeat(250),
        "\"".repeat(1000),
        "(".repeat(1000),
        "*".repeat(1000),
        "ﷺ".repeat(999),
    ];
    let queries = SYNTAX
        .iter()
        .chain(&CHARACTERS)
        .map(|query| (*query).to_owned());
    let queries: Vec<String> = queries.chain(long).collect();
    assert!(queries.len() >= 200, "{}", queries.len());
    queries
}

/// Returns all that a hostile query might change.
fn content(env: &TestEnv) -> (Value, String) {
    let counts =
        "SELECT (SELECT count(*) FROM archive) AS messages, (SELECT max(id) FROM archive) AS id,
                         (SELECT count(*) FROM archive_search) AS indexed,
                         (SELECT id FROM archive_search_end) AS indexed_to";
    (
        json(env, &["cafe OR 東"]),
        env.run(&["sql", counts]).assert_ok().stdout,
    )
}

/// `condition` is true for the messages that match a query, in SQL.
fn assert_nothing_changes(env: &TestEnv, condition: impl Fn(&str) -> String) {
    archive_messages(env);
    let before = content(env);
    assert_eq!(before.0["hits"].as_array().unwrap().len(), 4);
    for query in queries() {
        let output = search(env, &["--json", "--", &query]);
        match output.code {
            Some(0 | 1) => {
                let answer: Value = serde_json::from_str(&output.stdout).expect(&query);
                assert!(answer["hits"].is_array(), "{query}");
            }
            Some(2) => assert!(output.stderr.starts_with("error: the query"), "{output:#?}"),
            _ => panic!("{query}: {output:#?}"),
        }
        let sql = format!(
            "SELECT count(*) FROM archive_search WHERE {};",
            condition(&query.replace('\'', "''"))
        );
        let mut command = command_in(env.dir.path(), &["sql", "--format", "jsonl"]);
        let output = output_of(command.write_stdin(sql));
        match output.code {
            Some(0) => assert!(
                output.stdout.starts_with("{\"count"),
                "{query}: {output:#?}"
            ),
            Some(2) => assert!(output.stderr.starts_with("error: "), "{query}: {output:#?}"),
            _ => panic!("{query}: {output:#?}"),
        }
    }
    assert_eq!(content(env), before);
}

#[test]
fn hostile_queries_change_nothing_in_sqlite() {
    assert_nothing_changes(&lobby(), |query| format!("words MATCH '{query}'"));
}

#[test]
fn hostile_queries_change_nothing_in_postgres() {
    let url = postgres_server::create_database();
    let env = lobby().with_database(&url);
    assert_nothing_changes(&env, |query| format!("words @@ CAST('{query}' AS TSQUERY)"));
}
