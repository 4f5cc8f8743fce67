//! What is to be done next: wanted − sealed, the most urgent first. Pure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};

/// A range of a stream that is wanted and not sealed, or to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// The stream's position in its account.
    pub stream: usize,
    pub range: Window,
    /// Whether it came from cutting a job that has been counted as a whole.
    pub is_piece: bool,
    /// The ledger row that is to be replaced, where the range is sealed already.
    pub again: Option<Again>,
}

/// The ledger row around a range that is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Again {
    pub row: Window,
    /// How many messages of the row the archive holds outside of the range.
    pub outside: u64,
    /// When the row was written.
    pub sealed_at: Millis,
}

/// The edges by which urgency is judged.
#[derive(Clone, Copy, Debug)]
pub struct Edges {
    /// Behind it the provider has forgotten; nothing where it never does.
    pub horizon: Option<Second>,
    /// How much the horizon will have moved before long: ranges that begin within it go first.
    pub danger: Duration,
    /// Up to here history is wanted.
    pub wanted_to: Second,
    /// Up to here the provider is trusted to show everything.
    pub settled: Second,
}

/// The work of a pass, in order.
#[derive(Debug)]
pub struct Plan {
    edges: Edges,
    queue: BinaryHeap<Reverse<Queued>>,
}

/// A job in the queue. The order of the fields is the order of the queue.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Queued {
    urgency: Urgency,
    /// Among those that are read again: in which order they were given.
    rank: usize,
    from: Second,
    /// Of ranges that begin together the shorter goes first: a cut range is finished before the next is cut.
    to: Second,
    stream: usize,
    is_piece: bool,
    again: Option<Again>,
}

/// Why a job comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// It is what the pass is for.
    Again,
    /// It soon falls behind the horizon.
    Dying,
    /// It brings what has just been said.
    Live,
    /// It can wait.
    Backfill,
}

impl Plan {
    /// All that is missing of streams, each with the start of its wanted history and what of it is sealed.
    pub fn new<'a>(edges: Edges, streams: impl IntoIterator<Item = (usize, Second, &'a Runs)>) -> Self {
        let mut plan = Self { edges, queue: BinaryHeap::new() };
        for (stream, wanted_from, sealed) in streams {
            let from = edges.horizon.map_or(wanted_from, |horizon| wanted_from.max(horizon));
            let wanted = Window::new(from, edges.wanted_to);
            for range in wanted.map(|wanted| sealed.missing_from(wanted)).unwrap_or_default() {
                plan.push(Job { stream, range, is_piece: false, again: None });
            }
        }
        plan
    }

    /// What is to be read again, in the order given.
    pub fn again(edges: Edges, jobs: impl IntoIterator<Item = Job>) -> Self {
        let mut plan = Self { edges, queue: BinaryHeap::new() };
        jobs.into_iter().enumerate().for_each(|(rank, job)| plan.queue(Urgency::Again, rank, job));
        plan
    }

    pub fn push(&mut self, job: Job) {
        self.queue(self.urgency(job.range), 0, job);
    }

    fn queue(&mut self, urgency: Urgency, rank: usize, job: Job) {
        let Job { stream, range, is_piece, again } = job;
        let (from, to) = (range.from(), range.to());
        self.queue.push(Reverse(Queued { urgency, rank, from, to, stream, is_piece, again }));
    }

    pub fn pop(&mut self) -> Option<Job> {
        let Reverse(Queued { from, to, stream, is_piece, again, .. }) = self.queue.pop()?;
        Window::new(from, to).map(|range| Job { stream, range, is_piece, again })
    }

    /// Leaves a stream's work for another pass.
    pub fn drop_stream(&mut self, stream: usize) {
        self.queue.retain(|Reverse(queued)| queued.stream != stream);
    }

    /// Leaves all work for another pass.
    pub fn clear(&mut self) {
        self.queue.clear();
    }

    /// How many jobs are waiting.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn urgency(&self, range: Window) -> Urgency {
        let danger = i64::try_from(self.edges.danger.as_secs()).unwrap_or(i64::MAX);
        let dying = self.edges.horizon.is_some_and(|horizon| range.from() < horizon.plus(danger));
        match (dying, range.to() == self.edges.wanted_to) {
            (true, _) => Urgency::Dying,
            (_, true) => Urgency::Live,
            _ => Urgency::Backfill,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn edges(horizon: Option<i64>, wanted_to: i64) -> Edges {
        Edges {
            horizon: horizon.map(Second),
            danger: Duration::from_secs(10),
            wanted_to: Second(wanted_to),
            settled: Second(wanted_to),
        }
    }

    fn drain(mut plan: Plan) -> Vec<Job> {
        std::iter::from_fn(|| plan.pop()).collect()
    }

    fn runs(windows: &[(i64, i64)]) -> Runs {
        windows.iter().filter_map(|&(from, to)| Window::new(Second(from), Second(to))).collect()
    }

    #[test]
    fn what_dies_first_goes_first_then_the_tail_then_the_rest() {
        let sealed = runs(&[(105, 120), (200, 300), (400, 500)]);
        let order: Vec<_> = drain(Plan::new(edges(Some(100), 600), [(0, Second(0), &sealed)]))
            .into_iter()
            .map(|job| (job.range.from().0, job.range.to().0))
            .collect();
        assert_eq!(order, [(100, 105), (500, 600), (120, 200), (300, 400)]);
    }

    #[test]
    fn a_stream_with_nothing_missing_is_no_work() {
        let sealed = runs(&[(0, 600)]);
        assert!(Plan::new(edges(None, 600), [(0, Second(0), &sealed)]).is_empty());
        assert!(Plan::new(edges(Some(700), 600), [(0, Second(0), &Runs::default())]).is_empty());
    }

    #[test]
    fn a_cut_range_is_finished_before_the_next_is_cut() {
        let none = Runs::default();
        let mut plan = Plan::new(edges(None, 600), [(0, Second(0), &none), (1, Second(0), &none)]);
        let first = plan.pop().unwrap();
        for range in first.range.cut_at(&[Second(100)]) {
            plan.push(Job { range, is_piece: true, ..first });
        }
        // The piece that ends now is as live as the whole was.
        assert_eq!(plan.pop().unwrap().stream, 1);
    }

    proptest! {
        #[test]
        fn the_work_is_exactly_what_is_wanted_and_not_sealed(
            sealed in prop::collection::vec((0i64..200, 1i64..30), 0..10),
            wanted_from in 0i64..100, horizon in prop::option::of(0i64..150), wanted_to in 50i64..220,
        ) {
            let sealed: Vec<_> = sealed.into_iter().map(|(from, len)| (from, from + len)).collect();
            let runs = runs(&sealed);
            let jobs = drain(Plan::new(edges(horizon, wanted_to), [(0, Second(wanted_from), &runs)]));
            let work: Vec<i64> = jobs.iter().flat_map(|j| j.range.from().0..j.range.to().0).collect();
            let done: BTreeSet<i64> = sealed.iter().flat_map(|&(from, to)| from..to).collect();
            let from = wanted_from.max(horizon.unwrap_or(0));
            let expected: BTreeSet<i64> = (from..wanted_to).filter(|s| !done.contains(s)).collect();
            prop_assert_eq!(work.len(), expected.len(), "no second twice");
            prop_assert_eq!(work.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }
}
