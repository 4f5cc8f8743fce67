//! A variant of Agora's API: a query for the messages to a user also brings the channel messages that
//! the user received.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::config::{AGORA, to};
use crate::support::env::TestEnv;
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
    WHERE w.messages <> (
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

#[test]
fn response_to_another_request_is_still_rejected() {
    for message_type in ["group", "absent"] {
        let faults = ["--faults", "10%", "--fault-kinds", "other"];
        let flags = ["--message-type", message_type];
        let env = TestEnv::new(&[&FLAGS[..], &faults, &flags].concat()).with_only(AGORA);
        env.assert_sync_archives_truth();
        assert_eq!(env.query_number(FALSE_ROWS), 0);
        let quarantined = "SELECT count(*) FROM quarantined_message";
        assert_eq!(env.query_number(quarantined), 0);
    }
}

#[test]
fn channel_messages_of_a_user_are_archived_in_postgres() {
    let postgres = PostgresEnv::start(&FLAGS);
    postgres.env.sync().assert_ok();
    postgres.assert_archive_equals_truth();
    postgres.env.run(&["verify", "--remote"]).assert_ok();
}
