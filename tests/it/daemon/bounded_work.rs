//! Work without an end and streams without number: what exceeds its bound is left out, named, and
//! alarmed, while everything else is archived.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backscroll::alerts::{AlarmMonitor, CheckScope};
use backscroll::domain::alarm::{Alarm, AlarmKind};
use backscroll::domain::clock::{Clock, SystemClock};
use backscroll::provider::Provider;
use backscroll::store::{AlarmLog, Archive, IfMissing, SqliteStore};
use backscroll::sync::Engine;
use tokio_util::sync::CancellationToken;

use crate::support::env::{MAX_WAIT, TestEnv};
use crate::support::messages::{append_to_topics, channel_message, web3mq_message};
use crate::support::passes::SYNC;
use crate::support::sandbox_providers::{discovering_providers, sandbox_providers};
use crate::support::stepped_clock::SteppedClock;

/// Passes after which a failing stream counts as stuck.
const PASSES: u32 = 3;
/// The minutes within which an outage is reported.
const MAX_MINUTES: u32 = 5;

/// An account and a stream that an alarm names; `None` stands for the whole account.
type Subject = (String, Option<String>);

/// Runs a pass in each minute, and after it the check of that minute, until there are alarms. Returns
/// them. Each pass begins anew, since totals are kept in memory for some seconds. Panics if an alarm
/// comes too early or too late.
fn alarms_of_minutely_passes(
    env: &TestEnv,
    providers: impl Fn() -> Vec<Arc<dyn Provider>>,
) -> Vec<Alarm> {
    env.block_on(async {
        let store = SqliteStore::open(&env.archive_path(), IfMissing::Create).await;
        let store = Arc::new(store.unwrap());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let timer = Arc::new(SteppedClock::new(SystemClock));
        let monitor = AlarmMonitor::new(store.clone(), providers(), clock.clone(), None);
        let monitor = monitor.unwrap().with_timer(timer.clone());
        let stop = CancellationToken::new();
        for minute in 1..=MAX_MINUTES {
            let begun = Instant::now();
            let mut have_answers = false;
            while !std::mem::replace(&mut have_answers, true) {
                assert!(begun.elapsed() < MAX_WAIT);
                let mut engine = Engine::new(providers(), store.clone(), &clock);
                for account in engine.accounts() {
                    monitor.pass_begins(account.name());
                    let outcome = account.pass(SYNC, &stop).await;
                    monitor.pass_ends(account.name(), &outcome);
                    have_answers &= outcome.unwrap().has_answers;
                }
            }
            timer.step(60_000);
            monitor.check(CheckScope::FailingStreams).await;
            let alarms = store.active_alarms().await.unwrap();
            if !alarms.is_empty() {
                assert!(minute >= PASSES, "it may be short: {alarms:#?}");
                store.close().await;
                return alarms;
            }
        }
        panic!("no alarm within {MAX_MINUTES} minutes");
    })
}

fn subjects(alarms: &[Alarm]) -> Vec<Subject> {
    let subject = |alarm: &Alarm| {
        assert_eq!(alarm.subject.kind, AlarmKind::Stuck, "{alarm:#?}");
        let account = alarm.subject.account.clone().unwrap_or_default();
        (account, alarm.subject.stream.clone())
    };
    let mut subjects: Vec<Subject> = alarms.iter().map(subject).collect();
    subjects.sort();
    subjects
}

#[test]
fn topic_without_an_end_raises_the_alarm_of_its_stream_only() {
    let flags = ["--total", "absent", "--endless-topic", "group:endless"];
    let env = TestEnv::without_messages(&flags);
    append_to_topics(&env, &["group:endless", "group:sound"], 60);
    let alarms = alarms_of_minutely_passes(&env, || sandbox_providers(&env));
    let endless = Some("topic=group:endless".to_owned());
    assert_eq!(subjects(&alarms), [("web3mq-1".to_owned(), endless)]);
    let text = &alarms[0].text;
    assert!(text.contains("although others can"), "{text}");
    assert!(text.contains("the topic has no end"), "{text}");
    let hint = &alarms[0].hint;
    assert!(hint.contains("serves without an end"), "{hint}");
    let sound = "SELECT count(*) FROM archive WHERE conversation = 'group:sound'";
    assert_eq!(env.query_number(sound), 60);
    env.run(&["status"])
        .assert_ok()
        .assert_prints("ALARM: web3mq-1 topic=group:endless: stuck")
        .assert_prints("the topic has no end");
}

#[test]
fn streams_beyond_the_discovery_limit_raise_an_alarm_of_their_account() {
    const LIMIT: usize = 5;
    let env = TestEnv::without_messages(&[]);
    let user = env.world().user_ids().remove(0);
    let ago = |minutes| env.world().now().minus(Duration::from_mins(minutes)).0;
    for n in 0..30 {
        let name = format!("invented {n}");
        let message = channel_message(&name, "lobby", ago(2), "hi");
        env.world().append_agora("sandbox", message).unwrap();
        let message = web3mq_message(&format!("group:{n}"), ago(3), None);
        env.world().append_web3mq(&user, message).unwrap();
    }
    let alarms = alarms_of_minutely_passes(&env, || discovering_providers(&env, LIMIT));
    let both = ["sandbox", "web3mq-1"].map(|account| (account.to_owned(), None));
    assert_eq!(subjects(&alarms), both);
    for alarm in &alarms {
        let text = &alarm.text;
        let limit = format!("left out: the account's limit is {LIMIT} discovered streams");
        assert!(text.contains(&limit), "{text}");
        assert!(!text.contains("fail"), "a limit is no failure: {text}");
        assert!(alarm.hint.contains("discover_limit"), "{}", alarm.hint);
    }
    // The listed stream and those within the limit are archived.
    let lobby = "SELECT count(*) FROM archive WHERE conversation = 'lobby'";
    assert_eq!(env.query_number(lobby), 30);
    let groups = "SELECT count(*) FROM archive WHERE provider = 'web3mq'";
    assert_eq!(env.query_number(groups), LIMIT as i64);
    let found = "SELECT count(*) FROM stream WHERE discovered GROUP BY account_id";
    let found: Vec<(i64,)> = env.query_rows(found);
    assert_eq!(found, [(LIMIT as i64,), (LIMIT as i64,)]);
}
