//! Single passes over the archive of a test environment, and checks of its ledger.

use std::sync::Arc;
use std::time::Duration;

use backscroll::domain::clock::{Clock, SystemClock};
use backscroll::domain::time::Millis;
use backscroll::sandbox::Web3mqStatus;
use backscroll::store::{Archive, IfMissing, RunTotals, SqliteStore};
use backscroll::sync::{Engine, HistoryBounds, Purpose};
use tokio_util::sync::CancellationToken;

use crate::support::env::TestEnv;
use crate::support::messages::web3mq_message;
use crate::support::sandbox_providers::sandbox_providers_with_clock;

pub(crate) const SYNC: Purpose = Purpose::Sync(HistoryBounds {
    since: None,
    until: None,
});

/// Runs a pass with a new engine. Returns the numbers of requests, of new and of changed messages.
#[track_caller]
pub(crate) fn run_pass(env: &TestEnv, purpose: Purpose) -> (u64, u64, u64) {
    let mut engine = KeptEngine::start(env, Duration::from_secs(1));
    let figures = engine.pass(purpose);
    env.block_on(engine.store.close());
    figures
}

/// An engine that remembers between passes what a daemon does.
pub(crate) struct KeptEngine<'a> {
    env: &'a TestEnv,
    store: Arc<SqliteStore>,
    engine: Engine,
}

impl<'a> KeptEngine<'a> {
    pub(crate) fn start(env: &'a TestEnv, settle: Duration) -> Self {
        env.block_on(async {
            let path = env.archive_path();
            let store = SqliteStore::open(&path, IfMissing::Create).await;
            let store = Arc::new(store.unwrap());
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let providers = sandbox_providers_with_clock(env, &clock, settle);
            let engine = Engine::new(providers, store.clone(), &clock);
            Self { env, store, engine }
        })
    }

    /// Runs a pass. Returns the numbers of requests, of new and of changed messages.
    #[track_caller]
    pub(crate) fn pass(&mut self, purpose: Purpose) -> (u64, u64, u64) {
        let stop = CancellationToken::new();
        let reports = self.env.block_on(self.engine.pass(purpose, &stop)).unwrap();
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
    }
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
