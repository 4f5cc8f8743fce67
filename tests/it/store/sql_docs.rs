//! The queries in the documents run, and the documents describe every column of every view.

use sqlx::Executor;

use crate::support::config::AGORA;
use crate::support::env::{TestEnv, open_reader};

/// Returns the SQL blocks of a document.
fn sql_blocks(document: &str) -> Vec<&str> {
    document
        .split("```sql\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect()
}

#[test]
fn documented_queries_run_and_return_rows() {
    let cookbook = sql_blocks(include_str!("../../../docs/SQL.md"));
    assert!(
        cookbook.len() >= 8,
        "{} queries in the cookbook",
        cookbook.len()
    );
    let readme = sql_blocks(include_str!("../../../README.md"));
    assert!(!readme.is_empty());
    let env = TestEnv::new(&["--messages", "400", "--topic-messages", "200"])
        .with_setting_of(AGORA, "name", "shop");
    env.sync().assert_ok();
    for query in cookbook.into_iter().chain(readme) {
        let rows = env.block_on(async {
            let mut reader = open_reader(&env.archive_path()).await;
            reader
                .fetch_all(sqlx::AssertSqlSafe(query))
                .await
                .unwrap_or_else(|error| panic!("{error} in:\n{query}"))
                .len()
        });
        let may_be_empty = [
            "WHERE lost",
            "AND expires_at",
            "json_valid",
            "HAVING max(from_at",
            "FROM alarms",
        ]
        .iter()
        .any(|part| query.contains(part));
        assert!(rows > 0 || may_be_empty, "no rows for:\n{query}");
    }
}

#[test]
fn every_view_column_is_documented() {
    let env = TestEnv::new(&["--messages", "0", "--topic-messages", "0"]);
    env.sync().assert_ok();
    let columns: Vec<(String, String)> = env.query_rows(
        "SELECT m.name, c.name
         FROM sqlite_schema m JOIN pragma_table_info(m.name) c
         WHERE m.type = 'view'
         ORDER BY m.name, c.cid",
    );
    assert!(columns.len() > 40);
    let document = include_str!("../../../docs/SQL.md");
    for (view, column) in columns {
        let (_, after) = document.split_once(&format!("\n## `{view}`")).expect(&view);
        let section = after.split("\n#").next().unwrap_or_default();
        let words = section.split(|c: char| !c.is_alphanumeric() && c != '_');
        assert!(
            words.into_iter().any(|word| word == column),
            "{view}.{column}"
        );
    }
}
