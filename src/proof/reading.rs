//! One reading of the archive in the order of time.

use futures_util::try_join;

use super::claim::{Claim, ClaimedStream};
use super::index::ScopeIndex;
use super::limits::DIGESTS_PER_WRITE;
use super::queue::{ClaimQueue, ComparedClaim};
use super::report::{DamagedMessage, MISFILED_FAULT, Mismatch, VerifyReport};
use crate::domain::digest::Digest;
use crate::domain::time::Millis;
use crate::store::{Archive, ArchivedMessage, Chunks, DigestUpdate, StoreError};

/// The claims of all streams, and the findings so far.
pub(super) struct ArchiveReading<'a> {
    store: &'a dyn Archive,
    /// The only account whose messages are read. `None` for all accounts.
    account: Option<&'a str>,
    /// True if matching claims without a digest are given one.
    adds_digests: bool,
    queues: Vec<ClaimQueue>,
    index: ScopeIndex,
    report: VerifyReport,
    pending_digests: Vec<DigestUpdate>,
}

impl<'a> ArchiveReading<'a> {
    pub(super) fn new(
        store: &'a dyn Archive,
        account: Option<&'a str>,
        adds_digests: bool,
        queues: Vec<ClaimQueue>,
    ) -> Self {
        let index = ScopeIndex::new(queues.iter().map(|queue| &*queue.stream));
        let (report, pending_digests) = (VerifyReport::default(), Vec::new());
        Self {
            store,
            account,
            adds_digests,
            queues,
            index,
            report,
            pending_digests,
        }
    }

    /// Compares all claims with the messages from `from` to `to`. The range must cover the windows
    /// of all claims.
    pub(super) async fn run(
        mut self,
        from: Millis,
        to: Millis,
    ) -> Result<VerifyReport, StoreError> {
        let mut chunks = Chunks::of(self.store, from, to);
        let mut chunk = chunks.next().await?;
        while !chunk.is_empty() {
            (chunk, ()) = try_join!(chunks.next(), self.check_chunk(chunk))?;
        }
        let mut passed = Vec::new();
        for position in 0..self.queues.len() {
            self.queues[position]
                .finish(self.store, &mut passed)
                .await?;
            self.compare_passed(position, &mut passed).await?;
        }
        self.write_digests().await?;
        Ok(self.report)
    }

    async fn check_chunk(&mut self, chunk: Vec<ArchivedMessage>) -> Result<(), StoreError> {
        for message in chunk {
            if self
                .account
                .is_none_or(|account| account == message.account)
            {
                self.check_message(message).await?;
            }
        }
        Ok(())
    }

    /// Compares a message with its hash, and counts it for the claims of its streams.
    async fn check_message(&mut self, archived: ArchivedMessage) -> Result<(), StoreError> {
        self.report.messages += 1;
        let fault = archived.fault().or_else(|| self.misfiled_fault(&archived));
        let identified = &archived.identified;
        let candidates = self
            .index
            .candidates(&archived.account, &identified.message);
        let candidates: Vec<usize> = candidates.collect();
        let mut passed = Vec::new();
        for position in candidates {
            let queue = &mut self.queues[position];
            if queue.stream.scope.matches(&identified.message) {
                queue
                    .advance(self.store, identified.message.sent_at, &mut passed)
                    .await?;
                queue.count_message(identified, fault.is_some());
                self.compare_passed(position, &mut passed).await?;
            }
        }
        if let Some(fault) = fault {
            self.report.damaged_messages.push(DamagedMessage {
                message: archived,
                fault,
            });
        }
        Ok(())
    }

    /// Returns the fault of a message that is filed under a wrong conversation.
    fn misfiled_fault(&self, archived: &ArchivedMessage) -> Option<&'static str> {
        let is_misfiled = self.index.derives_conversations(&archived.account)
            && !archived.identified.message.has_default_conversation();
        is_misfiled.then_some(MISFILED_FAULT)
    }

    /// Compares the claims that a queue has passed with the content of the archive.
    async fn compare_passed(
        &mut self,
        position: usize,
        passed: &mut Vec<ComparedClaim>,
    ) -> Result<(), StoreError> {
        let stream = &self.queues[position].stream;
        for (claim, measured) in passed.drain(..) {
            self.report.windows += 1;
            self.report.without_digest += u64::from(claim.digest.is_none());
            if !claim.matches(&measured) {
                let stream = stream.clone();
                self.report.mismatches.push(Mismatch {
                    stream,
                    claim,
                    measured,
                });
            } else if let Some(update) = digest_update(stream, claim, measured.digest) {
                self.pending_digests.push(update);
            }
        }
        if self.pending_digests.len() >= DIGESTS_PER_WRITE {
            self.write_digests().await?;
        }
        Ok(())
    }

    /// Adds the pending digests to the ledger, if this is wanted.
    async fn write_digests(&mut self) -> Result<(), StoreError> {
        let updates = std::mem::take(&mut self.pending_digests);
        if self.adds_digests && !updates.is_empty() {
            self.store.add_digests(&updates).await?;
            self.report.without_digest -= updates.len() as u64;
        }
        Ok(())
    }
}

/// Returns the digest to add to a ledger row. `None` if the row has one, or a manifest makes the
/// claim.
fn digest_update(stream: &ClaimedStream, claim: Claim, digest: Digest) -> Option<DigestUpdate> {
    let Claim {
        window,
        messages,
        digest: None,
        ..
    } = claim
    else {
        return None;
    };
    Some(DigestUpdate {
        stream: stream.id?,
        window,
        messages,
        digest,
    })
}
