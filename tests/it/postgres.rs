//! The archive in Postgres: the same truth, the same views, and a server that comes and goes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backscroll::domain::time::Millis;
use backscroll::sandbox::ENTRIES_IN_POSTGRES;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, FromRow};

use crate::bed::{BACKSCROLL, Bed, Ran, run_in, wait_until};
use crate::cluster::{self, Cluster};
use crate::truth;

const VIEWS: [&str; 8] = [
    "alarms",
    "archive",
    "conversations",
    "coverage",
    "gaps",
    "runs",
    "senders",
    "times",
];

/// A bed whose archive is a Postgres database.
pub(crate) struct Served {
    pub(crate) bed: Bed,
    url: String,
}

impl Served {
    pub(crate) fn new(flags: &[&str]) -> Self {
        Self::at(cluster::database(), flags)
    }

    fn at(url: String, flags: &[&str]) -> Self {
        let bed = Bed::new(flags).with("sqlite://archive.db", &url);
        Self { bed, url }
    }

    fn rows<T: for<'r> FromRow<'r, PgRow> + Send + Unpin>(&self, sql: &str) -> Vec<T> {
        self.bed.block_on(async {
            let mut reader = PgConnection::connect(&self.url)
                .await
                .expect("the server answers");
            sqlx::query_as(AssertSqlSafe(sql.to_owned()))
                .fetch_all(&mut reader)
                .await
                .expect(sql)
        })
    }

    #[track_caller]
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let rows: Vec<(i64,)> = self.rows(sql);
        assert_eq!(rows.len(), 1, "{sql}");
        rows[0].0
    }

    /// Whether the archive has its tables yet.
    pub(crate) fn has_archive(&self) -> bool {
        self.number("SELECT CASE WHEN to_regclass('archive') IS NULL THEN 0 ELSE 1 END::BIGINT")
            == 1
    }

    #[track_caller]
    fn assert_equal_to_truth(&self) {
        self.assert_equal_up_to(self.bed.edge());
    }

    #[track_caller]
    pub(crate) fn assert_equal_up_to(&self, edge: Millis) {
        truth::assert_equal(
            self.bed.world(),
            &["sandbox", "web3mq-1"],
            self.rows(ENTRIES_IN_POSTGRES),
            edge,
        );
        let (messages, filed) = (
            self.number("SELECT count(*) FROM archive"),
            self.number("SELECT sum(messages)::BIGINT FROM conversations"),
        );
        assert_eq!(
            messages, filed,
            "messages in `archive` and over all `conversations`"
        );
    }

    fn begin(&self) -> Child {
        self.bed.write_config();
        let mut command = Command::new(BACKSCROLL);
        command
            .current_dir(self.bed.dir.path())
            .arg("sync")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("the command can be started")
    }

    /// Begins a sync, and lets something happen to it once it has archived that many messages.
    fn disturbed(&self, messages: i64, disturb: impl FnOnce()) -> Ran {
        let child = self.begin();
        wait_until("the archive is made", || self.has_archive());
        wait_until("messages come in", || {
            self.number("SELECT count(*) FROM message") >= messages
        });
        disturb();
        let output = child.wait_with_output().expect("the command ends");
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// What a child says on its standard error, as it says it.
struct Said(Arc<Mutex<String>>);

impl Said {
    fn by(child: &mut Child) -> Self {
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
fn the_archive_is_the_truth_and_a_second_sync_changes_nothing() {
    let served = Served::new(&[
        "--messages",
        "1500",
        "--topic-messages",
        "900",
        "--extra-fields",
    ]);
    served.bed.sync().good();
    served.assert_equal_to_truth();
    let before = served.number("SELECT count(*) FROM archive");
    served.bed.sync().good();
    served.assert_equal_to_truth();
    assert!(
        served.number("SELECT count(*) FROM archive") - before < 20,
        "only what was said in between"
    );
    assert_eq!(served.number("SELECT sum(changed)::BIGINT FROM runs"), 0);
    let broken: Vec<(String, i64)> = served.rows(
        "SELECT stream, count(*) FROM coverage GROUP BY account, stream HAVING count(*) <> 1",
    );
    assert_eq!(broken, [], "streams whose coverage is not one unbroken run");
    assert_eq!(
        served
            .number("SELECT count(*) FROM coverage WHERE messages IS DISTINCT FROM provider_count"),
        0
    );
    assert_eq!(
        served.number(
            "SELECT count(*) FROM gaps WHERE reason <> 'fetched, but too young to be final'"
        ),
        0
    );
}

#[test]
fn the_views_are_the_same_in_both_databases() {
    let columns = |names: Vec<(String, String)>| {
        let mut views: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (view, column) in names {
            views.entry(view).or_default().push(column);
        }
        views
    };
    let bed = Bed::new(&["--messages", "0", "--topic-messages", "0"]);
    bed.sync().good();
    let of_sqlite = columns(bed.rows(
        "SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'view' ORDER BY m.name, c.cid",
    ));
    let served = Served::new(&["--messages", "0", "--topic-messages", "0"]);
    served.bed.sync().good();
    let of_postgres = columns(served.rows(
        "SELECT c.table_name::TEXT, c.column_name::TEXT FROM information_schema.columns c JOIN information_schema.views v
         USING (table_schema, table_name) WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
    ));
    assert_eq!(of_sqlite, of_postgres);
    assert_eq!(of_sqlite.keys().collect::<Vec<_>>(), VIEWS);
    let types: Vec<(String, String)> = served.rows(
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

#[test]
fn the_migrations_of_both_databases_go_by_the_same_names() {
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
fn messages_lie_in_partitions_by_month_and_the_next_month_is_made_ahead() {
    let served = Served::new(&[
        "--messages",
        "300",
        "--topic-messages",
        "600",
        "--topic-span",
        "100d",
    ]);
    served.bed.sync().good();
    let misplaced = served.number(
        "SELECT count(*) FROM message
         WHERE tableoid::regclass::TEXT <> to_char(to_timestamp(sent_at_ms / 1000) AT TIME ZONE 'UTC', '\"message_\"YYYY_MM')",
    );
    assert_eq!(misplaced, 0);
    let (partitions, empty) = (
        served.number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'message'::regclass"),
        served.number("SELECT count(*) FROM pg_class WHERE relname = to_char(now() AT TIME ZONE 'UTC' + INTERVAL '1 month', '\"message_\"YYYY_MM')"),
    );
    assert!(
        partitions >= 5,
        "{partitions} partitions for 100 days and a month ahead"
    );
    assert_eq!(empty, 1);
    assert_eq!(
        served.number("SELECT count(*) FROM pg_partitioned_table WHERE partdefid <> 0"),
        0
    );
}

#[test]
fn a_server_that_is_killed_and_comes_back_loses_nothing() {
    let cluster = Cluster::start();
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
    let served = Served::at(cluster.database(), &flags);
    let ran = served.disturbed(300, || {
        cluster.stop();
        cluster.go_on();
    });
    ran.good();
    served.assert_equal_to_truth();
    served.bed.assert_no_rule_broken();
}

#[test]
fn connections_that_are_cut_again_and_again_lose_nothing() {
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
    let served = Served::new(&flags);
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'backscroll'";
    let ran = served.disturbed(100, || {
        for enough in [600, 1200, 2000] {
            served.number(cut);
            wait_until("it goes on", || {
                served.number("SELECT count(*) FROM message") >= enough
            });
        }
    });
    ran.good();
    served.assert_equal_to_truth();
}

#[test]
fn a_statement_that_the_server_ends_for_taking_too_long_is_tried_again() {
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
    let (url, database) = cluster::database_and_name();
    let cluster = cluster::shared();
    cluster.psql(
        "postgres",
        &format!("ALTER DATABASE {database} SET statement_timeout = '1s'"),
    );
    let served = Served::at(url, &flags);
    let mut child = served.begin();
    let said = Said::by(&mut child);
    let has = "SELECT CASE WHEN to_regclass('archive') IS NULL THEN 0 ELSE 1 END::BIGINT";
    wait_until("the archive is made", || served.number(has) == 1);
    wait_until("messages come in", || {
        served.number("SELECT count(*) FROM message") >= 100
    });
    let held = cluster.hold(&database, "LOCK TABLE sealed_window IN SHARE MODE");
    said.wait_for("the database fails");
    drop(held);
    assert_eq!(
        child.wait().expect("the command ends").code(),
        Some(0),
        "{}",
        said.all()
    );
    served.assert_equal_to_truth();
    assert!(said.all().contains("statement timeout"), "{}", said.all());
}

#[test]
fn connections_that_the_server_cuts_for_being_idle_are_not_even_noticed() {
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
    let (url, database) = cluster::database_and_name();
    let cut_off = format!("ALTER DATABASE {database} SET idle_session_timeout = '1200ms'");
    cluster::shared().psql("postgres", &cut_off);
    let mut served = Served::at(url, &flags);
    served.bed = served
        .bed
        .only("agora")
        .following("{ destination = \"lobby\" }");
    let ran = served.bed.sync().good();
    assert!(!ran.err.contains("fails"), "{}", ran.err);
    assert!(served.number("SELECT count(*) FROM archive") > 0);
}

#[test]
fn a_sync_that_is_killed_at_any_moment_is_finished_by_the_next() {
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
    let served = Served::new(&flags);
    for wait in [30, 90, 200, 350, 600, 900] {
        let mut child = served.begin();
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }
    served.bed.sync().good();
    served.assert_equal_to_truth();
}

#[test]
fn an_archive_moves_to_postgres_and_back_and_stays_what_it_is() {
    let bed = Bed::new(&[
        "--messages",
        "1200",
        "--topic-messages",
        "800",
        "--extra-fields",
    ]);
    bed.archives_the_truth();
    let url = cluster::database();
    let there = bed.run(&["copy", "--to", &url]).good();
    let again = bed
        .run(&["copy", "--to", &url])
        .good()
        .says(" 0 of them new");
    let served = Served { bed, url };
    served.assert_equal_to_truth();

    let bed = served.bed.with("sqlite://archive.db", &served.url);
    let back = bed.run(&["copy", "--to", "sqlite://back.db"]).good();
    let digest = |ran: &Ran| {
        ran.out
            .split("digest ")
            .nth(1)
            .map(str::to_owned)
            .expect("a digest")
    };
    assert_eq!(digest(&there), digest(&back));
    assert_eq!(digest(&there), digest(&again));
    let bed = bed.with(&served.url, "sqlite://back.db");
    let ledger = "SELECT s.key, w.from_s, w.to_s, w.messages, w.provider_count, w.sealed_at_ms
                  FROM sealed_window w JOIN stream s ON s.id = w.stream_id ORDER BY 1, 2";
    let original: Vec<(String, i64, i64, i64, Option<i64>, i64)> = bed.rows(ledger);
    assert!(original.len() > 10);
    std::fs::rename(bed.path("back.db"), bed.archive())
        .expect("the copy takes the archive's place");
    let _ = std::fs::remove_file(bed.path("archive.db-wal"));
    assert_eq!(
        bed.rows::<(String, i64, i64, i64, Option<i64>, i64)>(ledger),
        original
    );
    bed.assert_equal_to_truth(bed.edge());
}

#[test]
fn a_copy_of_a_damaged_archive_is_refused() {
    let bed = Bed::new(&["--messages", "200", "--topic-messages", "0"]);
    bed.archives_the_truth();
    bed.tamper("UPDATE message SET payload = x'00' WHERE rowid = (SELECT max(rowid) FROM message)");
    bed.run(&["copy", "--to", &cluster::database()])
        .lacking()
        .says("does not match its hash");
}

#[test]
fn a_copy_into_an_archive_that_has_more_is_refused() {
    let lobby = "{ destination = \"lobby\" }";
    let bed = Bed::new(&["--messages", "100", "--topic-messages", "0"])
        .only("agora")
        .following(lobby);
    bed.sync().good();
    bed.run(&["copy", "--to", "sqlite://other.db"]).good();
    // Of a stream in which nobody has said anything: the messages stay the same.
    let more = bed.config().replace(
        lobby,
        &format!("{lobby}, {{ destination = \"silent room\" }}"),
    );
    std::fs::write(bed.path("more.toml"), more).expect("a configuration");
    bed.run(&["sync", "--config", "more.toml"]).good();
    let bed = bed.with("sqlite://archive.db", "sqlite://other.db");
    bed.run(&["copy", "--to", "sqlite://archive.db"])
        .lacking()
        .says("has coverage of")
        .says("empty database");
}

#[test]
fn a_reader_may_read_the_views_and_nothing_else() {
    let cluster = Cluster::start();
    let served = Served::at(
        cluster.database(),
        &["--messages", "50", "--topic-messages", "0"],
    );
    served.bed.sync().good();
    let database = served
        .url
        .split(['/', '?'])
        .nth(3)
        .expect("a URL names a database")
        .to_owned();
    served
        .bed
        .run(&["migrate", "--reader", "no\"body"])
        .lacking()
        .says("does not exist");
    cluster.psql(&database, "CREATE ROLE \"rea\"\"der\" LOGIN");
    served.bed.run(&["migrate", "--reader", "rea\"der"]).good();
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
fn a_server_that_does_not_answer_is_named_without_the_password() {
    let bed = Bed::new(&["--messages", "0", "--topic-messages", "0"]).with(
        "sqlite://archive.db",
        "postgres://scroll:hunter2@127.0.0.1:1/archive",
    );
    for command in ["sync", "status", "check", "migrate"] {
        let ran = bed
            .run(&[command])
            .lacking()
            .says("the archive archive at 127.0.0.1:1 cannot be opened");
        assert!(
            !ran.err.contains("hunter2") && !ran.out.contains("hunter2"),
            "{ran:?}"
        );
    }
}

#[test]
fn there_is_no_status_of_an_archive_that_is_not_there() {
    let served = Served::new(&["--messages", "0", "--topic-messages", "0"]);
    served
        .bed
        .run(&["status"])
        .lacking()
        .says("there is no archive");
    assert_eq!(run_in(served.bed.dir.path(), &["status"]).code, Some(1));
}
