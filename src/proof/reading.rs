//! One reading of the archive, in order of time.

use super::claims::{ClaimQueue, ComparedClaim, StreamIndexByName};
use super::{Claim, DamagedMessage, MISFILED_FAULT, Mismatch, VerifyOptions, VerifyReport};
use crate::domain::time::Millis;
use crate::store::{Archive, ArchivedMessage, Cursor, DigestUpdate, StoreError};

/// Messages that are held at once; where they are large, fewer.
const MAX_CHUNK_MESSAGES: u64 = 1000;
const MAX_CHUNK_BYTES: u64 = 4 << 20;
/// How many are read at first, before it is known how large they are.
const FIRST_CHUNK_MESSAGES: u64 = 20;
/// Rows that are given their digest at once.
const DIGESTS_PER_WRITE: usize = 500;

/// The tracks of all streams, and what has been found so far.
pub(super) struct ArchiveReading<'a> {
    store: &'a dyn Archive,
    options: VerifyOptions<'a>,
    tracks: Vec<ClaimQueue>,
    index: StreamIndexByName,
    report: VerifyReport,
    pending_digests: Vec<DigestUpdate>,
}

impl<'a> ArchiveReading<'a> {
    pub(super) fn new(
        store: &'a dyn Archive,
        tracks: Vec<ClaimQueue>,
        options: VerifyOptions<'a>,
    ) -> Self {
        let index = StreamIndexByName::from_queues(&tracks);
        Self {
            store,
            options,
            tracks,
            index,
            report: VerifyReport::default(),
            pending_digests: Vec::new(),
        }
    }

    /// Compares all claims with the messages of this range, which must be all that the claims are about.
    pub(super) async fn run(
        mut self,
        (from, to): (Millis, Millis),
    ) -> Result<VerifyReport, StoreError> {
        let (mut after, mut limit) = (Cursor::before(from), FIRST_CHUNK_MESSAGES);
        loop {
            let chunk = self.store.messages(&after, to, limit).await?;
            let Some(last) = chunk.last() else { break };
            after = last.cursor();
            limit = next_limit(&chunk);
            for message in chunk {
                if self.options.covers_account(&message.account) {
                    self.check_message(message).await?;
                }
            }
        }
        let mut passed = Vec::new();
        for number in 0..self.tracks.len() {
            self.tracks[number].finish(self.store, &mut passed).await?;
            self.compare_passed(number, &mut passed).await?;
        }
        self.write_digests().await?;
        Ok(self.report)
    }

    async fn check_message(&mut self, archived: ArchivedMessage) -> Result<(), StoreError> {
        self.report.messages += 1;
        let identified = &archived.identified;
        let misfiled = || {
            let is_misfiled = self.index.derives_conversations(&archived.account)
                && !identified.message.has_default_conversation();
            is_misfiled.then_some(MISFILED_FAULT)
        };
        let fault = archived.fault().or_else(misfiled);
        let candidates: Vec<usize> = self
            .index
            .candidates(&archived.account, &identified.message)
            .collect();
        let mut passed = Vec::new();
        for number in candidates {
            let track = &mut self.tracks[number];
            if track.subject.scope.matches(&identified.message) {
                track
                    .advance(self.store, identified.message.sent_at, &mut passed)
                    .await?;
                track.count_message(identified, fault.is_some());
                self.compare_passed(number, &mut passed).await?;
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

    async fn compare_passed(
        &mut self,
        number: usize,
        passed: &mut Vec<ComparedClaim>,
    ) -> Result<(), StoreError> {
        let subject = &self.tracks[number].subject;
        for (claim, held) in passed.drain(..) {
            self.report.windows += 1;
            self.report.without_digest += u64::from(claim.digest.is_none());
            if !claim.matches(&held) {
                self.report.mismatches.push(Mismatch {
                    stream: subject.clone(),
                    claim,
                    held,
                });
            } else if let (None, Some(stream)) = (claim.digest, subject.id) {
                let Claim {
                    window, messages, ..
                } = claim;
                self.pending_digests.push(DigestUpdate {
                    stream,
                    window,
                    messages,
                    digest: held.digest,
                });
            }
        }
        if self.pending_digests.len() >= DIGESTS_PER_WRITE {
            self.write_digests().await
        } else {
            Ok(())
        }
    }

    async fn write_digests(&mut self) -> Result<(), StoreError> {
        let stamps = std::mem::take(&mut self.pending_digests);
        if self.options.add_digests && !stamps.is_empty() {
            self.store.add_digests(&stamps).await?;
            self.report.without_digest -= stamps.len() as u64;
        }
        Ok(())
    }
}

/// How many messages to read next, by how large the last ones were. A few large ones among many small ones surprise
/// nobody for long: the number grows by steps.
fn next_limit(chunk: &[ArchivedMessage]) -> u64 {
    let bytes: u64 = chunk
        .iter()
        .map(|archived| archived.identified.message.payload.bytes.len() as u64)
        .sum();
    let mean = (bytes / chunk.len().max(1) as u64).max(1);
    (MAX_CHUNK_BYTES / mean)
        .min(chunk.len() as u64 * 4)
        .clamp(1, MAX_CHUNK_MESSAGES)
}
