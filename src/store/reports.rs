//! The role [`Reports`]: status, summaries, throughput and sizes.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;

use super::decode::{self, RunEnd, StreamSums};
use super::dialect::{AccessPath, Dialect};
use super::driver::{fetch_all, fetch_one};
use super::error::StoreError;
use super::links::scope_args;
use super::model::{
    AccountId, AccountSummary, LedgerDay, PassRecord, RequestRate, StreamId, StreamStatus,
    ThroughputBucket,
};
use super::sql;
use super::sql_store::SqlStore;
use crate::domain::stream::Scope;
use crate::domain::time::{Hour, Millis, Second};
use crate::domain::window::{Runs, Window};

/// Reports on streams, accounts and passes. No method changes anything.
#[async_trait]
pub trait Reports: Send + Sync {
    /// Returns the status of every active stream, in the order of accounts and keys. An account
    /// that has no stream yet, but is paused or could not be discovered, has a row of its own.
    ///
    /// It reads the whole ledger, of which the database returns the sums; and the rows within the
    /// provider's retention only if they have gaps.
    async fn status(&self) -> Result<Vec<StreamStatus>, StoreError>;

    /// Returns the summary of every account, in the order of their names. It reads no message,
    /// and of the ledger only ranges of indexes: it is cheap enough to run every few seconds.
    async fn account_summaries(&self) -> Result<Vec<AccountSummary>, StoreError>;

    /// Returns all sealed runs of a stream, including those older than the provider's retention.
    async fn sealed_runs_of(&self, stream: StreamId) -> Result<Runs, StoreError>;

    /// Returns the ledger rows of a stream that overlap `window`, added up by days (UTC). The
    /// result has a few entries per day, however many ledger rows there are.
    async fn ledger_days(
        &self,
        stream: StreamId,
        window: Window,
    ) -> Result<Vec<LedgerDay>, StoreError>;

    /// Returns the latest passes over all accounts, the newest first.
    async fn recent_passes(&self, limit: u64) -> Result<Vec<PassRecord>, StoreError>;

    /// Returns the totals of passes since a moment, by account and by buckets of this length, in
    /// the order of time.
    async fn throughput(
        &self,
        since: Millis,
        length: Duration,
    ) -> Result<Vec<ThroughputBucket>, StoreError>;

    /// Returns the request rate of every account since a moment, over passes of at least
    /// `min_length`. Shorter passes were not limited by the request rate.
    async fn request_rates(
        &self,
        since: Millis,
        min_length: Duration,
    ) -> Result<Vec<RequestRate>, StoreError>;

    /// Returns the size of the archive on disk in bytes.
    async fn size_bytes(&self) -> Result<u64, StoreError>;

    /// Returns the hours since 1970 in which a stream of the named account has messages, in order.
    /// Only hours that begin at `from` or later and messages before `to` count. It costs one index
    /// lookup per hour returned, however many messages there are.
    async fn active_hours(
        &self,
        account: &str,
        scope: &Scope,
        from: Second,
        to: Second,
    ) -> Result<Vec<i64>, StoreError>;
}

#[async_trait]
impl<DB: Dialect> Reports for SqlStore<DB> {
    async fn status(&self) -> Result<Vec<StreamStatus>, StoreError> {
        let mut tx = self.begin_read("status").await?;
        read_status::<DB>(&mut tx).await
    }

    async fn account_summaries(&self) -> Result<Vec<AccountSummary>, StoreError> {
        let mut tx = self.begin_read("account summaries").await?;
        read_account_summaries::<DB>(&mut tx).await
    }

    async fn sealed_runs_of(&self, stream: StreamId) -> Result<Runs, StoreError> {
        const WHAT: &str = "sealed runs";
        let mut connection = self.acquire_reader(WHAT).await?;
        let args = [stream.0.into()];
        let rows = fetch_all::<DB>(&mut connection, WHAT, sql::RUN_ENDS_OF_STREAM, &args).await?;
        let first = match rows.first() {
            Some(row) => Some(decode::second::<DB>(row, "first_s")?),
            None => None,
        };
        let ends = rows
            .iter()
            .map(decode::run_end::<DB>)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(decode::runs_from_ends(first, &ends))
    }

    async fn ledger_days(
        &self,
        stream: StreamId,
        window: Window,
    ) -> Result<Vec<LedgerDay>, StoreError> {
        const WHAT: &str = "ledger days";
        let mut connection = self.acquire_reader(WHAT).await?;
        let args = [
            stream.0.into(),
            window.from().0.into(),
            window.to().0.into(),
        ];
        let rows = fetch_all::<DB>(&mut connection, WHAT, sql::LEDGER_DAYS, &args).await?;
        rows.iter().map(decode::ledger_day::<DB>).collect()
    }

    async fn recent_passes(&self, limit: u64) -> Result<Vec<PassRecord>, StoreError> {
        const WHAT: &str = "recent passes";
        let mut connection = self.acquire_reader(WHAT).await?;
        let args = [limit.into()];
        let rows = fetch_all::<DB>(&mut connection, WHAT, sql::RECENT_PASSES, &args).await?;
        rows.iter().map(decode::pass_record::<DB>).collect()
    }

    async fn throughput(
        &self,
        since: Millis,
        length: Duration,
    ) -> Result<Vec<ThroughputBucket>, StoreError> {
        const WHAT: &str = "throughput";
        let mut connection = self.acquire_reader(WHAT).await?;
        let length_ms = millis_of(length).max(1);
        let args = [since.0.into(), length_ms.into()];
        let rows = fetch_all::<DB>(&mut connection, WHAT, sql::THROUGHPUT, &args).await?;
        rows.iter()
            .map(|row| decode::throughput_bucket::<DB>(row, length_ms))
            .collect()
    }

    async fn request_rates(
        &self,
        since: Millis,
        min_length: Duration,
    ) -> Result<Vec<RequestRate>, StoreError> {
        const WHAT: &str = "request rates";
        let mut connection = self.acquire_reader(WHAT).await?;
        let args = [since.0.into(), millis_of(min_length).into()];
        let rows = fetch_all::<DB>(&mut connection, WHAT, sql::REQUEST_RATES, &args).await?;
        rows.iter().map(decode::request_rate::<DB>).collect()
    }

    async fn size_bytes(&self) -> Result<u64, StoreError> {
        const WHAT: &str = "bytes";
        let mut connection = self.acquire_reader(WHAT).await?;
        let row = fetch_one::<DB>(&mut connection, WHAT, DB::ARCHIVE_SIZE, &[]).await?;
        decode::count::<DB>(&row, "bytes")
    }

    async fn active_hours(
        &self,
        account: &str,
        scope: &Scope,
        from: Second,
        to: Second,
    ) -> Result<Vec<i64>, StoreError> {
        const WHAT: &str = "active hours";
        let mut connection = self.acquire_reader(WHAT).await?;
        // The query returns the hours after the one given.
        let hour_before = Hour::containing(from.plus(-1)).0;
        let [sender, recipient, conversation] = scope_args(Some(scope));
        let args = [
            hour_before.into(),
            to.start().0.into(),
            account.into(),
            sender,
            recipient,
            conversation,
        ];
        let statement = sql::ACTIVE_HOURS.statement_for(AccessPath::for_scope(scope));
        let rows = fetch_all::<DB>(&mut connection, WHAT, statement, &args).await?;
        rows.iter()
            .map(|row| decode::int::<DB>(row, "hour"))
            .collect()
    }
}

async fn read_status<DB: Dialect>(
    connection: &mut DB::Connection,
) -> Result<Vec<StreamStatus>, StoreError> {
    const WHAT: &str = "status";
    let mut accounts = Vec::new();
    for row in fetch_all::<DB>(connection, WHAT, sql::ACCOUNT_STATUS, &[]).await? {
        accounts.push(decode::account_status::<DB>(&row)?);
    }
    let mut streams: HashMap<AccountId, Vec<StreamSums>> = HashMap::new();
    let mut is_any_broken = false;
    DB::for_each_row(connection, WHAT, sql::STREAM_STATUS, &[], |row| {
        let sums = decode::stream_sums::<DB>(row)?;
        is_any_broken |= !sums.is_unbroken();
        streams.entry(sums.account).or_default().push(sums);
        Ok(())
    })
    .await?;
    let mut ends = HashMap::new();
    if is_any_broken {
        ends = read_run_ends::<DB>(connection).await?;
    }
    let mut statuses = Vec::new();
    for account in accounts {
        let of_account = streams.remove(&account.account_id).unwrap_or_default();
        if of_account.is_empty() && account.has_account_fault() {
            statuses.push(account);
            continue;
        }
        let status = |sums: StreamSums| {
            let ends = ends.remove(&sums.id).unwrap_or_default();
            sums.into_status(&account, &ends)
        };
        statuses.extend(of_account.into_iter().map(status));
    }
    Ok(statuses)
}

/// Returns the ends of the runs of all active streams.
async fn read_run_ends<DB: Dialect>(
    connection: &mut DB::Connection,
) -> Result<HashMap<StreamId, Vec<RunEnd>>, StoreError> {
    const WHAT: &str = "status";
    let mut ends: HashMap<StreamId, Vec<RunEnd>> = HashMap::new();
    let statement = sql::RUN_ENDS_OF_ACTIVE_STREAMS;
    DB::for_each_row(connection, WHAT, statement, &[], |row| {
        let stream = StreamId(decode::int::<DB>(row, "stream_id")?);
        let end = decode::run_end::<DB>(row)?;
        ends.entry(stream).or_default().push(end);
        Ok(())
    })
    .await?;
    Ok(ends)
}

async fn read_account_summaries<DB: Dialect>(
    connection: &mut DB::Connection,
) -> Result<Vec<AccountSummary>, StoreError> {
    const WHAT: &str = "account summaries";
    let mut missing: HashMap<i64, Vec<(StreamId, Window)>> = HashMap::new();
    for row in fetch_all::<DB>(connection, WHAT, sql::MISSING_RANGES, &[]).await? {
        let account = decode::int::<DB>(&row, "account_id")?;
        let stream = StreamId(decode::int::<DB>(&row, "stream_id")?);
        missing
            .entry(account)
            .or_default()
            .push((stream, decode::window::<DB>(&row)?));
    }
    let mut recent: HashMap<i64, (u64, u64)> = HashMap::new();
    for row in fetch_all::<DB>(connection, WHAT, sql::RECENT_TOTALS, &[]).await? {
        let messages = decode::count::<DB>(&row, "messages")?;
        let seconds = decode::count::<DB>(&row, "seconds")?;
        recent.insert(decode::int::<DB>(&row, "account_id")?, (messages, seconds));
    }
    let mut summaries = Vec::new();
    for row in fetch_all::<DB>(connection, WHAT, sql::ACCOUNT_SUMMARIES, &[]).await? {
        let account = decode::int::<DB>(&row, "id")?;
        let missing = missing.remove(&account).unwrap_or_default();
        let recent = recent.get(&account).copied().unwrap_or_default();
        summaries.push(decode::account_summary::<DB>(&row, missing, recent)?);
    }
    Ok(summaries)
}

fn millis_of(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::store::sql;
    use crate::store::{IfMissing, SqliteStore};

    /// On SQLite, whose plans do not depend on the content of the tables.
    #[tokio::test]
    async fn account_summaries_read_only_index_ranges_of_the_ledger() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("archive.db");
        let store = SqliteStore::open(&path, IfMissing::Create).await.unwrap();
        for sql in [
            sql::MISSING_RANGES,
            sql::RECENT_TOTALS,
            sql::ACCOUNT_SUMMARIES,
        ] {
            let explain: &'static str = format!("EXPLAIN QUERY PLAN {sql}").leak();
            let plan = store.query(explain).await.unwrap().rows.concat();
            let reads_ledger = |step: &&String| {
                step.contains(" w ") || step.contains(" n ") || step.contains("sealed_window")
            };
            let steps: Vec<&String> = plan.iter().filter(reads_ledger).collect();
            assert!(!steps.is_empty(), "{plan:#?}");
            let is_range = |step: &&String| {
                step.starts_with("SEARCH") || step.contains("sealed_window_in_doubt")
            };
            assert!(steps.iter().all(is_range), "{plan:#?}");
        }
    }
}
