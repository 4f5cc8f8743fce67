//! The forecasts of `plan` and `status`, compared with the syncs and losses that follow.

use std::fs;
use std::time::Duration;

use backscroll::domain::time::{Millis, Second};
use backscroll::sync::progress::ProgressSnapshot;
use backscroll::sync::{HistoryBounds, Purpose};
use serde_json::Value;

use crate::support::config::{AGORA, from, to};
use crate::support::env::TestEnv;
use crate::support::fake_provider::FakeProvider;
use crate::support::model_run::ModelRun;
use crate::support::postgres_env::PostgresEnv;

const NOW: Millis = Millis(1_795_343_200_123);

/// Runs `plan --json` and returns its accounts and its total.
fn plan(env: &TestEnv, args: &[&str]) -> (Vec<Value>, Value) {
    let output = env.run(&[&["plan", "--json"], args].concat()).assert_ok();
    let mut said: Value = serde_json::from_str(&output.stdout).unwrap();
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
        "{what}: {said} was planned, {is} is true"
    );
}

/// Makes a plan, runs a sync, and compares both. `run` returns an account's requests and the number
/// of messages in its ledger.
fn assert_kept(env: &TestEnv, figures: impl Fn(&str) -> (i64, i64)) {
    let before = env.sandbox.rules().total.requests();
    let (accounts, total) = plan(env, &[]);
    let spent = env.sandbox.rules().total.requests() - before;
    assert_eq!(total["total"]["requests_spent"], spent);
    assert_eq!(accounts.len(), 2);
    env.sync().assert_ok();
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
            "one, and one for each range"
        );
    }
    // Only the check for newer messages remains.
    let (accounts, _) = plan(env, &[]);
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
        let env = TestEnv::new(flags);
        assert_kept(&env, |account| {
            let requests = format!(
                "SELECT CAST(sum(requests) AS INTEGER) FROM runs WHERE account = '{account}'"
            );
            let messages = format!(
                "SELECT CAST(sum(messages) AS INTEGER) FROM coverage WHERE account = '{account}'"
            );
            // The requests of the runs, and the first one, which checks the credentials.
            (env.query_number(&requests), env.query_number(&messages))
        });
    }
}

#[test]
fn sync_into_postgres_costs_what_was_planned() {
    for flags in HISTORIES {
        let postgres = PostgresEnv::start(flags);
        assert_kept(&postgres.env, |account| {
            let requests =
                format!("SELECT sum(requests)::BIGINT FROM runs WHERE account = '{account}'");
            let messages =
                format!("SELECT sum(messages)::BIGINT FROM coverage WHERE account = '{account}'");
            (
                postgres.query_number(&requests),
                postgres.query_number(&messages),
            )
        });
    }
}

#[test]
fn plan_needs_no_archive_and_creates_none() {
    let env = TestEnv::new(&["--messages", "200", "--topic-messages", "150"]);
    let table = env.run(&["plan"]).assert_ok();
    assert!(table.stdout.starts_with("ACCOUNT"), "{table:?}");
    for text in [
        "sandbox",
        "web3mq-1",
        "ranges, with",
        "Disk at 305 to ",
        " are free.",
    ] {
        assert!(table.stdout.contains(text), "no `{text}` in {table:?}");
    }
    let names = fs::read_dir(env.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["config.toml"]);

    let postgres = PostgresEnv::start(&["--messages", "200", "--topic-messages", "150"]);
    postgres
        .env
        .run(&["plan"])
        .assert_ok()
        .assert_prints("Disk at 370 to ");
    assert!(!postgres.has_archive());
}

#[test]
fn plan_leaves_the_archive_unchanged() {
    let env = TestEnv::new(&["--messages", "300", "--topic-messages", "200"]);
    env.sync().assert_ok();
    let before = fs::read(env.archive_path()).unwrap();
    env.run(&["plan"])
        .assert_ok()
        .assert_prints("at a reduced rate: this account was synced a moment ago");
    assert_eq!(fs::read(env.archive_path()).unwrap(), before);
    // Not even the schema is migrated.
    env.execute_sql("DELETE FROM _sqlx_migrations");
    env.run(&["plan"])
        .assert_incomplete()
        .assert_prints("written by an older Backscroll: it has schema 0")
        .assert_prints("`backscroll migrate`");

    let postgres = PostgresEnv::start(&["--messages", "300", "--topic-messages", "200"]);
    postgres.env.sync().assert_ok();
    let runs = postgres.query_number("SELECT count(*) FROM runs");
    postgres.env.run(&["plan"]).assert_ok();
    assert_eq!(postgres.query_number("SELECT count(*) FROM runs"), runs);
    assert_eq!(
        postgres.query_number("SELECT max(fencing_token) FROM account"),
        1,
        "no process lost its lease"
    );
}

#[test]
fn plan_measures_bytes_per_message_in_a_large_archive() {
    let env = TestEnv::new(&["--messages", "10500", "--topic-messages", "0", "--plain"])
        .with_only("agora");
    let senders = ["alice", "bob", "carol"].map(from);
    let channels = ["lobby", "general", "support", "dev-talk"].map(to);
    let env = env.with_agora_streams(&[&channels[..], &senders].concat());
    env.sync().assert_ok();
    env.append_message("lobby", "one more", Duration::from_secs(20));
    let (accounts, said) = plan(&env, &[]);
    let sealed = env.query_number("SELECT CAST(sum(messages) AS INTEGER) FROM coverage");
    let pages =
        env.query_number("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
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
    let env = TestEnv::new(&["--messages", "6000", "--topic-messages", "0"]).with_only("agora");
    let (all, _) = plan(&env, &[]);
    let (some, _) = plan(&env, &["--ranges", "13"]);
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
    env.run(&["plan", "--ranges", "2"])
        .assert_ok()
        .assert_prints("counted 2 of")
        .assert_prints("the others are extrapolated");
}

#[test]
fn plan_can_be_limited_to_an_account_and_a_time_range() {
    let env = TestEnv::new(&["--messages", "900", "--topic-messages", "600"]);
    let now = env.world().now().second();
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
    let (accounts, _) = plan(&env, &wanted);
    assert!(
        !env.sandbox.rules().accounts.contains_key("web3mq-1"),
        "no request was made for the other account"
    );
    assert_eq!(
        (accounts.len(), &accounts[0]["missing_seconds"]),
        (1, &86_400.into())
    );
    env.run(&[&["sync"], &wanted[..]].concat()).assert_ok();
    let sealed = env.query_number("SELECT CAST(sum(messages) AS INTEGER) FROM coverage");
    assert_close(
        number(&accounts[0], "messages"),
        sealed as f64,
        0.05,
        "messages",
    );
    let output = env.run(&["plan", "--since", &until_text, "--until", &since_text]);
    assert_eq!(output.code, Some(2), "{output:?}");
}

#[test]
fn refused_account_is_left_out_of_the_plan() {
    let env = TestEnv::new(&["--messages", "100", "--topic-messages", "100"]).with_setting_of(
        AGORA,
        "customer_secret",
        "wrong",
    );
    env.run(&["plan"])
        .assert_incomplete()
        .assert_prints("sandbox: not planned")
        .assert_prints("web3mq-1: counted");
    // A recorded pause is kept.
    env.sync().assert_incomplete();
    let before = env.sandbox.rules().accounts["sandbox"].requests();
    env.run(&["plan"])
        .assert_incomplete()
        .assert_prints("sandbox: not planned")
        .assert_prints("hint");
    assert_eq!(env.sandbox.rules().accounts["sandbox"].requests(), before);
}

/// The retention of the provider, in seconds.
const RETENTION_S: i64 = 600;
/// Requests per second of the slow account.
const SLOW: f64 = 0.5;

/// A history of ten minutes, as long as the retention. The first and the last of four channels are
/// followed; a quarter of their messages is more than can be fetched at [`SLOW`].
fn with_oversized_backlog(env: TestEnv) -> TestEnv {
    env.with_only("agora")
        .with_agora_streams(&[to("lobby"), to("dev-talk")])
        .with_setting_of(AGORA, "retention", format!("{RETENTION_S}s"))
}

fn with_slow_requests(env: TestEnv) -> TestEnv {
    env.with_account_setting("requests_per_second", SLOW)
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

/// The number of messages of the followed channels between two moments.
fn count_messages_between(env: &TestEnv, from: Second, to: Second) -> f64 {
    let times = from.start().0..to.start().0;
    let all = env.world().agora_messages("sandbox");
    all.iter()
        .filter(|m| ["lobby", "dev-talk"].contains(&m.dst.as_str()) && times.contains(&m.ms))
        .count() as f64
}

/// The number of messages that cannot be fetched before the last of them expires, at 46 to 50
/// messages a request.
fn must_be_lost(messages: f64, now: Millis, last: Second) -> f64 {
    let time = (last.plus(RETENTION_S).start().0 - now.0) as f64 / 1000.0;
    messages - time * SLOW * 47.0
}

#[test]
fn plan_and_status_forecast_the_loss_of_expiring_history() {
    let env = with_oversized_backlog(TestEnv::new(&TOO_MUCH));
    // A history that can be fetched in time raises no alarm.
    let (accounts, _) = plan(&env, &[]);
    assert_eq!(
        (
            &accounts[0]["lost_messages"],
            &accounts[0]["loss_begins_at"]
        ),
        (&0.into(), &Value::Null)
    );

    // The last settled minutes are archived, the rest is not.
    let now = env.world().now();
    let since = now.second().plus(-180);
    env.run(&["sync", "--since", &since.to_string()])
        .assert_ok();
    let env = with_slow_requests(env);
    let backlog = |env: &TestEnv| {
        count_messages_between(env, env.world().now().second().plus(-RETENTION_S), since)
    };
    let expected = must_be_lost(backlog(&env), env.world().now(), since);
    assert!(expected > 4000.0, "{expected}");

    let streams: Vec<Value> =
        serde_json::from_str(&env.run(&["status", "--json"]).assert_ok().stdout).unwrap();
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
    // The oldest range is fetched last, and expires now.
    let expires: Second = streams[0]["expires_at"]
        .as_str()
        .unwrap()
        .parse::<Millis>()
        .unwrap()
        .second();
    assert!((expires.0 - now.second().0).abs() < 60, "{streams:?}");
    env.run(&["status"])
        .assert_ok()
        .assert_prints("sandbox: LOSS AHEAD: at 0.493 requests a second about")
        .assert_prints("hint");

    let request = env.world().now();
    let expected = must_be_lost(backlog(&env), request, since);
    let (accounts, _) = plan(&env, &["--until", &since.to_string()]);
    assert_close(
        number(&accounts[0], "lost_messages"),
        expected,
        0.08,
        "plan",
    );
    // The view shows when each range begins to expire.
    let late =
        env.query_number("SELECT count(*) FROM gaps WHERE NOT lost AND unixepoch(expires_at) <> unixepoch(from_at) + 600");
    assert_eq!(
        (
            late,
            env.query_number("SELECT count(*) > 0 FROM gaps WHERE expires_at IS NOT NULL")
        ),
        (0, 1)
    );
}

#[test]
fn sync_without_terminal_prints_a_summary() {
    let env = TestEnv::new(&["--messages", "200", "--topic-messages", "0"]).with_only("agora");
    let output = env.sync().assert_ok();
    let line = output.stderr.lines().last().unwrap_or_default();
    assert!(
        line.contains("archived") && line.contains("new=200") && line.contains("requests="),
        "{output:?}"
    );
}

#[tokio::test]
async fn sync_progress_continues_after_an_interrupted_sync() {
    let provider = FakeProvider::new(NOW, Duration::from_mins(2), Some(Duration::from_hours(1)));
    // Four windows, of which one fails at first, after the credentials check and five surveys.
    provider
        .history()
        .messages
        .extend((0..4000).map(|n| (NOW.0 - 3_570_000 + n as i64 * 800, n)));
    let mut run = ModelRun::with_provider(provider).await;
    assert_eq!(run.progress(), ProgressSnapshot::default());
    run.provider.history().calls_before_failures.extend([7]);
    run.run_pass(Purpose::Sync(HistoryBounds::default())).await;
    let broken_off = run.progress();
    assert!(
        0 < broken_off.fetched && broken_off.fetched < broken_off.expected,
        "{broken_off:?}"
    );
    assert_eq!((broken_off.expected, broken_off.is_estimate), (4000, false));
    run.run_pass(Purpose::Sync(HistoryBounds::default())).await;
    let done = run.progress();
    assert_eq!(
        (done.expected, done.fetched, done.new),
        (done.fetched, done.fetched, 4000),
        "{done:?}"
    );
    assert_eq!(
        (done.is_estimate, done.left, done.requests),
        (false, Duration::ZERO, run.provider.requests_sent())
    );
}
