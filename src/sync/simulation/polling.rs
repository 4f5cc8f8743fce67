//! Ten thousand streams, of which few are busy: the age of a message when it is archived, with
//! polls in the engine's order and with polls of each stream in turn.
//!
//! Both orders get the same messages.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{PAGE_MESSAGES, REQUESTS_PER_PAGE, REQUESTS_PER_SECOND};
use crate::domain::stream::StreamIndex;
use crate::domain::time::Second;
use crate::domain::window::Window;
use crate::sync::limits::MAX_PASS;
use crate::sync::plan::job::{Job, TailPoll};
use crate::sync::plan::tails::TailScheduler;

/// The number of streams in the benchmark.
pub const STREAMS: usize = 10_000;
/// The hours of virtual time that the benchmark measures. A quarter of that time passes before: at
/// first the scheduler knows nothing about the streams.
pub const HOURS: f64 = 4.0;

/// One stream in this many is busy.
const BUSY_ONE_IN: usize = 100;
/// The messages per second of all busy streams. The k-th has a k-th of the first's (Zipf's law).
const BUSY_RATE: f64 = 5.0;
/// The messages per second of each other stream: one in two days.
const SILENT_RATE: f64 = 0.5 / 86_400.0;
/// The settle age.
const SETTLE_S: i64 = 120;

/// The order in which streams are polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollOrder {
    /// The order of the engine.
    Engine,
    /// Each stream in turn.
    InTurn,
}

/// The result of an order.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveAges {
    /// The mean age of a message when it was archived, in seconds.
    pub mean_s: f64,
    /// The longest time between two polls of the same stream, in seconds.
    pub worst_s: f64,
    messages: u64,
    hours: f64,
    /// The real time spent on choosing the next poll.
    chose: Duration,
}

/// A stream at its provider, and the part of it that is archived.
#[derive(Debug)]
struct SimulatedStream {
    /// Messages per second.
    rate: f64,
    random: fastrand::Rng,
    /// When the next message will be sent.
    next: f64,
    /// The send times of the messages that are not sealed yet.
    unsealed: VecDeque<f64>,
    /// The stream is sealed up to this second.
    sealed: i64,
    /// The stream has been polled up to this second.
    seen: i64,
    polled_at: f64,
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
        let unsealed = VecDeque::new();
        Self {
            rate,
            random,
            next,
            unsealed,
            sealed: 0,
            seen: 0,
            polled_at: 0.0,
        }
    }

    /// Sends the messages up to a second.
    fn advance(&mut self, to: Second) {
        while self.next < to.0 as f64 {
            self.unsealed.push_back(self.next);
            self.next += interval_to_next(self.rate, &mut self.random);
        }
    }

    fn seal(&mut self, to: i64) {
        self.sealed = self.sealed.max(to);
        let sealed = self.sealed as f64;
        while self.unsealed.front().is_some_and(|sent| *sent < sealed) {
            self.unsealed.pop_front();
        }
    }

    fn unsealed_since(&self, from: i64) -> impl Iterator<Item = f64> {
        self.unsealed
            .iter()
            .copied()
            .filter(move |sent| *sent >= from as f64)
    }
}

/// Returns the time until the next message of a Poisson process.
fn interval_to_next(rate: f64, random: &mut fastrand::Rng) -> f64 {
    -(1.0 - random.f64()).ln() / rate
}

/// Polls the streams for some hours of virtual time.
pub fn measure_ages(order: PollOrder, streams: usize, hours: f64) -> ArchiveAges {
    Simulation::new(order, streams, hours).ages()
}

struct Simulation {
    order: PollOrder,
    streams: Vec<SimulatedStream>,
    scheduler: TailScheduler,
    /// The next stream, if each is polled in turn.
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
        let streams = (0..streams).map(|number| SimulatedStream::new(number, busy, harmonic));
        Self {
            order,
            streams: streams.collect(),
            scheduler: TailScheduler::default(),
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
                // No poll is due. The slot for a request stays unused.
                None => self.now += 1.0 / f64::from(REQUESTS_PER_SECOND),
            }
        }
        let waits = self
            .streams
            .iter()
            .map(|stream| self.now - stream.polled_at);
        ArchiveAges {
            mean_s: self.age_s / self.messages.max(1) as f64,
            worst_s: waits.fold(self.worst_s, f64::max),
            messages: self.messages,
            hours: self.hours,
            chose: self.chose,
        }
    }

    /// Returns the time from which messages are measured.
    fn warm_s(&self) -> f64 {
        self.hours * 900.0
    }

    fn next(&mut self) -> Option<Job> {
        let to = Second(self.now as i64);
        if self.order == PollOrder::InTurn {
            return self.next_in_turn(to);
        }
        let begun = Instant::now();
        if self.now >= self.pass_ends {
            self.pass_ends = self.now + MAX_PASS.as_secs_f64();
            self.scheduler.begin_pass(SETTLE_S);
            for (number, stream) in StreamIndex::enumerate(&self.streams) {
                self.scheduler.follow(number, Second(stream.sealed));
            }
        }
        let job = self.scheduler.next_poll(to);
        self.chose += begun.elapsed();
        job
    }

    fn next_in_turn(&mut self, to: Second) -> Option<Job> {
        let stream = self.turn;
        self.turn = (stream + 1) % self.streams.len();
        let range = Window::new(Second(self.streams[stream].sealed), to)?;
        Some(Job {
            stream: StreamIndex::new(stream),
            range,
            is_piece: false,
            refetch: None,
            poll: Some(TailPoll::Seal),
        })
    }

    /// Spends the requests of a poll, and archives its messages.
    fn poll(&mut self, job: Job) {
        let range = job.range;
        let is_peek = job.poll == Some(TailPoll::Peek);
        let warm_s = self.warm_s();
        let stream = &mut self.streams[job.stream.get()];
        stream.advance(range.to());
        let within = stream.unsealed_since(range.from().0).count() as u32;
        self.now += f64::from(poll_requests(within, is_peek)) / f64::from(REQUESTS_PER_SECOND);
        let is_warm = self.now >= warm_s;
        let mut new = 0;
        for sent in stream.unsealed_since(stream.seen) {
            new += 1;
            if is_warm {
                self.age_s += self.now - sent;
                self.messages += 1;
            }
        }
        stream.seen = range.to().0;
        if is_warm {
            self.worst_s = self.worst_s.max(self.now - stream.polled_at);
        }
        stream.polled_at = self.now;
        let sealed = (!is_peek).then(|| {
            stream.seal(range.to().0 - SETTLE_S);
            Second(stream.sealed)
        });
        if self.order == PollOrder::Engine {
            self.scheduler.record_poll(job, sealed, new);
        }
    }
}

/// Returns the requests of a poll. A peek reads at least one page, and does not count first.
fn poll_requests(messages: u32, is_peek: bool) -> u32 {
    let pages = messages.div_ceil(PAGE_MESSAGES);
    if is_peek {
        pages.max(1) * REQUESTS_PER_PAGE
    } else {
        1 + pages * REQUESTS_PER_PAGE
    }
}

impl ArchiveAges {
    /// Returns the messages archived per hour.
    pub fn hourly(&self) -> u64 {
        (self.messages as f64 / self.hours) as u64
    }

    /// Returns the processor seconds spent on choosing polls, per second of virtual time.
    pub fn processor(&self) -> f64 {
        self.chose.as_secs_f64() / (self.hours * 4500.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_archive_the_same_messages_and_the_engine_archives_them_sooner() {
        let [engine, in_turn] =
            [PollOrder::Engine, PollOrder::InTurn].map(|order| measure_ages(order, 300, 1.0));
        assert!(
            engine.messages > 10_000
                && engine.messages.abs_diff(in_turn.messages) * 20 < engine.messages
        );
        assert!(engine.mean_s < in_turn.mean_s, "{engine:?} {in_turn:?}");
        // In turn, a stream waits for one request to each other stream, and for the pages of the
        // busy ones.
        assert!((30.0..300.0).contains(&in_turn.worst_s), "{in_turn:?}");
    }
}
