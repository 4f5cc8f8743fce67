//! Upgrades of an archive's schema, and archives whose schema cannot be used.
//!
//! No migration follows the baseline yet, so these tests bring one of their own.

use std::borrow::Cow;

use backscroll::store::{Schema, StoreError, ViewFile};
use sqlx::migrate::{Migration, MigrationType};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection, Postgres, SqlSafeStr, Sqlite,
    SqliteConnection,
};

use crate::support::env::TestEnv;
use crate::support::postgres_server;

/// Commands that open the archive.
const COMMANDS: [&str; 5] = ["sync", "run", "status", "check", "migrate"];

const STREAM: &str = "INSERT INTO account (name, provider) VALUES ('shop', 'agora');
    INSERT INTO stream (account_id, key, wanted_from_s)
    SELECT id, 'destination=lobby', 7 FROM account";

/// The schema of a later version: one more migration, and `times` with one more column.
fn later(schema: Schema, times: &'static str) -> Schema {
    let sql = "ALTER TABLE stream ADD COLUMN note TEXT NOT NULL DEFAULT 'none'".into_sql_str();
    let migration = Migration::new(2, "note".into(), MigrationType::Simple, sql, false);
    let mut migrations = schema.migrations.into_owned();
    migrations.push(migration);
    Schema {
        migrations: Cow::Owned(migrations),
        views: with_times(&schema.views, times),
    }
}

fn with_times(views: &[ViewFile], sql: &'static str) -> Cow<'static, [ViewFile]> {
    let replace = |view: &ViewFile| {
        if view.name == "times" {
            ViewFile { sql, ..*view }
        } else {
            *view
        }
    };
    views.iter().map(replace).collect()
}

const LATER_TIMES_OF_SQLITE: &str = "
    DROP VIEW IF EXISTS times;
    CREATE VIEW times AS
    SELECT '' AS sent_at, sent_at_ms, conversation_id, sender_id, slot FROM message";

const LATER_TIMES_OF_POSTGRES: &str = "
    CREATE OR REPLACE VIEW times AS
    SELECT TIMESTAMPTZ 'epoch' AS sent_at, sent_at_ms,
           CAST(conversation_id AS BIGINT) AS conversation_id,
           CAST(sender_id AS BIGINT) AS sender_id, slot
    FROM message";

async fn open_sqlite(env: &TestEnv) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(env.archive_path())
        .connect()
        .await
        .expect("the archive")
}

/// An empty archive in Postgres: its environment, URL and database.
fn postgres_archive() -> (TestEnv, String, String) {
    let (url, database) = postgres_server::create_named_database();
    let env = TestEnv::without_messages(&[]).with_database(&url);
    env.run(&["migrate"]).assert_ok();
    (env, url, database)
}

/// Connects with the settings of the program's own sessions.
async fn connect_as_program(url: &str) -> PgConnection {
    let mut archive = PgConnection::connect(url).await.unwrap();
    let settings = "SET search_path = backscroll, public; SET backscroll.readers = 'public'";
    archive.execute(settings).await.unwrap();
    archive
}

fn assert_too_old(result: &Result<(), StoreError>) {
    assert!(
        matches!(result, Err(StoreError::SchemaTooOld { found: 1, known: 2 })),
        "{result:?}"
    );
}

#[test]
fn sqlite_archive_is_upgraded_by_a_later_migration() {
    let env = TestEnv::without_messages(&[]);
    env.run(&["migrate"]).assert_ok();
    env.execute_sql(STREAM);
    let later = later(Schema::sqlite(), LATER_TIMES_OF_SQLITE);
    env.block_on(async {
        let mut archive = open_sqlite(&env).await;
        assert_too_old(&later.require_current(&mut archive).await);
        for _ in 0..2 {
            later.upgrade::<Sqlite>(&mut archive).await.unwrap();
            later.require_current(&mut archive).await.unwrap();
        }
    });
    let stream: (String, i64, String) =
        env.query_row("SELECT key, wanted_from_s, note FROM stream");
    assert_eq!(
        stream,
        ("destination=lobby".to_owned(), 7, "none".to_owned())
    );
    assert_eq!(env.query_number("SELECT count(slot) FROM times"), 0);
    assert_eq!(env.query_number("SELECT count(*) FROM _sqlx_migrations"), 2);
    for command in COMMANDS {
        env.run(&[command])
            .assert_incomplete()
            .assert_prints("it has schema 2, this version knows up to 1");
    }
}

#[test]
fn postgres_archive_is_upgraded_by_a_later_migration() {
    let (env, url, database) = postgres_archive();
    let server = postgres_server::shared_server();
    server.psql(&database, STREAM);
    let later = later(Schema::postgres(), LATER_TIMES_OF_POSTGRES);
    env.block_on(async {
        let mut archive = connect_as_program(&url).await;
        assert_too_old(&later.require_current(&mut archive).await);
        for _ in 0..2 {
            later.upgrade::<Postgres>(&mut archive).await.unwrap();
            later.require_current(&mut archive).await.unwrap();
        }
    });
    assert_eq!(
        server.psql(&database, "SELECT key, wanted_from_s, note FROM stream"),
        "destination=lobby|7|none"
    );
    assert_eq!(server.psql(&database, "SELECT count(slot) FROM times"), "0");
    assert_eq!(
        server.psql(&database, "SELECT count(*) FROM _sqlx_migrations"),
        "2"
    );
    for command in COMMANDS {
        env.run(&[command])
            .assert_incomplete()
            .assert_prints("it has schema 2, this version knows up to 1");
    }
}

#[test]
fn a_changed_view_keeps_the_rights_of_its_readers() {
    let (env, url, database) = postgres_archive();
    let server = postgres_server::shared_server();
    server.psql(&database, "CREATE ROLE \"reader of views\"");
    env.run(&["migrate", "--reader", "reader of views"])
        .assert_ok();
    let schema = Schema::postgres();
    let views = with_times(&schema.views, LATER_TIMES_OF_POSTGRES);
    let changed = Schema { views, ..schema };
    env.block_on(async {
        let mut archive = connect_as_program(&url).await;
        changed.upgrade::<Postgres>(&mut archive).await.unwrap();
    });
    assert_eq!(
        server.psql(
            &database,
            "SET ROLE \"reader of views\"; SELECT count(slot) FROM times"
        ),
        "0"
    );
}

/// Views that a reader has made upon those of the archive.
const VIEWS_OF_A_READER: [&str; 2] = [
    "CREATE VIEW of_a_reader AS SELECT t.sent_at_ms, a.body FROM times t
     JOIN archive a ON a.sent_at_ms = t.sent_at_ms",
    "CREATE VIEW all_times AS SELECT * FROM times",
];

#[test]
fn a_view_of_a_reader_does_not_block_an_upgrade() {
    let env = TestEnv::without_messages(&[]);
    env.run(&["migrate"]).assert_ok();
    let (in_postgres, url, database) = postgres_archive();
    let server = postgres_server::shared_server();
    for view in VIEWS_OF_A_READER {
        env.execute_sql(view);
        server.psql(&database, view);
    }
    let changed = later(Schema::sqlite(), LATER_TIMES_OF_SQLITE);
    env.block_on(async {
        let mut archive = open_sqlite(&env).await;
        changed.upgrade::<Sqlite>(&mut archive).await.unwrap();
    });
    let changed = later(Schema::postgres(), LATER_TIMES_OF_POSTGRES);
    in_postgres.block_on(async {
        let mut archive = connect_as_program(&url).await;
        changed.upgrade::<Postgres>(&mut archive).await.unwrap();
    });
    for query in [
        "SELECT count(slot) FROM times",
        "SELECT count(body) FROM of_a_reader",
        "SELECT count(sent_at_ms) FROM all_times",
    ] {
        assert_eq!(env.query_number(query), 0);
        assert_eq!(server.psql(&database, query), "0");
    }
}

#[test]
fn views_are_applied_only_if_their_text_changed() {
    let env = TestEnv::without_messages(&[]);
    env.run(&["migrate"]).assert_ok();
    let version = || env.query_number("SELECT schema_version FROM pragma_schema_version");
    let fresh = version();
    env.run(&["migrate"]).assert_ok();
    assert_eq!(version(), fresh);
    // One view was removed together with its record, the text of another differs.
    for statement in [
        "DROP VIEW gaps",
        "DELETE FROM view_definition WHERE name = 'gaps'",
        "DROP VIEW times",
        "CREATE VIEW times AS SELECT 'an older text'",
        "UPDATE view_definition SET hash = x'00' WHERE name = 'times'",
    ] {
        env.execute_sql(statement);
    }
    env.run(&["migrate"]).assert_ok();
    assert_eq!(env.query_number("SELECT count(*) FROM gaps"), 0);
    assert_eq!(env.query_number("SELECT count(sent_at_ms) FROM times"), 0);
    assert_eq!(
        env.query_number("SELECT count(*) FROM view_definition WHERE length(hash) = 32"),
        14
    );
}

#[test]
fn a_view_of_a_later_version_is_left_as_it_is() {
    let env = TestEnv::without_messages(&[]);
    env.run(&["migrate"]).assert_ok();
    for statement in [
        "DROP VIEW times",
        "CREATE VIEW times AS SELECT 'a later text' AS text",
        "UPDATE view_definition SET hash = x'00', version = '99.0.0' WHERE name = 'times'",
    ] {
        env.execute_sql(statement);
    }
    env.run(&["migrate"]).assert_ok();
    assert_eq!(
        env.query_row::<(String,)>("SELECT text FROM times").0,
        "a later text"
    );
}

/// The record that the ten migrations before the baseline left.
const UNRELEASED: &str = "UPDATE _sqlx_migrations SET description = 'archive', checksum = '1';
    INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
    VALUES (2, 'lean', TRUE, '2', 0), (10, 'times', TRUE, '10', 0)";

#[test]
fn an_archive_of_an_unreleased_version_is_refused_with_a_remedy() {
    let in_sqlite = TestEnv::without_messages(&[]);
    in_sqlite.run(&["migrate"]).assert_ok();
    in_sqlite.execute_sql(UNRELEASED);
    let (in_postgres, _, database) = postgres_archive();
    postgres_server::shared_server().psql(&database, UNRELEASED);
    for env in [in_sqlite, in_postgres] {
        for command in COMMANDS {
            env.run(&[command])
                .assert_incomplete()
                .assert_prints("by an unreleased version of Backscroll")
                .assert_prints("name another database in database.url");
        }
    }
}

#[test]
fn an_archive_with_an_unknown_migration_is_refused() {
    let env = TestEnv::without_messages(&[]);
    env.run(&["migrate"]).assert_ok();
    env.execute_sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (0, 'before the baseline', TRUE, x'00', 0)",
    );
    env.run(&["status"])
        .assert_incomplete()
        .assert_prints("schema is not one of Backscroll's");
}
