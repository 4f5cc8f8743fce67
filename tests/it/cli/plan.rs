//! What is said of a sync before it is made, and of a loss before it comes; and what then is.

use std::fs;
use std::time::Duration;

use backscroll::domain::time::{Millis, Second};
use backscroll::sync::progress::Reading;
use backscroll::sync::{HistoryBounds, Purpose};
use serde_json::Value;

use crate::support::config::{AGORA, from, to};
use crate::support::env::TestEnv;
use crate::support::fake_provider::FakeProvider;
use crate::support::model_run::ModelRun;
use crate::support::postgres_env::PostgresEnv;

const NOW: Millis = Millis(1_795_343_200_123);

/// The accounts of a plan that was made as JSON.
fn plan(bed: &TestEnv, args: &[&str]) -> (Vec<Value>, Value) {
    let ran = bed.run(&[&["plan", "--json"], args].concat()).assert_ok();
    let mut said: Value = serde_json::from_str(&ran.stdout).unwrap();
    let Value::Array(accounts) = said["accounts"].take() else {
        panic!("{said}")
    };
    (accounts, said)
}

fn number(value: &Value, name: &str) -> f64 {
    value[name]
        .as_f64()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[track_caller]
fn assert_close(said: f64, is: f64, share: f64, what: &str) {
    assert!(
        (said - is).abs() <= is * share,
        "{what}: {said} was said, {is} it is"
    );
}

/// Makes a plan, carries it out, and compares the two. `run` answers with an account's requests, and with how many
/// messages its ledger counts.
fn assert_kept(bed: &TestEnv, figures: impl Fn(&str) -> (i64, i64)) {
    let before = bed.sandbox.rules().total.requests();
    let (accounts, total) = plan(bed, &[]);
    let spent = bed.sandbox.rules().total.requests() - before;
    assert_eq!(total["total"]["requests_spent"], spent);
    assert_eq!(accounts.len(), 2);
    bed.sync().assert_ok();
    for account in accounts {
        let name = account["account"].as_str().unwrap();
        let (requests, messages) = figures(name);
        assert_close(number(&account, "requests"), requests as f64, 0.05, name);
        assert_close(number(&account, "messages"), messages as f64, 0.01, name);
        assert_eq!(account["ranges"], account["ranges_counted"]);
        assert_eq!(
            (&account["lost_messages"], &account["loss_begins_at"]),
            (&0.into(), &Value::Null)
        );
        let ranges = account["ranges"].as_u64().unwrap();
        assert_eq!(
            account["requests_spent"],
            ranges + 1,
            "one, and one a range"
        );
    }
    // What is left is to look at what may have come since.
    let (accounts, _) = plan(bed, &[]);
    for account in accounts {
        assert!(number(&account, "missing_seconds") < 130.0, "{account}");
    }
}

const HISTORIES: [&[&str]; 3] = [
    &["--messages", "0", "--topic-messages", "0"],
    &["--messages", "1500", "--topic-messages", "1200"],
    &["--messages", "12000", "--topic-messages", "8000", "--plain"],
];

#[test]
fn sync_into_sqlite_costs_what_was_planned() {
    for flags in HISTORIES {
        let bed = TestEnv::new(flags);
        assert_kept(&bed, |account| {
            let requests = format!(
                "SELECT CAST(sum(requests) AS INTEGER) FROM runs WHERE account = '{account}'"
            );
            let messages = format!(
                "SELECT CAST(sum(messages) AS INTEGER) FROM coverage WHERE account = '{account}'"
            );
            // The requests of runs, and the first of all, which asks whether the credentials are good.
            (bed.number(&requests), bed.number(&messages))
        });
    }
}

#[test]
fn sync_into_postgres_costs_what_was_planned() {
    for flags in HISTORIES {
        let served = PostgresEnv::start(flags);
        assert_kept(&served.env, |account| {
            let requests =
                format!("SELECT sum(requests)::BIGINT FROM runs WHERE account = '{account}'");
            let messages =
                format!("SELECT sum(messages)::BIGINT FROM coverage WHERE account = '{account}'");
            (served.number(&requests), served.number(&messages))
        });
    }
}

#[test]
fn plan_needs_no_archive_and_creates_none() {
    let bed = TestEnv::new(&["--messages", "200", "--topic-messages", "150"]);
    let table = bed.run(&["plan"]).assert_ok();
    assert!(table.stdout.starts_with("ACCOUNT"), "{table:?}");
    for text in [
        "sandbox",
        "web3mq-1",
        "ranges, with",
        "Disk at 305 bytes per message",
    ] {
        assert!(table.stdout.contains(text), "no `{text}` in {table:?}");
    }
    let names = fs::read_dir(bed.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["config.toml"]);

    let served = PostgresEnv::start(&["--messages", "200", "--topic-messages", "150"]);
    served
        .env
        .run(&["plan"])
        .assert_ok()
        .says("Disk at 370 bytes per message");
    assert!(!served.has_archive());
}

#[test]
fn plan_leaves_the_archive_unchanged() {
    let bed = TestEnv::new(&["--messages", "300", "--topic-messages", "200"]);
    bed.sync().assert_ok();
    let before = fs::read(bed.archive_path()).unwrap();
    bed.run(&["plan"])
        .assert_ok()
        .says("at a reduced rate, since another process syncs this account");
    assert_eq!(fs::read(bed.archive_path()).unwrap(), before);
    // Not even its tables are brought up to date.
    bed.execute_sql("DELETE FROM _sqlx_migrations");
    bed.run(&["plan"])
        .assert_incomplete()
        .says("written by an older Backscroll: it has schema 0")
        .says("`backscroll migrate`");

    let served = PostgresEnv::start(&["--messages", "300", "--topic-messages", "200"]);
    served.env.sync().assert_ok();
    let runs = served.number("SELECT count(*) FROM runs");
    served.env.run(&["plan"]).assert_ok();
    assert_eq!(served.number("SELECT count(*) FROM runs"), runs);
    assert_eq!(
        served.number("SELECT max(fencing_token) FROM account"),
        1,
        "nobody was put out of its account"
    );
}

#[test]
fn plan_measures_bytes_per_message_in_a_large_archive() {
    let bed = TestEnv::new(&["--messages", "10500", "--topic-messages", "0", "--plain"])
        .with_only("agora");
    let senders = ["alice", "bob", "carol"].map(from);
    let channels = ["lobby", "general", "support", "dev-talk"].map(to);
    let bed = bed.with_agora_streams(&[&channels[..], &senders].concat());
    bed.sync().assert_ok();
    bed.say("lobby", "one more", Duration::from_secs(20));
    let (accounts, said) = plan(&bed, &[]);
    let sealed = bed.number("SELECT CAST(sum(messages) AS INTEGER) FROM coverage");
    let pages =
        bed.number("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
    assert_eq!(said["bytes_are_measured"], true);
    assert_close(
        number(&said, "bytes_per_message"),
        pages as f64 / sealed as f64,
        0.01,
        "bytes",
    );
    assert_eq!(accounts[0]["streams_overlap"], true);
}

#[test]
fn plan_samples_many_ranges_and_says_so() {
    let bed = TestEnv::new(&["--messages", "6000", "--topic-messages", "0"]).with_only("agora");
    let (all, _) = plan(&bed, &[]);
    let (some, _) = plan(&bed, &["--ranges", "13"]);
    assert_eq!(
        (&some[0]["ranges"], &some[0]["ranges_counted"]),
        (&all[0]["ranges"], &13.into())
    );
    assert_eq!(some[0]["requests_spent"], 14);
    assert_close(
        number(&some[0], "requests"),
        number(&all[0], "requests"),
        0.5,
        "ranges, with",
    );
    bed.run(&["plan", "--ranges", "2"])
        .assert_ok()
        .says("counted 2 of")
        .says("the others are extrapolated");
}

#[test]
fn plan_can_be_limited_to_an_account_and_a_time_range() {
    let bed = TestEnv::new(&["--messages", "900", "--topic-messages", "600"]);
    let now = bed.world().now().second();
    let (since, until) = (now.plus(-3 * 86_400), now.plus(-2 * 86_400));
    let [since_text, until_text] = [since, until].map(|moment| moment.to_string());
    let wanted = [
        "--account",
        "sandbox",
        "--since",
        &since_text,
        "--until",
        &until_text,
    ];
    let (accounts, _) = plan(&bed, &wanted);
    assert!(
        !bed.sandbox.rules().accounts.contains_key("web3mq-1"),
        "the other account was not asked"
    );
    assert_eq!(
        (accounts.len(), &accounts[0]["missing_seconds"]),
        (1, &86_400.into())
    );
    bed.run(&[&["sync"], &wanted[..]].concat()).assert_ok();
    let sealed = bed.number("SELECT CAST(sum(messages) AS INTEGER) FROM coverage");
    assert_close(
        number(&accounts[0], "messages"),
        sealed as f64,
        0.05,
        "messages",
    );
    let ran = bed.run(&["plan", "--since", &until_text, "--until", &since_text]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn refused_account_is_left_out_of_the_plan() {
    let bed = TestEnv::new(&["--messages", "100", "--topic-messages", "100"]).with_setting_of(
        AGORA,
        "customer_secret",
        "wrong",
    );
    bed.run(&["plan"])
        .assert_incomplete()
        .says("sandbox: not planned")
        .says("web3mq-1: counted");
    // A pause that is on record is kept.
    bed.sync().assert_incomplete();
    let before = bed.sandbox.rules().accounts["sandbox"].requests();
    bed.run(&["plan"])
        .assert_incomplete()
        .says("sandbox: not planned")
        .says("hint");
    assert_eq!(bed.sandbox.rules().accounts["sandbox"].requests(), before);
}

/// Sent so many seconds ago, until when it is gone.
const RETENTION_S: i64 = 600;
/// What the slow account is granted.
const SLOW: f64 = 0.5;

/// A history of ten minutes, all that the provider keeps, of which the first and the last of four channels are followed:
/// a quarter of what they hold is more than can be had at [`SLOW`].
fn with_oversized_backlog(bed: TestEnv) -> TestEnv {
    bed.with_only("agora")
        .with_agora_streams(&[to("lobby"), to("dev-talk")])
        .with_setting_of(AGORA, "retention", format!("{RETENTION_S}s"))
}

fn with_slow_requests(bed: TestEnv) -> TestEnv {
    bed.with_account_setting("requests_per_second", SLOW)
}

const TOO_MUCH: [&str; 9] = [
    "--messages",
    "90000",
    "--topic-messages",
    "0",
    "--plain",
    "--span",
    "600s",
    "--retention",
    "600s",
];

/// How many messages the followed channels have between two moments.
fn count_messages_between(bed: &TestEnv, from: Second, to: Second) -> f64 {
    let times = from.start().0..to.start().0;
    let all = bed.world().agora_messages("sandbox");
    all.iter()
        .filter(|m| ["lobby", "dev-talk"].contains(&m.dst.as_str()) && times.contains(&m.ms))
        .count() as f64
}

/// Of so many messages, sent since `first`, how many cannot be had: there is time until the last of them expires, and
/// 46 to 50 messages are had for a request.
fn must_be_lost(messages: f64, now: Millis, last: Second) -> f64 {
    let time = (last.plus(RETENTION_S).start().0 - now.0) as f64 / 1000.0;
    messages - time * SLOW * 47.0
}

#[test]
fn plan_and_status_forecast_the_loss_of_expiring_history() {
    let bed = with_oversized_backlog(TestEnv::new(&TOO_MUCH));
    // A history that fits is no reason for alarm.
    let (accounts, _) = plan(&bed, &[]);
    assert_eq!(
        (
            &accounts[0]["lost_messages"],
            &accounts[0]["loss_begins_at"]
        ),
        (&0.into(), &Value::Null)
    );

    // The last minutes are archived, as far as they are settled, and the rest is not.
    let now = bed.world().now();
    let since = now.second().plus(-180);
    bed.run(&["sync", "--since", &since.to_string()])
        .assert_ok();
    let bed = with_slow_requests(bed);
    let backlog = |bed: &TestEnv| {
        count_messages_between(bed, bed.world().now().second().plus(-RETENTION_S), since)
    };
    let expected = must_be_lost(backlog(&bed), bed.world().now(), since);
    assert!(expected > 4000.0, "{expected}");

    let streams: Vec<Value> =
        serde_json::from_str(&bed.run(&["status", "--json"]).assert_ok().stdout).unwrap();
    assert_eq!(streams.len(), 2);
    let said: f64 = streams
        .iter()
        .map(|stream| number(stream, "loss_ahead_messages"))
        .sum();
    assert_close(said, expected, 0.08, "status");
    assert!(
        streams
            .iter()
            .all(|stream| number(stream, "loss_ahead_seconds") > 60.0),
        "{streams:?}"
    );
    // What is left to the last is lost to the last: the oldest falls now.
    let expires: Second = streams[0]["expires_at"]
        .as_str()
        .unwrap()
        .parse::<Millis>()
        .unwrap()
        .second();
    assert!((expires.0 - now.second().0).abs() < 60, "{streams:?}");
    bed.run(&["status"])
        .assert_ok()
        .says("sandbox: LOSS AHEAD: at 0.493 requests a second about")
        .says("hint");

    let asked = bed.world().now();
    let expected = must_be_lost(backlog(&bed), asked, since);
    let (accounts, _) = plan(&bed, &["--until", &since.to_string()]);
    assert_close(
        number(&accounts[0], "lost_messages"),
        expected,
        0.08,
        "plan",
    );
    // The view says of each range when it begins to be lost.
    let late =
        bed.number("SELECT count(*) FROM gaps WHERE NOT lost AND unixepoch(expires_at) <> unixepoch(from_at) + 600");
    assert_eq!(
        (
            late,
            bed.number("SELECT count(*) > 0 FROM gaps WHERE expires_at IS NOT NULL")
        ),
        (0, 1)
    );
}

#[test]
fn sync_without_terminal_prints_a_summary() {
    let bed = TestEnv::new(&["--messages", "200", "--topic-messages", "0"]).with_only("agora");
    let ran = bed.sync().assert_ok();
    let line = ran.stderr.lines().last().unwrap_or_default();
    assert!(
        line.contains("archived") && line.contains("new=200") && line.contains("requests="),
        "{ran:?}"
    );
}

#[tokio::test]
async fn sync_progress_continues_after_an_interrupted_sync() {
    let provider = FakeProvider::new(NOW, Duration::from_mins(2), Some(Duration::from_hours(1)));
    // Four windows' worth, of which one cannot be read at first: after the credentials and five surveys.
    provider
        .history()
        .messages
        .extend((0..4000).map(|n| (NOW.0 - 3_570_000 + n as i64 * 800, n)));
    let mut place = ModelRun::with_provider(provider).await;
    assert_eq!(place.progress(), Reading::default());
    place.provider.history().calls_before_failures.extend([7]);
    place.pass(Purpose::Sync(HistoryBounds::default())).await;
    let broken_off = place.progress();
    assert!(
        0 < broken_off.fetched && broken_off.fetched < broken_off.expected,
        "{broken_off:?}"
    );
    assert_eq!((broken_off.expected, broken_off.is_estimate), (4000, false));
    place.pass(Purpose::Sync(HistoryBounds::default())).await;
    let done = place.progress();
    assert_eq!(
        (done.expected, done.fetched, done.new),
        (done.fetched, done.fetched, 4000),
        "{done:?}"
    );
    assert_eq!(
        (done.is_estimate, done.left, done.requests),
        (false, Duration::ZERO, place.provider.requests_sent())
    );
}
