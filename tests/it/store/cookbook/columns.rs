//! The column guide of docs/SQL.md: a column that it does not list is never NULL.

use std::collections::BTreeSet;

use backscroll::store::query::views;

use super::{SQL_MD, postgres_history, sqlite_history};
use crate::support::env::{TestEnv, command_in, output_of};

/// Returns the words in backquotes.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Returns the columns that may be NULL, with their views.
fn nullable() -> BTreeSet<(&'static str, &'static str)> {
    let (_, guide) = SQL_MD.split_once("\n# Column guide").expect("a guide");
    let (guide, _) = guide.split_once("\n# ").expect("an end");
    let mut views = Vec::new();
    let mut nullable = BTreeSet::new();
    for row in guide.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = row.split('|').collect();
        let named = names(cells[1]);
        if !named.is_empty() {
            views = named;
        }
        for view in &views {
            nullable.extend(names(cells[2]).into_iter().map(|column| (*view, column)));
        }
    }
    nullable
}

fn assert_guide_is_true(env: &TestEnv) {
    env.write_config();
    let nullable = nullable();
    assert!(nullable.len() > 20, "{nullable:?}");
    let mut known = BTreeSet::new();
    // In SQLite, the search index can be searched, and not read.
    for view in views()
        .into_iter()
        .filter(|view| view.name != "archive_search")
    {
        let columns = view.columns.iter().map(|column| column.name);
        known.extend(columns.clone().map(|column| (view.name, column)));
        let counts = columns.map(|column| format!("count(*) - count({column}) AS {column}"));
        let counts: Vec<String> = counts.collect();
        let query = format!(
            "SELECT count(*) AS all_rows, {} FROM {}",
            counts.join(", "),
            view.name
        );
        let output = output_of(&mut command_in(
            env.dir.path(),
            &["sql", "--format", "jsonl", &query],
        ));
        let counts: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&output.assert_ok().stdout).unwrap();
        assert!(
            counts["all_rows"].as_i64().unwrap() > 0,
            "{} is empty",
            view.name
        );
        for column in view.columns {
            let nulls = counts[column.name].as_i64().unwrap();
            let is_listed = nullable.contains(&(view.name, column.name));
            assert!(
                nulls == 0 || is_listed,
                "{}.{} has {nulls} NULL",
                view.name,
                column.name
            );
        }
    }
    let is_readable = |(view, _): &&(&str, &str)| *view != "archive_search";
    let listed: Vec<_> = nullable.difference(&known).filter(is_readable).collect();
    assert!(listed.is_empty(), "no such columns: {listed:?}");
}

#[test]
fn columns_that_are_not_listed_are_never_null_in_sqlite() {
    assert_guide_is_true(&sqlite_history());
}

#[test]
fn columns_that_are_not_listed_are_never_null_in_postgres() {
    assert_guide_is_true(&postgres_history().0);
}
