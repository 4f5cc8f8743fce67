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

/// Compares the guide with the columns of all views, except for columns that are `absent` from a view
/// of the database.
fn assert_guide_is_true(env: &TestEnv, absent: &[(&str, &str)]) {
    env.write_config();
    let nullable = nullable();
    assert!(nullable.len() > 20, "{nullable:?}");
    let mut known = BTreeSet::new();
    for view in views() {
        let names = view.columns.iter().map(|column| column.name);
        let columns = names.filter(|column| !absent.contains(&(view.name, column)));
        known.extend(columns.clone().map(|column| (view.name, column)));
        let counts = columns
            .clone()
            .map(|column| format!("count(*) - count({column}) AS {column}"));
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
        for column in columns {
            let nulls = counts[column].as_i64().unwrap();
            let is_listed = nullable.contains(&(view.name, column));
            assert!(
                nulls == 0 || is_listed,
                "{}.{column} has {nulls} NULL",
                view.name
            );
        }
    }
    let listed: Vec<_> = nullable.difference(&known).collect();
    assert!(listed.is_empty(), "no such columns: {listed:?}");
}

#[test]
fn columns_that_are_not_listed_are_never_null_in_sqlite() {
    let absent = ["id", "sent_at_ms"].map(|column| ("archive_search", column));
    assert_guide_is_true(&sqlite_history(), &absent);
}

#[test]
fn columns_that_are_not_listed_are_never_null_in_postgres() {
    assert_guide_is_true(&postgres_history().0, &[]);
}
