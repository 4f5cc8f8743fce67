//! Messages that appear, vanish or change after their window was sealed: reconcile, refresh,
//! requeue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backscroll::sandbox::Web3mqStatus;
use backscroll::sync::Purpose;
use serde_json::Value;

use crate::support::config::{EVERY_SECOND_SCHEDULE, to};
use crate::support::daemon_process::{DaemonProcess, archive_is_ready};
use crate::support::env::{TestEnv, wait_until};
use crate::support::fault_proxy::ProxyAction;
use crate::support::messages::web3mq_message;
use crate::support::passes::{SYNC, append_group, assert_complete, run_pass};

#[test]
fn topic_with_a_matching_total_costs_one_request() {
    let env = TestEnv::without_messages(&[]).with_only("web3mq");
    append_group(&env, 700);
    run_pass(&env, SYNC);
    let topics = env.query_number("SELECT count(*) FROM stream WHERE key LIKE 'topic=%'");
    env.world().rules().reset();
    run_pass(&env, Purpose::Reconcile);
    let history = env.sandbox.rules().total.history as i64;
    assert_eq!(
        history,
        topics + 1,
        "one for each topic, and one credentials check"
    );
}

#[test]
fn late_message_of_a_node_is_found_by_the_total() {
    let env = TestEnv::without_messages(&[]).with_only("web3mq");
    let (user, topic, begin) = append_group(&env, 2500);
    let edge = env.settled_edge();
    run_pass(&env, SYNC);
    for ms in [begin - 77, begin + 400_500, begin + 2_498_001] {
        env.world()
            .append_web3mq(&user, web3mq_message(&topic, ms, None))
            .unwrap();
    }
    env.world().rules().reset();
    let (requests, new, _) = run_pass(&env, Purpose::Reconcile);
    assert_eq!(new, 3);
    assert!(requests < 60, "{requests} requests");
    assert_complete(&env, edge);
    assert_eq!(
        env.query_number("SELECT new FROM runs WHERE why = 'reconcile' AND account LIKE 'web3mq%'"),
        3
    );
}

#[test]
fn message_removed_by_a_node_stays_archived_and_is_refetched_once() {
    let env = TestEnv::without_messages(&[]).with_only("web3mq");
    let (user, topic, begin) = append_group(&env, 600);
    run_pass(&env, SYNC);
    assert_eq!(
        env.world()
            .remove_web3mq(&user, &topic, &format!("id-{}", begin + 300_000))
            .unwrap(),
        1
    );
    run_pass(&env, Purpose::Reconcile);
    assert_eq!(env.query_number("SELECT count(*) FROM archive"), 600);
    let known: (i64, i64) =
        env.query_row("SELECT messages, provider_count FROM coverage WHERE messages > 0");
    assert_eq!(known, (600, 599));
    env.world().rules().reset();
    run_pass(&env, Purpose::Reconcile);
    let topics = env.query_number("SELECT count(*) FROM stream WHERE key LIKE 'topic=%'");
    assert_eq!(env.sandbox.rules().total.history as i64, topics + 1);

    // A late message in such a row is still found.
    env.world()
        .append_web3mq(&user, web3mq_message(&topic, begin + 5001, None))
        .unwrap();
    assert_eq!(run_pass(&env, Purpose::Reconcile).1, 1);
    let known: (i64, i64) =
        env.query_row("SELECT messages, provider_count FROM coverage WHERE messages > 0");
    assert_eq!(known, (601, 600));
}

#[test]
fn suspect_window_is_sealed_once_a_refetch_matches() {
    let env = TestEnv::new(&["--messages", "300", "--topic-messages", "0", "--plain"])
        .with_only("agora")
        .with_settle("1s");
    let edge = env.settled_edge();
    // Every page misses its last message, and no count reveals it.
    let (lying, _middleman) = env.behind_proxy(|_, request| match request.endpoint() {
        "read" => ProxyAction::rewrite_json(|answer| {
            drop(answer["messages"].as_array_mut().and_then(Vec::pop));
        }),
        _ => ProxyAction::Forward,
    });
    lying.sync().assert_prints("suspect");
    let suspects =
        "SELECT count(*) FROM coverage WHERE state = 'suspect' AND reason LIKE '%counts%serves%'";
    assert!(lying.query_number(suspects) > 0);
    assert!(lying.query_number("SELECT count(*) FROM archive") < 300);
    run_pass(&lying, Purpose::Reconcile);
    assert_complete(&lying, edge);
}

#[test]
fn suspect_window_is_refetched_by_the_next_sync() {
    let env = TestEnv::new(&["--messages", "300", "--topic-messages", "0", "--plain"])
        .with_only("agora")
        .with_settle("1s");
    // The retention edge moves on, and what expires stays suspect.
    let since = env.world().now().minus(Duration::from_hours(6 * 24));
    let env = env.with_account_setting("since", since.to_string());
    let edge = env.settled_edge();
    let is_lying = Arc::new(AtomicBool::new(true));
    let seen = is_lying.clone();
    let (env, _middleman) = env.behind_proxy(move |_, request| match request.endpoint() {
        "read" if seen.load(Ordering::Relaxed) => ProxyAction::rewrite_json(|answer| {
            drop(answer["messages"].as_array_mut().and_then(Vec::pop));
        }),
        _ => ProxyAction::Forward,
    });
    env.sync().assert_incomplete().assert_prints("in doubt");
    is_lying.store(false, Ordering::Relaxed);
    wait_until("a sync without doubts", || {
        let output = env.sync();
        let suspects = "SELECT count(*) FROM coverage WHERE state = 'suspect'";
        assert_eq!(output.code == Some(0), env.query_number(suspects) == 0);
        output.code == Some(0)
    });
    assert_complete(&env, edge);
}

#[test]
fn refresh_updates_statuses_until_read() {
    let env = TestEnv::without_messages(&[]).with_only("web3mq");
    append_group(&env, 300);
    run_pass(&env, SYNC);
    let statuses = |word: &str| {
        env.query_number(&format!(
            "SELECT count(*) FROM archive WHERE status = '{word}'"
        ))
    };
    assert_eq!(statuses("received"), 300);
    for word in ["delivered", "read"] {
        env.world().advance_statuses();
        assert_eq!(run_pass(&env, Purpose::Refresh).2, 300);
        assert_eq!(statuses(word), 300);
    }
    env.world().rules().reset();
    assert_eq!(
        run_pass(&env, Purpose::Refresh),
        (2, 0, 0),
        "without unread messages only the credentials are checked"
    );
    let changed = "SELECT changed FROM runs WHERE why = 'refresh' AND account LIKE 'web3mq%' ORDER BY started_at";
    assert_eq!(env.query_rows::<(i64,)>(changed), [(300,), (300,), (0,)]);
    assert_eq!(
        env.query_number("SELECT count(*) FROM coverage WHERE messages <> provider_count"),
        0
    );
}

#[test]
fn refresh_fetches_only_windows_with_unread_messages() {
    let env = TestEnv::without_messages(&[]).with_only("web3mq");
    let (user, topic, begin) = append_group(&env, 1);
    for n in 1..900 {
        env.world()
            .append_web3mq(
                &user,
                web3mq_message(&topic, begin - n * 1000, Some(Web3mqStatus::Read)),
            )
            .unwrap();
    }
    run_pass(&env, SYNC);
    env.world().rules().reset();
    run_pass(&env, Purpose::Refresh);
    let history = env.sandbox.rules().total.history;
    assert!(history <= 4, "{history} requests for one message of 900");
}

#[test]
fn daemon_reconciles_and_refreshes_on_schedule() {
    let every_other = "*/2 * * * * *";
    let env = TestEnv::without_messages(&[])
        .with_schedule("sync", EVERY_SECOND_SCHEDULE)
        .with_schedule("reconcile", every_other);
    let env = env
        .with_schedule("refresh", every_other)
        .with_settle("1s")
        .with_agora_streams(&[to("lobby")]);
    let (user, topic, begin) = append_group(&env, 50);
    env.append_message("lobby", "in time", Duration::from_secs(100));
    let edge = env.settled_edge();
    let mut daemon = DaemonProcess::start(&env);
    wait_until("the first messages", || {
        archive_is_ready(&env)
            && env.query_number("SELECT count(*) FROM coverage WHERE messages > 0") > 1
    });
    env.append_message("lobby", "late", Duration::from_secs(99));
    env.world()
        .append_web3mq(&user, web3mq_message(&topic, begin + 500, None))
        .unwrap();
    env.world().advance_statuses();
    wait_until("the late messages", || {
        env.query_number("SELECT count(*) FROM archive") == 53
    });
    wait_until("the delivered statuses", || {
        env.query_number("SELECT count(*) FROM archive WHERE status = 'delivered'") == 50
    });
    let runs = "SELECT CAST(coalesce(sum(new), 0) AS INTEGER), CAST(coalesce(sum(changed), 0) AS INTEGER) FROM runs";
    // Any pass may have found the late message of the group and the new statuses.
    wait_until("the record", || {
        let all: (i64, i64) = env.query_row(&format!("{runs} WHERE finished_at IS NOT NULL"));
        let reconciled: (i64, i64) = env.query_row(&format!("{runs} WHERE why = 'reconcile'"));
        all == (53, 50) && reconciled.0 >= 1
    });
    wait_until("a refresh", || {
        env.query_number("SELECT count(*) FROM runs WHERE why = 'refresh' AND finished_at > ''") > 0
    });
    daemon.signal("-TERM");
    let (code, said) = daemon.wait_for_exit();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("reconcile"), "{said}");
    env.assert_archive_equals_truth(edge);
    env.assert_no_rule_broken();
}

/// Puts a message into quarantine like an older version that could not parse it; the provider
/// counted it.
fn quarantine_raw(env: &TestEnv, stream: &str, raw: &Value, ms: i64) {
    let raw = raw.to_string();
    let hash = hex::encode(&blake3::hash(raw.as_bytes()).as_bytes()[..16]);
    let (of_stream, second) = (
        format!("(SELECT id FROM stream WHERE key = '{stream}')"),
        ms / 1000,
    );
    env.execute_sql(&format!(
        "INSERT INTO quarantined_message (account_id, hash, stream_id, from_s, to_s, found_at_ms, reason, raw)
         SELECT account_id, x'{hash}', id, {second}, {second} + 1, 0, 'not understood then', '{raw}'
         FROM stream WHERE key = '{stream}'"
    ));
    env.execute_sql(&format!(
        "UPDATE sealed_window SET provider_count = provider_count + 1
         WHERE stream_id = {of_stream} AND from_s <= {second} AND to_s > {second}"
    ));
}

#[test]
fn quarantined_message_is_archived_after_upgrade() {
    let env = TestEnv::without_messages(&[]);
    let (user, topic, begin) = append_group(&env, 20);
    let ms = env.world().now().0 - 500_000;
    env.append_message_at("lobby", "hello", ms);
    let edge = env.settled_edge();
    let env = env.with_agora_streams(&[to("lobby")]).with_settle("1s");
    env.sync().assert_ok();

    env.append_message_at("lobby", "odd", ms + 1000);
    let odd = serde_json::json!({"src": "alice", "dst": "lobby", "ms": ms + 1000, "payload": "odd", "message_type": "group_message"});
    quarantine_raw(&env, "destination=lobby", &odd, ms + 1000);
    let message = web3mq_message(&topic, begin + 500, Some(Web3mqStatus::Read));
    env.world().append_web3mq(&user, message.clone()).unwrap();
    let odd = serde_json::json!({
        "from": message.from, "topic": topic, "messageid": message.messageid, "timestamp": message.ms,
        "payload": message.payload_text, "payload_type": message.payload_type, "cipher_suite": message.cipher_suite,
        "from_sign": message.from_sign, "version": 1,
        "message_status": {"status": "read", "timestamp": message.status_ms},
    });
    quarantine_raw(&env, &format!("topic={topic}"), &odd, begin + 500);
    quarantine_raw(
        &env,
        "destination=lobby",
        &serde_json::json!({"src": "alice", "payload": "?", "ms": ms}),
        ms,
    );
    quarantine_raw(
        &env,
        "destination=lobby",
        &serde_json::json!({"src": "alice", "dst": "Lobby", "payload": "?", "ms": ms}),
        ms,
    );

    let output = env.run(&["requeue"]).assert_ok();
    let output = output
        .assert_prints("sandbox: 1 understood and archived, 2 left")
        .assert_prints("web3mq-1: 1 understood and archived, 0 left");
    assert!(
        !output.stdout.contains('?') && !output.stderr.contains("odd"),
        "no text of a message is printed: {output:?}"
    );
    env.assert_archive_equals_truth(edge);
    let left: Vec<(String,)> = env.query_rows("SELECT reason FROM quarantine ORDER BY reason");
    let reasons = [
        "its names or its time are not those that were asked for",
        "no `dst`",
    ]
    .map(|reason| (reason.to_owned(),));
    assert_eq!(left, reasons);
    let held: (i64, i64) = env.query_row(
        "SELECT messages, provider_count FROM coverage WHERE stream = 'destination=lobby'",
    );
    assert_eq!(held, (2, 4), "two messages stay that the provider counts");
    let status: Value =
        serde_json::from_str(&env.run(&["status", "--json"]).assert_ok().stdout).unwrap();
    let lobby = status
        .as_array()
        .unwrap()
        .iter()
        .find(|stream| stream["stream"] == "destination=lobby")
        .unwrap();
    assert_eq!(lobby["quarantined"], 2);
    env.run(&["requeue"])
        .assert_ok()
        .assert_prints("sandbox: 0 understood and archived, 2 left");
}
