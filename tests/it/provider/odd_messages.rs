//! Single messages that are no valid JSON, or not of the stream that was asked for. Each costs
//! nothing but itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use toml::Table;

use crate::support::config::{from, to};
use crate::support::env::TestEnv;
use crate::support::fault_proxy::{FaultProxy, ProxyAction};
use crate::support::postgres_env::PostgresEnv;

/// The payload of the message that the proxy damages.
const ODD: &str = "number 123";
const MESSAGES: u64 = 250;

/// A part of the odd message, and the bytes that the proxy puts in its place.
struct Damage {
    part: &'static [u8],
    replacement: &'static [u8],
}

fn in_payload(replacement: &'static [u8]) -> Damage {
    Damage {
        part: ODD.as_bytes(),
        replacement,
    }
}

/// Replaces the part of the item that holds the odd payload; other items stay as they are.
fn damaged(body: &[u8], damage: &Damage) -> Vec<u8> {
    let find = |from: usize, needle: &[u8]| {
        let found = body[from..]
            .windows(needle.len())
            .position(|window| window == needle);
        found.map(|offset| from + offset)
    };
    let Some(payload) = find(0, ODD.as_bytes()) else {
        return body.to_vec();
    };
    let start = body[..payload]
        .iter()
        .rposition(|&byte| byte == b'{')
        .expect("an object around the payload");
    let part = find(start, damage.part).expect("the part is in the item");
    let rest = &body[part + damage.part.len()..];
    [&body[..part], damage.replacement, rest].concat()
}

/// One channel behind a proxy that damages the same message in every answer.
fn with_odd_message(env: TestEnv, damage: &Damage) -> (TestEnv, FaultProxy) {
    with_odd_message_in(env, damage, &[to("lobby")])
}

/// The same with other streams.
fn with_odd_message_in(env: TestEnv, damage: &Damage, streams: &[Table]) -> (TestEnv, FaultProxy) {
    let env = env.with_only("agora").with_agora_streams(streams);
    for n in 0..MESSAGES {
        let ago = Duration::from_hours(1) + Duration::from_secs(10 * n);
        env.append_message("lobby", &format!("number {n}"), ago);
    }
    let Damage { part, replacement } = *damage;
    env.behind_proxy(move |_, request| match request.endpoint() {
        "read" => ProxyAction::Rewrite(Box::new(move |body| {
            damaged(&body, &Damage { part, replacement })
        })),
        _ => ProxyAction::Forward,
    })
}

#[test]
fn odd_message_is_quarantined_and_costs_no_other() {
    let damages = [
        ("line break", in_payload(b"two\nlines")),
        ("tab", in_payload(b"a\ttab")),
        ("control character and NUL", in_payload(b"\x01\x00")),
        ("invalid escape", in_payload(b"\\x41")),
        ("broken unicode escape", in_payload(b"\\u12")),
        ("invalid byte", in_payload(b"\xff")),
        ("unescaped quote", in_payload(b"say \"hi\" now")),
        ("one unescaped quote", in_payload(b"an \" inch")),
        ("backslash at the end", in_payload(b"C:\\")),
        (
            "text without an end",
            Damage {
                part: b"number 123\"",
                replacement: b"number",
            },
        ),
        (
            "object without an end",
            Damage {
                part: b"}",
                replacement: b"",
            },
        ),
        (
            "channel in other letter case",
            Damage {
                part: b"\"lobby\"",
                replacement: b"\"Lobby\"",
            },
        ),
        (
            "channel with a trailing blank",
            Damage {
                part: b"\"lobby\"",
                replacement: b"\"lobby \"",
            },
        ),
    ];
    for (name, damage) in damages {
        let (env, proxy) = with_odd_message(TestEnv::without_messages(&[]), &damage);
        env.sync().assert_ok();
        let archived = env.query_number("SELECT count(*) FROM archive");
        assert_eq!(archived, MESSAGES as i64 - 1, "{name}");
        let quarantined = env.query_number("SELECT count(*) FROM quarantine");
        assert_eq!(quarantined, 1, "{name}");
        let gaps = env.query_number("SELECT count(*) FROM coverage WHERE state = 'suspect'");
        assert_eq!(gaps, 0, "{name}");
        let requests = proxy.count_requests(|_| true);
        assert!(requests < 40, "{name}: {requests} requests");
    }
}

#[test]
fn odd_message_is_quarantined_in_postgres() {
    let mut postgres = PostgresEnv::start(&["--messages", "0", "--topic-messages", "0"]);
    let (env, _proxy) = with_odd_message(postgres.env, &in_payload(b"\x01\x00 \xff"));
    postgres.env = env;
    postgres.env.sync().assert_ok();
    let archived = postgres.query_number("SELECT count(*) FROM archive");
    assert_eq!(archived, MESSAGES as i64 - 1);
    assert_eq!(postgres.query_number("SELECT count(*) FROM quarantine"), 1);
}

/// The streams of two runs, one after the other.
fn runs_of_streams() -> Vec<[Vec<Table>; 2]> {
    let (channel, sender) = (to("lobby"), from("alice"));
    let both = vec![channel.clone(), sender.clone()];
    vec![
        [vec![channel.clone()], both.clone()],
        [vec![sender.clone()], both.clone()],
        [both.clone(), both],
        [vec![channel], vec![sender]],
    ]
}

const OTHER_CASE: Damage = Damage {
    part: b"\"lobby\"",
    replacement: b"\"Lobby\"",
};

/// A message of which the channel's stream cannot say that it is its own is archived by the stream of
/// its sender, and is in quarantine only until then.
#[test]
fn message_that_another_stream_archives_is_not_in_quarantine() {
    for [first, second] in runs_of_streams() {
        let env = TestEnv::without_messages(&[]);
        let (mut env, _proxy) = with_odd_message_in(env, &OTHER_CASE, &first);
        env.sync().assert_ok();
        let archived = env.query_number("SELECT count(*) FROM archive");
        let quarantined = env.query_number("SELECT count(*) FROM quarantine");
        assert_eq!(archived + quarantined, MESSAGES as i64, "{first:?}");
        env.config_mut().set_streams("agora", &second);
        env.sync().assert_ok();
        let archived = env.query_number("SELECT count(*) FROM archive");
        let quarantined = env.query_number("SELECT count(*) FROM quarantine");
        assert_eq!((archived, quarantined), (MESSAGES as i64, 0), "{first:?}");
        env.run(&["verify", "--remote"]).assert_ok();
        env.run(&["requeue"])
            .assert_prints("nothing is in quarantine");
    }
}

#[test]
fn message_that_another_stream_archives_is_not_in_quarantine_in_postgres() {
    for [first, second] in runs_of_streams() {
        let mut postgres = PostgresEnv::start(&["--messages", "0", "--topic-messages", "0"]);
        let (env, _proxy) = with_odd_message_in(postgres.env, &OTHER_CASE, &first);
        postgres.env = env;
        postgres.env.sync().assert_ok();
        postgres.env.config_mut().set_streams("agora", &second);
        postgres.env.sync().assert_ok();
        let archived = postgres.query_number("SELECT count(*) FROM archive");
        let quarantined = postgres.query_number("SELECT count(*) FROM quarantine");
        assert_eq!((archived, quarantined), (MESSAGES as i64, 0), "{first:?}");
        postgres.env.run(&["verify", "--remote"]).assert_ok();
    }
}

#[test]
fn time_in_microseconds_is_archived_like_any_other() {
    let env = TestEnv::without_messages(&[])
        .with_only("agora")
        .with_agora_streams(&[to("lobby")]);
    for n in 0..3 {
        env.append_message("lobby", ODD, Duration::from_hours(1 + n));
    }
    let (env, _proxy) = env.behind_proxy(|_, request| match request.endpoint() {
        "read" => ProxyAction::rewrite_json(|answer| {
            for message in answer["messages"].as_array_mut().into_iter().flatten() {
                let ms = message["ms"].as_i64().expect("a time in milliseconds");
                message["ms"] = (ms * 1000 + 7).into();
            }
        }),
        _ => ProxyAction::Forward,
    });
    env.sync().assert_ok();
    assert_eq!(env.query_number("SELECT count(*) FROM archive"), 3);
}

#[test]
fn garbled_answer_is_read_again_and_nothing_is_quarantined() {
    let env = TestEnv::without_messages(&[])
        .with_only("agora")
        .with_agora_streams(&[to("lobby")]);
    for n in 0..MESSAGES {
        env.append_message("lobby", &format!("number {n}"), Duration::from_hours(1 + n));
    }
    let reads = AtomicU64::new(0);
    let (env, _proxy) = env.behind_proxy(move |_, request| match request.endpoint() {
        "read" if reads.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
            ProxyAction::Rewrite(Box::new(|body| damaged(&body, &in_payload(b"garbled\x02"))))
        }
        _ => ProxyAction::Forward,
    });
    env.sync().assert_ok();
    assert_eq!(
        env.query_number("SELECT count(*) FROM archive"),
        MESSAGES as i64
    );
    assert_eq!(env.query_number("SELECT count(*) FROM quarantine"), 0);
}
