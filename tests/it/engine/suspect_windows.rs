//! Suspect windows at the retention edge: what the provider still has is fetched again, and what has
//! expired stays suspect and holds up nothing.

use std::time::Duration;

use backscroll::domain::clock::Clock;
use backscroll::domain::time::Second;
use backscroll::domain::window::Window;
use backscroll::proof::{VerifyOptions, verify};
use backscroll::store::LedgerRow;
use backscroll::sync::Purpose;

use crate::support::fake_provider::FakeProvider;
use crate::support::model_run::{ModelRun, NOW, SYNC};

const SETTLE: Duration = Duration::from_mins(2);
const RETENTION: Duration = Duration::from_hours(12);
/// The provider is not asked for what expires within this time.
const MARGIN_S: i64 = 7;

fn provider() -> FakeProvider {
    let provider = FakeProvider::new(NOW, SETTLE, Some(RETENTION));
    let mut history = provider.history();
    for n in 0..36 {
        let ago_ms = n * 1_200_000 + 300_000;
        history.messages.insert((NOW.0 - ago_ms, n as u64 + 1));
    }
    drop(history);
    provider
}

/// Returns the start of the history that can be fetched.
fn horizon(run: &ModelRun) -> Second {
    let now = run.provider.clock.now().second();
    now.minus(RETENTION).plus(MARGIN_S)
}

async fn suspects(run: &ModelRun) -> Vec<LedgerRow> {
    let ledgers = run.store.ledgers().await.unwrap();
    let streams = ledgers.into_iter().flat_map(|ledger| ledger.streams);
    let rows = streams.flat_map(|stream| stream.windows);
    rows.filter(|row| row.doubt.is_some()).collect()
}

/// A history whose only window begins at the retention edge and is suspect.
async fn make_suspect(run: &mut ModelRun) -> Window {
    run.provider.history().incomplete_reads = u32::MAX;
    run.run_pass(SYNC).await;
    run.provider.history().incomplete_reads = 0;
    run.provider.history().fetched_windows.clear();
    let suspects = suspects(run).await;
    let [row] = suspects.as_slice() else {
        panic!("{suspects:?}");
    };
    assert_eq!(row.window.from(), horizon(run));
    row.window
}

/// Returns the numbers of suspect windows: of all, and of those that have expired.
async fn counted(run: &ModelRun) -> (u64, u64) {
    let status = run.store.status().await.unwrap().remove(0);
    let summary = run.store.account_summaries().await.unwrap().remove(0);
    let counted = (status.suspect_rows, status.expired_suspect_rows);
    assert_eq!(
        (summary.suspect_rows, summary.expired_suspect_rows),
        counted
    );
    assert_eq!(status.refetchable_suspects(), counted.0 - counted.1);
    counted
}

/// `late_ms`: the time by which the retention edge moves on before the next pass.
async fn assert_refetched_from_the_edge(mut run: ModelRun, late_ms: u64, purpose: Purpose) {
    let window = make_suspect(&mut run).await;
    assert_eq!(counted(&run).await, (1, 0));
    run.provider.clock.advance(Duration::from_millis(late_ms));
    let edge = horizon(&run);
    let report = run.run_pass(purpose).await;
    assert!(report.failure.is_none(), "{report:?}");
    run.assert_ledger_agrees().await;
    let left: Vec<Window> = suspects(&run).await.iter().map(|row| row.window).collect();
    let expired = window.up_to(edge);
    assert_eq!(left, Vec::from_iter(expired), "{late_ms}");
    let expired_rows = expired.iter().count() as u64;
    assert_eq!(counted(&run).await, (expired_rows, expired_rows));
    let available = window.starting_at(edge);
    let fetched = run.provider.history().fetched_windows.clone();
    assert!(
        fetched.iter().all(|window| edge <= window.from()),
        "{fetched:?}"
    );
    assert_eq!(
        fetched.iter().any(|window| Some(*window) == available),
        available.is_some(),
        "{late_ms} {fetched:?}"
    );
    if let Some(available) = available {
        let shown = run.provider.window(available);
        let archived = run.archived_messages().await;
        assert!(shown.iter().all(|message| archived.contains(message)));
    }
    let verified = verify(&*run.store, VerifyOptions::default()).await.unwrap();
    assert!(verified.agrees(), "{verified:?}");
    // The expired part is left alone.
    run.provider.history().fetched_windows.clear();
    run.run_pass(Purpose::Reconcile).await;
    assert_eq!(run.provider.history().fetched_windows, []);
    assert_eq!(suspects(&run).await.len() as u64, expired_rows);
}

/// The edge lies at the window's start until the next second begins.
const LATE_MS: [u64; 7] = [
    0,
    999 - 123,
    1000 - 123,
    1001 - 123,
    3_600_000,
    42_000_000,
    46_800_000,
];

#[tokio::test]
async fn suspect_window_is_refetched_from_the_retention_edge_on() {
    for late_ms in LATE_MS {
        for purpose in [SYNC, Purpose::Reconcile] {
            let run = ModelRun::with_provider(provider()).await;
            assert_refetched_from_the_edge(run, late_ms, purpose).await;
        }
    }
}

#[tokio::test]
async fn suspect_window_is_refetched_from_the_retention_edge_on_in_postgres() {
    for late_ms in LATE_MS {
        let run = ModelRun::in_postgres(provider()).await;
        assert_refetched_from_the_edge(run, late_ms, SYNC).await;
    }
}

/// A row that was changed behind the program's back is for `verify` to find.
#[tokio::test]
async fn row_that_differs_from_the_archive_is_not_split() {
    let mut run = ModelRun::with_provider(provider()).await;
    let window = make_suspect(&mut run).await;
    run.execute_sql("UPDATE sealed_window SET messages = messages + 1")
        .await;
    run.provider.clock.advance(Duration::from_mins(1));
    run.run_pass(Purpose::Reconcile).await;
    let left: Vec<Window> = suspects(&run).await.iter().map(|row| row.window).collect();
    assert_eq!(left, [window]);
    let verified = verify(&*run.store, VerifyOptions::default()).await.unwrap();
    assert!(!verified.agrees());
}
