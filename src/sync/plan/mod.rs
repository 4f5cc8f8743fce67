//! The plan of a pass: wanted minus sealed, the most urgent first. Pure.
//!
//! The order is: ranges to refetch, as they were given; history that is about to expire; the tails
//! ([`tails`]); the other missing history, the oldest first. Tails and missing history share the
//! requests (`credit.rs`); so do listed and discovered streams, since any user can cause the latter.

mod credit;
pub(super) mod job;
mod lead;
pub(super) mod tails;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use self::credit::TailCredit;
use self::job::{Job, KnownTimes, RefetchList, TailPoll};
use self::lead::HorizonLead;
use self::tails::TailScheduler;
use super::limits::EXPIRING_SHARE;
use crate::domain::frontier::Frontier;
use crate::domain::stream::StreamIndex;
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};

/// The work of a pass, in order.
#[derive(Debug)]
pub(in crate::sync) struct Plan {
    frontier: Frontier,
    /// True if history is wanted up to the present, which moves on during the pass.
    follows_now: bool,
    /// All jobs but tail polls, the most urgent first.
    queue: BTreeSet<QueuedJob>,
    /// The missing history of discovered streams.
    discovered_queue: BTreeSet<QueuedJob>,
    /// The discovered streams.
    discovered: HashSet<StreamIndex>,
    /// True if the last missing range was of a discovered stream.
    was_discovered: bool,
    /// The tail polls that are pieces of a larger range, or about to expire.
    queued_polls: BTreeSet<QueuedJob>,
    /// The other tails.
    scheduler: TailScheduler,
    tail_credit: TailCredit,
    lead: HorizonLead,
    /// Windows whose next part is to be read. They take turns with all other jobs.
    continuations: VecDeque<Job>,
    /// True if the last job was one of them.
    has_continued: bool,
    /// The archived times in the ranges that are refetched. `None` if the plan refetches nothing.
    known_times: Option<KnownTimes>,
}

/// A job in the queue. Jobs that refetch come first, in the given order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct QueuedJob {
    rank: usize,
    job: Job,
}

/// The rank of missing history.
const RANK_OF_MISSING: usize = usize::MAX;

/// The wanted history of a stream, and the sealed part of it.
#[derive(Clone, Copy, Debug)]
pub(in crate::sync) struct StreamHistory<'a> {
    pub(in crate::sync) stream: StreamIndex,
    pub(in crate::sync) wanted_from: Second,
    pub(in crate::sync) sealed: &'a Runs,
    /// True if the configuration does not list the stream.
    pub(in crate::sync) is_discovered: bool,
}

impl Plan {
    /// Plans the missing history of streams. `until` bounds the wanted history; without it,
    /// history is wanted up to the present.
    pub(in crate::sync) fn missing<'a>(
        frontier: Frontier,
        until: Option<Second>,
        mut scheduler: TailScheduler,
        streams: impl IntoIterator<Item = StreamHistory<'a>>,
    ) -> Self {
        scheduler.begin_pass(frontier.wanted_to.0 - frontier.settled_to.0);
        let mut plan = Self {
            follows_now: until.is_none(),
            ..Self::empty(frontier, scheduler)
        };
        for StreamHistory {
            stream,
            wanted_from,
            sealed,
            is_discovered,
        } in streams
        {
            if is_discovered {
                plan.discovered.insert(stream);
            }
            let from = frontier
                .horizon
                .map_or(wanted_from, |horizon| wanted_from.max(horizon));
            let Some(wanted) = Window::new(from, frontier.wanted_to) else {
                continue;
            };
            for gap in sealed.gaps_in(wanted) {
                plan.add_gap(stream, gap);
            }
        }
        plan
    }

    /// Plans ranges that are sealed already, in the given order.
    pub(super) fn refetching(frontier: Frontier, list: RefetchList) -> Self {
        let mut plan = Self::empty(frontier, TailScheduler::default());
        let jobs = list.jobs.into_iter().enumerate();
        plan.queue
            .extend(jobs.map(|(rank, job)| QueuedJob { rank, job }));
        plan.known_times = Some(list.known_times);
        plan.follows_now = true;
        plan
    }

    fn empty(frontier: Frontier, scheduler: TailScheduler) -> Self {
        Self {
            frontier,
            follows_now: false,
            queue: BTreeSet::new(),
            discovered_queue: BTreeSet::new(),
            discovered: HashSet::new(),
            was_discovered: false,
            queued_polls: BTreeSet::new(),
            scheduler,
            tail_credit: TailCredit::default(),
            lead: HorizonLead::default(),
            continuations: VecDeque::new(),
            has_continued: false,
            known_times: None,
        }
    }

    /// Plans a gap: as a tail if it ends at the present, as missing history else.
    fn add_gap(&mut self, stream: StreamIndex, gap: Window) {
        let is_tail = gap.to() == self.frontier.wanted_to;
        let is_expiring = self.is_expiring(gap.from());
        if is_tail {
            self.scheduler.follow(stream, gap.from());
        }
        if is_tail && is_expiring {
            self.scheduler.mark_in_flight(stream);
        }
        if !is_tail || is_expiring {
            let poll = is_tail.then_some(TailPoll::Seal);
            self.push(Job {
                stream,
                range: gap,
                is_piece: false,
                refetch: None,
                poll,
            });
        }
    }

    /// Adds a job.
    pub(in crate::sync) fn push(&mut self, job: Job) {
        self.queue_of(job).insert(QueuedJob {
            rank: RANK_OF_MISSING,
            job,
        });
    }

    /// Adds a window whose next part is to be read. A window without an end must not hold up the
    /// others.
    pub(in crate::sync) fn push_continuation(&mut self, job: Job) {
        self.continuations.push_back(job);
    }

    /// Takes the next job at this time of the provider, with the horizon as it is by now: every
    /// second one is a continuation, if there are any.
    pub(in crate::sync) fn pop(&mut self, now: Second, horizon: Option<Second>) -> Option<Job> {
        let is_turn = !std::mem::take(&mut self.has_continued);
        if is_turn && let Some(job) = self.continuations.pop_front() {
            self.has_continued = true;
            return Some(job);
        }
        let most_urgent = self.pop_most_urgent(now, horizon);
        most_urgent.or_else(|| self.continuations.pop_front())
    }

    /// Takes the most urgent job. Its range is clipped to what can still be fetched.
    fn pop_most_urgent(&mut self, now: Second, horizon: Option<Second>) -> Option<Job> {
        self.frontier.horizon = horizon;
        self.drop_expired();
        let may_poll = match self.most_urgent() {
            Some(QueuedJob { rank, .. }) if rank != RANK_OF_MISSING => false,
            Some(QueuedJob { job, .. }) if self.is_expiring(job.range.from()) => {
                self.tail_credit.covers_poll()
            }
            _ => {
                let has_other_work = self.has_missing();
                self.tail_credit.is_positive() || !has_other_work || !self.queued_polls.is_empty()
            }
        };
        let poll = if may_poll { self.next_poll(now) } else { None };
        poll.or_else(|| self.take_most_urgent())
    }

    /// Drops jobs that have expired, or will before they are fetched.
    fn drop_expired(&mut self) {
        let Some(fetchable_from) = self.fetchable_from() else {
            return;
        };
        for queue in [
            &mut self.queue,
            &mut self.discovered_queue,
            &mut self.queued_polls,
        ] {
            while let Some(first) = queue.first().copied()
                && first.job.range.to() <= fetchable_from
            {
                queue.remove(&first);
                if first.job.poll.is_some() {
                    self.scheduler.drop_stream(first.job.stream);
                }
            }
        }
    }

    /// Returns the queued job that is to be refetched, or else begins first. Listed and discovered
    /// streams take turns, unless history is about to expire.
    fn most_urgent(&self) -> Option<QueuedJob> {
        let queued = self.queue.first().into_iter();
        let listed = queued.chain(self.queued_polls.first()).min();
        let discovered = self.discovered_queue.first();
        let (Some(listed), Some(discovered)) = (listed, discovered) else {
            return listed.or(discovered).copied();
        };
        let first = listed.min(discovered);
        let is_urgent = first.rank != RANK_OF_MISSING || self.is_expiring(first.job.range.from());
        Some(match (is_urgent, self.was_discovered) {
            (true, _) => *first,
            (false, true) => *listed,
            (false, false) => *discovered,
        })
    }

    fn take_most_urgent(&mut self) -> Option<Job> {
        let first = self.most_urgent()?;
        self.was_discovered = self.discovered_queue.contains(&first);
        self.queue_of(first.job).remove(&first);
        Some(self.clip_to_fetchable(first.job))
    }

    fn queue_of(&mut self, job: Job) -> &mut BTreeSet<QueuedJob> {
        if job.poll.is_some() {
            &mut self.queued_polls
        } else if self.discovered.contains(&job.stream) {
            &mut self.discovered_queue
        } else {
            &mut self.queue
        }
    }

    /// True if history is missing beside the tails.
    fn has_missing(&self) -> bool {
        !self.queue.is_empty() || !self.discovered_queue.is_empty()
    }

    /// Takes the tail poll that is due next.
    fn next_poll(&mut self, now: Second) -> Option<Job> {
        if let Some(poll) = self.queued_polls.pop_first() {
            return Some(self.clip_to_fetchable(poll.job));
        }
        let wanted_to = self.frontier.wanted_to;
        let to = if self.follows_now {
            now.max(wanted_to)
        } else {
            wanted_to
        };
        let job = self.scheduler.next_poll(to)?;
        if self.has_missing() {
            self.tail_credit.pay_for_poll();
        }
        Some(job)
    }

    /// Clips a job to the part that can still be fetched.
    fn clip_to_fetchable(&mut self, whole: Job) -> Job {
        let clipped = self
            .fetchable_from()
            .and_then(|from| whole.range.starting_at(from));
        let job = Job {
            range: clipped.unwrap_or(whole.range),
            ..whole
        };
        let is_clipped_piece = job.range != whole.range && job.is_piece && job.refetch.is_none();
        if is_clipped_piece {
            self.join_with_next(job)
        } else {
            job
        }
    }

    /// Joins the rest of a clipped piece with the next piece, if that is queued. Alone, the rest
    /// would cost as many counts and half-empty pages as a whole piece.
    fn join_with_next(&mut self, job: Job) -> Job {
        let follows = |next: &&QueuedJob| {
            next.job.stream == job.stream
                && next.job.range.from() == job.range.to()
                && next.job.is_piece
                && next.job.refetch.is_none()
        };
        for queue in [
            &mut self.queue,
            &mut self.discovered_queue,
            &mut self.queued_polls,
        ] {
            if let Some(next) = queue.iter().find(follows).copied() {
                queue.remove(&next);
                return Job {
                    range: job.range.hull(next.job.range),
                    poll: next.job.poll,
                    ..job
                };
            }
        }
        job
    }

    /// Returns the time from which on history will still be there when it is fetched.
    fn fetchable_from(&self) -> Option<Second> {
        Some(self.lead.fetchable_from(self.frontier.horizon?))
    }

    /// Learns from a job near the horizon how long a job takes, in seconds, and whether the horizon
    /// has overtaken it.
    pub(in crate::sync) fn learn_lead(&mut self, took_s: f64, was_overtaken: bool) {
        self.lead.learn(took_s, was_overtaken);
    }

    /// Accounts for the requests that a job has cost.
    pub(in crate::sync) fn account_for(&mut self, job: Job, requests: u64) {
        let first = self.most_urgent();
        let is_pressed = first.is_some_and(|first| self.is_expiring(first.job.range.from()));
        self.tail_credit.settle(job, requests, is_pressed);
    }

    /// Records a committed poll with this many new messages. `unsealed_from` is the start of the
    /// tail by now; `None` if it is the same.
    pub(super) fn record_poll(&mut self, job: Job, unsealed_from: Option<Second>, new: u64) {
        self.scheduler.record_poll(job, unsealed_from, new);
    }

    /// Records a peek that found more than one window: the next poll of the stream is to seal.
    pub(super) fn reset_poll(&mut self, stream: StreamIndex) {
        self.scheduler.reset_poll(stream);
    }

    /// Returns the end of the wanted history. `None` if it is wanted up to the present.
    pub(super) fn until(&self) -> Option<Second> {
        (!self.follows_now).then_some(self.frontier.wanted_to)
    }

    /// True if the plan refetches history that was sealed before.
    pub(super) fn is_refetch(&self) -> bool {
        self.known_times.is_some()
    }

    /// Takes the archived times, in order, of the range of a ledger row that is refetched.
    pub(super) fn take_known_times(
        &mut self,
        stream: StreamIndex,
        row: Window,
    ) -> Option<Vec<Millis>> {
        self.known_times.as_mut()?.remove(&(stream, row))
    }

    /// Returns what is known of the streams' arrival rates, for the next plan.
    pub(in crate::sync) fn into_scheduler(self) -> TailScheduler {
        self.scheduler
    }

    /// Drops the work of a stream; it is left to another pass.
    pub(in crate::sync) fn drop_stream(&mut self, stream: StreamIndex) {
        for queue in [
            &mut self.queue,
            &mut self.discovered_queue,
            &mut self.queued_polls,
        ] {
            queue.retain(|queued| queued.job.stream != stream);
        }
        self.continuations.retain(|job| job.stream != stream);
        self.scheduler.drop_stream(stream);
    }

    /// Drops all work; it is left to another pass.
    pub(in crate::sync) fn clear(&mut self) {
        self.queue.clear();
        self.discovered_queue.clear();
        self.queued_polls.clear();
        self.continuations.clear();
        self.scheduler.clear();
    }

    /// Returns the number of jobs. Repeated polls are not counted: a pass may end while only those
    /// remain.
    pub(in crate::sync) fn len(&self) -> usize {
        let missing = self.queue.len() + self.discovered_queue.len();
        let queued = missing + self.queued_polls.len() + self.continuations.len();
        queued + self.scheduler.unpolled()
    }

    pub(in crate::sync) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if history that begins at this time is about to expire.
    pub(in crate::sync) fn is_expiring(&self, from: Second) -> bool {
        let retention = self.frontier.retention.unwrap_or(Duration::ZERO);
        let soon_s = i64::try_from((retention / EXPIRING_SHARE).as_secs()).unwrap_or(i64::MAX);
        self.frontier
            .horizon
            .is_some_and(|horizon| from < horizon.plus(soon_s))
    }
}
