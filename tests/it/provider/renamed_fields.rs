//! A Web3MQ node that names the fields of its messages otherwise: nothing that it counts vanishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backscroll::sync::Purpose;
use serde_json::Value;

use crate::support::env::{TestEnv, wait_until};
use crate::support::fault_proxy::ProxyAction;
use crate::support::passes::{append_group, assert_complete, run_pass};

const MESSAGES: i64 = 250;

fn archived(env: &TestEnv) -> i64 {
    env.query_number("SELECT count(*) FROM archive")
}

fn quarantined(env: &TestEnv) -> i64 {
    env.query_number("SELECT count(*) FROM quarantine")
}

#[test]
fn messages_that_cannot_be_read_are_quarantined_and_their_topic_is_in_doubt() {
    for fields in ["from", "payload", "timestamp", "from,timestamp"] {
        let env = TestEnv::without_messages(&["--rename-fields", fields]).with_only("web3mq");
        append_group(&env, MESSAGES);
        env.sync().assert_prints("suspect");
        assert_eq!(
            (archived(&env), quarantined(&env)),
            (0, MESSAGES),
            "{fields}"
        );
        let suspect = "SELECT count(*) FROM coverage
                       WHERE state = 'suspect' AND reason LIKE '%cannot be read%'
                          OR reason LIKE '%could not be read%'";
        assert!(env.query_number(suspect) > 0, "{fields}");
        let json = env.run(&["status", "--json"]).stdout;
        let status: Value = serde_json::from_str(&json).unwrap();
        let streams = status.as_array().unwrap();
        let sum = streams.iter().filter_map(|s| s["quarantined"].as_i64());
        assert_eq!(sum.sum::<i64>(), MESSAGES, "{fields}: {json}");
        env.run(&["verify"])
            .assert_prints("250 messages are in quarantine")
            .assert_prints("in doubt");
        env.run(&["verify", "--remote"])
            .assert_incomplete()
            .assert_prints("1 window is in doubt");
    }
}

/// Renames a field of the messages whose times a rule selects.
fn rename(answer: &mut Value, field: &str, is_selected: impl Fn(i64) -> bool) {
    let rows = answer["data"]["result"].as_array_mut();
    for row in rows.into_iter().flatten() {
        let is_selected = row["timestamp"].as_i64().is_some_and(&is_selected);
        if let Some(fields) = row.as_object_mut().filter(|_| is_selected) {
            let value = fields.remove(field).unwrap_or_default();
            fields.insert("renamed".to_owned(), value);
        }
    }
}

#[test]
fn messages_are_archived_once_the_node_answers_as_before() {
    let env = TestEnv::without_messages(&[])
        .with_only("web3mq")
        .with_settle("1s");
    append_group(&env, MESSAGES);
    let edge = env.settled_edge();
    let is_broken = Arc::new(AtomicBool::new(true));
    let seen = is_broken.clone();
    let (env, _proxy) = env.behind_proxy(move |_, request| {
        if request.endpoint() == "history" && seen.load(Ordering::Relaxed) {
            ProxyAction::rewrite_json(|answer| rename(answer, "timestamp", |_| true))
        } else {
            ProxyAction::Forward
        }
    });
    env.sync().assert_prints("suspect");
    assert_eq!((archived(&env), quarantined(&env)), (0, MESSAGES));
    is_broken.store(false, Ordering::Relaxed);
    // A window in doubt is left alone for as long as it has been in doubt.
    wait_until("the messages", || {
        run_pass(&env, Purpose::Reconcile);
        archived(&env) == MESSAGES
    });
    assert_complete(&env, edge);
}

/// Messages without a sender or without a time, one by one and in rows, at both ends and at the
/// bounds of pages: each is in quarantine, and all others are archived.
#[test]
fn message_without_a_field_costs_no_other() {
    let rules: [fn(i64) -> bool; 5] = [
        |n| n % 7 == 0,
        |n| !(3..MESSAGES - 3).contains(&n),
        |n| n % 100 < 2,
        |n| (90..140).contains(&n),
        |n| n == MESSAGES - 1,
    ];
    for (nth, is_odd) in rules.into_iter().enumerate() {
        for field in ["from", "timestamp"] {
            let env = TestEnv::without_messages(&[]).with_only("web3mq");
            let (.., begin) = append_group(&env, MESSAGES);
            let (env, _proxy) = env.behind_proxy(move |_, request| {
                if request.endpoint() != "history" {
                    return ProxyAction::Forward;
                }
                ProxyAction::rewrite_json(move |answer| {
                    rename(answer, field, |ms| is_odd((ms - begin) / 1000));
                })
            });
            env.sync().assert_ok();
            let odd = (0..MESSAGES).filter(|n| is_odd(*n)).count() as i64;
            let expected = (MESSAGES - odd, odd);
            assert_eq!(
                (archived(&env), quarantined(&env)),
                expected,
                "{nth} {field}"
            );
            env.run(&["verify"]).assert_ok();
            env.run(&["verify", "--remote"]).assert_ok();
        }
    }
}
