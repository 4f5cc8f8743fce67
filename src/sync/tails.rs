//! The live ends of streams, and which of them to look at next. Pure.
//!
//! A message grows older until it is archived. Of a stream that brings `r` messages a second and was last looked at `t`
//! seconds ago, `r t` messages are waiting, `t / 2` old in the mean: a look is worth `r t²`. The look that is worth most
//! for its price goes first. It comes to looking at each stream in intervals like `1 / √r`, the least mean age that the
//! budget allows; and as `t²` grows without bound, the most silent stream has its turn, too.

use super::plan::{Job, TailPoll};
use crate::domain::stream::StreamIndex;
use crate::domain::time::Second;
use crate::domain::window::Window;

/// What a stream is taken to bring of which nothing is known: so many messages …
const PRIOR_MESSAGES: f64 = 0.1;
/// … in so many seconds.
const PRIOR_S: f64 = 60.0;
/// What is left of earlier looks when another has been made.
const DECAY: f64 = 0.7;
/// How often looks must have brought something lately for a read to be worth it without asking first: a count costs one
/// request, a query and its read two, and after a count that found something they are due all the same.
const BUSY_HIT_SHARE: f64 = 0.5;
/// While a pass has other work, a stream is looked at again after so long …
const REPOLL_S: i64 = 60;
/// … or after so long, if a message is expected.
const MIN_REPOLL_S: i64 = 10;
/// How far a look that seals nothing goes back behind the one before: what is shown a little late need not wait for the
/// look that seals.
const PEEK_OVERLAP_S: i64 = 5;

/// How often a stream has something new.
#[derive(Clone, Copy, Debug)]
pub struct ArrivalRate {
    /// Messages that came lately, and in how many seconds.
    messages: f64,
    seconds: f64,
    /// The share of looks that brought something.
    hits: f64,
}

impl Default for ArrivalRate {
    fn default() -> Self {
        Self {
            messages: 0.0,
            seconds: 0.0,
            hits: 0.0,
        }
    }
}

impl ArrivalRate {
    /// A look has brought so many new messages of so many seconds.
    pub fn observe(&mut self, new: u64, seconds: u64) {
        self.messages = self.messages * DECAY + new as f64;
        self.seconds = self.seconds * DECAY + seconds as f64;
        self.hits = self.hits * DECAY + f64::from(u8::from(new > 0)) * (1.0 - DECAY);
    }

    /// Messages a second.
    pub fn rate(&self) -> f64 {
        (self.messages + PRIOR_MESSAGES) / (self.seconds + PRIOR_S)
    }

    fn is_busy(&self) -> bool {
        self.hits > BUSY_HIT_SHARE
    }

    /// What a look costs in requests, in the mean.
    pub fn poll_cost(&self) -> f64 {
        if self.is_busy() {
            2.0
        } else {
            1.0 + 2.0 * self.hits
        }
    }

    /// What a look is worth after so many seconds, for its price.
    pub fn poll_benefit(&self, seconds: f64) -> f64 {
        self.rate() * seconds * seconds / self.poll_cost()
    }
}

/// The end of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Tail {
    arrivals: ArrivalRate,
    /// Where its unsealed end begins; nothing while it is not to be looked at.
    unsealed_from: Option<Second>,
    /// Up to when it has been looked at.
    polled_to: Second,
    /// Whether it has been looked at in this pass.
    is_polled: bool,
    /// Whether a look is under way.
    is_poll_in_flight: bool,
}

/// The ends of an account's streams, by position. What is known of their rhythm outlasts a pass.
#[derive(Debug, Default)]
pub struct TailScheduler {
    tails: Vec<Tail>,
    /// How long an end may become before a look seals what has settled of it, in seconds.
    max_unsealed_s: i64,
}

impl TailScheduler {
    /// Begins a pass in which nothing is to be looked at yet, where messages settle after so many seconds.
    pub fn begin_pass(&mut self, settle_s: i64) {
        self.max_unsealed_s = 2 * settle_s;
        for end in &mut self.tails {
            *end = Tail {
                arrivals: end.arrivals,
                polled_to: end.polled_to,
                ..Tail::default()
            };
        }
    }

    /// The end of a stream, of which nothing is sealed from `from` on, is to be looked at.
    pub fn follow(&mut self, stream: StreamIndex, from: Second) {
        if self.tails.len() <= stream.get() {
            self.tails.resize(stream.get() + 1, Tail::default());
        }
        let end = &mut self.tails[stream.get()];
        (end.unsealed_from, end.polled_to) = (Some(from), end.polled_to.max(from));
    }

    /// A look at a stream was begun elsewhere.
    pub(super) fn mark_in_flight(&mut self, stream: StreamIndex) {
        if let Some(end) = self.tails.get_mut(stream.get()) {
            end.is_poll_in_flight = true;
        }
    }

    /// How many streams have not been looked at in this pass.
    pub(super) fn unpolled(&self) -> usize {
        self.tails
            .iter()
            .filter(|end| end.unsealed_from.is_some() && !end.is_polled && !end.is_poll_in_flight)
            .count()
    }

    /// The look that is worth most. `to` is up to where history is wanted by now.
    pub fn next_poll(&mut self, to: Second) -> Option<Job> {
        let age = |end: &Tail| to.0 - end.polled_to.0;
        let is_due = |end: &Tail| {
            let again = age(end) >= REPOLL_S
                || age(end) >= MIN_REPOLL_S && end.arrivals.rate() * age(end) as f64 >= 1.0;
            end.unsealed_from.is_some_and(|from| from < to)
                && !end.is_poll_in_flight
                && (!end.is_polled || again)
        };
        let worth = |end: &Tail| end.arrivals.poll_benefit(age(end).max(1) as f64);
        let due = self.tails.iter().enumerate().filter(|(_, end)| is_due(end));
        let (stream, _) = due.max_by(|(_, a), (_, b)| worth(a).total_cmp(&worth(b)))?;
        let end = &mut self.tails[stream];
        let from = end.unsealed_from?;
        let is_short = to.0 - from.0 < self.max_unsealed_s;
        let look = if end.is_polled && end.arrivals.is_busy() && is_short {
            TailPoll::Peek
        } else {
            TailPoll::Seal
        };
        let from = if look == TailPoll::Peek {
            end.polled_to.plus(-PEEK_OVERLAP_S).max(from)
        } else {
            from
        };
        let range = Window::new(from, to)?;
        end.is_poll_in_flight = true;
        Some(Job {
            stream: StreamIndex::new(stream),
            range,
            is_piece: false,
            refetch: None,
            poll: Some(look),
        })
    }

    /// A look has been committed, and brought so many new messages; nothing is sealed from `from` on.
    pub fn record_poll(&mut self, job: Job, from: Option<Second>, new: u64) {
        let Some(end) = self.tails.get_mut(job.stream.get()) else {
            return;
        };
        let to = job.range.to();
        end.arrivals
            .observe(new, (to.0 - end.polled_to.0).unsigned_abs());
        end.polled_to = end.polled_to.max(to);
        (end.is_poll_in_flight, end.is_polled) = (false, true);
        end.unsealed_from = end.unsealed_from.map(|before| from.unwrap_or(before));
    }

    /// A look has found too much to be one: the next is to seal.
    pub(super) fn reset_poll(&mut self, stream: StreamIndex) {
        if let Some(end) = self.tails.get_mut(stream.get()) {
            (end.is_poll_in_flight, end.is_polled) = (false, false);
        }
    }

    /// Leaves a stream for another pass.
    pub(super) fn drop_stream(&mut self, stream: StreamIndex) {
        if let Some(end) = self.tails.get_mut(stream.get()) {
            end.unsealed_from = None;
        }
    }

    /// Leaves a stream for another pass whose look has come to nothing.
    pub(super) fn drop_polled(&mut self, stream: StreamIndex, look: Option<TailPoll>) {
        if look.is_some() {
            self.drop_stream(stream);
        }
    }

    /// Leaves all streams for another pass.
    pub(super) fn clear(&mut self) {
        self.tails
            .iter_mut()
            .for_each(|end| end.unsealed_from = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(streams: usize) -> TailScheduler {
        let mut live = TailScheduler::default();
        live.begin_pass(120);
        (0..streams).for_each(|stream| live.follow(StreamIndex::new(stream), Second(1000)));
        live
    }

    #[test]
    fn every_stream_is_polled_once_and_busy_ones_again() {
        let mut live = live(3);
        let mut looks = Vec::new();
        while let Some(job) = live.next_poll(Second(1060)) {
            looks.push(job.stream.get());
            live.record_poll(job, None, if job.stream.get() == 1 { 30 } else { 0 });
        }
        looks.sort_unstable();
        assert_eq!((looks, live.unpolled()), (vec![0, 1, 2], 0));
        assert_eq!(
            live.next_poll(Second(1069)).map(|job| job.stream.get()),
            None,
            "too soon for any"
        );
        assert_eq!(
            live.next_poll(Second(1070)).map(|job| job.stream.get()),
            Some(1)
        );
        assert_eq!(
            live.next_poll(Second(1119)).map(|job| job.stream.get()),
            None,
            "the look is under way, the others can wait"
        );
        assert!(
            live.next_poll(Second(1120))
                .is_some_and(|job| job.stream.get() != 1)
        );
    }

    #[test]
    fn busy_stream_is_peeked_and_sealed_at_intervals() {
        let mut live = live(1);
        let mut now = 1060;
        let mut looks = Vec::new();
        while now < 1400 {
            if let Some(job) = live.next_poll(Second(now)) {
                looks.push(job.poll);
                // What is older than settle is sealed by a full look.
                let sealed = job.poll == Some(TailPoll::Seal) && now - 120 > 1000;
                live.record_poll(job, sealed.then_some(Second(now - 120)), 10);
            }
            now += 10;
        }
        assert_eq!(
            looks[..2],
            [Some(TailPoll::Seal); 2],
            "it is not known to be lively yet"
        );
        let full = looks
            .iter()
            .filter(|look| **look == Some(TailPoll::Seal))
            .count();
        assert!((4..=6).contains(&full), "{looks:?}");
    }

    #[test]
    fn dropped_streams_are_not_polled() {
        let mut live = live(2);
        live.drop_stream(StreamIndex::new(0));
        assert_eq!(
            live.next_poll(Second(1060)).map(|job| job.stream.get()),
            Some(1)
        );
        live.reset_poll(StreamIndex::new(1));
        assert_eq!(live.unpolled(), 1);
        live.clear();
        assert_eq!((live.unpolled(), live.next_poll(Second(2000))), (0, None));
    }
}
