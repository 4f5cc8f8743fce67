//! The role [`Records`]: what an archive knows of its accounts besides messages and ledgers. It is
//! read and written whole, for copies.

use async_trait::async_trait;

use super::decode;
use super::dialect::Dialect;
use super::driver::{Arg, execute, fetch_all};
use super::error::StoreError;
use super::model::{AccountRecord, PassRecord, RecordedError, RunId, RunTotals, StreamErrorRecord};
use super::sql;
use super::sql_store::SqlStore;
use crate::domain::time::Millis;

/// Returns the arguments of a pass's totals, in the order of the columns of `run`.
pub(super) fn total_args(totals: &RunTotals) -> [Arg<'_>; 7] {
    let lag = totals
        .lag_seconds
        .map(|lag| i64::try_from(lag).unwrap_or(i64::MAX));
    [
        totals.requests.into(),
        totals.new.into(),
        totals.changed.into(),
        totals.windows.into(),
        totals.errors.into(),
        totals.last_error.as_deref().into(),
        lag.into(),
    ]
}

/// Pauses, errors and runs as a whole.
///
/// Each method that changes something is one transaction: if it fails or is dropped, it has either
/// all of its effect or none.
#[async_trait]
pub trait Records: Send + Sync {
    /// Returns the records of all accounts, in the order of their names.
    async fn account_records(&self) -> Result<Vec<AccountRecord>, StoreError>;

    /// Replaces the records of an account and its streams, which must exist, and deletes its runs.
    async fn restore_account_record(&self, record: &AccountRecord) -> Result<(), StoreError>;

    /// Returns up to `limit` runs of all accounts, in the order of their ids, after the one given.
    async fn runs_after(
        &self,
        after: RunId,
        limit: u64,
    ) -> Result<Vec<(RunId, PassRecord)>, StoreError>;

    /// Adds runs to accounts that exist.
    async fn add_runs(&self, runs: &[(RunId, PassRecord)]) -> Result<(), StoreError>;
}

#[async_trait]
impl<DB: Dialect> Records for SqlStore<DB> {
    async fn account_records(&self) -> Result<Vec<AccountRecord>, StoreError> {
        const WHAT: &str = "records";
        let mut tx = self.begin_read(WHAT).await?;
        let mut errors = Vec::new();
        for row in fetch_all::<DB>(&mut tx, WHAT, sql::STREAM_ERRORS, &[]).await? {
            let account = decode::text::<DB>(&row, "account")?;
            errors.push((account, decode::stream_error_record::<DB>(&row)?));
        }
        let mut records = Vec::new();
        for row in fetch_all::<DB>(&mut tx, WHAT, sql::ACCOUNT_RECORDS, &[]).await? {
            let mut record = decode::account_record::<DB>(&row)?;
            let own = errors
                .iter()
                .filter(|(account, _)| *account == record.account);
            record.stream_errors = own.map(|(_, error)| error.clone()).collect();
            records.push(record);
        }
        Ok(records)
    }

    async fn restore_account_record(&self, record: &AccountRecord) -> Result<(), StoreError> {
        const WHAT: &str = "restore records";
        let mut tx = self.begin(WHAT).await?;
        let account = &record.account;
        let (pause, discovery_error) = (record.pause.as_ref(), record.discovery_error.as_ref());
        let error = record.error.as_ref();
        let settle = record.settle_override;
        let args = [
            account.into(),
            pause.map(|pause| pause.until.0).into(),
            pause.map(|pause| pause.reason.as_str()).into(),
            settle.map(|settle| settle.as_secs() as i64).into(),
            record.stragglers.into(),
            discovery_error.map(|error| error.error.as_str()).into(),
            discovery_error.map(|error| error.hint.as_str()).into(),
            pause
                .and_then(|pause| pause.refused_credentials.as_deref())
                .into(),
            record.accepted_credentials.as_deref().into(),
            error.map(|error| error.error.as_str()).into(),
            error.map(|error| error.hint.as_str()).into(),
            record.settle_ms.into(),
        ];
        execute::<DB>(&mut tx, WHAT, sql::RESTORE_ACCOUNT_RECORD, &args).await?;
        execute::<DB>(&mut tx, WHAT, sql::CLEAR_STREAM_ERRORS, &[account.into()]).await?;
        for StreamErrorRecord { stream, error, at } in &record.stream_errors {
            let RecordedError { error, hint } = error;
            let at = at.map(|at| at.0);
            let args = [
                account.into(),
                stream.into(),
                error.into(),
                hint.into(),
                at.into(),
            ];
            execute::<DB>(&mut tx, WHAT, sql::RESTORE_STREAM_ERROR, &args).await?;
        }
        execute::<DB>(
            &mut tx,
            WHAT,
            sql::DELETE_RUNS_OF_ACCOUNT,
            &[account.into()],
        )
        .await?;
        tx.commit().await.map_err(StoreError::at(WHAT))
    }

    async fn runs_after(
        &self,
        after: RunId,
        limit: u64,
    ) -> Result<Vec<(RunId, PassRecord)>, StoreError> {
        const WHAT: &str = "runs";
        let mut connection = self.acquire_reader(WHAT).await?;
        let args = [after.0.into(), limit.into()];
        let rows = fetch_all::<DB>(&mut connection, WHAT, sql::RUNS_AFTER, &args).await?;
        let run = |row: &DB::Row| {
            let id = RunId(decode::int::<DB>(row, "id")?);
            Ok((id, decode::pass_record::<DB>(row)?))
        };
        rows.iter().map(run).collect()
    }

    async fn add_runs(&self, runs: &[(RunId, PassRecord)]) -> Result<(), StoreError> {
        const WHAT: &str = "add runs";
        let mut tx = self.begin(WHAT).await?;
        for (_, run) in runs {
            let pass: [Arg<'_>; 4] = [
                (&run.account).into(),
                (&run.why).into(),
                run.started_at.0.into(),
                run.finished_at.map(|at: Millis| at.0).into(),
            ];
            let args = [pass.as_slice(), &total_args(&run.totals)].concat();
            execute::<DB>(&mut tx, WHAT, sql::ADD_RUN, &args).await?;
        }
        tx.commit().await.map_err(StoreError::at(WHAT))
    }
}
