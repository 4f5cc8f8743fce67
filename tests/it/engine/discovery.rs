//! What is not listed is found: from one stream to the whole truth.

use std::time::Duration;

use backscroll::sandbox::{
    AgoraEvent, AgoraMessage, CallFilter, Fault, RecipientKind, ScriptedAnswer,
};
use serde_json::Value;

use crate::support::config::{between, from, to};
use crate::support::env::{CommandOutput, TestEnv};
use crate::support::fault_proxy::ProxyAction;
use crate::support::postgres_env::PostgresEnv;

/// Follows Agora's lobby and none of Web3MQ's topics, and discovers in this way.
fn with_discovery(bed: TestEnv, how: impl Into<toml::Value>) -> TestEnv {
    bed.with_agora_streams(&[to("lobby")])
        .without_web3mq_topics()
        .with_account_setting("discover", how)
}

fn agora(flags: &[&str], how: impl Into<toml::Value>) -> TestEnv {
    with_discovery(TestEnv::new(flags).with_only("agora"), how)
}

fn web3mq(flags: &[&str]) -> TestEnv {
    with_discovery(TestEnv::new(flags).with_only("web3mq"), true)
}

/// The streams that `status` shows, and whether each was discovered.
fn streams(bed: &TestEnv) -> Vec<(String, bool)> {
    let CommandOutput { stdout: out, .. } = bed.run(&["status", "--json"]).assert_ok();
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

fn append_from(bed: &TestEnv, src: &str, dst: &str, kind: RecipientKind, text: &str) {
    let ms = bed.world().now().minus(Duration::from_mins(1)).0;
    let message = AgoraMessage {
        src: src.to_owned(),
        dst: dst.to_owned(),
        kind,
        ms,
        payload: text.into(),
    };
    bed.world()
        .append_agora("sandbox", message)
        .expect("the first project");
}

#[test]
fn all_messages_are_discovered_from_one_channel() {
    let bed = agora(&[], true);
    let edge = bed.settled_edge();
    let ran = bed.run(&["sync", "--log", "info"]).assert_ok();
    assert!(
        ran.stderr
            .contains("discovered; it is followed from now on"),
        "{ran:?}"
    );
    bed.assert_archive_equals_truth(edge);
    bed.assert_no_rule_broken();
    let found = streams(&bed);
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
        "a channel says nothing"
    );
    bed.run(&["status"])
        .assert_ok()
        .says("destination=alice *")
        .says("* discovered");
    assert_eq!(
        bed.number("SELECT count(*) FROM gaps WHERE lost AND stream <> 'destination=lobby'"),
        0
    );
    bed.run(&["verify", "--remote"]).assert_ok();

    // A later process follows the same, and finds nothing.
    let ran = bed.run(&["sync", "--log", "info"]).assert_ok();
    assert!(!ran.stderr.contains("discovered"), "{ran:?}");
    assert_eq!(streams(&bed), found);
}

#[test]
fn streams_of_both_providers_are_discovered_in_postgres() {
    let mut served = PostgresEnv::start(&[]);
    served.env = with_discovery(served.env, true);
    let edge = served.env.settled_edge();
    served.env.sync().assert_ok();
    served.assert_archive_equals_truth_until(edge);
    assert!(served.number("SELECT count(*) FROM stream WHERE discovered = 1") > 30);
    served.env.sync().assert_ok();
    served.env.run(&["verify", "--remote"]).assert_ok();
}

#[test]
fn new_senders_are_followed() {
    let bed = agora(&["--messages", "0", "--topic-messages", "0"], true);
    bed.say("lobby", "is anybody there", Duration::from_hours(1));
    bed.assert_sync_archives_truth();
    append_from(&bed, "stranger", "alice", RecipientKind::Peer, "hello");
    append_from(
        &bed,
        "stranger",
        "cellar",
        RecipientKind::Channel,
        "nobody here knows this place",
    );
    append_from(&bed, "hidden", "cellar", RecipientKind::Channel, "but I do");
    bed.assert_sync_archives_truth();
    assert_eq!(bed.number("SELECT count(*) FROM archive"), 4);
    let found: Vec<String> = streams(&bed)
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
    let bed = agora(&["--messages", "0", "--topic-messages", "0"], true);
    let bed = bed.with_agora_streams(&[to("lobby"), between("alice", "bob")]);
    append_from(&bed, "alice", "bob", RecipientKind::Peer, "between us");
    append_from(
        &bed,
        "alice&destination=bob",
        "lobby",
        RecipientKind::Channel,
        "who am I",
    );
    append_from(
        &bed,
        "alice%26destination=bob",
        "lobby",
        RecipientKind::Channel,
        "and I",
    );
    append_from(
        &bed,
        "lobby",
        "lobby",
        RecipientKind::Channel,
        "the lobby speaks",
    );
    bed.assert_sync_archives_truth();
    bed.run(&["verify", "--remote"]).assert_ok();
    assert_eq!(bed.number("SELECT count(*) FROM archive"), 4);
    let pair: (i64, Option<String>, Option<String>) =
        bed.row("SELECT discovered, sender, recipient FROM stream WHERE key = 'source=alice&destination=bob'");
    assert_eq!(pair, (0, Some("alice".to_owned()), Some("bob".to_owned())));
}

#[test]
fn names_of_unknown_kind_are_followed() {
    let bed = agora(&["--message-type", "absent"], true);
    bed.sync().assert_ok();
    assert_eq!(bed.number("SELECT count(*) FROM archive"), 500);
    bed.sync().assert_ok();
    assert_eq!(bed.number("SELECT count(*) FROM archive"), 500);
}

#[test]
fn streams_no_longer_discovered_keep_their_messages_without_gaps() {
    let bed = agora(&["--messages", "200", "--plain"], true);
    bed.assert_sync_archives_truth();
    let (messages, coverage) = (
        "SELECT count(*) FROM archive",
        "SELECT count(DISTINCT stream) FROM coverage",
    );
    let before = (bed.number(messages), bed.number(coverage));
    let found = streams(&bed);

    let bed = bed.with_account_setting("discover", false);
    bed.sync().assert_ok();
    assert_eq!(streams(&bed), [("destination=lobby".to_owned(), false)]);
    assert_eq!((bed.number(messages), bed.number(coverage)), before);
    assert_eq!(
        bed.number("SELECT count(*) FROM gaps WHERE stream <> 'destination=lobby'"),
        0
    );
    bed.run(&["verify"]).assert_ok();

    // What was said in the meantime is made up for.
    let bed = bed.with_account_setting("discover", true);
    append_from(&bed, "bob", "carol", RecipientKind::Peer, "meanwhile");
    bed.assert_sync_archives_truth();
    assert_eq!(streams(&bed), found);
}

#[test]
fn streams_are_discovered_from_an_existing_archive() {
    let bed = agora(&["--messages", "300"], false);
    bed.sync().assert_ok();
    let bed = bed.with_account_setting("discover", true);
    // Nothing new is said in the lobby: all that is known of anybody is in the archive.
    bed.assert_sync_archives_truth();
}

#[test]
fn plan_includes_discovered_streams() {
    let bed = agora(&["--messages", "200", "--plain"], true);
    bed.assert_sync_archives_truth();
    append_from(&bed, "bob", "carol", RecipientKind::Peer, "since then");
    let CommandOutput { stdout: out, .. } = bed.run(&["plan", "--json"]).assert_ok();
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
    bed.run(&["plan"])
        .assert_ok()
        .says("streams that are still to be discovered are not included");
}

#[test]
fn listed_stream_is_not_discovered_again() {
    let bed = agora(&["--messages", "200", "--plain"], true);
    bed.assert_sync_archives_truth();
    let bed = bed.with_agora_streams(&[to("lobby"), from("alice")]);
    bed.assert_sync_archives_truth();
    let found = streams(&bed);
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
    let bed = agora(&["--messages", "200", "--plain"], true);
    bed.assert_sync_archives_truth();
    bed.run(&["copy", "--to", "sqlite://copy.db"]).assert_ok();
    let flags = "SELECT key, discovered, active FROM stream ORDER BY key";
    let (ours, theirs): (Vec<(String, i64, i64)>, _) = (
        bed.rows(flags),
        bed.query_rows_of(&bed.path("copy.db"), flags),
    );
    assert_eq!(ours, theirs);
    assert!(ours.iter().any(|(_, discovered, _)| *discovered == 1));
}

#[test]
fn events_reveal_streams_without_messages() {
    let bed = agora(&["--messages", "200"], "events");
    let warning = "empties Agora's event feeds";
    bed.run(&["check"]).assert_ok().says(warning);
    assert_eq!(
        bed.sandbox.rules().total.events,
        0,
        "checking takes nothing away"
    );
    for n in 0..1500 {
        let event = AgoraEvent {
            user: format!("guest-{n}"),
            channel: None,
            goes: false,
            ms: 0,
        };
        bed.world().emit_event("sandbox", event).unwrap();
    }
    let edge = bed.settled_edge();
    bed.sync().assert_ok().says(warning);
    bed.assert_archive_equals_truth(edge);
    assert_eq!(
        bed.assert_no_rule_broken().events,
        3,
        "users twice, channels once"
    );
    let found = streams(&bed);
    for stream in [
        "destination=silent room",
        "destination=hermit",
        "source=guest-0",
        "destination=guest-1499",
    ] {
        assert!(found.contains(&(stream.to_owned(), true)), "{stream}");
    }
    // The feeds have forgotten; the archive has not.
    bed.sync().assert_ok();
    assert_eq!(streams(&bed), found);
}

#[test]
fn failing_event_feed_stops_no_stream() {
    let bed = agora(&["--messages", "200", "--plain"], "events");
    bed.script_answer(ScriptedAnswer {
        on: CallFilter::Events,
        status: 404,
        times: 99,
        ..ScriptedAnswer::default()
    });
    let edge = bed.settled_edge();
    bed.sync()
        .assert_incomplete()
        .says("discovery of further streams fails: events: refused with status 404");
    bed.assert_archive_equals_truth(edge);
    bed.world().script().clear();
    bed.sync().assert_ok();
    let status = bed.run(&["status"]).assert_ok();
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
        let bed = web3mq(flags);
        bed.assert_sync_archives_truth();
        bed.assert_no_rule_broken();
        let user = bed.world().users().remove(0);
        let mut topics: Vec<_> = bed
            .world()
            .web3mq_topics(&user)
            .into_keys()
            .map(|topic| (format!("topic={topic}"), true))
            .collect();
        topics.sort();
        assert_eq!(
            streams(&bed),
            topics,
            "the group in which nobody speaks, too"
        );
        bed.run(&["verify", "--remote"]).assert_ok();
    }
}

#[test]
fn refused_directory_is_reported_and_stops_no_stream() {
    let bed = TestEnv::new(&["--topic-messages", "200"])
        .with_only("web3mq")
        .with_account_setting("discover", true);
    let (bed, middleman) = bed.behind_proxy(|_, asked| match asked.url.path() {
        "/api/groups/" => ProxyAction::reply(403, r#"{"code":403,"msg":"not for you"}"#),
        _ => ProxyAction::Forward,
    });
    let edge = bed.settled_edge();
    let trouble = "discovery of further streams fails: groups: credentials refused with status 403";
    bed.sync()
        .assert_incomplete()
        .says("NOT COMPLETE")
        .says(trouble);
    bed.assert_archive_equals_truth(edge);
    assert!(
        middleman.count(|asked| asked.url.path() == "/api/my_subscribe_topic_list/") > 0,
        "the others are asked for"
    );
    let CommandOutput { stdout: out, .. } = bed.run(&["status", "--json"]).assert_ok();
    assert!(
        out.contains(r#""discovery_error":"groups: credentials refused"#),
        "{out}"
    );
    assert!(
        !bed.run(&["status"])
            .assert_ok()
            .says(trouble)
            .stdout
            .contains("paused")
    );

    let url = bed.sandbox.base_url();
    let bed = bed.with_account_setting("base_url", url);
    bed.sync().assert_ok();
    assert!(
        !bed.run(&["status"])
            .assert_ok()
            .stdout
            .contains("found out")
    );
}

#[test]
fn account_without_streams_shows_the_discovery_error() {
    let bed = web3mq(&["--topic-messages", "100"]);
    bed.script_answer(ScriptedAnswer {
        on: CallFilter::List,
        status: 404,
        times: 3,
        ..ScriptedAnswer::default()
    });
    bed.sync().assert_incomplete();
    bed.run(&["status"])
        .assert_ok()
        .says("(none yet)")
        .says("refused with status 404");
    bed.assert_sync_archives_truth();
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
    let bed = with_discovery(TestEnv::new(&flags), true);
    // Once for what is wrong, and once more for what that has left.
    let edge = bed.settled_edge();
    for _ in 0..4 {
        if bed.sync().code == Some(0) {
            break;
        }
    }
    bed.assert_archive_equals_truth(edge);
    assert!(
        bed.sandbox
            .rules()
            .faults
            .keys()
            .any(|fault| *fault == Fault::Other)
    );
}

#[test]
fn hanging_directory_is_retried() {
    let bed = web3mq(&["--topic-messages", "60"]).with_account_setting("timeout", "2s");
    bed.script_answer(ScriptedAnswer {
        on: CallFilter::List,
        fault: Some(Fault::Hang),
        ..ScriptedAnswer::default()
    });
    bed.assert_sync_archives_truth();
    assert_eq!(
        bed.sandbox.rules().total.list,
        5,
        "and the one list that knows no end a second time"
    );
}
