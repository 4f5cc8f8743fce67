//! One reading of the archive, in order of time.

use super::tracks::{Compared, Index, Track};
use super::{Claim, Damage, Difference, MISFILED, Question, Verdict};
use crate::domain::time::Millis;
use crate::store::{Archived, Cursor, Stamp, Store, StoreError};

/// Messages that are held at once; where they are large, fewer.
const CHUNK: u64 = 1000;
const CHUNK_BYTES: u64 = 4 << 20;
/// How many are read at first, before it is known how large they are.
const GLANCE: u64 = 20;
/// Rows that are given their digest at once.
const STAMPED: usize = 500;

/// The tracks of all streams, and what has been found so far.
pub(super) struct Pass<'a> {
    store: &'a dyn Store,
    question: Question<'a>,
    tracks: Vec<Track>,
    index: Index,
    verdict: Verdict,
    to_stamp: Vec<Stamp>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(store: &'a dyn Store, tracks: Vec<Track>, question: Question<'a>) -> Self {
        let index = Index::of(&tracks);
        Self {
            store,
            question,
            tracks,
            index,
            verdict: Verdict::default(),
            to_stamp: Vec::new(),
        }
    }

    /// Compares all claims with the messages of this range, which must be all that the claims are about.
    pub(super) async fn run(mut self, (from, to): (Millis, Millis)) -> Result<Verdict, StoreError> {
        let (mut after, mut limit) = (Cursor::at(from), GLANCE);
        loop {
            let chunk = self.store.messages(&after, to, limit).await?;
            let Some(last) = chunk.last() else { break };
            after = last.cursor();
            limit = next_limit(&chunk);
            for message in chunk {
                if self.question.wants(&message.account) {
                    self.take(message).await?;
                }
            }
        }
        let mut passed = Vec::new();
        for number in 0..self.tracks.len() {
            self.tracks[number].finish(self.store, &mut passed).await?;
            self.compare(number, &mut passed).await?;
        }
        self.stamp().await?;
        Ok(self.verdict)
    }

    async fn take(&mut self, archived: Archived) -> Result<(), StoreError> {
        self.verdict.messages += 1;
        let identified = &archived.identified;
        let misfiled = || {
            let is_misfiled = self.index.knows_filing(&archived.account)
                && !identified.message.is_filed_by_its_names();
            is_misfiled.then_some(MISFILED)
        };
        let fault = archived.fault().or_else(misfiled);
        let candidates: Vec<usize> = self
            .index
            .candidates(&archived.account, &identified.message)
            .collect();
        let mut passed = Vec::new();
        for number in candidates {
            let track = &mut self.tracks[number];
            if track.subject.scope.holds(&identified.message) {
                track
                    .advance(self.store, identified.message.sent_at, &mut passed)
                    .await?;
                track.take(identified, fault.is_some());
                self.compare(number, &mut passed).await?;
            }
        }
        if let Some(fault) = fault {
            self.verdict.damaged.push(Damage {
                message: archived,
                fault,
            });
        }
        Ok(())
    }

    async fn compare(
        &mut self,
        number: usize,
        passed: &mut Vec<Compared>,
    ) -> Result<(), StoreError> {
        let subject = &self.tracks[number].subject;
        for (claim, held) in passed.drain(..) {
            self.verdict.windows += 1;
            self.verdict.undigested += u64::from(claim.digest.is_none());
            if !claim.is_met_by(&held) {
                self.verdict.differences.push(Difference {
                    subject: subject.clone(),
                    claim,
                    held,
                });
            } else if let (None, Some(stream)) = (claim.digest, subject.id) {
                let Claim {
                    window, messages, ..
                } = claim;
                self.to_stamp.push(Stamp {
                    stream,
                    window,
                    messages,
                    digest: held.digest,
                });
            }
        }
        if self.to_stamp.len() >= STAMPED {
            self.stamp().await
        } else {
            Ok(())
        }
    }

    async fn stamp(&mut self) -> Result<(), StoreError> {
        let stamps = std::mem::take(&mut self.to_stamp);
        if self.question.stamp && !stamps.is_empty() {
            self.store.stamp(&stamps).await?;
            self.verdict.undigested -= stamps.len() as u64;
        }
        Ok(())
    }
}

/// How many messages to read next, by how large the last ones were. A few large ones among many small ones surprise
/// nobody for long: the number grows by steps.
fn next_limit(chunk: &[Archived]) -> u64 {
    let bytes: u64 = chunk
        .iter()
        .map(|archived| archived.identified.message.payload.bytes.len() as u64)
        .sum();
    let mean = (bytes / chunk.len().max(1) as u64).max(1);
    (CHUNK_BYTES / mean)
        .min(chunk.len() as u64 * 4)
        .clamp(1, CHUNK)
}
