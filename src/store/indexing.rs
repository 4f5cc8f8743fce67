//! The role [`SearchIndex`]: the search index follows the commits.
//!
//! The index grows in the order of ids. Its end is stored beside it and moves in the same
//! transaction, so it is true after any crash. A commit does not touch the index: new messages have
//! ids behind its end. The few transactions that change messages before its end, evictions and
//! copies, change the index as well, and announce it: a batch that was read before them is not
//! added.

use async_trait::async_trait;

use super::decode::{int, optional_text};
use super::dialect::Dialect;
use super::driver::{execute, fetch_all, fetch_one};
use super::error::StoreError;
use super::limits::{INDEX_BATCH_BYTES, INDEX_BATCH_MESSAGES, INDEX_CHUNK_MESSAGES};
use super::model::{ArchivedMessage, IndexEntry, IndexExtent};
use super::rows::MessageRow;
use super::sql;
use super::sql_store::SqlStore;
use crate::domain::body::Body;
use crate::domain::message::Message;
use crate::domain::search::time_slice::TimeSlice;
use crate::domain::search::tokens::TOKEN_RULES;
use crate::domain::time::Millis;

/// The step that failures of the index name.
const WHAT: &str = "search index";

/// The search index. Each method that changes it is one transaction.
#[async_trait]
pub trait SearchIndex: Send + Sync {
    /// Returns the extent of the index.
    async fn index_extent(&self) -> Result<IndexExtent, StoreError>;

    /// Turns the index on or off. An index that is turned off is emptied. One that was built by other
    /// rules is emptied as well: it is built anew.
    async fn enable_index(&self, is_enabled: bool) -> Result<(), StoreError>;

    /// Adds the next messages to the index, if it is on. Returns its extent then. A batch that
    /// another process has added or changed meanwhile is left to a later call.
    async fn extend_index(&self) -> Result<IndexExtent, StoreError>;
}

/// The extent of the index as it is stored.
#[derive(Clone, Copy)]
struct StoredExtent {
    is_enabled: bool,
    token_rules: i64,
    indexed_to: i64,
    changes: i64,
}

#[async_trait]
impl<DB: Dialect> SearchIndex for SqlStore<DB> {
    async fn index_extent(&self) -> Result<IndexExtent, StoreError> {
        let mut connection = self.acquire_reader(WHAT).await?;
        let stored = stored_extent::<DB>(&mut connection).await?;
        Ok(IndexExtent {
            is_enabled: stored.is_enabled,
            indexed_to: stored.indexed_to,
            latest: latest_id::<DB>(&mut connection).await?,
        })
    }

    async fn enable_index(&self, is_enabled: bool) -> Result<(), StoreError> {
        let mut tx = self.begin(WHAT).await?;
        let stored = stored_extent::<DB>(&mut tx).await?;
        let is_current = stored.token_rules == TOKEN_RULES || !is_enabled;
        if stored.is_enabled == is_enabled && is_current {
            return Ok(());
        }
        let args = [i64::from(is_enabled).into(), TOKEN_RULES.into()];
        execute::<DB>(&mut tx, WHAT, sql::RESET_INDEX, &args).await?;
        execute::<DB>(&mut tx, WHAT, DB::CLEAR_INDEX, &[]).await?;
        tx.commit().await.map_err(StoreError::at(WHAT))
    }

    async fn extend_index(&self) -> Result<IndexExtent, StoreError> {
        let mut connection = self.acquire_reader(WHAT).await?;
        let stored = stored_extent::<DB>(&mut connection).await?;
        // The end is read before the messages: a commit that comes in between is left out.
        let latest = latest_id::<DB>(&mut connection).await?;
        let mut extent = IndexExtent {
            is_enabled: stored.is_enabled,
            indexed_to: stored.indexed_to,
            latest,
        };
        if !stored.is_enabled || extent.missing() == 0 {
            return Ok(extent);
        }
        let NextEntries {
            entries,
            indexed_to,
        } = next_entries::<DB>(&mut connection, extent).await?;
        drop(connection);
        let mut tx = self.begin(WHAT).await?;
        let args = [indexed_to, stored.indexed_to, stored.changes].map(Into::into);
        if execute::<DB>(&mut tx, WHAT, sql::EXTEND_INDEX, &args).await? == 1 {
            let added = DB::add_to_index(&mut tx, &entries).await;
            added.map_err(StoreError::at(WHAT))?;
            tx.commit().await.map_err(StoreError::at(WHAT))?;
            extent.indexed_to = indexed_to;
        }
        Ok(extent)
    }
}

async fn stored_extent<DB: Dialect>(
    connection: &mut DB::Connection,
) -> Result<StoredExtent, StoreError> {
    let row = fetch_one::<DB>(connection, WHAT, sql::INDEX_EXTENT, &[]).await?;
    Ok(StoredExtent {
        is_enabled: int::<DB>(&row, "enabled")? == 1,
        token_rules: int::<DB>(&row, "token_rules")?,
        indexed_to: int::<DB>(&row, "indexed_to")?,
        changes: int::<DB>(&row, "changes")?,
    })
}

/// Returns the highest id of a message up to which none is missing.
async fn latest_id<DB: Dialect>(connection: &mut DB::Connection) -> Result<i64, StoreError> {
    let row = fetch_one::<DB>(connection, WHAT, sql::LATEST_ID, &[]).await?;
    int::<DB>(&row, "id")
}

/// Messages to add to the index.
struct NextEntries {
    entries: Vec<IndexEntry>,
    /// The id up to which they are all.
    indexed_to: i64,
}

/// Reads the next messages whose payload is text.
///
/// Not every id has a message. A range of ids without one is followed by a longer range.
async fn next_entries<DB: Dialect>(
    connection: &mut DB::Connection,
    extent: IndexExtent,
) -> Result<NextEntries, StoreError> {
    let mut next = NextEntries {
        entries: Vec::new(),
        indexed_to: extent.indexed_to,
    };
    let (mut bytes, mut ids) = (0, INDEX_CHUNK_MESSAGES);
    while next.indexed_to < extent.latest
        && next.entries.len() < INDEX_BATCH_MESSAGES
        && bytes < INDEX_BATCH_BYTES
    {
        let to = next.indexed_to.saturating_add(ids).min(extent.latest);
        let args = [next.indexed_to, to, INDEX_CHUNK_MESSAGES].map(Into::into);
        let (mut rows, mut is_cut) = (0, false);
        let entries = &mut next.entries;
        DB::for_each_row(connection, WHAT, DB::READ_TEXTS, &args, |row| {
            // Long messages fill a batch before all that were asked for are read.
            is_cut |= bytes >= INDEX_BATCH_BYTES;
            if !is_cut {
                let entry = index_entry::<DB>(row)?;
                bytes += entry.words.as_ref().map_or(0, String::len);
                entries.push(entry);
                rows += 1;
            }
            Ok(())
        })
        .await?;
        next.indexed_to = match next.entries.last() {
            Some(last) if is_cut || rows == INDEX_CHUNK_MESSAGES => last.id,
            _ => to,
        };
        if rows == 0 {
            ids = ids.saturating_mul(4);
        }
    }
    next.entries.retain(IndexEntry::has_words);
    Ok(next)
}

fn index_entry<DB: Dialect>(row: &DB::Row) -> Result<IndexEntry, StoreError> {
    let failed = StoreError::at(WHAT);
    let body = match optional_text::<DB>(row, "body")? {
        Some(body) => body,
        None => text_of_payload(
            &DB::bytes(row, "payload")
                .map_err(failed)?
                .unwrap_or_default(),
        ),
    };
    let sent_at_ms = int::<DB>(row, "sent_at_ms")?;
    Ok(IndexEntry {
        id: int::<DB>(row, "id")?,
        sent_at_ms,
        words: DB::words_of(&body, TimeSlice::of(Millis(sent_at_ms))),
    })
}

/// Returns a payload that is text. Somebody may have changed it behind the archive's back: no payload
/// stops the index.
fn text_of_payload(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).into_owned()
}

/// Returns the entry of a message. `None` if its payload is not text.
fn entry_of<DB: Dialect>(id: i64, message: &Message) -> Option<IndexEntry> {
    let body = match Body::from_message(message) {
        Body::NotText => return None,
        Body::ExactText => text_of_payload(&message.payload.bytes),
        Body::RepairedText(text) => text,
    };
    let words = DB::words_of(&body, TimeSlice::of(message.sent_at));
    let sent_at_ms = message.sent_at.0;
    Some(IndexEntry {
        id,
        sent_at_ms,
        words,
    })
    .filter(IndexEntry::has_words)
}

/// Removes messages from the index that leave the archive in this transaction.
///
/// The words of a message that was changed behind the archive's back are unknown: they stay, and lead
/// to no message.
pub(super) async fn remove_from_index<DB: Dialect>(
    tx: &mut DB::Connection,
    removed: &[&ArchivedMessage],
) -> Result<(), StoreError> {
    if removed.is_empty() {
        return Ok(());
    }
    let indexed_to = announce_change::<DB>(tx).await?;
    let mut entries = Vec::new();
    for archived in removed.iter().filter(|archived| archived.id <= indexed_to) {
        if archived.fault().is_none() {
            entries.extend(entry_of::<DB>(archived.id, &archived.identified.message));
        }
    }
    let removed = DB::remove_from_index(tx, &entries).await;
    removed.map_err(StoreError::at(WHAT))
}

/// Adds those messages of a copy to the index whose ids lie before its end. All others are added
/// later, like new ones.
pub(super) async fn add_copied<DB: Dialect>(
    tx: &mut DB::Connection,
    copied: &[MessageRow<'_>],
) -> Result<(), StoreError> {
    let indexed_to = announce_change::<DB>(tx).await?;
    let mut entries = Vec::new();
    for row in copied {
        let Some(id) = row.origin.id.filter(|id| *id <= indexed_to) else {
            continue;
        };
        // A message that was there before has kept its own id.
        let args = [id, id].map(Into::into);
        if !fetch_all::<DB>(tx, WHAT, sql::USED_IDS, &args)
            .await?
            .is_empty()
        {
            entries.extend(entry_of::<DB>(id, &row.identified.message));
        }
    }
    let added = DB::add_to_index(tx, &entries).await;
    added.map_err(StoreError::at(WHAT))
}

/// Announces that messages before the end of the index change. Returns the end.
async fn announce_change<DB: Dialect>(tx: &mut DB::Connection) -> Result<i64, StoreError> {
    let row = fetch_one::<DB>(tx, WHAT, sql::ANNOUNCE_CHANGE, &[]).await?;
    int::<DB>(&row, "indexed_to")
}
