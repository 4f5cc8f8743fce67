//! A variant of Agora's API: a query for the messages to a user also brings the channel messages that
//! the user received.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backscroll::domain::time::Millis;
use backscroll::sandbox::{AgoraMessage, RecipientKind};
use serde_json::{Value, json};

use crate::support::config::{AGORA, table, to};
use crate::support::env::{CommandOutput, TestEnv};
use crate::support::fault_proxy::ProxyAction;
use crate::support::messages::channel_message;
use crate::support::postgres_env::PostgresEnv;

const FLAGS: [&str; 5] = [
    "--user-receives-channels",
    "--messages",
    "400",
    "--topic-messages",
    "0",
];

/// The number of ledger rows whose count is not that of the archived messages in their scope.
const FALSE_ROWS: &str = "
    SELECT count(*) FROM sealed_window w JOIN stream s ON s.id = w.stream_id
    WHERE s.conversation IS NULL AND w.messages <> (
        SELECT count(*) FROM archive a
        WHERE a.sent_at_ms >= w.from_s * 1000 AND a.sent_at_ms < w.to_s * 1000
          AND (s.sender IS NULL OR a.sender = s.sender)
          AND (s.recipient IS NULL OR a.recipient = s.recipient))";

#[track_caller]
fn assert_whole(env: &TestEnv) {
    for sql in [
        "SELECT count(*) FROM quarantined_message",
        "SELECT count(*) FROM sealed_window WHERE doubt IS NOT NULL",
        FALSE_ROWS,
    ] {
        assert_eq!(env.query_number(sql), 0, "{sql}");
    }
    env.run(&["verify", "--remote"]).assert_ok();
}

#[test]
fn channel_messages_of_a_user_are_archived() {
    let env = TestEnv::new(&FLAGS).with_only(AGORA);
    env.assert_sync_archives_truth();
    assert_whole(&env);
    let brought = "SELECT count(*) FROM sealed_window w WHERE w.provider_count > w.messages";
    assert!(env.query_number(brought) > 0, "the variant is played");
    let requests = env.sandbox.rules().total.requests();
    env.assert_sync_archives_truth();
    let again = env.sandbox.rules().total.requests() - requests;
    assert!(again < requests / 2, "{again} requests after {requests}");
    // A late message changes the counts of its channel and of all who received it.
    env.append_message("lobby", "late", Duration::from_hours(1));
    env.run(&["verify", "--remote", "--repair"]);
    env.run(&["verify", "--remote", "--repair"]).assert_ok();
    let late = "SELECT count(*) FROM archive WHERE body = 'late'";
    assert_eq!(env.query_number(late), 1);
    assert_whole(&env);
}

/// Returns an environment with all streams by destination. The configuration does not set kinds.
fn without_kinds(flags: &[&str]) -> TestEnv {
    let mut env = TestEnv::new(&[&FLAGS[..], flags].concat()).with_only(AGORA);
    let destinations: BTreeSet<_> = env
        .world()
        .agora_streams("sandbox")
        .into_iter()
        .filter_map(|stream| stream.destination)
        .collect();
    let streams: Vec<_> = destinations.iter().map(|name| to(name)).collect();
    env.config_mut().set_streams(AGORA, &streams);
    env
}

#[test]
fn channels_of_a_user_without_a_kind_are_archived() {
    let env = without_kinds(&[]);
    env.assert_sync_archives_truth();
    assert_whole(&env);
}

/// Neither the configuration nor the messages show what is a channel.
#[test]
fn channels_of_a_user_without_any_kind_are_archived() {
    let env = without_kinds(&["--message-type", "absent"]);
    env.sync().assert_ok();
    assert_eq!(env.query_number("SELECT count(*) FROM archive"), 400);
    assert_whole(&env);
}

#[test]
fn discovery_follows_users_that_receive_channels() {
    let env = TestEnv::new(&FLAGS)
        .with_only(AGORA)
        .with_agora_streams(&[to("lobby")])
        .with_setting_of(AGORA, "discover", true);
    env.assert_sync_archives_truth();
    assert_whole(&env);
}

/// The maximum number of syncs until all is archived.
const MAX_SYNCS: usize = 12;

/// Syncs until nothing is missing and nothing is in doubt.
#[track_caller]
fn sync_until_complete(env: &TestEnv) {
    let mut output: Vec<CommandOutput> = Vec::new();
    while output.last().is_none_or(|last| last.code != Some(0)) {
        assert!(output.len() < MAX_SYNCS, "{output:#?}");
        output.push(env.sync());
    }
}

fn with_wrong_answers<'a>(share: &'a str, message_type: &'a str) -> Vec<&'a str> {
    let faults = ["--faults", share, "--fault-kinds", "other"];
    let message_type = ["--message-type", message_type];
    [&FLAGS[..], &faults, &message_type].concat()
}

#[test]
fn response_to_another_request_loses_and_duplicates_nothing() {
    for (share, message_type) in [("10%", "group"), ("10%", "absent"), ("30%", "group")] {
        let env = TestEnv::new(&with_wrong_answers(share, message_type)).with_only(AGORA);
        let edge = env.settled_edge();
        sync_until_complete(&env);
        env.assert_archive_equals_truth(edge);
        assert_eq!(env.query_number(FALSE_ROWS), 0);
        let quarantined = "SELECT count(*) FROM quarantined_message";
        assert_eq!(env.query_number(quarantined), 0);
    }
}

#[test]
fn response_to_another_request_loses_and_duplicates_nothing_in_postgres() {
    for (share, message_type) in [("10%", "group"), ("30%", "absent")] {
        let postgres = PostgresEnv::start(&with_wrong_answers(share, message_type));
        let edge = postgres.env.settled_edge();
        sync_until_complete(&postgres.env);
        postgres.assert_archive_equals_truth_until(edge);
        assert_eq!(postgres.query_number(FALSE_ROWS), 0);
    }
}

/// Serves a page of the channel in place of the second page of a member, this often. The page is
/// short, and holds messages that the member's first page holds, too. A window near the retention
/// edge is read from its newest message on, so it has other pages than one with a `since`.
fn assert_short_page_is_archived_once(times: u32, has_since: bool) {
    let mut env = TestEnv::without_messages(&["--user-receives-channels"])
        .with_only(AGORA)
        .with_agora_streams(&[to("alice")]);
    let begin = env.world().now().0 - 3_600_000;
    if has_since {
        let since = Millis(begin).second().to_string();
        env = env.with_account_setting("since", since);
    }
    env.append_message_at("lobby", "I am here", begin);
    let message = |n: i64| {
        let sender = if n % 2 == 0 { "bob" } else { "carol" };
        let in_channel = channel_message(sender, "lobby", begin + 1000 * (n + 1), &n.to_string());
        if n % 10 != 9 {
            return in_channel;
        }
        AgoraMessage {
            dst: "alice".to_owned(),
            kind: RecipientKind::Peer,
            ..in_channel
        }
    };
    for n in 0..250 {
        env.world().append_agora("sandbox", message(n)).unwrap();
    }
    let of_channel = (2..48)
        .map(message)
        .filter(|message| message.dst == "lobby");
    let mut of_channel: Vec<Value> = of_channel
        .map(|m| {
            let text = String::from_utf8(m.payload).unwrap();
            json!({ "src": m.src, "dst": m.dst, "ms": m.ms, "payload": text,
                    "message_type": "group_message" })
        })
        .collect();
    let second_page_begins_with = if has_since { "100" } else { "149" };
    if !has_since {
        of_channel.reverse();
    }
    let left = Arc::new(AtomicU32::new(times));
    let left_there = left.clone();
    let (env, _proxy) = env.behind_proxy(move |_, request| {
        if request.endpoint() != "read" {
            return ProxyAction::Forward;
        }
        let (left, of_channel) = (left_there.clone(), of_channel.clone());
        ProxyAction::rewrite_json(move |answer| {
            let is_second = answer["messages"][0]["payload"] == second_page_begins_with;
            let one_less = |left: u32| left.checked_sub(1);
            if is_second
                && left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                    .is_ok()
            {
                answer["messages"] = of_channel.into();
            }
        })
    });
    let archived = "SELECT count(*) FROM archive";
    let distinct = "SELECT count(DISTINCT body) FROM archive";
    if times == u32::MAX {
        env.sync().assert_incomplete();
        assert_eq!(env.query_number(archived), env.query_number(distinct));
        left.store(0, Ordering::Relaxed);
    }
    sync_until_complete(&env);
    assert!(left.load(Ordering::Relaxed) == 0, "the fault was played");
    assert_eq!(env.query_number(archived), 250, "{times}");
    assert_eq!(env.query_number(distinct), 250, "{times}");
    // A window at the retention edge is refetched as far as the provider still has it.
    let expired = "SELECT count(*) FROM sealed_window WHERE doubt IS NOT NULL AND messages = 0";
    if env.query_number(expired) == 0 {
        assert_whole(&env);
    } else {
        let doubted = "SELECT count(*) FROM sealed_window WHERE doubt IS NOT NULL";
        assert_eq!(env.query_number(doubted), env.query_number(expired));
        assert!(!has_since, "nothing expires");
        env.run(&["verify", "--remote"])
            .assert_ok()
            .assert_prints("expired at the provider");
    }
}

#[test]
fn short_page_of_another_request_is_archived_once() {
    for times in [1, 2, 3, u32::MAX] {
        assert_short_page_is_archived_once(times, true);
        assert_short_page_is_archived_once(times, false);
    }
}

/// It belongs to the channel's conversation, whichever stream brings it first.
#[test]
fn message_that_reaches_the_archive_by_user_and_channel_is_one() {
    let channel = vec![table([("destination", "lobby"), ("kind", "channel")])];
    let users = vec![to("alice"), to("bob")];
    let both = [users.clone(), channel.clone()].concat();
    for message_type in ["group", "absent"] {
        let flags = ["--message-type", message_type];
        for first in [&users, &channel] {
            let mut env = TestEnv::new(&[&FLAGS[..], &flags].concat())
                .with_only(AGORA)
                .with_agora_streams(first);
            env.sync().assert_ok();
            let messages = "SELECT count(*) FROM archive WHERE recipient = 'lobby'";
            assert!(env.query_number(messages) > 0, "{first:?}");
            env.config_mut().set_streams(AGORA, &both);
            env.sync().assert_ok();
            let world = env.world().agora_messages("sandbox");
            let truth = world
                .iter()
                .filter(|message| message.dst == "lobby")
                .count() as i64;
            let of_channel = "SELECT count(*) FROM archive
                WHERE recipient = 'lobby' AND conversation = 'lobby' AND conversation_kind = 'channel'";
            assert_eq!(
                env.query_number(messages),
                truth,
                "{message_type} {first:?}"
            );
            assert_eq!(
                env.query_number(of_channel),
                truth,
                "{message_type} {first:?}"
            );
            assert_whole(&env);
        }
    }
}

#[test]
fn channel_messages_of_a_user_are_archived_in_postgres() {
    let postgres = PostgresEnv::start(&FLAGS);
    postgres.env.sync().assert_ok();
    postgres.assert_archive_equals_truth();
    postgres.env.run(&["verify", "--remote"]).assert_ok();
}
