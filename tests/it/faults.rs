//! What passes: a provider that stumbles is asked again, and in the end everything is there.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backscroll::sandbox::{Fault, On, Scripted};

use crate::bed::Bed;
use crate::middleman::{Asked, Middleman, Verdict};

const EVERY_CALL: [On; 4] = [On::Query, On::Read, On::Count, On::History];
const FEW: [&str; 4] = ["--messages", "60", "--topic-messages", "60"];

/// Each of these once, for each kind of request; after the credentials were tried, which is the first request.
#[track_caller]
fn recovers_from(answers: &[(u16, &str)]) -> Bed {
    let bed = Bed::new(&FEW);
    for (n, (status, body)) in (1..).zip(answers) {
        for on in EVERY_CALL {
            bed.script(Scripted {
                on,
                status: *status,
                body: (*body).to_owned(),
                after: n,
                ..Scripted::default()
            });
        }
    }
    bed.archives_the_truth();
    assert_eq!(bed.world().script().waiting(), 0, "every answer was given");
    bed
}

#[test]
fn a_server_that_fails_is_asked_again() {
    recovers_from(&[(500, ""), (502, "<html>Bad Gateway</html>"), (503, "{}")]);
}

#[test]
fn a_408_is_a_failure_that_passes() {
    recovers_from(&[(408, r#"{"result":"failed"}"#)]);
}

#[test]
fn a_page_of_html_under_200_is_no_empty_history() {
    let bed = recovers_from(&[(200, "<!DOCTYPE html><title>Please log in</title>")]);
    assert_eq!(
        bed.number("SELECT CAST(sum(errors) AS INTEGER) FROM runs"),
        0,
        "a garbled answer passes unnoticed"
    );
}

#[test]
fn json_that_breaks_off_is_no_empty_history() {
    recovers_from(&[(
        200,
        r#"{"result":"success","code":"ok","count":0,"messages":[{"src":"#,
    )]);
}

#[test]
fn an_empty_body_is_no_empty_history() {
    recovers_from(&[(200, "")]);
}

#[test]
fn a_result_of_failed_under_200_is_no_empty_history() {
    let bed = Bed::new(&FEW).only("agora");
    // Four times in a row is more than is borne at once; the next pass takes it up.
    for (on, times) in [(On::Query, 1), (On::Read, 1), (On::Count, 40)] {
        let body = r#"{"result":"failed","code":"busy","reason":"come back later","count":0,"messages":[]}"#.to_owned();
        bed.script(Scripted {
            on,
            body,
            after: 1,
            times,
            ..Scripted::default()
        });
    }
    bed.archives_the_truth();
    let errors: Vec<(Option<String>,)> = bed.rows("SELECT last_error FROM runs WHERE errors > 0");
    assert!(
        errors.iter().any(|(error,)| error
            .as_ref()
            .unwrap()
            .ends_with("failed with busy: come back later")),
        "{errors:?}"
    );
}

#[test]
fn a_dead_handle_starts_the_page_anew() {
    for status in [404, 410] {
        let bed = Bed::new(&FEW).only("agora");
        bed.script(Scripted {
            on: On::Read,
            status,
            times: 3,
            ..Scripted::default()
        });
        bed.archives_the_truth();
        let total = bed.assert_no_rule_broken();
        assert_eq!(
            total.query, total.read,
            "each reading was of a handle of its own: {total:?}"
        );
        assert_eq!(
            bed.number("SELECT CAST(sum(errors) AS INTEGER) FROM runs"),
            0
        );
    }
}

#[test]
fn a_count_in_progress_is_asked_for_again_and_a_query_in_progress_made_again() {
    let bed = Bed::new(&FEW).only("agora");
    for on in [On::Count, On::Query] {
        let body = r#"{"result":"success","code":"in progress"}"#.to_owned();
        bed.script(Scripted {
            on,
            body,
            after: 1,
            times: 2,
            ..Scripted::default()
        });
    }
    bed.archives_the_truth();
}

#[test]
fn a_connection_that_drops_is_made_again() {
    let bed = Bed::new(&FEW);
    for on in EVERY_CALL {
        bed.script(Scripted {
            on,
            fault: Some(Fault::Cut),
            after: 1,
            times: 2,
            ..Scripted::default()
        });
    }
    bed.archives_the_truth();
}

#[test]
fn an_answer_that_breaks_off_half_way_is_asked_for_again() {
    let bed = Bed::new(&FEW);
    let (bed, middleman) = bed.meddled(once_in(4, || {
        Verdict::Cut(r#"{"result":"success","code":"ok","messages":["#)
    }));
    bed.archives_the_truth();
    assert!(middleman.seen().len() > 8);
}

#[test]
fn an_answer_that_is_not_utf_8_is_not_taken() {
    let bed = Bed::new(&FEW);
    let latin = b"{\"result\":\"success\",\"code\":\"ok\",\"count\":0,\"messages\":[],\"note\":\"caf\xE9\"}";
    let (bed, middleman) = bed.meddled(once_in(30, || Verdict::Say(200, &[], latin.to_vec())));
    bed.archives_the_truth();
    assert!(middleman.seen().len() > 30, "one of them was in Latin-1");
}

#[test]
fn a_redirect_is_no_answer_and_passes() {
    recovers_from(&[(302, "")]);
}

#[test]
fn a_429_that_says_how_long_is_obeyed() {
    let bed = Bed::new(&["--requests-per-second", "50"]).only("agora");
    let (bed, middleman) = bed.meddled(nth(6, || {
        Verdict::Say(429, &[("retry-after", "2")], b"{}".to_vec())
    }));
    bed.archives_the_truth();
    assert_quiet_after(&middleman, 6, Duration::from_millis(1950));
    bed.assert_no_rule_broken();
}

#[test]
fn a_429_that_says_nothing_more_is_followed_by_a_pause() {
    let bed = Bed::new(&["--requests-per-second", "50"]).only("web3mq");
    let (bed, middleman) = bed.meddled(nth(6, || {
        Verdict::say(429, r#"{"code":429,"msg":"too many requests"}"#)
    }));
    bed.archives_the_truth();
    assert_quiet_after(&middleman, 6, Duration::from_millis(950));
    bed.assert_no_rule_broken();
}

#[test]
fn one_account_that_is_told_to_wait_holds_up_no_other() {
    let bed = Bed::new(&FEW);
    bed.script(Scripted {
        on: On::Count,
        status: 429,
        headers: [("Retry-After".to_owned(), "3600".to_owned())].into(),
        ..Scripted::default()
    });
    let ran = bed.sync().lacking();
    assert!(
        bed.number("SELECT count(*) FROM archive WHERE account = 'web3mq-1'") > 50,
        "{ran:?}"
    );
    assert_eq!(
        bed.sandbox.rules().accounts["sandbox"].requests(),
        1,
        "{ran:?}"
    );

    // The hour outlasts the process.
    let again = bed
        .sync()
        .lacking()
        .says("waits out a penalty for another 35");
    assert_eq!(
        bed.sandbox.rules().accounts["sandbox"].requests(),
        1,
        "{again:?}"
    );
    bed.run(&["check"]).good();
    bed.archives_the_truth();
}

#[test]
fn a_clock_that_is_a_day_off_loses_nothing_and_seals_nothing_to_come() {
    for skew in ["1d", "-1d"] {
        let bed = Bed::new(&["--clock-skew", skew]);
        bed.archives_the_truth();
        // The very first request is signed by the clock that is wrong, since nobody has said so yet.
        let total = bed.sandbox.rules().total;
        assert_eq!((total.broken(), total.unauthorised), (1, 1), "{total:?}");
        assert_eq!(
            bed.number("SELECT CAST(sum(errors) AS INTEGER) FROM runs"),
            0,
            "{skew}"
        );
        let now = bed.world().now();
        // By an answer's `Date` the clock is known to the second.
        let settled = now.second().0 - 120 + 1;
        assert_eq!(
            bed.number(&format!(
                "SELECT count(*) FROM sealed_window WHERE to_s > {settled}"
            )),
            0,
            "{skew}"
        );
        assert!(
            bed.number("SELECT min(to_s) FROM (SELECT max(to_s) AS to_s FROM sealed_window GROUP BY stream_id)")
                > settled - 60
        );
        bed.run(&["check"])
            .good()
            .says("but this machine's clock is 86");
    }
}

/// Every `n`th request is answered so, but not the first of an account, and never the same one twice in a row.
fn once_in(
    n: u32,
    verdict: impl Fn() -> Verdict + Send + Sync + 'static,
) -> impl Fn(&backscroll::sandbox::World, &Asked) -> Verdict + Send + Sync + 'static {
    let count = AtomicU32::new(0);
    move |_, _| {
        if count.fetch_add(1, Ordering::Relaxed) % n == n - 1 {
            verdict()
        } else {
            Verdict::Pass
        }
    }
}

/// The `n`th request is answered so.
fn nth(
    n: u32,
    verdict: impl Fn() -> Verdict + Send + Sync + 'static,
) -> impl Fn(&backscroll::sandbox::World, &Asked) -> Verdict + Send + Sync + 'static {
    let count = AtomicU32::new(0);
    move |_, _| {
        if count.fetch_add(1, Ordering::Relaxed) + 1 == n {
            verdict()
        } else {
            Verdict::Pass
        }
    }
}

/// After the `n`th request there was silence, but for what was on its way.
#[track_caller]
fn assert_quiet_after(middleman: &Middleman, n: usize, pause: Duration) {
    const ON_ITS_WAY: Duration = Duration::from_millis(300);
    let seen = middleman.seen();
    let since: Vec<Duration> = seen[n..]
        .iter()
        .map(|asked| asked.at.saturating_duration_since(seen[n - 1].at))
        .collect();
    assert!(
        since.iter().any(|&since| since >= pause),
        "the account went on after the pause: {since:?}"
    );
    assert!(
        !since
            .iter()
            .any(|since| (ON_ITS_WAY..pause).contains(since)),
        "{since:?}"
    );
}
