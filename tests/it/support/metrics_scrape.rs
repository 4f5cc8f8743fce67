//! A scrape of `/metrics`, read with an independent parser.

use std::collections::{BTreeMap, BTreeSet};

use prometheus_parse::{Sample, Scrape, Value as Measured};

use crate::support::config::{AGORA, TestConfig};
use crate::support::env::TestEnv;
use crate::support::fault_proxy::ProxyAction;
use crate::support::http_client::{ANY_PORT, HttpDaemon, with_web_listener};

/// The samples of one scrape.
pub(crate) struct MetricsScrape {
    pub(crate) text: String,
    pub(crate) samples: Vec<Sample>,
}

impl MetricsScrape {
    pub(crate) fn fetch(server: &HttpDaemon) -> Self {
        let answer = server.get("/metrics");
        assert_eq!(answer.status, 200, "{answer:#?}");
        assert!(
            answer
                .headers
                .contains("content-type: text/plain; version=0.0.4"),
            "{answer:#?}"
        );
        let scrape = Scrape::parse(answer.body.lines().map(|line| Ok(line.to_owned()))).unwrap();
        Self {
            text: answer.body,
            samples: scrape.samples,
        }
    }

    /// The values of a metric with these labels.
    pub(crate) fn values(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let is_it = |sample: &&Sample| {
            sample.metric == name
                && labels
                    .iter()
                    .all(|(label, value)| sample.labels.get(label) == Some(value))
        };
        let value = |sample: &Sample| match sample.value {
            Measured::Counter(value) | Measured::Gauge(value) | Measured::Untyped(value) => value,
            ref other => panic!("{name} is {other:?}"),
        };
        self.samples.iter().filter(is_it).map(value).collect()
    }

    /// The sum of the values of a metric with these labels.
    #[track_caller]
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let values = self.values(name, labels);
        assert!(
            !values.is_empty(),
            "no {name} under {labels:?} in\n{}",
            self.text
        );
        values.iter().sum()
    }

    /// Every metric, with its type and its labels.
    pub(crate) fn metrics(&self) -> BTreeMap<String, (String, BTreeSet<String>)> {
        let kinds = self
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let mut metrics: BTreeMap<String, (String, BTreeSet<String>)> = kinds
            .map(|(name, kind)| (name.to_owned(), (kind.to_owned(), BTreeSet::new())))
            .collect();
        for line in self.text.lines().filter(|line| !line.starts_with('#')) {
            let (series, _) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| {
                name.strip_suffix(part).filter(|base| {
                    metrics
                        .get(*base)
                        .is_some_and(|known| known.0 == "histogram")
                })
            });
            let (_, known) = metrics
                .get_mut(family.unwrap_or(name))
                .unwrap_or_else(|| panic!("no TYPE of {name}"));
            let labels = labels
                .trim_end_matches('}')
                .split("\",")
                .filter_map(|label| Some(label.split_once("=\"")?.0));
            known.extend(labels.map(str::to_owned));
        }
        metrics
    }
}

/// An environment with an unparsable message and a refused stream, whose wanted history begins
/// before the providers' retention.
pub(crate) fn env_with_failures() -> (TestEnv, crate::support::fault_proxy::FaultProxy) {
    let flags = ["--messages", "400", "--topic-messages", "300", "--plain"];
    let env = with_web_listener(TestEnv::new(&flags), ANY_PORT).with_setting_of(
        AGORA,
        "since",
        "2012-01-01T00:00:00Z",
    );
    env.append_message(
        "lobby",
        "this one is garbled",
        std::time::Duration::from_hours(5),
    );
    let refused = first_source(env.config());
    env.behind_proxy(move |_, request| match request.endpoint() {
        "count" | "query" if request.parameter("source").as_ref() == Some(&refused) => {
            ProxyAction::reply(400, "{}")
        }
        "read" => ProxyAction::rewrite_json(|answer| {
            for message in answer["messages"].as_array_mut().into_iter().flatten() {
                if message["payload"] == "this one is garbled" {
                    *message = serde_json::json!({ "src": "alice", "surprise": [1, 2] });
                }
            }
        }),
        _ => ProxyAction::Forward,
    })
}

/// The sender of the first stream that names one.
pub(crate) fn first_source(config: &TestConfig) -> String {
    let accounts = config.accounts(AGORA);
    let streams = accounts.filter_map(|account| account["streams"].as_array());
    let sources = streams
        .flatten()
        .filter_map(|stream| stream.get("source")?.as_str());
    sources
        .map(str::to_owned)
        .next()
        .expect("a stream of a sender")
}
