//! An engine and a store that archive a fake provider.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use backscroll::domain::clock::Clock;
use backscroll::domain::identity::identify;
use backscroll::domain::stream::StreamIndex;
use backscroll::domain::time::Millis;
use backscroll::domain::window::Window;
use backscroll::provider::Provider;
use backscroll::store::{
    Accounts, Audit, Commit, Cursor, IfMissing, NewAccount, SqliteStore, StreamId, Windows,
};
use backscroll::sync::progress::ProgressSnapshot;
use backscroll::sync::{Engine, HistoryBounds, PassReport, Purpose};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::fake_provider::FakeProvider;

/// The time at which a run begins.
pub(crate) const NOW: Millis = Millis(1_795_343_200_123);
/// A sync pass over the whole history.
pub(crate) const SYNC: Purpose = Purpose::Sync(HistoryBounds {
    since: None,
    until: None,
});

/// A fake provider, its archive, and the engine between them.
pub(crate) struct ModelRun {
    pub(crate) provider: Arc<FakeProvider>,
    pub(crate) store: Arc<SqliteStore>,
    engine: Engine,
    _dir: TempDir,
}

impl ModelRun {
    pub(crate) async fn with_provider(provider: FakeProvider) -> Self {
        let dir = TempDir::new().unwrap();
        let store = Arc::new(
            SqliteStore::open(&dir.path().join("archive.db"), IfMissing::Create)
                .await
                .unwrap(),
        );
        let provider = Arc::new(provider);
        let clock: Arc<dyn Clock> = provider.clock.clone();
        let engine = Engine::new(
            vec![provider.clone() as Arc<dyn Provider>],
            store.clone(),
            &clock,
        );
        Self {
            provider,
            store,
            engine,
            _dir: dir,
        }
    }

    pub(crate) async fn run_pass(&mut self, purpose: Purpose) -> PassReport {
        let mut reports = self
            .engine
            .pass(purpose, &CancellationToken::new())
            .await
            .unwrap();
        reports.remove(0)
    }

    pub(crate) fn progress(&self) -> ProgressSnapshot {
        self.engine.progress().snapshot()
    }

    /// Starts a pass and drops it after this many polls.
    pub(crate) async fn run_pass_for_polls(&mut self, mut polls: u32) {
        let shown = self.provider.history().shown.clone();
        let stop = CancellationToken::new();
        let mut pass = pin!(self.engine.pass(SYNC, &stop));
        poll_fn(|context| {
            if polls == 0 {
                return Poll::Ready(());
            }
            polls -= 1;
            pass.as_mut().poll(context).map(drop)
        })
        .await;
        // Messages of unfinished requests may be gone before they are requested again.
        self.provider.history().shown = shown;
    }

    /// Returns time and number of every archived message, ordered by time. Duplicates are kept.
    pub(crate) async fn archived_messages(&self) -> Vec<(i64, u64)> {
        let all = self
            .store
            .messages(
                &Cursor::before(Millis(i64::MIN)),
                Millis(i64::MAX),
                u64::MAX >> 1,
            )
            .await
            .unwrap();
        let number = |bytes: &[u8]| str::from_utf8(bytes).unwrap().parse().unwrap();
        all.iter()
            .map(|one| &one.identified.message)
            .map(|m| (m.sent_at.0, number(&m.payload.bytes)))
            .collect()
    }

    pub(crate) async fn query_texts(&self, sql: &'static str) -> Vec<String> {
        self.store.query(sql).await.unwrap().rows.concat()
    }

    /// Archives the messages of a window without sealing it.
    pub(crate) async fn store_unsealed(&self, window: Window) {
        let fetched = self
            .provider
            .fetch(StreamIndex::new(0), window, 0)
            .await
            .unwrap();
        let shop = NewAccount {
            name: "shop",
            provider: "agora",
            streams: None,
            since: None,
            horizon: None,
        };
        let account = self.store.register(&shop).await.unwrap().account;
        let messages = identify(fetched.messages);
        let commit = Commit {
            account,
            stream: StreamId(0),
            window,
            seal: None,
            messages,
            unreadable: vec![],
        };
        self.store.commit(&[commit], NOW).await.unwrap();
    }

    /// Panics unless the count of every ledger row equals the number of archived messages.
    pub(crate) async fn assert_ledger_agrees(&self) {
        let wrong =
            "SELECT from_s, to_s, messages, (SELECT count(*) FROM message m WHERE m.sent_at_ms >= w.from_s * 1000
                     AND m.sent_at_ms < w.to_s * 1000) AS held FROM sealed_window w WHERE held <> messages";
        assert_eq!(
            self.query_texts(wrong).await,
            [""; 0],
            "ledger rows that differ from the archive"
        );
    }
}
