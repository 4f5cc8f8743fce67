//! The archive in a SQL database, whichever it is.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::{Acquire, Pool, Transaction};

use super::account_summary::{self, AccountSummary};
use super::activity::{self, PassRecord, Pulse, Stretch};
use super::archived::{self, ArchivedMessage, Cursor};
use super::dialect::{Arg, Dialect, InsertMode, duration_s, fetch_one, int, optional_int, text};
use super::eviction::{self, Eviction};
use super::interner::NameInterner;
use super::lease::{Lease, Leases};
use super::ledger::{self, AccountLedger, KnownStream, window_from_row};
use super::rows::MessageRow;
use super::sqlite::FileLock;
use super::status::{self, Pace, StreamStatus};
use super::{
    AccountId, Archive, Commit, DigestUpdate, HeldId, LedgerRow, NewAccount, Pause,
    QuarantinedMessage, RecordedError, RegisteredAccount, Room, RunId, StoreError, StreamId, Tally,
    UnreadGroup, WriteCounts, alarms, discovery, quarantine, seal, sql, write,
};
use crate::domain::alarm::Alarm;
use crate::domain::frontier::Frontier;
use crate::domain::participant::Participant;
use crate::domain::stream::{Scope, Stream};
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};

/// Runs are kept for so long.
const RUN_RETENTION: Duration = Duration::from_hours(2160);

/// An archive in a SQL database.
#[derive(Debug)]
pub struct SqlStore<DB: sqlx::Database> {
    pub(super) write: Pool<DB>,
    pub(super) read: Pool<DB>,
    interner: NameInterner,
    leases: Leases<DB>,
    #[expect(
        dead_code,
        reason = "it keeps other processes out for as long as it is held"
    )]
    file_lock: Option<FileLock>,
    location: String,
    schema: i64,
}

#[expect(
    private_bounds,
    reason = "which databases there are is decided here, not by whoever uses them"
)]
impl<DB: Dialect> SqlStore<DB> {
    pub(super) fn new(write: Pool<DB>, read: Pool<DB>, location: String, schema: i64) -> Self {
        Self {
            write,
            read,
            interner: NameInterner::default(),
            leases: Leases::none(),
            file_lock: None,
            location,
            schema,
        }
    }

    /// Under a lock that keeps other processes out.
    pub(super) fn with_file_lock(self, lock: FileLock) -> Self {
        Self {
            file_lock: Some(lock),
            ..self
        }
    }

    async fn begin(&self, what: &'static str) -> Result<Transaction<'_, DB>, StoreError> {
        self.write
            .begin_with(DB::BEGIN)
            .await
            .map_err(StoreError::at(what))
    }

    async fn commit_interned(
        &self,
        batch: &[Commit],
        now: Millis,
    ) -> Result<Vec<WriteCounts>, StoreError> {
        // Names and room outlive a commit that fails: they say nothing by themselves, and the next one needs them.
        let numbers = self.interner.intern::<DB>(&self.write, batch).await?;
        // While another commit is under way.
        let rows = batch
            .iter()
            .map(|commit| write::message_rows(commit, &numbers))
            .collect::<Result<Vec<_>, _>>()?;
        match self
            .commit_in_transaction(batch, &rows, InsertMode::ExpectNew, now)
            .await
        {
            Err(StoreError::Database { source, .. }) if is_unique_violation(&source) => {
                self.commit_in_transaction(batch, &rows, InsertMode::SkipExisting, now)
                    .await
            }
            outcome => outcome,
        }
    }

    async fn commit_in_transaction(
        &self,
        batch: &[Commit],
        rows: &[Vec<MessageRow<'_>>],
        faith: InsertMode,
        now: Millis,
    ) -> Result<Vec<WriteCounts>, StoreError> {
        const WHAT: &str = "commit";
        let mut tx = self.begin(WHAT).await?;
        for account in batch
            .iter()
            .map(|commit| commit.account)
            .collect::<BTreeSet<_>>()
        {
            self.leases.enforce(&mut tx, account).await?;
        }
        let mut written = Vec::with_capacity(batch.len());
        for (commit, rows) in batch.iter().zip(rows) {
            written.push(write::write_window::<DB>(&mut tx, commit, rows, faith, now).await?);
        }
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(written)
    }

    async fn acquire_reader(&self, what: &'static str) -> Result<PoolConnection<DB>, StoreError> {
        self.read.acquire().await.map_err(StoreError::at(what))
    }

    /// Carries out one statement by itself.
    async fn execute(
        &self,
        what: &'static str,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> Result<(), StoreError> {
        let mut connection = self.write.acquire().await.map_err(StoreError::at(what))?;
        let connection = connection.acquire().await.map_err(StoreError::at(what))?;
        DB::execute(connection, sql, args)
            .await
            .map_err(StoreError::at(what))?;
        Ok(())
    }
}

#[async_trait]
impl<DB: Dialect> Archive for SqlStore<DB> {
    async fn register(&self, account: &NewAccount<'_>) -> Result<RegisteredAccount, StoreError> {
        const WHAT: &str = "register";
        let mut tx = self.begin(WHAT).await?;
        let args = [account.name.into(), account.provider.into()];
        let row = fetch_one::<DB>(&mut tx, WHAT, sql::REGISTER_ACCOUNT, &args).await?;
        let id = int::<DB>(&row, "id")?;
        let pause = pause_from_row::<DB>(&row)?;
        let mut streams = Vec::new();
        if let Some(listed) = account.streams {
            DB::execute(&mut tx, sql::DEACTIVATE_STREAMS, &[id.into()])
                .await
                .map_err(StoreError::at(WHAT))?;
            let first = account.since.or(account.horizon).unwrap_or(Second::EPOCH);
            streams =
                discovery::upsert_streams::<DB>(&mut tx, id, listed, first, account.since).await?;
        }
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(RegisteredAccount {
            account: AccountId(id),
            streams,
            pause,
            settle: duration_s::<DB>(&row, "settle_override_s")?,
        })
    }

    async fn follow(
        &self,
        account: AccountId,
        streams: &[Arc<Stream>],
        from: Second,
    ) -> Result<Vec<StreamId>, StoreError> {
        const WHAT: &str = "follow";
        let mut tx = self.begin(WHAT).await?;
        let known =
            discovery::upsert_streams::<DB>(&mut tx, account.0, streams, from, Some(from)).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(known.into_iter().map(|(id, _)| id).collect())
    }

    async fn discovered_streams(&self, account: AccountId) -> Result<Vec<Stream>, StoreError> {
        let mut connection = self.acquire_reader("discovered").await?;
        discovery::read_discovered::<DB>(&mut connection, account).await
    }

    async fn parties(&self, account: AccountId) -> Result<Vec<Participant<'static>>, StoreError> {
        let mut connection = self.acquire_reader("parties").await?;
        discovery::read_participants::<DB>(&mut connection, account).await
    }

    async fn record_discovery_error(
        &self,
        account: AccountId,
        trouble: Option<&RecordedError>,
    ) -> Result<(), StoreError> {
        let (error, hint) = (
            trouble.map(|t| t.error.as_str()),
            trouble.map(|t| t.hint.as_str()),
        );
        self.execute(
            "unlisted",
            sql::RECORD_DISCOVERY_ERROR,
            &[account.0.into(), error.into(), hint.into()],
        )
        .await
    }

    async fn acquire_lease(&self, account: AccountId, holder: &str) -> Result<Lease, StoreError> {
        if DB::IS_SHARED {
            self.leases.acquire(&self.write, account, holder).await
        } else {
            Ok(Lease::Kept)
        }
    }

    async fn sealed_runs(&self, account: AccountId) -> Result<HashMap<StreamId, Runs>, StoreError> {
        const WHAT: &str = "sealed";
        let mut connection = self.read.acquire().await.map_err(StoreError::at(WHAT))?;
        let rows = DB::fetch(&mut connection, sql::SEALED_WINDOWS, &[account.0.into()])
            .await
            .map_err(StoreError::at(WHAT))?;
        let mut sealed: HashMap<StreamId, Runs> = HashMap::new();
        for row in rows {
            sealed
                .entry(StreamId(int::<DB>(&row, "stream_id")?))
                .or_default()
                .insert(window_from_row::<DB>(&row)?);
        }
        Ok(sealed)
    }

    async fn save_frontier(
        &self,
        account: AccountId,
        frontier: Frontier,
    ) -> Result<(), StoreError> {
        self.execute(
            "stands",
            sql::SAVE_FRONTIER,
            &ledger::frontier_args(account.0, frontier),
        )
        .await
    }

    async fn commit(&self, batch: &[Commit], now: Millis) -> Result<Vec<WriteCounts>, StoreError> {
        let written = self.commit_interned(batch, now).await;
        if written.is_err() {
            self.interner.clear().await;
        }
        written
    }

    async fn record_stream_error(
        &self,
        stream: StreamId,
        trouble: Option<&RecordedError>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let (error, hint) = (
            trouble.map(|t| t.error.as_str()),
            trouble.map(|t| t.hint.as_str()),
        );
        let args = [
            stream.0.into(),
            error.into(),
            hint.into(),
            trouble.map(|_| now.0).into(),
        ];
        self.execute("trouble", sql::RECORD_STREAM_ERROR, &args)
            .await
    }

    async fn pause(&self, account: AccountId, pause: Option<&Pause>) -> Result<(), StoreError> {
        let (until, reason) = (pause.map(|p| p.until.0), pause.map(|p| p.reason.as_str()));
        self.execute(
            "pause",
            sql::SET_PAUSE,
            &[account.0.into(), until.into(), reason.into()],
        )
        .await
    }

    async fn begin_run(
        &self,
        account: AccountId,
        why: &str,
        now: Millis,
    ) -> Result<RunId, StoreError> {
        const WHAT: &str = "begin run";
        let mut tx = self.begin(WHAT).await?;
        let old = now.minus(RUN_RETENTION).0;
        DB::execute(&mut tx, sql::DELETE_OLD_RUNS, &[old.into()])
            .await
            .map_err(StoreError::at(WHAT))?;
        let row = fetch_one::<DB>(
            &mut tx,
            WHAT,
            sql::BEGIN_RUN,
            &[account.0.into(), why.into(), now.0.into()],
        )
        .await?;
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(RunId(int::<DB>(&row, "id")?))
    }

    async fn end_run(&self, run: RunId, tally: &Tally, now: Millis) -> Result<(), StoreError> {
        let Tally {
            requests,
            new,
            changed,
            windows,
            errors,
            last_error,
            lag_seconds,
        } = tally;
        let figures = [*requests, *new, *changed, *windows, *errors].map(Arg::from);
        let [requests, new, changed, windows, errors] = figures;
        let last_error = last_error.as_deref().into();
        let lag = lag_seconds
            .map(|lag| i64::try_from(lag).unwrap_or(i64::MAX))
            .into();
        let args = [
            run.0.into(),
            now.0.into(),
            requests,
            new,
            changed,
            windows,
            errors,
            last_error,
            lag,
        ];
        self.execute("end run", sql::END_RUN, &args).await
    }

    async fn status(&self) -> Result<Vec<StreamStatus>, StoreError> {
        let mut snapshot = self.read.begin().await.map_err(StoreError::at("status"))?;
        status::read_status::<DB>(&mut snapshot).await
    }

    async fn sealed_runs_of(&self, stream: StreamId) -> Result<Runs, StoreError> {
        let mut connection = self.acquire_reader("sealed").await?;
        status::read_sealed_runs::<DB>(&mut connection, stream).await
    }

    async fn days(&self, stream: StreamId, window: Window) -> Result<Vec<Stretch>, StoreError> {
        let mut connection = self.acquire_reader("days").await?;
        activity::read_ledger_days::<DB>(&mut connection, stream, window).await
    }

    async fn passes(&self, limit: u64) -> Result<Vec<PassRecord>, StoreError> {
        let mut connection = self.acquire_reader("passes").await?;
        activity::read_recent_passes::<DB>(&mut connection, limit).await
    }

    async fn pulse(&self, since: Millis, span: Duration) -> Result<Vec<Pulse>, StoreError> {
        let mut connection = self.acquire_reader("pulse").await?;
        activity::read_throughput::<DB>(&mut connection, since, span).await
    }

    async fn account_summaries(&self) -> Result<Vec<AccountSummary>, StoreError> {
        let mut snapshot = self.read.begin().await.map_err(StoreError::at("figures"))?;
        account_summary::read_account_summaries::<DB>(&mut snapshot).await
    }

    async fn paces(&self, since: Millis, lasting: Duration) -> Result<Vec<Pace>, StoreError> {
        let mut connection = self.acquire_reader("paces").await?;
        status::read_request_rates::<DB>(&mut connection, since, lasting).await
    }

    async fn size_bytes(&self) -> Result<u64, StoreError> {
        const WHAT: &str = "bytes";
        let mut connection = self.acquire_reader(WHAT).await?;
        let row = fetch_one::<DB>(&mut connection, WHAT, DB::ARCHIVE_SIZE, &[]).await?;
        Ok(u64::try_from(int::<DB>(&row, WHAT)?).unwrap_or(0))
    }

    async fn messages(
        &self,
        after: &Cursor,
        to: Millis,
        limit: u64,
    ) -> Result<Vec<ArchivedMessage>, StoreError> {
        let mut connection = self
            .read
            .acquire()
            .await
            .map_err(StoreError::at("messages"))?;
        archived::read_messages::<DB>(&mut connection, after, to, limit).await
    }

    async fn streams(&self) -> Result<Vec<KnownStream>, StoreError> {
        let mut connection = self
            .read
            .acquire()
            .await
            .map_err(StoreError::at("streams"))?;
        ledger::read_streams::<DB>(&mut connection).await
    }

    async fn add_digests(&self, stamps: &[DigestUpdate]) -> Result<(), StoreError> {
        const WHAT: &str = "stamp";
        let mut tx = self.begin(WHAT).await?;
        seal::write_digests::<DB>(&mut tx, stamps).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))
    }

    async fn move_to_quarantine(
        &self,
        stream: StreamId,
        aside: &[Eviction<'_>],
        now: Millis,
    ) -> Result<u64, StoreError> {
        const WHAT: &str = "set aside";
        let mut tx = self.begin(WHAT).await?;
        let set_aside = eviction::evict::<DB>(&mut tx, stream, aside, now).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(set_aside)
    }

    async fn ledger_rows(
        &self,
        stream: StreamId,
        window: Window,
        limit: u64,
    ) -> Result<Vec<LedgerRow>, StoreError> {
        let mut connection = self
            .read
            .acquire()
            .await
            .map_err(StoreError::at("ledger rows"))?;
        seal::read_ledger_rows::<DB>(&mut connection, stream, window, limit).await
    }

    async fn doubted_rows(
        &self,
        account: AccountId,
    ) -> Result<Vec<(StreamId, LedgerRow)>, StoreError> {
        let mut connection = self.acquire_reader("in doubt").await?;
        quarantine::in_doubt::<DB>(&mut connection, account).await
    }

    async fn message_times(
        &self,
        account: AccountId,
        scope: &Scope,
        from: Millis,
        to: Millis,
    ) -> Result<Vec<Millis>, StoreError> {
        let mut connection = self.acquire_reader("times").await?;
        let links = seal::read_links::<DB>(&mut connection, account, scope, from, to).await?;
        Ok(links.into_iter().map(|link| link.sent_at).collect())
    }

    async fn count(
        &self,
        account: AccountId,
        scope: &Scope,
        from: Millis,
        to: Millis,
    ) -> Result<Option<u64>, StoreError> {
        let mut connection = self.acquire_reader("count").await?;
        seal::count_messages_between::<DB>(&mut connection, account, scope, from, to).await
    }

    async fn unread(
        &self,
        account: AccountId,
        since: Millis,
        limit: u64,
    ) -> Result<Vec<UnreadGroup>, StoreError> {
        let mut connection = self.acquire_reader("unread").await?;
        quarantine::unread::<DB>(&mut connection, account, since, limit).await
    }

    async fn unseal(&self, stream: StreamId, window: Window) -> Result<(), StoreError> {
        let args = [
            stream.0.into(),
            window.from().0.into(),
            window.to().0.into(),
        ];
        self.execute("unseal", sql::DELETE_LEDGER_ROWS, &args).await
    }

    async fn stragglers(&self, account: AccountId, more: u64) -> Result<u64, StoreError> {
        const WHAT: &str = "stragglers";
        let mut connection = self.write.acquire().await.map_err(StoreError::at(WHAT))?;
        let connection = connection.acquire().await.map_err(StoreError::at(WHAT))?;
        let row = fetch_one::<DB>(
            connection,
            WHAT,
            sql::ADD_STRAGGLERS,
            &[account.0.into(), more.into()],
        )
        .await?;
        Ok(u64::try_from(int::<DB>(&row, "straggler_count")?).unwrap_or(0))
    }

    async fn settle(&self, account: AccountId, settle: Duration) -> Result<(), StoreError> {
        self.execute(
            "settle",
            sql::SET_SETTLE_OVERRIDE,
            &[account.0.into(), settle.as_secs().into()],
        )
        .await
    }

    async fn quarantined(
        &self,
        account: AccountId,
        after: HeldId,
        limit: u64,
    ) -> Result<Vec<QuarantinedMessage>, StoreError> {
        let mut connection = self.acquire_reader("quarantine").await?;
        quarantine::quarantined::<DB>(&mut connection, account, after, limit).await
    }

    async fn reconsider(
        &self,
        account: AccountId,
        held: HeldId,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let hash: &[u8] = &held.0;
        match reason {
            None => {
                self.execute(
                    "quarantine",
                    sql::DELETE_QUARANTINE,
                    &[account.0.into(), hash.into()],
                )
                .await
            }
            Some(reason) => {
                let args = [account.0.into(), hash.into(), reason.into()];
                self.execute("quarantine", sql::UPDATE_QUARANTINE_REASON, &args)
                    .await
            }
        }
    }

    async fn ledgers(&self) -> Result<Vec<AccountLedger>, StoreError> {
        let mut snapshot = self.read.begin().await.map_err(StoreError::at("ledgers"))?;
        ledger::read_ledgers::<DB>(&mut snapshot).await
    }

    async fn restore_ledger(&self, ledger: &AccountLedger) -> Result<(), StoreError> {
        const WHAT: &str = "restore";
        let mut tx = self.begin(WHAT).await?;
        ledger::write_ledger::<DB>(&mut tx, ledger).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))
    }

    async fn alarms(&self, ended_since: Millis) -> Result<Vec<Alarm>, StoreError> {
        let mut connection = self.acquire_reader("alarms").await?;
        alarms::read_alarms::<DB>(&mut connection, ended_since).await
    }

    async fn save_alarms(&self, alarms: &[Alarm], forget: Millis) -> Result<(), StoreError> {
        const WHAT: &str = "alarms";
        let mut tx = self.begin(WHAT).await?;
        alarms::write_alarms::<DB>(&mut tx, alarms, forget).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))
    }

    async fn active_hours(
        &self,
        account: &str,
        scope: &Scope,
        from: Second,
        to: Second,
    ) -> Result<Vec<i64>, StoreError> {
        let mut connection = self.acquire_reader("active hours").await?;
        alarms::read_active_hours::<DB>(&mut connection, account, scope, from, to).await
    }

    async fn room(&self) -> Option<Room> {
        alarms::measure_disk_space(DB::local_folder(&self.location)?).await
    }

    fn max_parallel_commits(&self) -> usize {
        DB::MAX_PARALLEL_COMMITS
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn schema_version(&self) -> i64 {
        self.schema
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let mut connection = self.read.acquire().await.map_err(StoreError::at("ping"))?;
        DB::fetch(&mut connection, "SELECT 1", &[])
            .await
            .map_err(StoreError::at("ping"))?;
        Ok(())
    }

    async fn release_leases(&self) {
        self.leases.release_all().await;
    }

    async fn close(&self) {
        self.release_leases().await;
        self.read.close().await;
        self.write.close().await;
    }
}

/// Whether a row was in the way of another.
fn is_unique_violation(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(DatabaseError::is_unique_violation)
}

pub(super) fn pause_from_row<DB: Dialect>(row: &DB::Row) -> Result<Option<Pause>, StoreError> {
    let reason = text::<DB>(row, "paused_reason")?.unwrap_or_default();
    Ok(
        optional_int::<DB>(row, "paused_until_ms")?.map(|until| Pause {
            until: Millis(until),
            reason,
        }),
    )
}
