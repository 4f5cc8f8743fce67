//! The model of how a backlog is fetched, and how much of it expires before. Pure.
//!
//! Missing history is fetched from the oldest on, at a number of requests per second, while the
//! horizon moves on by one second per second. If a range takes more requests than fit into the time
//! until it expires, the horizon overtakes the work. From there on a share is lost, and the rest is
//! fetched just before it expires: no order of work could save more. Messages that are sent
//! meanwhile are left out, since they expire last.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::format::{counted, duration};
use crate::domain::stream::StreamIndex;
use crate::domain::time::Second;
use crate::domain::window::Window;

/// A missing range of a stream, and what is expected of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingRange {
    pub stream: StreamIndex,
    pub range: Window,
    pub messages: u64,
    pub requests: u64,
}

/// The conditions under which an account catches up.
#[derive(Clone, Copy, Debug)]
pub struct CatchUpConditions {
    /// The provider's time.
    pub now: Second,
    /// The time for which the provider keeps a message. `None` if it is not known to drop any.
    pub retention: Option<Duration>,
    /// Requests per second. `None` without a limit.
    pub rate: Option<f64>,
    /// The time before the first request.
    pub pause: Duration,
}

/// The outlook for the missing history of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BacklogOutlook {
    /// The number of streams with missing history.
    pub streams: usize,
    /// Missing seconds of the stream that misses most.
    pub max_missing_s: u64,
    /// Expected messages over all streams; a message that belongs to two is counted twice.
    pub messages: u64,
    pub requests: u64,
    /// The time until all of it is fetched or lost.
    pub duration: Duration,
    /// The time at which the oldest of it expires, unless it is fetched before.
    pub expires_at: Option<Second>,
    /// The time from which on messages will be lost. `None` if none will be.
    pub loss_begins: Option<Second>,
    /// The expected loss over all streams.
    pub loss: Loss,
    /// The expected loss of each range, in the given order.
    pub losses: Vec<Loss>,
}

/// An expected loss of history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Seconds of history, with messages or not. Where several streams lose the same time, it
    /// counts for each.
    pub seconds: u64,
    pub messages: u64,
}

impl std::ops::AddAssign for Loss {
    fn add_assign(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.messages += other.messages;
    }
}

impl BacklogOutlook {
    /// Computes the outlook for missing ranges.
    pub fn from_missing(missing: &[MissingRange], conditions: CatchUpConditions) -> Self {
        let CatchUpConditions {
            now,
            retention,
            rate,
            pause,
        } = conditions;
        let model = CatchUpModel::simulate(missing, conditions);
        let losses: Vec<Loss> = missing.iter().map(|range| model.loss(range, now)).collect();
        let mut loss = Loss::default();
        for of_range in &losses {
            loss += *of_range;
        }
        let mut missing_s: BTreeMap<StreamIndex, u64> = BTreeMap::new();
        for range in missing {
            *missing_s.entry(range.stream).or_default() += range.range.seconds();
        }
        let requests = missing.iter().map(|range| range.requests).sum();
        let unlimited = || pause + request_time(requests, rate);
        let first = missing.iter().map(|range| range.range.from()).min();
        let kept_s = retention.map(|kept| i64::try_from(kept.as_secs()).unwrap_or(i64::MAX));
        let loss_begins = model.overtaken_at.map(|at| now.plus(at as i64));
        Self {
            streams: missing_s.len(),
            max_missing_s: missing_s.into_values().max().unwrap_or(0),
            messages: missing.iter().map(|range| range.messages).sum(),
            requests,
            duration: if retention.is_some() {
                model.duration()
            } else {
                unlimited()
            },
            expires_at: first.zip(kept_s).map(|(first, kept_s)| first.plus(kept_s)),
            loss_begins: loss_begins.filter(|_| loss.messages > 0),
            loss,
            losses,
        }
    }

    /// Returns the sentence that announces the expected loss at this request rate. `None` if no
    /// messages will be lost.
    pub fn loss_sentence(&self, rate: Option<f64>) -> Option<String> {
        let begins = self.loss_begins?;
        let rate = match rate {
            Some(rate) => format!("at {rate:.3} requests a second "),
            None => String::new(),
        };
        let messages = counted(self.loss.messages, "message", "messages");
        let history = duration(self.loss.seconds);
        Some(format!(
            "{rate}about {messages} will expire at the provider before they can be \
             fetched, from {begins} on: {history} of history, over all streams"
        ))
    }
}

/// Returns the time that this many requests take. Zero without a limit.
pub fn request_time(requests: u64, rate: Option<f64>) -> Duration {
    let seconds = rate.map_or(0.0, |rate| requests as f64 / rate);
    // More than a duration can hold is as good as for ever.
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Returns the indexes of a sample of at most `max` out of `of` items, evenly spread.
pub fn sample_evenly(of: usize, max: usize) -> Vec<usize> {
    let sampled = of.min(max);
    (0..sampled).map(|n| n * of / sampled).collect()
}

/// Returns the messages in each range. A range that was not counted is taken to be as dense as one
/// of the counted ones, each in its turn. This keeps a few dense ranges among many empty ones as
/// frequent as they were among the counted.
pub fn fill_unsampled(ranges: &[Window], counted: &[Option<u64>]) -> Vec<u64> {
    let with_count = || {
        counted
            .iter()
            .zip(ranges)
            .filter_map(|(count, range)| Some(((*count)?, range.seconds())))
    };
    let mut samples = with_count().cycle();
    let mut estimate = |range: &Window| {
        let Some((count, seconds)) = samples.next() else {
            return 0;
        };
        let messages = u128::from(count) * u128::from(range.seconds()) / u128::from(seconds);
        u64::try_from(messages).unwrap_or(u64::MAX)
    };
    let counts = counted.iter().zip(ranges);
    counts
        .map(|(count, range)| count.unwrap_or_else(|| estimate(range)))
        .collect()
}

/// The work and the horizon behind it. All times are in seconds from now.
#[derive(Debug, Default)]
struct CatchUpModel {
    /// The time at which all is fetched or lost.
    ends_at: f64,
    /// The time at which the horizon first overtakes the work.
    overtaken_at: Option<f64>,
    lost: Vec<LossInterval>,
}

/// A time range of which a share is lost.
#[derive(Debug)]
struct LossInterval {
    from: f64,
    to: f64,
    share: f64,
    /// Seconds lost before this interval.
    lost_before: f64,
}

/// A time range in which the same ranges are missing throughout.
struct DensitySegment {
    from: f64,
    to: f64,
    /// Requests per second of history.
    density: f64,
}

impl CatchUpModel {
    fn simulate(missing: &[MissingRange], conditions: CatchUpConditions) -> Self {
        let CatchUpConditions {
            now,
            retention,
            rate,
            pause,
        } = conditions;
        let Some(retention) = retention else {
            return Self::default();
        };
        let retention = retention.as_secs_f64();
        let mut model = Self {
            ends_at: pause.as_secs_f64(),
            ..Self::default()
        };
        for segment in segments(missing, now) {
            model.work_through(&segment, retention, rate);
        }
        model
    }

    /// Works through the next segment, from the present end of the work on.
    fn work_through(&mut self, segment: &DensitySegment, retention: f64, rate: Option<f64>) {
        let DensitySegment { from, to, density } = *segment;
        let at = self.ends_at;
        let horizon = at - retention;
        let start = from.max(horizon);
        self.add_loss(from, start.min(to), 1.0, at);
        if start >= to {
            return;
        }
        // Seconds of history per second of work.
        let speed = rate.map_or(f64::INFINITY, |rate| rate / density);
        let overtaken_at = if speed < 1.0 {
            (start + retention - at * speed) / (1.0 - speed)
        } else {
            f64::INFINITY
        };
        if overtaken_at - retention < to {
            self.add_loss(overtaken_at - retention, to, 1.0 - speed, overtaken_at);
            self.ends_at = to + retention;
        } else {
            self.ends_at += (to - start) / speed;
        }
    }

    fn add_loss(&mut self, from: f64, to: f64, share: f64, at: f64) {
        if from >= to {
            return;
        }
        self.overtaken_at.get_or_insert(at);
        let lost_through =
            |last: &LossInterval| last.lost_before + (last.to - last.from) * last.share;
        let lost_before = self.lost.last().map_or(0.0, lost_through);
        self.lost.push(LossInterval {
            from,
            to,
            share,
            lost_before,
        });
    }

    /// Returns the seconds of history that are lost before a time.
    fn lost_before(&self, time: f64) -> f64 {
        let next = self.lost.partition_point(|lost| lost.from < time);
        let last = next.checked_sub(1).and_then(|last| self.lost.get(last));
        last.map_or(0.0, |lost| {
            lost.lost_before + (lost.to.min(time) - lost.from) * lost.share
        })
    }

    fn loss(&self, missing: &MissingRange, now: Second) -> Loss {
        let from = seconds_from(missing.range.from(), now);
        let to = seconds_from(missing.range.to(), now);
        let seconds = self.lost_before(to) - self.lost_before(from);
        let messages = missing.messages as f64 * seconds / (to - from);
        Loss {
            seconds: seconds.round() as u64,
            messages: messages.round() as u64,
        }
    }

    fn duration(&self) -> Duration {
        Duration::try_from_secs_f64(self.ends_at).unwrap_or(Duration::MAX)
    }
}

/// Returns the missing time, cut wherever a range begins or ends, in order.
fn segments(missing: &[MissingRange], now: Second) -> Vec<DensitySegment> {
    // The change of the density and of the number of open ranges. The number tells when the density
    // is 0 again: a sum of fractions need not come back to it exactly.
    let mut changes: BTreeMap<Second, (f64, i64)> = BTreeMap::new();
    for MissingRange {
        range, requests, ..
    } in missing
    {
        let density = *requests as f64 / range.seconds() as f64;
        for (at, change, opened) in [(range.from(), density, 1), (range.to(), -density, -1)] {
            let (sum, open) = changes.entry(at).or_default();
            *sum += change;
            *open += opened;
        }
    }
    let mut density = 0.0;
    let mut open = 0;
    let mut found = Vec::new();
    let mut changes = changes.into_iter().peekable();
    while let Some((from, (change, opened))) = changes.next() {
        open += opened;
        density = if open == 0 { 0.0 } else { density + change };
        if let Some((to, _)) = changes.peek().filter(|_| density > 0.0) {
            let (from, to) = (seconds_from(from, now), seconds_from(*to, now));
            found.push(DensitySegment { from, to, density });
        }
    }
    found
}

/// Returns the seconds from `now` to a time; negative for the past.
fn seconds_from(time: Second, now: Second) -> f64 {
    time.0.saturating_sub(now.0) as f64
}
