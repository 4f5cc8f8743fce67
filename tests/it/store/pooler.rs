//! An archive behind a connection pooler.

use crate::support::env::TestEnv;
use crate::support::pooler::{PoolMode, Pooler};
use crate::support::postgres_env::PostgresEnv;
use crate::support::postgres_server::{self, PostgresServer};

const FLAGS: [&str; 6] = [
    "--messages",
    "600",
    "--topic-messages",
    "300",
    "--ready-after",
    "5ms",
];

#[test]
fn pooler_that_keeps_sessions_serves_every_command() {
    let (direct, database) = postgres_server::create_named_database();
    let env = TestEnv::new(&FLAGS);
    let folder = postgres_server::shared_server().folder();
    let pooler = env.block_on(Pooler::start(folder, PoolMode::Session));
    let url = pooler.url(&database);
    let postgres = PostgresEnv {
        env: env.with_database(&url),
        url: direct,
    };
    postgres
        .env
        .run(&["check"])
        .assert_ok()
        .assert_prints("database: ok");
    postgres.env.sync().assert_ok();
    postgres.assert_archive_equals_truth();
    for command in ["check", "status", "verify", "plan", "requeue", "migrate"] {
        postgres.env.run(&[command]).assert_ok();
    }
    // The settings of each session are those of a direct connection.
    let with_options = format!("{url}?options=-cstatement_timeout%3D9s");
    postgres
        .env
        .with_database(&with_options)
        .run(&["check"])
        .assert_incomplete()
        .assert_prints("unsupported startup parameter: options")
        .assert_prints("ALTER ROLE");
}

/// A session in another client's hands would keep Backscroll's settings and locks.
#[test]
fn pooler_that_shares_sessions_is_refused_before_any_change() {
    let cluster = PostgresServer::start();
    let database = cluster.create_database();
    let database = database.split(['/', '?']).nth(3).expect("a name");
    // As many as the connections that are tried, and one more: at first each gets another one.
    for sessions in [1, 2, 8, 9] {
        let env = TestEnv::new(&["--messages", "10", "--topic-messages", "0"]);
        let mode = PoolMode::Transaction { sessions };
        let pooler = env.block_on(Pooler::start(cluster.folder(), mode));
        let env = env.with_database(&pooler.url(database));
        for command in ["check", "sync", "status", "migrate", "run"] {
            env.run(&[command])
                .assert_incomplete()
                .assert_prints("is reached through a pooler in which clients share sessions")
                .assert_prints("pool_mode=session");
        }
    }
    let traces = "SELECT count(*) FROM pg_class
                  WHERE relnamespace = 'public'::regnamespace OR relname = 'sealed_window'";
    assert_eq!(cluster.psql(database, traces), "0");
    let schema = "SELECT to_regnamespace('backscroll') IS NULL";
    assert_eq!(cluster.psql(database, schema), "t");
}
