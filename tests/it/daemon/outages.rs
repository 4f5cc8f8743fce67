//! Outages of whole accounts, whatever the provider calls them, and clocks that are set meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backscroll::alerts::{AlarmMonitor, CheckScope};
use backscroll::config::{Config, UsedSecrets};
use backscroll::daemon::Ticks;
use backscroll::domain::alarm::{Alarm, AlarmKind};
use backscroll::domain::clock::{Clock, SystemClock, TimerClock};
use backscroll::domain::time::Millis;
use backscroll::sandbox::{Call, CallFilter, Fault, ScriptedAnswer};
use backscroll::store::{AlarmLog, Archive, IfMissing, SqliteStore};
use backscroll::sync::Engine;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::env::TestEnv;
use crate::support::http_client::{ANY_PORT, HttpDaemon, with_web_listener};
use crate::support::passes::SYNC;
use crate::support::paused_clock::paused_runtime;
use crate::support::sandbox_providers::{sandbox_providers, unreachable_providers};
use crate::support::stepped_clock::SteppedClock;

fn always(answer: ScriptedAnswer) -> ScriptedAnswer {
    ScriptedAnswer {
        times: u32::MAX,
        ..answer
    }
}

fn status_answer(status: u16, body: &str) -> ScriptedAnswer {
    always(ScriptedAnswer {
        status,
        body: body.to_owned(),
        ..ScriptedAnswer::default()
    })
}

/// A way in which all accounts fail.
#[derive(Clone, Debug)]
enum Outage {
    Answers(Vec<ScriptedAnswer>),
    /// Nothing listens at the provider's address.
    Unreachable,
}

/// The ways in which a whole account fails, each with a part of the text that names its cause.
fn dead_accounts() -> Vec<(Outage, &'static str)> {
    let gone = r#"{"message":"no such project"}"#;
    let fault = |fault| {
        vec![always(ScriptedAnswer {
            fault: Some(fault),
            ..ScriptedAnswer::default()
        })]
    };
    let expired = |call, body: &str| ScriptedAnswer {
        on: CallFilter::Only(call),
        ..status_answer(200, body)
    };
    let rate_limited = |status| ScriptedAnswer {
        headers: BTreeMap::from([("Retry-After".to_owned(), "1".to_owned())]),
        ..status_answer(status, r#"{"message":"slow down"}"#)
    };
    let agora = r#"{"result":"failed","code":"expired","reason":"the key is expired"}"#;
    let web3mq = r#"{"code":3001,"msg":"the key is expired","data":null}"#;
    let expired = vec![
        expired(Call::Count, agora),
        expired(Call::Query, agora),
        expired(Call::History, web3mq),
    ];
    let answers = [
        (
            vec![status_answer(404, gone)],
            "404 Not Found: no such project",
        ),
        (
            vec![status_answer(400, gone)],
            "400 Bad Request: no such project",
        ),
        (fault(Fault::Html), "a web page"),
        (fault(Fault::Redirect), "redirect"),
        (expired, "the key is expired"),
        (vec![status_answer(200, "")], "the answer is empty"),
        (vec![rate_limited(429)], "429 Too Many Requests: slow down"),
        (vec![rate_limited(403)], "403 Forbidden: slow down"),
    ];
    let answers = answers.map(|(answers, cause)| (Outage::Answers(answers), cause));
    let unreachable = (Outage::Unreachable, "cannot connect");
    answers.into_iter().chain([unreachable]).collect()
}

/// Lets an account fail, after a pass that works or from the beginning. Returns the alarms that are
/// active two passes and four minutes after the first failure, and the environment.
fn alarms_of_dead_account(outage: &Outage, worked_before: bool) -> (TestEnv, Vec<Alarm>) {
    let env = TestEnv::new(&["--messages", "40", "--topic-messages", "40"]);
    let alarms = env.block_on(async {
        let store = SqliteStore::open(&env.archive_path(), IfMissing::Create).await;
        let store = Arc::new(store.unwrap());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let timer = Arc::new(SteppedClock::new(SystemClock));
        let providers = sandbox_providers(&env);
        let monitor = AlarmMonitor::new(store.clone(), providers.clone(), clock.clone(), None);
        let monitor = monitor.unwrap().with_timer(timer.clone());
        let mut engine = Engine::new(providers, store.clone(), &clock);
        let stop = CancellationToken::new();
        let pass = async |engine: &mut Engine| {
            let mut failed = 0;
            for account in engine.accounts() {
                monitor.pass_begins(account.name());
                let outcome = account.pass(SYNC, &stop).await;
                monitor.pass_ends(account.name(), &outcome);
                failed += usize::from(outcome.unwrap().account_failure().is_some());
            }
            monitor.check(CheckScope::History).await;
            failed
        };
        if worked_before {
            assert_eq!(pass(&mut engine).await, 0);
        }
        match outage {
            Outage::Answers(answers) => {
                for answer in answers {
                    env.script_answer(answer.clone());
                }
            }
            Outage::Unreachable => {
                let providers = unreachable_providers(&env);
                engine = Engine::new(providers, store.clone(), &clock);
            }
        }
        // For a few seconds a pass may ask nothing, since totals are kept in memory.
        let begun = Instant::now();
        while pass(&mut engine).await < 2 && begun.elapsed() < Duration::from_secs(30) {}
        assert_eq!(store.active_alarms().await.unwrap(), [], "it may be short");
        timer.step(240_000);
        pass(&mut engine).await;
        let alarms = store.active_alarms().await.unwrap();
        store.close().await;
        alarms
    });
    (env, alarms)
}

#[test]
fn a_dead_account_raises_an_alarm_in_the_words_of_the_cause() {
    let cases: Vec<_> = dead_accounts()
        .into_iter()
        .flat_map(|case| [(case.clone(), false), (case, true)])
        .collect();
    std::thread::scope(|scope| {
        for ((outage, cause), worked_before) in cases {
            scope.spawn(move || {
                let (env, alarms) = alarms_of_dead_account(&outage, worked_before);
                let found: Vec<_> = alarms
                    .iter()
                    .map(|alarm| (alarm.subject.account.as_deref(), alarm.subject.kind))
                    .collect();
                let failing = AlarmKind::Failing;
                let both = [(Some("sandbox"), failing), (Some("web3mq-1"), failing)];
                assert_eq!(found.len(), 2, "{cause}: {alarms:#?}");
                assert!(both.iter().all(|one| found.contains(one)), "{found:?}");
                for alarm in &alarms {
                    let text = &alarm.text;
                    assert!(text.contains(cause), "{cause}: {text}");
                    assert!(!text.contains("others can"), "{text}");
                }
                let status = env.run(&["status"]).assert_ok();
                let status = status.assert_prints(cause).assert_prints("failing");
                if !worked_before {
                    status.assert_prints("(none yet)");
                }
                let json = env.run(&["status", "--json"]).assert_ok().stdout;
                let streams: Vec<Value> = serde_json::from_str(&json).unwrap();
                for stream in streams {
                    let error = stream["account_error"].as_str().unwrap_or_default();
                    assert!(error.contains(cause), "{stream:#}");
                    let looked_at = stream["looked_at"].as_str();
                    assert!(looked_at.is_none_or(|at| at > "2000"), "{stream:#}");
                }
            });
        }
    });
}

#[test]
fn a_failing_account_recovers_by_itself() {
    let env = TestEnv::new(&["--messages", "40", "--topic-messages", "40"]).with_only("agora");
    env.script_answer(status_answer(404, "{}"));
    env.sync().assert_incomplete().assert_prints("404");
    assert_eq!(
        env.query_number("SELECT count(*) FROM account WHERE error LIKE '%404%'"),
        1
    );
    env.world().script().clear();
    env.assert_sync_archives_truth();
    assert_eq!(
        env.query_number("SELECT count(*) FROM account WHERE error IS NOT NULL"),
        0
    );
    let status = env.run(&["status"]).assert_ok().stdout;
    assert!(!status.contains("nothing can be fetched"), "{status}");
}

#[test]
fn the_headline_of_the_page_is_the_worst_alarm() {
    let env = TestEnv::new(&["--messages", "40", "--topic-messages", "40"]);
    let env = with_web_listener(env, ANY_PORT);
    env.sync().assert_ok();
    for (kind, text) in [
        ("lost", "gone"),
        ("disk", "no space left"),
        ("stuck", "odd"),
    ] {
        env.execute_sql(&format!(
            "INSERT INTO alarm (account, stream, kind, since_ms, text, hint, notified)
             VALUES ('', '', '{kind}', 0, '{text}', 'act', 2)"
        ));
    }
    let server = HttpDaemon::start(&env);
    let page = server.get("/").body;
    let (_, rest) = page.split_once("<h1>").unwrap();
    let (headline, _) = rest.split_once("</h1>").unwrap();
    assert_eq!(
        headline,
        "Action needed: the archive: no space left (and 2 other issues)"
    );
    server.stop();
}

#[test]
fn ticks_follow_the_wall_clock_through_steps_in_both_directions() {
    const MINUTE_MS: i64 = 60_000;
    let env = TestEnv::without_messages(&[]).with_schedule("sync", "0 * * * * *");
    let cron = Config::load(&env.write_config(), UsedSecrets::None)
        .unwrap()
        .schedule
        .sync;
    paused_runtime().block_on(async {
        let clock = TimerClock::starting_at(Millis(1_795_343_200_000));
        let clock = Arc::new(SteppedClock::new(clock));
        let mut ticks = Ticks::start(&cron, clock.clone()).await.unwrap();
        // No tick may come later than a minute, and what it takes to notice a step.
        let latest = Duration::from_secs(60 + 20 + 5);
        for minutes in [-60, 60, -1440, 1440, -1, 2] {
            // The clock is set before the wait …
            ticks.discard_past();
            clock.step(minutes * MINUTE_MS);
            let begun = Instant::now();
            ticks.wait().await;
            assert!(
                begun.elapsed() <= latest,
                "{minutes}: {:?}",
                begun.elapsed()
            );
            // … and during it.
            ticks.discard_past();
            let begun = Instant::now();
            {
                let mut wait = std::pin::pin!(ticks.wait());
                let early = tokio::time::timeout(Duration::from_secs(1), &mut wait).await;
                clock.step(minutes * MINUTE_MS);
                if early.is_err() {
                    wait.await;
                }
            }
            let took = begun.elapsed();
            assert!(took <= latest, "{minutes}: {took:?}");
            assert!(minutes < 2 || took <= Duration::from_secs(21), "{took:?}");
        }
    });
}

#[test]
fn lag_is_measured_by_the_clock_of_the_provider() {
    // The providers' clock is behind, so this machine's is ahead, and the other way round.
    for (skew, side) in [("-86400s", "ahead of"), ("86400s", "behind")] {
        let env = TestEnv::new(&[
            "--messages",
            "40",
            "--topic-messages",
            "40",
            "--clock-skew",
            skew,
        ]);
        let env = with_web_listener(env, ANY_PORT);
        env.sync().assert_ok();
        let json = env.run(&["status", "--json"]).assert_ok().stdout;
        let streams: Vec<Value> = serde_json::from_str(&json).unwrap();
        for stream in &streams {
            let lag_s = stream["lag_seconds"].as_u64().unwrap();
            assert!(lag_s < 300, "{skew}: {stream:#}");
        }
        let words = format!("{side} the provider");
        env.run(&["status"]).assert_ok().assert_prints(&words);
        env.run(&["check"]).assert_ok().assert_prints(&words);
        let server = HttpDaemon::start(&env);
        let page = server.get("/").body;
        assert!(page.contains(&words), "{page}");
        let metrics = server.get("/metrics").body;
        let sign = if side == "behind" { " -86" } else { " 86" };
        let lines = metrics.lines();
        let skews = lines.filter(|line| line.starts_with("backscroll_clock_skew_seconds{"));
        let skews: Vec<&str> = skews.collect();
        assert_eq!(skews.len(), 2);
        assert!(skews.iter().all(|line| line.contains(sign)), "{skews:?}");
        server.stop();
    }
}
