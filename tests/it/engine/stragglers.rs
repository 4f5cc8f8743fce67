//! Stragglers on every edge of ledger rows are found, whatever bounds mean.

use backscroll::sync::Purpose;

use crate::support::env::TestEnv;
use crate::support::passes::{SYNC, assert_complete, run_pass};

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
