//! A copy carries what the archive knows besides messages: runs, alarms, pauses, errors.

use sqlx::FromRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use crate::support::env::TestEnv;
use crate::support::postgres_env::PostgresEnv;
use crate::support::postgres_server;

const RUNS: &str = "
    SELECT a.name, r.purpose, r.started_at_ms, r.finished_at_ms, r.requests, r.new, r.windows,
           r.last_error, r.lag_s
    FROM run r JOIN account a ON a.id = r.account_id ORDER BY r.id";
const ALARMS: &str = "
    SELECT account, stream, kind, since_ms, until_ms, text, hint, level, notified
    FROM alarm ORDER BY since_ms";
const ACCOUNTS: &str = "
    SELECT name, paused_until_ms, paused_reason, settle_override_s, straggler_count,
           discovery_error, discovery_hint, refused_credentials, accepted_credentials, error, hint,
           settle_ms
    FROM account ORDER BY name";
const ERRORS: &str = "
    SELECT key, error, hint, error_at_ms FROM stream WHERE error IS NOT NULL ORDER BY key";

type Run = (
    String,
    String,
    i64,
    Option<i64>,
    i64,
    i64,
    i64,
    Option<String>,
    Option<i64>,
);
type Alarm = (
    String,
    String,
    String,
    i64,
    Option<i64>,
    String,
    String,
    Option<i64>,
    i64,
);
type Account = (
    String,
    Option<i64>,
    Option<String>,
    Option<i64>,
    i64,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
);
type StreamError = (String, String, String, Option<i64>);

/// All records of an archive.
#[derive(Debug, PartialEq)]
struct AllRecords {
    runs: Vec<Run>,
    alarms: Vec<Alarm>,
    accounts: Vec<Account>,
    errors: Vec<StreamError>,
}

fn of_file(env: &TestEnv, file: &str) -> AllRecords {
    fn rows<T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin>(
        env: &TestEnv,
        file: &str,
        sql: &str,
    ) -> Vec<T> {
        env.query_rows_of(&env.path(file), sql)
    }
    AllRecords {
        runs: rows(env, file, RUNS),
        alarms: rows(env, file, ALARMS),
        accounts: rows(env, file, ACCOUNTS),
        errors: rows(env, file, ERRORS),
    }
}

fn of_server(postgres: &PostgresEnv) -> AllRecords {
    fn rows<T: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
        postgres: &PostgresEnv,
        sql: &str,
    ) -> Vec<T> {
        postgres.query_rows(sql)
    }
    AllRecords {
        runs: rows(postgres, RUNS),
        alarms: rows(postgres, ALARMS),
        accounts: rows(postgres, ACCOUNTS),
        errors: rows(postgres, ERRORS),
    }
}

#[test]
fn runs_alarms_pauses_and_errors_are_copied_both_ways() {
    let env = TestEnv::new(&["--messages", "100", "--topic-messages", "60", "--plain"]);
    env.sync().assert_ok();
    env.sync().assert_ok();
    env.execute_sql(
        "UPDATE account SET paused_until_ms = 1893456000000, paused_reason = 'refused with 401',
                refused_credentials = 'a1', error = 'refused', hint = 'renew',
                settle_override_s = 480, straggler_count = 3 WHERE name = 'sandbox';
         UPDATE account SET discovery_error = 'no list', discovery_hint = 'ask' WHERE name = 'web3mq-1';
         UPDATE stream SET error = 'it''s refused', hint = 'look', error_at_ms = 17
         WHERE id = (SELECT min(id) FROM stream);
         INSERT INTO alarm VALUES ('sandbox', '', 'parked', 1000, NULL, 'refused', 'renew', NULL, 1);
         INSERT INTO alarm VALUES ('sandbox', '', 'lost', 500, 900, 'lost', 'see gaps', 7200, 2);
         INSERT INTO run (account_id, purpose, started_at_ms, last_error)
         SELECT id, 'reconcile', 5, 'broken off' FROM account WHERE name = 'sandbox'",
    );
    let original = of_file(&env, "archive.db");
    assert!(original.runs.len() >= 5 && original.alarms.len() == 2);

    let url = postgres_server::create_database();
    // A second copy changes nothing.
    for _ in 0..2 {
        env.run(&["copy", "--to", &url]).assert_ok();
    }
    let postgres = PostgresEnv { env, url };
    assert_eq!(of_server(&postgres), original);
    let env = postgres.env.with_database(&postgres.url);
    env.run(&["copy", "--to", "sqlite://back.db"]).assert_ok();
    assert_eq!(of_file(&env, "back.db"), original);
    // Pauses and errors that have ended meanwhile end in the copy as well.
    let env = env.with_database("sqlite://archive.db");
    env.execute_sql(
        "UPDATE account SET paused_until_ms = NULL, paused_reason = NULL,
                refused_credentials = NULL;
         UPDATE stream SET error = NULL, hint = NULL, error_at_ms = NULL",
    );
    env.run(&["copy", "--to", "sqlite://back.db"]).assert_ok();
    let ended = of_file(&env, "back.db");
    assert_eq!(ended, of_file(&env, "archive.db"));
    assert!(ended.errors.is_empty());
    let env = env.with_database("sqlite://back.db");
    env.run(&["status"])
        .assert_ok()
        .assert_prints("ALARM: sandbox: parked");
}
