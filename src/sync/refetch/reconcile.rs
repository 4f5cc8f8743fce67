//! Ledger rows whose count differs from the provider's, found by comparing streams in turn.

use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::bisect::{RowDifference, StreamComparison};
use super::range::comparable_range;
use crate::domain::frontier::Frontier;
use crate::domain::stream::StreamIndex;
use crate::domain::window::Window;
use crate::provider::{Disposition, ProviderError};
use crate::store::StoreError;
use crate::sync::error::SyncError;
use crate::sync::limits::{MAX_COMPARE, PARALLEL_COMPARISONS};
use crate::sync::plan::job::{Job, RefetchList};
use crate::sync::session::Session;

/// The stream that is compared next, round and round. It starts at random, so that a process that
/// is restarted often gets round as well.
#[derive(Clone, Copy, Debug)]
pub(in crate::sync) struct CompareCursor(usize);

impl CompareCursor {
    pub(in crate::sync) fn random() -> Self {
        Self(fastrand::usize(..=u16::MAX as usize))
    }

    /// Returns the stream at a turn after the cursor. `streams` is the number of streams.
    fn stream_at(self, turn: usize, streams: usize) -> StreamIndex {
        StreamIndex::new((self.0.wrapping_add(turn)) % streams)
    }

    fn advance(&mut self) {
        self.0 = self.0.wrapping_add(1);
    }
}

/// The result of comparing streams.
#[derive(Debug, Default)]
pub(in crate::sync) struct ReconcileResult {
    /// The ranges that differ.
    pub(in crate::sync) differing: RefetchList,
    /// True if a stream could be compared.
    pub(in crate::sync) has_answers: bool,
    /// The streams that could not be compared.
    pub(in crate::sync) failures: Vec<(StreamIndex, ProviderError)>,
}

/// Compares streams in turn with the provider's counts, until the time is up.
pub(in crate::sync) async fn compare(
    session: &Session,
    frontier: Frontier,
    cursor: &mut CompareCursor,
    stop: &CancellationToken,
) -> Result<ReconcileResult, StoreError> {
    let first = *cursor;
    let count = session.stream_count();
    let deadline = Instant::now() + MAX_COMPARE;
    let in_time = (0..count).take_while(|_| Instant::now() < deadline);
    let compared = stream::iter(in_time).map(|turn| async move {
        let index = first.stream_at(turn, count);
        (index, differences(session, frontier, index).await)
    });
    let mut compared = compared.buffer_unordered(PARALLEL_COMPARISONS);
    let mut result = ReconcileResult::default();
    loop {
        let next = tokio::select! {
            next = compared.next() => next,
            () = stop.cancelled() => None,
        };
        let Some((stream, outcome)) = next else { break };
        match outcome {
            Ok(differences) => {
                result.has_answers = true;
                for found in differences {
                    found.add_to(stream, &mut result.differing);
                }
                result
                    .differing
                    .jobs
                    .extend(unread(session, frontier, stream));
            }
            Err(SyncError::Store(error)) => return Err(error),
            Err(SyncError::Provider(failure)) => {
                let failure = session.attribute(stream, failure, stop).await;
                let is_over = failure.disposition() != Disposition::SkipStream;
                result.failures.push((stream, failure));
                if is_over {
                    break;
                }
            }
        }
        cursor.advance();
    }
    Ok(result)
}

/// Returns a job for what has arrived in a stream that is read in order of arrival: its positions
/// tell what is missing, and no count of a range does.
fn unread(session: &Session, frontier: Frontier, stream: StreamIndex) -> Option<Job> {
    session.provider.arrival_mark(stream)?;
    Some(Job {
        stream,
        range: Window::with_length(frontier.settled_to.plus(-1), 1),
        is_piece: false,
        refetch: None,
        poll: None,
    })
}

/// Returns the ranges of a stream whose count differs from the provider's. None of one that is read in
/// order of arrival.
pub(super) async fn differences(
    session: &Session,
    frontier: Frontier,
    stream: StreamIndex,
) -> Result<Vec<RowDifference>, SyncError> {
    match comparable_range(frontier, session.stream(stream).wanted_from) {
        _ if session.provider.arrival_mark(stream).is_some() => Ok(vec![]),
        Some(range) => {
            StreamComparison::new(session, stream, range)
                .differences()
                .await
        }
        None => Ok(vec![]),
    }
}
