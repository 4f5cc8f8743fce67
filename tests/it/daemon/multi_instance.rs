//! Several processes on one archive: an SQLite file has one writer, and in Postgres each account
//! has one.

use std::fs;
use std::io::Read;
use std::time::Instant;

use backscroll::domain::time::{Millis, Second};
use backscroll::domain::window::Window;
use backscroll::sandbox::{CallFilter, Fault, ScriptedAnswer, Web3mqMessage};
use backscroll::store::{
    Accounts, Archive, Commit, IfMissing, Lease, NewAccount, PostgresStore, StoreError, StreamId,
    Windows,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use toml::Table;

use crate::support::config::EVERY_SECOND_SCHEDULE;
use crate::support::daemon_process::DaemonProcess;
use crate::support::env::{MAX_WAIT, TestEnv, wait_until};
use crate::support::messages::web3mq_message;
use crate::support::postgres_env::PostgresEnv;
use crate::support::postgres_server;

/// Stops the daemon and returns its log output.
fn stop_daemon(daemon: &mut DaemonProcess) -> String {
    daemon.signal("-TERM");
    daemon.wait_for_exit().1
}

#[test]
fn second_writer_of_a_file_is_refused_and_names_the_first() {
    let env = TestEnv::new(&["--messages", "100", "--topic-messages", "0"]).with_only("agora");
    env.assert_sync_archives_truth();
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Any,
        fault: Some(Fault::Hang),
        times: 9999,
        ..ScriptedAnswer::default()
    });
    let requests = env.sandbox.rules().total.requests();
    let mut first = DaemonProcess::start_with_args(&env, &["sync"]);
    let name = format!("process {} on ", first.0.id());
    wait_until("the first is at work", || {
        env.sandbox.rules().total.requests() > requests
    });
    assert!(
        fs::read_to_string(env.path("archive.db.lock"))
            .unwrap()
            .starts_with(&name)
    );
    let before = fs::read(env.archive_path()).unwrap();
    let named = format!("the archive archive.db is in use by another Backscroll: {name}");
    for command in ["sync", "run", "migrate"] {
        env.run(&[command])
            .assert_incomplete()
            .assert_prints(&named)
            .assert_prints("stop it");
    }
    let other = env.run(&["copy", "--to", "sqlite://other.db"]).assert_ok();
    assert!(
        other.stdout.contains("100 messages"),
        "readers are allowed: {other:?}"
    );
    env.run(&["status"]).assert_ok();
    assert_eq!(
        fs::read(env.archive_path()).unwrap(),
        before,
        "the file is unchanged"
    );
    assert_eq!(
        env.sandbox.rules().total.requests(),
        requests + 1,
        "only the first process made requests"
    );

    // The lock is released even if the process is killed.
    first.kill();
    env.world().script().clear();
    env.assert_sync_archives_truth();
    assert!(
        fs::read_to_string(env.path("archive.db.lock"))
            .unwrap()
            .starts_with("process ")
    );
}

/// True if the archive's schema is complete.
fn archive_exists(postgres: &PostgresEnv) -> bool {
    postgres.query_number(
        "SELECT count(*) FROM information_schema.columns WHERE table_name = 'account' AND column_name = 'retention_s'",
    ) == 1
}

/// An environment on Postgres with a sync every second.
fn env_with_two_daemons(flags: &[&str]) -> PostgresEnv {
    let mut postgres = PostgresEnv::start(flags);
    postgres.env = postgres.env.with_schedule("sync", EVERY_SECOND_SCHEDULE);
    postgres
}

#[test]
fn second_daemon_takes_over_a_killed_one() {
    let flags = [
        "--requests-per-second",
        "40",
        "--messages",
        "3000",
        "--topic-messages",
        "2000",
        "--ready-after",
        "20ms",
    ];
    let postgres = env_with_two_daemons(&flags);
    let edge = postgres.env.settled_edge();
    let mut first = DaemonProcess::start_with_args(&postgres.env, &["run"]);
    wait_until("the archive is made", || archive_exists(&postgres));
    wait_until("the first has both accounts", || {
        postgres.query_number("SELECT count(lease_holder) FROM account") == 2
    });
    let mut second = DaemonProcess::start_with_args(&postgres.env, &["run"]);
    let has = |enough| postgres.query_number("SELECT count(*) FROM message") >= enough;
    wait_until("the first archives", || has(600));
    let owner = postgres.query_number(
        "SELECT count(*) FROM account WHERE lease_holder LIKE 'process %' AND fencing_token = 1",
    );
    assert_eq!(owner, 2, "the second process has taken no account");

    first.kill();
    let killed = Instant::now();
    wait_until("the takeover", || {
        postgres.query_number("SELECT count(*) FROM account WHERE fencing_token = 2") == 2
    });
    assert!(
        killed.elapsed() < MAX_WAIT / 6,
        "after {:?}",
        killed.elapsed()
    );
    wait_until("further messages", || has(900));
    let said = stop_daemon(&mut second);
    assert_eq!(said.matches("standing by").count(), 2, "{said}");
    assert_eq!(said.matches("taken over").count(), 2, "{said}");
    postgres.env.sync().assert_ok();
    postgres.assert_archive_equals_truth_until(edge);
    postgres.env.assert_no_rule_broken();
}

/// A topic in order of arrival is read part after part. One daemon is killed between two parts, and
/// the next one is stopped.
#[test]
fn topic_in_order_of_arrival_is_read_on_by_the_next_daemon() {
    const TOPIC: &str = "group:order";
    const MESSAGES: i64 = 7000;
    let flags = ["--requests-per-second", "12", "--topic-order", "arrival"];
    let nothing = ["--messages", "0", "--topic-messages", "0"];
    let mut postgres = env_with_two_daemons(&[flags, nothing].concat());
    postgres.env = postgres.env.with_only("web3mq");
    let topic = Table::from_iter([("topic".to_owned(), TOPIC.into())]);
    postgres.env.config_mut().set_streams("web3mq", &[topic]);
    let user = postgres.env.world().user_ids().remove(0);
    let begin = postgres.env.world().now().0 - (MESSAGES + 600) * 1000;
    let append = |numbers: std::ops::Range<i64>| {
        for n in numbers {
            let behind = if n % 20 == 7 { 3_600_000 } else { 0 };
            let message = Web3mqMessage {
                messageid: format!("id-{n}"),
                ..web3mq_message(TOPIC, begin + n * 1000 - behind, None)
            };
            let world = postgres.env.world();
            world.append_web3mq(&user, message).unwrap();
        }
    };
    append(0..MESSAGES - 500);
    let edge = postgres.env.settled_edge();

    let mut first = DaemonProcess::start(&postgres.env);
    wait_until("the archive is made", || archive_exists(&postgres));
    let position = || postgres.query_number("SELECT coalesce(max(position), 0) FROM arrival_mark");
    wait_until("a part of the first", || position() > 0);
    let mut second = DaemonProcess::start(&postgres.env);
    first.kill();
    let read_by_first = position();
    wait_until("a part of the second", || position() > read_by_first);
    append(MESSAGES - 500..MESSAGES);
    let mut third = DaemonProcess::start(&postgres.env);
    stop_daemon(&mut second);
    let read_by_second = position();
    assert!(read_by_second < MESSAGES, "the third has work to do");
    let archived = || postgres.query_number("SELECT count(*) FROM message");
    wait_until("all", || archived() >= MESSAGES);
    stop_daemon(&mut third);

    postgres.env.sync().assert_ok();
    postgres.assert_archive_equals_truth_until(edge);
    let distinct = "SELECT count(DISTINCT provider_message_id) FROM archive";
    assert_eq!(
        (archived(), postgres.query_number(distinct)),
        (MESSAGES, MESSAGES)
    );
    assert_eq!(position(), MESSAGES);
    postgres.env.run(&["verify", "--remote"]).assert_ok();
    postgres.env.assert_no_rule_broken();
}

#[test]
fn sync_names_the_process_holding_the_account() {
    let postgres = env_with_two_daemons(&["--messages", "50", "--topic-messages", "0"]);
    let mut daemon = DaemonProcess::start_with_args(&postgres.env, &["run"]);
    wait_until("the archive is made", || archive_exists(&postgres));
    wait_until("the daemon has both accounts", || {
        postgres.query_number("SELECT count(lease_holder) FROM account") == 2
    });
    let mut beside = DaemonProcess::start_with_args(&postgres.env, &["sync"]);
    let mut said = String::new();
    // The sync waits a while for the other process to end.
    beside
        .0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(beside.0.wait().unwrap().code(), Some(1));
    assert!(
        said.contains(&format!(
            "in use by another Backscroll: process {} on",
            daemon.0.id()
        )),
        "{said}"
    );
    stop_daemon(&mut daemon);
}

/// Two stores stand for two processes.
#[tokio::test]
async fn expired_lease_cannot_commit() {
    let url = postgres_server::create_database();
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let one = PostgresStore::connect(options.clone(), IfMissing::Create)
        .await
        .unwrap();
    let other = PostgresStore::connect(options, IfMissing::Refuse)
        .await
        .unwrap();
    let account = NewAccount::named("shop", "agora");
    let account = one.register(&account).await.unwrap().account;
    assert_eq!(
        one.acquire_lease(account, "one").await.unwrap(),
        Lease::Taken
    );
    assert_eq!(
        one.acquire_lease(account, "one").await.unwrap(),
        Lease::Kept
    );
    let refused = other.acquire_lease(account, "other").await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::InUse { holder, .. } if holder == "one"),
        "{refused}"
    );

    // The session of the first store is cut, and the store has not noticed.
    let mut admin = PgConnection::connect(&url).await.unwrap();
    // Other tests hold such locks in databases of the same server.
    let cut = "SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l
        JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
        WHERE l.locktype = 'advisory' AND l.granted";
    sqlx::query(AssertSqlSafe(cut))
        .execute(&mut admin)
        .await
        .unwrap();
    let mut taken = other.acquire_lease(account, "other").await;
    while matches!(taken, Err(StoreError::InUse { .. })) {
        tokio::task::yield_now().await;
        taken = other.acquire_lease(account, "other").await;
    }
    assert_eq!(taken.unwrap(), Lease::Taken);
    let window = Window::new(Second(0), Second(1)).unwrap();
    let (stream, now) = (StreamId(1), Millis(0));
    let nothing = |account| Commit {
        account,
        stream,
        window,
        seal: None,
        messages: vec![],
        unreadable: vec![],
    };
    let late = one.commit(&[nothing(account)], now).await.unwrap_err();
    assert!(
        matches!(&late, StoreError::InUse { what, holder } if what == "the account shop" && holder == "other"),
        "{late}"
    );
    other.commit(&[nothing(account)], now).await.unwrap();

    // The first store takes the lease again after the other has released it.
    other.close().await;
    let mut again = one.acquire_lease(account, "one").await;
    while matches!(again, Err(StoreError::InUse { .. })) {
        tokio::task::yield_now().await;
        again = one.acquire_lease(account, "one").await;
    }
    assert_eq!(again.unwrap(), Lease::Taken);
    one.commit(&[nothing(account)], now).await.unwrap();
}
