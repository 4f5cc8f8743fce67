//! Histories that change while their pages are read.

use std::sync::atomic::{AtomicU32, Ordering};

use backscroll::domain::time::Millis;
use backscroll::sandbox::Web3mqMessage;
use backscroll::sync::Purpose;

use crate::support::env::TestEnv;
use crate::support::fault_proxy::ProxyAction;
use crate::support::messages::{channel_message, web3mq_message};
use crate::support::passes::{SYNC, append_group, assert_nothing_short, run_pass};

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
                let message = channel_message("alice", "lobby", ms, &n.to_string());
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
