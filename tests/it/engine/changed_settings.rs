//! Settings that say what is wanted, changed between runs in both directions: the archive comes to
//! want what a fresh archive would.

use std::time::Duration;

use toml::Value;

use crate::support::config::{AGORA, WEB3MQ, to};
use crate::support::env::TestEnv;

const FLAGS: [&str; 4] = ["--messages", "300", "--topic-messages", "200"];

/// A setting of all accounts of one provider; `None` if it is left out.
type Setting<'a> = (&'a str, &'a str, Option<Value>);

fn set(env: &mut TestEnv, (provider, key, value): &Setting<'_>) {
    for account in env.config_mut().accounts_mut(provider) {
        match value {
            Some(value) => account.insert((*key).to_owned(), value.clone()),
            None => account.remove(*key),
        };
    }
}

/// A stream, the start of its wanted history, and its lost and missing seconds.
type WantedRow = (String, String, i64, i64, i64);

/// Returns what an archive wants. Moments are rounded to minutes, since time goes on between two
/// runs.
fn wanted(env: &TestEnv, archive: &str) -> Vec<WantedRow> {
    env.query_rows_of(
        &env.path(archive),
        "SELECT a.name, s.key, (s.wanted_from_s + 30) / 60,
                (a.settled_s + 30) / 60 - (coalesce(a.horizon_s, a.settled_s) + 30) / 60,
                (SELECT count(*) FROM gaps g WHERE g.stream = s.key AND g.account = a.name
                 AND g.reason <> 'fetched, but too young to be final'
                 AND unixepoch(g.to_at) - unixepoch(g.from_at) > 60)
         FROM stream s JOIN account a ON a.id = s.account_id ORDER BY 1, 2",
    )
}

fn bodies(env: &TestEnv, archive: &str) -> Vec<(String, i64)> {
    let all = "SELECT account, sent_at_ms FROM archive ORDER BY 1, 2";
    env.query_rows_of(&env.path(archive), all)
}

/// Archives with the first setting and then with the second, and panics unless the archive then
/// wants what a fresh one does and has all of its messages.
#[track_caller]
fn assert_second_setting_counts(first: &Setting<'_>, second: &Setting<'_>) {
    let mut env = TestEnv::new(&FLAGS);
    set(&mut env, first);
    env.sync().assert_ok();
    set(&mut env, second);
    env.sync().assert_ok();
    let env = env.with_database("sqlite://fresh.db");
    env.sync().assert_ok();
    let wanted_now = wanted(&env, "archive.db");
    let change = format!("{first:?} -> {second:?}");
    assert!(!wanted_now.is_empty());
    let is_near = |a: &WantedRow, b: &WantedRow| {
        (&a.0, &a.1, a.4) == (&b.0, &b.1, b.4) && (a.2 - b.2).abs() <= 1 && (a.3 - b.3).abs() <= 1
    };
    let fresh = wanted(&env, "fresh.db");
    let is_same = wanted_now.len() == fresh.len()
        && wanted_now.iter().zip(&fresh).all(|(a, b)| is_near(a, b));
    assert!(is_same, "{change}: {wanted_now:?} {fresh:?}");
    let archived = bodies(&env, "archive.db");
    for message in bodies(&env, "fresh.db") {
        assert!(
            archived.contains(&message),
            "{change}: {message:?} is missing"
        );
    }
}

#[track_caller]
fn assert_both_directions(provider: &str, key: &str, one: Option<Value>, other: Option<Value>) {
    let (one, other) = ((provider, key, one), (provider, key, other));
    assert_second_setting_counts(&one, &other);
    assert_second_setting_counts(&other, &one);
}

fn days_ago(days: u64) -> Value {
    let env = TestEnv::without_messages(&[]);
    let at = env.world().now().minus(Duration::from_hours(24 * days));
    at.second().to_string().into()
}

#[test]
fn since_counts_in_both_directions() {
    assert_both_directions(AGORA, "since", Some(days_ago(2)), None);
    assert_both_directions(AGORA, "since", Some(days_ago(2)), Some(days_ago(4)));
    assert_both_directions(WEB3MQ, "since", Some(days_ago(20)), None);
}

#[test]
fn retention_counts_in_both_directions() {
    assert_both_directions(AGORA, "retention", Some("1d".into()), Some("4d".into()));
    assert_both_directions(WEB3MQ, "retention", Some("20d".into()), None);
}

#[test]
fn settle_counts_in_both_directions() {
    assert_both_directions(AGORA, "settle", Some("2h".into()), Some("1m".into()));
    assert_both_directions(WEB3MQ, "settle", Some("2h".into()), Some("1m".into()));
}

#[test]
fn bounds_of_one_run_do_not_bind_the_next() {
    let env = TestEnv::new(&FLAGS);
    let at = |days: u64| {
        let at = env.world().now().minus(Duration::from_hours(24 * days));
        at.second().to_string()
    };
    env.run(&["sync", "--since", &at(3), "--until", &at(2)])
        .assert_ok();
    let settled = "SELECT min(settled_s) FROM account";
    let bounded = env.query_number(settled);
    env.assert_sync_archives_truth();
    let whole = env.query_number(settled);
    assert!(whole > bounded);
    // Nor does a bounded run take back what is known.
    env.run(&["sync", "--until", &at(2)]).assert_ok();
    assert!(env.query_number(settled) >= whole);
    env.run(&["sync", "--since", &at(1)]).assert_ok();
    // The retention edge moves on between two runs.
    let lost = "SELECT count(*) FROM gaps
                WHERE lost AND unixepoch(to_at) - unixepoch(from_at) > 60";
    assert_eq!(env.query_number(lost), 0);
}

#[test]
fn stream_that_is_removed_and_listed_again_goes_on() {
    let env = TestEnv::new(&FLAGS).with_only("agora");
    env.sync().assert_ok();
    let all = env.config().clone();
    let env = env.with_agora_streams(&[to("lobby")]);
    env.sync().assert_ok();
    let mut env = env;
    *env.config_mut() = all;
    env.assert_sync_archives_truth();
}
