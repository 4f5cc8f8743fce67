//! Windows that hold more than is read at once. They are read, and committed, in parts.
//!
//! A part is a job like any other, for the same range; it begins where the part before it ended.
//! Only the last part seals the window. After a restart, the reading resumes behind the messages
//! that the archive holds. The provider checks each position: where it has shifted, the window is
//! read from its start again, which changes nothing that is archived.
//!
//! Streams that are not in order of time are read in parts as well, in order of arrival. Such a part
//! covers the beginning of its job's range, up to a label: about the middle of its times. The rest of
//! the range is another job. The last part covers all of it. So each ledger row stands for about a
//! part, and no range counts as complete before all that had arrived was read.

use std::time::Duration;

use super::Pipeline;
use super::commit::{ArrivedWindow, PendingCommit};
use super::fetch::FetchedMessages;
use super::partial_window::PartialWindow;
use super::seal::SealDecision;
use crate::domain::time::Millis;
use crate::provider::{ProviderError, ReadPosition};
use crate::store::StoreError;
use crate::sync::limits::{MAX_RESTARTS, RESUME_STEPS};
use crate::sync::plan::job::Job;
use crate::sync::session::Session;

impl Pipeline<'_> {
    /// Plans a window that is to be read in parts. A peek leaves it to the next poll that seals.
    pub(super) fn plan_parts(&mut self, job: Job, expected: Option<u64>) {
        if job.is_peek() {
            self.plan.reset_poll(job.stream);
        } else {
            self.large_windows.push((job, expected));
        }
    }

    /// Begins the windows that are to be read in parts, behind what the archive holds of them.
    pub(super) async fn resume_large_windows(&mut self) -> Result<(), StoreError> {
        for (job, expected) in std::mem::take(&mut self.large_windows) {
            let partial = resume(self.session, job, expected).await?;
            tracing::debug!(
                account = self.session.provider.account().name,
                stream = self.session.provider.stream(job.stream).key,
                window = %job.range,
                expected,
                archived = partial.position.offset,
                "a window that is too large to be read at once is read in parts"
            );
            self.continue_window(job, partial);
        }
        Ok(())
    }

    /// Takes a part of a window. Only the last part seals the window.
    pub(super) fn finish_part(
        &mut self,
        job: Job,
        took: Duration,
        fetched: FetchedMessages,
        partial: PartialWindow,
    ) -> PendingCommit {
        if fetched.window.next.is_none() {
            let mut pending = self.finish_window(job, took, fetched, true);
            if let Some(seal) = &mut pending.commit.seal {
                seal.shown_outside += partial.earlier;
            }
            return pending;
        }
        self.learn_from(job, &fetched.messages);
        let pending = self.build_commit(job, SealDecision::Nothing, fetched);
        PendingCommit {
            rest: (!job.is_peek()).then_some(partial),
            ..pending
        }
    }

    /// Plans the next part of a window, unless this pass has read enough of it.
    pub(super) fn continue_window(&mut self, job: Job, partial: PartialWindow) {
        let exhausted = partial.exhausted();
        match exhausted {
            None => {
                self.context.partial_windows.insert(job, partial);
                self.plan.push_continuation(job);
            }
            Some(messages) => {
                self.context
                    .partial_windows
                    .insert(job, partial.suspended());
                let window = job.range;
                self.fail_job(job, ProviderError::TooManyMessages { window, messages });
            }
        }
    }

    /// Reads a window from its start again, because the position of its next part has shifted.
    pub(super) fn restart_window(&mut self, job: Job, mut partial: PartialWindow) {
        if partial.restart() {
            self.continue_window(job, partial);
        } else {
            let attempts = MAX_RESTARTS;
            self.fail_job(job, ProviderError::HistoryChanged { attempts });
        }
    }

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

/// Returns a window that is to be read in parts, from behind the messages that the archive holds.
/// The last millisecond is read again: the archive may hold only some of its messages.
pub(super) async fn resume(
    session: &Session,
    job: Job,
    expected: Option<u64>,
) -> Result<PartialWindow, StoreError> {
    let stream = session.provider.stream(job.stream);
    let start = session.provider.positions_from(job.range);
    let end = job.range.to().start();
    let step = (end.0 - start.0) / RESUME_STEPS + 1;
    let (mut counted, mut inside) = (0, 0);
    let mut found = PartialWindow::new(expected);
    for step_start in (start.0..end.0).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
        let (from, to) = (Millis(step_start), Millis(end.0.min(step_start + step)));
        let archive = &session.archive;
        let times = archive
            .message_times(session.account, &stream.scope, from, to)
            .await?;
        let Some(&last) = times.last() else { continue };
        let before = times.partition_point(|at| *at < last) as u64;
        let in_margin = times.partition_point(|at| *at < job.range.from().start()) as u64;
        let position = ReadPosition {
            offset: counted + before,
            time: Some(last),
        };
        found = PartialWindow::resumed(
            expected,
            position,
            inside + before.saturating_sub(in_margin),
        );
        counted += times.len() as u64;
        inside += times.len() as u64 - in_margin;
    }
    Ok(found)
}
