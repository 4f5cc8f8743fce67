//! Ten thousand streams of which few are busy, in virtual time: how old a message is when it is archived, with the
//! looks in the engine's order and with those of one that looks at each stream in turn.
//!
//! The order is the engine's own ([`Live`]); the provider is one that answers a look at once, whose requests are
//! counted and spent at the quota. Both orders are shown the same messages.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{PAGE_MESSAGES, QUOTA, REQUESTS_A_PAGE};
use crate::domain::stream::StreamIndex;
use crate::domain::time::Second;
use crate::domain::window::Window;
use crate::sync::plan::job::{Job, TailPoll};
use crate::sync::plan::tails::TailScheduler;

/// How many streams there are, of which one in a hundred is busy.
pub(super) const STREAMS: usize = 10_000;
const BUSY_ONE_IN: usize = 100;
/// What the busy ones bring together, in messages a second: of the k-th, a k-th of what the first brings (Zipf's law).
const BUSY_RATE: f64 = 5.0;
/// What each of the others brings: a message in two days.
const SILENT_RATE: f64 = 0.5 / 86_400.0;
/// As in a pass of the engine, which is then begun anew.
const PASS_S: f64 = 600.0;
/// The age at which messages settle.
const SETTLE_S: i64 = 120;
/// For how long it is looked what comes of an order, after a fourth of that time in which nothing counts: in the beginning
/// nothing is known of the streams.
pub(super) const HOURS: f64 = 4.0;

/// In which order streams are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PollOrder {
    Engine,
    InTurn,
}

/// What came of an order.
#[derive(Clone, Copy, Debug)]
pub(super) struct ArchiveAges {
    /// How old a message was when it was archived, in the mean, in seconds.
    pub(super) mean_s: f64,
    /// How long the stream that was looked at least often had to wait for a look, in seconds.
    pub(super) worst_s: f64,
    messages: u64,
    hours: f64,
    /// How long it took to choose, in real time.
    chose: Duration,
}

/// A stream as its provider has it, and what is archived of it.
#[derive(Debug)]
struct SimulatedStream {
    /// Messages a second.
    rate: f64,
    random: fastrand::Rng,
    next: f64,
    /// When the messages were sent that are not sealed yet.
    unsealed: VecDeque<f64>,
    /// Up to here it is sealed, and has been looked at.
    sealed: i64,
    seen: i64,
    looked_at: f64,
}

impl SimulatedStream {
    fn new(number: usize, busy: usize, harmonic: f64) -> Self {
        let rate = if number < busy {
            BUSY_RATE / harmonic / (number + 1) as f64
        } else {
            SILENT_RATE
        };
        let mut random = fastrand::Rng::with_seed(number as u64);
        let next = interval_to_next(rate, &mut random);
        Self {
            rate,
            random,
            next,
            unsealed: VecDeque::new(),
            sealed: 0,
            seen: 0,
            looked_at: 0.0,
        }
    }

    /// Lets it bring what it has by then.
    fn advance(&mut self, to: Second) {
        while self.next < to.0 as f64 {
            self.unsealed.push_back(self.next);
            self.next += interval_to_next(self.rate, &mut self.random);
        }
    }

    fn seal(&mut self, to: i64) {
        self.sealed = self.sealed.max(to);
        while self
            .unsealed
            .front()
            .is_some_and(|sent| *sent < self.sealed as f64)
        {
            self.unsealed.pop_front();
        }
    }
}

/// The time until the next message, where messages come by chance (a Poisson process).
fn interval_to_next(rate: f64, random: &mut fastrand::Rng) -> f64 {
    -(1.0 - random.f64()).ln() / rate
}

/// Looks at so many streams for some hours.
pub(super) fn measure_ages(order: PollOrder, streams: usize, hours: f64) -> ArchiveAges {
    Simulation::new(order, streams, hours).ages()
}

struct Simulation {
    order: PollOrder,
    streams: Vec<SimulatedStream>,
    live: TailScheduler,
    turn: usize,
    hours: f64,
    now: f64,
    pass_ends: f64,
    chose: Duration,
    age_s: f64,
    messages: u64,
    worst_s: f64,
}

impl Simulation {
    fn new(order: PollOrder, streams: usize, hours: f64) -> Self {
        let busy = (streams / BUSY_ONE_IN).max(1);
        let harmonic: f64 = (1..=busy).map(|k| 1.0 / k as f64).sum();
        Self {
            order,
            streams: (0..streams)
                .map(|number| SimulatedStream::new(number, busy, harmonic))
                .collect(),
            live: TailScheduler::default(),
            turn: 0,
            hours,
            now: 1.0,
            pass_ends: 0.0,
            chose: Duration::ZERO,
            age_s: 0.0,
            messages: 0,
            worst_s: 0.0,
        }
    }

    fn ages(mut self) -> ArchiveAges {
        while self.now < self.warm_s() + self.hours * 3600.0 {
            match self.next() {
                Some(job) => self.poll(job),
                // Nothing is due: the quota is not needed.
                None => self.now += 1.0 / f64::from(QUOTA),
            }
        }
        let last = self
            .streams
            .iter()
            .map(|stream| self.now - stream.looked_at)
            .fold(self.worst_s, f64::max);
        ArchiveAges {
            mean_s: self.age_s / self.messages.max(1) as f64,
            worst_s: last,
            messages: self.messages,
            hours: self.hours,
            chose: self.chose,
        }
    }

    fn warm_s(&self) -> f64 {
        self.hours * 900.0
    }

    fn next(&mut self) -> Option<Job> {
        let to = Second(self.now as i64);
        if self.order == PollOrder::InTurn {
            let stream = self.turn;
            self.turn = (stream + 1) % self.streams.len();
            let range = Window::new(Second(self.streams[stream].sealed), to)?;
            return Some(Job {
                stream: StreamIndex::new(stream),
                range,
                is_piece: false,
                refetch: None,
                poll: Some(TailPoll::Seal),
            });
        }
        let begun = Instant::now();
        if self.now >= self.pass_ends {
            self.pass_ends = self.now + PASS_S;
            self.live.begin_pass(SETTLE_S);
            for (number, stream) in StreamIndex::enumerate(&self.streams) {
                self.live.follow(number, Second(stream.sealed));
            }
        }
        let job = self.live.next_poll(to);
        self.chose += begun.elapsed();
        job
    }

    /// Spends what a look costs, and archives what it brings.
    fn poll(&mut self, job: Job) {
        let Job {
            stream: number,
            range,
            ..
        } = job;
        let is_peek = job.poll == Some(TailPoll::Peek);
        let warm_s = self.warm_s();
        let stream = &mut self.streams[number.get()];
        stream.advance(range.to());
        let within = stream
            .unsealed
            .iter()
            .filter(|sent| **sent >= range.from().0 as f64)
            .count() as u32;
        let pages = if is_peek {
            within.div_ceil(PAGE_MESSAGES).max(1)
        } else {
            within.div_ceil(PAGE_MESSAGES)
        };
        let requests = u32::from(!is_peek) + pages * REQUESTS_A_PAGE;
        self.now += f64::from(requests) / f64::from(QUOTA);
        let is_warm = self.now >= warm_s;
        let mut new = 0;
        for sent in stream
            .unsealed
            .iter()
            .filter(|sent| **sent >= stream.seen as f64)
        {
            new += 1;
            if is_warm {
                self.age_s += self.now - sent;
                self.messages += 1;
            }
        }
        stream.seen = range.to().0;
        if is_warm {
            self.worst_s = self.worst_s.max(self.now - stream.looked_at);
        }
        stream.looked_at = self.now;
        let sealed = (!is_peek).then(|| {
            stream.seal(range.to().0 - SETTLE_S);
            Second(stream.sealed)
        });
        if self.order == PollOrder::Engine {
            self.live.record_poll(job, sealed, new);
        }
    }
}

impl ArchiveAges {
    /// Messages that were archived in an hour.
    pub(super) fn hourly(&self) -> u64 {
        (self.messages as f64 / self.hours) as u64
    }

    /// Seconds of processor time that choosing takes in a second of the virtual time.
    pub(super) fn processor(&self) -> f64 {
        self.chose.as_secs_f64() / (self.hours * 4500.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_archive_the_same_messages_and_the_engines_archives_them_sooner() {
        let [engine, in_turn] =
            [PollOrder::Engine, PollOrder::InTurn].map(|order| measure_ages(order, 300, 1.0));
        assert!(
            engine.messages > 10_000
                && engine.messages.abs_diff(in_turn.messages) * 20 < engine.messages
        );
        assert!(engine.mean_s < in_turn.mean_s, "{engine:?} {in_turn:?}");
        // In turn, a stream waits for a request to each of the others, and for what the busy ones cost.
        assert!((30.0..300.0).contains(&in_turn.worst_s), "{in_turn:?}");
    }
}
