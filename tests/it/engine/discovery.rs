//! Discovery: from one listed stream to all messages.

use std::time::Duration;

use backscroll::sandbox::{
    AgoraEvent, AgoraMessage, Call, CallFilter, Fault, RecipientKind, ScriptedAnswer,
};
use serde_json::Value;

use crate::support::config::{between, from, to};
use crate::support::env::{CommandOutput, TestEnv};
use crate::support::fault_proxy::ProxyAction;
use crate::support::messages::channel_message;
use crate::support::postgres_env::PostgresEnv;

/// Lists only Agora's lobby and turns discovery on or off.
fn with_discovery(env: TestEnv, how: impl Into<toml::Value>) -> TestEnv {
    env.with_agora_streams(&[to("lobby")])
        .without_web3mq_topics()
        .with_account_setting("discover", how)
}

fn agora(flags: &[&str], how: impl Into<toml::Value>) -> TestEnv {
    with_discovery(TestEnv::new(flags).with_only("agora"), how)
}

fn web3mq(flags: &[&str]) -> TestEnv {
    with_discovery(TestEnv::new(flags).with_only("web3mq"), true)
}

/// Returns the streams of `status` with their discovery flags.
fn streams(env: &TestEnv) -> Vec<(String, bool)> {
    let CommandOutput { stdout: out, .. } = env.run(&["status", "--json"]).assert_ok();
    let streams: Vec<Value> = serde_json::from_str(&out).expect("JSON");
    streams
        .iter()
        .map(|s| {
            (
                s["stream"].as_str().unwrap().to_owned(),
                s["discovered"].as_bool().unwrap(),
            )
        })
        .collect()
}

fn append_from(env: &TestEnv, src: &str, dst: &str, kind: RecipientKind, text: &str) {
    let ms = env.world().now().minus(Duration::from_mins(1)).0;
    let message = AgoraMessage {
        kind,
        ..channel_message(src, dst, ms, text)
    };
    env.world()
        .append_agora("sandbox", message)
        .expect("the first project");
}

#[test]
fn all_messages_are_discovered_from_one_channel() {
    let env = agora(&[], true);
    let edge = env.settled_edge();
    let output = env.run(&["sync", "--log", "info"]).assert_ok();
    assert!(
        output
            .stderr
            .contains("discovered; it is followed from now on"),
        "{output:?}"
    );
    env.assert_archive_equals_truth(edge);
    env.assert_no_rule_broken();
    let found = streams(&env);
    assert!(
        found.contains(&("destination=lobby".to_owned(), false)),
        "{found:?}"
    );
    for stream in [
        "source=alice",
        "destination=alice",
        "destination=café 東京",
        "source=x&y=z",
    ] {
        assert!(
            found.contains(&(stream.to_owned(), true)),
            "{stream}: {found:?}"
        );
    }
    assert!(
        !found
            .iter()
            .any(|(stream, _)| stream.starts_with("source=lobby")),
        "a channel is never a sender"
    );
    env.run(&["status"])
        .assert_ok()
        .assert_prints("destination=alice *")
        .assert_prints("* discovered");
    assert_eq!(
        env.query_number("SELECT count(*) FROM gaps WHERE lost AND stream <> 'destination=lobby'"),
        0
    );
    env.run(&["verify", "--remote"]).assert_ok();

    // A later process follows the same streams and discovers none.
    let output = env.run(&["sync", "--log", "info"]).assert_ok();
    assert!(!output.stderr.contains("discovered"), "{output:?}");
    assert_eq!(streams(&env), found);
}

#[test]
fn streams_of_both_providers_are_discovered_in_postgres() {
    let mut postgres = PostgresEnv::start(&[]);
    postgres.env = with_discovery(postgres.env, true);
    let edge = postgres.env.settled_edge();
    postgres.env.sync().assert_ok();
    postgres.assert_archive_equals_truth_until(edge);
    assert!(postgres.query_number("SELECT count(*) FROM stream WHERE discovered = 1") > 30);
    postgres.env.sync().assert_ok();
    postgres.env.run(&["verify", "--remote"]).assert_ok();
}

#[test]
fn new_senders_are_followed() {
    let env = agora(&["--messages", "0", "--topic-messages", "0"], true);
    env.append_message("lobby", "is anybody there", Duration::from_hours(1));
    env.assert_sync_archives_truth();
    append_from(&env, "stranger", "alice", RecipientKind::Peer, "hello");
    append_from(
        &env,
        "stranger",
        "cellar",
        RecipientKind::Channel,
        "nobody here knows this place",
    );
    append_from(&env, "hidden", "cellar", RecipientKind::Channel, "but I do");
    env.assert_sync_archives_truth();
    assert_eq!(env.query_number("SELECT count(*) FROM archive"), 4);
    let found: Vec<String> = streams(&env)
        .into_iter()
        .map(|(stream, _)| stream)
        .collect();
    let expected = [
        "destination=alice",
        "destination=cellar",
        "destination=hidden",
        "destination=lobby",
        "destination=stranger",
        "source=alice",
        "source=hidden",
        "source=stranger",
    ];
    assert_eq!(found, expected);
}

#[test]
fn names_that_look_like_filters_stay_names() {
    let env = agora(&["--messages", "0", "--topic-messages", "0"], true);
    let env = env.with_agora_streams(&[to("lobby"), between("alice", "bob")]);
    append_from(&env, "alice", "bob", RecipientKind::Peer, "between us");
    append_from(
        &env,
        "alice&destination=bob",
        "lobby",
        RecipientKind::Channel,
        "who am I",
    );
    append_from(
        &env,
        "alice%26destination=bob",
        "lobby",
        RecipientKind::Channel,
        "and I",
    );
    append_from(
        &env,
        "lobby",
        "lobby",
        RecipientKind::Channel,
        "the lobby speaks",
    );
    env.assert_sync_archives_truth();
    env.run(&["verify", "--remote"]).assert_ok();
    assert_eq!(env.query_number("SELECT count(*) FROM archive"), 4);
    let pair: (i64, Option<String>, Option<String>) =
        env.query_row("SELECT discovered, sender, recipient FROM stream WHERE key = 'source=alice&destination=bob'");
    assert_eq!(pair, (0, Some("alice".to_owned()), Some("bob".to_owned())));
}

#[test]
fn names_of_unknown_kind_are_followed() {
    let env = agora(&["--message-type", "absent"], true);
    env.sync().assert_ok();
    assert_eq!(env.query_number("SELECT count(*) FROM archive"), 500);
    env.sync().assert_ok();
    assert_eq!(env.query_number("SELECT count(*) FROM archive"), 500);
}

#[test]
fn streams_no_longer_discovered_keep_their_messages_without_gaps() {
    let env = agora(&["--messages", "200", "--plain"], true);
    env.assert_sync_archives_truth();
    let (messages, coverage) = (
        "SELECT count(*) FROM archive",
        "SELECT count(DISTINCT stream) FROM coverage",
    );
    let before = (env.query_number(messages), env.query_number(coverage));
    let found = streams(&env);

    let env = env.with_account_setting("discover", false);
    env.sync().assert_ok();
    assert_eq!(streams(&env), [("destination=lobby".to_owned(), false)]);
    assert_eq!(
        (env.query_number(messages), env.query_number(coverage)),
        before
    );
    assert_eq!(
        env.query_number("SELECT count(*) FROM gaps WHERE stream <> 'destination=lobby'"),
        0
    );
    env.run(&["verify"]).assert_ok();

    // Messages sent in the meantime are archived.
    let env = env.with_account_setting("discover", true);
    append_from(&env, "bob", "carol", RecipientKind::Peer, "meanwhile");
    env.assert_sync_archives_truth();
    assert_eq!(streams(&env), found);
}

#[test]
fn streams_are_discovered_from_an_existing_archive() {
    let env = agora(&["--messages", "300"], false);
    env.sync().assert_ok();
    let env = env.with_account_setting("discover", true);
    // The lobby has no new message, so the names come from the archive.
    env.assert_sync_archives_truth();
}

#[test]
fn plan_includes_discovered_streams() {
    let env = agora(&["--messages", "200", "--plain"], true);
    env.assert_sync_archives_truth();
    append_from(&env, "bob", "carol", RecipientKind::Peer, "since then");
    let CommandOutput { stdout: out, .. } = env.run(&["plan", "--json"]).assert_ok();
    let plan: Value = serde_json::from_str(&out).expect("JSON");
    let ranges = plan["accounts"][0]["ranges_missing"]
        .as_array()
        .expect("ranges");
    let of_bob = ranges
        .iter()
        .filter(|range| range["stream"] == "source=bob");
    assert_eq!(
        of_bob
            .map(|range| range["messages"].as_u64().unwrap())
            .sum::<u64>(),
        1,
        "{plan:#}"
    );
    env.run(&["plan"])
        .assert_ok()
        .assert_prints("streams that are still to be discovered are not included");
}

#[test]
fn listed_stream_is_not_discovered_again() {
    let env = agora(&["--messages", "200", "--plain"], true);
    env.assert_sync_archives_truth();
    let env = env.with_agora_streams(&[to("lobby"), from("alice")]);
    env.assert_sync_archives_truth();
    let found = streams(&env);
    assert!(
        found.contains(&("source=alice".to_owned(), false)),
        "{found:?}"
    );
    assert_eq!(
        found
            .iter()
            .filter(|(stream, _)| stream == "source=alice")
            .count(),
        1
    );
}

#[test]
fn copy_keeps_discovered_streams() {
    let env = agora(&["--messages", "200", "--plain"], true);
    env.assert_sync_archives_truth();
    env.run(&["copy", "--to", "sqlite://copy.db"]).assert_ok();
    let flags = "SELECT key, discovered, active FROM stream ORDER BY key";
    let (ours, theirs): (Vec<(String, i64, i64)>, _) = (
        env.query_rows(flags),
        env.query_rows_of(&env.path("copy.db"), flags),
    );
    assert_eq!(ours, theirs);
    assert!(ours.iter().any(|(_, discovered, _)| *discovered == 1));
}

#[test]
fn events_reveal_streams_without_messages() {
    let env = agora(&["--messages", "200"], "events");
    let warning = "empties Agora's event feeds";
    env.run(&["check"]).assert_ok().assert_prints(warning);
    assert_eq!(
        env.sandbox.rules().total.events,
        0,
        "`check` reads no event feed"
    );
    for n in 0..1500 {
        let event = AgoraEvent {
            user: format!("guest-{n}"),
            channel: None,
            goes: false,
            ms: 0,
        };
        env.world().emit_event("sandbox", event).unwrap();
    }
    let edge = env.settled_edge();
    env.sync().assert_ok().assert_prints(warning);
    env.assert_archive_equals_truth(edge);
    assert_eq!(
        env.assert_no_rule_broken().events,
        3,
        "two requests for users, one for channels"
    );
    let found = streams(&env);
    for stream in [
        "destination=silent room",
        "destination=hermit",
        "source=guest-0",
        "destination=guest-1499",
    ] {
        assert!(found.contains(&(stream.to_owned(), true)), "{stream}");
    }
    // The feeds have forgotten the events, but the archive knows the streams.
    env.sync().assert_ok();
    assert_eq!(streams(&env), found);
}

#[test]
fn failing_event_feed_stops_no_stream() {
    let env = agora(&["--messages", "200", "--plain"], "events");
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Only(Call::Events),
        status: 404,
        times: 99,
        ..ScriptedAnswer::default()
    });
    let edge = env.settled_edge();
    env.sync()
        .assert_incomplete()
        .assert_prints("further streams cannot be discovered: events: refused with status 404");
    env.assert_archive_equals_truth(edge);
    env.world().script().clear();
    env.sync().assert_ok();
    let status = env.run(&["status"]).assert_ok();
    assert!(!status.stdout.contains("found out"), "{status:?}");
}

#[test]
fn every_chat_group_and_topic_of_a_web3mq_account_is_discovered() {
    for flags in [
        &[][..],
        &[
            "--envelope",
            "v2",
            "--empty-list",
            "null",
            "--total",
            "absent",
            "--max-size",
            "3",
        ],
    ] {
        let env = web3mq(flags);
        env.assert_sync_archives_truth();
        env.assert_no_rule_broken();
        let user = env.world().user_ids().remove(0);
        let mut topics: Vec<_> = env
            .world()
            .web3mq_topics(&user)
            .into_keys()
            .map(|topic| (format!("topic={topic}"), true))
            .collect();
        topics.sort();
        assert_eq!(streams(&env), topics, "the empty group is discovered, too");
        env.run(&["verify", "--remote"]).assert_ok();
    }
}

#[test]
fn refused_directory_is_reported_and_stops_no_stream() {
    let env = TestEnv::new(&["--topic-messages", "200"])
        .with_only("web3mq")
        .with_account_setting("discover", true);
    let (env, proxy) = env.behind_proxy(|_, request| match request.url.path() {
        "/api/groups/" => ProxyAction::reply(403, r#"{"code":403,"msg":"not for you"}"#),
        _ => ProxyAction::Forward,
    });
    let edge = env.settled_edge();
    let trouble =
        "further streams cannot be discovered: groups: credentials refused with status 403";
    env.sync()
        .assert_incomplete()
        .assert_prints("NOT COMPLETE")
        .assert_prints(trouble);
    env.assert_archive_equals_truth(edge);
    assert!(
        proxy.count_requests(|request| request.url.path() == "/api/my_subscribe_topic_list/") > 0,
        "the other directories are read"
    );
    let CommandOutput { stdout: out, .. } = env.run(&["status", "--json"]).assert_ok();
    assert!(
        out.contains(r#""discovery_error":"further streams cannot be discovered: groups: credentials refused"#),
        "{out}"
    );
    assert!(
        !env.run(&["status"])
            .assert_ok()
            .assert_prints(trouble)
            .stdout
            .contains("paused")
    );

    let url = env.sandbox.base_url();
    let env = env.with_base_url(&url);
    env.sync().assert_ok();
    assert!(
        !env.run(&["status"])
            .assert_ok()
            .stdout
            .contains("found out")
    );
}

#[test]
fn account_without_streams_shows_the_discovery_error() {
    let env = web3mq(&["--topic-messages", "100"]);
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Only(Call::List),
        status: 404,
        times: 3,
        ..ScriptedAnswer::default()
    });
    env.sync().assert_incomplete();
    env.run(&["status"])
        .assert_ok()
        .assert_prints("(none yet)")
        .assert_prints("refused with status 404");
    env.assert_sync_archives_truth();
}

#[test]
fn discovery_is_complete_despite_random_faults() {
    let kinds = "cut,truncated,html,server-error,charset,other,dead-handle,deep";
    let flags = [
        "--faults",
        "8%",
        "--fault-kinds",
        kinds,
        "--messages",
        "300",
        "--topic-messages",
        "200",
    ];
    let env = with_discovery(TestEnv::new(&flags), true);
    // Several syncs are needed, since a sync can leave ranges after its faults.
    let edge = env.settled_edge();
    for _ in 0..4 {
        if env.sync().code == Some(0) {
            break;
        }
    }
    env.assert_archive_equals_truth(edge);
    assert!(
        env.sandbox
            .rules()
            .faults
            .keys()
            .any(|fault| *fault == Fault::Other)
    );
}

#[test]
fn hanging_directory_is_retried() {
    let env = web3mq(&["--topic-messages", "60"]).with_account_setting("timeout", "2s");
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Only(Call::List),
        fault: Some(Fault::Hang),
        ..ScriptedAnswer::default()
    });
    env.assert_sync_archives_truth();
    assert_eq!(
        env.sandbox.rules().total.list,
        5,
        "one of the lists was requested a second time"
    );
}

/// Any user can send messages under invented names.
#[test]
fn discovered_streams_are_limited_and_the_rest_is_reported() {
    let env = agora(&["--messages", "0"], true).with_account_setting("discover_limit", 20);
    for n in 0..100 {
        append_from(
            &env,
            &format!("invented {n}"),
            "lobby",
            RecipientKind::Channel,
            "hi",
        );
    }
    let output = env.sync().assert_incomplete();
    output.assert_prints("the account's limit is 20 discovered streams");
    let found = streams(&env);
    assert_eq!(
        found.iter().filter(|(_, discovered)| *discovered).count(),
        20
    );
    env.run(&["status"]).assert_prints("discover_limit");
    // Messages of the listed stream are archived all the same.
    assert_eq!(env.query_number("SELECT count(*) FROM archive"), 100);

    let env = env.with_account_setting("discover_limit", 1000);
    env.sync().assert_ok();
    // Each sender is followed in both directions.
    assert_eq!(streams(&env).len(), 201);
}

#[test]
fn directories_add_no_more_streams_than_the_limit() {
    let env = web3mq(&[]).with_account_setting("discover_limit", 3);
    let output = env.sync().assert_incomplete();
    output.assert_prints("the account's limit is 3 discovered streams");
    assert_eq!(streams(&env).len(), 3);
}
