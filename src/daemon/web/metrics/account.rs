//! The metrics of an account.

use std::fmt;
use std::sync::Arc;

use super::cache::ArchiveFigures;
use crate::domain::time::{Second, UNBOUNDED_HISTORY_S};
use crate::provider::Provider;
use crate::store::AccountSummary;
use crate::sync::counters::{DurationHistogram, SyncCounters};
use crate::sync::forecast::account_outlook;
use crate::sync::forecast::model::BacklogOutlook;

/// The current values of an account.
pub(super) struct AccountMetrics {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) counters: SyncCounters,
    /// `None` if the archive does not have the account yet, or has not been read.
    summary: Option<AccountSummary>,
    /// The forecast for the missing history, and true if it is based on enough data; `None` if
    /// nothing is missing that could expire.
    outlook: Option<(BacklogOutlook, bool)>,
}

impl fmt::Debug for AccountMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountMetrics")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl AccountMetrics {
    /// Combines the counters of an account with the values of the archive, if they were read.
    pub(super) fn new(
        provider: Arc<dyn Provider>,
        counters: SyncCounters,
        archive: Option<&ArchiveFigures>,
    ) -> Self {
        let name = &provider.account().name;
        let summary = archive.and_then(|archive| archive.account(name));
        let outlook = archive.zip(summary).and_then(|(archive, summary)| {
            account_outlook(&*provider, summary, &archive.rates, provider.now())
        });
        Self {
            summary: summary.cloned(),
            outlook,
            counters,
            provider,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.provider.account().name
    }

    pub(super) fn provider_name(&self) -> &'static str {
        self.provider.account().provider.name()
    }

    /// Returns the labels of every metric of the account.
    pub(super) fn labels(&self) -> [(&'static str, &str); 2] {
        [("account", self.name()), ("provider", self.provider_name())]
    }

    /// Returns a value of the archive's summary; no value if there is no summary.
    pub(super) fn summary_value(&self, value: impl Fn(&AccountSummary) -> u64) -> MetricValue {
        let summary = self.summary.as_ref();
        summary.map(|summary| value(summary) as f64).into()
    }

    /// Returns the seconds until a moment; infinite for `None`.
    fn seconds_until(&self, moment: Option<Second>) -> f64 {
        moment.map_or(f64::INFINITY, |moment| {
            (moment.0 - self.provider.now().second().0).max(0) as f64
        })
    }

    /// Returns the seconds from a moment until now.
    fn seconds_since(&self, moment: Second) -> f64 {
        (self.provider.now().second().0 - moment.0).max(0) as f64
    }

    /// Returns the lag of the stream that is furthest behind; no value while a stream lacks its
    /// history from the beginning, whose age is not known.
    pub(super) fn lag(&self) -> MetricValue {
        let complete_to = self
            .summary
            .as_ref()
            .and_then(|summary| summary.complete_to);
        complete_to
            .map(|moment| self.seconds_since(moment))
            .filter(|seconds| *seconds <= UNBOUNDED_HISTORY_S as f64)
            .into()
    }

    /// Returns the time until the oldest missing range reaches the retention edge.
    pub(super) fn time_until_expiry(&self) -> MetricValue {
        if self.summary.is_none() {
            return MetricValue::None;
        }
        let outlook = self.outlook.as_ref().map(|(outlook, _)| outlook);
        MetricValue::One(self.seconds_until(outlook.and_then(|outlook| outlook.expires_at)))
    }

    /// Returns the time until messages expire unfetched; no value without enough data.
    pub(super) fn time_until_loss(&self) -> MetricValue {
        if !self.can_forecast() {
            return MetricValue::None;
        }
        let outlook = self.outlook.as_ref().map(|(outlook, _)| outlook);
        MetricValue::One(self.seconds_until(outlook.and_then(|outlook| outlook.loss_begins)))
    }

    /// Returns the number of messages that will expire unfetched; no value without enough data.
    pub(super) fn messages_to_lose(&self) -> MetricValue {
        if !self.can_forecast() {
            return MetricValue::None;
        }
        let outlook = self.outlook.as_ref().map(|(outlook, _)| outlook);
        outlook.map_or(0, |outlook| outlook.loss.messages).into()
    }

    /// True if the archive was read, and has enough data for a forecast.
    fn can_forecast(&self) -> bool {
        self.summary.is_some() && !matches!(self.outlook, Some((_, false)))
    }
}

/// The values of one metric of one account.
pub(super) enum MetricValue {
    /// The value is unknown or does not apply.
    None,
    /// A value without additional labels.
    One(f64),
    /// Values with additional labels.
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
