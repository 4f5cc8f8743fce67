//! `/metrics`, in the text format of Prometheus.
//!
//! All figures are of accounts, and none of streams: of those there may be ten thousand. What the daemon has done itself it
//! remembers; what only the archive knows is a few seconds old ([`look`]). `docs/METRICS.md` tells what to do
//! about each of them.

mod account;
mod cache;
mod process;

use std::fmt;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use self::account::{AccountMetrics, METRICS, MetricValue};
pub(super) use self::cache::MetricsCache;
use self::cache::MetricsSnapshot;
use self::process::{SingleMetric, process_metrics};
use super::{AppStateExtractor, StatusSources};
use crate::domain::alarm::AlarmKind;

/// All metrics, as they are now.
pub(super) async fn render_metrics(State(desk): AppStateExtractor) -> Response {
    let shown = desk.sources();
    let seen = shown.metrics.latest().await;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape::new(&shown, &seen)));
    let mut text = String::new();
    match prometheus_text::encode(&mut text, &registry) {
        Ok(()) => ([(CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], text).into_response(),
        Err(fmt::Error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be written\n",
        )
            .into_response(),
    }
}

/// What is told at one scrape.
#[derive(Debug)]
struct Scrape {
    accounts: Vec<AccountMetrics>,
    singles: Vec<SingleMetric>,
    /// Which alarms stand: of which account, or of none, and of which kind.
    alarms: Vec<(Option<String>, AlarmKind)>,
}

impl Scrape {
    fn new(shown: &StatusSources, seen: &MetricsSnapshot) -> Self {
        let look = seen.archive.as_deref();
        let accounts = shown
            .progress
            .counters()
            .into_iter()
            .map(|(provider, deeds)| AccountMetrics::new(provider, deeds, look));
        let alarms = look
            .map(|look| look.alarms.iter().map(|alarm| &alarm.subject))
            .into_iter()
            .flatten();
        Self {
            accounts: accounts.collect(),
            singles: archive_metrics(seen)
                .into_iter()
                .chain(process_metrics())
                .collect(),
            alarms: alarms
                .map(|subject| (subject.account.clone(), subject.kind))
                .collect(),
        }
    }

    /// Every kind of every account, and of the archive itself, so that one that begins is no news to a query.
    fn encode_alarms(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric =
            out.encode_descriptor("backscroll_alarm", ALARM_HELP, None, MetricType::Gauge)?;
        let none = ("", "");
        let subjects = self
            .accounts
            .iter()
            .map(|account| (account.name(), account.provider_name()))
            .chain([none]);
        for (name, provider) in subjects {
            for kind in AlarmKind::ALL
                .into_iter()
                .filter(|kind| kind.concerns_archive() == name.is_empty())
            {
                let stands = |(account, of): &&(Option<String>, AlarmKind)| {
                    *of == kind && account.as_deref().unwrap_or_default() == name
                };
                let labels = [
                    ("account", name),
                    ("provider", provider),
                    ("kind", kind.name()),
                ];
                let stand = self.alarms.iter().filter(stands).count() as u64;
                metric.encode_family(&labels)?.encode_gauge(&stand)?;
            }
        }
        Ok(())
    }
}

const ALARM_HELP: &str = "How many alarms of this kind stand; account and provider are empty where the archive is concerned";

impl Collector for Scrape {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        let mut info = out.encode_descriptor(
            "backscroll_build_info",
            "Always 1; what runs",
            None,
            MetricType::Gauge,
        )?;
        info.encode_family(&build)?.encode_gauge(&1_u64)?;
        for (name, kind, help, value) in &self.singles {
            if let Some(value) = value {
                encode_sample(
                    &mut out.encode_descriptor(name, help, None, *kind)?,
                    *kind,
                    *value,
                )?;
            }
        }
        for metric in METRICS {
            let mut encoder = out.encode_descriptor(metric.name, metric.help, None, metric.kind)?;
            for account in &self.accounts {
                let labels = [
                    ("account", account.name()),
                    ("provider", account.provider_name()),
                ];
                encode_samples(&mut encoder, &labels, metric.kind, (metric.value)(account))?;
            }
        }
        self.encode_alarms(&mut out)
    }
}

fn encode_samples(
    encoder: &mut MetricEncoder<'_>,
    labels: &[(&'static str, &str); 2],
    kind: MetricType,
    samples: MetricValue,
) -> fmt::Result {
    match samples {
        MetricValue::None => Ok(()),
        MetricValue::One(value) => encode_sample(&mut encoder.encode_family(labels)?, kind, value),
        MetricValue::Labelled(more) => more.into_iter().try_for_each(|(more, value)| {
            encode_sample(
                &mut encoder.encode_family(&JoinedLabels(labels, &more))?,
                kind,
                value,
            )
        }),
        MetricValue::Durations(durations) => {
            let classes: Vec<(f64, u64)> = durations.buckets().collect();
            let (sum, count) = (durations.sum.as_secs_f64(), durations.count());
            encoder
                .encode_family(labels)?
                .encode_histogram::<NoLabelSet>(sum, count, &classes, None)
        }
    }
}

fn encode_sample(encoder: &mut MetricEncoder<'_>, kind: MetricType, value: f64) -> fmt::Result {
    match kind {
        MetricType::Counter => encoder.encode_counter::<NoLabelSet, f64, f64>(&value, None),
        _ => encoder.encode_gauge(&value),
    }
}

/// An account's labels and some more.
struct JoinedLabels<'a>(
    &'a [(&'static str, &'a str); 2],
    &'a [(&'static str, &'static str)],
);

impl EncodeLabelSet for JoinedLabels<'_> {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelSetEncoder<'_>,
    ) -> fmt::Result {
        self.0.encode(encoder)?;
        self.1.encode(encoder)
    }
}

/// Of the archive as a whole.
fn archive_metrics(seen: &MetricsSnapshot) -> [SingleMetric; 3] {
    let up = seen.is_up.map(|is_well| f64::from(u8::from(is_well)));
    let age = seen
        .archive
        .as_ref()
        .map(|look| look.taken_at.elapsed().as_secs_f64());
    let bytes = seen.archive.as_ref().map(|look| look.bytes as f64);
    let gauge = MetricType::Gauge;
    [
        (
            "backscroll_archive_up",
            gauge,
            "Whether the database answered when it was last asked",
            up,
        ),
        (
            "backscroll_archive_age_seconds",
            gauge,
            "How old the figures are that only the archive knows",
            age,
        ),
        (
            "backscroll_archive_bytes",
            gauge,
            "What the archive takes on disk",
            bytes,
        ),
    ]
}
