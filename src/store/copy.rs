//! From one archive into another: whatever the one has and the other has not, and the proof that both agree.

use std::collections::{BTreeMap, HashMap};

use super::archived::{ArchivedMessage, Cursor};
use super::{AccountId, AccountLedger, Archive, Commit, NewAccount, StoreError, StreamId};
use crate::domain::identity::{Fingerprint, IdentifiedMessage};
use crate::domain::time::{Day, Millis};
use crate::domain::window::Window;

/// Messages that are held at once.
const CHUNK_MESSAGES: u64 = 1000;

/// Why an archive could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("reading {place}: {source}")]
    ReadSource { place: String, source: StoreError },

    #[error("writing {place}: {source}")]
    WriteTarget { place: String, source: StoreError },

    /// A message is not what its hash says.
    #[error(
        "in {place} a message of {at} does not match its hash: it was changed after it was archived"
    )]
    DamagedMessage { place: String, at: Millis },

    /// What was written reads back differently.
    #[error("after copying, the messages of {day} differ between the two archives")]
    DayDiffers { day: String },

    /// The target holds coverage of its own, which a copied ledger would belie.
    #[error("{place} has coverage of `{stream}` that the source has not")]
    TargetHasMore { place: String, stream: String },
}

impl CopyError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::ReadSource { source, .. } | Self::WriteTarget { source, .. } => source.hint(),
            Self::DamagedMessage { .. } => {
                "restore the archive from a backup, or delete the message and fetch its day again"
            }
            Self::DayDiffers { .. } => {
                "see that no other process writes to either archive, and run the copy again: it goes on where it is"
            }
            Self::TargetHasMore { .. } => "copy into an empty database",
        }
    }
}

/// What a copy came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyProgress {
    /// Days that hold messages.
    pub days: u64,
    /// Days that were the same in both archives already.
    pub identical_days: u64,
    pub messages: u64,
    /// Messages that the target did not have.
    pub new: u64,
    /// A digest over all messages of the source: the same over those in the target.
    pub digest: [u8; 32],
}

/// A digest over messages in whatever order, with their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct DayDigest {
    sum: [u8; 32],
    messages: u64,
}

impl DayDigest {
    fn include(&mut self, message: &ArchivedMessage) {
        add_hash(&mut self.sum, content_hash(message).as_bytes());
        self.messages += 1;
    }
}

/// Adds up hashes as the large numbers that they are: the order does not matter, and no two cancel each other out.
fn add_hash(sum: &mut [u8; 32], hash: &[u8; 32]) {
    let mut carry = 0;
    for (sum, byte) in sum.iter_mut().zip(hash) {
        let total = u16::from(*sum) + u16::from(*byte) + carry;
        [*sum, _] = total.to_le_bytes();
        carry = total >> 8;
    }
}

/// A hash over all that an archive keeps of a message, but for when it came in.
fn content_hash(archived: &ArchivedMessage) -> blake3::Hash {
    let message = &archived.identified.message;
    let delivery = message
        .status
        .map(|d| (d.status as u8, d.at.map(|at| at.0)));
    let mut hasher = blake3::Hasher::new();
    hasher.update(&archived.identified.fingerprint.0);
    hasher.update(&archived.identified.occurrence.to_le_bytes());
    hasher.update(&[message.conversation.kind as u8]);
    let fixed = format!("{delivery:?}");
    let optional = [
        &message.message_type,
        &message.payload_type,
        &message.cipher_suite,
        &message.extra,
    ];
    let texts = [&archived.account, &message.conversation.name, &fixed]
        .into_iter()
        .map(Some);
    for text in texts.chain(optional.into_iter().map(Option::as_ref)) {
        // A missing text is not an empty one.
        let length = text.map_or(u64::MAX, |text| text.len() as u64);
        hasher.update(&length.to_le_bytes());
        hasher.update(text.map_or(&[], |text| text.as_bytes()));
    }
    hasher.finalize()
}

/// Copies all that `from` holds into `to`. It may be broken off and begun again at any time: days that agree already
/// are only compared. Coverage is copied last, so that the target never claims what it has not. `progress` is told
/// after every day.
pub async fn copy(
    from: &dyn Archive,
    to: &dyn Archive,
    mut progress: impl FnMut(&CopyProgress),
) -> Result<CopyProgress, CopyError> {
    let (source, target) = (
        CopySide {
            store: from,
            is_source: true,
        },
        CopySide {
            store: to,
            is_source: false,
        },
    );
    let ledgers = from
        .ledgers()
        .await
        .map_err(|error| source.wrap_error(error))?;
    let accounts = target.register_accounts(&ledgers).await?;
    let mut copied = CopyProgress::default();
    let mut next = Some(Cursor::before(Millis(i64::MIN)));
    while let Some(after) = next {
        let first = from
            .messages(&after, Millis(i64::MAX), 1)
            .await
            .map_err(|error| source.wrap_error(error))?;
        let Some(day) = first
            .first()
            .map(|message| Day::containing(message.identified.message.sent_at.second()))
        else {
            break;
        };
        let wanted = source.digest_day(day).await?;
        copied.days += 1;
        if target.digest_day(day).await? == wanted {
            copied.identical_days += 1;
        } else {
            copied.new += copy_day(&source, &target, day, &accounts).await?;
            if target.digest_day(day).await? != wanted {
                return Err(CopyError::DayDiffers {
                    day: day.to_string(),
                });
            }
        }
        copied.messages += wanted.messages;
        add_hash(&mut copied.digest, &wanted.sum);
        progress(&copied);
        next = day.end().map(Cursor::before);
    }
    target.restore_ledgers(&ledgers).await?;
    Ok(copied)
}

/// One of the two archives.
struct CopySide<'a> {
    store: &'a dyn Archive,
    is_source: bool,
}

impl CopySide<'_> {
    fn wrap_error(&self, source: StoreError) -> CopyError {
        let place = self.store.location().to_owned();
        if self.is_source {
            CopyError::ReadSource { place, source }
        } else {
            CopyError::WriteTarget { place, source }
        }
    }

    /// The numbers of the source's accounts in this archive.
    async fn register_accounts(
        &self,
        ledgers: &[AccountLedger],
    ) -> Result<HashMap<String, AccountId>, CopyError> {
        let mut accounts = HashMap::new();
        for AccountLedger {
            account, provider, ..
        } in ledgers
        {
            let known = NewAccount {
                name: account,
                provider,
                streams: None,
                since: None,
                horizon: None,
            };
            let known = self
                .store
                .register(&known)
                .await
                .map_err(|error| self.wrap_error(error))?;
            accounts.insert(account.clone(), known.account);
        }
        Ok(accounts)
    }

    async fn read_chunk(
        &self,
        after: &Cursor,
        day: Day,
    ) -> Result<Vec<ArchivedMessage>, CopyError> {
        let to = day.end().unwrap_or(Millis(i64::MAX));
        self.store
            .messages(after, to, CHUNK_MESSAGES)
            .await
            .map_err(|error| self.wrap_error(error))
    }

    async fn digest_day(&self, day: Day) -> Result<DayDigest, CopyError> {
        let mut digest = DayDigest::default();
        let mut after = Cursor::before(day.start().start());
        loop {
            let chunk = self.read_chunk(&after, day).await?;
            let Some(last) = chunk.last() else {
                return Ok(digest);
            };
            after = last.cursor();
            for message in &chunk {
                let IdentifiedMessage {
                    message: content,
                    fingerprint,
                    ..
                } = &message.identified;
                if Fingerprint::compute(content) != *fingerprint {
                    return Err(CopyError::DamagedMessage {
                        place: self.store.location().to_owned(),
                        at: content.sent_at,
                    });
                }
                digest.include(message);
            }
        }
    }

    /// Writes the source's coverage.
    async fn restore_ledgers(&self, ledgers: &[AccountLedger]) -> Result<(), CopyError> {
        let theirs = self
            .store
            .ledgers()
            .await
            .map_err(|error| self.wrap_error(error))?;
        for (account, stream, runs) in theirs.iter().flat_map(AccountLedger::runs) {
            let ours = ledgers
                .iter()
                .flat_map(AccountLedger::runs)
                .find(|(a, s, _)| (*a, *s) == (account, stream));
            let ours = ours.map(|(_, _, runs)| runs).unwrap_or_default();
            if runs.iter().any(|run| !ours.gaps_in(run).is_empty()) {
                return Err(CopyError::TargetHasMore {
                    place: self.store.location().to_owned(),
                    stream: stream.to_owned(),
                });
            }
        }
        for ledger in ledgers {
            self.store
                .restore_ledger(ledger)
                .await
                .map_err(|error| self.wrap_error(error))?;
        }
        Ok(())
    }
}

/// Writes a day's messages; answers with how many the target did not have.
async fn copy_day(
    source: &CopySide<'_>,
    target: &CopySide<'_>,
    day: Day,
    accounts: &HashMap<String, AccountId>,
) -> Result<u64, CopyError> {
    let mut new = 0;
    let mut after = Cursor::before(day.start().start());
    loop {
        let chunk = source.read_chunk(&after, day).await?;
        let Some(last) = chunk.last() else {
            return Ok(new);
        };
        after = last.cursor();
        // What came in together was dated together.
        let mut dated: BTreeMap<(Millis, String), Vec<IdentifiedMessage>> = BTreeMap::new();
        for ArchivedMessage {
            account,
            identified,
            archived_at,
            ..
        } in chunk
        {
            dated
                .entry((archived_at, account))
                .or_default()
                .push(identified);
        }
        for ((archived_at, account), messages) in dated {
            let Some(&account) = accounts.get(&account) else {
                continue;
            };
            // No window is sealed, and nothing goes into quarantine: stream and window say nothing here.
            let (stream, window) = (StreamId(0), Window::of_day(day));
            let lay = Commit {
                account,
                stream,
                window,
                seal: None,
                messages,
                unreadable: vec![],
            };
            let written = target
                .store
                .commit(&[lay], archived_at)
                .await
                .map_err(|error| target.wrap_error(error))?;
            new += written.iter().map(|written| written.new).sum::<u64>();
        }
    }
}
