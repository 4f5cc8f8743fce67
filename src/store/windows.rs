//! The role [`Windows`]: windows are committed, and their coverage is read.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use sqlx::Transaction;

use super::decode;
use super::dialect::{Dialect, InsertMode};
use super::driver::{execute, fetch_all};
use super::error::StoreError;
use super::isolation::{WindowWriter, commit_apart, storable_part};
use super::ledger_rows::read_ledger_rows;
use super::links::{StreamRange, count_messages_in, read_links};
use super::model::{
    AccountId, Commit, CopiedMessages, LedgerRow, StreamId, UnreadGroup, WriteCounts,
};
use super::rows::{InternedIds, MessageRow};
use super::split::split_ledger_row;
use super::sql;
use super::sql_store::SqlStore;
use super::write::{copied_rows, message_rows, write_copied, write_window};
use crate::domain::identity::IdentifiedMessage;
use crate::domain::stream::Scope;
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};

/// Commits of windows, and the coverage that results.
#[async_trait]
pub trait Windows: Send + Sync {
    /// Returns the sealed runs of an account's active streams, within the provider's retention.
    async fn sealed_runs(&self, account: AccountId) -> Result<HashMap<StreamId, Runs>, StoreError>;

    /// Writes windows with their messages and ledger rows in one transaction: all of them or, on
    /// an error, none. Returns the counts of each. A message that the database cannot hold is put
    /// into quarantine; if that is found out too late, each window is a transaction of its own.
    /// Errors with [`StoreError::InUse`] if another
    /// process has taken one of the accounts.
    async fn commit(&self, batch: &[Commit], now: Millis) -> Result<Vec<WriteCounts>, StoreError>;

    /// Writes messages of another archive in one transaction, and returns the number of those that
    /// are new. The ids that they keep must be free.
    async fn import(&self, copied: &[CopiedMessages]) -> Result<u64, StoreError>;

    /// Deletes the ledger rows inside a window: it counts as missing again. Messages stay.
    async fn unseal(&self, stream: StreamId, window: Window) -> Result<(), StoreError>;

    /// Deletes the ledger rows of an account that end after `end`, and returns their number.
    /// Messages stay.
    async fn unseal_after(&self, account: AccountId, end: Second) -> Result<u64, StoreError>;

    /// Splits the ledger row of this window at a second within it. Both parts keep its doubt and
    /// its age. Returns false if the row has changed, or does not agree with the archive.
    async fn split_row(
        &self,
        account: AccountId,
        stream: (StreamId, &Scope),
        window: Window,
        at: Second,
    ) -> Result<bool, StoreError>;

    /// Returns the first `limit` ledger rows of a stream that overlap `window`, in order. To
    /// replace rows, fetch exactly the range that they span.
    async fn ledger_rows(
        &self,
        stream: StreamId,
        window: Window,
        limit: u64,
    ) -> Result<Vec<LedgerRow>, StoreError>;

    /// Returns the ledger rows of an account's active streams that are in doubt.
    async fn doubted_rows(
        &self,
        account: AccountId,
    ) -> Result<Vec<(StreamId, LedgerRow)>, StoreError>;

    /// Returns the send times of a stream's archived messages in a range, in order.
    async fn message_times(
        &self,
        account: AccountId,
        scope: &Scope,
        from: Millis,
        to: Millis,
    ) -> Result<Vec<Millis>, StoreError>;

    /// Returns the number of a stream's archived messages in a range.
    async fn count_messages(
        &self,
        account: AccountId,
        scope: &Scope,
        from: Millis,
        to: Millis,
    ) -> Result<u64, StoreError>;

    /// Returns up to `limit` groups of an account's messages since a moment that are known to be
    /// unread, the newest first.
    async fn unread_messages(
        &self,
        account: AccountId,
        since: Millis,
        limit: u64,
    ) -> Result<Vec<UnreadGroup>, StoreError>;

    /// Returns the number of commits that run faster in parallel than one after the other.
    fn max_parallel_commits(&self) -> usize;
}

#[async_trait]
impl<DB: Dialect> Windows for SqlStore<DB> {
    async fn sealed_runs(&self, account: AccountId) -> Result<HashMap<StreamId, Runs>, StoreError> {
        const WHAT: &str = "sealed windows";
        let mut connection = self.acquire_reader(WHAT).await?;
        let args = [account.0.into()];
        let mut sealed: HashMap<StreamId, Runs> = HashMap::new();
        for row in fetch_all::<DB>(&mut connection, WHAT, sql::SEALED_WINDOWS, &args).await? {
            let stream = StreamId(decode::int::<DB>(&row, "stream_id")?);
            sealed
                .entry(stream)
                .or_default()
                .insert(decode::window::<DB>(&row)?);
        }
        Ok(sealed)
    }

    async fn commit(&self, batch: &[Commit], now: Millis) -> Result<Vec<WriteCounts>, StoreError> {
        let batch = storable_part(batch);
        let written = match write_batch(self, &batch, now).await {
            Err(error) if error.is_refusal() => commit_apart(self, &batch, now).await,
            outcome => outcome,
        };
        if written.is_err() {
            self.interner.clear().await;
        }
        written
    }

    async fn import(&self, copied: &[CopiedMessages]) -> Result<u64, StoreError> {
        let written = import_batch(self, copied).await;
        if written.is_err() {
            self.interner.clear().await;
        }
        written
    }

    async fn unseal(&self, stream: StreamId, window: Window) -> Result<(), StoreError> {
        let args = [
            stream.0.into(),
            window.from().0.into(),
            window.to().0.into(),
        ];
        self.execute("unseal", sql::DELETE_LEDGER_ROWS, &args).await
    }

    async fn unseal_after(&self, account: AccountId, end: Second) -> Result<u64, StoreError> {
        const WHAT: &str = "unseal after";
        let mut connection = self.acquire_writer(WHAT).await?;
        let args = [account.0.into(), end.0.into()];
        execute::<DB>(&mut connection, WHAT, sql::DELETE_LEDGER_ROWS_AFTER, &args).await
    }

    async fn split_row(
        &self,
        account: AccountId,
        stream: (StreamId, &Scope),
        window: Window,
        at: Second,
    ) -> Result<bool, StoreError> {
        let mut tx = begin_commit(self, [account].into()).await?;
        let is_split = split_ledger_row::<DB>(&mut tx, account, stream, window, at).await?;
        tx.commit().await.map_err(StoreError::at(COMMIT))?;
        Ok(is_split)
    }

    async fn ledger_rows(
        &self,
        stream: StreamId,
        window: Window,
        limit: u64,
    ) -> Result<Vec<LedgerRow>, StoreError> {
        let mut connection = self.acquire_reader("ledger rows").await?;
        read_ledger_rows::<DB>(&mut connection, stream, window, limit).await
    }

    async fn doubted_rows(
        &self,
        account: AccountId,
    ) -> Result<Vec<(StreamId, LedgerRow)>, StoreError> {
        const WHAT: &str = "doubted rows";
        let mut connection = self.acquire_reader(WHAT).await?;
        let args = [account.0.into()];
        let rows = fetch_all::<DB>(&mut connection, WHAT, sql::DOUBTED_ROWS, &args).await?;
        rows.iter()
            .map(decode::ledger_row_of_stream::<DB>)
            .collect()
    }

    async fn message_times(
        &self,
        account: AccountId,
        scope: &Scope,
        from: Millis,
        to: Millis,
    ) -> Result<Vec<Millis>, StoreError> {
        let mut connection = self.acquire_reader("message times").await?;
        let range = StreamRange {
            account,
            scope,
            from,
            to,
        };
        let links = read_links::<DB>(&mut connection, range).await?;
        Ok(links.into_iter().map(|link| link.sent_at).collect())
    }

    async fn count_messages(
        &self,
        account: AccountId,
        scope: &Scope,
        from: Millis,
        to: Millis,
    ) -> Result<u64, StoreError> {
        let mut connection = self.acquire_reader("count").await?;
        let range = StreamRange {
            account,
            scope,
            from,
            to,
        };
        count_messages_in::<DB>(&mut connection, range).await
    }

    async fn unread_messages(
        &self,
        account: AccountId,
        since: Millis,
        limit: u64,
    ) -> Result<Vec<UnreadGroup>, StoreError> {
        const WHAT: &str = "unread messages";
        let mut connection = self.acquire_reader(WHAT).await?;
        let args = [account.0.into(), since.0.into(), limit.into()];
        let rows = fetch_all::<DB>(&mut connection, WHAT, sql::UNREAD_MESSAGES, &args).await?;
        rows.iter().map(decode::unread_group::<DB>).collect()
    }

    fn max_parallel_commits(&self) -> usize {
        DB::MAX_PARALLEL_COMMITS
    }
}

#[async_trait]
impl<DB: Dialect> WindowWriter for SqlStore<DB> {
    async fn write_window(&self, commit: &Commit, now: Millis) -> Result<WriteCounts, StoreError> {
        let written = write_batch(self, std::slice::from_ref(commit), now).await?;
        Ok(written.into_iter().next().unwrap_or_default())
    }
}

/// Writes a batch of windows in one transaction.
async fn write_batch<DB: Dialect>(
    store: &SqlStore<DB>,
    batch: &[Commit],
    now: Millis,
) -> Result<Vec<WriteCounts>, StoreError> {
    let messages = batch.iter().map(|commit| &commit.messages[..]);
    let accounts = batch.iter().map(|commit| commit.account);
    let ids = intern(store, accounts.zip(messages)).await?;
    // Rows are built before the transaction, while another commit may be running.
    let rows = batch.iter().map(|commit| message_rows(commit, &ids, now));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    expecting_new(|mode| write_in_transaction(store, batch, &rows, mode, now)).await
}

async fn write_in_transaction<DB: Dialect>(
    store: &SqlStore<DB>,
    batch: &[Commit],
    rows: &[Vec<MessageRow<'_>>],
    mode: InsertMode,
    now: Millis,
) -> Result<Vec<WriteCounts>, StoreError> {
    let accounts = batch.iter().map(|commit| commit.account);
    let mut tx = begin_commit(store, accounts.collect()).await?;
    let mut written = Vec::with_capacity(batch.len());
    for (commit, rows) in batch.iter().zip(rows) {
        written.push(write_window::<DB>(&mut tx, commit, rows, mode, now).await?);
    }
    tx.commit().await.map_err(StoreError::at(COMMIT))?;
    Ok(written)
}

/// Writes messages of another archive in one transaction, and returns the number of new ones.
async fn import_batch<DB: Dialect>(
    store: &SqlStore<DB>,
    batch: &[CopiedMessages],
) -> Result<u64, StoreError> {
    let messages = batch.iter().map(|copied| &copied.messages[..]);
    let accounts = batch.iter().map(|copied| copied.account);
    let ids = intern(store, accounts.zip(messages)).await?;
    let rows = batch.iter().map(|copied| copied_rows(copied, &ids));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    expecting_new(|mode| import_in_transaction(store, batch, &rows, mode)).await
}

async fn import_in_transaction<DB: Dialect>(
    store: &SqlStore<DB>,
    batch: &[CopiedMessages],
    rows: &[Vec<MessageRow<'_>>],
    mode: InsertMode,
) -> Result<u64, StoreError> {
    let accounts = batch.iter().map(|copied| copied.account);
    let mut tx = begin_commit(store, accounts.collect()).await?;
    let mut new = 0;
    for (copied, rows) in batch.iter().zip(rows) {
        new += write_copied::<DB>(&mut tx, copied.account, rows, mode).await?;
    }
    tx.commit().await.map_err(StoreError::at(COMMIT))?;
    Ok(new)
}

/// Writes messages that are expected to be new. If one exists, the transaction fails and is repeated
/// in the mode that skips existing messages. It is also repeated if it and another commit of the
/// account, which adjusts the same ledger rows, waited for each other.
async fn expecting_new<T, F>(write: impl Fn(InsertMode) -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    match write(InsertMode::ExpectNew).await {
        Err(StoreError::Database { source, .. }) if may_be_repeated(&source) => {
            write(InsertMode::SkipExisting).await
        }
        outcome => outcome,
    }
}

/// Returns the ids that messages need. They outlive a commit that fails, and so do partitions: they
/// claim nothing, and the next commit needs them.
async fn intern<'a, DB: Dialect>(
    store: &SqlStore<DB>,
    messages: impl Iterator<Item = (AccountId, &'a [IdentifiedMessage])>,
) -> Result<InternedIds, StoreError> {
    let messages: Vec<_> = messages.collect();
    store.interner.intern::<DB>(&store.write, &messages).await
}

/// Begins a transaction that writes messages of these accounts. Errors unless this process still
/// holds their leases.
async fn begin_commit<DB: Dialect>(
    store: &SqlStore<DB>,
    accounts: BTreeSet<AccountId>,
) -> Result<Transaction<'_, DB>, StoreError> {
    let mut tx = store.begin(COMMIT).await?;
    for account in accounts {
        store.leases.enforce(&mut tx, account).await?;
    }
    Ok(tx)
}

/// The step that failures of a commit's beginning and end name.
const COMMIT: &str = "commit";

/// True if a message exists that was expected to be new, or Postgres ended a deadlock.
fn may_be_repeated(error: &sqlx::Error) -> bool {
    const DEADLOCK: &str = "40P01";
    error.as_database_error().is_some_and(|error| {
        error.is_unique_violation() || error.code().as_deref() == Some(DEADLOCK)
    })
}
