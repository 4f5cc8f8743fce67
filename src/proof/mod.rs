//! Proof: whether the archive still holds what its ledger says it was given.
//!
//! Every message is compared with its own hash, and the messages of every ledger row with the row's count and digest
//! (see [`crate::domain::digest`]): in one reading of the archive in order of time, with one row of each stream in hand.
//! What lies outside of every sealed window is no fault. A [`manifest`] carries the same claims out of the archive,
//! signed, so that a ledger that was changed together with its messages is found out as well.
//!
//! Whoever writes meanwhile may make a row and its messages look at odds, for they are not read in one instant: what
//! differs is looked at once more before it is said.

mod claims;
pub mod manifest;
mod reading;

use std::fmt;
use std::sync::Arc;

use crate::domain::digest::Digest;
use crate::domain::stream::Scope;
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::store::{Archive, ArchivedMessage, LedgerRow, StoreError, StreamId};
use claims::ClaimQueue;
use manifest::Manifest;
use reading::ArchiveReading;

/// So many differences, and so many messages that were changed, are kept to be named; the rest is counted.
const MAX_LISTED: usize = 5000;

/// What is to be compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifyOptions<'a> {
    /// One account only.
    pub account: Option<&'a str>,
    /// Beside the ledger, the claims of an earlier day.
    pub manifest: Option<&'a Manifest>,
    /// Whether ledger rows that were sealed before there were digests are given one, where their count is right.
    pub add_digests: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Messages that were read.
    pub messages: u64,
    /// Claims that were compared: ledger rows, and rows of the manifest.
    pub windows: u64,
    /// Ledger rows without a digest, of which only the count was compared.
    pub without_digest: u64,
    /// Streams that hold sealed windows but do not say which messages are theirs: account and key.
    pub without_scope: Vec<(String, String)>,
    pub mismatches: Findings<Mismatch>,
    pub damaged_messages: Findings<DamagedMessage>,
}

/// The first of many, and how many there are in all.
#[derive(Debug)]
pub struct Findings<T> {
    pub named: Vec<T>,
    pub count: u64,
}

/// A window that does not hold what it should.
#[derive(Clone, Debug)]
pub struct Mismatch {
    pub stream: Arc<ClaimedStream>,
    /// What should be there.
    pub claim: Claim,
    /// What is.
    pub held: MeasuredWindow,
}

/// A stream of which something is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedStream {
    /// Its number in the archive; nothing where a manifest claims it.
    pub id: Option<StreamId>,
    pub account: String,
    pub key: String,
    pub scope: Scope,
}

/// The claim of a ledger row, or of a line of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub window: Window,
    pub messages: u64,
    /// Nothing where the row was sealed before there were digests.
    pub digest: Option<Digest>,
    /// The line of the manifest; nothing where it is the ledger's claim.
    pub manifest_line: Option<u64>,
}

/// The fault of a message whose conversation is not the one that its names say.
pub const MISFILED_FAULT: &str = "is filed under a conversation that is not its own";

/// A message that is not as it was archived.
#[derive(Debug)]
pub struct DamagedMessage {
    pub message: ArchivedMessage,
    pub fault: &'static str,
}

/// What the archive holds of a stream in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeasuredWindow {
    pub messages: u64,
    pub digest: Digest,
    /// How many of them are not as they were archived.
    pub damaged: u64,
}

impl VerifyReport {
    /// Whether all that could be compared agrees, and all could be compared.
    pub fn agrees(&self) -> bool {
        self.mismatches.count == 0
            && self.damaged_messages.count == 0
            && self.without_scope.is_empty()
    }

    /// How much is wrong, so that it can be told whether it has become less.
    pub fn faults(&self) -> u64 {
        self.mismatches.count + self.damaged_messages.count
    }
}

impl VerifyOptions<'_> {
    fn covers_account(&self, account: &str) -> bool {
        self.account.is_none_or(|wanted| wanted == account)
    }
}

impl Claim {
    pub(crate) fn from_ledger_row(row: &LedgerRow) -> Self {
        Self {
            window: row.window,
            messages: row.messages,
            digest: row.digest,
            manifest_line: None,
        }
    }

    /// Whether this is what is there.
    fn matches(&self, held: &MeasuredWindow) -> bool {
        held.damaged == 0
            && self.messages == held.messages
            && self.digest.is_none_or(|digest| digest == held.digest)
    }
}

impl<T> Default for Findings<T> {
    fn default() -> Self {
        Self {
            named: Vec::new(),
            count: 0,
        }
    }
}

impl<T> Findings<T> {
    fn push(&mut self, one: T) {
        self.count += 1;
        if self.named.len() < MAX_LISTED {
            self.named.push(one);
        }
    }

    /// How many are not named.
    pub fn unlisted(&self) -> u64 {
        self.count - self.named.len() as u64
    }
}

/// What should be there, what is, and how they differ.
impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MeasuredWindow {
            messages, damaged, ..
        } = self.held;
        let (
            subject,
            Claim {
                window,
                messages: claimed,
                manifest_line: line,
                ..
            },
        ) = (&self.stream, self.claim);
        write!(
            f,
            "{} {} from {} to {}: ",
            subject.account,
            subject.key,
            window.from(),
            window.to()
        )?;
        match line {
            Some(line) => write!(f, "line {line} of the manifest says {claimed} messages, ")?,
            None => write!(f, "should hold {claimed} messages, ")?,
        }
        write!(f, "holds {messages}: ")?;
        match (messages.checked_sub(claimed), damaged) {
            (Some(0), 0) => f.write_str("same number, other content"),
            (Some(0), damaged) => write!(f, "{damaged} changed"),
            (Some(more), 0) => write!(f, "{more} more"),
            (Some(more), damaged) => write!(f, "{more} more, {damaged} changed"),
            (None, 0) => write!(f, "{} fewer", claimed - messages),
            (None, damaged) => write!(f, "{} fewer, {damaged} changed", claimed - messages),
        }
    }
}

/// Names the message by what is not its content.
impl fmt::Display for DamagedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identified = &self.message.identified;
        let (account, at) = (&self.message.account, identified.message.sent_at);
        write!(
            f,
            "{account}: the message of {at} with hash {} {}",
            hex::encode(identified.fingerprint.0),
            self.fault
        )
    }
}

/// Compares the archive with its ledger, and with a manifest.
pub async fn verify(
    store: &dyn Archive,
    question: VerifyOptions<'_>,
) -> Result<VerifyReport, StoreError> {
    let mut tracks: Vec<ClaimQueue> = Vec::new();
    let mut unknown = Vec::new();
    for stream in store
        .streams()
        .await?
        .into_iter()
        .filter(|stream| question.covers_account(&stream.account))
    {
        match ClaimQueue::from_ledger(&stream) {
            Some(track) => tracks.push(track),
            None if claims::has_ledger_rows(store, &stream).await? => {
                unknown.push((stream.account, stream.key));
            }
            None => {}
        }
    }
    let claims = question
        .manifest
        .iter()
        .flat_map(|manifest| manifest.streams());
    let claims = claims.filter(|(subject, _)| question.covers_account(&subject.account));
    tracks.extend(
        claims.map(|(subject, claims)| {
            ClaimQueue::from_claims(subject.clone(), claims.iter().copied())
        }),
    );
    let all = (Millis(i64::MIN), Millis(i64::MAX));
    let mut verdict = ArchiveReading::new(store, tracks, question)
        .run(all)
        .await?;
    if verdict.mismatches.count > 0 && verdict.mismatches.unlisted() == 0 {
        verdict.mismatches = recheck(store, &verdict.mismatches.named, question).await?;
    }
    verdict.without_scope = unknown;
    Ok(verdict)
}

/// Looks at what differed once more, by itself.
async fn recheck(
    store: &dyn Archive,
    differences: &[Mismatch],
    question: VerifyOptions<'_>,
) -> Result<Findings<Mismatch>, StoreError> {
    let mut tracks = Vec::new();
    let mut range = (Millis(i64::MAX), Millis(i64::MIN));
    for difference in differences {
        let claims = match (difference.claim.manifest_line, difference.stream.id) {
            (None, Some(stream)) => {
                let rows = store
                    .ledger_rows(stream, difference.claim.window, u64::MAX)
                    .await?;
                rows.iter().map(Claim::from_ledger_row).collect()
            }
            _ => vec![difference.claim],
        };
        for claim in &claims {
            range = (
                range.0.min(claim.window.from().start()),
                range.1.max(claim.window.to().start()),
            );
        }
        tracks.push(ClaimQueue::from_claims(difference.stream.clone(), claims));
    }
    Ok(ArchiveReading::new(store, tracks, question)
        .run(range)
        .await?
        .mismatches)
}
