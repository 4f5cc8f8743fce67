//! Transient failures: requests are retried until everything is archived.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backscroll::sandbox::{Call, CallFilter, Fault, ScriptedAnswer};

use crate::support::env::TestEnv;
use crate::support::fault_proxy::{FaultProxy, ProxiedRequest, ProxyAction};

const EVERY_CALL: [CallFilter; 4] = [
    CallFilter::Only(Call::Query),
    CallFilter::Only(Call::Read),
    CallFilter::Only(Call::Count),
    CallFilter::Only(Call::History),
];
const FEW: [&str; 4] = ["--messages", "60", "--topic-messages", "60"];

/// Answers each kind of request once with each of these responses, after the first request, which
/// checks the credentials.
#[track_caller]
fn recovers_from(answers: &[(u16, &str)]) -> TestEnv {
    let env = TestEnv::new(&FEW);
    for (n, (status, body)) in (1..).zip(answers) {
        for on in EVERY_CALL {
            env.script_answer(ScriptedAnswer {
                on,
                status: *status,
                body: (*body).to_owned(),
                after: n,
                ..ScriptedAnswer::default()
            });
        }
    }
    env.assert_sync_archives_truth();
    assert_eq!(
        env.world().script().pending(),
        0,
        "every scripted response was used"
    );
    env
}

#[test]
fn status_5xx_is_retried() {
    recovers_from(&[(500, ""), (502, "<html>Bad Gateway</html>"), (503, "{}")]);
}

#[test]
fn status_408_is_transient() {
    recovers_from(&[(408, r#"{"result":"failed"}"#)]);
}

#[test]
fn html_with_status_200_is_not_an_empty_history() {
    let env = recovers_from(&[(200, "<!DOCTYPE html><title>Please log in</title>")]);
    assert_eq!(
        env.query_number("SELECT CAST(sum(errors) AS INTEGER) FROM runs"),
        0,
        "a transient failure is not reported"
    );
}

#[test]
fn truncated_json_is_not_an_empty_history() {
    recovers_from(&[(
        200,
        r#"{"result":"success","code":"ok","count":0,"messages":[{"src":"#,
    )]);
}

#[test]
fn empty_body_is_not_an_empty_history() {
    recovers_from(&[(200, "")]);
}

#[test]
fn failed_result_with_status_200_is_not_an_empty_history() {
    let env = TestEnv::new(&FEW).with_only("agora");
    // Four failures in a row exceed the retries of a pass; the next pass continues.
    for (on, times) in [
        (CallFilter::Only(Call::Query), 1),
        (CallFilter::Only(Call::Read), 1),
        (CallFilter::Only(Call::Count), 40),
    ] {
        let body = r#"{"result":"failed","code":"busy","reason":"come back later","count":0,"messages":[]}"#.to_owned();
        env.script_answer(ScriptedAnswer {
            on,
            body,
            after: 1,
            times,
            ..ScriptedAnswer::default()
        });
    }
    env.assert_sync_archives_truth();
    let errors: Vec<(Option<String>,)> =
        env.query_rows("SELECT last_error FROM runs WHERE errors > 0");
    assert!(
        errors.iter().any(|(error,)| error
            .as_ref()
            .unwrap()
            .ends_with("failed with busy: come back later")),
        "{errors:?}"
    );
}

#[test]
fn dead_handle_restarts_the_page() {
    for status in [404, 410] {
        let env = TestEnv::new(&FEW).with_only("agora");
        env.script_answer(ScriptedAnswer {
            on: CallFilter::Only(Call::Read),
            status,
            times: 3,
            ..ScriptedAnswer::default()
        });
        env.assert_sync_archives_truth();
        let total = env.assert_no_rule_broken();
        assert_eq!(
            total.query, total.read,
            "each read used its own handle: {total:?}"
        );
        assert_eq!(
            env.query_number("SELECT CAST(sum(errors) AS INTEGER) FROM runs"),
            0
        );
    }
}

#[test]
fn count_and_query_in_progress_are_retried() {
    let env = TestEnv::new(&FEW).with_only("agora");
    for on in [CallFilter::Only(Call::Count), CallFilter::Only(Call::Query)] {
        let body = r#"{"result":"success","code":"in progress"}"#.to_owned();
        env.script_answer(ScriptedAnswer {
            on,
            body,
            after: 1,
            times: 2,
            ..ScriptedAnswer::default()
        });
    }
    env.assert_sync_archives_truth();
}

#[test]
fn dropped_connection_is_reopened() {
    let env = TestEnv::new(&FEW);
    for on in EVERY_CALL {
        env.script_answer(ScriptedAnswer {
            on,
            fault: Some(Fault::Cut),
            after: 1,
            times: 2,
            ..ScriptedAnswer::default()
        });
    }
    env.assert_sync_archives_truth();
}

#[test]
fn truncated_response_is_retried() {
    let env = TestEnv::new(&FEW);
    let (env, proxy) = env.behind_proxy(answer_changed_once(4, || {
        ProxyAction::Cut(r#"{"result":"success","code":"ok","messages":["#)
    }));
    env.assert_sync_archives_truth();
    assert!(proxy.requests().len() > 8);
}

#[test]
fn response_that_is_not_utf_8_is_rejected() {
    let env = TestEnv::new(&FEW);
    let latin = b"{\"result\":\"success\",\"code\":\"ok\",\"count\":0,\"messages\":[],\"note\":\"caf\xE9\"}";
    let (env, proxy) = env.behind_proxy(answer_changed_once(30, || {
        ProxyAction::Reply(200, &[], latin.to_vec())
    }));
    env.assert_sync_archives_truth();
    assert!(proxy.requests().len() > 30, "one response was in Latin-1");
}

#[test]
fn redirect_is_a_transient_failure() {
    recovers_from(&[(302, "")]);
}

#[test]
fn retry_after_of_a_429_is_obeyed() {
    let env = TestEnv::new(&["--requests-per-second", "50"]).with_only("agora");
    let (env, proxy) = env.behind_proxy(nth_request(6, || {
        ProxyAction::Reply(429, &[("retry-after", "2")], b"{}".to_vec())
    }));
    env.assert_sync_archives_truth();
    assert_quiet_after(&proxy, 6, Duration::from_millis(1950));
    env.assert_no_rule_broken();
}

#[test]
fn status_429_without_retry_after_causes_a_pause() {
    let env = TestEnv::new(&["--requests-per-second", "50"]).with_only("web3mq");
    let (env, proxy) = env.behind_proxy(nth_request(6, || {
        ProxyAction::reply(429, r#"{"code":429,"msg":"too many requests"}"#)
    }));
    env.assert_sync_archives_truth();
    assert_quiet_after(&proxy, 6, Duration::from_millis(950));
    env.assert_no_rule_broken();
}

#[test]
fn rate_limited_account_delays_no_other() {
    let env = TestEnv::new(&FEW);
    env.script_answer(ScriptedAnswer {
        on: CallFilter::Only(Call::Count),
        status: 429,
        headers: [("Retry-After".to_owned(), "3600".to_owned())].into(),
        ..ScriptedAnswer::default()
    });
    let output = env.sync().assert_incomplete();
    assert!(
        env.query_number("SELECT count(*) FROM archive WHERE account = 'web3mq-1'") > 50,
        "{output:?}"
    );
    assert_eq!(
        env.sandbox.rules().accounts["sandbox"].requests(),
        1,
        "{output:?}"
    );

    // The pause of an hour outlives the process.
    let again = env
        .sync()
        .assert_incomplete()
        .assert_prints("is paused for another 35");
    assert_eq!(
        env.sandbox.rules().accounts["sandbox"].requests(),
        1,
        "{again:?}"
    );
    env.run(&["check"]).assert_ok();
    env.assert_sync_archives_truth();
}

#[test]
fn local_clock_a_day_off_seals_nothing_in_the_future() {
    for skew in ["1d", "-1d"] {
        let env = TestEnv::new(&["--clock-skew", skew]);
        env.assert_sync_archives_truth();
        // The first request is signed with the wrong clock, since no response has corrected it yet.
        let total = env.sandbox.rules().total;
        assert_eq!(
            (total.violations(), total.unauthorised),
            (1, 1),
            "{total:?}"
        );
        assert_eq!(
            env.query_number("SELECT CAST(sum(errors) AS INTEGER) FROM runs"),
            0,
            "{skew}"
        );
        let now = env.world().now();
        // The `Date` header gives the clock to the second.
        let settled = now.second().0 - 120 + 1;
        assert_eq!(
            env.query_number(&format!(
                "SELECT count(*) FROM sealed_window WHERE to_s > {settled}"
            )),
            0,
            "{skew}"
        );
        assert!(
            env.query_number("SELECT min(to_s) FROM (SELECT max(to_s) AS to_s FROM sealed_window GROUP BY stream_id)")
                > settled - 60
        );
        let side = if skew == "1d" { "behind" } else { "ahead of" };
        let said = env.run(&["check"]).assert_ok().stdout;
        let day = ["1d", "23h 59m"].map(|day| format!("clock is {day} {side} the provider's"));
        assert!(day.iter().any(|words| said.contains(words)), "{said}");
    }
}

/// Answers every `n`th request so, except an account's first one, and never the same request twice
/// in a row.
fn answer_changed_once(
    n: u32,
    verdict: impl Fn() -> ProxyAction + Send + Sync + 'static,
) -> impl Fn(&backscroll::sandbox::World, &ProxiedRequest) -> ProxyAction + Send + Sync + 'static {
    let count = AtomicU32::new(0);
    move |_, _| {
        if count.fetch_add(1, Ordering::Relaxed) % n == n - 1 {
            verdict()
        } else {
            ProxyAction::Forward
        }
    }
}

/// Answers the `n`th request so.
fn nth_request(
    n: u32,
    verdict: impl Fn() -> ProxyAction + Send + Sync + 'static,
) -> impl Fn(&backscroll::sandbox::World, &ProxiedRequest) -> ProxyAction + Send + Sync + 'static {
    let count = AtomicU32::new(0);
    move |_, _| {
        if count.fetch_add(1, Ordering::Relaxed) + 1 == n {
            verdict()
        } else {
            ProxyAction::Forward
        }
    }
}

/// Panics unless a pause follows the `n`th request, except for requests in flight.
#[track_caller]
fn assert_quiet_after(proxy: &FaultProxy, n: usize, pause: Duration) {
    const ON_ITS_WAY: Duration = Duration::from_millis(300);
    let seen = proxy.requests();
    let since: Vec<Duration> = seen[n..]
        .iter()
        .map(|request| request.at.saturating_duration_since(seen[n - 1].at))
        .collect();
    assert!(
        since.iter().any(|&since| since >= pause),
        "the account continued after the pause: {since:?}"
    );
    assert!(
        !since
            .iter()
            .any(|since| (ON_ITS_WAY..pause).contains(since)),
        "{since:?}"
    );
}
