//! The archive in an SQLite file: one writer, any number of readers, write-ahead logging.

mod sql;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Column, Executor, Row};
use tokio::sync::Mutex;

use super::{
    AccountId, Answer, Commit, NewAccount, Pause, Registered, RunId, Standing, Store, StoreError, StreamId,
    StreamStatus, Tally, Trouble, Written,
};
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};
use write::Writer;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a statement waits for another process that is writing.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections for reading; they never wait for the writer.
const READERS: u32 = 3;
/// Runs are kept for so long.
const RUNS_KEPT: Duration = Duration::from_secs(90 * 86_400);

/// Whether a missing file is made or is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Create,
    Refuse,
}

/// An archive in an SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Mutex<Writer>,
    write: SqlitePool,
    read: SqlitePool,
}

impl SqliteStore {
    /// Opens the archive and brings its schema up to date.
    pub async fn open(path: &Path, missing: Missing) -> Result<Self, StoreError> {
        let at = |source| StoreError::Open { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(missing == Missing::Create)
            .page_size(8192)
            .journal_mode(SqliteJournalMode::Wal)
            // A lost power supply may take the last commits with it, messages and ledger alike; they are fetched again.
            .synchronous(SqliteSynchronous::Normal)
            .pragma("wal_autocheckpoint", "8000")
            .pragma("journal_size_limit", "67108864")
            .busy_timeout(PATIENCE)
            .statement_cache_capacity(64);
        let one = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        let write = one.connect_with(options.clone()).await.map_err(at)?;
        MIGRATIONS.run(&write).await.map_err(migration_failed)?;
        let some = SqlitePoolOptions::new().max_connections(READERS).min_connections(0);
        let read = some.connect_lazy_with(options.read_only(true));
        Ok(Self { writer: Mutex::default(), write, read })
    }

    /// The newest schema that this program knows.
    pub fn schema() -> i64 {
        MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
    }
}

impl SqliteStore {
    /// Puts a question to the archive, as anyone with an SQLite tool might.
    pub async fn query(&self, sql: &'static str) -> Result<Answer, StoreError> {
        let rows = sqlx::query(sql).fetch_all(&self.read).await.map_err(StoreError::at("query"))?;
        let columns = rows.first().map(|row| row.columns().iter().map(|column| column.name().to_owned()).collect());
        let text = |row: &SqliteRow, index| {
            let number = || row.try_get::<i64, _>(index).map(|n| n.to_string());
            row.try_get::<Option<String>, _>(index)
                .map(Option::unwrap_or_default)
                .or_else(|_| number())
                .unwrap_or_default()
        };
        let rows = rows.iter().map(|row| (0..row.columns().len()).map(|index| text(row, index)).collect());
        Ok(Answer { columns: columns.unwrap_or_default(), rows: rows.collect() })
    }
}

fn migration_failed(error: sqlx::migrate::MigrateError) -> StoreError {
    use sqlx::migrate::MigrateError;
    match error {
        MigrateError::VersionMissing(found) if found > SqliteStore::schema() => {
            StoreError::Newer { found, known: SqliteStore::schema() }
        }
        MigrateError::Execute(source) => StoreError::Database { what: "migrate", source },
        other => StoreError::Schema(other),
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn register(&self, account: &NewAccount<'_>) -> Result<Registered, StoreError> {
        const WHAT: &str = "register";
        let mut tx = self.write.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::at(WHAT))?;
        let row = sqlx::query(sql::REGISTER_ACCOUNT).bind(account.name).bind(account.provider);
        let row = row.fetch_one(&mut *tx).await.map_err(StoreError::at(WHAT))?;
        let id: i64 = row.get("id");
        let until: Option<i64> = row.get("paused_until_ms");
        let pause = until.map(|until| Pause {
            until: Millis(until),
            reason: row.get::<Option<String>, _>("paused_reason").unwrap_or_default(),
        });
        if account.streams.is_some() {
            let all = sqlx::query(sql::DEACTIVATE_STREAMS).bind(id);
            all.execute(&mut *tx).await.map_err(StoreError::at(WHAT))?;
        }
        let since = account.since.map(|s| s.0);
        let first = account.since.or(account.horizon).unwrap_or(Second::EPOCH).0;
        let mut streams = Vec::new();
        for key in account.streams.unwrap_or_default() {
            let query = sqlx::query(sql::REGISTER_STREAM).bind(id).bind(key).bind(first).bind(since);
            let row = query.fetch_one(&mut *tx).await.map_err(StoreError::at(WHAT))?;
            streams.push((StreamId(row.get("id")), Second(row.get("wanted_from_s"))));
        }
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(Registered { account: AccountId(id), streams, pause })
    }

    async fn sealed(&self, account: AccountId) -> Result<HashMap<StreamId, Runs>, StoreError> {
        let query = sqlx::query(sql::SEALED).bind(account.0);
        let rows = query.fetch_all(&self.read).await.map_err(StoreError::at("sealed"))?;
        let mut sealed: HashMap<StreamId, Runs> = HashMap::new();
        for row in rows {
            let window = window(row.get("from_s"), row.get("to_s"))?;
            sealed.entry(StreamId(row.get("stream_id"))).or_default().insert(window);
        }
        Ok(sealed)
    }

    async fn stands(&self, account: AccountId, standing: Standing) -> Result<(), StoreError> {
        let query = sqlx::query(sql::STANDS).bind(account.0).bind(standing.horizon.map(|h| h.0));
        let query = query.bind(standing.settled.0).bind(standing.wanted_to.0);
        query.execute(&self.write).await.map_err(StoreError::at("stands"))?;
        Ok(())
    }

    async fn commit(&self, batch: &[Commit], now: Millis) -> Result<Vec<Written>, StoreError> {
        self.writer.lock().await.commit(&self.write, batch, now).await
    }

    async fn trouble(&self, stream: StreamId, trouble: Option<&Trouble>, now: Millis) -> Result<(), StoreError> {
        let query = sqlx::query(sql::TROUBLE).bind(stream.0).bind(trouble.map(|t| &t.error));
        let query = query.bind(trouble.map(|t| &t.hint)).bind(trouble.map(|_| now.0));
        query.execute(&self.write).await.map_err(StoreError::at("trouble"))?;
        Ok(())
    }

    async fn pause(&self, account: AccountId, pause: Option<&Pause>) -> Result<(), StoreError> {
        let query = sqlx::query(sql::PAUSE).bind(account.0).bind(pause.map(|p| p.until.0));
        let query = query.bind(pause.map(|p| &p.reason));
        query.execute(&self.write).await.map_err(StoreError::at("pause"))?;
        Ok(())
    }

    async fn begin_run(&self, account: AccountId, why: &str, now: Millis) -> Result<RunId, StoreError> {
        const WHAT: &str = "begin run";
        let mut tx = self.write.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::at(WHAT))?;
        let old = sqlx::query(sql::FORGET_RUNS).bind(now.minus(RUNS_KEPT).0);
        old.execute(&mut *tx).await.map_err(StoreError::at(WHAT))?;
        let query = sqlx::query(sql::BEGIN_RUN).bind(account.0).bind(why).bind(now.0);
        let row = query.fetch_one(&mut *tx).await.map_err(StoreError::at(WHAT))?;
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(RunId(row.get("id")))
    }

    async fn end_run(&self, run: RunId, tally: &Tally, now: Millis) -> Result<(), StoreError> {
        let numbers = [tally.requests, tally.new, tally.changed, tally.windows, tally.errors];
        let query = sqlx::query(sql::END_RUN).bind(run.0).bind(now.0);
        let query = numbers.into_iter().fold(query, |query, n| query.bind(count(n)));
        let query = query.bind(&tally.last_error);
        query.execute(&self.write).await.map_err(StoreError::at("end run"))?;
        Ok(())
    }

    async fn status(&self) -> Result<Vec<StreamStatus>, StoreError> {
        const WHAT: &str = "status";
        let mut snapshot = self.read.begin().await.map_err(StoreError::at(WHAT))?;
        let windows = sqlx::query(sql::ALL_SEALED).fetch_all(&mut *snapshot).await.map_err(StoreError::at(WHAT))?;
        let mut runs: BTreeMap<i64, Runs> = BTreeMap::new();
        for row in windows {
            runs.entry(row.get("stream_id")).or_default().insert(window(row.get("from_s"), row.get("to_s"))?);
        }
        let rows = sqlx::query(sql::STATUS).fetch_all(&mut *snapshot).await.map_err(StoreError::at(WHAT))?;
        let empty = Runs::default();
        Ok(rows.iter().map(|row| status_of(row, runs.get(&row.get("id")).unwrap_or(&empty))).collect())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read.execute("SELECT 1").await.map_err(StoreError::at("ping"))?;
        Ok(())
    }

    async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

fn status_of(row: &SqliteRow, runs: &Runs) -> StreamStatus {
    let (from, settled) = (Second(row.get("wanted_from_s")), Second(row.get("settled_s")));
    let horizon = row.get::<Option<i64>, _>("horizon_s").map_or(from, Second);
    let missing =
        |part: Option<Window>| part.map_or(0, |part| runs.missing_from(part).into_iter().map(Window::seconds).sum());
    let error: Option<String> = row.get("error");
    let paused: Option<i64> = row.get("paused_until_ms");
    let watermark = runs.watermark(from);
    StreamStatus {
        account: row.get("account"),
        provider: row.get("provider"),
        stream: row.get("key"),
        watermark: (watermark > from).then_some(watermark),
        as_of: Second(row.get("wanted_to_s")),
        messages: number(row.get("messages")),
        suspect: number(row.get("suspect")),
        quarantined: number(row.get("quarantined")),
        missing_seconds: missing(Window::new(from.max(horizon), settled)),
        lost_seconds: missing(Window::new(from, horizon.min(settled))),
        trouble: error.map(|error| Trouble { error, hint: row.get::<Option<String>, _>("hint").unwrap_or_default() }),
        pause: paused.map(|until| Pause {
            until: Millis(until),
            reason: row.get::<Option<String>, _>("paused_reason").unwrap_or_default(),
        }),
    }
}

fn window(from: i64, to: i64) -> Result<Window, StoreError> {
    Window::new(Second(from), Second(to)).ok_or_else(|| StoreError::Inconsistent {
        what: "sealed_window",
        fault: format!("a window from {from} to {to} is empty"),
    })
}

/// SQLite counts in signed numbers; so many of anything there never are.
fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn number(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
