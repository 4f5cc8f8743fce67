//! Numbers of messages that cannot be believed. The pages decide what there is: an empty one ends
//! a series, whatever the count.

use std::time::Duration;

use backscroll::domain::time::Millis;
use backscroll::sandbox::{Call, CallFilter, ScriptedAnswer};

use crate::support::config::to;
use crate::support::env::TestEnv;
use crate::support::peak_memory::peak_memory_of_syncs;

const MESSAGES: i64 = 250;
const TOPIC_MESSAGES: i64 = 300;
/// The memory of a process that reads bodies of up to 24 MiB, one at a time.
const MAX_MEMORY: u64 = 100 << 20;

/// Archives a channel of 250 messages in an hour, and the topics of a user, from a sandbox that
/// writes its counts in this form. Returns the number of suspect ranges.
#[track_caller]
fn suspect_ranges_with(form: &str, most_requests: u64) -> i64 {
    let flags = [
        "--messages",
        "0",
        "--topic-messages",
        "300",
        "--topic-span",
        "2d",
    ];
    let env = TestEnv::new(&[&flags[..], &["--count-form", form]].concat());
    for n in 0..MESSAGES as u64 {
        let ago = Duration::from_hours(1) + Duration::from_secs(10 * n);
        env.append_message("lobby", &format!("number {n}"), ago);
    }
    let since = Millis(env.world().now().0 - 7 * 86_400_000);
    let env = env
        .with_agora_streams(&[to("lobby")])
        .with_setting_of("agora", "since", since.to_string())
        .with_settle("1s");
    let synced = env.sync();
    let archived = env.query_number("SELECT count(*) FROM archive");
    assert_eq!(archived, MESSAGES + TOPIC_MESSAGES, "{form}: {synced:?}");
    let rules = env.assert_no_rule_broken();
    assert!(rules.requests() <= most_requests, "{form}: {rules:?}");
    env.query_number("SELECT count(*) FROM coverage WHERE state = 'suspect'")
}

#[test]
fn count_as_text_or_float_is_read() {
    for form in ["text", "float"] {
        assert_eq!(suspect_ranges_with(form, 100), 0, "{form}");
    }
}

#[test]
fn count_that_says_nothing_is_replaced_by_reading_to_an_empty_page() {
    for form in ["negative", "null", "absurd"] {
        assert_eq!(suspect_ranges_with(form, 300), 0, "{form}");
    }
}

#[test]
fn false_count_neither_ends_a_series_nor_multiplies_requests() {
    for form in ["million", "hundred"] {
        let suspect = suspect_ranges_with(form, 1000);
        assert!(suspect > 0, "{form}: the provider contradicts itself");
    }
}

/// The bodies are as large as a lawful page may be. A page of so many rows was not asked for; the
/// next answer is sound. One of the bodies has a damaged row, so that its rows are isolated.
#[test]
fn bodies_of_millions_of_rows_are_broken_answers_and_take_little_memory() {
    const ROWS: usize = 7_000_000;
    let rows = |row: &str| vec![row; ROWS].join(",");
    let damaged = format!("{{\"a\":\"\u{1}\"}},{}", rows("{}"));
    // Packed, such a body is a thousand times as small.
    for (provider, form) in [
        ("agora", "plain"),
        ("web3mq", "plain"),
        ("agora", "gzip"),
        ("web3mq", "gzip"),
        ("agora", "x-gzip"),
    ] {
        let flags = ["--messages", "50", "--topic-messages", "50", "--body-form"];
        let env = TestEnv::new(&[&flags[..], &[form]].concat());
        let env = env.with_only(provider);
        for rows in [&rows("1"), &rows("{}"), &damaged] {
            let agora = format!(r#"{{"result":"success","code":"ok","messages":[{rows}]}}"#);
            let web3mq =
                format!(r#"{{"code":0,"msg":"ok","data":{{"total":9,"result":[{rows}]}}}}"#);
            for (call, body) in [(Call::Read, agora), (Call::History, web3mq)] {
                env.script_answer(ScriptedAnswer {
                    on: CallFilter::Only(call),
                    body,
                    ..ScriptedAnswer::default()
                });
            }
        }
        let peak = peak_memory_of_syncs(&env, 1);
        env.assert_no_rule_broken();
        assert!(peak < MAX_MEMORY, "{provider}, {form}: {} MiB", peak >> 20);
    }
}
