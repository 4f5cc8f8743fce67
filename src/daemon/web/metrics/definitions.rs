//! The definitions of the account metrics. To add one, add an entry here and in `docs/METRICS.md`.

use prometheus_client::metrics::MetricType::{self, Counter, Gauge, Histogram};

use super::account::{AccountMetrics, MetricValue};
use crate::provider::traffic::RequestOutcome;
use crate::store::AccountSummary;
use crate::sync::Purpose;
use crate::sync::counters::PassResult;

/// The definition of a metric.
pub(super) struct MetricDefinition {
    /// The name, without the suffix `_total` of counters.
    pub(super) name: &'static str,
    pub(super) kind: MetricType,
    /// The help text of `/metrics`.
    pub(super) help: &'static str,
    /// Returns the current values.
    pub(super) value: fn(&AccountMetrics) -> MetricValue,
}

const fn define(
    name: &'static str,
    kind: MetricType,
    help: &'static str,
    value: fn(&AccountMetrics) -> MetricValue,
) -> MetricDefinition {
    MetricDefinition {
        name,
        kind,
        help,
        value,
    }
}

/// All metrics of an account.
pub(super) const METRICS: &[MetricDefinition] = &[
    // Counters and states of this process.
    define(
        "backscroll_requests",
        Counter,
        "Requests that ended, by outcome",
        requests,
    ),
    define(
        "backscroll_quota_requests_per_second",
        Gauge,
        "Rate limit in requests per second",
        |a| {
            a.provider
                .gate()
                .rate_limiter()
                .requests_per_second()
                .into()
        },
    ),
    define(
        "backscroll_quota_used_ratio",
        Gauge,
        "Used share of the rate limit over about the last minute",
        used_quota,
    ),
    define(
        "backscroll_pause_seconds",
        Gauge,
        "Time until requests resume, after a 429 or refused credentials",
        |a| {
            let left = a.provider.paused_for().unwrap_or_default();
            MetricValue::One(left.as_secs_f64())
        },
    ),
    define(
        "backscroll_clock_skew_seconds",
        Gauge,
        "This machine's clock minus the provider's: positive if it is ahead",
        |a| MetricValue::One(a.provider.clock_skew().0 as f64 / 1000.0),
    ),
    define(
        "backscroll_messages_new",
        Counter,
        "Messages added to the archive",
        |a| a.counters.new.into(),
    ),
    define(
        "backscroll_messages_late",
        Counter,
        "New messages in ranges that had been fetched before",
        |a| a.counters.late.into(),
    ),
    define(
        "backscroll_messages_changed",
        Counter,
        "Archived messages that were updated",
        |a| a.counters.changed.into(),
    ),
    define(
        "backscroll_messages_unreadable",
        Counter,
        "Messages put into quarantine, counted each time they were fetched",
        |a| a.counters.unreadable.into(),
    ),
    define(
        "backscroll_windows_sealed",
        Counter,
        "Windows sealed, suspect windows included",
        |a| a.counters.sealed.into(),
    ),
    define(
        "backscroll_windows_suspect",
        Counter,
        "Windows sealed that may be incomplete",
        |a| a.counters.suspect.into(),
    ),
    define(
        "backscroll_passes",
        Counter,
        "Passes that ended, by purpose and result",
        passes,
    ),
    define(
        "backscroll_last_good_pass_timestamp_seconds",
        Gauge,
        "Time of the last successful pass, in seconds since 1970",
        |a| {
            let at = a.counters.last_success_at;
            at.map(|at| at.0 as f64 / 1000.0).into()
        },
    ),
    define(
        "backscroll_commit_duration_seconds",
        Histogram,
        "Duration of database commits",
        |a| MetricValue::Durations(a.counters.commit_times.clone()),
    ),
    define(
        "backscroll_stuck",
        Gauge,
        "1 if no request or commit has ended for too long, otherwise 0",
        |a| u64::from(a.counters.stalled_for.is_some()).into(),
    ),
    define(
        "backscroll_held_elsewhere",
        Gauge,
        "1 if another process works on the account, otherwise 0",
        |a| u64::from(a.counters.is_leased_elsewhere).into(),
    ),
    // State in the archive.
    define(
        "backscroll_streams",
        Gauge,
        "Streams that are followed",
        |a| a.summary_value(|f| f.streams),
    ),
    define(
        "backscroll_streams_failing",
        Gauge,
        "Streams whose last fetch failed",
        |a| a.summary_value(|f| f.failing_streams),
    ),
    define(
        "backscroll_lag_seconds",
        Gauge,
        "Provider's current time minus the watermark of the stream that is furthest behind",
        AccountMetrics::lag,
    ),
    define(
        "backscroll_gaps",
        Gauge,
        "Settled ranges that are missing and can still be fetched",
        |a| a.summary_value(|f| f.missing.len() as u64),
    ),
    define(
        "backscroll_gap_seconds",
        Gauge,
        "Total duration of these ranges, over all streams",
        |a| a.summary_value(AccountSummary::missing_seconds),
    ),
    define(
        "backscroll_lost_seconds",
        Gauge,
        "History that expired before it was fetched, over all streams",
        |a| a.summary_value(|f| f.lost_seconds),
    ),
    define(
        "backscroll_suspect_windows",
        Gauge,
        "Sealed windows that may still be incomplete",
        |a| a.summary_value(|f| f.suspect_rows),
    ),
    define(
        "backscroll_quarantined_messages",
        Gauge,
        "Messages that could not be parsed and are kept raw",
        |a| a.summary_value(|f| f.quarantined),
    ),
    define(
        "backscroll_expiry_seconds",
        Gauge,
        "Time until the oldest missing range reaches the retention edge",
        AccountMetrics::time_until_expiry,
    ),
    define(
        "backscroll_loss_seconds",
        Gauge,
        "Time until messages expire unfetched at the current rate",
        AccountMetrics::time_until_loss,
    ),
    define(
        "backscroll_loss_messages",
        Gauge,
        "Estimated number of messages that will expire unfetched at the current rate",
        AccountMetrics::messages_to_lose,
    ),
];

fn used_quota(account: &AccountMetrics) -> MetricValue {
    let gate = account.provider.gate();
    let quota = gate.rate_limiter().requests_per_second();
    let used = quota.map(|quota| gate.traffic().requests_per_second() / quota);
    used.map(|used| used.min(1.0)).into()
}

fn requests(account: &AccountMetrics) -> MetricValue {
    let traffic = account.provider.gate().traffic();
    let by_outcome = RequestOutcome::ALL.map(|outcome| {
        let labels = vec![("outcome", outcome.name())];
        (labels, traffic.completed(outcome) as f64)
    });
    MetricValue::Labelled(by_outcome.into())
}

/// Every possible purpose and result, so that a series exists before its first increment.
fn passes(account: &AccountMetrics) -> MetricValue {
    let refreshes = account.provider.account().refresh_for.is_some();
    let mut values = Vec::new();
    for purpose in Purpose::NAMES {
        if purpose == Purpose::Refresh.name() && !refreshes {
            continue;
        }
        for result in PassResult::ALL {
            let passes = account.counters.passes.get(&(purpose, result));
            let labels = vec![("purpose", purpose), ("ending", result.name())];
            values.push((labels, passes.copied().unwrap_or(0) as f64));
        }
    }
    MetricValue::Labelled(values)
}
