//! Writing one window into the tables, within the transaction of its batch.

use std::collections::{BTreeSet, HashSet};

use super::adjust::{MessageChange, adjust_rows};
use super::dialect::{AccessPath, Dialect, InsertMode};
use super::driver::expect_affected;
use super::error::StoreError;
use super::indexing::add_copied;
use super::limits::{
    MAX_SCANNED_PER_LOOKUP, MAX_SLOT_ATTEMPTS, MIN_ROWS_FOR_EXPECT_NEW, SAMPLE_ROWS,
};
use super::links::{StreamRange, max_messages_in};
use super::model::{AccountId, Commit, CopiedMessages, Origin, Seal, StreamId, WriteCounts};
use super::rows::{ExistingMessages, InternedIds, MessageKey, MessageRow, MutableColumns};
use super::seal::ArchivedBound;
use super::{quarantine, seal};
use crate::domain::time::Millis;

/// Converts a window's messages into rows.
pub(super) fn message_rows<'a>(
    commit: &'a Commit,
    ids: &InternedIds,
    archived_at: Millis,
) -> Result<Vec<MessageRow<'a>>, StoreError> {
    let origin = Origin {
        id: None,
        archived_at,
    };
    let messages = commit.messages.iter();
    messages
        .map(|message| MessageRow::from_message(commit.account.0, message, origin, ids))
        .collect()
}

/// Converts the messages of another archive into rows.
pub(super) fn copied_rows<'a>(
    copied: &'a CopiedMessages,
    ids: &InternedIds,
) -> Result<Vec<MessageRow<'a>>, StoreError> {
    let messages = copied.messages.iter().zip(&copied.origins);
    messages
        .map(|(message, origin)| MessageRow::from_message(copied.account.0, message, *origin, ids))
        .collect()
}

/// Writes messages of another archive: adjusts the ledger rows that contain them, and adds them to
/// the search index where it has passed their ids. Returns the number of those that are new.
pub(super) async fn write_copied<DB: Dialect>(
    tx: &mut DB::Connection,
    account: AccountId,
    rows: &[MessageRow<'_>],
    mode: InsertMode,
) -> Result<u64, StoreError> {
    let batch: Vec<&MessageRow> = rows.iter().collect();
    let batch = MessageBatch {
        account: account.0,
        rows: &batch,
        before: None,
        mode,
    };
    let written = batch.write::<DB>(tx).await?;
    // No stream brought them: all rows that contain them are those of others.
    adjust_rows::<DB>(tx, account, StreamId(0), written.changes().collect()).await?;
    add_copied::<DB>(tx, rows).await?;
    Ok(written.new.len() as u64)
}

/// Writes a window: inserts or updates its messages, moves unreadable ones into quarantine, adjusts
/// the ledger rows that contain the messages, and writes the ledger row of the window.
pub(super) async fn write_window<DB: Dialect>(
    tx: &mut DB::Connection,
    commit: &Commit,
    rows: &[MessageRow<'_>],
    mode: InsertMode,
    now: Millis,
) -> Result<WriteCounts, StoreError> {
    // A window that is sealed as a whole is counted before its messages are written. The count
    // serves the seal, and the choice of how to write the messages.
    let whole = commit
        .seal
        .as_ref()
        .filter(|seal| seal.window == commit.window);
    let before = match whole {
        Some(seal) => {
            let messages = count_sealed_part::<DB>(tx, commit, seal).await?;
            Some(WindowCount { seal, messages })
        }
        None => None,
    };
    // Neighbouring windows may have brought the messages beyond the window's edges already, even
    // if all others are new.
    let is_inside = |row: &&MessageRow<'_>| commit.window.contains(Millis(row.key.sent_at_ms));
    let (inside, outside): (Vec<&MessageRow>, Vec<&MessageRow>) = rows.iter().partition(is_inside);
    let batch = |rows, before| MessageBatch {
        account: commit.account.0,
        rows,
        before,
        mode,
    };
    let inside = batch(&inside, before).write::<DB>(tx).await?;
    let outside = batch(&outside, None).write::<DB>(tx).await?;
    quarantine::release_archived::<DB>(tx, commit).await?;
    quarantine::insert_unreadable::<DB>(tx, commit, now).await?;
    let changes = inside.changes().chain(outside.changes()).collect();
    adjust_rows::<DB>(tx, commit.account, commit.stream, changes).await?;
    if let Some(seal) = &commit.seal {
        let messages = match before {
            Some(before) => before.messages + (inside.new.len() + inside.moved.len()) as u64,
            None => count_sealed_part::<DB>(tx, commit, seal).await?,
        };
        let archived = ArchivedBound {
            messages,
            is_filed_as_given: inside.is_filed_as_given && outside.is_filed_as_given,
        };
        seal::seal_window::<DB>(tx, commit, seal, archived, now).await?;
    }
    Ok(WriteCounts {
        new: (inside.new.len() + outside.new.len()) as u64,
        changed: inside.changed + outside.changed,
    })
}

/// Returns an upper bound on the number of the stream's messages in the sealed part of a window.
async fn count_sealed_part<DB: Dialect>(
    tx: &mut DB::Connection,
    commit: &Commit,
    seal: &Seal,
) -> Result<u64, StoreError> {
    let (from, to) = (seal.window.from().start(), seal.window.to().start());
    let range = StreamRange {
        account: commit.account,
        scope: &seal.scope,
        from,
        to,
    };
    max_messages_in::<DB>(tx, range).await
}

/// The count of a window before its messages are written.
#[derive(Clone, Copy)]
struct WindowCount<'a> {
    seal: &'a Seal,
    /// An upper bound on the number of the stream's messages in it.
    messages: u64,
}

impl<'a> WindowCount<'a> {
    /// Returns the access path to the messages that are looked up, if it holds few others.
    fn narrow_path(self, rows: &[&MessageRow<'_>]) -> Option<AccessPath<'a>> {
        let is_narrow = self.messages <= MAX_SCANNED_PER_LOOKUP * rows.len() as u64;
        is_narrow.then(|| AccessPath::for_scope(&self.seal.scope))
    }
}

/// Messages of an account to write together.
#[derive(Clone, Copy)]
struct MessageBatch<'r, 'm> {
    account: i64,
    rows: &'r [&'r MessageRow<'m>],
    before: Option<WindowCount<'r>>,
    mode: InsertMode,
}

/// The effect of writing messages.
struct WrittenMessages<'r, 'm> {
    /// The messages that were not in the archive before.
    new: Vec<&'r MessageRow<'m>>,
    /// Existing messages that are now in another conversation.
    moved: Vec<&'r MessageRow<'m>>,
    /// The number of existing messages that changed.
    changed: u64,
    /// True if the archive holds each message in the conversation of its row.
    is_filed_as_given: bool,
}

impl<'r, 'm> WrittenMessages<'r, 'm> {
    /// Returns the effect of inserting new messages and changing nothing.
    fn inserted(new: Vec<&'r MessageRow<'m>>) -> Self {
        Self {
            new,
            moved: Vec::new(),
            changed: 0,
            is_filed_as_given: true,
        }
    }

    /// Returns the changes that concern ledger rows.
    fn changes(&self) -> impl Iterator<Item = MessageChange<'m>> {
        let added = self
            .new
            .iter()
            .map(|row| MessageChange::added(row.identified));
        let moved = self
            .moved
            .iter()
            .flat_map(|row| MessageChange::moved(row.identified));
        added.chain(moved)
    }
}

impl<'r, 'm> MessageBatch<'r, 'm> {
    /// Inserts new messages, updates changed columns of existing ones, and leaves all other rows
    /// untouched.
    ///
    /// Nearly every window is either entirely new or entirely archived. The count of the window,
    /// or a sample of its messages, tells which. A wrong guess costs time only.
    async fn write<DB: Dialect>(
        self,
        tx: &mut DB::Connection,
    ) -> Result<WrittenMessages<'r, 'm>, StoreError> {
        let mut new = Vec::new();
        if self.rows.is_empty() {
            return Ok(WrittenMessages::inserted(new));
        }
        if self.seems_new::<DB>(tx).await? {
            new = self.insert_all::<DB>(tx).await?;
            if new.len() == self.rows.len() {
                return Ok(WrittenMessages::inserted(new));
            }
        } else if self.is_unchanged::<DB>(tx).await? {
            return Ok(WrittenMessages::inserted(new));
        }
        let mut merged = self.merge::<DB>(tx).await?;
        merged.new.append(&mut new);
        Ok(merged)
    }

    /// True if none of the messages is archived, by the count of the window or by a sample.
    async fn seems_new<DB: Dialect>(self, tx: &mut DB::Connection) -> Result<bool, StoreError> {
        if let Some(before) = self.before {
            return Ok(before.messages == 0);
        }
        let last = self.rows.len() - 1;
        let nth = |n: usize| self.rows[last * n / (SAMPLE_ROWS - 1)];
        let sample: Vec<&MessageRow> = (0..SAMPLE_ROWS).map(nth).collect();
        let existing = DB::count_existing(tx, &sample, None).await;
        Ok(existing.map_err(StoreError::at(WHAT))?.count == 0)
    }

    /// Inserts the messages, and returns those inserted.
    async fn insert_all<DB: Dialect>(
        self,
        tx: &mut DB::Connection,
    ) -> Result<Vec<&'r MessageRow<'m>>, StoreError> {
        let is_few = self.rows.len() < MIN_ROWS_FOR_EXPECT_NEW;
        let mode = if is_few {
            InsertMode::SkipExisting
        } else {
            self.mode
        };
        let inserted = DB::insert_messages(tx, self.rows, mode).await;
        inserted.map_err(StoreError::at(WHAT))
    }

    /// True if all messages are archived and none of them needs an update.
    async fn is_unchanged<DB: Dialect>(self, tx: &mut DB::Connection) -> Result<bool, StoreError> {
        let among = self.before.and_then(|before| before.narrow_path(self.rows));
        let existing = DB::count_existing(tx, self.rows, among).await;
        let existing = existing.map_err(StoreError::at(WHAT))?;
        let count = self.rows.len() as u64;
        Ok(existing
            == ExistingMessages {
                count,
                may_update: false,
            })
    }

    /// Loads the existing messages, inserts the missing ones, and updates the changed ones.
    async fn merge<DB: Dialect>(
        self,
        tx: &mut DB::Connection,
    ) -> Result<WrittenMessages<'r, 'm>, StoreError> {
        let failed = StoreError::at(WHAT);
        let account = self.account;
        let mut existing = DB::load_existing(tx, account, self.rows)
            .await
            .map_err(&failed)?;
        let mut missing: Vec<&MessageRow> = self.rows.to_vec();
        missing.retain(|row| !existing.contains_key(&row.key));
        let inserted = DB::insert_messages(tx, &missing, InsertMode::SkipExisting).await;
        let mut new = inserted.map_err(&failed)?;
        if new.len() < missing.len() {
            // A commit of an overlapping stream has inserted some of them meanwhile, or another
            // message has their slot.
            let inserted: HashSet<MessageKey> = new.iter().map(|row| row.key).collect();
            missing.retain(|row| !inserted.contains(&row.key));
            let found = DB::load_existing(tx, account, &missing).await;
            existing.extend(found.map_err(&failed)?);
            missing.retain(|row| !existing.contains_key(&row.key));
            for row in missing {
                match insert_in_free_slot::<DB>(tx, account, row).await? {
                    Some(columns) => {
                        existing.insert(row.key, columns);
                    }
                    None => new.push(row),
                }
            }
        }
        let mut written = WrittenMessages::inserted(new);
        let mut updates: Vec<(MessageKey, MutableColumns)> = Vec::new();
        for &row in self.rows {
            let Some(columns) = existing.get(&row.key) else {
                continue;
            };
            let merged = row.merged_into(*columns);
            updates.extend(merged.map(|merged| (row.key, merged)));
            let conversation = merged.unwrap_or(*columns).conversation;
            if conversation != columns.conversation {
                written.moved.push(row);
            }
            written.is_filed_as_given &= conversation == row.conversation;
        }
        let changed = DB::update_messages(tx, &updates).await.map_err(&failed)?;
        expect_affected(WHAT, changed, updates.len())?;
        written.changed = changed;
        Ok(written)
    }
}

/// The step that failures of message statements name.
const WHAT: &str = "messages";

/// Inserts a message whose slot is taken into the next free slot. Returns its columns if it
/// exists already. Two messages of one recipient and millisecond share 32 bits of their hashes
/// only rarely, or by intent.
async fn insert_in_free_slot<DB: Dialect>(
    tx: &mut DB::Connection,
    account: i64,
    row: &MessageRow<'_>,
) -> Result<Option<MutableColumns>, StoreError> {
    const WHAT: &str = "messages in a taken slot";
    let failed = StoreError::at(WHAT);
    let MessageKey {
        recipient,
        sent_at_ms,
        ..
    } = row.key;
    for _ in 0..MAX_SLOT_ATTEMPTS {
        let others = DB::load_millisecond(tx, recipient, sent_at_ms)
            .await
            .map_err(&failed)?;
        let is_same = |owner: i64, key: MessageKey| owner == account && key == row.key;
        let same = others.iter().find(|(owner, key, _)| is_same(*owner, *key));
        if let Some((.., columns)) = same {
            return Ok(Some(*columns));
        }
        let taken: BTreeSet<i32> = others.iter().map(|(.., columns)| columns.slot).collect();
        let mut row = row.clone();
        while taken.contains(&row.slot) {
            row.slot = row.slot.wrapping_add(1);
        }
        let inserted = DB::insert_messages(tx, &[&row], InsertMode::SkipExisting).await;
        if inserted.map_err(&failed)?.len() == 1 {
            return Ok(None);
        }
    }
    Err(StoreError::Inconsistent {
        what: WHAT,
        fault: "no slot stays free".to_owned(),
    })
}
