//! `/metrics`, read with an independent parser, agrees with the archive and with its documentation.

use std::collections::{BTreeMap, BTreeSet};

use backscroll::sandbox::{Call, CallFilter, ScriptedAnswer};
use prometheus_parse::{Sample, Scrape, Value as Measured};
use serde_json::Value;

use crate::support::config::{AGORA, TestConfig};
use crate::support::daemon_process::archive_is_ready;
use crate::support::env::{TestEnv, wait_until};
use crate::support::fault_proxy::ProxyAction;
use crate::support::http_client::{ANY_PORT, HttpDaemon, with_web_listener};

/// The samples of one scrape.
struct MetricsScrape {
    text: String,
    samples: Vec<Sample>,
}

impl MetricsScrape {
    fn fetch(server: &HttpDaemon) -> Self {
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
    fn values(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
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
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let values = self.values(name, labels);
        assert!(
            !values.is_empty(),
            "no {name} under {labels:?} in\n{}",
            self.text
        );
        values.iter().sum()
    }

    /// Every metric, with its type and its labels.
    fn metrics(&self) -> BTreeMap<String, (String, BTreeSet<String>)> {
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
fn env_with_failures() -> (TestEnv, crate::support::fault_proxy::FaultProxy) {
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
fn first_source(config: &TestConfig) -> String {
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

#[test]
fn metrics_equal_the_archive() {
    let (env, proxy) = env_with_failures();
    let server = HttpDaemon::start(&env);
    let ended = "SELECT count(*) FROM runs WHERE finished_at IS NOT NULL";
    wait_until("both passes", || {
        archive_is_ready(&env) && env.query_number(ended) >= 2
    });
    // Values cached before the passes ended are replaced soon.
    let lost =
        "SELECT coalesce(sum(unixepoch(to_at) - unixepoch(from_at)), 0) FROM gaps WHERE lost";
    wait_until("a refreshed cache", || {
        MetricsScrape::fetch(&server).sum("backscroll_lost_seconds", &[]) as i64
            == env.query_number(lost)
            && MetricsScrape::fetch(&server).sum("backscroll_streams_failing", &[]) as i64 == 1
            && MetricsScrape::fetch(&server).sum("backscroll_quarantined_messages", &[]) as i64 == 1
    });
    let scraped = MetricsScrape::fetch(&server);
    assert!(env.query_number(lost) > 0);
    for (metric, sql) in [
        ("backscroll_messages_new_total", "SELECT count(*) FROM archive"),
        ("backscroll_messages_changed_total", "SELECT sum(changed) FROM runs"),
        ("backscroll_messages_late_total", "SELECT 0"),
        ("backscroll_windows_sealed_total", "SELECT sum(windows) FROM runs"),
        ("backscroll_requests_total", "SELECT sum(requests) FROM runs"),
        ("backscroll_passes_total", "SELECT count(*) FROM runs"),
        ("backscroll_streams", "SELECT count(*) FROM stream WHERE active"),
        ("backscroll_streams_failing", "SELECT count(error) FROM stream"),
        ("backscroll_suspect_windows", "SELECT count(doubt) FROM sealed_window"),
        ("backscroll_gaps", "SELECT count(*) FROM gaps WHERE NOT lost AND reason NOT LIKE 'fetched%'"),
        (
            "backscroll_gap_seconds",
            "SELECT sum(min(unixepoch(g.to_at), a.settled_s) - unixepoch(g.from_at))
             FROM gaps g JOIN account a ON a.name = g.account WHERE NOT lost AND unixepoch(g.from_at) < a.settled_s",
        ),
    ] {
        assert_eq!(scraped.sum(metric, &[]) as i64, env.query_number(sql), "{metric}");
    }
    let of = |account: &str| format!("SELECT count(*) FROM archive WHERE account = '{account}'");
    for account in ["sandbox", "web3mq-1"] {
        let new = scraped.sum("backscroll_messages_new_total", &[("account", account)]);
        assert_eq!(new as i64, env.query_number(&of(account)), "{account}");
    }
    let answered = scraped.sum("backscroll_requests_total", &[("outcome", "answered")]);
    let refused = scraped.sum("backscroll_requests_total", &[("outcome", "refused")]);
    assert!(refused >= 1.0, "{}", scraped.text);
    assert_eq!((answered + refused) as usize, proxy.requests().len());
    assert_eq!(
        scraped.values(
            "backscroll_passes_total",
            &[("purpose", "sync"), ("ending", "provider_failed")]
        ),
        [1.0, 0.0]
    );
    assert_eq!(
        scraped.values(
            "backscroll_passes_total",
            &[("purpose", "sync"), ("ending", "good")]
        ),
        [0.0, 1.0]
    );
    // The refused stream lacks its whole history.
    let lag = scraped.sum("backscroll_lag_seconds", &[("account", "sandbox")]);
    assert!((lag - 4000.0 * 86_400.0).abs() < 300.0, "{lag}");
    assert!(scraped.sum("backscroll_expiry_seconds", &[("account", "sandbox")]) < 300.0);
    assert_eq!(
        scraped.values("backscroll_expiry_seconds", &[("account", "web3mq-1")]),
        [f64::INFINITY]
    );
    assert!(scraped.sum("backscroll_lag_seconds", &[("account", "web3mq-1")]) < 300.0);
    assert!(
        scraped.sum("backscroll_archive_bytes", &[]) as u64
            >= std::fs::metadata(env.archive_path()).unwrap().len()
    );
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.daemon.0.id())).unwrap();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .unwrap();
    let resident = resident.parse::<f64>().unwrap() * 1024.0;
    let said = scraped.sum("process_resident_memory_bytes", &[]);
    assert!((said / resident - 1.0).abs() < 0.2, "{said} and {resident}");
    server.stop();
}

#[test]
fn pause_and_quota_use_are_exported() {
    let flags = [
        "--messages",
        "300",
        "--topic-messages",
        "0",
        "--requests-per-second",
        "20",
        "--plain",
    ];
    let env = with_web_listener(TestEnv::new(&flags).with_only("agora"), ANY_PORT);
    let told = ScriptedAnswer {
        on: CallFilter::Only(Call::Count),
        status: 429,
        after: 8,
        ..ScriptedAnswer::default()
    };
    env.script_answer(ScriptedAnswer {
        headers: [("retry-after".to_owned(), "300".to_owned())].into(),
        ..told
    });
    let server = HttpDaemon::start(&env);
    wait_until("the penalty", || {
        MetricsScrape::fetch(&server).sum("backscroll_pause_seconds", &[]) > 200.0
    });
    let scraped = MetricsScrape::fetch(&server);
    assert_eq!(
        scraped.values("backscroll_requests_total", &[("outcome", "throttled")]),
        [1.0]
    );
    let quota = scraped.sum("backscroll_quota_requests_per_second", &[]);
    assert!((19.0..20.0).contains(&quota), "{quota}");
    let (used, sent) = (
        scraped.sum("backscroll_quota_used_ratio", &[]),
        env.sandbox.rules().total.requests() as f64,
    );
    let over_a_minute = sent / (quota * 60.0);
    assert!(
        used > 0.0 && used <= over_a_minute && used > over_a_minute / 2.0,
        "{used} of {over_a_minute}"
    );
    server.stop();
}

#[test]
fn commit_durations_are_a_histogram() {
    let env = with_web_listener(
        TestEnv::new(&["--messages", "300", "--topic-messages", "0"]).with_only("agora"),
        ANY_PORT,
    );
    let server = HttpDaemon::start(&env);
    wait_until("a pass", || {
        MetricsScrape::fetch(&server)
            .values("backscroll_passes_total", &[("ending", "good")])
            .contains(&1.0)
    });
    let scraped = MetricsScrape::fetch(&server);
    let count = scraped.sum("backscroll_commit_duration_seconds_count", &[]);
    assert!(count >= 1.0 && scraped.sum("backscroll_commit_duration_seconds_sum", &[]) > 0.0);
    let histogram = scraped
        .samples
        .iter()
        .find(|sample| sample.metric == "backscroll_commit_duration_seconds")
        .unwrap();
    let Measured::Histogram(classes) = &histogram.value else {
        panic!("{histogram:?}")
    };
    assert!(
        classes.is_sorted_by(|a, b| a.less_than < b.less_than && a.count <= b.count),
        "{classes:?}"
    );
    let last = classes.last().unwrap();
    assert_eq!((last.less_than, last.count), (f64::INFINITY, count));
    server.stop();
}

#[test]
fn active_alarms_are_counted_by_kind() {
    let env = with_web_listener(
        TestEnv::new(&["--messages", "50", "--topic-messages", "0"]).with_only("agora"),
        ANY_PORT,
    );
    env.sync().assert_ok();
    env.execute_sql(
        "INSERT INTO alarm (account, stream, kind, since_ms, until_ms, text, hint) VALUES
         ('sandbox', 'destination=lobby', 'silent', 1, NULL, 'says nothing', ''),
         ('sandbox', 'source=alice', 'silent', 1, NULL, 'says nothing', ''),
         ('sandbox', '', 'parked', 1, 2, 'is over', ''), ('', '', 'disk', 1, NULL, 'is nearly full', '')",
    );
    let server = HttpDaemon::start(&env);
    let scraped = MetricsScrape::fetch(&server);
    let stands =
        |account, kind| scraped.values("backscroll_alarm", &[("account", account), ("kind", kind)]);
    assert_eq!(
        (stands("sandbox", "silent"), stands("sandbox", "parked")),
        (vec![2.0], vec![0.0])
    );
    assert_eq!(
        (stands("", "disk"), stands("", "archive")),
        (vec![1.0], vec![0.0])
    );
    server.stop();
}

#[test]
fn documented_metrics_equal_exported_metrics() {
    let (env, _middleman) = env_with_failures();
    let server = HttpDaemon::start(&env);
    let has_all = |scraped: &MetricsScrape| {
        scraped.sum("backscroll_passes_total", &[]) >= 2.0
            && !scraped.values("backscroll_lag_seconds", &[]).is_empty()
    };
    wait_until("both passes", || has_all(&MetricsScrape::fetch(&server)));
    let metrics = MetricsScrape::fetch(&server).metrics();
    server.stop();

    let manual = include_str!("../../../docs/METRICS.md");
    let rows = manual
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let mut told = BTreeMap::new();
    for (name, rest) in rows.filter(|(name, _)| !name.starts_with('/')) {
        let cells: Vec<&str> = rest.split('|').map(str::trim).collect();
        let labels = cells[1]
            .split(", ")
            .filter(|label| *label != "–")
            .map(|label| label.trim_matches('`').to_owned());
        assert!(
            cells[2].len() > 10 && cells[3].len() > 3,
            "{name}: meaning and remedy are documented"
        );
        told.insert(
            name.to_owned(),
            (cells[0].to_owned(), labels.collect::<BTreeSet<String>>()),
        );
    }
    let mut known = metrics;
    for (_, labels) in known.values_mut() {
        labels.remove("le");
    }
    assert_eq!(told, known);
    for name in known.keys() {
        let unit = ["_seconds", "_bytes", "_ratio", "_total", "_info"]
            .iter()
            .any(|unit| name.ends_with(unit));
        assert!(
            unit || name.starts_with("backscroll_") || name.ends_with("_fds"),
            "{name}"
        );
    }
    let alerts = include_str!("../../../docs/alerts.yml")
        .split("- alert: ")
        .skip(1)
        .map(alert);
    assert_names_exist("docs/alerts.yml", &alerts.collect::<Vec<_>>(), &known);
    let dashboard =
        serde_json::from_str(include_str!("../../../docs/grafana/backscroll.json")).unwrap();
    assert_names_exist("docs/grafana/backscroll.json", &panels(&dashboard), &known);
}

/// A Prometheus expression and the labels that are used of its result.
type Question = (String, BTreeSet<String>);

/// Returns the expression of a rule and the labels in its texts.
fn alert(rule: &str) -> Question {
    let expr = rule
        .lines()
        .find_map(|line| line.trim().strip_prefix("expr: "))
        .unwrap_or_else(|| panic!("{rule}"));
    let named = rule
        .split("$labels.")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next());
    (expr.to_owned(), named.map(str::to_owned).collect())
}

/// Returns the expressions and labels of a dashboard's panels and variables.
fn panels(dashboard: &Value) -> Vec<Question> {
    let targets = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    let request = targets.map(|target| {
        let legend = target["legendFormat"].as_str().unwrap();
        let named = legend
            .split("{{")
            .skip(1)
            .filter_map(|rest| rest.split("}}").next())
            .map(str::to_owned);
        (target["expr"].as_str().unwrap().to_owned(), named.collect())
    });
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let variables = variables.filter_map(|variable| {
        let (metric, label) = variable["query"]["query"]
            .as_str()?
            .strip_prefix("label_values(")?
            .split_once(", ")?;
        Some((
            metric.to_owned(),
            [label.trim_end_matches(')').to_owned()].into(),
        ))
    });
    request.chain(variables).collect()
}

/// Panics unless the metrics and labels that a file uses exist.
fn assert_names_exist(
    file: &str,
    questions: &[Question],
    known: &BTreeMap<String, (String, BTreeSet<String>)>,
) {
    assert!(questions.len() > 12, "{file}: {questions:#?}");
    let mut request = BTreeSet::new();
    for (question, named) in questions {
        let words = question.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let names =
            words.filter(|word| word.starts_with("backscroll_") || word.starts_with("process_"));
        // Prometheus itself adds the last two labels and the metric `up`.
        let mut labels: BTreeSet<&str> = ["le", "job", "instance"].into();
        let before = request.len();
        request.extend(question.starts_with("up{").then_some((question, "up")));
        for name in names {
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|part| name.strip_suffix(part));
            let name = base
                .filter(|base| known.contains_key(*base))
                .unwrap_or(name);
            let metric = known
                .get(name)
                .unwrap_or_else(|| panic!("{file}: there is no {name}"));
            labels.extend(metric.1.iter().map(String::as_str));
            request.insert((question, name));
        }
        assert!(request.len() > before, "{file}: {question}");
        for label in labels_in(question)
            .into_iter()
            .chain(named.iter().map(String::as_str))
        {
            assert!(labels.contains(label), "{file}: no `{label}`: {question}");
        }
    }
    let metrics: BTreeSet<&str> = request.iter().map(|(_, name)| *name).collect();
    assert!(metrics.len() > 10, "{file}: {metrics:?}");
}

/// Returns the labels of an expression: those in braces and those after `by` or `on`.
fn labels_in(question: &str) -> BTreeSet<&str> {
    let matched = question
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next());
    let matched = matched
        .flat_map(|inside| inside.split(','))
        .filter_map(|one| one.split(['=', '!']).next());
    let grouped = ["by (", "on (", "by(", "on("];
    let grouped = grouped
        .iter()
        .flat_map(|word| question.split(word).skip(1))
        .filter_map(|rest| rest.split(')').next());
    let all = matched.chain(grouped.flat_map(|inside| inside.split(',')));
    all.map(str::trim)
        .filter(|label| !label.is_empty())
        .collect()
}

#[test]
fn labels_of_a_query_are_extracted() {
    let found = labels_in(
        r#"sum by (account, kind) (rate(x{ending!="good", job=~"$job"}[5m])) / on(provider) y"#,
    );
    assert_eq!(
        found,
        ["account", "ending", "job", "kind", "provider"].into()
    );
}
