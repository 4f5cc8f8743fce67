//! A process that is killed at any moment loses and duplicates nothing.

use std::future::poll_fn;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use backscroll::domain::clock::{Clock, SystemClock};
use backscroll::sandbox::{Call, CallFilter, Fault, ScriptedAnswer};
use backscroll::store::{Archive, IfMissing, SqliteStore};
use backscroll::sync::{Engine, HistoryBounds, PassReport, Purpose};
use tokio_util::sync::CancellationToken;

use crate::support::env::{BACKSCROLL, TestEnv, run_command_in, wait_until};
use crate::support::sandbox_providers::sandbox_providers;
use crate::support::truth;

/// Starts a pass and drops it after this many polls. Returns its reports if it was done by then.
async fn run_pass_for_polls(
    env: &TestEnv,
    archive: &std::path::Path,
    polls: u32,
) -> Option<Vec<PassReport>> {
    let store = Arc::new(SqliteStore::open(archive, IfMissing::Create).await.unwrap());
    let mut engine = Engine::new(
        sandbox_providers(env),
        store.clone(),
        &(Arc::new(SystemClock) as Arc<dyn Clock>),
    );
    let stop = CancellationToken::new();
    let mut left = polls;
    let ended = {
        let mut pass = pin!(engine.pass(Purpose::Sync(HistoryBounds::default()), &stop));
        poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(None);
            }
            left -= 1;
            pass.as_mut()
                .poll(context)
                .map(|reports| Some(reports.unwrap()))
        })
        .await
    };
    store.close().await;
    ended
}

/// Drops a pass after `polls` polls, completes it with another pass, and compares the archive.
/// Returns false if the first pass was done before.
fn pass_is_cut_short(env: &TestEnv, polls: u32) -> bool {
    let archive = env.path(&format!("cut-{polls}.db"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let edge = env.settled_edge();
    let was_cut = runtime.block_on(async {
        let cut = run_pass_for_polls(env, &archive, polls).await.is_none();
        let reports = run_pass_for_polls(env, &archive, u32::MAX)
            .await
            .expect("the second pass is not cut short");
        assert!(
            reports.iter().all(PassReport::is_complete),
            "after {polls} polls: {reports:?}"
        );
        cut
    });
    truth::assert_rows_equal_truth(
        env.world(),
        &["sandbox", "web3mq-1"],
        env.query_rows_of(&archive, truth::ARCHIVED),
        edge,
    );
    let (check,): (String,) = env
        .query_rows_of(&archive, "PRAGMA integrity_check")
        .remove(0);
    assert_eq!(check, "ok");
    was_cut
}

#[test]
fn pass_dropped_at_any_await_loses_nothing() {
    let flags = ["--plain", "--messages", "45", "--topic-messages", "60"];
    assert_dropped_pass_loses_nothing(&TestEnv::new(&flags));
}

#[test]
fn pass_over_topics_in_order_of_arrival_is_dropped_and_loses_nothing() {
    assert_dropped_pass_loses_nothing(&TestEnv::new(&[
        "--plain",
        "--messages",
        "0",
        "--topic-messages",
        "200",
        "--topic-span",
        "1h",
        "--topic-order",
        "arrival",
        "--sender-jitter",
        "5m",
    ]));
}

fn assert_dropped_pass_loses_nothing(env: &TestEnv) {
    const AT_ONCE: u32 = 8;
    // Each thread takes the next number of polls, until one pass runs to its end.
    let (next, longest) = (AtomicU32::new(0), AtomicU32::new(u32::MAX));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let polls = next.fetch_add(1, Ordering::Relaxed);
                    if polls >= longest.load(Ordering::Relaxed) {
                        return;
                    }
                    if !pass_is_cut_short(env, polls) {
                        longest.fetch_min(polls, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let longest = longest.into_inner();
    assert!((40..5000).contains(&longest), "a pass took {longest} polls");
}

/// The command under test. It is killed when the test ends.
struct SyncProcess(Child);

impl Drop for SyncProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn kill_at_any_moment_loses_nothing() {
    const KILLS: u32 = 15;
    let env = TestEnv::new(&[
        "--requests-per-second",
        "150",
        "--messages",
        "2500",
        "--topic-messages",
        "2500",
        "--ready-after",
        "20ms",
    ]);
    let edge = env.settled_edge();
    let config = env.write_config();
    let mut dice = fastrand::Rng::with_seed(5);
    let mut killed = 0;
    for _ in 0..KILLS {
        let command = Command::new(BACKSCROLL)
            .args(["sync", "--config"])
            .arg(&config)
            .current_dir(env.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = SyncProcess(command.unwrap());
        let until = env.sandbox.rules().total.requests() + dice.u64(1..60);
        let mut over = false;
        wait_until("requests", || {
            over = child.0.try_wait().unwrap().is_some();
            over || env.sandbox.rules().total.requests() >= until
        });
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        killed += u32::from(!over);
    }
    assert!(
        killed >= 5,
        "{killed} syncs were killed before they were done"
    );
    let unfinished = env.query_number("SELECT count(*) FROM runs WHERE finished_at IS NULL");
    assert!(unfinished > 0, "a killed run is recorded as unfinished");
    run_command_in(env.dir.path(), &["sync"]).assert_ok();
    env.assert_archive_equals_truth(edge);
    let (check,): (String,) = env.query_row("PRAGMA integrity_check");
    assert_eq!(check, "ok");
    let total = env.sandbox.rules().total;
    assert_eq!(
        total.polled_too_soon + total.dead_handle_read + total.bad_request + total.stale_signature,
        0,
        "{total:?}"
    );
}

#[test]
fn killed_first_sync_leaves_an_archive_that_lists_its_gaps() {
    let env = TestEnv::new(&["--messages", "200", "--topic-messages", "0"]).with_only("agora");
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Only(Call::Count),
        fault: Some(Fault::Hang),
        after: 1,
        times: 9999,
        ..ScriptedAnswer::default()
    });
    env.write_config();
    let mut child = Command::new(BACKSCROLL)
        .current_dir(env.dir.path())
        .arg("sync")
        .spawn()
        .unwrap();
    wait_until("counts that hang", || env.sandbox.rules().total.count > 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let (streams, missing): (i64, i64) = env.query_row(
        "SELECT (SELECT count(*) FROM stream), (SELECT count(*) FROM gaps WHERE reason = 'not fetched yet' AND NOT lost)",
    );
    assert!(streams > 5);
    assert_eq!(missing, streams);
    env.run(&["status"]).assert_ok().assert_prints("behind");
}
