//! The limits of a Postgres server: few connections, and the encoding of a database.

use std::time::{Duration, Instant};

use crate::support::daemon_process::DaemonProcess;
use crate::support::env::{CommandOutput, wait_until};
use crate::support::postgres_env::PostgresEnv;
use crate::support::postgres_server::PostgresServer;

const FLAGS: [&str; 6] = [
    "--messages",
    "600",
    "--topic-messages",
    "300",
    "--ready-after",
    "5ms",
];

/// A pool that waits for a connection gives up after half a minute.
const NO_WAIT: Duration = Duration::from_secs(25);

/// An archive of a role that may open this many connections.
fn archive_of_role(cluster: &PostgresServer, connections: u32) -> PostgresEnv {
    let role = format!("role_{connections}");
    cluster.psql(
        "postgres",
        &format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT {connections}"),
    );
    cluster.psql("postgres", &format!("CREATE DATABASE {role} OWNER {role}"));
    let url = cluster.url(&role).replace("postgres@", &format!("{role}@"));
    PostgresEnv::with_database(url, &FLAGS)
}

fn run(postgres: &PostgresEnv, command: &str) -> CommandOutput {
    let begun = Instant::now();
    let output = postgres.env.run(&[command]);
    assert!(
        begun.elapsed() < NO_WAIT,
        "{command}: {:?}: {output:?}",
        begun.elapsed()
    );
    output
}

#[test]
fn few_connections_are_enough() {
    let cluster = PostgresServer::start();
    for connections in 2..=4 {
        let postgres = archive_of_role(&cluster, connections);
        run(&postgres, "sync").assert_ok();
        for command in ["sync", "status", "requeue"] {
            run(&postgres, command).assert_ok();
        }
        run(&postgres, "verify").assert_ok();
        postgres.assert_archive_equals_truth();
    }
}

#[test]
fn one_connection_is_refused_in_the_words_of_the_server() {
    let cluster = PostgresServer::start();
    let postgres = archive_of_role(&cluster, 1);
    run(&postgres, "migrate").assert_ok();
    run(&postgres, "status").assert_ok();
    // Another client may end: `sync` says why it waits, and waits for half a minute.
    postgres
        .env
        .sync()
        .assert_incomplete()
        .assert_prints("too many connections for role \"role_1\"")
        .assert_prints("Backscroll needs two connections");
}

#[test]
fn command_runs_beside_a_service_with_three_connections() {
    let cluster = PostgresServer::start();
    let postgres = archive_of_role(&cluster, 3);
    let mut daemon = DaemonProcess::start(&postgres.env);
    wait_until("the archive", || postgres_has_messages(&cluster));
    run(&postgres, "status").assert_ok();
    daemon.signal("-TERM");
    assert_eq!(daemon.wait_for_exit().0, Some(0));
}

fn postgres_has_messages(cluster: &PostgresServer) -> bool {
    let exists = "SELECT to_regclass('archive') IS NOT NULL";
    cluster.psql("role_3", exists) == "t"
        && cluster.psql("role_3", "SELECT count(*) > 100 FROM archive") == "t"
}

#[test]
fn database_in_another_encoding_is_refused() {
    let cluster = PostgresServer::start();
    let create =
        "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'";
    cluster.psql("postgres", create);
    let postgres = PostgresEnv::with_database(cluster.url("latin"), &FLAGS);
    for command in ["check", "sync", "migrate"] {
        run(&postgres, command)
            .assert_incomplete()
            .assert_prints("has the encoding LATIN1, and not UTF8")
            .assert_prints("createdb --encoding=UTF8");
    }
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(cluster.psql("latin", tables), "0", "nothing was created");
}
