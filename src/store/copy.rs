//! Copying one archive into another, and the proof that both agree.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::try_join;

use super::archive::Archive;
use super::chunks::Chunks;
use super::content_digest::{ContentDigest, add_hash};
use super::error::StoreError;
use super::limits::COPY_CHUNK_RUNS;
use super::model::{
    AccountId, AccountLedger, ArchivedMessage, CopiedMessages, Cursor, NewAccount, Origin, RunId,
};
use crate::domain::identity::{Fingerprint, IdentifiedMessage};
use crate::domain::time::{Day, Millis};
use crate::domain::window::Runs;

/// A failure to copy an archive.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("reading {location}: {source}")]
    ReadSource {
        location: String,
        source: StoreError,
    },

    #[error("writing {location}: {source}")]
    WriteTarget {
        location: String,
        source: StoreError,
    },

    /// The source holds texts that not every database can store.
    #[error("{location} holds texts with U+0000, which Postgres cannot store: {}", places.join(", "))]
    Unportable {
        location: String,
        /// Some of the places.
        places: Vec<String>,
    },

    /// A message differs from its hash.
    #[error(
        "in {location} a message of {at} does not match its hash: \
         it was changed after it was archived"
    )]
    DamagedMessage { location: String, at: Millis },

    /// The messages that were written are read back differently.
    #[error("after copying, the messages of {day} differ between the two archives")]
    DayDiffers { day: String },

    /// The target covers history of its own. A copied ledger would contradict it.
    #[error("{location} covers a range of `{stream}` that the source does not cover")]
    TargetHasMore { location: String, stream: String },
}

impl CopyError {
    /// Returns what the operator can do about the error.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::ReadSource { source, .. } | Self::WriteTarget { source, .. } => source.hint(),
            Self::Unportable { .. } => {
                "nothing was copied; Backscroll archives no such text, so another program has \
                 changed these: restore a backup, or remove U+0000 from them with a SQL client"
            }
            Self::DamagedMessage { .. } => {
                "restore the archive from a backup, or delete the message and fetch its day again"
            }
            Self::DayDiffers { .. } => {
                "make sure that no other process writes to either archive, and run the copy again: \
                 it continues where it stopped"
            }
            Self::TargetHasMore { .. } => "copy into an empty database",
        }
    }
}

/// The progress or the result of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyProgress {
    /// The number of days with messages.
    pub days: u64,
    /// The number of days that were identical in both archives before.
    pub identical_days: u64,
    pub messages: u64,
    /// The number of messages that the target did not have.
    pub new: u64,
    /// A digest over all messages of the source. The messages of the target have the same one.
    pub digest: [u8; 32],
}

impl CopyProgress {
    fn include(&mut self, day: &DayCopy) {
        self.days += 1;
        self.identical_days += u64::from(day.was_identical);
        self.messages += day.content.messages;
        self.new += day.new;
        add_hash(&mut self.digest, &day.content.sum);
    }
}

/// A day of the source that the target holds as well.
#[derive(Clone, Copy, Debug)]
struct DayCopy {
    day: Day,
    /// The content of the source.
    content: ContentDigest,
    /// The number of messages that the target did not have.
    new: u64,
    /// True if nothing had to be written.
    was_identical: bool,
}

/// Copies everything that `from` holds into `to`, and calls `progress` after each day. It may be
/// aborted and repeated: days that agree already are only compared. Coverage is copied last, so
/// that the target never claims messages that it does not have.
pub async fn copy(
    from: &dyn Archive,
    to: &dyn Archive,
    mut progress: impl FnMut(&CopyProgress),
) -> Result<CopyProgress, CopyError> {
    let source = CopySide {
        store: from,
        is_source: true,
    };
    let target = CopySide {
        store: to,
        is_source: false,
    };
    source.require_portable().await?;
    let ledgers = source.ledgers().await?;
    let accounts = target.register_accounts(&ledgers).await?;
    let free_above = target.make_room_for_ids(&source).await?;
    let destination = Destination {
        side: &target,
        accounts,
        free_above,
    };
    let mut copied = CopyProgress::default();
    let mut unconfirmed = None;
    let mut next = source.next_day(Millis(i64::MIN)).await?;
    while let Some(day) = next {
        // A day is read back while the next one is copied.
        let copying = copy_day(&source, &destination, day);
        let (copy, ()) = try_join!(copying, target.confirm(unconfirmed))?;
        copied.include(&copy);
        progress(&copied);
        unconfirmed = Some(copy);
        next = match day.end() {
            Some(end) => source.next_day(end).await?,
            None => None,
        };
    }
    target.confirm(unconfirmed).await?;
    target.restore_ledgers(&ledgers).await?;
    copy_records(&source, &target).await?;
    Ok(copied)
}

/// Copies what the source knows of its accounts besides messages and ledgers: runs, pauses, errors
/// and alarms.
async fn copy_records(source: &CopySide<'_>, target: &CopySide<'_>) -> Result<(), CopyError> {
    let (reading, writing) = (|error| source.error(error), |error| target.error(error));
    for record in source.store.account_records().await.map_err(reading)? {
        let restored = target.store.restore_account_record(&record).await;
        restored.map_err(writing)?;
    }
    let mut after = RunId::default();
    loop {
        let runs = source.store.runs_after(after, COPY_CHUNK_RUNS).await;
        let runs = runs.map_err(reading)?;
        let Some((last, _)) = runs.last() else {
            break;
        };
        after = *last;
        target.store.add_runs(&runs).await.map_err(writing)?;
    }
    let always = Millis(i64::MIN);
    let alarms = source.store.alarms(always).await.map_err(reading)?;
    let saved = target.store.save_alarms(&alarms, always).await;
    saved.map_err(writing)
}

/// One of the two archives.
struct CopySide<'a> {
    store: &'a dyn Archive,
    is_source: bool,
}

impl CopySide<'_> {
    fn error(&self, source: StoreError) -> CopyError {
        let location = self.store.location().to_owned();
        if self.is_source {
            CopyError::ReadSource { location, source }
        } else {
            CopyError::WriteTarget { location, source }
        }
    }

    /// Errors if a text of this archive cannot be stored in every database.
    async fn require_portable(&self) -> Result<(), CopyError> {
        let places = self.store.texts_with_nul().await;
        let places = places.map_err(|error| self.error(error))?;
        if places.is_empty() {
            return Ok(());
        }
        let location = self.store.location().to_owned();
        Err(CopyError::Unportable { location, places })
    }

    async fn ledgers(&self) -> Result<Vec<AccountLedger>, CopyError> {
        self.store
            .ledgers()
            .await
            .map_err(|error| self.error(error))
    }

    /// Returns the ids of the source's accounts in this archive.
    async fn register_accounts(
        &self,
        ledgers: &[AccountLedger],
    ) -> Result<HashMap<String, AccountId>, CopyError> {
        let mut accounts = HashMap::new();
        for AccountLedger {
            account,
            provider,
            identity,
            ..
        } in ledgers
        {
            let new = NewAccount {
                identity: identity.as_ref(),
                ..NewAccount::named(account, provider)
            };
            let registered = self
                .store
                .register(&new)
                .await
                .map_err(|error| self.error(error))?;
            accounts.insert(account.clone(), registered.account);
        }
        Ok(accounts)
    }

    /// Reserves the ids of the source, so that no other message of this archive gets one. Returns
    /// the id above which all ids were free before.
    async fn make_room_for_ids(&self, source: &CopySide<'_>) -> Result<i64, CopyError> {
        let needed = source.store.latest_id().await;
        let needed = needed.map_err(|error| source.error(error))?;
        let used = self.store.latest_id().await;
        let used = used.map_err(|error| self.error(error))?;
        let reserved = self.store.reserve_ids(needed).await;
        reserved.map_err(|error| self.error(error))?;
        Ok(used)
    }

    /// Returns the day of the first message from this moment on. `None` if there is none.
    async fn next_day(&self, from: Millis) -> Result<Option<Day>, CopyError> {
        let after = Cursor::before(from);
        let first = self.store.messages(&after, Millis(i64::MAX), 1).await;
        let first = first.map_err(|error| self.error(error))?;
        Ok(first
            .first()
            .map(|message| Day::containing(message.identified.message.sent_at.second())))
    }

    fn chunks(&self, day: Day) -> Chunks<'_> {
        let to = day.end().unwrap_or(Millis(i64::MAX));
        Chunks::of(self.store, day.start().start(), to)
    }

    async fn next_chunk(&self, chunks: &mut Chunks<'_>) -> Result<Vec<ArchivedMessage>, CopyError> {
        chunks.next().await.map_err(|error| self.error(error))
    }

    /// Returns the digest of a day's messages. A message that differs from its hash is an error.
    async fn digest_day(&self, day: Day) -> Result<ContentDigest, CopyError> {
        let mut digest = ContentDigest::default();
        let mut chunks = self.chunks(day);
        let mut chunk = self.next_chunk(&mut chunks).await?;
        while !chunk.is_empty() {
            let including = async { self.include(&mut digest, &chunk) };
            (chunk, ()) = try_join!(self.next_chunk(&mut chunks), including)?;
        }
        Ok(digest)
    }

    /// Adds messages of this archive to a digest. A message that differs from its hash is an error.
    fn include(
        &self,
        digest: &mut ContentDigest,
        chunk: &[ArchivedMessage],
    ) -> Result<(), CopyError> {
        for archived in chunk {
            let IdentifiedMessage {
                message,
                fingerprint,
                ..
            } = &archived.identified;
            if Fingerprint::compute(message) != *fingerprint {
                let location = self.store.location().to_owned();
                return Err(CopyError::DamagedMessage {
                    location,
                    at: message.sent_at,
                });
            }
            digest.include(archived);
        }
        Ok(())
    }

    /// Errors if a day that was written is not read back as it is in the source.
    async fn confirm(&self, copy: Option<DayCopy>) -> Result<(), CopyError> {
        let Some(copy) = copy.filter(|copy| !copy.was_identical) else {
            return Ok(());
        };
        if self.digest_day(copy.day).await? == copy.content {
            return Ok(());
        }
        Err(CopyError::DayDiffers {
            day: copy.day.to_string(),
        })
    }

    /// Writes the source's coverage, unless this archive covers more.
    async fn restore_ledgers(&self, ledgers: &[AccountLedger]) -> Result<(), CopyError> {
        let source_runs: HashMap<(&str, &str), Runs> = ledgers
            .iter()
            .flat_map(AccountLedger::runs)
            .map(|(account, stream, runs)| ((account, stream), runs))
            .collect();
        let existing = self.ledgers().await?;
        for (account, stream, runs) in existing.iter().flat_map(AccountLedger::runs) {
            let covered = source_runs.get(&(account, stream));
            let is_covered = |run| covered.is_some_and(|covered| covered.gaps_in(run).is_empty());
            if !runs.iter().all(is_covered) {
                let location = self.store.location().to_owned();
                return Err(CopyError::TargetHasMore {
                    location,
                    stream: stream.to_owned(),
                });
            }
        }
        for ledger in ledgers {
            self.store
                .restore_ledger(ledger)
                .await
                .map_err(|error| self.error(error))?;
        }
        Ok(())
    }
}

/// The archive that messages are copied into.
struct Destination<'a> {
    side: &'a CopySide<'a>,
    accounts: HashMap<String, AccountId>,
    /// Ids above this one were free before the copy began.
    free_above: i64,
}

impl Destination<'_> {
    /// Writes messages in one transaction, and returns the number that the target did not have.
    async fn write(&self, chunk: Vec<ArchivedMessage>) -> Result<u64, CopyError> {
        let ids: Vec<i64> = chunk.iter().map(|archived| archived.id).collect();
        let ids = self.free_ids(&ids).await?;
        let mut by_account: BTreeMap<AccountId, CopiedMessages> = BTreeMap::new();
        for (archived, id) in chunk.into_iter().zip(ids) {
            let Some(&account) = self.accounts.get(&archived.account) else {
                continue;
            };
            let copied = by_account.entry(account).or_insert_with(|| CopiedMessages {
                account,
                messages: vec![],
                origins: vec![],
            });
            copied.messages.push(archived.identified);
            copied.origins.push(Origin {
                id,
                archived_at: archived.archived_at,
            });
        }
        let copied: Vec<CopiedMessages> = by_account.into_values().collect();
        let written = self.side.store.import(&copied).await;
        written.map_err(|error| self.side.error(error))
    }

    /// Returns the ids that are free; `None` in place of others. Messages that were copied before
    /// have theirs. An id is only taken by another message if the target archived some by itself.
    async fn free_ids(&self, ids: &[i64]) -> Result<Vec<Option<i64>>, CopyError> {
        let old = || ids.iter().copied().filter(|id| *id <= self.free_above);
        let used: BTreeSet<i64> = match (old().min(), old().max()) {
            (Some(from), Some(to)) => {
                let used = self.side.store.used_ids(from, to).await;
                used.map_err(|error| self.side.error(error))?
                    .into_iter()
                    .collect()
            }
            _ => BTreeSet::new(),
        };
        let free = |id: &i64| Some(*id).filter(|id| !used.contains(id));
        Ok(ids.iter().map(free).collect())
    }
}

/// Copies a day's messages, unless both archives agree about it.
async fn copy_day(
    source: &CopySide<'_>,
    target: &Destination<'_>,
    day: Day,
) -> Result<DayCopy, CopyError> {
    let before = target.side.digest_day(day).await?;
    if before.messages > 0 {
        let content = source.digest_day(day).await?;
        if content == before {
            return Ok(DayCopy {
                day,
                content,
                new: 0,
                was_identical: true,
            });
        }
    }
    let (mut content, mut new) = (ContentDigest::default(), 0);
    let mut chunks = source.chunks(day);
    let mut chunk = source.next_chunk(&mut chunks).await?;
    while !chunk.is_empty() {
        let writing = async {
            source.include(&mut content, &chunk)?;
            target.write(chunk).await
        };
        let (following, written) = try_join!(source.next_chunk(&mut chunks), writing)?;
        new += written;
        chunk = following;
    }
    Ok(DayCopy {
        day,
        content,
        new,
        was_identical: false,
    })
}
