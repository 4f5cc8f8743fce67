//! The intervals of charts: hours and days, the last of which contains the present. Pure.

use std::time::Duration;

use crate::domain::time::Millis;
use crate::store::ThroughputBucket;

pub(crate) const HOUR: Duration = Duration::from_hours(1);
pub(crate) const DAY: Duration = Duration::from_hours(24);

/// Returns the start of the first of `count` intervals, the last of which contains `now`.
pub(crate) fn first_interval(now: Millis, length: Duration, count: usize) -> Millis {
    let length_ms = milliseconds(length);
    let last = now.0.div_euclid(length_ms);
    let first = last.saturating_sub(count as i64 - 1);
    Millis(first.saturating_mul(length_ms))
}

/// Returns a value for each of `count` intervals up to now, from the known buckets of each.
pub(crate) fn by_interval<T>(
    buckets: &[ThroughputBucket],
    now: Millis,
    length: Duration,
    count: usize,
    mut value: impl FnMut(Millis, &[&ThroughputBucket]) -> T,
) -> Vec<T> {
    let first = first_interval(now, length, count);
    let mut values = Vec::with_capacity(count);
    for n in 0..count as i64 {
        let offset = n.saturating_mul(milliseconds(length));
        let from = Millis(first.0.saturating_add(offset));
        let buckets: Vec<&ThroughputBucket> = buckets
            .iter()
            .filter(|bucket| bucket.from == from)
            .collect();
        values.push(value(from, &buckets));
    }
    values
}

fn milliseconds(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_end_with_the_current_one() {
        let now = Millis(1_795_343_200_123);
        let bucket = |ago: i64, new| ThroughputBucket {
            account: "shop".to_owned(),
            from: Millis((now.0 / 3_600_000 - ago) * 3_600_000),
            requests: 0,
            new,
            errors: 0,
            lag_seconds: None,
        };
        let buckets = [bucket(4, 9), bucket(2, 1), bucket(0, 3), bucket(0, 4)];
        let sums = by_interval(&buckets, now, HOUR, 4, |_, buckets| {
            buckets.iter().map(|bucket| bucket.new).sum::<u64>()
        });
        assert_eq!(sums, [0, 1, 0, 7]);
    }
}
