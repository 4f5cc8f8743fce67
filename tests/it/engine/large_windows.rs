//! Windows that hold more than is read at once: they are read and committed in parts, resumed after
//! a break, and given up where they have no end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backscroll::domain::time::Millis;
use toml::Table;

use crate::support::config::to;
use crate::support::env::TestEnv;
use crate::support::fault_proxy::{FaultProxy, ProxyAction};
use crate::support::messages::{append_to_topics, channel_message, web3mq_message};
use crate::support::postgres_env::PostgresEnv;

/// More than five windows of Agora's.
const IMPORTED: i64 = 22_000;

/// A second of the past, in milliseconds.
fn second_ago(env: &TestEnv, ago: Duration) -> i64 {
    env.world().now().minus(ago).second().start().0
}

/// Sends messages to a channel within one second: `per_ms` in each millisecond, and every third
/// with the same text as the one before.
fn import(env: &TestEnv, channel: &str, second_ms: i64, per_ms: i64) {
    for n in 0..IMPORTED {
        let text = format!("number {}", n - n % 3 / 2);
        let message = channel_message("alice", channel, second_ms + n / per_ms, &text);
        env.world().append_agora("sandbox", message).unwrap();
    }
}

fn lobby(env: TestEnv) -> TestEnv {
    let since = Millis(second_ago(&env, Duration::from_hours(3)));
    env.with_only("agora")
        .with_agora_streams(&[to("lobby")])
        .with_account_setting("since", since.to_string())
        .with_settle("1s")
}

fn assert_sealed_whole(env: &TestEnv, edge: Millis) {
    env.assert_archive_equals_truth(edge);
    assert_eq!(env.query_number("SELECT count(*) FROM gaps"), 0);
    let suspect = "SELECT count(*) FROM coverage WHERE state = 'suspect'";
    assert_eq!(env.query_number(suspect), 0);
    env.run(&["verify", "--remote"]).assert_ok();
}

#[test]
fn bulk_import_within_one_second_is_archived_in_parts() {
    for per_ms in [IMPORTED / 900, IMPORTED] {
        let env = lobby(TestEnv::without_messages(&[]));
        import(
            &env,
            "lobby",
            second_ago(&env, Duration::from_hours(2)),
            per_ms,
        );
        env.append_message("lobby", "before", Duration::from_mins(150));
        env.append_message("lobby", "later", Duration::from_hours(1));
        let edge = env.settled_edge();
        env.sync().assert_ok();
        assert_sealed_whole(&env, edge);
        env.assert_no_rule_broken();
    }
}

#[test]
fn postgres_takes_a_bulk_import_in_parts_as_well() {
    let PostgresEnv { env, url } =
        PostgresEnv::start(&["--messages", "0", "--topic-messages", "0"]);
    let env = lobby(env);
    import(&env, "lobby", second_ago(&env, Duration::from_hours(2)), 25);
    env.sync().assert_ok();
    let archive = PostgresEnv { env, url };
    assert_eq!(
        archive.query_number("SELECT count(*) FROM archive"),
        IMPORTED
    );
    archive.env.run(&["verify", "--remote"]).assert_ok();
}

#[test]
fn bulk_import_in_a_topic_is_archived_in_parts() {
    let env = TestEnv::without_messages(&[])
        .with_only("web3mq")
        .with_settle("1s");
    let user = env.world().user_ids().remove(0);
    let second_ms = second_ago(&env, Duration::from_hours(2));
    for n in 0..8000 {
        let mut message = web3mq_message("group:import", second_ms + n / 10, None);
        message.messageid = format!("id-{n}");
        env.world().append_web3mq(&user, message).unwrap();
    }
    let env = with_topics(env, &["group:import"]);
    let edge = env.settled_edge();
    env.sync().assert_ok();
    assert_sealed_whole(&env, edge);
}

fn with_topics(mut env: TestEnv, topics: &[&str]) -> TestEnv {
    let topics: Vec<Table> = topics
        .iter()
        .map(|topic| Table::from_iter([("topic".to_owned(), (*topic).into())]))
        .collect();
    env.config_mut().set_streams("web3mq", &topics);
    env
}

/// Refuses queries once `left` of them have passed.
fn with_limited_queries(env: TestEnv, left: &Arc<AtomicU64>) -> (TestEnv, FaultProxy) {
    let left = left.clone();
    env.behind_proxy(move |_, request| {
        let is_query = request.endpoint() == "query";
        let take = |left: u64| left.checked_sub(1);
        if is_query
            && left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                .is_err()
        {
            return ProxyAction::reply(400, r#"{"message":"no more"}"#);
        }
        ProxyAction::Forward
    })
}

#[test]
fn import_that_is_broken_off_is_kept_and_resumed() {
    let env = lobby(TestEnv::without_messages(&[]));
    import(&env, "lobby", second_ago(&env, Duration::from_hours(2)), 25);
    let left = Arc::new(AtomicU64::new(400));
    let (env, proxy) = with_limited_queries(env, &left);
    let edge = env.settled_edge();
    env.sync().assert_incomplete();
    let kept = env.query_number("SELECT count(*) FROM archive");
    assert!((8000..IMPORTED).contains(&kept), "{kept} messages are kept");

    left.store(u64::MAX, Ordering::Relaxed);
    let before = proxy.count_requests(|request| request.endpoint() == "query");
    env.sync().assert_ok();
    let queries = proxy.count_requests(|request| request.endpoint() == "query") - before;
    // The window behind the second reads it as well, as its margin.
    let rest = 2 * (IMPORTED - kept) as usize / 100;
    assert!(queries < rest + 30, "{queries} queries for {rest} pages");
    assert_sealed_whole(&env, edge);
}

/// Another stream has archived other messages of the same second: the position counts wrongly, and
/// the second is read from its start.
#[test]
fn messages_of_another_stream_do_not_shift_a_resumed_import() {
    let env = lobby(TestEnv::without_messages(&[]));
    let second_ms = second_ago(&env, Duration::from_hours(2));
    for n in 0..IMPORTED {
        let sender = if n % 2 == 0 { "alice" } else { "bob" };
        let message = channel_message(sender, "lobby", second_ms + n / 25, &format!("number {n}"));
        env.world().append_agora("sandbox", message).unwrap();
    }
    let env = env.with_agora_streams(&[crate::support::config::from("alice")]);
    env.sync().assert_ok();
    let env = env.with_agora_streams(&[to("lobby")]);
    let edge = env.settled_edge();
    env.sync().assert_ok();
    assert_sealed_whole(&env, edge);
}

#[test]
fn topic_without_an_end_does_not_starve_the_others() {
    let flags = ["--total", "absent", "--endless-topic", "group:endless"];
    let env = TestEnv::without_messages(&flags)
        .with_only("web3mq")
        .with_settle("1s");
    append_to_topics(&env, &["group:endless", "group:sound"], 60);
    let env = with_topics(env, &["group:endless", "group:sound"]);
    env.sync()
        .assert_incomplete()
        .assert_prints("the topic has no end");
    let sound = "SELECT count(*) FROM archive WHERE conversation = 'group:sound'";
    assert_eq!(env.query_number(sound), 60);
    let rules = env.assert_no_rule_broken();
    assert!(rules.requests() < 200, "{rules:?}");
}
