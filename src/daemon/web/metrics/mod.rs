//! `/metrics`, in the text format of Prometheus.
//!
//! All figures are of accounts, and none of streams: of those there may be ten thousand. What the daemon has done itself it
//! remembers; what only the archive knows is a few seconds old ([`look`]). `docs/METRICS.md` tells what to do
//! about each of them.

mod account;
mod look;
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

use self::account::{Account, METRICS, Samples};
pub(super) use self::look::Looks;
use self::look::Seen;
use self::process::{Single, process};
use super::{Asked, Shown};
use crate::domain::alarm::Kind;

/// All metrics, as they are now.
pub(super) async fn metrics(State(desk): Asked) -> Response {
    let shown = desk.shown();
    let seen = shown.figures.latest().await;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape::of(&shown, &seen)));
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
    accounts: Vec<Account>,
    singles: Vec<Single>,
    /// Which alarms stand: of which account, or of none, and of which kind.
    alarms: Vec<(Option<String>, Kind)>,
}

impl Scrape {
    fn of(shown: &Shown, seen: &Seen) -> Self {
        let look = seen.look.as_deref();
        let accounts = shown
            .progress
            .deeds()
            .into_iter()
            .map(|(provider, deeds)| Account::of(provider, deeds, look));
        let alarms = look
            .map(|look| look.alarms.iter().map(|alarm| &alarm.subject))
            .into_iter()
            .flatten();
        Self {
            accounts: accounts.collect(),
            singles: archive(seen).into_iter().chain(process()).collect(),
            alarms: alarms
                .map(|subject| (subject.account.clone(), subject.kind))
                .collect(),
        }
    }

    /// Every kind of every account, and of the archive itself, so that one that begins is no news to a query.
    fn encode_alarms(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric =
            out.encode_descriptor("backscroll_alarm", ALARM, None, MetricType::Gauge)?;
        let none = ("", "");
        let subjects = self
            .accounts
            .iter()
            .map(|account| (account.name(), account.provider()))
            .chain([none]);
        for (name, provider) in subjects {
            for kind in Kind::ALL
                .into_iter()
                .filter(|kind| kind.is_of_archive() == name.is_empty())
            {
                let stands = |(account, of): &&(Option<String>, Kind)| {
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

const ALARM: &str = "How many alarms of this kind stand; account and provider are empty where the archive is concerned";

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
                sample(
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
                    ("provider", account.provider()),
                ];
                samples(&mut encoder, &labels, metric.kind, (metric.of)(account))?;
            }
        }
        self.encode_alarms(&mut out)
    }
}

fn samples(
    encoder: &mut MetricEncoder<'_>,
    labels: &[(&'static str, &str); 2],
    kind: MetricType,
    samples: Samples,
) -> fmt::Result {
    match samples {
        Samples::None => Ok(()),
        Samples::One(value) => sample(&mut encoder.encode_family(labels)?, kind, value),
        Samples::By(more) => more.into_iter().try_for_each(|(more, value)| {
            sample(
                &mut encoder.encode_family(&With(labels, &more))?,
                kind,
                value,
            )
        }),
        Samples::Took(durations) => {
            let classes: Vec<(f64, u64)> = durations.classes().collect();
            let (sum, count) = (durations.sum.as_secs_f64(), durations.count());
            encoder
                .encode_family(labels)?
                .encode_histogram::<NoLabelSet>(sum, count, &classes, None)
        }
    }
}

fn sample(encoder: &mut MetricEncoder<'_>, kind: MetricType, value: f64) -> fmt::Result {
    match kind {
        MetricType::Counter => encoder.encode_counter::<NoLabelSet, f64, f64>(&value, None),
        _ => encoder.encode_gauge(&value),
    }
}

/// An account's labels and some more.
struct With<'a>(
    &'a [(&'static str, &'a str); 2],
    &'a [(&'static str, &'static str)],
);

impl EncodeLabelSet for With<'_> {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelSetEncoder<'_>,
    ) -> fmt::Result {
        self.0.encode(encoder)?;
        self.1.encode(encoder)
    }
}

/// Of the archive as a whole.
fn archive(seen: &Seen) -> [Single; 3] {
    let up = seen.is_well.map(|is_well| f64::from(u8::from(is_well)));
    let age = seen
        .look
        .as_ref()
        .map(|look| look.at.elapsed().as_secs_f64());
    let bytes = seen.look.as_ref().map(|look| look.bytes as f64);
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
