//! `/metrics`, read with an independent parser, agrees with the archive and with its documentation.

use backscroll::sandbox::{Call, CallFilter, ScriptedAnswer};
use prometheus_parse::Value as Measured;

use crate::support::config::WEB3MQ;
use crate::support::daemon_process::archive_is_ready;
use crate::support::env::{TestEnv, wait_until};
use crate::support::fault_proxy::ProxyAction;
use crate::support::http_client::{ANY_PORT, HttpDaemon, with_web_listener};
use crate::support::metrics_scrape::{MetricsScrape, env_with_failures};

#[test]
fn metrics_equal_the_archive() {
    let (env, proxy) = env_with_failures();
    let server = HttpDaemon::start(&env);
    let ended = "SELECT count(*) FROM runs WHERE finished_at IS NOT NULL";
    wait_until("both passes", || {
        archive_is_ready(&env) && env.query_number(ended) >= 2
    });
    // History that was fetched once, and a range after it that expired.
    env.execute_sql(
        "INSERT INTO sealed_window (stream_id, from_s, to_s, messages, sealed_at_ms)
         SELECT s.id, a.horizon_s - 7200, a.horizon_s - 3600, 0, 0
         FROM account a JOIN stream s ON s.account_id = a.id
         WHERE a.horizon_s IS NOT NULL AND s.error IS NULL
         ORDER BY s.id LIMIT 1",
    );
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

/// Web3MQ's history is wanted from 1970 on, and a lag that counts from there is no measurement.
#[test]
fn lag_has_no_value_while_the_history_is_missing_from_the_beginning() {
    let env = TestEnv::new(&["--messages", "0", "--topic-messages", "20", "--plain"]);
    let env = with_web_listener(env.with_only("web3mq"), ANY_PORT).with_setting_of(
        WEB3MQ,
        "since",
        "1970-01-01T00:00:00Z",
    );
    // One topic is refused, so its history is missing from the beginning.
    let (env, _proxy) = env.behind_proxy(|_, request| {
        let topic = request.parameter("topic").unwrap_or_default();
        if topic.starts_with("group:") {
            ProxyAction::reply(400, "{}")
        } else {
            ProxyAction::Forward
        }
    });
    let server = HttpDaemon::start(&env);
    let account = [("account", "web3mq-1")];
    wait_until("a failed pass", || {
        archive_is_ready(&env)
            && env.query_number("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL") > 0
            && !MetricsScrape::fetch(&server)
                .values("backscroll_gap_seconds", &account)
                .is_empty()
    });
    let scraped = MetricsScrape::fetch(&server);
    assert!(
        scraped
            .values("backscroll_lag_seconds", &account)
            .is_empty()
    );
    assert_eq!(env.query_number("SELECT count(lag_seconds) FROM runs"), 0);
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
