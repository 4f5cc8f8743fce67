//! `/metrics`, in the Prometheus text format.
//!
//! All metrics are per account and none per stream, because there may be ten thousand streams.
//! Counters are kept in memory; archive values are a few seconds old (see [`cache`]).
//! `docs/METRICS.md` explains each metric and what to do about it.

mod account;
pub(super) mod cache;
mod definitions;
mod process;

use std::fmt;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use self::account::{AccountMetrics, MetricValue};
use self::cache::MetricsSnapshot;
use self::definitions::METRICS;
use self::process::{SingleMetric, process_metrics};
use super::sources::StatusSources;
use super::state::AppStateExtractor;
use crate::domain::alarm::AlarmKind;

const ALARM_HELP: &str = "Number of active alarms of this kind; account and provider are empty \
                          for alarms of the archive";

/// Renders all metrics.
pub(super) async fn render_metrics(State(state): AppStateExtractor) -> Response {
    let current = state.current();
    let latest = current.metrics.latest().await;
    let mut registry = Registry::default();
    let scrape = Scrape::new(&current.sources, &latest);
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    if let Err(fmt::Error) = prometheus_text::encode(&mut text, &registry) {
        let error = "the metrics could not be encoded\n";
        return (StatusCode::INTERNAL_SERVER_ERROR, error).into_response();
    }
    ([(CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], text).into_response()
}

/// The values of one scrape.
#[derive(Debug)]
struct Scrape {
    accounts: Vec<AccountMetrics>,
    singles: Vec<SingleMetric>,
    /// The account (`None` for the archive) and kind of each active alarm.
    alarms: Vec<(Option<String>, AlarmKind)>,
}

impl Scrape {
    fn new(sources: &StatusSources, latest: &MetricsSnapshot) -> Self {
        let archive = latest.archive.as_deref();
        let accounts = sources.progress.counters().into_iter();
        let mut singles = archive_metrics(latest).to_vec();
        singles.extend(process_metrics());
        let stored = archive.map(|archive| archive.alarms.clone());
        let alarms = sources.monitor.active_alarms(stored.unwrap_or_default());
        Self {
            accounts: accounts
                .map(|(provider, counters)| AccountMetrics::new(provider, counters, archive))
                .collect(),
            singles,
            alarms: alarms
                .iter()
                .map(|alarm| (alarm.subject.account.clone(), alarm.subject.kind))
                .collect(),
        }
    }

    /// Encodes every kind for every account and for the archive, so that a series exists before its
    /// first alarm.
    fn encode_alarms(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = MetricType::Gauge;
        let mut metric = out.encode_descriptor("backscroll_alarm", ALARM_HELP, None, kind)?;
        for account in &self.accounts {
            let [name, provider] = account.labels();
            for kind in AlarmKind::ALL {
                if !kind.concerns_archive() {
                    let labels = [name, provider, ("kind", kind.name())];
                    let count = self.count_alarms(Some(account.name()), kind);
                    metric.encode_family(&labels)?.encode_gauge(&count)?;
                }
            }
        }
        for kind in AlarmKind::ALL {
            if kind.concerns_archive() {
                let labels = [("account", ""), ("provider", ""), ("kind", kind.name())];
                let count = self.count_alarms(None, kind);
                metric.encode_family(&labels)?.encode_gauge(&count)?;
            }
        }
        Ok(())
    }

    fn count_alarms(&self, account: Option<&str>, kind: AlarmKind) -> u64 {
        let matches = |(of, alarm_kind): &&(Option<String>, AlarmKind)| {
            of.as_deref() == account && *alarm_kind == kind
        };
        self.alarms.iter().filter(matches).count() as u64
    }
}

impl Collector for Scrape {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        let mut info = out.encode_descriptor(
            "backscroll_build_info",
            "Always 1; the label is the running version",
            None,
            MetricType::Gauge,
        )?;
        info.encode_family(&build)?.encode_gauge(&1_u64)?;
        for (name, kind, help, value) in &self.singles {
            if let Some(value) = value {
                let mut encoder = out.encode_descriptor(name, help, None, *kind)?;
                encode_sample(&mut encoder, *kind, *value)?;
            }
        }
        for metric in METRICS {
            let mut encoder = out.encode_descriptor(metric.name, metric.help, None, metric.kind)?;
            for account in &self.accounts {
                let value = (metric.value)(account);
                encode_value(&mut encoder, &account.labels(), metric.kind, value)?;
            }
        }
        self.encode_alarms(&mut out)
    }
}

fn encode_value(
    encoder: &mut MetricEncoder<'_>,
    labels: &[(&'static str, &str); 2],
    kind: MetricType,
    value: MetricValue,
) -> fmt::Result {
    match value {
        MetricValue::None => Ok(()),
        MetricValue::One(value) => encode_sample(&mut encoder.encode_family(labels)?, kind, value),
        MetricValue::Labelled(samples) => {
            for (more, value) in samples {
                let labels = JoinedLabels(labels, &more);
                encode_sample(&mut encoder.encode_family(&labels)?, kind, value)?;
            }
            Ok(())
        }
        MetricValue::Durations(durations) => {
            let buckets: Vec<(f64, u64)> = durations.buckets().collect();
            let (sum, count) = (durations.sum.as_secs_f64(), durations.count());
            encoder
                .encode_family(labels)?
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        }
    }
}

fn encode_sample(encoder: &mut MetricEncoder<'_>, kind: MetricType, value: f64) -> fmt::Result {
    match kind {
        MetricType::Counter => encoder.encode_counter::<NoLabelSet, f64, f64>(&value, None),
        _ => encoder.encode_gauge(&value),
    }
}

/// The labels of an account, and additional labels.
struct JoinedLabels<'a>(
    &'a [(&'static str, &'a str); 2],
    &'a [(&'static str, &'static str)],
);

impl EncodeLabelSet for JoinedLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)?;
        self.1.encode(encoder)
    }
}

/// The metrics of the archive as a whole.
fn archive_metrics(latest: &MetricsSnapshot) -> [SingleMetric; 3] {
    let archive = latest.archive.as_ref();
    let up = latest.is_up.map(|is_up| f64::from(u8::from(is_up)));
    let age = archive.map(|archive| archive.taken_at.elapsed().as_secs_f64());
    let bytes = archive.map(|archive| archive.bytes as f64);
    let gauge = MetricType::Gauge;
    [
        (
            "backscroll_archive_up",
            gauge,
            "1 if the database answered the last query, otherwise 0",
            up,
        ),
        (
            "backscroll_archive_age_seconds",
            gauge,
            "Age of the values that are read from the archive",
            age,
        ),
        (
            "backscroll_archive_bytes",
            gauge,
            "Size of the archive on disk",
            bytes,
        ),
    ]
}
