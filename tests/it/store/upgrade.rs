//! Archives that an earlier version has made.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr, SqliteConnection};

use crate::support::env::TestEnv;
use crate::support::postgres_server;

const BASE_OF_SQLITE: &str = include_str!("../../../migrations/sqlite/0001_archive.sql");
const BASE_OF_POSTGRES: &str = include_str!("../../../migrations/postgres/0001_archive.sql");

/// A channel's messages over two months, two of them equal; one of a peer with everything said; and one of another
/// account that is the same to the last byte.
fn messages(hash: fn(&str) -> String) -> String {
    format!(
        "INSERT INTO account (name, provider) VALUES ('shop', 'agora'), ('alice', 'web3mq');
         INSERT INTO stream (account_id, key, wanted_from_s) VALUES (1, 'destination=lobby', 0);
         INSERT INTO sealed_window (stream_id, from_s, to_s, messages, provider_count, sealed_at_ms)
         VALUES (1, 0, 1706000000, 3, 3, 1706000000000);
         INSERT INTO name (value) VALUES ('lobby'), ('ann'), ('bob'), ('text/plain');
         INSERT INTO conversation (account_id, name, kind) VALUES (1, 'lobby', 2), (2, 'ann/bob', 1), (2, 'lobby', 3);
         INSERT INTO message (account_id, recipient_id, sent_at_ms, hash, occurrence, conversation_id, sender_id,
                              archived_at_ms, payload)
         VALUES (1, 1, 1700000000001, {h1}, 0, 1, 2, 1706000000999, {hi}),
                (1, 1, 1700000000001, {h1}, 1, 1, 2, 1706000000999, {hi}),
                (1, 1, 1705000000000, {h2}, 0, 1, 3, 1706000000999, {hi}),
                (2, 1, 1700000000001, {h1}, 0, 3, 2, 1706000000999, {hi});
         INSERT INTO message (account_id, recipient_id, sent_at_ms, hash, occurrence, conversation_id, sender_id,
                              encoding, status, status_at_ms, payload_type_id, archived_at_ms, provider_id,
                              payload, extra)
         VALUES (2, 3, 1705000000000, {h3}, 0, 2, 2, 1, 2, 1705000000500, 4, 1706000000999, 'id', {hi}, '{{\"version\":1}}')",
        h1 = hash("fe00000000000000000000000000000a"),
        h2 = hash("0000000000000000000000000000000b"),
        h3 = hash("7fffffff00000000000000000000000c"),
        hi = hash("6869"),
    )
}

const READ: &str =
    "account || ' ' || conversation || ' ' || sender || ' ' || recipient || ' ' || body || ' ' || sent_at_ms
     || ' ' || occurrence || ' ' || coalesce(status, '-') || ' ' || payload_encoding || ' '
     || coalesce(payload_type, '-') || ' ' || coalesce(provider_message_id, '-')";

const EXPECTED: [&str; 5] = [
    "alice ann/bob ann bob hi 1705000000000 0 delivered base64 text/plain id",
    "alice lobby ann lobby hi 1700000000001 0 - utf8 - -",
    "shop lobby ann lobby hi 1700000000001 0 - utf8 - -",
    "shop lobby ann lobby hi 1700000000001 1 - utf8 - -",
    "shop lobby bob lobby hi 1705000000000 0 - utf8 - -",
];

/// The record of the first schema change, as the version that made it has written it.
fn record(database: &str, script: &str) -> (String, Vec<u8>) {
    let kinds = if database == "sqlite" {
        ("TIMESTAMP", "BLOB")
    } else {
        ("TIMESTAMPTZ", "BYTEA")
    };
    let create = format!(
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on {} NOT NULL
         DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, checksum {} NOT NULL, execution_time BIGINT NOT NULL)",
        kinds.0, kinds.1
    );
    let migration = sqlx::migrate::Migration::new(
        1,
        "archive".into(),
        sqlx::migrate::MigrationType::Simple,
        AssertSqlSafe(script.to_owned()).into_sql_str(),
        false,
    );
    (create, migration.checksum.to_vec())
}

const RECORD: &str =
    "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                      VALUES (1, 'archive', TRUE, $1, 0)";

#[test]
fn sqlite_archive_of_the_first_schema_is_upgraded() {
    let bed = TestEnv::without_messages(&[]);
    let path = bed.archive_path();
    bed.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true);
        let mut old = SqliteConnection::connect_with(&options).await.unwrap();
        let (create, checksum) = record("sqlite", BASE_OF_SQLITE);
        let messages = messages(|hex| format!("x'{hex}'"));
        for script in [BASE_OF_SQLITE, &create, &messages] {
            old.execute(AssertSqlSafe(script.to_owned()))
                .await
                .expect(script);
        }
        sqlx::query(RECORD)
            .bind(checksum)
            .execute(&mut old)
            .await
            .unwrap();
        old.close().await.unwrap();
    });
    bed.run(&["migrate"]).assert_ok();
    let rows: Vec<(String,)> = bed.rows(&format!("SELECT {READ} FROM archive ORDER BY 1"));
    assert_eq!(
        rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(),
        EXPECTED
    );
    assert_eq!(
        bed.number("SELECT count(*) FROM archive WHERE archived_at = '2024-01-23T08:53:20.000Z'"),
        5
    );
    assert_eq!(bed.number("SELECT messages FROM coverage"), 3);
    let slots: Vec<(i64,)> = bed
        .rows("SELECT slot FROM message WHERE hash >= x'fe' ORDER BY conversation_id, occurrence");
    assert_eq!(
        slots.iter().map(|slot| slot.0).collect::<Vec<_>>(),
        EXPECTED_SLOTS
    );
}

#[test]
fn postgres_archive_of_the_first_schema_is_upgraded() {
    let (url, database) = postgres_server::create_named_database();
    let bed = TestEnv::without_messages(&[]).with("sqlite://archive.db", &url);
    bed.block_on(async {
        let mut old = PgConnection::connect(&url).await.unwrap();
        let (create, checksum) = record("postgres", BASE_OF_POSTGRES);
        let months = "CREATE TABLE message_2023_11 PARTITION OF message FOR VALUES FROM (1698796800000) TO (1701388800000);
                      CREATE TABLE message_2024_01 PARTITION OF message FOR VALUES FROM (1704067200000) TO (1706745600000)";
        let messages = messages(|hex| format!("decode('{hex}', 'hex')"));
        for script in [BASE_OF_POSTGRES, &create, months, &messages] {
            old.execute(AssertSqlSafe(script.to_owned())).await.expect(script);
        }
        sqlx::query(RECORD).bind(checksum).execute(&mut old).await.unwrap();
    });
    bed.run(&["migrate"]).assert_ok();
    let cluster = postgres_server::shared_server();
    let ask = |sql: &str| {
        cluster
            .psql(&database, sql)
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ask(&format!("SELECT {READ} FROM archive ORDER BY 1")),
        EXPECTED
    );
    assert_eq!(
        ask("SELECT count(*) FROM archive WHERE archived_at = '2024-01-23T08:53:20Z'"),
        ["5"]
    );
    assert_eq!(ask("SELECT messages FROM coverage"), ["3"]);
    let partitions =
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE '%message%' ORDER BY 1";
    assert_eq!(ask(partitions), ["message_2023_11", "message_2024_01"]);
    let slots = "SELECT slot FROM message WHERE hash >= 'fe000000-0000-0000-0000-000000000000' ORDER BY conversation_id, coalesce(occurrence, 0)";
    assert_eq!(ask(slots), EXPECTED_SLOTS.map(|slot| slot.to_string()));
}

/// Where this version looks for the same messages: 32 bits of the hash, the account, the occurrence.
const EXPECTED_SLOTS: [i64; 3] = [slot(1, 0), slot(1, 1), slot(2, 0)];

const fn slot(account: i64, occurrence: i64) -> i64 {
    0xFE00_0000 + (account << 16) + occurrence - (1 << 32)
}
