//! One unit of work: a range of a stream that is to be fetched. Pure.

use std::collections::HashMap;

use crate::domain::stream::StreamIndex;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;

/// A range of a stream that is to be fetched.
///
/// Jobs are ordered by the start of their range, then by its end: the pieces of a split range are
/// finished before the next range is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sync) struct Job {
    pub(in crate::sync) range: Window,
    pub(in crate::sync) stream: StreamIndex,
    /// True if the job is a piece of a job that was announced as a whole.
    pub(in crate::sync) is_piece: bool,
    /// The ledger row that the job replaces, if its range is sealed already.
    pub(in crate::sync) refetch: Option<Refetch>,
    /// The kind of tail poll, if the job is one.
    pub(in crate::sync) poll: Option<TailPoll>,
}

impl Job {
    /// Splits the job where it turned out to be more than one window. A job that refetches is split
    /// over its whole ledger row. The last piece of a tail poll remains a tail poll.
    pub(in crate::sync) fn pieces(self, split_points: &[Second]) -> Vec<Self> {
        let whole = self.refetch.map_or(self.range, |refetch| refetch.row);
        let piece = |range: Window| {
            let poll = self.poll.filter(|_| range.to() == self.range.to());
            Self {
                stream: self.stream,
                range,
                is_piece: true,
                refetch: None,
                poll,
            }
        };
        whole
            .split_at(split_points)
            .into_iter()
            .map(piece)
            .collect()
    }

    /// True if the job only peeks at a tail, which seals nothing.
    pub(in crate::sync) fn is_peek(self) -> bool {
        self.poll == Some(TailPoll::Peek)
    }
}

/// A poll of the tail of a stream: the part up to now that is not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sync) enum TailPoll {
    /// Fetches the whole tail, and seals the settled part.
    Seal,
    /// Fetches what is new without counting it first. Seals nothing.
    Peek,
}

/// The ledger row around a range that is fetched again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sync) struct Refetch {
    pub(in crate::sync) row: Window,
    /// The number of archived messages of the row outside of the range.
    pub(in crate::sync) outside: u64,
    /// The time at which the row was written.
    pub(in crate::sync) sealed_at: Millis,
    /// True if the row is in doubt: it may never have been complete.
    pub(in crate::sync) is_doubted: bool,
}

/// The times of the archived messages in ranges that are refetched, by stream and ledger row. They
/// tell which of the fetched messages are late.
pub(in crate::sync) type KnownTimes = HashMap<(StreamIndex, Window), Vec<Millis>>;

/// Ranges that are to be refetched, in order.
#[derive(Debug, Default)]
pub(in crate::sync) struct RefetchList {
    pub(in crate::sync) jobs: Vec<Job>,
    pub(in crate::sync) known_times: KnownTimes,
}

impl RefetchList {
    /// Adds a range of a stream, with the times of the archived messages in it.
    pub(in crate::sync) fn add(
        &mut self,
        stream: StreamIndex,
        range: Window,
        refetch: Refetch,
        times: Vec<Millis>,
    ) {
        let refetch_job = Job {
            stream,
            range,
            is_piece: false,
            refetch: Some(refetch),
            poll: None,
        };
        self.jobs.push(refetch_job);
        self.known_times.insert((stream, refetch.row), times);
    }

    /// Adds the ranges of another list behind those of this one.
    pub(in crate::sync) fn append(&mut self, other: Self) {
        self.jobs.extend(other.jobs);
        self.known_times.extend(other.known_times);
    }
}
