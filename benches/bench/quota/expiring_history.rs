//! A history that expires faster than it can be fetched, and the upper bound of what can be saved.

use std::time::Duration;

use backscroll::domain::time::Millis;
use backscroll::sync::simulation::MAX_MESSAGES_PER_SECOND;
use serde_json::json;

/// The messages that expire per second, as a multiple of the messages that can be fetched per
/// second.
pub(crate) const EXPIRY_FACTOR: u32 = 2;
/// The number of channels that share the history. In a single stream of ten thousand messages per
/// minute, the second that is read at either side of a window would be most of the window. That
/// says nothing about a retention of days.
const CHANNELS: i64 = 50;

/// Messages that are spread evenly over the retention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExpiringHistory {
    /// The end of the history.
    pub(crate) now: Millis,
    /// The length of the history, and the retention of the provider.
    pub(crate) retention: Duration,
    /// The number of messages.
    pub(crate) messages: i64,
}

impl ExpiringHistory {
    /// Returns a history of the last `seconds` before `now`, which is also its retention.
    pub(crate) fn new(now: Millis, seconds: u32) -> Self {
        let retention = Duration::from_secs(seconds.into());
        let messages = i64::from(seconds * MAX_MESSAGES_PER_SECOND * EXPIRY_FACTOR);
        Self {
            now,
            retention,
            messages,
        }
    }

    /// Returns the history in the sandbox's file format.
    pub(crate) fn corpus(&self) -> String {
        let mut corpus = String::new();
        for (n, at) in (0..).zip(self.sent_times()) {
            let (from, to) = (
                format!("user-{}", n % 7),
                format!("channel-{}", n % CHANNELS),
            );
            let text = format!("said {n}");
            let line = json!({ "ts_ms": at.0, "from": from, "to": to, "text": text });
            corpus += &line.to_string();
            corpus.push('\n');
        }
        corpus
    }

    /// Returns the configuration with the retention of the history.
    pub(crate) fn with_retention(&self, config: &str) -> String {
        let retention = format!(
            "retention = \"{}s\"\nsettle = \"1s\"",
            self.retention.as_secs()
        );
        let mut changed = String::new();
        for line in config.lines() {
            let is_retention = line.starts_with("retention = ");
            changed += if is_retention { &retention } else { line };
            changed.push('\n');
        }
        changed
    }

    /// Returns the maximum number of messages that any order can save, if the first request is sent
    /// at `begun_ms` and `rate` messages are fetched per second.
    ///
    /// A saved message is either fetched before a moment, or has not expired at that moment. So,
    /// for every moment, the number of saved messages is at most the number that can be fetched
    /// before it, plus the number that expire later. Fetching in the order of expiry reaches the
    /// lowest of these bounds. The moments include the first (the bound is the number of messages)
    /// and the last (the bound is the number that can be fetched before the last message expires).
    pub(crate) fn max_savable(&self, begun_ms: i64, rate: f64) -> f64 {
        let expiries = self.sent_times().map(|at| at.plus(self.retention).0);
        let expiries: Vec<i64> = expiries.filter(|expiry| *expiry > begun_ms).collect();
        let fetched = |until_ms: i64| rate * (until_ms - begun_ms) as f64 / 1000.0;
        let left = (0..expiries.len()).rev();
        let bounds = expiries.iter().zip(left);
        let bounds = bounds.map(|(expiry, left)| fetched(*expiry) + left as f64);
        bounds.fold(expiries.len() as f64, f64::min)
    }

    /// Returns the send times of the messages, in order.
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
