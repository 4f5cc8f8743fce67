//! A history that expires faster than it can be fetched, and the most that can be saved of it.

use std::time::Duration;

use serde_json::json;

use super::MAX_MESSAGES_PER_SECOND;
use crate::domain::time::Millis;

/// How many times as much expires in a second as can be fetched in it.
const EXPIRY_FACTOR: u32 = 2;
/// How many channels share the history. In a stream of ten thousand messages a minute the second that is read on either
/// side of a window would be most of the window, which says nothing of a retention of days.
const CHANNELS: i64 = 50;

/// Messages that are spread evenly over the retention: as fast as they were written they expire.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExpiringHistory {
    now: Millis,
    retention: Duration,
    messages: i64,
}

impl ExpiringHistory {
    /// What was written in the last `seconds` before `now`, where nothing older is kept.
    pub(super) fn new(now: Millis, seconds: u32) -> Self {
        let retention = Duration::from_secs(seconds.into());
        Self {
            now,
            retention,
            messages: i64::from(seconds * MAX_MESSAGES_PER_SECOND * EXPIRY_FACTOR),
        }
    }

    /// Nothing was written from then on.
    pub(super) fn until(&self) -> Millis {
        self.now
    }

    /// The history as the sandbox reads it.
    pub(super) fn corpus(&self) -> String {
        let line = |(n, at): (i64, Millis)| {
            let (from, to, text) = (
                format!("user-{}", n % 7),
                format!("channel-{}", n % CHANNELS),
                format!("said {n}"),
            );
            format!(
                "{}\n",
                json!({ "ts_ms": at.0, "from": from, "to": to, "text": text })
            )
        };
        (0..).zip(self.sent_times()).map(line).collect()
    }

    /// A configuration that knows of the retention.
    pub(super) fn with_retention(&self, config: &str) -> String {
        let retention = format!(
            "retention = \"{}s\"\nsettle = \"1s\"",
            self.retention.as_secs()
        );
        let line = |line: &str| {
            if line.starts_with("retention = ") {
                retention.clone()
            } else {
                line.to_owned()
            }
        };
        config.lines().map(|text| line(text) + "\n").collect()
    }

    /// The most messages that any order could have saved, for whoever begins to ask at `begun_ms` and fetches so many a
    /// second.
    ///
    /// Whatever is saved is either fetched up to some moment, or still there after it. So, for each moment, there are no
    /// more than can be fetched up to it, and those that expire later; and what fetches first what expires first comes up
    /// to the least of these bounds. Among the moments are the first (no more than there is) and the last (no more than
    /// can be fetched while anything is alive).
    pub(super) fn max_savable(&self, begun_ms: i64, pace: f64) -> f64 {
        let expiries = self
            .sent_times()
            .map(|at| at.plus(self.retention).0)
            .filter(|expiry| *expiry > begun_ms);
        let expiries: Vec<i64> = expiries.collect();
        let fetched = |until_ms: i64| pace * (until_ms - begun_ms) as f64 / 1000.0;
        let left = (0..expiries.len()).rev();
        let bounds = expiries
            .iter()
            .zip(left)
            .map(|(expiry, left)| fetched(*expiry) + left as f64);
        bounds.fold(expiries.len() as f64, f64::min)
    }

    /// When the messages were written, in order.
    fn sent_times(&self) -> impl Iterator<Item = Millis> {
        let Self {
            now,
            retention,
            messages,
        } = *self;
        let oldest = now.minus(retention).0;
        let length = now.0 - oldest;
        (0..messages).map(move |n| Millis(oldest + n * length / messages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_795_343_200_123);

    #[test]
    fn no_order_saves_more_than_there_is_or_than_can_be_fetched_in_time() {
        let backlog = ExpiringHistory::new(NOW, 60);
        let most = |late_s: i64| {
            backlog
                .max_savable(NOW.0 + late_s * 1000, f64::from(MAX_MESSAGES_PER_SECOND))
                .round()
        };
        assert!(
            (most(0) - 30_000.0).abs() < 1.0,
            "the quota, for as long as anything is alive: {}",
            most(0)
        );
        assert!((most(30) - 15_000.0).abs() < 1.0, "{}", most(30));
        assert!(most(60) <= 0.0 && most(90) <= 0.0);
        let sparse = ExpiringHistory {
            messages: 600,
            ..backlog
        };
        assert!(
            (sparse.max_savable(NOW.0, f64::from(MAX_MESSAGES_PER_SECOND)) - 599.0).abs() < 1.0,
            "{}",
            sparse.max_savable(NOW.0, f64::from(MAX_MESSAGES_PER_SECOND))
        );
    }

    #[test]
    fn the_corpus_is_what_expires() {
        let backlog = ExpiringHistory::new(NOW, 1);
        let corpus = backlog.corpus();
        let lines: Vec<serde_json::Value> = corpus
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len() as u32, MAX_MESSAGES_PER_SECOND * EXPIRY_FACTOR);
        assert_eq!(lines[0]["ts_ms"], NOW.0 - 1000);
        assert!(
            lines
                .iter()
                .all(|line| line["ts_ms"].as_i64().unwrap() < NOW.0)
        );
    }

    #[test]
    fn the_configuration_is_told_of_the_retention() {
        let config = ExpiringHistory::new(NOW, 9)
            .with_retention("name = \"a\"\nretention = \"4000d\"\nstreams = []");
        assert_eq!(
            config,
            "name = \"a\"\nretention = \"9s\"\nsettle = \"1s\"\nstreams = []\n"
        );
    }
}
