//! The tails of streams, and which of them to poll next. Pure.
//!
//! A message grows older until it is archived. If a stream brings `r` messages a second and was
//! last polled `t` seconds ago, `r t` messages are waiting, with a mean age of `t / 2`: the benefit
//! of a poll is `r t²`. The poll with the greatest benefit for its cost goes first. As a result,
//! each stream is polled at intervals proportional to `1 / √r`, which is the least mean age that
//! the rate limit allows; and since `t²` grows without bound, every quiet stream gets its turn.

use super::job::{Job, TailPoll};
use crate::domain::stream::StreamIndex;
use crate::domain::time::Second;
use crate::domain::window::Window;
use crate::sync::limits::{
    ARRIVAL_DECAY, BUSY_HIT_SHARE, MIN_REPOLL_S, PEEK_OVERLAP_S, PRIOR_MESSAGES, PRIOR_S, REPOLL_S,
};

/// The exponentially decayed rate at which a stream brings messages.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sync) struct ArrivalRate {
    /// The decayed number of messages, …
    messages: f64,
    /// … and the decayed number of seconds in which they came.
    seconds: f64,
    /// The decayed share of polls that found something.
    hits: f64,
}

impl ArrivalRate {
    /// Adds a poll that found this many new messages of this many seconds.
    pub(in crate::sync) fn observe(&mut self, new: u64, seconds: u64) {
        let hit = if new > 0 { 1.0 - ARRIVAL_DECAY } else { 0.0 };
        self.messages = self.messages * ARRIVAL_DECAY + new as f64;
        self.seconds = self.seconds * ARRIVAL_DECAY + seconds as f64;
        self.hits = self.hits * ARRIVAL_DECAY + hit;
    }

    /// Returns the expected messages per second. It is above 0 for every stream.
    pub(in crate::sync) fn per_second(&self) -> f64 {
        (self.messages + PRIOR_MESSAGES) / (self.seconds + PRIOR_S)
    }

    /// True if most polls find something: reading without counting first is then cheaper.
    fn is_busy(&self) -> bool {
        self.hits > BUSY_HIT_SHARE
    }

    /// Returns the mean cost of a poll, in requests.
    pub(in crate::sync) fn poll_cost(&self) -> f64 {
        if self.is_busy() {
            2.0
        } else {
            1.0 + 2.0 * self.hits
        }
    }

    /// Returns the benefit of a poll this many seconds after the last, relative to its cost.
    pub(in crate::sync) fn poll_benefit(&self, seconds: f64) -> f64 {
        self.per_second() * seconds * seconds / self.poll_cost()
    }
}

/// The tail of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Tail {
    arrivals: ArrivalRate,
    /// The start of the unsealed part. `None` if the tail is not to be polled in this pass.
    unsealed_from: Option<Second>,
    /// The end of the last poll.
    polled_to: Second,
    /// True if the tail was polled in this pass.
    is_polled: bool,
    is_poll_in_flight: bool,
}

impl Tail {
    fn seconds_since_poll(&self, now: Second) -> i64 {
        now.0 - self.polled_to.0
    }

    /// True if a poll of history up to `to` may start.
    fn is_due(&self, to: Second) -> bool {
        let has_history = self.unsealed_from.is_some_and(|from| from < to);
        has_history && !self.is_poll_in_flight && (!self.is_polled || self.is_repoll_due(to))
    }

    /// True if the last poll was long enough ago for another in the same pass.
    fn is_repoll_due(&self, to: Second) -> bool {
        let seconds = self.seconds_since_poll(to);
        let expects_message = self.arrivals.per_second() * seconds as f64 >= 1.0;
        seconds >= REPOLL_S || seconds >= MIN_REPOLL_S && expects_message
    }

    fn poll_benefit(&self, to: Second) -> f64 {
        self.arrivals
            .poll_benefit(self.seconds_since_poll(to).max(1) as f64)
    }
}

/// The tails of an account's streams, by index. The arrival rates outlast a pass.
#[derive(Debug, Default)]
pub(in crate::sync) struct TailScheduler {
    tails: Vec<Tail>,
    /// A tail longer than this, in seconds, is polled with a seal of its settled part.
    max_unsealed_s: i64,
}

impl TailScheduler {
    /// Begins a pass without tails. `settle_s` is the age, in seconds, at which messages settle.
    pub(in crate::sync) fn begin_pass(&mut self, settle_s: i64) {
        self.max_unsealed_s = 2 * settle_s;
        for tail in &mut self.tails {
            let Tail {
                arrivals,
                polled_to,
                ..
            } = *tail;
            *tail = Tail {
                arrivals,
                polled_to,
                ..Tail::default()
            };
        }
    }

    /// Adds the tail of a stream, of which nothing is sealed from `unsealed_from` on.
    pub(in crate::sync) fn follow(&mut self, stream: StreamIndex, unsealed_from: Second) {
        if self.tails.len() <= stream.get() {
            self.tails.resize(stream.get() + 1, Tail::default());
        }
        let tail = &mut self.tails[stream.get()];
        tail.unsealed_from = Some(unsealed_from);
        tail.polled_to = tail.polled_to.max(unsealed_from);
    }

    /// Marks a poll of the stream as in flight that was started elsewhere.
    pub(super) fn mark_in_flight(&mut self, stream: StreamIndex) {
        if let Some(tail) = self.tails.get_mut(stream.get()) {
            tail.is_poll_in_flight = true;
        }
    }

    /// Returns the number of streams that are still to be polled in this pass.
    pub(super) fn unpolled(&self) -> usize {
        let is_unpolled = |tail: &&Tail| {
            tail.unsealed_from.is_some() && !tail.is_polled && !tail.is_poll_in_flight
        };
        self.tails.iter().filter(is_unpolled).count()
    }

    /// Starts the poll with the greatest benefit. `to` is the end of the wanted history by now.
    /// `None` if no poll is due.
    pub(in crate::sync) fn next_poll(&mut self, to: Second) -> Option<Job> {
        let due = self
            .tails
            .iter()
            .enumerate()
            .filter(|(_, tail)| tail.is_due(to));
        let by_benefit = |(_, one): &(usize, &Tail), (_, other): &(usize, &Tail)| {
            one.poll_benefit(to).total_cmp(&other.poll_benefit(to))
        };
        let (index, _) = due.max_by(by_benefit)?;
        let tail = &mut self.tails[index];
        let unsealed_from = tail.unsealed_from?;
        let is_short = to.0 - unsealed_from.0 < self.max_unsealed_s;
        let (poll, from) = if tail.is_polled && tail.arrivals.is_busy() && is_short {
            (
                TailPoll::Peek,
                tail.polled_to.plus(-PEEK_OVERLAP_S).max(unsealed_from),
            )
        } else {
            (TailPoll::Seal, unsealed_from)
        };
        let range = Window::new(from, to)?;
        tail.is_poll_in_flight = true;
        let stream = StreamIndex::new(index);
        Some(Job {
            stream,
            range,
            is_piece: false,
            refetch: None,
            poll: Some(poll),
        })
    }

    /// Records a committed poll that brought this many new messages. `unsealed_from` is the start
    /// of the tail by now; `None` if it is the same.
    pub(in crate::sync) fn record_poll(
        &mut self,
        job: Job,
        unsealed_from: Option<Second>,
        new: u64,
    ) {
        let Some(tail) = self.tails.get_mut(job.stream.get()) else {
            return;
        };
        let to = job.range.to();
        tail.arrivals
            .observe(new, tail.seconds_since_poll(to).unsigned_abs());
        tail.polled_to = tail.polled_to.max(to);
        tail.is_poll_in_flight = false;
        tail.is_polled = true;
        // A dropped tail stays dropped.
        tail.unsealed_from = tail
            .unsealed_from
            .map(|before| unsealed_from.unwrap_or(before));
    }

    /// Records a peek that found more than one window: the next poll of the stream is to seal.
    pub(super) fn reset_poll(&mut self, stream: StreamIndex) {
        if let Some(tail) = self.tails.get_mut(stream.get()) {
            tail.is_poll_in_flight = false;
            tail.is_polled = false;
        }
    }

    /// Drops the tail of a stream; it is left to another pass.
    pub(super) fn drop_stream(&mut self, stream: StreamIndex) {
        if let Some(tail) = self.tails.get_mut(stream.get()) {
            tail.unsealed_from = None;
        }
    }

    /// Drops all tails; they are left to another pass.
    pub(super) fn clear(&mut self) {
        self.tails
            .iter_mut()
            .for_each(|tail| tail.unsealed_from = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheduler(streams: usize) -> TailScheduler {
        let mut scheduler = TailScheduler::default();
        scheduler.begin_pass(120);
        (0..streams).for_each(|stream| scheduler.follow(StreamIndex::new(stream), Second(1000)));
        scheduler
    }

    fn next_stream(scheduler: &mut TailScheduler, to: i64) -> Option<usize> {
        scheduler.next_poll(Second(to)).map(|job| job.stream.get())
    }

    #[test]
    fn every_stream_is_polled_once_and_busy_ones_again() {
        let mut scheduler = scheduler(3);
        let mut polled = Vec::new();
        while let Some(job) = scheduler.next_poll(Second(1060)) {
            polled.push(job.stream.get());
            scheduler.record_poll(job, None, if job.stream.get() == 1 { 30 } else { 0 });
        }
        polled.sort_unstable();
        assert_eq!((polled, scheduler.unpolled()), (vec![0, 1, 2], 0));
        assert_eq!(next_stream(&mut scheduler, 1069), None, "too soon for any");
        assert_eq!(next_stream(&mut scheduler, 1070), Some(1));
        let in_flight = "its poll is in flight, and the others can wait";
        assert_eq!(next_stream(&mut scheduler, 1119), None, "{in_flight}");
        assert!(next_stream(&mut scheduler, 1120).is_some_and(|stream| stream != 1));
    }

    #[test]
    fn busy_stream_is_peeked_and_sealed_at_intervals() {
        let mut scheduler = scheduler(1);
        let mut now = 1060;
        let mut polls = Vec::new();
        while now < 1400 {
            if let Some(job) = scheduler.next_poll(Second(now)) {
                polls.push(job.poll);
                // A sealing poll seals what is older than the settle age.
                let seals = job.poll == Some(TailPoll::Seal) && now - 120 > 1000;
                scheduler.record_poll(job, seals.then_some(Second(now - 120)), 10);
            }
            now += 10;
        }
        assert_eq!(
            polls[..2],
            [Some(TailPoll::Seal); 2],
            "it is not known to be busy yet"
        );
        let sealing = polls
            .iter()
            .filter(|poll| **poll == Some(TailPoll::Seal))
            .count();
        assert!((4..=6).contains(&sealing), "{polls:?}");
    }

    #[test]
    fn dropped_streams_are_not_polled() {
        let mut scheduler = scheduler(2);
        scheduler.drop_stream(StreamIndex::new(0));
        assert_eq!(next_stream(&mut scheduler, 1060), Some(1));
        scheduler.reset_poll(StreamIndex::new(1));
        assert_eq!(scheduler.unpolled(), 1);
        scheduler.clear();
        assert_eq!(
            (scheduler.unpolled(), next_stream(&mut scheduler, 2000)),
            (0, None)
        );
    }
}
