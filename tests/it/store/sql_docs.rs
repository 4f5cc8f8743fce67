//! The queries of the README run on both databases (`cookbook` has those of docs/SQL.md), and the
//! documents describe every column of every view.

use std::collections::BTreeMap;
use std::path::Path;

use sqlx::Executor;

use crate::support::config::AGORA;
use crate::support::env::{TestEnv, open_reader};
use crate::support::postgres_server;

const SQL_MD: &str = include_str!("../../../docs/SQL.md");
const README: &str = include_str!("../../../README.md");

/// The flags of a sandbox whose messages fill the views of messages.
const FLAGS: [&str; 4] = ["--messages", "400", "--topic-messages", "200"];

/// Returns the SQL blocks of a document for a database. A block without a database is for both.
fn queries_for(document: &'static str, database: &str) -> Vec<&'static str> {
    let blocks = document.split("```sql").skip(1);
    let queries = blocks.filter_map(|block| {
        let (info, rest) = block.split_once('\n')?;
        let is_meant = info.trim().is_empty() || info.trim() == database;
        is_meant.then(|| rest.split("```").next().unwrap_or_default())
    });
    queries.collect()
}

fn documented_queries(database: &str) -> Vec<&'static str> {
    let queries = queries_for(README, database);
    assert!(!queries.is_empty());
    queries
}

#[test]
fn documented_queries_run_in_sqlite() {
    let env = TestEnv::new(&FLAGS).with_setting_of(AGORA, "name", "shop");
    env.sync().assert_ok();
    for query in documented_queries("sqlite") {
        let rows = env.block_on(async {
            let mut reader = open_reader(&env.archive_path()).await;
            reader
                .fetch_all(sqlx::AssertSqlSafe(query))
                .await
                .unwrap_or_else(|error| panic!("{error} in:\n{query}"))
                .len()
        });
        assert!(rows > 0, "no rows for:\n{query}");
    }
}

#[test]
fn documented_queries_run_in_postgres() {
    let (url, database) = postgres_server::create_named_database();
    let env = TestEnv::new(&FLAGS)
        .with_database(&url)
        .with_setting_of(AGORA, "name", "shop");
    env.sync().assert_ok();
    let server = postgres_server::shared_server();
    for query in documented_queries("postgres") {
        let counted = format!(
            "WITH query AS ({}) SELECT count(*) FROM query",
            query.trim().trim_end_matches(';')
        );
        let rows = server.query_rows(&database, &counted);
        assert_ne!(rows[0][0], "0", "no rows for:\n{query}");
    }
}

/// The columns of the views in order.
type ViewColumns = BTreeMap<String, Vec<String>>;

fn by_view(rows: impl IntoIterator<Item = (String, String)>) -> ViewColumns {
    let mut views = ViewColumns::new();
    for (view, column) in rows {
        views.entry(view).or_default().push(column);
    }
    views
}

fn sqlite_views() -> ViewColumns {
    let env = TestEnv::without_messages(&[]);
    env.run(&["migrate"]).assert_ok();
    let columns: Vec<(String, String)> = env.query_rows(
        "SELECT m.name, c.name
         FROM sqlite_schema m JOIN pragma_table_info(m.name) c
         WHERE m.type = 'view'
         ORDER BY m.name, c.cid",
    );
    by_view(columns)
}

#[test]
fn every_view_column_is_documented() {
    let views = sqlite_views();
    assert!(views.len() >= 13, "{views:?}");
    for (view, columns) in views {
        let heading = format!("# `{view}`");
        let (_, after) = SQL_MD.split_once(&heading).expect(&view);
        let section = after.split("\n#").next().unwrap_or_default();
        for column in columns {
            let mut words = section.split(|c: char| !c.is_alphanumeric() && c != '_');
            assert!(words.any(|word| word == column), "{view}.{column}");
        }
    }
}

#[test]
fn postgres_describes_every_view_column() {
    let (url, database) = postgres_server::create_named_database();
    let env = TestEnv::without_messages(&[]).with_database(&url);
    env.run(&["migrate"]).assert_ok();
    let rows = postgres_server::shared_server().query_rows(
        &database,
        "SELECT c.relname, a.attname, col_description(c.oid, a.attnum),
                obj_description(c.oid, 'pg_class')
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE c.relkind = 'v' AND c.relnamespace = 'public'::regnamespace",
    );
    assert!(rows.len() > 100, "{}", rows.len());
    for row in &rows {
        assert!(row[2..].iter().all(|comment| comment.len() > 5), "{row:?}");
    }
}

/// `DuckDB`'s SQLite scanner parses a view and writes it again. It writes `count(*)` as
/// `count_star()` and the members of a UNION in parentheses, which SQLite does not read.
#[test]
fn sqlite_views_avoid_what_duckdb_cannot_pass_on() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite/views");
    let mut views = 0;
    for file in std::fs::read_dir(folder).expect("the views") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("a text");
        let code = text.lines().filter_map(|line| line.split("--").next());
        let code = code.collect::<Vec<_>>().join("\n");
        for forbidden in ["count(*)", "UNION", "INTERSECT", "EXCEPT"] {
            assert!(!code.contains(forbidden), "{forbidden} in:\n{text}");
        }
        views += 1;
    }
    assert!(views >= 13, "{views}");
}
