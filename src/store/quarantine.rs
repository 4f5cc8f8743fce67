//! What is looked at again: windows in doubt, messages that were not read yet, and what could not be understood.

use super::dialect::{Dialect, bytes, int, text};
use super::ledger::window_from_row;
use super::{AccountId, LedgerRow, QuarantineEntry, StoreError, StreamId, seal, sql};
use crate::domain::time::Millis;

/// Messages of one conversation that are close together and known not to have been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadGroup {
    pub sender: String,
    pub recipient: String,
    pub conversation: String,
    /// When the first and the last of them were sent.
    pub first: Millis,
    pub last: Millis,
}

/// Which message in quarantine. The default is before all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldId(pub(super) [u8; 16]);

/// A message in quarantine, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedMessage {
    pub id: HeldId,
    pub stream: StreamId,
    /// What the archive calls the stream.
    pub key: String,
    pub quarantined: QuarantineEntry,
}

pub(super) async fn in_doubt<DB: Dialect>(
    connection: &mut DB::Connection,
    account: AccountId,
) -> Result<Vec<(StreamId, LedgerRow)>, StoreError> {
    let rows = DB::fetch(connection, sql::DOUBTED_ROWS, &[account.0.into()])
        .await
        .map_err(StoreError::at("in doubt"))?;
    rows.iter()
        .map(|row| {
            Ok((
                StreamId(int::<DB>(row, "stream_id")?),
                seal::ledger_row::<DB>(row)?,
            ))
        })
        .collect()
}

pub(super) async fn unread<DB: Dialect>(
    connection: &mut DB::Connection,
    account: AccountId,
    since: Millis,
    limit: u64,
) -> Result<Vec<UnreadGroup>, StoreError> {
    let args = [account.0.into(), since.0.into(), limit.into()];
    let rows = DB::fetch(connection, sql::UNREAD_MESSAGES, &args)
        .await
        .map_err(StoreError::at("unread"))?;
    let unread = |row| {
        Ok(UnreadGroup {
            sender: text::<DB>(row, "sender")?.unwrap_or_default(),
            recipient: text::<DB>(row, "recipient")?.unwrap_or_default(),
            conversation: text::<DB>(row, "conversation")?.unwrap_or_default(),
            first: Millis(int::<DB>(row, "first_ms")?),
            last: Millis(int::<DB>(row, "last_ms")?),
        })
    };
    rows.iter().map(unread).collect()
}

pub(super) async fn quarantined<DB: Dialect>(
    connection: &mut DB::Connection,
    account: AccountId,
    after: HeldId,
    limit: u64,
) -> Result<Vec<QuarantinedMessage>, StoreError> {
    let after: &[u8] = &after.0;
    let args = [account.0.into(), after.into(), limit.into()];
    let rows = DB::fetch(connection, sql::QUARANTINED_MESSAGES, &args)
        .await
        .map_err(StoreError::at("quarantine"))?;
    let held = |row| {
        let strange = || StoreError::Inconsistent {
            what: "quarantine",
            fault: "a hash that is not 16 bytes long".into(),
        };
        let hash = bytes::<DB>(row, "hash")?
            .and_then(|hash| hash.try_into().ok())
            .ok_or_else(strange)?;
        let quarantined = QuarantineEntry {
            window: window_from_row::<DB>(row)?,
            found_at: Millis(int::<DB>(row, "found_at_ms")?),
            reason: text::<DB>(row, "reason")?.unwrap_or_default(),
            raw: text::<DB>(row, "raw")?.unwrap_or_default(),
        };
        let key = text::<DB>(row, "key")?.unwrap_or_default();
        Ok(QuarantinedMessage {
            id: HeldId(hash),
            stream: StreamId(int::<DB>(row, "stream_id")?),
            key,
            quarantined,
        })
    };
    rows.iter().map(held).collect()
}
