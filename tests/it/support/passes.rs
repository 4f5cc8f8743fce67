//! Single passes over the archive of a test environment, and checks of its ledger.

use std::sync::Arc;

use backscroll::domain::clock::{Clock, SystemClock};
use backscroll::domain::time::Millis;
use backscroll::sandbox::Web3mqStatus;
use backscroll::store::{Archive, IfMissing, RunTotals, SqliteStore};
use backscroll::sync::{Engine, HistoryBounds, Purpose};
use tokio_util::sync::CancellationToken;

use crate::support::env::TestEnv;
use crate::support::messages::web3mq_message;
use crate::support::sandbox_providers::sandbox_providers;

pub(crate) const SYNC: Purpose = Purpose::Sync(HistoryBounds {
    since: None,
    until: None,
});

/// Runs a pass with a new engine. Returns the numbers of requests, of new and of changed messages.
#[track_caller]
pub(crate) fn run_pass(env: &TestEnv, purpose: Purpose) -> (u64, u64, u64) {
    env.block_on(async {
        let store = Arc::new(
            SqliteStore::open(&env.archive_path(), IfMissing::Create)
                .await
                .unwrap(),
        );
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut engine = Engine::new(sandbox_providers(env), store.clone(), &clock);
        let reports = engine
            .pass(purpose, &CancellationToken::new())
            .await
            .unwrap();
        store.close().await;
        for report in &reports {
            assert!(report.failure.is_none(), "{report:?}");
        }
        let sum = |figure: fn(&RunTotals) -> u64| {
            reports.iter().map(|report| figure(&report.tally)).sum()
        };
        (
            sum(|tally| tally.requests),
            sum(|tally| tally.new),
            sum(|tally| tally.changed),
        )
    })
}

/// Panics unless every ledger row equals the archive and the provider's count.
#[track_caller]
pub(crate) fn assert_complete(env: &TestEnv, edge: Millis) {
    assert_no_row(env, edge, "messages <> provider_count");
}

/// Panics if a ledger row has fewer messages than the provider counted. It may have more: messages
/// that came after the count may have come from another stream.
#[track_caller]
pub(crate) fn assert_nothing_short(env: &TestEnv, edge: Millis) {
    assert_no_row(env, edge, "messages < provider_count");
}

#[track_caller]
pub(crate) fn assert_no_row(env: &TestEnv, edge: Millis, odd: &str) {
    env.assert_archive_equals_truth(edge);
    let found: Vec<(String, String, i64, Option<i64>)> = env.query_rows(&format!(
        "SELECT stream, state, messages, provider_count FROM coverage WHERE state <> 'sealed' OR {odd}"
    ));
    assert_eq!(found, []);
}

/// Appends this many messages, a second apart until a minute ago, to a group of the first user.
pub(crate) fn append_group(env: &TestEnv, count: i64) -> (String, String, i64) {
    let user = env.world().user_ids()[0].clone();
    let topic = env
        .world()
        .web3mq_topics(&user)
        .into_keys()
        .find(|topic| topic.starts_with("group:"))
        .unwrap();
    let begin = env.world().now().0 - (60 + count) * 1000;
    for n in 0..count {
        env.world()
            .append_web3mq(
                &user,
                web3mq_message(&topic, begin + n * 1000, Some(Web3mqStatus::Received)),
            )
            .unwrap();
    }
    (user, topic, begin)
}
