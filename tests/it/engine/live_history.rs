//! Histories that grow and change while they are archived.

use std::time::Duration;

use backscroll::sandbox::Web3mqStatus;

use crate::support::config::to;
use crate::support::env::TestEnv;
use crate::support::messages::web3mq_message;

#[test]
fn messages_sent_during_a_sync_are_archived_by_the_next() {
    let env = TestEnv::new(&["--append-rate", "40", "--total", "whole"]);
    for _ in 0..3 {
        env.assert_sync_archives_truth();
    }
    env.assert_no_rule_broken();
}

#[test]
fn growing_history_without_a_total_is_archived() {
    let env = TestEnv::new(&[
        "--append-rate",
        "15",
        "--total",
        "absent",
        "--snapshot",
        "get",
    ]);
    for _ in 0..2 {
        env.assert_sync_archives_truth();
    }
}

#[test]
fn second_sync_adds_new_messages_only() {
    let env = TestEnv::new(&[]);
    env.assert_sync_archives_truth();
    let before = env.query_number("SELECT count(*) FROM archive");
    for n in 0..7 {
        env.append_message("lobby", "one more", Duration::from_secs(20 + n));
    }
    env.assert_sync_archives_truth();
    assert_eq!(env.query_number("SELECT count(*) FROM archive"), before + 7);
}

#[test]
fn late_message_is_archived_while_its_range_is_unsettled() {
    let env = TestEnv::without_messages(&[]).with_only("agora");
    env.append_message("lobby", "in time", Duration::from_secs(90));
    let env = env.with_agora_streams(&[to("lobby")]);
    env.assert_sync_archives_truth();
    env.append_message("lobby", "late", Duration::from_secs(95));
    env.append_message("lobby", "in time", Duration::from_secs(91));
    env.assert_sync_archives_truth();
    assert_eq!(env.query_number("SELECT count(*) FROM archive"), 3);
}

#[test]
fn equal_message_gets_the_next_occurrence() {
    let env = TestEnv::without_messages(&[]).with_only("agora");
    let ms = env.world().now().0 - 60_000;
    env.append_message_at("lobby", "ok", ms);
    let env = env.with_agora_streams(&[to("lobby")]);
    env.assert_sync_archives_truth();
    env.append_message_at("lobby", "ok", ms);
    env.assert_sync_archives_truth();
    let occurrences: Vec<(i64,)> = env.query_rows("SELECT occurrence FROM archive ORDER BY 1");
    assert_eq!(occurrences, [(0,), (1,)]);
}

#[test]
fn status_of_recent_messages_is_updated() {
    let env = TestEnv::without_messages(&[]).with_only("web3mq");
    let user = env.world().user_ids()[0].clone();
    let topic = env
        .world()
        .web3mq_topics(&user)
        .into_keys()
        .find(|topic| topic.starts_with("group:"))
        .unwrap();
    let now = env.world().now().0;
    for (ago, status) in [
        (70, Some(Web3mqStatus::Received)),
        (60, Some(Web3mqStatus::Delivered)),
        (50, None),
    ] {
        env.world()
            .append_web3mq(&user, web3mq_message(&topic, now - ago * 1000, status))
            .unwrap();
    }
    let statuses = |env: &TestEnv| -> Vec<(Option<String>,)> {
        env.query_rows("SELECT status FROM archive ORDER BY sent_at_ms")
    };
    let said = |words: [Option<&str>; 3]| words.map(|word| (word.map(str::to_owned),)).to_vec();

    env.assert_sync_archives_truth();
    assert_eq!(
        statuses(&env),
        said([Some("received"), Some("delivered"), None])
    );
    env.world().advance_statuses();
    env.assert_sync_archives_truth();
    assert_eq!(
        statuses(&env),
        said([Some("delivered"), Some("read"), None])
    );
    env.world().advance_statuses();
    env.assert_sync_archives_truth();
    assert_eq!(statuses(&env), said([Some("read"), Some("read"), None]));
    assert_eq!(
        env.query_number("SELECT CAST(sum(changed) AS INTEGER) FROM runs"),
        3
    );
}

#[test]
fn status_never_moves_backward() {
    let env = TestEnv::without_messages(&[]).with_only("web3mq");
    let user = env.world().user_ids()[0].clone();
    let topic = env
        .world()
        .web3mq_topics(&user)
        .into_keys()
        .find(|topic| topic.starts_with("group:"))
        .unwrap();
    let ms = env.world().now().0 - 60_000;
    env.world()
        .append_web3mq(&user, web3mq_message(&topic, ms, Some(Web3mqStatus::Read)))
        .unwrap();
    env.assert_sync_archives_truth();
    // The same message as an outdated node shows it.
    let (env, _middleman) = env.behind_proxy(|_, _| {
        crate::support::fault_proxy::ProxyAction::rewrite_json(|answer| {
            if let Some(row) = answer["data"]["result"].get_mut(0) {
                row["message_status"]["status"] = "received".into();
            }
        })
    });
    env.sync().assert_ok();
    let statuses: Vec<(String,)> = env.query_rows("SELECT status FROM archive");
    assert_eq!(statuses, [("read".to_owned(),)]);
}
