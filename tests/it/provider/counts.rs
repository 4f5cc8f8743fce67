//! Numbers of messages that cannot be believed. The pages decide what there is: an empty one ends
//! a series, whatever the count.

use std::time::Duration;

use backscroll::domain::time::Millis;
use backscroll::sandbox::{Call, CallFilter, ScriptedAnswer};

use crate::support::config::to;
use crate::support::env::TestEnv;

const MESSAGES: i64 = 250;
const TOPIC_MESSAGES: i64 = 300;

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

/// The body is lawful JSON of 2 MB. A page that large was not asked for; the next answer is sound.
#[test]
fn body_of_a_million_rows_is_a_broken_answer() {
    let env = TestEnv::new(&["--messages", "50", "--topic-messages", "50"]);
    let rows = vec!["1"; 1_000_000].join(",");
    let agora = format!(r#"{{"result":"success","code":"ok","messages":[{rows}]}}"#);
    let web3mq = format!(r#"{{"code":0,"msg":"ok","data":{{"total":9,"result":[{rows}]}}}}"#);
    for (call, body) in [(Call::Read, agora), (Call::History, web3mq)] {
        env.script_answer(ScriptedAnswer {
            on: CallFilter::Only(call),
            body,
            ..ScriptedAnswer::default()
        });
    }
    env.assert_sync_archives_truth();
    env.assert_no_rule_broken();
}
