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
use backscroll::provider::{Provider, WindowRequest};
use backscroll::store::{
    Archive, Commit, Cursor, IfMissing, NewAccount, PostgresStore, SqliteStore, StreamId,
};
use backscroll::sync::progress::ProgressSnapshot;
use backscroll::sync::refetch::requeue::requeue;
use backscroll::sync::{Engine, HistoryBounds, PassReport, Purpose};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::fake_provider::FakeProvider;
use crate::support::ledger_truth::{assert_none, untrue_rows};
use crate::support::postgres_server;

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
    pub(crate) store: Arc<dyn Archive>,
    /// The archive again, if it is a file.
    sqlite: Option<Arc<SqliteStore>>,
    engine: Engine,
    dir: TempDir,
}

impl ModelRun {
    pub(crate) async fn with_provider(provider: FakeProvider) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("archive.db");
        let sqlite = SqliteStore::open(&path, IfMissing::Create).await.unwrap();
        let sqlite = Arc::new(sqlite);
        Self::with_store(provider, sqlite.clone(), Some(sqlite), dir)
    }

    /// Archives in a new Postgres database.
    pub(crate) async fn in_postgres(provider: FakeProvider) -> Self {
        let (url, _) = tokio::task::spawn_blocking(postgres_server::create_named_database)
            .await
            .unwrap();
        let store = PostgresStore::connect(url.parse().unwrap(), IfMissing::Create);
        let store = Arc::new(store.await.unwrap());
        Self::with_store(provider, store, None, TempDir::new().unwrap())
    }

    fn with_store(
        provider: FakeProvider,
        store: Arc<dyn Archive>,
        sqlite: Option<Arc<SqliteStore>>,
        dir: TempDir,
    ) -> Self {
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
            sqlite,
            engine,
            dir,
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

    /// Goes on with a new engine, which follows the streams that the provider has now.
    pub(crate) fn restart(&mut self) {
        let clock: Arc<dyn Clock> = self.provider.clock.clone();
        let providers = vec![self.provider.clone() as Arc<dyn Provider>];
        self.engine = Engine::new(providers, self.store.clone(), &clock);
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
        let sqlite = self.sqlite.as_ref().expect("an archive in a file");
        sqlite.query(sql).await.unwrap().rows.concat()
    }

    /// Runs a statement that Backscroll would not run, in an archive in a file.
    pub(crate) async fn execute_sql(&self, sql: &'static str) {
        let options = SqliteConnectOptions::new().filename(self.dir.path().join("archive.db"));
        let mut writer = options.connect().await.unwrap();
        sqlx::query(sql).execute(&mut writer).await.unwrap();
    }

    /// Archives the messages of a window without sealing it.
    pub(crate) async fn store_unsealed(&self, window: Window) {
        let fetched = self
            .provider
            .fetch(StreamIndex::new(0), window, WindowRequest::whole(None))
            .await
            .unwrap();
        let shop = NewAccount::named("shop", "agora");
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

    /// Panics unless the count and the digest of every ledger row are those of the archive.
    pub(crate) async fn assert_ledger_agrees(&self) {
        assert_none(&untrue_rows(&*self.store).await, "this event");
    }

    /// Returns the number of suspect windows.
    pub(crate) async fn suspects(&self) -> usize {
        let ledgers = self.store.ledgers().await.unwrap();
        let streams = ledgers.iter().flat_map(|ledger| &ledger.streams);
        let rows = streams.flat_map(|stream| &stream.windows);
        rows.filter(|row| row.doubt.is_some()).count()
    }

    /// Parses the quarantine again.
    pub(crate) async fn requeue(&self) {
        let now = self.provider.clock.now();
        requeue(&*self.provider, &*self.store, now).await.unwrap();
    }
}
