//! Messages that appear, vanish or change after their window was sealed: reconcile, refresh,
//! requeue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backscroll::domain::clock::{Clock, SystemClock};
use backscroll::domain::time::Millis;
use backscroll::sandbox::{AgoraMessage, RecipientKind, Web3mqMessage, Web3mqStatus};
use backscroll::store::{Archive, IfMissing, SqliteStore, Tally};
use backscroll::sync::{Engine, HistoryBounds, Purpose};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::config::{EVERY_SECOND_SCHEDULE, to};
use crate::support::daemon_process::{DaemonProcess, archive_is_ready};
use crate::support::env::{TestEnv, wait_until};
use crate::support::fault_proxy::ProxyAction;
use crate::support::messages::web3mq_message;
use crate::support::sandbox_providers::sandbox_providers;

const SYNC: Purpose = Purpose::Sync(HistoryBounds {
    since: None,
    until: None,
});

/// Runs a pass with a new engine. Returns the numbers of requests, of new and of changed messages.
#[track_caller]
fn run_pass(env: &TestEnv, purpose: Purpose) -> (u64, u64, u64) {
    env.block_on(async {
        let store = Arc::new(
            SqliteStore::open(&env.archive_path(), IfMissing::Create)
                .await
                .unwrap(),
        );
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut engine = Engine::new(sandbox_providers(env), store.clone(), &clock);
        let reports = engine
            .pass(purpose, &CancellationToken::new())
            .await
            .unwrap();
        store.close().await;
        for report in &reports {
            assert!(report.failure.is_none(), "{report:?}");
        }
        let sum =
            |figure: fn(&Tally) -> u64| reports.iter().map(|report| figure(&report.tally)).sum();
        (
            sum(|tally| tally.requests),
            sum(|tally| tally.new),
            sum(|tally| tally.changed),
        )
    })
}

/// Panics unless every ledger row equals the archive and the provider's count.
#[track_caller]
fn assert_complete(env: &TestEnv, edge: Millis) {
    assert_no_row(env, edge, "messages <> provider_count");
}

/// Panics if a ledger row has fewer messages than the provider counted. It may have more: messages
/// that came after the count may have come from another stream.
#[track_caller]
fn assert_nothing_short(env: &TestEnv, edge: Millis) {
    assert_no_row(env, edge, "messages < provider_count");
}

#[track_caller]
fn assert_no_row(env: &TestEnv, edge: Millis, odd: &str) {
    env.assert_archive_equals_truth(edge);
    let found: Vec<(String, String, i64, Option<i64>)> = env.query_rows(&format!(
        "SELECT stream, state, messages, provider_count FROM coverage WHERE state <> 'sealed' OR {odd}"
    ));
    assert_eq!(found, []);
}

/// Archives a channel with messages on and around every whole second for some minutes, then adds
/// stragglers on the edges of ledger rows and reconciles.
fn stragglers_on_every_edge(flags: &[&str]) {
    // The history is longer than one window.
    const SECONDS: i64 = 3000;
    let env = TestEnv::without_messages(flags).with_only("agora");
    let begin = env.world().now().second().0 - SECONDS - 200;
    for second in begin..begin + SECONDS {
        for beside in [-1, 0, 1] {
            env.append_message_at("lobby", &format!("{beside} beside"), second * 1000 + beside);
        }
    }
    let edge = env.settled_edge();
    run_pass(&env, SYNC);
    env.assert_archive_equals_truth(edge);

    let rows: Vec<(i64,)> = env.query_rows(
        "SELECT w.from_s FROM sealed_window w JOIN stream s ON s.id = w.stream_id
         WHERE s.key = 'destination=lobby' AND messages > 0 ORDER BY 1",
    );
    assert!(rows.len() > 1, "{rows:?}");
    let cuts = rows.iter().map(|row| row.0).skip(1).chain([begin + 333]);
    for cut in cuts {
        for beside in [-1, 0, 1, 500] {
            env.append_message_at("lobby", "late", cut * 1000 + beside);
        }
    }
    let late = env.world().agora_messages("sandbox").len() as i64 - 3 * SECONDS;
    let (_, new, _) = run_pass(&env, Purpose::Reconcile);
    assert_eq!(i64::try_from(new).unwrap(), late);
    assert_complete(&env, edge);

    let reads = env.sandbox.rules().total.read;
    assert_eq!(run_pass(&env, Purpose::Reconcile).1, 0);
    let again = env.sandbox.rules().total.read - reads;
    assert!(
        again <= 8,
        "{again} reads although only the meaning of bounds is unknown"
    );
    env.assert_no_rule_broken();
}

#[test]
fn stragglers_are_found_with_inclusive_bounds() {
    stragglers_on_every_edge(&[]);
}

#[test]
fn stragglers_are_found_with_exclusive_bounds() {
    stragglers_on_every_edge(&["--start", "exclusive", "--end", "exclusive"]);
}

#[test]
fn stragglers_are_found_with_exclusive_end() {
    stragglers_on_every_edge(&["--end", "exclusive"]);
}

#[test]
fn stragglers_are_found_with_whole_second_bounds() {
    stragglers_on_every_edge(&["--seconds"]);
}

#[test]
fn stragglers_are_found_with_exclusive_whole_second_bounds() {
    stragglers_on_every_edge(&["--seconds", "--start", "exclusive", "--end", "exclusive"]);
}

#[test]
fn stragglers_are_found_with_exclusive_whole_second_start() {
    stragglers_on_every_edge(&["--seconds", "--start", "exclusive"]);
}

/// Appends this many messages, a second apart until a minute ago, to a group of the first user.
fn append_group(env: &TestEnv, count: i64) -> (String, String, i64) {
    let user = env.world().user_ids()[0].clone();
    let topic = env
        .world()
        .web3mq_topics(&user)
        .into_keys()
        .find(|topic| topic.starts_with("group:"))
        .unwrap();
    let begin = env.world().now().0 - (60 + count) * 1000;
    for n in 0..count {
        env.world()
            .append_web3mq(
                &user,
                web3mq_message(&topic, begin + n * 1000, Some(Web3mqStatus::Received)),
            )
            .unwrap();
    }
    (user, topic, begin)
}

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

/// Archives while `change` changes the history at every `step`th request, then reconciles.
fn archived_while_changing(
    env: TestEnv,
    step: u32,
    change: impl Fn(&backscroll::sandbox::World, u32) + Send + Sync + 'static,
) -> TestEnv {
    let seen = AtomicU32::new(0);
    let (env, _middleman) = env.behind_proxy(move |world, _| {
        let seen = seen.fetch_add(1, Ordering::Relaxed);
        if seen.is_multiple_of(step) && seen / step <= 8 {
            change(world, seen / step);
        }
        ProxyAction::Forward
    });
    env.sync();
    // Several passes settle suspect windows and windows sealed before their stragglers came.
    for _ in 0..3 {
        run_pass(&env, SYNC);
        run_pass(&env, Purpose::Reconcile);
    }
    env
}

#[test]
fn inserts_around_the_page_being_read_lose_and_duplicate_nothing() {
    for snapshot in ["post", "get"] {
        let env = TestEnv::new(&[
            "--messages",
            "1500",
            "--topic-messages",
            "0",
            "--plain",
            "--snapshot",
            snapshot,
        ])
        .with_only("agora")
        .with_settle("1s");
        let (first, last) = (
            env.world().agora_messages("sandbox")[0].ms,
            env.world().now().0 - 60_000,
        );
        let env = archived_while_changing(env, 7, move |world, n| {
            for ms in [first + 1, first + (last - first) / 13 * i64::from(n), last] {
                let (src, dst) = ("alice".to_owned(), "lobby".to_owned());
                let message = AgoraMessage {
                    src,
                    dst,
                    kind: RecipientKind::Channel,
                    ms,
                    payload: format!("{n}").into(),
                };
                world.append_agora("sandbox", message).unwrap();
            }
        });
        let edge = env.settled_edge();
        assert_nothing_short(&env, edge);
    }
}

#[test]
fn expiry_during_paging_loses_and_duplicates_nothing_else() {
    let env = TestEnv::new(&["--messages", "1500", "--topic-messages", "0", "--plain"])
        .with_only("agora")
        .with_settle("1s");
    let begin = env.world().agora_messages("sandbox")[0].ms;
    let step = (env.world().now().0 - begin) / 40;
    let env = archived_while_changing(env, 6, move |world, n| {
        world.expire_before(Millis(begin + step * i64::from(n)));
    });
    let left = begin + step * 13;
    let held: Vec<(i64, i64)> = env
        .query_rows("SELECT sent_at_ms, count(*) FROM archive GROUP BY sender, recipient, sent_at_ms, payload, occurrence");
    assert!(
        held.iter().all(|(_, times)| *times == 1),
        "no message is duplicated"
    );
    let truth = env
        .world()
        .agora_messages("sandbox")
        .iter()
        .filter(|message| message.ms >= left)
        .count();
    assert_eq!(
        held.iter().filter(|(ms, _)| *ms >= left).count(),
        truth,
        "all messages that had not expired"
    );
}

#[test]
fn topic_changing_during_paging_loses_and_duplicates_nothing() {
    let env = TestEnv::without_messages(&[])
        .with_only("web3mq")
        .with_settle("1s");
    let (user, topic, begin) = append_group(&env, 1800);
    let (world_user, world_topic) = (user.clone(), topic.clone());
    let env = archived_while_changing(env, 5, move |world, n| {
        let n = i64::from(n);
        for ms in [begin + n * 100_000 + 1, begin + 1_799_500] {
            let message = Web3mqMessage {
                messageid: format!("late-{n}-{ms}"),
                ..web3mq_message(&world_topic, ms, None)
            };
            world.append_web3mq(&world_user, message).unwrap();
        }
        world
            .remove_web3mq(
                &world_user,
                &world_topic,
                &format!("id-{}", begin + n * 1000),
            )
            .unwrap();
    });
    let ids = |sql: &str| env.query_rows::<(String,)>(sql);
    let held = ids("SELECT provider_message_id FROM archive ORDER BY 1");
    let mut distinct = held.clone();
    distinct.dedup();
    assert_eq!(held.len(), distinct.len(), "no message is duplicated");
    for row in &env.world().web3mq_topics(&user)[&topic] {
        assert!(
            held.binary_search(&(row.messageid.clone(),)).is_ok(),
            "{} is missing",
            row.messageid
        );
    }
    assert_eq!(
        env.query_number("SELECT count(*) FROM coverage WHERE state = 'suspect'"),
        0
    );
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
    // The first of the two passes has found the late message of the group and the new statuses.
    wait_until("the record", || {
        let refreshed: (i64, i64) = env.query_row(&format!(
            "{runs} WHERE why = 'refresh' AND finished_at IS NOT NULL"
        ));
        let reconciled: (i64, i64) = env.query_row(&format!("{runs} WHERE why = 'reconcile'"));
        (refreshed.0 + reconciled.0, refreshed.1 + reconciled.1) == (2, 50) && reconciled.0 >= 1
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
        "INSERT INTO quarantine (account_id, hash, stream_id, from_s, to_s, found_at_ms, reason, raw)
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

    let output = env.run(&["requeue"]).assert_ok();
    let output = output
        .assert_prints("sandbox: 1 understood and archived, 1 left")
        .assert_prints("web3mq-1: 1 understood and archived, 0 left");
    assert!(
        !output.stdout.contains('?') && !output.stderr.contains("odd"),
        "no text of a message is printed: {output:?}"
    );
    env.assert_archive_equals_truth(edge);
    let left: Vec<(String,)> = env.query_rows("SELECT reason FROM quarantine");
    assert_eq!(left, [("no `dst`".to_owned(),)]);
    let held: (i64, i64) = env.query_row(
        "SELECT messages, provider_count FROM coverage WHERE stream = 'destination=lobby'",
    );
    assert_eq!(held, (2, 3), "one message stays that the provider counts");
    let status: Value =
        serde_json::from_str(&env.run(&["status", "--json"]).assert_ok().stdout).unwrap();
    let lobby = status
        .as_array()
        .unwrap()
        .iter()
        .find(|stream| stream["stream"] == "destination=lobby")
        .unwrap();
    assert_eq!(lobby["quarantined"], 1);
    env.run(&["requeue"])
        .assert_ok()
        .assert_prints("sandbox: 0 understood and archived, 1 left");
}
