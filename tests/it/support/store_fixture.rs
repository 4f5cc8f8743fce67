//! A store with one account of two streams, on each database, and builders of its contents.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backscroll::domain::alarm::Alarm;
use backscroll::domain::frontier::Frontier;
use backscroll::domain::identity::identify;
use backscroll::domain::message::{
    Conversation, ConversationKind, Delivery, DeliveryStatus, Message,
};
use backscroll::domain::stream::{Scope, Stream};
use backscroll::domain::time::{Millis, Second};
use backscroll::domain::window::Window;
use backscroll::store::{
    AccountId, AccountLedger, Archive, Commit, IfMissing, LedgerRow, NewAccount, PostgresStore,
    RegisteredAccount, Seal, SqliteStore, StreamId, StreamLedger, WantedHistory, WriteCounts,
};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

use crate::support::postgres_server;

pub(crate) const NOW: Millis = Millis(1_795_343_200_123);

/// A store with one account of two streams.
pub(crate) struct StoreFixture {
    pub(crate) store: Arc<dyn Archive>,
    pub(crate) reader: SqlReader,
    pub(crate) account: AccountId,
    pub(crate) streams: Vec<StreamId>,
}

/// A second connection that reads the tables directly.
pub(crate) enum SqlReader {
    Sqlite(Arc<SqliteStore>, TempDir),
    Postgres(String),
}

impl StoreFixture {
    pub(crate) async fn in_sqlite() -> Self {
        let dir = TempDir::new().unwrap();
        let store = Arc::new(open_sqlite(&dir.path().join("archive.db")).await);
        Self::with(store.clone(), SqlReader::Sqlite(store, dir)).await
    }

    pub(crate) async fn in_postgres() -> Self {
        let (store, database) = tokio::task::spawn_blocking(postgres_server::create_named_database)
            .await
            .unwrap();
        let store = PostgresStore::connect(store.parse().unwrap(), IfMissing::Create)
            .await
            .unwrap();
        Self::with(Arc::new(store), SqlReader::Postgres(database)).await
    }

    pub(crate) async fn with(store: Arc<dyn Archive>, reader: SqlReader) -> Self {
        let RegisteredAccount {
            account,
            streams,
            pause,
            accepted_credentials,
            settle_override: settle,
            ..
        } = register(&*store, &["destination=lobby", "source=alice"], None, None).await;
        assert_eq!((pause, accepted_credentials, settle), (None, None, None));
        Self {
            store,
            reader,
            account,
            streams: streams.into_iter().map(|(id, _)| id).collect(),
        }
    }

    pub(crate) fn commit_of(&self, from: i64, to: i64, messages: Vec<Message>) -> Commit {
        let window = window(from, to);
        let seal = seal(window, Some(messages.len() as u64));
        let messages = identify(messages);
        Commit {
            account: self.account,
            stream: self.streams[0],
            window,
            seal: Some(seal),
            messages,
            unreadable: vec![],
        }
    }

    pub(crate) async fn commit(&self, batch: &[Commit]) -> Vec<WriteCounts> {
        self.store.commit(batch, NOW).await.unwrap()
    }

    /// Returns the rows of a query as text. Timestamps become milliseconds, since databases format
    /// them differently.
    pub(crate) async fn query_texts(&self, sql: &'static str) -> Vec<Vec<String>> {
        let rows = match &self.reader {
            SqlReader::Sqlite(store, _) => store.query(sql).await.unwrap().rows,
            SqlReader::Postgres(database) => {
                let database = database.clone();
                tokio::task::spawn_blocking(move || {
                    postgres_server::shared_server().query_rows(&database, sql)
                })
                .await
                .unwrap()
            }
        };
        let plain = |value: String| {
            value
                .parse()
                .map_or(value, |moment: Millis| moment.0.to_string())
        };
        rows.into_iter()
            .map(|row| row.into_iter().map(plain).collect())
            .collect()
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.reader, SqlReader::Postgres(_))
    }

    /// Runs a statement that Backscroll would not run.
    pub(crate) async fn execute_sql(&self, sql: &'static str) {
        match &self.reader {
            SqlReader::Sqlite(_, dir) => {
                let file = dir.path().join("archive.db");
                let mut writer = SqliteConnectOptions::new()
                    .filename(file)
                    .connect()
                    .await
                    .unwrap();
                sqlx::query(sql).execute(&mut writer).await.unwrap();
            }
            SqlReader::Postgres(database) => {
                let database = database.clone();
                let run = move || postgres_server::shared_server().psql(&database, sql);
                tokio::task::spawn_blocking(run).await.unwrap();
            }
        }
    }

    pub(crate) async fn query_number(&self, sql: &'static str) -> i64 {
        self.query_texts(sql).await[0][0].parse().unwrap()
    }

    pub(crate) async fn assert_frontier(&self, horizon: Option<i64>, settled: i64, wanted_to: i64) {
        let frontier = Frontier {
            horizon: horizon.map(Second),
            settled_to: Second(settled),
            wanted_to: Second(wanted_to),
            retention: horizon.map(|horizon| Duration::from_secs(wanted_to.abs_diff(horizon))),
        };
        self.store
            .save_frontier(self.account, frontier)
            .await
            .unwrap();
    }
}

pub(crate) async fn open_sqlite(path: &Path) -> SqliteStore {
    SqliteStore::open(path, IfMissing::Create).await.unwrap()
}

pub(crate) async fn register(
    store: &dyn Archive,
    streams: &[&str],
    since: Option<i64>,
    horizon: Option<i64>,
) -> RegisteredAccount {
    let stream = |&key: &&str| {
        Arc::new(Stream {
            key: key.to_owned(),
            scope: scope(key),
            discovered: false,
        })
    };
    let streams: Vec<Arc<Stream>> = streams.iter().map(stream).collect();
    let wanted = WantedHistory {
        since: since.map(Second),
        reach: horizon.map(|horizon| Duration::from_secs(NOW.second().0.abs_diff(horizon))),
        now: NOW.second(),
    };
    let account = NewAccount {
        streams: Some((&streams[..], wanted)),
        ..NewAccount::named("shop", "agora")
    };
    store.register(&account).await.unwrap()
}

/// Returns the history that is wanted from a configured start.
pub(crate) fn wanted_since(since: i64) -> WantedHistory {
    WantedHistory {
        since: Some(Second(since)),
        reach: None,
        now: NOW.second(),
    }
}

pub(crate) fn window(from: i64, to: i64) -> Window {
    Window::new(Second(from), Second(to)).unwrap()
}

/// Returns the scope of a stream key such as `destination=lobby`.
pub(crate) fn scope(key: &str) -> Scope {
    let (part, name) = key.split_once('=').unwrap();
    let name = Some(name.to_owned());
    match part {
        "destination" => Scope {
            recipient: name,
            ..Scope::default()
        },
        "source" => Scope {
            sender: name,
            ..Scope::default()
        },
        _ => Scope {
            conversation: name,
            ..Scope::default()
        },
    }
}

pub(crate) fn seal(window: Window, provider_count: Option<u64>) -> Seal {
    Seal {
        window,
        scope: scope("destination=lobby"),
        provider_count,
        shown_outside: 0,
        doubt: None,
        replaces: false,
    }
}

pub(crate) fn message(ms: i64, text: &str) -> Message {
    Message {
        conversation: Conversation::named(ConversationKind::Channel, "lobby"),
        ..Message::text("alice", "lobby", Millis(ms), text)
    }
}

pub(crate) fn with_status(status: DeliveryStatus, at: i64) -> Message {
    let status = Some(Delivery {
        status,
        at: Some(Millis(at)),
    });
    Message {
        provider_id: Some("id".into()),
        status,
        ..message(10_000, "hi")
    }
}

pub(crate) fn texts<const N: usize>(row: [&str; N]) -> Vec<String> {
    row.map(str::to_owned).to_vec()
}

impl StoreFixture {
    pub(crate) async fn save_alarms(&self, alarms: &[Alarm]) {
        self.store.save_alarms(alarms, Millis(0)).await.unwrap();
    }

    pub(crate) async fn alarms(&self, ended_since: i64) -> Vec<Alarm> {
        self.store.alarms(Millis(ended_since)).await.unwrap()
    }
}

impl StoreFixture {
    /// Returns key, discovery flag and start of the wanted range of every followed stream.
    pub(crate) async fn followed_streams(&self) -> Vec<Vec<String>> {
        self.query_texts(
            "SELECT key, discovered, wanted_from_s FROM stream WHERE active = 1 ORDER BY key",
        )
        .await
    }
}

impl StoreFixture {
    pub(crate) async fn ledger_rows(&self, stream: usize) -> Vec<LedgerRow> {
        self.store
            .ledger_rows(self.streams[stream], window(-1_000_000, 1_000_000), 100)
            .await
            .unwrap()
    }

    pub(crate) fn replacement(&self, from: i64, to: i64, messages: Vec<Message>) -> Commit {
        let count = Some(messages.len() as u64);
        let seal = Seal {
            replaces: true,
            ..seal(window(from, to), count)
        };
        Commit {
            seal: Some(seal),
            ..self.commit_of(from, to, messages)
        }
    }
}

impl StoreFixture {
    /// Replaces the ledger of the first stream.
    pub(crate) async fn restore_ledger(
        &self,
        wanted_from: i64,
        horizon: Option<i64>,
        settled: i64,
        windows: Vec<LedgerRow>,
    ) {
        let stream = StreamLedger {
            key: "destination=lobby".to_owned(),
            scope: Some(scope("destination=lobby")),
            wanted_from: Second(wanted_from),
            followed_at: Second(wanted_from),
            active: true,
            discovered: false,
            arrival_mark: None,
            windows,
            quarantine: vec![],
        };
        let ledger = AccountLedger {
            account: "shop".to_owned(),
            provider: "agora".to_owned(),
            identity: None,
            frontier: Frontier {
                horizon: horizon.map(Second),
                settled_to: Second(settled),
                wanted_to: Second(settled + 100),
                retention: None,
            },
            streams: vec![stream],
        };
        self.store.restore_ledger(&ledger).await.unwrap();
    }
}
