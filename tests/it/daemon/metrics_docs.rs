//! The documented metrics, alerts and dashboard match the exported metrics.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::env::wait_until;
use crate::support::http_client::HttpDaemon;
use crate::support::metrics_scrape::{MetricsScrape, env_with_failures};

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
