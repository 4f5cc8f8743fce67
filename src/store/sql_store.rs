//! The archive in a SQL database, whichever it is.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::{Acquire, Pool, Transaction};

use super::aside::{self, Aside};
use super::dialect::{Arg, Dialect, Faith, int, maybe_int, one, seconds, text};
use super::figures::{self, Figures};
use super::lease::{Lease, Leases};
use super::ledger::{self, KnownStream, Ledger, window_of};
use super::numbering::Numbering;
use super::pulse::{self, Passed, Pulse, Stretch};
use super::read::{self, Archived, Cursor};
use super::rows::Row;
use super::sqlite::WriteLock;
use super::status::{self, Pace, StreamStatus};
use super::{
    AccountId, Commit, Held, HeldId, NewAccount, Pause, Registered, Room, RunId, Sealed, Stamp,
    Standing, Store, StoreError, StreamId, Tally, Trouble, Unread, Written, again, alarms,
    discovery, seal, sql, write,
};
use crate::domain::alarm::Alarm;
use crate::domain::party::Party;
use crate::domain::stream::{Scope, Stream};
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};

/// Runs are kept for so long.
const RUNS_KEPT: Duration = Duration::from_hours(2160);

/// An archive in a SQL database.
#[derive(Debug)]
pub struct SqlStore<DB: sqlx::Database> {
    pub(super) write: Pool<DB>,
    pub(super) read: Pool<DB>,
    numbering: Numbering,
    leases: Leases<DB>,
    #[expect(
        dead_code,
        reason = "it keeps other processes out for as long as it is held"
    )]
    lock: Option<WriteLock>,
    place: String,
    schema: i64,
}

#[expect(
    private_bounds,
    reason = "which databases there are is decided here, not by whoever uses them"
)]
impl<DB: Dialect> SqlStore<DB> {
    pub(super) fn new(write: Pool<DB>, read: Pool<DB>, place: String, schema: i64) -> Self {
        Self {
            write,
            read,
            numbering: Numbering::default(),
            leases: Leases::none(),
            lock: None,
            place,
            schema,
        }
    }

    /// Under a lock that keeps other processes out.
    pub(super) fn under(self, lock: WriteLock) -> Self {
        Self {
            lock: Some(lock),
            ..self
        }
    }

    async fn begin(&self, what: &'static str) -> Result<Transaction<'_, DB>, StoreError> {
        self.write
            .begin_with(DB::BEGIN)
            .await
            .map_err(StoreError::at(what))
    }

    async fn commit_all(&self, batch: &[Commit], now: Millis) -> Result<Vec<Written>, StoreError> {
        // Names and room outlive a commit that fails: they say nothing by themselves, and the next one needs them.
        let numbers = self.numbering.number::<DB>(&self.write, batch).await?;
        // While another commit is under way.
        let rows = batch
            .iter()
            .map(|commit| write::rows(commit, &numbers))
            .collect::<Result<Vec<_>, _>>()?;
        match self.commit_rows(batch, &rows, Faith::Good, now).await {
            Err(StoreError::Database { source, .. }) if is_taken(&source) => {
                self.commit_rows(batch, &rows, Faith::Doubt, now).await
            }
            outcome => outcome,
        }
    }

    async fn commit_rows(
        &self,
        batch: &[Commit],
        rows: &[Vec<Row<'_>>],
        faith: Faith,
        now: Millis,
    ) -> Result<Vec<Written>, StoreError> {
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
            written.push(write::window::<DB>(&mut tx, commit, rows, faith, now).await?);
        }
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(written)
    }

    async fn reader(&self, what: &'static str) -> Result<PoolConnection<DB>, StoreError> {
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
impl<DB: Dialect> Store for SqlStore<DB> {
    async fn register(&self, account: &NewAccount<'_>) -> Result<Registered, StoreError> {
        const WHAT: &str = "register";
        let mut tx = self.begin(WHAT).await?;
        let args = [account.name.into(), account.provider.into()];
        let row = one::<DB>(&mut tx, WHAT, sql::REGISTER_ACCOUNT, &args).await?;
        let id = int::<DB>(&row, "id")?;
        let pause = pause_of::<DB>(&row)?;
        let mut streams = Vec::new();
        if let Some(listed) = account.streams {
            DB::execute(&mut tx, sql::DEACTIVATE_STREAMS, &[id.into()])
                .await
                .map_err(StoreError::at(WHAT))?;
            let first = account.since.or(account.horizon).unwrap_or(Second::EPOCH);
            streams = discovery::follow::<DB>(&mut tx, id, listed, first, account.since).await?;
        }
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(Registered {
            account: AccountId(id),
            streams,
            pause,
            settle: seconds::<DB>(&row, "settle_s")?,
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
        let known = discovery::follow::<DB>(&mut tx, account.0, streams, from, Some(from)).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(known.into_iter().map(|(id, _)| id).collect())
    }

    async fn discovered(&self, account: AccountId) -> Result<Vec<Stream>, StoreError> {
        let mut connection = self.reader("discovered").await?;
        discovery::discovered::<DB>(&mut connection, account).await
    }

    async fn parties(&self, account: AccountId) -> Result<Vec<Party<'static>>, StoreError> {
        let mut connection = self.reader("parties").await?;
        discovery::parties::<DB>(&mut connection, account).await
    }

    async fn unlisted(
        &self,
        account: AccountId,
        trouble: Option<&Trouble>,
    ) -> Result<(), StoreError> {
        let (error, hint) = (
            trouble.map(|t| t.error.as_str()),
            trouble.map(|t| t.hint.as_str()),
        );
        self.execute(
            "unlisted",
            sql::UNLISTED,
            &[account.0.into(), error.into(), hint.into()],
        )
        .await
    }

    async fn lease(&self, account: AccountId, holder: &str) -> Result<Lease, StoreError> {
        if DB::SHARED {
            self.leases.take(&self.write, account, holder).await
        } else {
            Ok(Lease::Kept)
        }
    }

    async fn sealed(&self, account: AccountId) -> Result<HashMap<StreamId, Runs>, StoreError> {
        const WHAT: &str = "sealed";
        let mut connection = self.read.acquire().await.map_err(StoreError::at(WHAT))?;
        let rows = DB::fetch(&mut connection, sql::SEALED, &[account.0.into()])
            .await
            .map_err(StoreError::at(WHAT))?;
        let mut sealed: HashMap<StreamId, Runs> = HashMap::new();
        for row in rows {
            sealed
                .entry(StreamId(int::<DB>(&row, "stream_id")?))
                .or_default()
                .insert(window_of::<DB>(&row)?);
        }
        Ok(sealed)
    }

    async fn stands(&self, account: AccountId, standing: Standing) -> Result<(), StoreError> {
        self.execute("stands", sql::STANDS, &standing.args(account.0))
            .await
    }

    async fn commit(&self, batch: &[Commit], now: Millis) -> Result<Vec<Written>, StoreError> {
        let written = self.commit_all(batch, now).await;
        if written.is_err() {
            self.numbering.forget().await;
        }
        written
    }

    async fn trouble(
        &self,
        stream: StreamId,
        trouble: Option<&Trouble>,
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
        self.execute("trouble", sql::TROUBLE, &args).await
    }

    async fn pause(&self, account: AccountId, pause: Option<&Pause>) -> Result<(), StoreError> {
        let (until, reason) = (pause.map(|p| p.until.0), pause.map(|p| p.reason.as_str()));
        self.execute(
            "pause",
            sql::PAUSE,
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
        let old = now.minus(RUNS_KEPT).0;
        DB::execute(&mut tx, sql::FORGET_RUNS, &[old.into()])
            .await
            .map_err(StoreError::at(WHAT))?;
        let row = one::<DB>(
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
        status::read::<DB>(&mut snapshot).await
    }

    async fn sealed_of(&self, stream: StreamId) -> Result<Runs, StoreError> {
        let mut connection = self.reader("sealed").await?;
        status::sealed_of::<DB>(&mut connection, stream).await
    }

    async fn days(&self, stream: StreamId, window: Window) -> Result<Vec<Stretch>, StoreError> {
        let mut connection = self.reader("days").await?;
        pulse::days::<DB>(&mut connection, stream, window).await
    }

    async fn passes(&self, limit: u64) -> Result<Vec<Passed>, StoreError> {
        let mut connection = self.reader("passes").await?;
        pulse::passes::<DB>(&mut connection, limit).await
    }

    async fn pulse(&self, since: Millis, span: Duration) -> Result<Vec<Pulse>, StoreError> {
        let mut connection = self.reader("pulse").await?;
        pulse::pulse::<DB>(&mut connection, since, span).await
    }

    async fn figures(&self) -> Result<Vec<Figures>, StoreError> {
        let mut snapshot = self.read.begin().await.map_err(StoreError::at("figures"))?;
        figures::read::<DB>(&mut snapshot).await
    }

    async fn paces(&self, since: Millis, lasting: Duration) -> Result<Vec<Pace>, StoreError> {
        let mut connection = self.reader("paces").await?;
        status::paces::<DB>(&mut connection, since, lasting).await
    }

    async fn bytes(&self) -> Result<u64, StoreError> {
        const WHAT: &str = "bytes";
        let mut connection = self.reader(WHAT).await?;
        let row = one::<DB>(&mut connection, WHAT, DB::BYTES, &[]).await?;
        Ok(u64::try_from(int::<DB>(&row, WHAT)?).unwrap_or(0))
    }

    async fn messages(
        &self,
        after: &Cursor,
        to: Millis,
        limit: u64,
    ) -> Result<Vec<Archived>, StoreError> {
        let mut connection = self
            .read
            .acquire()
            .await
            .map_err(StoreError::at("messages"))?;
        read::messages::<DB>(&mut connection, after, to, limit).await
    }

    async fn streams(&self) -> Result<Vec<KnownStream>, StoreError> {
        let mut connection = self
            .read
            .acquire()
            .await
            .map_err(StoreError::at("streams"))?;
        ledger::streams::<DB>(&mut connection).await
    }

    async fn stamp(&self, stamps: &[Stamp]) -> Result<(), StoreError> {
        const WHAT: &str = "stamp";
        let mut tx = self.begin(WHAT).await?;
        seal::stamp::<DB>(&mut tx, stamps).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))
    }

    async fn set_aside(
        &self,
        stream: StreamId,
        aside: &[Aside<'_>],
        now: Millis,
    ) -> Result<u64, StoreError> {
        const WHAT: &str = "set aside";
        let mut tx = self.begin(WHAT).await?;
        let set_aside = aside::set_aside::<DB>(&mut tx, stream, aside, now).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(set_aside)
    }

    async fn ledger_rows(
        &self,
        stream: StreamId,
        window: Window,
        limit: u64,
    ) -> Result<Vec<Sealed>, StoreError> {
        let mut connection = self
            .read
            .acquire()
            .await
            .map_err(StoreError::at("ledger rows"))?;
        seal::rows::<DB>(&mut connection, stream, window, limit).await
    }

    async fn in_doubt(&self, account: AccountId) -> Result<Vec<(StreamId, Sealed)>, StoreError> {
        let mut connection = self.reader("in doubt").await?;
        again::in_doubt::<DB>(&mut connection, account).await
    }

    async fn times(
        &self,
        account: AccountId,
        scope: &Scope,
        from: Millis,
        to: Millis,
    ) -> Result<Vec<Millis>, StoreError> {
        let mut connection = self.reader("times").await?;
        let links = seal::archived::<DB>(&mut connection, account, scope, from, to).await?;
        Ok(links.into_iter().map(|link| link.sent_at).collect())
    }

    async fn count(
        &self,
        account: AccountId,
        scope: &Scope,
        from: Millis,
        to: Millis,
    ) -> Result<Option<u64>, StoreError> {
        let mut connection = self.reader("count").await?;
        seal::count::<DB>(&mut connection, account, scope, from, to).await
    }

    async fn unread(
        &self,
        account: AccountId,
        since: Millis,
        limit: u64,
    ) -> Result<Vec<Unread>, StoreError> {
        let mut connection = self.reader("unread").await?;
        again::unread::<DB>(&mut connection, account, since, limit).await
    }

    async fn unseal(&self, stream: StreamId, window: Window) -> Result<(), StoreError> {
        let args = [
            stream.0.into(),
            window.from().0.into(),
            window.to().0.into(),
        ];
        self.execute("unseal", sql::UNSEAL, &args).await
    }

    async fn stragglers(&self, account: AccountId, more: u64) -> Result<u64, StoreError> {
        const WHAT: &str = "stragglers";
        let mut connection = self.write.acquire().await.map_err(StoreError::at(WHAT))?;
        let connection = connection.acquire().await.map_err(StoreError::at(WHAT))?;
        let row = one::<DB>(
            connection,
            WHAT,
            sql::STRAGGLERS,
            &[account.0.into(), more.into()],
        )
        .await?;
        Ok(u64::try_from(int::<DB>(&row, "stragglers")?).unwrap_or(0))
    }

    async fn settle(&self, account: AccountId, settle: Duration) -> Result<(), StoreError> {
        self.execute(
            "settle",
            sql::SETTLE,
            &[account.0.into(), settle.as_secs().into()],
        )
        .await
    }

    async fn quarantined(
        &self,
        account: AccountId,
        after: HeldId,
        limit: u64,
    ) -> Result<Vec<Held>, StoreError> {
        let mut connection = self.reader("quarantine").await?;
        again::quarantined::<DB>(&mut connection, account, after, limit).await
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
                    sql::UNQUARANTINE,
                    &[account.0.into(), hash.into()],
                )
                .await
            }
            Some(reason) => {
                let args = [account.0.into(), hash.into(), reason.into()];
                self.execute("quarantine", sql::STILL_UNREADABLE, &args)
                    .await
            }
        }
    }

    async fn ledgers(&self) -> Result<Vec<Ledger>, StoreError> {
        let mut snapshot = self.read.begin().await.map_err(StoreError::at("ledgers"))?;
        ledger::read::<DB>(&mut snapshot).await
    }

    async fn restore(&self, ledger: &Ledger) -> Result<(), StoreError> {
        const WHAT: &str = "restore";
        let mut tx = self.begin(WHAT).await?;
        ledger::write::<DB>(&mut tx, ledger).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))
    }

    async fn alarms(&self, ended_since: Millis) -> Result<Vec<Alarm>, StoreError> {
        let mut connection = self.reader("alarms").await?;
        alarms::read::<DB>(&mut connection, ended_since).await
    }

    async fn note_alarms(&self, alarms: &[Alarm], forget: Millis) -> Result<(), StoreError> {
        const WHAT: &str = "alarms";
        let mut tx = self.begin(WHAT).await?;
        alarms::write::<DB>(&mut tx, alarms, forget).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))
    }

    async fn active_hours(
        &self,
        account: &str,
        scope: &Scope,
        from: Second,
        to: Second,
    ) -> Result<Vec<i64>, StoreError> {
        let mut connection = self.reader("active hours").await?;
        alarms::active_hours::<DB>(&mut connection, account, scope, from, to).await
    }

    async fn room(&self) -> Option<Room> {
        alarms::room(DB::folder(&self.place)?).await
    }

    fn lanes(&self) -> usize {
        DB::LANES
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn schema(&self) -> i64 {
        self.schema
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let mut connection = self.read.acquire().await.map_err(StoreError::at("ping"))?;
        DB::fetch(&mut connection, "SELECT 1", &[])
            .await
            .map_err(StoreError::at("ping"))?;
        Ok(())
    }

    async fn release(&self) {
        self.leases.end().await;
    }

    async fn close(&self) {
        self.release().await;
        self.read.close().await;
        self.write.close().await;
    }
}

/// Whether a row was in the way of another.
fn is_taken(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(DatabaseError::is_unique_violation)
}

pub(super) fn pause_of<DB: Dialect>(row: &DB::Row) -> Result<Option<Pause>, StoreError> {
    let reason = text::<DB>(row, "paused_reason")?.unwrap_or_default();
    Ok(maybe_int::<DB>(row, "paused_until_ms")?.map(|until| Pause {
        until: Millis(until),
        reason,
    }))
}
