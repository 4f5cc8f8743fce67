//! The role [`Audit`]: messages and ledgers are read whole, for verification and for copies.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::Pool;

use super::accounts::{frontier_args, register_args};
use super::archive_file::UnlockedFile;
use super::arrival_marks::write_arrival_mark;
use super::decode;
use super::dialect::Dialect;
use super::driver::{Arg, execute, fetch_all, fetch_one};
use super::error::StoreError;
use super::ledger_rows::{insert_ledger_row, write_digests};
use super::links::scope_args;
use super::message_reader::{MessagePages, MessageReader};
use super::model::{
    AccountId, AccountLedger, ArchivedMessage, Cursor, DigestUpdate, Eviction, KnownStream,
    LedgerRow, NewAccount, QuarantineEntry, QuarantineId, QuarantinedMessage, StreamId,
    StreamLedger,
};
use super::sql_store::{SqlStore, explain_failure};
use super::{quarantine, sql};
use crate::domain::time::Millis;

/// Messages, ledgers and the quarantine as a whole.
///
/// Each method that changes something is one transaction: if it fails or is dropped, it has either
/// all of its effect or none.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Returns a reader of all messages.
    async fn message_reader(&self) -> Result<Box<dyn MessageReader>, StoreError>;

    /// Returns one page of a [`message_reader`](Audit::message_reader).
    async fn messages(
        &self,
        after: &Cursor,
        to: Millis,
        limit: u64,
    ) -> Result<Vec<ArchivedMessage>, StoreError> {
        let mut reader = self.message_reader().await?;
        reader.next_messages(after, to, limit).await
    }

    /// Returns the places of some texts that contain U+0000, which not every database can store. It
    /// costs a scan of the messages.
    async fn texts_with_nul(&self) -> Result<Vec<String>, StoreError>;

    /// Returns the highest id of a message up to which none is missing; 0 without messages.
    async fn latest_id(&self) -> Result<i64, StoreError>;

    /// Returns the ids of this range, both ends included, that messages have.
    async fn used_ids(&self, from: i64, to: i64) -> Result<Vec<i64>, StoreError>;

    /// Keeps new messages from getting ids up to this one.
    async fn reserve_ids(&self, to: i64) -> Result<(), StoreError>;

    /// Returns all streams, active or not, in the order of accounts and keys.
    async fn streams(&self) -> Result<Vec<KnownStream>, StoreError>;

    /// Adds digests to ledger rows that have none and are otherwise as given. Other rows stay.
    async fn add_digests(&self, updates: &[DigestUpdate]) -> Result<(), StoreError>;

    /// Moves messages that were changed or added behind the archive's back into quarantine, under
    /// this stream. Returns the number moved.
    async fn move_to_quarantine(
        &self,
        stream: StreamId,
        evictions: &[Eviction<'_>],
        now: Millis,
    ) -> Result<u64, StoreError>;

    /// Returns up to `limit` of an account's messages in quarantine, in the order of their ids,
    /// after the one given.
    async fn quarantined_messages(
        &self,
        account: AccountId,
        after: QuarantineId,
        limit: u64,
    ) -> Result<Vec<QuarantinedMessage>, StoreError>;

    /// Deletes a message from the quarantine, because it is archived now.
    async fn release_from_quarantine(
        &self,
        account: AccountId,
        message: QuarantineId,
    ) -> Result<(), StoreError>;

    /// Replaces the reason why a message is in quarantine.
    async fn update_quarantine_reason(
        &self,
        account: AccountId,
        message: QuarantineId,
        reason: &str,
    ) -> Result<(), StoreError>;

    /// Returns the ledgers of all accounts, in the order of their names. All ledger rows are held
    /// in memory at once.
    async fn ledgers(&self) -> Result<Vec<AccountLedger>, StoreError>;

    /// Replaces an account's ledger by the one given. Its messages must be in the archive already.
    async fn restore_ledger(&self, ledger: &AccountLedger) -> Result<(), StoreError>;
}

#[async_trait]
impl<DB: Dialect> Audit for SqlStore<DB> {
    async fn message_reader(&self) -> Result<Box<dyn MessageReader>, StoreError> {
        self.require_unwritten()?;
        Ok(Box::new(SqlMessageReader::<DB> {
            pages: DB::open_message_pages(&self.read).await?,
            pool: self.read.clone(),
            unlocked: self.unlocked.clone(),
        }))
    }

    async fn texts_with_nul(&self) -> Result<Vec<String>, StoreError> {
        const WHAT: &str = "texts with U+0000";
        let Some(find) = DB::FIND_NUL else {
            return Ok(Vec::new());
        };
        let mut connection = self.acquire_reader(WHAT).await?;
        let rows = fetch_all::<DB>(&mut connection, WHAT, find, &[]).await?;
        rows.iter()
            .map(|row| decode::text::<DB>(row, "place"))
            .collect()
    }

    async fn latest_id(&self) -> Result<i64, StoreError> {
        const WHAT: &str = "latest id";
        let mut connection = self.acquire_reader(WHAT).await?;
        let row = fetch_one::<DB>(&mut connection, WHAT, sql::LATEST_ID, &[]).await?;
        decode::int::<DB>(&row, "id")
    }

    async fn used_ids(&self, from: i64, to: i64) -> Result<Vec<i64>, StoreError> {
        const WHAT: &str = "used ids";
        let args = [from.into(), to.into()];
        let mut connection = self.acquire_reader(WHAT).await?;
        let rows = fetch_all::<DB>(&mut connection, WHAT, sql::USED_IDS, &args).await?;
        rows.iter()
            .map(|row| decode::int::<DB>(row, "id"))
            .collect()
    }

    async fn reserve_ids(&self, to: i64) -> Result<(), StoreError> {
        self.execute("reserve ids", DB::RESERVE_IDS, &[to.into()])
            .await
    }

    async fn streams(&self) -> Result<Vec<KnownStream>, StoreError> {
        const WHAT: &str = "streams";
        let mut connection = self.acquire_reader(WHAT).await?;
        let rows = fetch_all::<DB>(&mut connection, WHAT, sql::ALL_STREAMS, &[]).await?;
        rows.iter().map(decode::known_stream::<DB>).collect()
    }

    async fn add_digests(&self, updates: &[DigestUpdate]) -> Result<(), StoreError> {
        const WHAT: &str = "digests";
        let mut tx = self.begin(WHAT).await?;
        write_digests::<DB>(&mut tx, updates).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))
    }

    async fn move_to_quarantine(
        &self,
        stream: StreamId,
        evictions: &[Eviction<'_>],
        now: Millis,
    ) -> Result<u64, StoreError> {
        const WHAT: &str = "move to quarantine";
        let mut tx = self.begin(WHAT).await?;
        let moved = quarantine::evict::<DB>(&mut tx, stream, evictions, now).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))?;
        Ok(moved)
    }

    async fn quarantined_messages(
        &self,
        account: AccountId,
        after: QuarantineId,
        limit: u64,
    ) -> Result<Vec<QuarantinedMessage>, StoreError> {
        let mut connection = self.acquire_reader("quarantine").await?;
        quarantine::read_quarantined::<DB>(&mut connection, account, after, limit).await
    }

    async fn release_from_quarantine(
        &self,
        account: AccountId,
        message: QuarantineId,
    ) -> Result<(), StoreError> {
        let args = [account.0.into(), Arg::Bytes(Some(&message.0))];
        self.execute("quarantine", sql::DELETE_QUARANTINE, &args)
            .await
    }

    async fn update_quarantine_reason(
        &self,
        account: AccountId,
        message: QuarantineId,
        reason: &str,
    ) -> Result<(), StoreError> {
        let args = [
            account.0.into(),
            Arg::Bytes(Some(&message.0)),
            reason.into(),
        ];
        self.execute("quarantine", sql::UPDATE_QUARANTINE_REASON, &args)
            .await
    }

    async fn ledgers(&self) -> Result<Vec<AccountLedger>, StoreError> {
        let mut tx = self.begin_read("ledgers").await?;
        read_ledgers::<DB>(&mut tx).await
    }

    async fn restore_ledger(&self, ledger: &AccountLedger) -> Result<(), StoreError> {
        let mut tx = self.begin(RESTORE).await?;
        write_ledger::<DB>(&mut tx, ledger).await?;
        tx.commit().await.map_err(StoreError::at(RESTORE))
    }
}

/// A reader of an archive.
struct SqlMessageReader<DB: Dialect> {
    pages: DB::MessagePages,
    pool: Pool<DB>,
    /// The file, if it is read without locks.
    unlocked: Option<UnlockedFile>,
}

#[async_trait]
impl<DB: Dialect> MessageReader for SqlMessageReader<DB> {
    async fn next_messages(
        &mut self,
        after: &Cursor,
        to: Millis,
        limit: u64,
    ) -> Result<Vec<ArchivedMessage>, StoreError> {
        if let Some(file) = &self.unlocked {
            file.require_unwritten()?;
        }
        let hash: &[u8] = &after.hash;
        let args = [
            after.sent_at_ms.into(),
            to.0.into(),
            hash.into(),
            after.occurrence.into(),
            after.recipient.into(),
            after.slot.into(),
            limit.into(),
        ];
        match self.pages.read_page(&args).await {
            Err(error) => Err(explain_failure(&self.pool, error).await),
            page => page,
        }
    }
}

/// Reads the ledgers of all accounts with one query per table.
async fn read_ledgers<DB: Dialect>(
    connection: &mut DB::Connection,
) -> Result<Vec<AccountLedger>, StoreError> {
    const WHAT: &str = "ledgers";
    let mut windows: HashMap<i64, Vec<LedgerRow>> = HashMap::new();
    for row in fetch_all::<DB>(connection, WHAT, sql::LEDGER_WINDOWS, &[]).await? {
        let (stream, row) = decode::ledger_row_of_stream::<DB>(&row)?;
        windows.entry(stream.0).or_default().push(row);
    }
    let mut quarantine: HashMap<i64, Vec<QuarantineEntry>> = HashMap::new();
    for row in fetch_all::<DB>(connection, WHAT, sql::LEDGER_QUARANTINE, &[]).await? {
        let stream = decode::int::<DB>(&row, "stream_id")?;
        quarantine
            .entry(stream)
            .or_default()
            .push(decode::quarantine_entry::<DB>(&row)?);
    }
    let mut streams: HashMap<i64, Vec<StreamLedger>> = HashMap::new();
    for row in fetch_all::<DB>(connection, WHAT, sql::LEDGER_STREAMS, &[]).await? {
        let id = decode::int::<DB>(&row, "id")?;
        let account = decode::int::<DB>(&row, "account_id")?;
        let windows = windows.remove(&id).unwrap_or_default();
        let quarantine = quarantine.remove(&id).unwrap_or_default();
        let stream = decode::stream_ledger::<DB>(&row, windows, quarantine)?;
        streams.entry(account).or_default().push(stream);
    }
    let mut ledgers = Vec::new();
    for row in fetch_all::<DB>(connection, WHAT, sql::LEDGER_ACCOUNTS, &[]).await? {
        let streams = streams
            .remove(&decode::int::<DB>(&row, "id")?)
            .unwrap_or_default();
        ledgers.push(decode::account_ledger::<DB>(&row, streams)?);
    }
    Ok(ledgers)
}

/// The step that failures of a restored ledger name.
const RESTORE: &str = "restore ledger";

/// Replaces an account's ledger.
async fn write_ledger<DB: Dialect>(
    tx: &mut DB::Connection,
    ledger: &AccountLedger,
) -> Result<(), StoreError> {
    let args = register_args(&NewAccount {
        identity: ledger.identity.as_ref(),
        ..NewAccount::named(&ledger.account, &ledger.provider)
    });
    let row = fetch_one::<DB>(tx, RESTORE, sql::REGISTER_ACCOUNT, &args).await?;
    let account = AccountId(decode::int::<DB>(&row, "id")?);
    let args = frontier_args(account, ledger.frontier);
    execute::<DB>(tx, RESTORE, sql::SAVE_FRONTIER, &args).await?;
    for stream in &ledger.streams {
        write_stream_ledger::<DB>(tx, account, stream).await?;
    }
    Ok(())
}

/// Replaces the ledger rows and the arrival mark of a stream, and adds its quarantine.
async fn write_stream_ledger<DB: Dialect>(
    tx: &mut DB::Connection,
    account: AccountId,
    stream: &StreamLedger,
) -> Result<(), StoreError> {
    let [sender, recipient, conversation] = scope_args(stream.scope.as_ref());
    let args = [
        account.0.into(),
        (&stream.key).into(),
        stream.wanted_from.0.into(),
        i64::from(stream.active).into(),
        sender,
        recipient,
        conversation,
        i64::from(stream.discovered).into(),
        stream.followed_at.0.into(),
    ];
    let row = fetch_one::<DB>(tx, RESTORE, DB::RESTORE_STREAM, &args).await?;
    let id = StreamId(decode::int::<DB>(&row, "id")?);
    execute::<DB>(tx, RESTORE, sql::DELETE_STREAM_LEDGER, &[id.0.into()]).await?;
    for row in &stream.windows {
        insert_ledger_row::<DB>(tx, RESTORE, id, row).await?;
    }
    if let Some(mark) = stream.arrival_mark {
        write_arrival_mark::<DB>(tx, RESTORE, id, mark).await?;
    }
    for entry in &stream.quarantine {
        quarantine::insert_entry::<DB>(tx, account, id, entry).await?;
    }
    Ok(())
}
