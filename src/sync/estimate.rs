//! What a missing history will take, and what of it will be gone before its turn comes. Pure.
//!
//! What is missing is worked off from the oldest on, at so many requests a second, while the provider's edge moves on by
//! a second a second. Where a stretch takes more requests than there are in the time that it lasts, the edge catches up
//! with the work. From there on a part is lost, and the rest is fetched just before it would be: no order of work could
//! save more. The messages that come meanwhile are left out of account: they have the longest to live.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::stream::StreamIndex;
use crate::domain::time::Second;
use crate::domain::window::Window;

/// A missing range of a stream, and what is expected of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The stream's position in its account.
    pub stream: StreamIndex,
    pub range: Window,
    pub messages: u64,
    pub requests: u64,
}

/// How an account is worked on.
#[derive(Clone, Copy, Debug)]
pub struct CatchUpConditions {
    /// Provider-now.
    pub now: Second,
    /// How long the provider keeps a message; nothing where it is not known to forget.
    pub retention: Option<Duration>,
    /// Requests a second; nothing where there is no limit.
    pub rate: Option<f64>,
    /// For how long nothing will be asked, to begin with.
    pub pause: Duration,
}

/// What the missing history of an account comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BacklogOutlook {
    /// How many streams lack anything.
    pub streams: usize,
    /// What is missing of the stream that lacks most, in seconds.
    pub max_missing_s: u64,
    /// Over all streams, in which the same message may be expected more than once.
    pub messages: u64,
    pub requests: u64,
    /// How long it takes until all of it is fetched or lost.
    pub duration: Duration,
    /// When the oldest of it falls behind the provider's edge, unless it is fetched before.
    pub expires_at: Option<Second>,
    /// From when on messages will be lost; nothing where none will be.
    pub loss_begins: Option<Second>,
    /// What will be lost of it, over all streams.
    pub loss: Loss,
    /// The same of each stretch, in the order given.
    pub losses: Vec<Loss>,
}

/// What will be lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Seconds of history, silent ones, too; where several streams lose the same time, as often.
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
    pub fn from_missing(stretches: &[Stretch], circumstances: CatchUpConditions) -> Self {
        let CatchUpConditions {
            now,
            retention,
            rate,
            ..
        } = circumstances;
        let pursuit = CatchUpModel::simulate(stretches, circumstances);
        let losses: Vec<Loss> = stretches
            .iter()
            .map(|stretch| pursuit.loss(stretch, now))
            .collect();
        let mut loss = Loss::default();
        for of_stretch in &losses {
            loss += *of_stretch;
        }
        let requests = stretches.iter().map(|stretch| stretch.requests).sum();
        let mut missing: BTreeMap<StreamIndex, u64> = BTreeMap::new();
        for stretch in stretches {
            *missing.entry(stretch.stream).or_default() += stretch.range.seconds();
        }
        let first = stretches.iter().map(|stretch| stretch.range.from()).min();
        let kept =
            retention.map(|retention| i64::try_from(retention.as_secs()).unwrap_or(i64::MAX));
        Self {
            streams: missing.len(),
            max_missing_s: missing.into_values().max().unwrap_or(0),
            messages: stretches.iter().map(|stretch| stretch.messages).sum(),
            requests,
            duration: if retention.is_some() {
                pursuit.duration()
            } else {
                circumstances.pause + time(requests, rate)
            },
            expires_at: first.zip(kept).map(|(first, kept)| first.plus(kept)),
            loss_begins: pursuit
                .overtaken_at
                .map(|at| now.plus(at as i64))
                .filter(|_| loss.messages > 0),
            loss,
            losses,
        }
    }
}

/// How long so many requests take.
pub fn time(requests: u64, rate: Option<f64>) -> Duration {
    let seconds = rate.map_or(0.0, |rate| requests as f64 / rate);
    // Longer than a duration can say is for ever.
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Which of so many are asked about, if no more than `most` are: evenly spread.
pub fn sample_evenly(of: usize, most: usize) -> Vec<usize> {
    let asked = of.min(most);
    (0..asked).map(|n| n * of / asked).collect()
}

/// How many messages each range holds. One that nobody was asked about is taken to be as dense as one of the others,
/// each in its turn: so a few dense ones among many silent ones are as many as they were among those asked about.
pub fn fill_unsampled(ranges: &[Window], counted: &[Option<u64>]) -> Vec<u64> {
    let known = || {
        counted
            .iter()
            .zip(ranges)
            .filter_map(|(count, range)| Some(((*count)?, range.seconds())))
    };
    let mut others = known().cycle();
    let mut share = |range: &Window| {
        let like = others.next().map(|(count, seconds)| {
            u128::from(count) * u128::from(range.seconds()) / u128::from(seconds)
        });
        like.map_or(0, |messages| u64::try_from(messages).unwrap_or(u64::MAX))
    };
    counted
        .iter()
        .zip(ranges)
        .map(|(count, range)| count.unwrap_or_else(|| share(range)))
        .collect()
}

/// The work and the edge behind it, in seconds from now.
#[derive(Debug, Default)]
struct CatchUpModel {
    /// When all is fetched or lost.
    ends_at: f64,
    /// When the edge first catches up with the work.
    overtaken_at: Option<f64>,
    lost: Vec<LossInterval>,
}

/// A time of which a share is lost.
#[derive(Debug)]
struct LossInterval {
    from: f64,
    to: f64,
    share: f64,
    /// What is lost before it.
    before: f64,
}

/// A time in which the same ranges are missing all along.
struct DensitySegment {
    from: f64,
    to: f64,
    /// Requests that a second of it takes.
    density: f64,
}

impl CatchUpModel {
    fn simulate(
        stretches: &[Stretch],
        CatchUpConditions {
            now,
            retention,
            rate,
            pause,
        }: CatchUpConditions,
    ) -> Self {
        let Some(retention) = retention.map(|retention| retention.as_secs_f64()) else {
            return Self::default();
        };
        let mut pursuit = Self {
            ends_at: pause.as_secs_f64(),
            ..Self::default()
        };
        for DensitySegment { from, to, density } in segments(stretches, now) {
            let (at, edge) = (pursuit.ends_at, pursuit.ends_at - retention);
            let start = from.max(edge);
            pursuit.add_loss(from, start.min(to), 1.0, at);
            if start >= to {
                continue;
            }
            // How many seconds of history a second of work gets through.
            let speed = rate.map_or(f64::INFINITY, |rate| rate / density);
            let meets = if speed < 1.0 {
                (start + retention - at * speed) / (1.0 - speed)
            } else {
                f64::INFINITY
            };
            if meets - retention < to {
                pursuit.add_loss(meets - retention, to, 1.0 - speed, meets);
                pursuit.ends_at = to + retention;
            } else {
                pursuit.ends_at += (to - start) / speed;
            }
        }
        pursuit
    }

    fn add_loss(&mut self, from: f64, to: f64, share: f64, at: f64) {
        if from < to {
            self.overtaken_at.get_or_insert(at);
            let before = self
                .lost
                .last()
                .map_or(0.0, |last| last.before + (last.to - last.from) * last.share);
            self.lost.push(LossInterval {
                from,
                to,
                share,
                before,
            });
        }
    }

    /// How many seconds are lost before a moment.
    fn lost_before(&self, moment: f64) -> f64 {
        let next = self.lost.partition_point(|lost| lost.from < moment);
        let last = next.checked_sub(1).and_then(|last| self.lost.get(last));
        last.map_or(0.0, |lost| {
            lost.before + (lost.to.min(moment) - lost.from) * lost.share
        })
    }

    fn loss(&self, stretch: &Stretch, now: Second) -> Loss {
        let [from, to] =
            [stretch.range.from(), stretch.range.to()].map(|moment| seconds_from(moment, now));
        let seconds = self.lost_before(to) - self.lost_before(from);
        let messages = stretch.messages as f64 * seconds / (to - from);
        Loss {
            seconds: seconds.round() as u64,
            messages: messages.round() as u64,
        }
    }

    fn duration(&self) -> Duration {
        Duration::try_from_secs_f64(self.ends_at).unwrap_or(Duration::MAX)
    }
}

/// What is missing, cut wherever a range begins or ends, in order of time.
fn segments(stretches: &[Stretch], now: Second) -> Vec<DensitySegment> {
    // By how much the density changes, and how many ranges begin: a sum of fractions would not come back to nothing.
    let mut changes: BTreeMap<Second, (f64, i64)> = BTreeMap::new();
    for Stretch {
        range, requests, ..
    } in stretches
    {
        let density = *requests as f64 / range.seconds() as f64;
        for (cut, change, count) in [(range.from(), density, 1), (range.to(), -density, -1)] {
            let known = changes.entry(cut).or_default();
            *known = (known.0 + change, known.1 + count);
        }
    }
    let (mut density, mut open) = (0.0, 0);
    let mut found = Vec::new();
    let mut changes = changes.into_iter().peekable();
    while let Some((from, (change, count))) = changes.next() {
        open += count;
        density = if open == 0 { 0.0 } else { density + change };
        if let Some((to, _)) = changes.peek().filter(|_| density > 0.0) {
            found.push(DensitySegment {
                from: seconds_from(from, now),
                to: seconds_from(*to, now),
                density,
            });
        }
    }
    found
}

/// Seconds from `now` on; negative for what was before.
fn seconds_from(moment: Second, now: Second) -> f64 {
    moment.0.saturating_sub(now.0) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Second = Second(1_000_000);

    /// A range that many seconds before now.
    fn stretch(stream: usize, from: i64, to: i64, messages: u64, requests: u64) -> Stretch {
        let range = Window::new(NOW.plus(-from), NOW.plus(-to)).unwrap();
        Stretch {
            stream: StreamIndex::new(stream),
            range,
            messages,
            requests,
        }
    }

    fn outlook(stretches: &[Stretch], retention: u64, rate: f64) -> BacklogOutlook {
        let retention = Some(Duration::from_secs(retention));
        BacklogOutlook::from_missing(
            stretches,
            CatchUpConditions {
                now: NOW,
                retention,
                rate: Some(rate),
                pause: Duration::ZERO,
            },
        )
    }

    #[test]
    fn history_fetched_before_it_expires_is_not_lost() {
        let found = outlook(
            &[
                stretch(0, 1000, 0, 50_000, 1000),
                stretch(1, 1000, 500, 10, 500),
            ],
            1000,
            3.0,
        );
        assert_eq!((found.loss, found.loss_begins), (Loss::default(), None));
        assert_eq!(
            (
                found.streams,
                found.max_missing_s,
                found.messages,
                found.requests
            ),
            (2, 1000, 50_010, 1500)
        );
        assert_eq!(found.duration, Duration::from_secs(500));
        assert_eq!(found.expires_at, Some(NOW));
    }

    #[test]
    fn half_the_needed_rate_loses_half_the_history() {
        // Two requests a second, of which there is one.
        let found = outlook(&[stretch(0, 1000, 0, 80_000, 2000)], 1000, 1.0);
        assert_eq!(
            found.loss,
            Loss {
                seconds: 500,
                messages: 40_000
            }
        );
        assert_eq!(
            (found.duration.as_secs(), found.loss_begins),
            (1000, Some(NOW))
        );
        // A history that is young yet lives longer, and the work has a start of some minutes.
        let found = outlook(&[stretch(0, 500, 0, 80_000, 2000)], 1000, 1.0);
        assert_eq!(
            found.loss,
            Loss {
                seconds: 250,
                messages: 40_000
            }
        );
        assert_eq!(
            (found.duration.as_secs(), found.loss_begins),
            (1000, Some(NOW.plus(666)))
        );
    }

    #[test]
    fn pause_causes_loss_as_the_horizon_moves_on() {
        let circumstances = |pause| CatchUpConditions {
            now: NOW,
            retention: Some(Duration::from_secs(1000)),
            rate: Some(10.0),
            pause: Duration::from_secs(pause),
        };
        let missing = [stretch(3, 1000, 0, 1000, 100)];
        assert_eq!(
            BacklogOutlook::from_missing(&missing, circumstances(250)).loss,
            Loss {
                seconds: 250,
                messages: 250
            }
        );
        assert_eq!(
            BacklogOutlook::from_missing(&missing, circumstances(9999)).loss,
            Loss {
                seconds: 1000,
                messages: 1000
            }
        );
    }

    #[test]
    fn unlimited_retention_loses_nothing() {
        let circumstances = CatchUpConditions {
            now: NOW,
            retention: None,
            rate: Some(2.0),
            pause: Duration::from_secs(5),
        };
        let found = BacklogOutlook::from_missing(
            &[
                stretch(0, 900_000, 0, 100, 50),
                stretch(0, 950_000, 920_000, 0, 1),
            ],
            circumstances,
        );
        assert_eq!((found.loss, found.expires_at), (Loss::default(), None));
        assert_eq!(found.duration, Duration::from_millis(5000 + 25_500));
        let nothing = outlook(&[], 100, 1.0);
        assert_eq!(nothing, BacklogOutlook::default());
    }

    #[test]
    fn unsampled_ranges_are_estimated_from_sampled_ones() {
        assert_eq!(sample_evenly(3, 10), [0, 1, 2]);
        assert_eq!(sample_evenly(10, 4), [0, 2, 5, 7]);
        assert_eq!(sample_evenly(0, 4), [0; 0]);
        let ranges: Vec<Window> = [100, 100, 50, 200, 100]
            .map(|s| Window::with_length(NOW, s))
            .to_vec();
        let counted = [Some(10), None, None, Some(400), None];
        assert_eq!(fill_unsampled(&ranges, &counted), [10, 10, 100, 400, 10]);
        assert_eq!(fill_unsampled(&ranges[..2], &[None, None]), [0, 0]);
    }

    /// The same, second by second: what is oldest first, and what is behind the edge is gone.
    fn simulated(stretches: &[Stretch], retention: i64, rate: f64) -> f64 {
        let seconds = |s: Stretch| {
            (s.range.from().0..s.range.to().0)
                .map(move |at| (at, s.requests as f64 / s.range.seconds() as f64))
        };
        let mut work: Vec<(i64, f64)> = stretches.iter().copied().flat_map(seconds).collect();
        work.sort_by_key(|(at, _)| *at);
        let (mut lost, mut time) = (0.0, 0.0);
        for (at, requests) in work {
            let deadline = (at + retention - NOW.0) as f64 + 1.0;
            let done = (deadline - time).max(0.0).min(requests / rate);
            lost += requests - done * rate;
            time += done;
        }
        lost
    }

    proptest! {
        #[test]
        fn predicted_loss_matches_a_simulation(
            ranges in prop::collection::vec((1i64..2000, 1i64..2000, 0u64..3000), 1..8), rate in 0.2f64..8.0,
        ) {
            let one = |(n, (from, length, requests)): (usize, (i64, i64, u64))| {
                // Every request brings ten messages.
                stretch(n, from, (from - length).max(0), requests * 10, requests)
            };
            let stretches: Vec<Stretch> = ranges.into_iter().enumerate().map(one).collect();
            let found = outlook(&stretches, 2000, rate);
            let expected = simulated(&stretches, 2000, rate) * 10.0;
            let slack = 40.0 + expected * 0.02;
            prop_assert!((found.loss.messages as f64 - expected).abs() <= slack, "{found:?}, not {expected}");
            let missing: u64 = stretches.iter().map(|s| s.messages).sum();
            prop_assert!(found.loss.messages <= missing + stretches.len() as u64);
        }
    }
}
