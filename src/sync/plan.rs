//! What is to be done next: wanted − sealed, the most urgent first. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::tails::TailScheduler;
use crate::domain::stream::StreamIndex;
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};

/// What a look costs in requests, about.
const POLL_COST: f64 = 2.0;
/// By so many seconds a range may fall behind the horizon while it is fetched.
pub const HORIZON_TOLERANCE_S: i64 = 5;
/// How much longer than the last job the next may take.
const LEAD_FACTOR: f64 = 1.5;
/// What is left of the lead after a job that the horizon has not caught up with.
const LEAD_DECAY: f64 = 0.95;
/// However much backfill there was while there was nothing to look at: no more is made up for.
const MAX_TAIL_CREDIT: f64 = 100.0;
/// The share of looks while something dies: a backlog that takes days to save keeps no stream from being looked at.
const MIN_TAIL_SHARE: f64 = 0.02;

/// A range of a stream that is wanted and not sealed, or to be read again. In order, what begins earlier is less; and of
/// ranges that begin together the shorter: a cut range is finished before the next is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job {
    pub range: Window,
    /// The stream's position in its account.
    pub stream: StreamIndex,
    /// Whether it came from cutting a job that has been counted as a whole.
    pub is_piece: bool,
    /// The ledger row that is to be replaced, where the range is sealed already.
    pub refetch: Option<Refetch>,
    /// How it looks at the live end of its stream, if it does.
    pub poll: Option<TailPoll>,
}

impl Job {
    /// What is to be done where it turns out too large to be one window: of a row that is read again, all of the row. The
    /// piece that ends where it does is as live as it was.
    pub fn pieces(self, cuts: &[Second]) -> Vec<Self> {
        let whole = self.refetch.map_or(self.range, |again| again.row);
        let piece = |range: Window| {
            let look = self.poll.filter(|_| range.to() == self.range.to());
            Self {
                stream: self.stream,
                range,
                is_piece: true,
                refetch: None,
                poll: look,
            }
        };
        whole.split_at(cuts).into_iter().map(piece).collect()
    }
}

/// A look at the live end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TailPoll {
    /// At all that is not sealed: what has settled of it is sealed.
    Seal,
    /// At what is new, without asking how much that is. It seals nothing.
    Peek,
}

/// The ledger row around a range that is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refetch {
    pub row: Window,
    /// How many messages of the row the archive holds outside of the range.
    pub outside: u64,
    /// When the row was written.
    pub sealed_at: Millis,
}

/// The edges by which urgency is judged.
#[derive(Clone, Copy, Debug)]
pub struct PlanEdges {
    /// Behind it the provider has forgotten; nothing where it never does.
    pub horizon: Option<Second>,
    /// How much the horizon will have moved before long: ranges that begin within it go first.
    pub expiring_within: Duration,
    /// Up to here history is wanted …
    pub wanted_to: Second,
    /// … or, if this is so, up to the present, which moves on.
    pub follows_now: bool,
    /// Up to here the provider is trusted to show everything.
    pub settled: Second,
}

/// The work of a pass, in order: what is read again, as it was given; what soon falls behind the horizon; the live ends;
/// the rest.
#[derive(Debug)]
pub struct Plan {
    edges: PlanEdges,
    /// All but the live ends, the oldest first.
    queue: BTreeSet<QueuedJob>,
    /// The live ends of what was too large to be looked at as a whole.
    tails: BTreeSet<QueuedJob>,
    /// The other live ends.
    scheduler: TailScheduler,
    /// Requests that are owed to looks for what else has been done, about: while there is backfill, neither gets more.
    tail_credit: f64,
    /// How far ahead of the horizon work begins, in seconds: what would fall behind it while it is fetched is left to it.
    lead_s: f64,
}

/// A job in the queue, in the order in which it was given, if it is to be read again. All others come after those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct QueuedJob {
    rank: usize,
    job: Job,
}

/// The rank of what is not read again.
const RANK_OF_MISSING: usize = usize::MAX;

impl Plan {
    /// All that is missing of streams, each with the start of its wanted history and what of it is sealed.
    pub fn new<'a>(
        edges: PlanEdges,
        mut live: TailScheduler,
        streams: impl IntoIterator<Item = (StreamIndex, Second, &'a Runs)>,
    ) -> Self {
        live.begin_pass(edges.wanted_to.0 - edges.settled.0);
        let mut plan = Self::empty(edges, live);
        for (stream, wanted_from, sealed) in streams {
            let from = edges
                .horizon
                .map_or(wanted_from, |horizon| wanted_from.max(horizon));
            let wanted = Window::new(from, edges.wanted_to);
            for range in wanted
                .map(|wanted| sealed.gaps_in(wanted))
                .unwrap_or_default()
            {
                plan.add(stream, range);
            }
        }
        plan
    }

    /// What is to be read again, in the order given.
    pub fn refetching(edges: PlanEdges, jobs: impl IntoIterator<Item = Job>) -> Self {
        let mut plan = Self::empty(edges, TailScheduler::default());
        plan.queue.extend(
            jobs.into_iter()
                .enumerate()
                .map(|(rank, job)| QueuedJob { rank, job }),
        );
        plan
    }

    fn empty(edges: PlanEdges, scheduler: TailScheduler) -> Self {
        Self {
            edges,
            queue: BTreeSet::new(),
            tails: BTreeSet::new(),
            scheduler,
            tail_credit: 0.0,
            lead_s: 0.0,
        }
    }

    fn add(&mut self, stream: StreamIndex, range: Window) {
        let is_end = range.to() == self.edges.wanted_to;
        let is_dying = self.is_expiring(range.from());
        if is_end {
            self.scheduler.follow(stream, range.from());
        }
        if is_end && is_dying {
            self.scheduler.mark_in_flight(stream);
        }
        if !is_end || is_dying {
            self.push(Job {
                stream,
                range,
                is_piece: false,
                refetch: None,
                poll: is_end.then_some(TailPoll::Seal),
            });
        }
    }

    pub fn push(&mut self, job: Job) {
        let queue = if job.poll.is_some() {
            &mut self.tails
        } else {
            &mut self.queue
        };
        queue.insert(QueuedJob {
            rank: RANK_OF_MISSING,
            job,
        });
    }

    /// The most urgent job, at this moment of the provider's, with the horizon where it is by now.
    pub fn pop(&mut self, now: Second, horizon: Option<Second>) -> Option<Job> {
        self.edges.horizon = horizon;
        self.drop_expired();
        let may_look = match self.oldest() {
            Some(QueuedJob { rank, .. }) if rank != RANK_OF_MISSING => false,
            Some(QueuedJob { job, .. }) if self.is_expiring(job.range.from()) => {
                self.tail_credit >= POLL_COST
            }
            _ => self.tail_credit >= 0.0 || self.queue.is_empty() || !self.tails.is_empty(),
        };
        let look = if may_look { self.next_poll(now) } else { None };
        look.or_else(|| self.take_oldest())
    }

    /// Gives up what has fallen behind the horizon, or will before it is fetched.
    fn drop_expired(&mut self) {
        let Some(reach) = self.fetchable_from() else {
            return;
        };
        for queue in [&mut self.queue, &mut self.tails] {
            while let Some(lost) = queue
                .first()
                .copied()
                .filter(|queued| queued.job.range.to() <= reach)
            {
                queue.remove(&lost);
                self.scheduler.drop_polled(lost.job.stream, lost.job.poll);
            }
        }
    }

    /// What begins first, or is read again.
    fn oldest(&self) -> Option<QueuedJob> {
        self.queue
            .first()
            .into_iter()
            .chain(self.tails.first())
            .min()
            .copied()
    }

    fn take_oldest(&mut self) -> Option<Job> {
        let oldest = self.oldest()?;
        let queue = if oldest.job.poll.is_some() {
            &mut self.tails
        } else {
            &mut self.queue
        };
        queue.remove(&oldest);
        Some(self.clip_to_fetchable(oldest.job))
    }

    /// The live end whose turn it is.
    fn next_poll(&mut self, now: Second) -> Option<Job> {
        if let Some(tail) = self.tails.pop_first() {
            return Some(self.clip_to_fetchable(tail.job));
        }
        let to = if self.edges.follows_now {
            now.max(self.edges.wanted_to)
        } else {
            self.edges.wanted_to
        };
        let job = self.scheduler.next_poll(to)?;
        if !self.queue.is_empty() {
            self.tail_credit -= POLL_COST;
        }
        Some(job)
    }

    /// What the horizon will have left of a job.
    fn clip_to_fetchable(&mut self, whole: Job) -> Job {
        let left = self
            .fetchable_from()
            .and_then(|reach| whole.range.starting_at(reach))
            .unwrap_or(whole.range);
        let job = Job {
            range: left,
            ..whole
        };
        if left != whole.range && job.is_piece && job.refetch.is_none() {
            self.join_with_next(job)
        } else {
            job
        }
    }

    /// What the horizon has left of a piece, with the one that follows it, if that waits, too: alone it would cost as much in
    /// counts and half-empty pages as a whole one.
    fn join_with_next(&mut self, job: Job) -> Job {
        let follows = |next: Job| {
            next.stream == job.stream
                && next.range.from() == job.range.to()
                && next.is_piece
                && next.refetch.is_none()
        };
        let next = [&mut self.queue, &mut self.tails]
            .into_iter()
            .find_map(|queue| {
                let next = queue.iter().find(|queued| follows(queued.job)).copied()?;
                queue.remove(&next);
                Some(next.job)
            });
        let Some(next) = next else { return job };
        Job {
            range: Window::new(job.range.from(), next.range.to()).unwrap_or(job.range),
            poll: next.poll,
            ..job
        }
    }

    /// From here on it is worth while to begin, for it is still there when it is fetched: what has hardly fallen behind the
    /// horizon is, if the horizon does not catch up with work.
    fn fetchable_from(&self) -> Option<Second> {
        Some(
            self.edges
                .horizon?
                .plus(self.lead_s as i64 - HORIZON_TOLERANCE_S),
        )
    }

    /// A job near the horizon has taken so many seconds, and the horizon has caught up with it or not.
    pub fn learn_lead(&mut self, took_s: f64, caught_up: bool) {
        self.lead_s = if caught_up {
            self.lead_s.max(took_s * LEAD_FACTOR).max(1.0)
        } else {
            self.lead_s * LEAD_DECAY
        };
    }

    /// A job has cost so many requests.
    pub fn account_for(&mut self, job: Job, requests: u64) {
        let is_pressed = self
            .oldest()
            .is_some_and(|oldest| self.is_expiring(oldest.job.range.from()));
        let owed = match job.poll {
            None if is_pressed => requests as f64 * MIN_TAIL_SHARE,
            None => requests as f64,
            Some(_) if is_pressed && job.is_piece => -(requests as f64),
            // It was taken to cost so much when it was begun.
            Some(_) if is_pressed => POLL_COST - requests as f64,
            Some(_) => 0.0,
        };
        self.tail_credit = (self.tail_credit + owed).min(MAX_TAIL_CREDIT);
    }

    pub fn edges(&self) -> PlanEdges {
        self.edges
    }

    /// The live ends of the streams.
    pub fn scheduler(&mut self) -> &mut TailScheduler {
        &mut self.scheduler
    }

    /// What is known of the streams' rhythm, for the next plan.
    pub fn into_scheduler(self) -> TailScheduler {
        self.scheduler
    }

    /// Leaves a stream's work for another pass.
    pub fn drop_stream(&mut self, stream: StreamIndex) {
        for queue in [&mut self.queue, &mut self.tails] {
            queue.retain(|queued| queued.job.stream != stream);
        }
        self.scheduler.drop_stream(stream);
    }

    /// Leaves all work for another pass.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.tails.clear();
        self.scheduler.clear();
    }

    /// How many jobs are waiting. Looks at streams that have been looked at do not count: they alone keep no pass going.
    pub fn len(&self) -> usize {
        self.queue.len() + self.tails.len() + self.scheduler.unpolled()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether what begins there soon falls behind the horizon.
    pub fn is_expiring(&self, from: Second) -> bool {
        let danger = i64::try_from(self.edges.expiring_within.as_secs()).unwrap_or(i64::MAX);
        self.edges
            .horizon
            .is_some_and(|horizon| from < horizon.plus(danger))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edges(horizon: Option<i64>, wanted_to: i64) -> PlanEdges {
        PlanEdges {
            horizon: horizon.map(Second),
            expiring_within: Duration::from_secs(10),
            wanted_to: Second(wanted_to),
            follows_now: false,
            settled: Second(wanted_to),
        }
    }

    fn drain(mut plan: Plan) -> Vec<Job> {
        let horizon = plan.edges().horizon;
        std::iter::from_fn(|| plan.pop(Second(0), horizon)).collect()
    }

    fn runs(windows: &[(i64, i64)]) -> Runs {
        windows
            .iter()
            .filter_map(|&(from, to)| Window::new(Second(from), Second(to)))
            .collect()
    }

    #[test]
    fn expiring_history_precedes_the_tail_which_precedes_backfill() {
        let sealed = runs(&[(105, 120), (200, 300), (400, 500)]);
        let order: Vec<_> = drain(Plan::new(
            edges(Some(100), 600),
            TailScheduler::default(),
            [(StreamIndex::new(0), Second(0), &sealed)],
        ))
        .into_iter()
        .map(|job| (job.range.from().0, job.range.to().0))
        .collect();
        assert_eq!(order, [(100, 105), (500, 600), (120, 200), (300, 400)]);
    }

    #[test]
    fn a_stream_with_nothing_missing_is_no_work() {
        let sealed = runs(&[(0, 600)]);
        assert!(
            Plan::new(
                edges(None, 600),
                TailScheduler::default(),
                [(StreamIndex::new(0), Second(0), &sealed)]
            )
            .is_empty()
        );
        assert!(
            Plan::new(
                edges(Some(700), 600),
                TailScheduler::default(),
                [(StreamIndex::new(0), Second(0), &Runs::default())]
            )
            .is_empty()
        );
    }

    #[test]
    fn last_piece_of_a_split_tail_remains_a_tail_poll() {
        let none = Runs::default();
        let mut plan = Plan::new(
            edges(None, 600),
            TailScheduler::default(),
            [
                (StreamIndex::new(0), Second(0), &none),
                (StreamIndex::new(1), Second(0), &none),
            ],
        );
        let first = plan.pop(Second(600), None).unwrap();
        first
            .pieces(&[Second(100)])
            .into_iter()
            .for_each(|piece| plan.push(piece));
        let order: Vec<_> = drain(plan)
            .iter()
            .map(|job| (job.stream == first.stream, job.range.from().0))
            .collect();
        assert_eq!(order, [(true, 100), (false, 0), (true, 0)]);
    }

    #[test]
    fn polls_and_backfill_share_the_requests_equally() {
        let sealed = runs(&[(5000, 5100)]);
        let streams: Vec<_> = (0..40)
            .map(|stream| (StreamIndex::new(stream), Second(0), &sealed))
            .collect();
        let mut plan = Plan::new(edges(None, 5200), TailScheduler::default(), streams);
        let mut order = Vec::new();
        while let Some(job) = plan.pop(Second(5200), None) {
            order.push(job.poll.is_some());
            plan.account_for(job, 10);
        }
        assert_eq!(
            order[..8],
            [true, false, true, true, true, true, true, false],
            "a window of ten requests for five looks"
        );
        assert_eq!(order.iter().filter(|look| **look).count(), 40);
    }

    #[test]
    fn history_that_begins_to_expire_during_a_pass_precedes_the_tail() {
        let none = Runs::default();
        let mut plan = Plan::new(
            edges(Some(0), 600),
            TailScheduler::default(),
            [(StreamIndex::new(0), Second(0), &none)],
        );
        let whole = plan.pop(Second(600), Some(Second(0))).unwrap();
        whole
            .pieces(&[Second(100), Second(200)])
            .into_iter()
            .for_each(|piece| plan.push(piece));
        let mut from = |horizon| {
            plan.pop(Second(600), Some(Second(horizon)))
                .map(|job| job.range.from().0)
        };
        assert_eq!(from(0), Some(0));
        assert_eq!(from(91), Some(100), "nine seconds from the horizon");
        assert_eq!(from(91), Some(200));
        assert_eq!(from(91), None);
    }

    #[test]
    fn polls_keep_their_minimum_share_while_history_expires() {
        let (none, sealed) = (Runs::default(), runs(&[(0, 590)]));
        let mut plan = Plan::new(
            edges(Some(0), 600),
            TailScheduler::default(),
            [
                (StreamIndex::new(0), Second(0), &none),
                (StreamIndex::new(1), Second(0), &sealed),
            ],
        );
        let whole = plan.pop(Second(600), Some(Second(0))).unwrap();
        let cuts: Vec<_> = (1..600).map(Second).collect();
        whole
            .pieces(&cuts)
            .into_iter()
            .for_each(|piece| plan.push(piece));
        let mut looks = Vec::new();
        for (n, horizon) in (0..600).enumerate() {
            let job = plan.pop(Second(600), Some(Second(horizon))).unwrap();
            if job.poll.is_some() {
                looks.push((n, job.stream.get()));
            }
            plan.account_for(job, 10);
        }
        assert_eq!(
            looks[..2],
            [(11, 0), (61, 1)],
            "two requests of a hundred; the live end has taken ten at once"
        );
        assert_eq!(plan.len(), 1);
    }

    #[test]
    fn ranges_that_would_expire_while_fetched_are_dropped() {
        let none = Runs::default();
        let mut plan = Plan::new(
            edges(Some(100), 600),
            TailScheduler::default(),
            [(StreamIndex::new(0), Second(0), &none)],
        );
        let first = plan.pop(Second(600), Some(Second(100))).unwrap();
        assert_eq!(first.range.from(), Second(100), "as far as it reaches");
        plan.learn_lead(4.0, true);
        for range in first
            .range
            .split_at(&[Second(110), Second(120), Second(130)])
        {
            plan.push(Job {
                range,
                is_piece: true,
                poll: None,
                ..first
            });
        }
        let from = |plan: &mut Plan| {
            let job = plan.pop(Second(613), Some(Second(113)));
            job.map(|job| (job.range.from().0, job.range.to().0))
        };
        assert_eq!(
            from(&mut plan),
            Some((114, 130)),
            "the horizon is at 113, 5 s may pass, and a job takes 6 s"
        );
        assert_eq!(from(&mut plan), Some((130, 600)));
    }

    #[test]
    fn rest_of_an_expiring_piece_is_joined_with_the_next() {
        let none = Runs::default();
        let order = |horizon| {
            let streams = [
                (StreamIndex::new(0), Second(0), &none),
                (StreamIndex::new(1), Second(0), &none),
            ];
            let mut plan = Plan::new(edges(Some(0), 600), TailScheduler::default(), streams);
            let whole = [
                plan.pop(Second(600), None).unwrap(),
                plan.pop(Second(600), None).unwrap(),
            ];
            for piece in whole
                .into_iter()
                .flat_map(|job| job.pieces(&[Second(200), Second(400)]))
            {
                plan.push(piece);
            }
            let jobs = std::iter::from_fn(move || plan.pop(Second(600), Some(Second(horizon))));
            let mut jobs: Vec<_> = jobs
                .filter(|job| job.stream.get() == 0)
                .map(|job| (job.range.from().0, job.range.to().0, job.poll.is_some()))
                .collect();
            jobs.sort_unstable();
            jobs
        };
        assert_eq!(
            order(5),
            [(0, 200, false), (200, 400, false), (400, 600, true)]
        );
        assert_eq!(order(6), [(1, 400, false), (400, 600, true)]);
        assert_eq!(order(155), [(150, 400, false), (400, 600, true)]);
        assert_eq!(order(255), [(250, 600, true)]);
        assert_eq!(order(355), [(350, 600, true)]);
    }

    proptest! {
        #[test]
        fn plan_covers_exactly_the_wanted_and_unsealed_seconds(
            sealed in prop::collection::vec((0i64..200, 1i64..30), 0..10),
            wanted_from in 0i64..100, horizon in prop::option::of(0i64..150), wanted_to in 50i64..220,
        ) {
            let sealed: Vec<_> = sealed.into_iter().map(|(from, len)| (from, from + len)).collect();
            let runs = runs(&sealed);
            let jobs = drain(Plan::new(edges(horizon, wanted_to), TailScheduler::default(), [(StreamIndex::new(0), Second(wanted_from), &runs)]));
            let work: Vec<i64> = jobs.iter().flat_map(|j| j.range.from().0..j.range.to().0).collect();
            let done: BTreeSet<i64> = sealed.iter().flat_map(|&(from, to)| from..to).collect();
            let from = wanted_from.max(horizon.unwrap_or(0));
            let expected: BTreeSet<i64> = (from..wanted_to).filter(|s| !done.contains(s)).collect();
            prop_assert_eq!(work.len(), expected.len(), "no second twice");
            prop_assert_eq!(work.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }
}
