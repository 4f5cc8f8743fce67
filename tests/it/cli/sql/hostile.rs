//! Two hundred statements for each database that would write, load, lock or confuse. Nothing is
//! changed, no file appears, and the program does not panic.

use std::collections::BTreeMap;
use std::path::Path;

use super::query_env::QueryEnv;
use crate::support::env::{CommandOutput, output_of};
use crate::support::postgres_server;

/// Statements that both databases know.
const COMMON: [&str; 34] = [
    "DELETE FROM message",
    "DELETE FROM message RETURNING *",
    "UPDATE message SET sent_at_ms = 0",
    "UPDATE message SET sent_at_ms = 0 RETURNING id",
    "INSERT INTO name (value) VALUES ('x')",
    "INSERT INTO name (value) VALUES ('x') RETURNING *",
    "INSERT INTO name (value) SELECT 'y'",
    "WITH d AS (SELECT 1) DELETE FROM message",
    "WITH d AS (SELECT 1) INSERT INTO name (value) SELECT 'z' FROM d RETURNING id",
    "CREATE TABLE t (a INT)",
    "CREATE TABLE t AS SELECT * FROM archive",
    "CREATE TEMP TABLE t AS SELECT * FROM archive",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TEMP VIEW v AS SELECT 1",
    "CREATE INDEX i ON message (sent_at_ms)",
    "DROP TABLE message",
    "DROP VIEW archive",
    "DROP VIEW IF EXISTS archive",
    "ALTER TABLE message ADD COLUMN x INT",
    "ALTER TABLE message RENAME TO m",
    "BEGIN",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "END",
    "ROLLBACK",
    "SAVEPOINT s",
    "RELEASE s",
    "VACUUM",
    "ANALYZE",
    "REINDEX",
    "EXPLAIN",
    "SELECT",
    "UPDATE archive SET body = ''",
    "TRUNCATE message",
];

const SQLITE: [&str; 28] = [
    "ATTACH 'new.db' AS n",
    "ATTACH ':memory:' AS n",
    "ATTACH 'file:new.db?mode=rwc' AS n",
    "DETACH main",
    "VACUUM INTO 'copy.db'",
    "VACUUM main INTO 'file:copy.db?mode=rwc'",
    "PRAGMA query_only = 0",
    "PRAGMA query_only(0)",
    "PRAGMA writable_schema = 1",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA main.journal_mode = OFF",
    "PRAGMA user_version = 7",
    "PRAGMA application_id = 7",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA temp_store_directory = '.'",
    "PRAGMA optimize",
    "PRAGMA incremental_vacuum",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA mmap_size = 1099511627776",
    "PRAGMA soft_heap_limit = 1",
    "CREATE VIRTUAL TABLE v USING fts5(a)",
    "CREATE TRIGGER t AFTER INSERT ON message BEGIN SELECT 1; END",
    "CREATE TEMP TRIGGER t INSTEAD OF INSERT ON archive BEGIN SELECT 1; END",
    "REPLACE INTO name (value) VALUES ('x')",
    "SELECT load_extension('./evil.so')",
    "SELECT LOAD_EXTENSION('./evil.so', 'main')",
    "SELECT writefile('new.txt', 'x')",
    "SELECT fts3_tokenizer('x', x'00')",
];

const POSTGRES: [&str; 41] = [
    "COPY message TO STDOUT",
    "COPY (SELECT 1) TO '{dir}/new.txt'",
    "COPY (SELECT 1) TO PROGRAM 'touch {dir}/new.txt'",
    "COPY name FROM PROGRAM 'touch {dir}/new.txt'",
    "COPY name FROM STDIN",
    "DO $$ BEGIN COMMIT; DELETE FROM message; END $$",
    "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM message; END $$",
    "DO LANGUAGE plpgsql 'BEGIN EXECUTE ''DROP TABLE message''; END'",
    "SET TRANSACTION READ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SET default_transaction_read_only = off",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT set_config('transaction_read_only', 'off', true), (SELECT setval('message_id_seq', 1))",
    "SELECT nextval('message_id_seq')",
    "SELECT setval('message_id_seq', 1)",
    "SELECT * FROM message FOR UPDATE",
    "SELECT id FROM message FOR KEY SHARE",
    "SELECT * INTO t FROM archive",
    "SELECT * INTO TEMP t FROM archive",
    "WITH d AS (DELETE FROM message RETURNING *) SELECT * FROM d",
    "WITH i AS (INSERT INTO name (value) VALUES ('q') RETURNING *) SELECT * FROM i",
    "EXPLAIN ANALYZE DELETE FROM message",
    "EXPLAIN (ANALYZE, FORMAT json) UPDATE message SET sent_at_ms = 0",
    "PREPARE p AS DELETE FROM message",
    "EXECUTE p",
    "LISTEN x",
    "NOTIFY x",
    "LOCK TABLE message IN ACCESS EXCLUSIVE MODE",
    "GRANT ALL ON ALL TABLES IN SCHEMA public TO public",
    "CREATE ROLE evil SUPERUSER",
    "CREATE FUNCTION f() RETURNS INT LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION dblink",
    "CREATE SCHEMA s",
    "CREATE DATABASE evil",
    "ALTER SYSTEM SET fsync = off",
    "ALTER ROLE postgres SET search_path = ''",
    "COMMENT ON VIEW archive IS 'x'",
    "REFRESH MATERIALIZED VIEW archive",
    "CALL pg_catalog.f()",
    "DISCARD ALL",
    "CHECKPOINT",
];

/// Functions that a superuser may call in a read-only transaction as well. They are rolled back.
const ROLLED_BACK: [&str; 3] = [
    "SELECT lo_create(4711)",
    "SELECT lo_from_bytea(4711, 'x')",
    "SELECT lo_import('/etc/passwd', 4711)",
];

/// Statements that are no harm, but odd. They may succeed.
const ODD: [&str; 24] = [
    "\u{0}",
    "SELECT 1\u{0}; DROP TABLE message",
    "SELECT '\u{202E}\u{1b}[2J'",
    "SELECT ''''''''",
    "SELECT '",
    "SELECT \"",
    "SELECT $$",
    "/*",
    "/* /* */",
    "--",
    ";;;;",
    "((((((((",
    "SELECT * FROM",
    "SELECT * FROM archive WHERE",
    "SELECT 1 FROM archive ORDER BY 99",
    "SELECT 9223372036854775807 + 1",
    "SELECT 1/0",
    "SELECT * FROM archive a, archive b, archive c, archive d, archive e",
    "SELECT NULL AS \"\", NULL AS \"\"",
    "SELECT 1 AS \"\u{1b}[31m\"",
    "VALUES (1), (2)",
    "\u{feff}SELECT 1",
    "SELECT 1 消息",
    "😀",
];

on_every_database! {
    hostile_statements_write_nothing,
}

fn hostile_statements_write_nothing(env: &QueryEnv) {
    let own: &[&str] = match env.database {
        Some(_) => &POSTGRES,
        None => &SQLITE,
    };
    let dir = env.env.dir.path().display().to_string();
    let writing: Vec<String> = COMMON
        .iter()
        .chain(own)
        .map(|statement| statement.replace("{dir}", &dir))
        .collect();
    // The folder must not differ by the log of a reader.
    let before = (files(env.env.dir.path()), contents(env));
    let mut count = 0;
    for statement in &writing {
        for hostile in [
            statement.clone(),
            format!("/* x */ -- y\n;{statement};"),
            format!("SELECT 1; {statement}"),
        ] {
            count += 1;
            let output = env.sql(&["--format", "csv", &hostile]);
            assert_eq!(output.code, Some(2), "{hostile}: {output:?}");
            assert!(!output.stderr.contains("panicked"), "{hostile}: {output:?}");
        }
    }
    for statement in ROLLED_BACK {
        count += 1;
        assert_calm(statement, env.sql(&[statement]));
    }
    for odd in ODD.iter().filter(|odd| !odd.contains('\0')) {
        count += 1;
        assert_calm(odd, env.sql(&[odd]));
    }
    // An argument of a process has no U+0000.
    for odd in ODD {
        count += 1;
        let mut command = env.command(&[]);
        assert_calm(odd, output_of(command.write_stdin(odd)));
    }
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    let wide = format!("SELECT {}", vec!["1"; 5000].join(","));
    let joined = format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(3000));
    for odd in [&deep, &wide, &joined] {
        count += 1;
        assert_calm(&odd[..20], env.sql(&[odd]));
    }
    assert!(count >= 200, "{count}");
    assert_eq!((files(env.env.dir.path()), contents(env)), before);
}

fn assert_calm(query: &str, output: CommandOutput) {
    assert!(matches!(output.code, Some(0 | 2)), "{query:?}: {output:?}");
    assert!(!output.stderr.contains("panicked"), "{query:?}: {output:?}");
    let shown = output.stdout + &output.stderr;
    assert!(
        !shown.contains(['\u{1b}', '\u{202E}']),
        "{query:?}: {shown:?}"
    );
}

/// The files of a folder with the hashes of their contents.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            let content = std::fs::read(entry.path()).unwrap_or_default();
            (name, blake3::hash(&content).to_string())
        })
        .collect()
}

/// Everything on a server that a statement could change.
fn contents(env: &QueryEnv) -> Vec<Vec<String>> {
    let Some(database) = &env.database else {
        return vec![];
    };
    postgres_server::shared_server().query_rows(
        database,
        "SELECT (SELECT count(*) || '/' || sum(hashtext(m::TEXT)) FROM backscroll.message m),
                (SELECT count(*) || '/' || sum(hashtext(n::TEXT)) FROM backscroll.name n),
                (SELECT count(*) || '/' || sum(hashtext(relname || relkind::TEXT || coalesce(relacl::TEXT, ''))) FROM pg_class
                 WHERE relpersistence <> 't'),
                (SELECT count(*) FROM pg_proc),
                (SELECT count(*) FROM pg_namespace WHERE nspname NOT LIKE 'pg_t%'),
                (SELECT count(*) FROM pg_roles WHERE rolname = 'evil'),
                (SELECT count(*) FROM pg_database WHERE datname = 'evil'),
                (SELECT count(*) FROM pg_largeobject_metadata),
                (SELECT count(*) || coalesce(max(setconfig::TEXT), '') FROM pg_db_role_setting WHERE setrole <> 0),
                (SELECT count(*) || sum(hashtext(description))::TEXT FROM pg_description),
                (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database
                 WHERE datname = current_database()))",
    )
}
