//! The schema of a fresh archive, compared with the dumps in docs/schema.
//!
//! After a change of migrations or views: `UPDATE_SCHEMA=1 cargo test --test it schema_dump`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::env::TestEnv;
use crate::support::postgres_server;

/// The command that writes the dumps anew.
const UPDATE: &str = "UPDATE_SCHEMA=1 cargo test --test it schema_dump";

/// Compares a schema with its committed dump; replaces the dump if `UPDATE_SCHEMA` is set.
#[track_caller]
fn assert_committed(database: &str, objects: &[String], view_columns: Vec<(String, String)>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema");
    let path = folder.join(format!("{database}.sql"));
    let mut parts = vec![format!(
        "-- The schema of a fresh archive in {database}. Do not edit; generate it:\n-- {UPDATE}"
    )];
    parts.extend(objects.iter().map(|object| object.trim().to_owned()));
    parts.extend(describe_views(view_columns));
    let dump = parts.join("\n\n") + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &dump).expect("the dump can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let run = path.display();
    for (number, (committed, line)) in committed.lines().zip(dump.lines()).enumerate() {
        assert_eq!(
            line,
            committed,
            "{run}:{} differs; run {UPDATE}",
            number + 1
        );
    }
    assert_eq!(dump, committed, "{run} differs; run {UPDATE}");
}

/// Describes each view by its columns, a line each.
fn describe_views(columns: Vec<(String, String)>) -> Vec<String> {
    let mut views: BTreeMap<String, String> = BTreeMap::new();
    for (view, column) in columns {
        let text = views
            .entry(view.clone())
            .or_insert_with(|| format!("-- VIEW {view}"));
        text.push_str("\n--     ");
        text.push_str(&column);
    }
    views.into_values().collect()
}

/// Removes comments: the migrations have them already.
fn without_comments(sql: &str) -> String {
    let code = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default().trim_end());
    code.filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn sqlite_schema_equals_the_committed_dump() {
    let env = TestEnv::without_messages(&[]);
    env.run(&["migrate"]).assert_ok();
    let objects: Vec<(String,)> = env.query_rows(
        "SELECT sql FROM sqlite_schema
         WHERE type IN ('table', 'index') AND sql IS NOT NULL AND name NOT LIKE 'sqlite%'
         ORDER BY type DESC, name",
    );
    let objects: Vec<_> = objects
        .iter()
        .map(|(sql,)| without_comments(sql) + ";\n")
        .collect();
    let columns = env.query_rows(
        "SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
         WHERE m.type = 'view' ORDER BY m.name, c.cid",
    );
    assert_committed("sqlite", &objects, columns);
}

/// A table as a statement: columns, then constraints.
const POSTGRES_TABLES: &str = "
    WITH line AS (
        SELECT attrelid AS id, 1 AS part, attnum::TEXT::INTEGER AS position, attname::TEXT AS name,
               format('%I %s', attname, format_type(atttypid, atttypmod))
               || CASE WHEN attcollation = 'pg_catalog.\"C\"'::regcollation
                       THEN ' COLLATE \"C\"' ELSE '' END
               || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
               || CASE WHEN attidentity = 'a' THEN ' GENERATED ALWAYS AS IDENTITY' ELSE '' END
               || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '') AS text
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = attrelid AND d.adnum = attnum
        WHERE attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT conrelid, 2, 0, conname::TEXT,
               format('CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
        FROM pg_constraint
        WHERE contype <> 'n'
    )
    SELECT format(E'CREATE TABLE %I (\\n    %s\\n)%s;\\n', c.relname,
                  string_agg(text, E',\\n    ' ORDER BY part, position, name),
                  coalesce(' PARTITION BY ' || pg_get_partkeydef(c.oid), ''))
    FROM pg_class c JOIN line ON line.id = c.oid
    WHERE c.relnamespace = 'backscroll'::regnamespace AND c.relkind IN ('r', 'p')
    GROUP BY c.oid, c.relname
    ORDER BY c.relname";

/// Indexes, except those of constraints.
const POSTGRES_INDEXES: &str = "
    SELECT pg_get_indexdef(i.indexrelid) || ';' || E'\\n'
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relnamespace = 'backscroll'::regnamespace
      AND NOT EXISTS (
          SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN ('p', 'u', 'x'))
    ORDER BY c.relname";

const POSTGRES_VIEWS: &str = "
    SELECT c.relname, format('%I %s', attname, format_type(atttypid, atttypmod))
    FROM pg_class c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
    ORDER BY c.relname, attnum";

#[test]
fn postgres_schema_equals_the_committed_dump() {
    let (url, database) = postgres_server::create_named_database();
    TestEnv::without_messages(&[])
        .with_database(&url)
        .run(&["migrate"])
        .assert_ok();
    let server = postgres_server::shared_server();
    let objects: Vec<String> = [POSTGRES_TABLES, POSTGRES_INDEXES]
        .iter()
        .flat_map(|sql| server.query_rows(&database, sql))
        .flatten()
        .collect();
    let columns = server.query_rows(&database, POSTGRES_VIEWS);
    let columns = columns
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    assert_committed("postgres", &objects, columns);
}
