//! Messages exactly on the bounds of windows, for every meaning that a provider can give to a
//! bound.

use std::collections::HashSet;

use backscroll::domain::time::Millis;

use crate::support::config::to;
use crate::support::env::TestEnv;

/// Archives a channel with messages on every whole second and a millisecond to either side of it,
/// so that every cut between windows has messages on it.
fn archive_with_bounds(flags: &[&str]) {
    let env = TestEnv::without_messages(flags).with_only("agora");
    let end = env.world().now().second().0 - 60;
    for second in end - 4000..end {
        for beside in [-1, 0, 1] {
            env.append_message_at("lobby", &format!("{beside} beside"), second * 1000 + beside);
        }
    }
    let since = Millis((end - 4400) * 1000);
    let env = env
        .with_agora_streams(&[to("lobby")])
        .with_settle("1s")
        .with_account_setting("since", since.to_string());
    env.assert_sync_archives_truth();
    env.assert_no_rule_broken();

    let cuts: Vec<(i64,)> = env.query_rows("SELECT from_s FROM sealed_window");
    let said: HashSet<(i64,)> = env
        .query_rows("SELECT sent_at_ms / 1000 FROM archive WHERE sent_at_ms % 1000 = 0")
        .into_iter()
        .collect();
    assert!(
        cuts.iter().filter(|cut| said.contains(cut)).count() >= 2,
        "some of these cuts have a message on them: {cuts:?}"
    );
    let (messages, counted): (i64, i64) = env.query_row(
        "SELECT CAST(sum(messages) AS INTEGER), CAST(sum(provider_count) AS INTEGER) FROM coverage",
    );
    assert_eq!(
        (messages, counted),
        (12_000, 12_000),
        "no message is counted in two windows"
    );
}

#[test]
fn inclusive_bounds_lose_and_duplicate_nothing() {
    archive_with_bounds(&["--start", "inclusive", "--end", "inclusive"]);
}

#[test]
fn exclusive_bounds_lose_and_duplicate_nothing() {
    archive_with_bounds(&["--start", "exclusive", "--end", "exclusive"]);
}

#[test]
fn exclusive_start_loses_nothing() {
    archive_with_bounds(&["--start", "exclusive", "--end", "inclusive"]);
}

#[test]
fn exclusive_end_loses_nothing() {
    archive_with_bounds(&["--start", "inclusive", "--end", "exclusive"]);
}

#[test]
fn whole_second_bounds_lose_and_duplicate_nothing() {
    archive_with_bounds(&["--seconds"]);
}

#[test]
fn exclusive_whole_second_bounds_lose_and_duplicate_nothing() {
    archive_with_bounds(&["--seconds", "--start", "exclusive", "--end", "exclusive"]);
}
