//! The archive in Postgres: equal contents and views, copies, roles, and server failures.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::config::{AGORA, to};
use crate::support::env::{CommandOutput, TestEnv, run_command_in, wait_until};
use crate::support::postgres_env::PostgresEnv;
use crate::support::postgres_server::{self, PostgresServer};

/// Views that both databases have.
const VIEWS: [&str; 14] = [
    "alarms",
    "archive",
    "archive_end",
    "archive_search_end",
    "archive_text",
    "completeness",
    "conversations",
    "coverage",
    "days",
    "gaps",
    "quarantine",
    "runs",
    "senders",
    "times",
];

/// A view in Postgres. In SQLite it is a table of the full-text index, with columns of its own.
const SEARCH_VIEW: &str = "archive_search";

/// The standard error of a child process, read while it runs.
struct StderrReader(Arc<Mutex<String>>);

impl StderrReader {
    fn read_from(child: &mut Child) -> Self {
        let said = Self(Arc::default());
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let heard = said.0.clone();
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| *heard.lock().unwrap() += &(line + "\n"));
        });
        said
    }

    fn all(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn wait_for(&self, text: &str) {
        wait_until(text, || self.all().contains(text));
    }
}

#[test]
fn archive_equals_truth_and_second_sync_changes_nothing() {
    let postgres = PostgresEnv::start(&[
        "--messages",
        "1500",
        "--topic-messages",
        "900",
        "--extra-fields",
    ]);
    postgres.env.sync().assert_ok();
    postgres.assert_archive_equals_truth();
    let before = postgres.query_number("SELECT count(*) FROM archive");
    postgres.env.sync().assert_ok();
    postgres.assert_archive_equals_truth();
    assert!(
        postgres.query_number("SELECT count(*) FROM archive") - before < 20,
        "only messages sent in between"
    );
    assert_eq!(
        postgres.query_number("SELECT sum(changed)::BIGINT FROM runs"),
        0
    );
    let broken: Vec<(String, i64)> = postgres.query_rows(
        "SELECT stream, count(*) FROM coverage GROUP BY account, stream HAVING count(*) <> 1",
    );
    assert_eq!(broken, [], "streams whose coverage is not contiguous");
    assert_eq!(
        postgres.query_number(
            "SELECT count(*) FROM coverage WHERE messages IS DISTINCT FROM provider_count"
        ),
        0
    );
    assert_eq!(
        postgres.query_number(
            "SELECT count(*) FROM gaps WHERE reason <> 'fetched, but too young to be final'"
        ),
        0
    );
}

#[test]
fn views_are_identical_in_both_databases() {
    let columns = |names: Vec<(String, String)>| {
        let mut views: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (view, column) in names {
            views.entry(view).or_default().push(column);
        }
        views
    };
    let env = TestEnv::new(&["--messages", "0", "--topic-messages", "0"]);
    env.sync().assert_ok();
    let of_sqlite = columns(env.query_rows(
        "SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'view' ORDER BY m.name, c.cid",
    ));
    let postgres = PostgresEnv::start(&["--messages", "0", "--topic-messages", "0"]);
    postgres.env.sync().assert_ok();
    let mut of_postgres = columns(postgres.query_rows(
        "SELECT c.table_name::TEXT, c.column_name::TEXT FROM information_schema.columns c JOIN information_schema.views v
         USING (table_schema, table_name) WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
    ));
    assert!(of_postgres.remove(SEARCH_VIEW).is_some());
    assert_eq!(of_sqlite, of_postgres);
    assert_eq!(of_sqlite.keys().collect::<Vec<_>>(), VIEWS);
    let types: Vec<(String, String)> = postgres.query_rows(
        "SELECT column_name::TEXT, data_type::TEXT FROM information_schema.columns
         WHERE table_name = 'archive' AND column_name IN ('sent_at', 'payload', 'extra') ORDER BY 1",
    );
    let types: Vec<_> = types
        .iter()
        .map(|(name, kind)| (name.as_str(), kind.as_str()))
        .collect();
    assert_eq!(
        types,
        [
            ("extra", "jsonb"),
            ("payload", "bytea"),
            ("sent_at", "timestamp with time zone")
        ]
    );
}

/// `\d` shows readers the views and nothing else.
#[test]
fn readers_see_only_views_in_their_schema() {
    let postgres = PostgresEnv::start(&["--messages", "50", "--topic-messages", "0"]);
    postgres.env.sync().assert_ok();
    let shown: Vec<(String, String)> = postgres.query_rows(
        "SELECT relname::TEXT, relkind::TEXT FROM pg_class
         WHERE relnamespace = 'public'::regnamespace ORDER BY relname",
    );
    let mut expected = [&VIEWS[..], &[SEARCH_VIEW]].concat();
    expected.sort_unstable();
    let expected: Vec<_> = (expected.into_iter())
        .map(|view| (view.to_owned(), "v".to_owned()))
        .collect();
    assert_eq!(shown, expected);
    // A changed view keeps its place and its rights.
    let definition = "UPDATE view_definition SET hash = '' RETURNING name";
    assert_eq!(
        postgres.query_rows::<(String,)>(definition).len(),
        expected.len()
    );
    postgres.env.run(&["migrate"]).assert_ok();
    assert_eq!(
        postgres.query_number(
            "SELECT count(*) FROM pg_class
             WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace"
        ),
        expected.len() as i64
    );
}

/// The role of the documents has the name of the schema that is created for the tables, and `"$user"`
/// stands first in the search path.
#[test]
fn role_named_like_the_schema_of_the_tables_finds_its_archive_again() {
    let cluster = PostgresServer::start();
    cluster.psql("postgres", "CREATE ROLE backscroll LOGIN");
    cluster.psql("postgres", "CREATE ROLE analyst LOGIN");
    for is_prepared in [false, true] {
        let database = format!("chat_{is_prepared}");
        cluster.psql(
            "postgres",
            &format!("CREATE DATABASE {database} OWNER backscroll"),
        );
        if is_prepared {
            let schema = "CREATE SCHEMA backscroll AUTHORIZATION backscroll";
            cluster.psql(&database, schema);
        }
        let url = cluster.url(&database).replace("postgres@", "backscroll@");
        let flags = ["--messages", "50", "--topic-messages", "0"];
        let postgres = PostgresEnv::with_database(url, &flags);
        postgres.env.sync().assert_ok();
        let count = || postgres.query_number("SELECT count(*) FROM public.archive");
        assert_eq!(count(), 50);
        postgres.env.sync().assert_ok();
        assert_eq!(count(), 50);
        let migrate = postgres.env.run(&["migrate", "--reader", "analyst"]);
        migrate.assert_ok().assert_prints("analyst may read");
        let schemas: Vec<(String,)> = postgres
            .query_rows("SELECT nspname::TEXT FROM pg_namespace WHERE nspname LIKE 'backscroll%'");
        assert_eq!(schemas, [("backscroll".to_owned(),)]);
    }
}

#[test]
fn migrations_have_the_same_names_in_both_databases() {
    let names = |database: &str| {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("migrations")
            .join(database);
        let mut names: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|file| file.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    assert!(!names("sqlite").is_empty());
    assert_eq!(names("sqlite"), names("postgres"));
}

#[test]
fn monthly_partitions_are_created_ahead() {
    let postgres = PostgresEnv::start(&[
        "--messages",
        "300",
        "--topic-messages",
        "600",
        "--topic-span",
        "100d",
    ]);
    postgres.env.sync().assert_ok();
    let misplaced = postgres.query_number(
        "SELECT count(*) FROM message
         WHERE tableoid::regclass::TEXT <> to_char(to_timestamp(sent_at_ms / 1000) AT TIME ZONE 'UTC', '\"message_\"YYYY_MM')",
    );
    assert_eq!(misplaced, 0);
    let (partitions, empty) = (
        postgres.query_number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'message'::regclass"),
        postgres.query_number("SELECT count(*) FROM pg_class WHERE relname = to_char(now() AT TIME ZONE 'UTC' + INTERVAL '1 month', '\"message_\"YYYY_MM')"),
    );
    assert!(
        partitions >= 5,
        "{partitions} partitions for 100 days and a month ahead"
    );
    assert_eq!(empty, 1);
    assert_eq!(
        postgres.query_number("SELECT count(*) FROM pg_partitioned_table WHERE partdefid <> 0"),
        0
    );
}

#[test]
fn database_server_restart_loses_nothing() {
    let cluster = PostgresServer::start();
    let flags = [
        "--requests-per-second",
        "60",
        "--messages",
        "3000",
        "--topic-messages",
        "2000",
        "--ready-after",
        "20ms",
    ];
    let postgres = PostgresEnv::with_database(cluster.create_database(), &flags);
    let output = postgres.sync_with_disturbance(300, || {
        cluster.stop();
        cluster.start_process();
    });
    output.assert_ok();
    postgres.assert_archive_equals_truth();
    postgres.env.assert_no_rule_broken();
}

#[test]
fn repeatedly_cut_connections_lose_nothing() {
    let flags = [
        "--requests-per-second",
        "100",
        "--messages",
        "3000",
        "--topic-messages",
        "1000",
        "--ready-after",
        "20ms",
    ];
    let postgres = PostgresEnv::start(&flags);
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'backscroll'";
    let output = postgres.sync_with_disturbance(100, || {
        for enough in [600, 1200, 2000] {
            postgres.query_number(cut);
            wait_until("further passes", || {
                postgres.query_number("SELECT count(*) FROM message") >= enough
            });
        }
    });
    output.assert_ok();
    postgres.assert_archive_equals_truth();
}

#[test]
fn statement_timeout_is_retried() {
    let flags = [
        "--requests-per-second",
        "100",
        "--messages",
        "2000",
        "--topic-messages",
        "500",
        "--ready-after",
        "20ms",
    ];
    let (url, database) = postgres_server::create_named_database();
    let cluster = postgres_server::shared_server();
    cluster.psql(
        "postgres",
        &format!("ALTER DATABASE {database} SET statement_timeout = '1s'"),
    );
    let postgres = PostgresEnv::with_database(url, &flags);
    let mut child = postgres.start_sync();
    let said = StderrReader::read_from(&mut child);
    let has = "SELECT CASE WHEN to_regclass('archive') IS NULL THEN 0 ELSE 1 END::BIGINT";
    wait_until("the archive is made", || postgres.query_number(has) == 1);
    wait_until("messages come in", || {
        postgres.query_number("SELECT count(*) FROM message") >= 100
    });
    let held = cluster.hold_transaction(&database, "LOCK TABLE sealed_window IN SHARE MODE");
    said.wait_for("the database fails");
    drop(held);
    assert_eq!(
        child.wait().expect("the command ends").code(),
        Some(0),
        "{}",
        said.all()
    );
    postgres.assert_archive_equals_truth();
    assert!(said.all().contains("statement timeout"), "{}", said.all());
}

#[test]
fn idle_session_timeout_is_invisible() {
    let flags = [
        "--requests-per-second",
        "1",
        "--messages",
        "40",
        "--topic-messages",
        "0",
        "--ready-after",
        "0ms",
    ];
    let (url, database) = postgres_server::create_named_database();
    let cut_off = format!("ALTER DATABASE {database} SET idle_session_timeout = '1200ms'");
    postgres_server::shared_server().psql("postgres", &cut_off);
    let mut postgres = PostgresEnv::with_database(url, &flags);
    postgres.env = postgres
        .env
        .with_only("agora")
        .with_agora_streams(&[to("lobby")]);
    let output = postgres.env.sync().assert_ok();
    assert!(!output.stderr.contains("fails"), "{}", output.stderr);
    assert!(postgres.query_number("SELECT count(*) FROM archive") > 0);
}

#[test]
fn killed_sync_is_completed_by_the_next() {
    let flags = [
        "--requests-per-second",
        "200",
        "--messages",
        "2000",
        "--topic-messages",
        "1000",
        "--ready-after",
        "5ms",
    ];
    let postgres = PostgresEnv::start(&flags);
    for wait in [30, 90, 200, 350, 600, 900] {
        let mut child = postgres.start_sync();
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }
    postgres.env.sync().assert_ok();
    postgres.assert_archive_equals_truth();
}

/// The id of a message and what identifies it.
type MessageId = (i64, String, String, String, i64, i64);

#[test]
fn copy_to_postgres_and_back_is_lossless() {
    let env = TestEnv::new(&[
        "--messages",
        "1200",
        "--topic-messages",
        "800",
        "--extra-fields",
    ]);
    env.assert_sync_archives_truth();
    let ids =
        "SELECT id, account, sender, recipient, sent_at_ms, occurrence FROM archive ORDER BY id";
    let ids_before: Vec<MessageId> = env.query_rows(ids);
    let url = postgres_server::create_database();
    let there = env.run(&["copy", "--to", &url]).assert_ok();
    let again = env
        .run(&["copy", "--to", &url])
        .assert_ok()
        .assert_prints(" 0 of them new");
    let postgres = PostgresEnv { env, url };
    postgres.assert_archive_equals_truth();
    assert_eq!(postgres.query_rows::<MessageId>(ids), ids_before);
    let end = "SELECT id FROM archive_end";
    assert_eq!(
        postgres.query_number(end),
        ids_before.last().expect("messages").0
    );

    let env = postgres.env.with_database(&postgres.url);
    let back = env.run(&["copy", "--to", "sqlite://back.db"]).assert_ok();
    let digest = |output: &CommandOutput| {
        output
            .stdout
            .split("digest ")
            .nth(1)
            .map(str::to_owned)
            .expect("a digest")
    };
    assert_eq!(digest(&there), digest(&back));
    assert_eq!(digest(&there), digest(&again));
    let env = env.with_database("sqlite://back.db");
    let ledger = "SELECT s.key, w.from_s, w.to_s, w.messages, w.provider_count, w.sealed_at_ms
                  FROM sealed_window w JOIN stream s ON s.id = w.stream_id ORDER BY 1, 2";
    let original: Vec<(String, i64, i64, i64, Option<i64>, i64)> = env.query_rows(ledger);
    assert!(original.len() > 10);
    std::fs::rename(env.path("back.db"), env.archive_path())
        .expect("the copy takes the archive's place");
    let _ = std::fs::remove_file(env.path("archive.db-wal"));
    assert_eq!(
        env.query_rows::<(String, i64, i64, i64, Option<i64>, i64)>(ledger),
        original
    );
    env.assert_archive_equals_truth(env.settled_edge());
    assert_eq!(
        env.query_rows::<(i64, String, String, String, i64, i64)>(ids),
        ids_before
    );
}

#[test]
fn copy_of_a_damaged_archive_is_refused() {
    let env = TestEnv::new(&["--messages", "200", "--topic-messages", "0"]);
    env.assert_sync_archives_truth();
    env.execute_sql(
        "UPDATE message SET payload = x'00' WHERE rowid = (SELECT max(rowid) FROM message)",
    );
    env.run(&["copy", "--to", &postgres_server::create_database()])
        .assert_incomplete()
        .assert_prints("does not match its hash");
}

/// The archive itself never stores such a text. The pre-check names it before anything is copied.
#[test]
fn text_that_postgres_cannot_store_is_named_before_a_copy() {
    let env = TestEnv::new(&["--messages", "200", "--topic-messages", "100"]);
    env.assert_sync_archives_truth();
    let (url, database) = postgres_server::create_named_database();
    let nul = "'a' || char(0)";
    for (change, place) in [
        (
            format!("UPDATE message SET extra = {nul} WHERE id = 7"),
            "extra of the message 7",
        ),
        (
            format!("UPDATE conversation SET name = {nul} WHERE id = 2"),
            "the conversation 2",
        ),
        (
            format!("UPDATE run SET last_error = {nul} WHERE id = 1"),
            "the run 1",
        ),
        (
            format!("UPDATE stream SET hint = {nul} WHERE id = 3"),
            "the stream 3",
        ),
    ] {
        env.execute_sql(&change);
        env.run(&["copy", "--to", &url])
            .assert_incomplete()
            .assert_prints("texts with U+0000, which Postgres cannot store")
            .assert_prints(place)
            .assert_prints("nothing was copied");
    }
    let copied = "SELECT count(*) FROM archive";
    assert_eq!(
        postgres_server::shared_server().psql(&database, copied),
        "0"
    );
}

#[test]
fn copy_into_a_larger_archive_is_refused() {
    let env = TestEnv::new(&["--messages", "100", "--topic-messages", "0"])
        .with_only("agora")
        .with_agora_streams(&[to("lobby")]);
    env.sync().assert_ok();
    env.run(&["copy", "--to", "sqlite://other.db"]).assert_ok();
    // The additional stream has no messages, so the messages stay the same.
    let mut more = env.config().clone();
    more.set_streams(AGORA, &[to("lobby"), to("silent room")]);
    std::fs::write(env.path("more.toml"), more.to_string()).expect("a configuration");
    env.run(&["sync", "--config", "more.toml"]).assert_ok();
    let env = env.with_database("sqlite://other.db");
    env.run(&["copy", "--to", "sqlite://archive.db"])
        .assert_incomplete()
        .assert_prints("covers a range of")
        .assert_prints("empty database");
}

#[test]
fn copy_onto_its_source_is_refused_under_every_name() {
    let env = TestEnv::new(&["--messages", "40", "--topic-messages", "0"]);
    env.sync().assert_ok();
    std::os::unix::fs::symlink("archive.db", env.path("symbolic.db")).expect("a link");
    std::fs::hard_link(env.archive_path(), env.path("hard.db")).expect("a link");
    let absolute = env.archive_path().display().to_string();
    for name in [
        "archive.db",
        "./archive.db",
        "symbolic.db",
        "hard.db",
        absolute.as_str(),
    ] {
        let output = env.run(&["copy", "--to", &format!("sqlite://{name}")]);
        assert_eq!(output.code, Some(2), "{name}: {output:?}");
        output.assert_prints("--to names the source archive itself");
    }
    std::fs::remove_file(env.path("hard.db")).expect("a link");
    let postgres = PostgresEnv::start(&["--messages", "40", "--topic-messages", "0"]);
    postgres.env.sync().assert_ok();
    for name in [postgres.url.clone(), format!("{}/.", postgres.url)] {
        let output = postgres.env.run(&["copy", "--to", &name]);
        assert_eq!(output.code, Some(2), "{name}: {output:?}");
        output.assert_prints("--to names the source archive itself");
    }
    let other = postgres_server::create_database();
    postgres.env.run(&["copy", "--to", &other]).assert_ok();
}

#[test]
fn reader_role_can_select_from_views_only() {
    let cluster = PostgresServer::start();
    let postgres = PostgresEnv::with_database(
        cluster.create_database(),
        &["--messages", "50", "--topic-messages", "0"],
    );
    postgres.env.sync().assert_ok();
    let database = postgres
        .url
        .split(['/', '?'])
        .nth(3)
        .expect("a URL names a database")
        .to_owned();
    postgres
        .env
        .run(&["migrate", "--reader", "no\"body"])
        .assert_incomplete()
        .assert_prints("does not exist");
    cluster.psql(&database, "CREATE ROLE \"rea\"\"der\" LOGIN");
    postgres
        .env
        .run(&["migrate", "--reader", "rea\"der"])
        .assert_ok();
    for view in VIEWS {
        cluster.psql(
            &database,
            &format!("SET ROLE \"rea\"\"der\"; SELECT count(*) FROM {view}"),
        );
    }
    let secret = cluster.psql(
        &database,
        "SELECT has_table_privilege('rea\"der', 'message', 'SELECT')",
    );
    assert_eq!(secret, "f");
}

#[test]
fn unreachable_server_is_named_without_its_password() {
    let env = TestEnv::new(&["--messages", "0", "--topic-messages", "0"])
        .with_database("postgres://scroll:hunter2@127.0.0.1:1/archive");
    for command in ["sync", "status", "check", "migrate"] {
        let output = env
            .run(&[command])
            .assert_incomplete()
            .assert_prints("the archive archive at 127.0.0.1:1 cannot be opened");
        assert!(
            !output.stderr.contains("hunter2") && !output.stdout.contains("hunter2"),
            "{output:?}"
        );
    }
}

#[test]
fn status_of_a_missing_archive_fails() {
    let postgres = PostgresEnv::start(&["--messages", "0", "--topic-messages", "0"]);
    postgres
        .env
        .run(&["status"])
        .assert_incomplete()
        .assert_prints("there is no archive");
    assert_eq!(
        run_command_in(postgres.env.dir.path(), &["status"]).code,
        Some(1)
    );
}
