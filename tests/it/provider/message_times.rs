//! Times of messages at the edges of each unit's range: each is archived with the time that its unit
//! gives, or is in quarantine with the reason. No other message suffers.

use serde_json::{Value, json};

use crate::support::config::to;
use crate::support::env::TestEnv;
use crate::support::fault_proxy::{FaultProxy, ProxyAction};
use crate::support::messages::channel_message;
use crate::support::passes::append_group;
use crate::support::postgres_env::PostgresEnv;

const MESSAGES: i64 = 250;
/// The number of sound messages before the first odd one, and from each odd one to the next.
const STEP: i64 = 10;

const TOO_EARLY: &str = "a time before 1970";
const TOO_LATE: &str = "a time after 9999, or in an unknown unit";
const NO_TIME: &str = "not a time";

/// Times as a provider may send them, and as they are archived, in milliseconds.
fn times() -> Vec<(Value, Result<i64, &'static str>)> {
    const YEAR_2000_MS: i64 = 946_684_800_000;
    const YEAR_10000_MS: i64 = 253_402_300_800_000;
    vec![
        (json!(i64::MIN), Err(TOO_EARLY)),
        (json!(-1), Err(TOO_EARLY)),
        (json!(0), Ok(0)),
        (json!(99_999_999_999_i64), Ok(99_999_999_999_000)),
        (json!(100_000_000_000_i64), Ok(100_000_000_000)),
        (json!(YEAR_10000_MS - 1), Ok(YEAR_10000_MS - 1)),
        (json!(YEAR_10000_MS), Err(TOO_LATE)),
        (json!(1000 * YEAR_2000_MS - 1), Err(TOO_LATE)),
        (json!(1000 * YEAR_2000_MS), Ok(YEAR_2000_MS)),
        (json!(1000 * YEAR_10000_MS - 1), Ok(YEAR_10000_MS - 1)),
        (json!(1000 * YEAR_10000_MS), Err(TOO_LATE)),
        (json!(1_000_000 * YEAR_2000_MS - 1), Err(TOO_LATE)),
        (json!(1_000_000 * YEAR_2000_MS + 999_999), Ok(YEAR_2000_MS)),
        (json!(i64::MAX), Ok(9_223_372_036_854)),
        (json!(u64::MAX), Err(TOO_LATE)),
        (json!(1e300), Err(TOO_LATE)),
        (json!(-0.5), Err(TOO_EARLY)),
        (json!("-1"), Err(TOO_EARLY)),
        (json!("253402300800000"), Err(TOO_LATE)),
        (json!("1969-12-31T23:59:59.999Z"), Err(TOO_EARLY)),
        (json!("10000-01-01T00:00:00Z"), Err(NO_TIME)),
    ]
}

/// Puts the odd times into the items of a list, each into that of its number.
fn replace_times(items: Option<&mut Vec<Value>>, field: &str, number: impl Fn(&Value) -> i64) {
    for item in items.into_iter().flatten() {
        let number = number(item);
        if number < STEP || number % STEP != 0 {
            continue;
        }
        if let Some((time, _)) = times().get((number / STEP - 1) as usize) {
            item[field] = time.clone();
        }
    }
}

/// One topic of Web3MQ.
fn with_odd_topic(env: TestEnv) -> (TestEnv, FaultProxy) {
    let env = env.with_only("web3mq");
    let (.., begin) = append_group(&env, MESSAGES);
    env.behind_proxy(move |_, request| match request.endpoint() {
        "history" => ProxyAction::rewrite_json(move |answer| {
            let rows = answer["data"]["result"].as_array_mut();
            replace_times(rows, "timestamp", |row| {
                row["timestamp"]
                    .as_i64()
                    .map_or(0, |ms| (ms - begin) / 1000)
            });
        }),
        _ => ProxyAction::Forward,
    })
}

/// One channel of Agora.
fn with_odd_channel(env: TestEnv) -> (TestEnv, FaultProxy) {
    let env = env.with_only("agora").with_agora_streams(&[to("lobby")]);
    let begin = env.world().now().0 - 3_600_000;
    for n in 0..MESSAGES {
        let message = channel_message("alice", "lobby", begin + 1000 * n, &n.to_string());
        env.world().append_agora("sandbox", message).unwrap();
    }
    env.behind_proxy(|_, request| match request.endpoint() {
        "read" => ProxyAction::rewrite_json(|answer| {
            let items = answer["messages"].as_array_mut();
            replace_times(items, "ms", |item| {
                item["payload"]
                    .as_str()
                    .map_or(0, |text| text.parse().unwrap())
            });
        }),
        _ => ProxyAction::Forward,
    })
}

/// Returns the archived times that a topic with the odd times should have, beside those of its sound
/// messages. A topic holds messages of any time.
fn odd_times_of_topic() -> Vec<(i64,)> {
    let mut archived: Vec<(i64,)> = times()
        .into_iter()
        .filter_map(|(_, time)| Some((time.ok()?,)))
        .collect();
    archived.sort_unstable();
    archived
}

/// Returns the reasons in quarantine, with their numbers. `others` is the reason for a time that is
/// read and was not asked for.
fn reasons(others: Option<&'static str>) -> Vec<(String, i64)> {
    let mut reasons: Vec<(String, i64)> = Vec::new();
    for (_, time) in times() {
        let reason = match time {
            Ok(_) => others,
            Err(reason) => Some(reason),
        };
        let Some(reason) = reason else { continue };
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((reason.to_owned(), 1)),
        }
    }
    reasons.sort();
    reasons
}

const NOT_REQUESTED: &str = "its names or its time are not those that were asked for";
const QUARANTINED: &str = "SELECT reason, count(*) FROM quarantine GROUP BY reason";
const COUNT: &str = "SELECT count(*) FROM archive";

fn sorted(mut rows: Vec<(String, i64)>) -> Vec<(String, i64)> {
    rows.sort();
    rows
}

/// Returns the statement for the archived times that lie outside of the last day.
fn odd_times(env: &TestEnv) -> String {
    let now = env.world().now().0;
    let day = 86_400_000;
    format!(
        "SELECT sent_at_ms FROM archive WHERE sent_at_ms NOT BETWEEN {} AND {} ORDER BY sent_at_ms",
        now - day,
        now + day
    )
}

#[test]
fn times_of_a_topic_are_archived_up_to_the_edges_of_each_unit() {
    let (env, _proxy) = with_odd_topic(TestEnv::without_messages(&[]));
    env.sync().assert_ok();
    let unreadable: i64 = reasons(None).iter().map(|(_, count)| count).sum();
    assert_eq!(
        env.query_rows::<(i64,)>(&odd_times(&env)),
        odd_times_of_topic()
    );
    assert_eq!(sorted(env.query_rows(QUARANTINED)), reasons(None));
    assert_eq!(env.query_number(COUNT), MESSAGES - unreadable);
    env.run(&["verify", "--remote"]).assert_ok();
    env.sync().assert_ok();
    assert_eq!(env.query_number(COUNT), MESSAGES - unreadable);
    env.run(&["requeue"])
        .assert_prints(&format!("0 understood and archived, {unreadable} left"));
}

#[test]
fn times_of_a_topic_are_archived_up_to_the_edges_of_each_unit_in_postgres() {
    let mut postgres = PostgresEnv::start(&["--messages", "0", "--topic-messages", "0"]);
    let (env, _proxy) = with_odd_topic(postgres.env);
    postgres.env = env;
    postgres.env.sync().assert_ok();
    let unreadable: i64 = reasons(None).iter().map(|(_, count)| count).sum();
    let archived = postgres.query_rows::<(i64,)>(&odd_times(&postgres.env));
    assert_eq!(archived, odd_times_of_topic());
    assert_eq!(sorted(postgres.query_rows(QUARANTINED)), reasons(None));
    assert_eq!(postgres.query_number(COUNT), MESSAGES - unreadable);
    postgres.env.run(&["verify", "--remote"]).assert_ok();
}

#[test]
fn times_of_a_channel_are_quarantined_with_their_reason() {
    let (env, _proxy) = with_odd_channel(TestEnv::without_messages(&[]));
    env.sync().assert_ok();
    assert_eq!(
        sorted(env.query_rows(QUARANTINED)),
        reasons(Some(NOT_REQUESTED))
    );
    assert_eq!(env.query_number(COUNT), MESSAGES - times().len() as i64);
    env.run(&["verify", "--remote"]).assert_ok();
}

#[test]
fn times_of_a_channel_are_quarantined_with_their_reason_in_postgres() {
    let mut postgres = PostgresEnv::start(&["--messages", "0", "--topic-messages", "0"]);
    let (env, _proxy) = with_odd_channel(postgres.env);
    postgres.env = env;
    postgres.env.sync().assert_ok();
    let quarantined = sorted(postgres.query_rows(QUARANTINED));
    assert_eq!(quarantined, reasons(Some(NOT_REQUESTED)));
    let archived = postgres.query_number(COUNT);
    assert_eq!(archived, MESSAGES - times().len() as i64);
}
