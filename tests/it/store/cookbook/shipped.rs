//! The files in docs/ that carry the cookbook to other tools: canned queries for Datasette, table
//! macros for `DuckDB`, a dashboard for Grafana.
//!
//! After a change of the cookbook or of a view: `UPDATE_COOKBOOK=1 cargo test --test it cookbook`.

use std::fmt::Write as _;
use std::path::Path;

use backscroll::store::query::views;
use serde_json::{Value, json};

use super::{Question, questions};
use crate::support::postgres_server;

/// The command that writes the files anew.
const UPDATE: &str = "UPDATE_COOKBOOK=1 cargo test --test it cookbook";

/// Compares a file in docs/ with what it should be; replaces it if `UPDATE_COOKBOOK` is set.
#[track_caller]
fn assert_shipped(name: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name);
    if std::env::var_os("UPDATE_COOKBOOK").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let shipped = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(shipped == wanted, "docs/{name} differs; run {UPDATE}");
}

/// Returns the title of a question as a name.
fn name_of(question: &Question) -> String {
    let letters = question.title.to_lowercase().replace('\'', "");
    let words = letters.split(|c: char| !c.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("_")
}

#[test]
fn datasette_has_the_questions_and_the_views() {
    // Written line by line: the order of the questions stays.
    let mut text =
        "{\n \"title\": \"Backscroll\",\n \"databases\": {\n  \"archive\": {\n   \"tables\": {\n"
            .to_owned();
    let views = views();
    let tables: Vec<String> = views
        .iter()
        .map(|view| {
            let columns = view.columns.iter();
            let columns = columns
                .map(|column| format!("      {}: {}", json!(column.name), json!(column.text)));
            let columns: Vec<String> = columns.collect();
            format!(
                "    {}: {{\n     \"description\": {},\n     \"columns\": {{\n{}\n     }}\n    }}",
                json!(view.name),
                json!(view.text),
                columns.join(",\n")
            )
        })
        .collect();
    let queries: Vec<String> = questions()
        .iter()
        .map(|question| {
            format!(
                "    {}: {{\n     \"title\": {},\n     \"sql\": {}\n    }}",
                json!(name_of(question)),
                json!(question.title),
                json!(question.sqlite.trim_end_matches(';'))
            )
        })
        .collect();
    let _ = write!(
        text,
        "{}\n   }},\n   \"queries\": {{\n{}\n   }}\n  }}\n }}\n}}\n",
        tables.join(",\n"),
        queries.join(",\n")
    );
    let parsed: Value = serde_json::from_str(&text).expect("JSON");
    let archive = &parsed["databases"]["archive"];
    assert_eq!(
        archive["queries"].as_object().unwrap().len(),
        questions().len()
    );
    assert_eq!(archive["tables"].as_object().unwrap().len(), views.len());
    assert_shipped("datasette.json", &text);
}

#[test]
fn duckdb_has_the_questions_as_table_macros() {
    let mut text = "-- The archive in DuckDB: `duckdb -init duckdb.sql`, beside an SQLite archive named archive.db.
-- Every view is a table of `archive`: FROM archive.coverage;
-- Every question of the cookbook (SQL.md) is a macro: FROM who_talks_to_whom();
-- SQLite runs the queries of the macros, with its indexes.

INSTALL sqlite;
LOAD sqlite;
ATTACH 'archive.db' AS archive (TYPE sqlite, READ_ONLY);
"
    .to_owned();
    for question in questions() {
        let query = question.sqlite.trim_end_matches(';');
        assert!(!query.contains("$query$"), "{query}");
        let _ = write!(
            text,
            "\n-- {}\nCREATE OR REPLACE TEMP MACRO {}() AS TABLE\nFROM sqlite_query('archive', $query$\n{query}\n$query$);\n",
            question.title,
            name_of(&question)
        );
    }
    assert_shipped("duckdb.sql", &text);
}

/// The queries of a dashboard.
fn dashboard_queries(dashboard: &Value) -> Vec<(&str, &str)> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let queries = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().expect("a title");
        let targets = panel["targets"].as_array().expect("targets");
        targets
            .iter()
            .map(move |target| (title, target["rawSql"].as_str().expect("a query")))
    });
    queries.collect()
}

#[test]
fn grafana_dashboard_reads_the_views_in_postgres() {
    let dashboard: Value =
        serde_json::from_str(include_str!("../../../../docs/grafana/archive.json")).unwrap();
    let database = super::postgres_history().1;
    let queries = dashboard_queries(&dashboard);
    assert!(queries.len() >= 8, "{queries:?}");
    for (title, query) in queries {
        // The values that Grafana puts in place of its macros and variables.
        let query = query
            .replace("$__unixEpochFrom()", "1772323200")
            .replace("$__unixEpochTo()", "1775001600")
            .replace("${account:sqlstring}", "'shop', 'chat'");
        assert!(!query.contains('$'), "{title}: {query}");
        let rows = postgres_server::shared_server().query_rows(&database, &query);
        assert!(!rows.is_empty(), "no rows for the panel {title}: {query}");
    }
}
