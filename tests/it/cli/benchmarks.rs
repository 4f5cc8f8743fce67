//! The benchmarks: a short run, and their own arithmetic.

use std::process::ExitCode;

use backscroll::domain::time::Millis;
use backscroll::sandbox::Call;
use backscroll::sync::simulation::MAX_MESSAGES_PER_SECOND;

use crate::bench;
use crate::bench::quota::expiring_history::{EXPIRY_FACTOR, ExpiringHistory};
use crate::bench::quota::quota_run::share_used;
use crate::bench::quota::sheet::{FigureSheet, FigureUnit};
use crate::bench::report::median;

const NOW: Millis = Millis(1_795_343_200_123);

#[test]
fn short_benchmarks_succeed() {
    for args in [
        &["--messages", "2000", "--runs", "1"][..],
        &[
            "quota",
            "--seconds",
            "1",
            "--only",
            "dense",
            "--ready-after",
            "50ms",
        ],
    ] {
        let args = ["bench"].iter().chain(args).map(std::ffi::OsString::from);
        assert_eq!(bench::main(args), ExitCode::SUCCESS);
    }
}

#[test]
fn median_is_the_middle_figure() {
    let cases = [
        (vec![], 0.0),
        (vec![3.0, 1.0, 2.0], 2.0),
        (vec![4.0, 1.0], 1.0),
    ];
    assert!(
        cases
            .iter()
            .all(|(figures, expected)| median(figures).total_cmp(expected).is_eq())
    );
}

#[test]
fn savable_messages_are_bounded_by_their_number_and_by_the_time_to_fetch_them() {
    let history = ExpiringHistory::new(NOW, 60);
    let rate = f64::from(MAX_MESSAGES_PER_SECOND);
    let savable = |late_s: i64| history.max_savable(NOW.0 + late_s * 1000, rate).round();
    let all = savable(0);
    assert!(
        (all - 30_000.0).abs() < 1.0,
        "as many as can be fetched in time: {all}"
    );
    assert!((savable(30) - 15_000.0).abs() < 1.0, "{}", savable(30));
    assert!(savable(60) <= 0.0 && savable(90) <= 0.0);
    let sparse = ExpiringHistory {
        messages: 600,
        ..history
    };
    let sparse = sparse.max_savable(NOW.0, rate);
    assert!((sparse - 599.0).abs() < 1.0, "{sparse}");
}

#[test]
fn corpus_contains_the_messages_that_expire() {
    let corpus = ExpiringHistory::new(NOW, 1).corpus();
    let lines = corpus
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<serde_json::Value> = lines.collect();
    assert_eq!(lines.len() as u32, MAX_MESSAGES_PER_SECOND * EXPIRY_FACTOR);
    assert_eq!(lines[0]["ts_ms"], NOW.0 - 1000);
    assert!(
        lines
            .iter()
            .all(|line| line["ts_ms"].as_i64().unwrap() < NOW.0)
    );
}

#[test]
fn configuration_gets_the_retention_of_the_history() {
    let sample = "name = \"a\"\nretention = \"4000d\"\nstreams = []";
    let config = ExpiringHistory::new(NOW, 9).with_retention(sample);
    let expected = "name = \"a\"\nretention = \"9s\"\nsettle = \"1s\"\nstreams = []\n";
    assert_eq!(config, expected);
}

#[test]
fn share_used_ends_with_the_last_request_that_is_not_a_read() {
    let at_ten_per_second = |n: i64| (n * 100, if n % 2 == 0 { Call::Query } else { Call::Read });
    let mut requests: Vec<_> = (0..=100).map(at_ten_per_second).collect();
    assert!((share_used(&requests) - 1.0).abs() < 1e-9);
    requests.push((60_000, Call::Read));
    assert!(
        (share_used(&requests) - 1.0).abs() < 1e-9,
        "a slow handle does not count"
    );
    requests.push((20_000, Call::Count));
    assert!(
        (share_used(&requests) - 0.51).abs() < 1e-9,
        "two requests in as long again"
    );
    assert!(share_used(&[]) <= 0.0 && share_used(&[(5, Call::Read)]) <= 0.0);
}

#[test]
fn sheet_shows_medians_of_shares_and_sums_of_broken_rules() {
    let mut sheet = FigureSheet::default();
    for (share, broken) in [(0.9, 0.0), (0.5, 0.0), (0.8, 1.0)] {
        assert!(sheet.has_no_broken_rules());
        sheet.add(
            "a",
            FigureUnit::Share,
            Some(0.95),
            share,
            format!("{broken}"),
        );
        sheet.add("a", FigureUnit::Broken, Some(0.0), broken, String::new());
    }
    assert!(!sheet.has_no_broken_rules());
    let table = sheet.table().to_string();
    let words = |line: &'static str| line.split(' ').collect::<Vec<_>>();
    let lines = table.lines().map(|line| line.split_whitespace().collect());
    let lines: Vec<Vec<&str>> = lines.collect();
    assert_eq!(
        lines[1..],
        [words("a 0.800 0.950 1"), words("… rules broken 1 0")]
    );
}
