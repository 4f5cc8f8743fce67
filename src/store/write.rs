//! One window on its way into the tables, within the transaction of its batch.

use std::collections::BTreeSet;

use super::dialect::{AccessPath, Dialect, DriverResult, InsertMode};
use super::rows::{ExistingMessages, InternedIds, MessageKey, MessageRow, MutableColumns};
use super::{Commit, QuarantineEntry, Seal, StoreError, WriteCounts, seal, sql};
use crate::domain::time::Millis;

/// A window's messages as rows.
pub(super) fn message_rows<'a>(
    commit: &'a Commit,
    numbers: &InternedIds,
) -> Result<Vec<MessageRow<'a>>, StoreError> {
    commit
        .messages
        .iter()
        .map(|identified| MessageRow::from_message(commit.account.0, identified, numbers))
        .collect()
}

/// Messages added, unreadable ones quarantined, the window sealed.
pub(super) async fn write_window<DB: Dialect>(
    tx: &mut DB::Connection,
    commit: &Commit,
    rows: &[MessageRow<'_>],
    faith: InsertMode,
    now: Millis,
) -> Result<WriteCounts, StoreError> {
    // Counted beforehand, where that is as good: it tells as well how the messages are to be written.
    let whole = commit
        .seal
        .as_ref()
        .filter(|seal| seal.window == commit.window);
    let before = match whole {
        Some(seal) => count_in_seal::<DB>(tx, commit, seal)
            .await?
            .map(|there| WindowCount {
                seal,
                messages: there,
            }),
        None => None,
    };
    // What came from beyond the window's edges its neighbours may have brought already, however new all the rest is.
    let is_inside = |row: &&MessageRow<'_>| commit.window.contains(Millis(row.key.1));
    let (inside, outside): (Vec<&MessageRow>, Vec<&MessageRow>) = rows.iter().partition(is_inside);
    let inside = write_messages::<DB>(tx, commit.account.0, &inside, before, faith, now).await?;
    let outside = write_messages::<DB>(tx, commit.account.0, &outside, None, faith, now).await?;
    let written = WriteCounts {
        new: inside.new + outside.new,
        changed: inside.changed + outside.changed,
    };
    quarantine_unreadable::<DB>(tx, commit, now).await?;
    if let Some(seal) = &commit.seal {
        let there = match whole {
            Some(_) => before.map(|before| before.messages + inside.new),
            None => count_in_seal::<DB>(tx, commit, seal).await?,
        };
        seal::seal_window::<DB>(tx, commit, seal, there, now).await?;
    }
    Ok(written)
}

async fn count_in_seal<DB: Dialect>(
    tx: &mut DB::Connection,
    commit: &Commit,
    seal: &Seal,
) -> Result<Option<u64>, StoreError> {
    let (from, to) = (seal.window.from().start(), seal.window.to().start());
    seal::max_messages_between::<DB>(tx, commit.account, &seal.scope, from, to).await
}

/// What is known of a window before its messages are written.
#[derive(Clone, Copy)]
struct WindowCount<'a> {
    seal: &'a Seal,
    /// How many of the stream's messages there may be in it.
    messages: u64,
}

impl<'a> WindowCount<'a> {
    /// The way to the messages that are looked for, if it leads to few others.
    fn narrow_path(self, rows: &[&MessageRow<'_>]) -> Option<AccessPath<'a>> {
        (self.messages <= MAX_SCANNED_PER_LOOKUP * rows.len() as u64)
            .then(|| AccessPath::for_scope(&self.seal.scope))
    }
}

/// Reading so many messages in order takes as long as finding one of them by itself.
const MAX_SCANNED_PER_LOOKUP: u64 = 3;
/// Where nothing has been counted, so many of a window's messages are looked for before it is decided how it is written.
const SAMPLE_ROWS: usize = 4;
/// From so many messages on good faith is worth its risk.
const MIN_ROWS_FOR_EXPECT_NEW: usize = 32;

/// Adds what is not there, teaches what is there what was learned, and touches nothing else.
///
/// Nearly every window is either all new or all there. Which of the two is told by what was there `before`, or shows in
/// a few of its messages; should the rest be otherwise, that costs time and nothing else.
async fn write_messages<DB: Dialect>(
    tx: &mut DB::Connection,
    account: i64,
    rows: &[&MessageRow<'_>],
    before: Option<WindowCount<'_>>,
    faith: InsertMode,
    now: Millis,
) -> Result<WriteCounts, StoreError> {
    const WHAT: &str = "messages";
    if rows.is_empty() {
        return Ok(WriteCounts::default());
    }
    let at = StoreError::at(WHAT);
    let there = if let Some(before) = before {
        before.messages
    } else {
        let glance: Vec<&MessageRow> = (0..SAMPLE_ROWS)
            .map(|n| rows[(rows.len() - 1) * n / (SAMPLE_ROWS - 1)])
            .collect();
        DB::count_existing(tx, &glance, None)
            .await
            .map_err(&at)?
            .count
    };
    let mut new = 0;
    if there == 0 {
        let faith = if rows.len() < MIN_ROWS_FOR_EXPECT_NEW {
            InsertMode::SkipExisting
        } else {
            faith
        };
        new = DB::insert_messages(tx, rows, faith, now)
            .await
            .map_err(&at)?;
        if new == rows.len() as u64 {
            return Ok(WriteCounts { new, changed: 0 });
        }
    } else {
        let among = before.and_then(|before| before.narrow_path(rows));
        let familiar = DB::count_existing(tx, rows, among).await.map_err(&at)?;
        if familiar
            == (ExistingMessages {
                count: rows.len() as u64,
                may_update: false,
            })
        {
            return Ok(WriteCounts::default());
        }
    }
    let mut there = DB::load_existing(tx, account, rows).await.map_err(&at)?;
    let missing: Vec<&MessageRow> = rows
        .iter()
        .copied()
        .filter(|row| !there.contains_key(&row.key))
        .collect();
    let mut added = DB::insert_messages(tx, &missing, InsertMode::SkipExisting, now)
        .await
        .map_err(&at)?;
    if added < missing.len() as u64 {
        // Another commit, of a stream that overlaps with this one, has added some of them since they were looked for.
        there.extend(
            DB::load_existing(tx, account, &missing)
                .await
                .map_err(&at)?,
        );
        for row in missing
            .into_iter()
            .filter(|row| !there.contains_key(&row.key))
            .collect::<Vec<_>>()
        {
            match insert_in_free_slot::<DB>(tx, account, row, now).await? {
                Some(known) => drop(there.insert(row.key, known)),
                None => added += 1,
            }
        }
    }
    let learned = rows
        .iter()
        .filter_map(|row| Some((row.key, row.merged_into(*there.get(&row.key)?)?)));
    let learned: Vec<(MessageKey, MutableColumns)> = learned.collect();
    let changed = DB::update_messages(tx, &learned).await.map_err(&at)?;
    expect_affected(WHAT, changed, learned.len())?;
    Ok(WriteCounts {
        new: new + added,
        changed,
    })
}

/// How often a free slot may be snatched away by another commit before that is a fault.
const MAX_SLOT_ATTEMPTS: u32 = 16;

/// Adds a message in whose slot another lies, in the next free one; answers with how it is there if it is already. That
/// two messages of a recipient's millisecond share 32 bits of their hashes is rare, or somebody's mischief.
async fn insert_in_free_slot<DB: Dialect>(
    tx: &mut DB::Connection,
    account: i64,
    row: &MessageRow<'_>,
    now: Millis,
) -> Result<Option<MutableColumns>, StoreError> {
    const WHAT: &str = "crowded messages";
    let at = StoreError::at(WHAT);
    for _ in 0..MAX_SLOT_ATTEMPTS {
        let crowd = DB::load_millisecond(tx, row.key.0, row.key.1)
            .await
            .map_err(&at)?;
        if let Some((.., known)) = crowd
            .iter()
            .find(|(owner, key, _)| (*owner, *key) == (account, row.key))
        {
            return Ok(Some(*known));
        }
        let taken: BTreeSet<i32> = crowd.iter().map(|(.., known)| known.slot).collect();
        let mut row = row.clone();
        while taken.contains(&row.slot) {
            row.slot = row.slot.wrapping_add(1);
        }
        if DB::insert_messages(tx, &[&row], InsertMode::SkipExisting, now)
            .await
            .map_err(&at)?
            == 1
        {
            return Ok(None);
        }
    }
    Err(StoreError::Inconsistent {
        what: WHAT,
        fault: "no slot stays free".to_owned(),
    })
}

pub(super) fn expect_affected(
    what: &'static str,
    affected: u64,
    wanted: usize,
) -> Result<(), StoreError> {
    if affected == wanted as u64 {
        return Ok(());
    }
    Err(StoreError::Inconsistent {
        what,
        fault: format!("{affected} of {wanted} rows were written"),
    })
}

async fn quarantine_unreadable<DB: Dialect>(
    tx: &mut DB::Connection,
    commit: &Commit,
    now: Millis,
) -> Result<(), StoreError> {
    let distinct: BTreeSet<_> = commit
        .unreadable
        .iter()
        .map(|u| (&u.raw, &u.reason))
        .collect();
    for (raw, reason) in distinct {
        let (raw, reason) = (raw.clone(), reason.clone());
        let row = QuarantineEntry {
            window: commit.window,
            found_at: now,
            reason,
            raw,
        };
        insert_quarantine::<DB>(tx, commit.account.0, commit.stream.0, &row)
            .await
            .map_err(StoreError::at("quarantine"))?;
    }
    Ok(())
}

/// A message that is in quarantine already stays as it is.
pub(super) async fn insert_quarantine<DB: Dialect>(
    tx: &mut DB::Connection,
    account: i64,
    stream: i64,
    row: &QuarantineEntry,
) -> DriverResult<u64> {
    let hash = blake3::hash(row.raw.as_bytes());
    let hash: &[u8] = &hash.as_bytes()[..16];
    let [from, to, found_at] =
        [row.window.from().0, row.window.to().0, row.found_at.0].map(Into::into);
    let (reason, raw) = ((&row.reason).into(), (&row.raw).into());
    DB::execute(
        tx,
        sql::INSERT_QUARANTINE,
        &[
            account.into(),
            hash.into(),
            stream.into(),
            from,
            to,
            found_at,
            reason,
            raw,
        ],
    )
    .await
}
