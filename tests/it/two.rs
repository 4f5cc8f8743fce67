//! Two of them on one archive: an SQLite file has one writer, and in Postgres each account has one at a time.

use std::fs;
use std::io::Read;
use std::time::Instant;

use backscroll::domain::time::{Millis, Second};
use backscroll::domain::window::Window;
use backscroll::sandbox::{Fault, On, Scripted};
use backscroll::store::{
    Commit, Lease, Missing, NewAccount, PostgresStore, Store, StoreError, StreamId,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::bed::{Bed, EVERY_SECOND, PATIENCE, wait_until};
use crate::cluster;
use crate::daemon::Daemon;
use crate::postgres::Served;

/// Ends it in order; answers with what it said.
fn end(daemon: &mut Daemon) -> String {
    daemon.signal("-TERM");
    daemon.end().1
}

#[test]
fn a_second_writer_of_a_file_is_refused_and_told_of_the_first() {
    let bed = Bed::new(&["--messages", "100", "--topic-messages", "0"]).only("agora");
    bed.archives_the_truth();
    bed.script(Scripted {
        on: On::Any,
        fault: Some(Fault::Hang),
        times: 9999,
        ..Scripted::default()
    });
    let requests = bed.sandbox.rules().total.requests();
    let mut first = Daemon::with(&bed, &["sync"]);
    let name = format!("process {} on ", first.0.id());
    wait_until("the first is at work", || {
        bed.sandbox.rules().total.requests() > requests
    });
    assert!(
        fs::read_to_string(bed.path("archive.db.lock"))
            .unwrap()
            .starts_with(&name)
    );
    let before = fs::read(bed.archive()).unwrap();
    let named = format!("the archive archive.db is in the hands of another Backscroll: {name}");
    for command in ["sync", "run", "migrate"] {
        bed.run(&[command]).lacking().says(&named).says("stop it");
    }
    let other = bed.run(&["copy", "--to", "sqlite://other.db"]).good();
    assert!(
        other.out.contains("100 messages"),
        "whoever only reads may: {other:?}"
    );
    bed.run(&["status"]).good();
    assert_eq!(
        fs::read(bed.archive()).unwrap(),
        before,
        "nothing was touched"
    );
    assert_eq!(
        bed.sandbox.rules().total.requests(),
        requests + 1,
        "nothing was asked but by the first"
    );

    // However it ends, what it held is free.
    first.kill();
    bed.world().script().clear();
    bed.archives_the_truth();
    assert!(
        fs::read_to_string(bed.path("archive.db.lock"))
            .unwrap()
            .starts_with("process ")
    );
}

/// Whether the archive has the last of its tables' columns.
fn is_made(served: &Served) -> bool {
    served.number(
        "SELECT count(*) FROM information_schema.columns WHERE table_name = 'account' AND column_name = 'retention_s'",
    ) == 1
}

/// A bed on Postgres with two daemons' worth of ticks.
fn shared(flags: &[&str]) -> Served {
    let mut served = Served::new(flags);
    served.bed = served.bed.scheduled("sync", EVERY_SECOND);
    served
}

#[test]
fn of_two_daemons_one_works_and_the_other_takes_over_when_it_is_killed() {
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
    let served = shared(&flags);
    let edge = served.bed.edge();
    let mut first = Daemon::with(&served.bed, &["run"]);
    wait_until("the archive is made", || is_made(&served));
    wait_until("the first has both accounts", || {
        served.number("SELECT count(held_by) FROM account") == 2
    });
    let mut second = Daemon::with(&served.bed, &["run"]);
    let has = |enough| served.number("SELECT count(*) FROM message") >= enough;
    wait_until("the first archives", || has(600));
    let owner =
        served.number("SELECT count(*) FROM account WHERE held_by LIKE 'process %' AND lease = 1");
    assert_eq!(owner, 2, "the second has taken nothing");

    first.kill();
    let killed = Instant::now();
    wait_until("the second takes over", || {
        served.number("SELECT count(*) FROM account WHERE lease = 2") == 2
    });
    assert!(
        killed.elapsed() < PATIENCE / 6,
        "after {:?}",
        killed.elapsed()
    );
    wait_until("it archives on", || has(900));
    let said = end(&mut second);
    assert_eq!(said.matches("standing by").count(), 2, "{said}");
    assert_eq!(said.matches("taken over").count(), 2, "{said}");
    served.bed.sync().good();
    served.assert_equal_up_to(edge);
    served.bed.assert_no_rule_broken();
}

#[test]
fn a_sync_beside_a_daemon_says_who_has_the_account() {
    let served = shared(&["--messages", "50", "--topic-messages", "0"]);
    let mut daemon = Daemon::with(&served.bed, &["run"]);
    wait_until("the archive is made", || is_made(&served));
    wait_until("the daemon has both accounts", || {
        served.number("SELECT count(held_by) FROM account") == 2
    });
    let mut beside = Daemon::with(&served.bed, &["sync"]);
    let mut said = String::new();
    // It waits a while for the other to end.
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
            "in the hands of another Backscroll: process {} on",
            daemon.0.id()
        )),
        "{said}"
    );
    end(&mut daemon);
}

/// Two stores, as two processes have them.
#[tokio::test]
async fn whoever_has_lost_an_account_commits_nothing_more() {
    let url = cluster::database();
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let one = PostgresStore::connect(options.clone(), Missing::Create)
        .await
        .unwrap();
    let other = PostgresStore::connect(options, Missing::Refuse)
        .await
        .unwrap();
    let account = NewAccount {
        name: "shop",
        provider: "agora",
        streams: None,
        since: None,
        horizon: None,
    };
    let account = one.register(&account).await.unwrap().account;
    assert_eq!(one.lease(account, "one").await.unwrap(), Lease::Taken);
    assert_eq!(one.lease(account, "one").await.unwrap(), Lease::Kept);
    let refused = other.lease(account, "other").await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Held { holder, .. } if holder == "one"),
        "{refused}"
    );

    // The session of the first is cut, and it has not noticed.
    let mut admin = PgConnection::connect(&url).await.unwrap();
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted";
    sqlx::query(AssertSqlSafe(cut))
        .execute(&mut admin)
        .await
        .unwrap();
    let mut taken = other.lease(account, "other").await;
    while matches!(taken, Err(StoreError::Held { .. })) {
        tokio::task::yield_now().await;
        taken = other.lease(account, "other").await;
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
        matches!(&late, StoreError::Held { what, holder } if what == "the account shop" && holder == "other"),
        "{late}"
    );
    other.commit(&[nothing(account)], now).await.unwrap();

    // What the other has let go of is the first's again.
    other.close().await;
    let mut again = one.lease(account, "one").await;
    while matches!(again, Err(StoreError::Held { .. })) {
        tokio::task::yield_now().await;
        again = one.lease(account, "one").await;
    }
    assert_eq!(again.unwrap(), Lease::Taken);
    one.commit(&[nothing(account)], now).await.unwrap();
}
