//! What is told of an account.

use std::fmt;
use std::sync::Arc;

use prometheus_client::metrics::MetricType::{self, Counter, Gauge, Histogram};

use super::look::Look;
use crate::domain::time::Second;
use crate::provider::Provider;
use crate::provider::traffic::Outcome;
use crate::store::Figures;
use crate::sync::Purpose;
use crate::sync::deeds::{Deeds, Durations, Ending};
use crate::sync::estimate::Outlook;
use crate::sync::forecast::outlook;

/// An account as it is now.
pub(super) struct Account {
    source: Arc<dyn Provider>,
    deeds: Deeds,
    /// Nothing where the archive does not know it yet, or has not been looked at.
    figures: Option<Figures>,
    /// What becomes of what is missing, and whether that can be foreseen; nothing where nothing is missing that could be
    /// forgotten.
    ahead: Option<(Outlook, bool)>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl Account {
    pub(super) fn of(source: Arc<dyn Provider>, deeds: Deeds, look: Option<&Look>) -> Self {
        let name = &source.account().name;
        let figures = look
            .and_then(|look| look.figures.iter().find(|figures| figures.account == *name))
            .cloned();
        let ahead = figures
            .as_ref()
            .zip(look)
            .and_then(|(figures, look)| outlook(&*source, figures, &look.paces, source.now()));
        Self {
            source,
            deeds,
            figures,
            ahead,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.source.account().name
    }

    pub(super) fn provider(&self) -> &'static str {
        self.source.account().provider
    }

    fn figure(&self, of: impl Fn(&Figures) -> u64) -> Samples {
        self.figures
            .as_ref()
            .map(|figures| of(figures) as f64)
            .into()
    }

    /// How far away a moment is; for ever where there is none.
    fn until(&self, moment: Option<Second>) -> f64 {
        moment.map_or(f64::INFINITY, |moment| {
            (moment.0 - self.source.now().second().0).max(0) as f64
        })
    }

    fn ahead(&self, of: impl Fn(Option<&Outlook>) -> Samples) -> Samples {
        match (&self.figures, &self.ahead) {
            (None, _) => Samples::None,
            (Some(_), ahead) => of(ahead.as_ref().map(|(outlook, _)| outlook)),
        }
    }

    /// The same, where it can be foreseen.
    fn foreseen(&self, of: impl Fn(Option<&Outlook>) -> Samples) -> Samples {
        if matches!(self.ahead, Some((_, false))) {
            Samples::None
        } else {
            self.ahead(of)
        }
    }
}

/// The values of one metric of one account.
pub(super) enum Samples {
    /// It is not known, or there is no such thing.
    None,
    One(f64),
    /// Each under labels of its own.
    By(Vec<(Vec<(&'static str, &'static str)>, f64)>),
    Took(Durations),
}

impl From<u64> for Samples {
    fn from(value: u64) -> Self {
        Self::One(value as f64)
    }
}

impl From<Option<f64>> for Samples {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::None, Self::One)
    }
}

/// One metric.
pub(super) struct Metric {
    /// Without the `_total` of a counter.
    pub(super) name: &'static str,
    pub(super) kind: MetricType,
    pub(super) help: &'static str,
    pub(super) of: fn(&Account) -> Samples,
}

const fn metric(
    name: &'static str,
    kind: MetricType,
    help: &'static str,
    of: fn(&Account) -> Samples,
) -> Metric {
    Metric {
        name,
        kind,
        help,
        of,
    }
}

/// Everything that is told of every account.
pub(super) const METRICS: &[Metric] = &[
    // What it has done.
    metric(
        "backscroll_requests",
        Counter,
        "Requests that ended, by what became of them",
        requests,
    ),
    metric(
        "backscroll_quota_requests_per_second",
        Gauge,
        "The most that are sent",
        |a| a.source.http().budget().rate().into(),
    ),
    metric(
        "backscroll_quota_used_ratio",
        Gauge,
        "Share of the quota that was used, over a minute or so",
        |a| {
            let quota = a.source.http().budget().rate();
            quota
                .map(|quota| (a.source.http().traffic().rate() / quota).min(1.0))
                .into()
        },
    ),
    metric(
        "backscroll_pause_seconds",
        Gauge,
        "How long nothing will be sent, after a 429 or a refusal",
        |a| Samples::One(a.source.paused_for().map_or(0.0, |left| left.as_secs_f64())),
    ),
    metric(
        "backscroll_clock_skew_seconds",
        Gauge,
        "How far this machine's clock is from the provider's",
        |a| Samples::One(a.source.skew().map_or(0.0, |skew| skew.as_secs_f64())),
    ),
    metric(
        "backscroll_messages_new",
        Counter,
        "Messages added to the archive",
        |a| a.deeds.new.into(),
    ),
    metric(
        "backscroll_messages_late",
        Counter,
        "Those added where everything had been read before",
        |a| a.deeds.late.into(),
    ),
    metric(
        "backscroll_messages_changed",
        Counter,
        "Messages of which something was learned",
        |a| a.deeds.changed.into(),
    ),
    metric(
        "backscroll_messages_unreadable",
        Counter,
        "Messages put into quarantine, as often as they came",
        |a| a.deeds.unreadable.into(),
    ),
    metric(
        "backscroll_windows_sealed",
        Counter,
        "Windows sealed, suspect ones included",
        |a| a.deeds.sealed.into(),
    ),
    metric(
        "backscroll_windows_suspect",
        Counter,
        "Windows sealed that may not be complete",
        |a| a.deeds.suspect.into(),
    ),
    metric(
        "backscroll_passes",
        Counter,
        "Passes, by what they were for and how they ended",
        passes,
    ),
    metric(
        "backscroll_last_good_pass_timestamp_seconds",
        Gauge,
        "When a pass last ended well, since 1970",
        |a| a.deeds.last_good.map(|at| at.0 as f64 / 1000.0).into(),
    ),
    metric(
        "backscroll_commit_duration_seconds",
        Histogram,
        "How long the database took for each commit",
        |a| Samples::Took(a.deeds.commits.clone()),
    ),
    metric(
        "backscroll_stuck",
        Gauge,
        "Whether nothing has come to its end for too long",
        |a| u64::from(a.deeds.silent.is_some()).into(),
    ),
    metric(
        "backscroll_held_elsewhere",
        Gauge,
        "Whether another process works on the account",
        |a| u64::from(a.deeds.is_held).into(),
    ),
    // How it stands in the archive.
    metric(
        "backscroll_streams",
        Gauge,
        "Streams that are followed",
        |a| a.figure(|f| f.streams),
    ),
    metric(
        "backscroll_streams_failing",
        Gauge,
        "Streams that could not be fetched when last tried",
        |a| a.figure(|f| f.failing),
    ),
    metric(
        "backscroll_lag_seconds",
        Gauge,
        "Age of the oldest moment up to which some stream is not complete",
        |a| {
            let complete_to = a.figures.as_ref().and_then(|figures| figures.complete_to);
            complete_to
                .map(|to| (a.source.now().second().0 - to.0).max(0) as f64)
                .into()
        },
    ),
    metric(
        "backscroll_gaps",
        Gauge,
        "Settled ranges that are missing and can still be had",
        |a| a.figure(|f| f.missing.len() as u64),
    ),
    metric(
        "backscroll_gap_seconds",
        Gauge,
        "What these ranges last, over all streams",
        |a| a.figure(Figures::missing_seconds),
    ),
    metric(
        "backscroll_lost_seconds",
        Gauge,
        "History lost for good behind the retention edge, over all streams",
        |a| a.figure(|f| f.lost_seconds),
    ),
    metric(
        "backscroll_suspect_windows",
        Gauge,
        "Sealed windows that may not be complete by now",
        |a| a.figure(|f| f.suspect),
    ),
    metric(
        "backscroll_quarantined_messages",
        Gauge,
        "Messages that could not be read",
        |a| a.figure(|f| f.quarantined),
    ),
    metric(
        "backscroll_expiry_seconds",
        Gauge,
        "Time until the oldest that is missing reaches the retention edge",
        |a| a.ahead(|ahead| Samples::One(a.until(ahead.and_then(|outlook| outlook.expires_at)))),
    ),
    metric(
        "backscroll_loss_seconds",
        Gauge,
        "Time until messages will be lost, at the present rate",
        |a| {
            a.foreseen(|ahead| Samples::One(a.until(ahead.and_then(|outlook| outlook.loss_begins))))
        },
    ),
    metric(
        "backscroll_loss_messages",
        Gauge,
        "About how many messages will be lost, at the present rate",
        |a| a.foreseen(|ahead| ahead.map_or(0, |outlook| outlook.loss.messages).into()),
    ),
];

fn requests(account: &Account) -> Samples {
    let traffic = account.source.http().traffic();
    let by = Outcome::ALL.map(|outcome| {
        (
            vec![("outcome", outcome.name())],
            traffic.ended(outcome) as f64,
        )
    });
    Samples::By(by.into())
}

/// Every purpose and ending that there may be, so that the first of them is no news to a query.
fn passes(account: &Account) -> Samples {
    let refreshes = account.source.account().refresh_for.is_some();
    let purposes = Purpose::NAMES
        .into_iter()
        .filter(|purpose| refreshes || *purpose != Purpose::Refresh.why());
    let each = purposes.flat_map(|purpose| Ending::ALL.map(|ending| (purpose, ending)));
    let by = each.map(|(purpose, ending)| {
        let passes = account
            .deeds
            .passes
            .get(&(purpose, ending))
            .copied()
            .unwrap_or(0);
        (
            vec![("purpose", purpose), ("ending", ending.name())],
            passes as f64,
        )
    });
    Samples::By(by.collect())
}
