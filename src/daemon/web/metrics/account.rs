//! What is told of an account.

use std::fmt;
use std::sync::Arc;

use prometheus_client::metrics::MetricType::{self, Counter, Gauge, Histogram};

use super::cache::ArchiveFigures;
use crate::domain::time::Second;
use crate::provider::Provider;
use crate::provider::traffic::RequestOutcome;
use crate::store::AccountSummary;
use crate::sync::Purpose;
use crate::sync::counters::{DurationHistogram, PassResult, SyncCounters};
use crate::sync::forecast::account_outlook;
use crate::sync::forecast::model::BacklogOutlook;

/// An account as it is now.
pub(super) struct AccountMetrics {
    provider: Arc<dyn Provider>,
    counters: SyncCounters,
    /// Nothing where the archive does not know it yet, or has not been looked at.
    summary: Option<AccountSummary>,
    /// What becomes of what is missing, and whether that can be foreseen; nothing where nothing is missing that could be
    /// forgotten.
    outlook: Option<(BacklogOutlook, bool)>,
}

impl fmt::Debug for AccountMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl AccountMetrics {
    pub(super) fn new(
        provider: Arc<dyn Provider>,
        counters: SyncCounters,
        look: Option<&ArchiveFigures>,
    ) -> Self {
        let name = &provider.account().name;
        let summary = look
            .and_then(|look| look.figures.iter().find(|figures| figures.account == *name))
            .cloned();
        let outlook = summary.as_ref().zip(look).and_then(|(figures, look)| {
            account_outlook(&*provider, figures, &look.paces, provider.now())
        });
        Self {
            provider,
            counters,
            summary,
            outlook,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.provider.account().name
    }

    pub(super) fn provider_name(&self) -> &'static str {
        self.provider.account().provider.name()
    }

    fn from_summary(&self, of: impl Fn(&AccountSummary) -> u64) -> MetricValue {
        self.summary
            .as_ref()
            .map(|figures| of(figures) as f64)
            .into()
    }

    /// How far away a moment is; for ever where there is none.
    fn seconds_until(&self, moment: Option<Second>) -> f64 {
        moment.map_or(f64::INFINITY, |moment| {
            (moment.0 - self.provider.now().second().0).max(0) as f64
        })
    }

    fn from_outlook(&self, of: impl Fn(Option<&BacklogOutlook>) -> MetricValue) -> MetricValue {
        match (&self.summary, &self.outlook) {
            (None, _) => MetricValue::None,
            (Some(_), ahead) => of(ahead.as_ref().map(|(outlook, _)| outlook)),
        }
    }

    /// The same, where it can be foreseen.
    fn from_forecast(&self, of: impl Fn(Option<&BacklogOutlook>) -> MetricValue) -> MetricValue {
        if matches!(self.outlook, Some((_, false))) {
            MetricValue::None
        } else {
            self.from_outlook(of)
        }
    }
}

/// The values of one metric of one account.
pub(super) enum MetricValue {
    /// It is not known, or there is no such thing.
    None,
    One(f64),
    /// Each under labels of its own.
    Labelled(Vec<(Vec<(&'static str, &'static str)>, f64)>),
    Durations(DurationHistogram),
}

impl From<u64> for MetricValue {
    fn from(value: u64) -> Self {
        Self::One(value as f64)
    }
}

impl From<Option<f64>> for MetricValue {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::None, Self::One)
    }
}

/// One metric.
pub(super) struct MetricDefinition {
    /// Without the `_total` of a counter.
    pub(super) name: &'static str,
    pub(super) kind: MetricType,
    pub(super) help: &'static str,
    pub(super) value: fn(&AccountMetrics) -> MetricValue,
}

const fn define(
    name: &'static str,
    kind: MetricType,
    help: &'static str,
    of: fn(&AccountMetrics) -> MetricValue,
) -> MetricDefinition {
    MetricDefinition {
        name,
        kind,
        help,
        value: of,
    }
}

/// Everything that is told of every account.
pub(super) const METRICS: &[MetricDefinition] = &[
    // What it has done.
    define(
        "backscroll_requests",
        Counter,
        "Requests that ended, by what became of them",
        requests,
    ),
    define(
        "backscroll_quota_requests_per_second",
        Gauge,
        "The most that are sent",
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
        "Share of the quota that was used, over a minute or so",
        |a| {
            let quota = a.provider.gate().rate_limiter().requests_per_second();
            quota
                .map(|quota| (a.provider.gate().traffic().requests_per_second() / quota).min(1.0))
                .into()
        },
    ),
    define(
        "backscroll_pause_seconds",
        Gauge,
        "How long nothing will be sent, after a 429 or a refusal",
        |a| {
            MetricValue::One(
                a.provider
                    .paused_for()
                    .map_or(0.0, |left| left.as_secs_f64()),
            )
        },
    ),
    define(
        "backscroll_clock_skew_seconds",
        Gauge,
        "How far this machine's clock is from the provider's",
        |a| {
            MetricValue::One(
                a.provider
                    .clock_skew()
                    .map_or(0.0, |skew| skew.as_secs_f64()),
            )
        },
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
        "Those added where everything had been read before",
        |a| a.counters.late.into(),
    ),
    define(
        "backscroll_messages_changed",
        Counter,
        "Messages of which something was learned",
        |a| a.counters.changed.into(),
    ),
    define(
        "backscroll_messages_unreadable",
        Counter,
        "Messages put into quarantine, as often as they came",
        |a| a.counters.unreadable.into(),
    ),
    define(
        "backscroll_windows_sealed",
        Counter,
        "Windows sealed, suspect ones included",
        |a| a.counters.sealed.into(),
    ),
    define(
        "backscroll_windows_suspect",
        Counter,
        "Windows sealed that may not be complete",
        |a| a.counters.suspect.into(),
    ),
    define(
        "backscroll_passes",
        Counter,
        "Passes, by what they were for and how they ended",
        passes,
    ),
    define(
        "backscroll_last_good_pass_timestamp_seconds",
        Gauge,
        "When a pass last ended well, since 1970",
        |a| {
            a.counters
                .last_success_at
                .map(|at| at.0 as f64 / 1000.0)
                .into()
        },
    ),
    define(
        "backscroll_commit_duration_seconds",
        Histogram,
        "How long the database took for each commit",
        |a| MetricValue::Durations(a.counters.commit_times.clone()),
    ),
    define(
        "backscroll_stuck",
        Gauge,
        "Whether nothing has come to its end for too long",
        |a| u64::from(a.counters.stalled_for.is_some()).into(),
    ),
    define(
        "backscroll_held_elsewhere",
        Gauge,
        "Whether another process works on the account",
        |a| u64::from(a.counters.is_leased_elsewhere).into(),
    ),
    // How it stands in the archive.
    define(
        "backscroll_streams",
        Gauge,
        "Streams that are followed",
        |a| a.from_summary(|f| f.streams),
    ),
    define(
        "backscroll_streams_failing",
        Gauge,
        "Streams that could not be fetched when last tried",
        |a| a.from_summary(|f| f.failing_streams),
    ),
    define(
        "backscroll_lag_seconds",
        Gauge,
        "Age of the oldest moment up to which some stream is not complete",
        |a| {
            let complete_to = a.summary.as_ref().and_then(|figures| figures.complete_to);
            complete_to
                .map(|to| (a.provider.now().second().0 - to.0).max(0) as f64)
                .into()
        },
    ),
    define(
        "backscroll_gaps",
        Gauge,
        "Settled ranges that are missing and can still be had",
        |a| a.from_summary(|f| f.missing.len() as u64),
    ),
    define(
        "backscroll_gap_seconds",
        Gauge,
        "What these ranges last, over all streams",
        |a| a.from_summary(AccountSummary::missing_seconds),
    ),
    define(
        "backscroll_lost_seconds",
        Gauge,
        "History lost for good behind the retention edge, over all streams",
        |a| a.from_summary(|f| f.lost_seconds),
    ),
    define(
        "backscroll_suspect_windows",
        Gauge,
        "Sealed windows that may not be complete by now",
        |a| a.from_summary(|f| f.suspect_rows),
    ),
    define(
        "backscroll_quarantined_messages",
        Gauge,
        "Messages that could not be read",
        |a| a.from_summary(|f| f.quarantined),
    ),
    define(
        "backscroll_expiry_seconds",
        Gauge,
        "Time until the oldest that is missing reaches the retention edge",
        |a| {
            a.from_outlook(|ahead| {
                MetricValue::One(a.seconds_until(ahead.and_then(|outlook| outlook.expires_at)))
            })
        },
    ),
    define(
        "backscroll_loss_seconds",
        Gauge,
        "Time until messages will be lost, at the present rate",
        |a| {
            a.from_forecast(|ahead| {
                MetricValue::One(a.seconds_until(ahead.and_then(|outlook| outlook.loss_begins)))
            })
        },
    ),
    define(
        "backscroll_loss_messages",
        Gauge,
        "About how many messages will be lost, at the present rate",
        |a| a.from_forecast(|ahead| ahead.map_or(0, |outlook| outlook.loss.messages).into()),
    ),
];

fn requests(account: &AccountMetrics) -> MetricValue {
    let traffic = account.provider.gate().traffic();
    let by = RequestOutcome::ALL.map(|outcome| {
        (
            vec![("outcome", outcome.name())],
            traffic.completed(outcome) as f64,
        )
    });
    MetricValue::Labelled(by.into())
}

/// Every purpose and ending that there may be, so that the first of them is no news to a query.
fn passes(account: &AccountMetrics) -> MetricValue {
    let refreshes = account.provider.account().refresh_for.is_some();
    let purposes = Purpose::NAMES
        .into_iter()
        .filter(|purpose| refreshes || *purpose != Purpose::Refresh.name());
    let each = purposes.flat_map(|purpose| PassResult::ALL.map(|ending| (purpose, ending)));
    let by = each.map(|(purpose, ending)| {
        let passes = account
            .counters
            .passes
            .get(&(purpose, ending))
            .copied()
            .unwrap_or(0);
        (
            vec![("purpose", purpose), ("ending", ending.name())],
            passes as f64,
        )
    });
    MetricValue::Labelled(by.collect())
}
