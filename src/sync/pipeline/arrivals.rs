//! Streams that are not in order of time. They are read in order of arrival, part after part, and a
//! part is archived before the next is read.
//!
//! A part covers the beginning of its job's range, up to a label: about the middle of its times. The
//! rest of the range is another job. The last part covers all of it. So each ledger row stands for
//! about a part, and no range counts as complete before all that had arrived was read.

use std::time::Duration;

use super::Pipeline;
use super::commit::{ArrivedWindow, PendingCommit};
use super::fetch::FetchedMessages;
use super::seal::SealDecision;
use crate::store::StoreError;
use crate::sync::plan::job::Job;

impl Pipeline<'_> {
    /// Builds the commit of a part.
    pub(super) fn finish_arrivals(
        &mut self,
        job: Job,
        took: Duration,
        mut fetched: FetchedMessages,
    ) -> PendingCommit {
        // Messages that have arrived since replace no row.
        let job = Job {
            refetch: None,
            ..job
        };
        let Some(part) = fetched.window.arrivals.take() else {
            return self.finish_window(job, took, fetched, false);
        };
        let piece = Job {
            is_piece: true,
            ..job
        };
        let (covered, rest) = match part.rest_from {
            None => (Some(job), None),
            Some(label) => {
                let covered = job.range.up_to(label).map(|range| Job {
                    range,
                    poll: None,
                    ..piece
                });
                let range = job.range.starting_at(label).unwrap_or(job.range);
                (covered, Some(Job { range, ..piece }))
            }
        };
        let pending = if let Some(covered) = covered {
            self.finish_window(covered, took, fetched, false)
        } else {
            self.learn_from(piece, &fetched.messages);
            let uncovered = Job {
                poll: None,
                ..piece
            };
            self.build_commit(uncovered, SealDecision::Nothing, fetched)
        };
        PendingCommit {
            arrivals: Some(ArrivedWindow { part, rest }),
            ..pending
        }
    }

    /// Records that a part is archived, and plans the next.
    pub(super) async fn continue_arrivals(
        &mut self,
        job: Job,
        window: ArrivedWindow,
    ) -> Result<(), StoreError> {
        let ArrivedWindow { part, rest } = window;
        if part.from != part.to {
            let (archive, stream) = (&self.session.archive, self.session.stream(job.stream).id);
            let mark = archive.move_arrival_mark(stream, part.from, part.to);
            let provider = &self.session.provider;
            provider.set_arrival_mark(job.stream, Some(mark.await?));
        }
        match rest {
            Some(rest) => {
                let has_failed = self.failed_streams.contains(&job.stream);
                if !has_failed && !self.outcome.has_failed_account {
                    self.plan.push(rest);
                }
            }
            None => self.session.clear_stream_error(job.stream).await?,
        }
        Ok(())
    }
}
