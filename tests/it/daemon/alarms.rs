//! Alarms reach the operator once each, by the log, `status`, SQL and a webhook, also across
//! restarts.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use backscroll::alerts::rules::lost_history;
use backscroll::alerts::rules::pass_history::PassHistory;
use backscroll::alerts::rules::silence::SilenceDetector;
use backscroll::domain::alarm::AlarmKind;
use backscroll::domain::frontier::Frontier;
use backscroll::domain::stream::{Scope, Stream};
use backscroll::domain::time::Millis;
use backscroll::domain::window::Window;
use backscroll::provider::ProviderError;
use backscroll::sandbox::ScriptedAnswer;
use backscroll::store::{
    Accounts, Commit, IfMissing, NewAccount, RecordedError, Reports, RequestRate, Seal,
    SqliteStore, StreamStatus, WantedHistory, Windows,
};
use backscroll::sync::forecast::forecast;
use backscroll::sync::{HistoryBounds, Purpose};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::daemon_process::{DaemonProcess, env_syncing_every_second};
use crate::support::env::{TestEnv, wait_until};
use crate::support::fake_provider::FakeProvider;
use crate::support::model_run::ModelRun;

const NOW: Millis = Millis(1_795_343_200_123);
const TOKEN: &str = "T0KEN-that-nobody-sees";

/// A webhook receiver that responds with this status.
#[derive(Debug, Default)]
struct WebhookReceiver {
    status: AtomicU16,
    taken: Mutex<Vec<Value>>,
}

impl WebhookReceiver {
    /// Starts a receiver and configures it as the webhook.
    fn start_for(env: TestEnv, status: u16) -> (TestEnv, Arc<Self>) {
        let hook = Arc::new(Self {
            status: AtomicU16::new(status),
            ..Self::default()
        });
        let take = async |State(hook): State<Arc<Self>>, body: String| {
            hook.taken
                .lock()
                .unwrap()
                .push(serde_json::from_str(&body).unwrap());
            let status = StatusCode::from_u16(hook.status.load(Ordering::Relaxed)).unwrap();
            (status, [(header::LOCATION, "http://127.0.0.1:1/elsewhere")]).into_response()
        };
        let router = Router::new()
            .route("/{token}", post(take))
            .with_state(hook.clone());
        let address = env.block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move { axum::serve(listener, router).await });
            address
        });
        let url = format!("http://{address}/{TOKEN}");
        (env.with_setting("alerts", "webhook", url), hook)
    }

    fn received(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }
}

/// An environment whose only account is always refused.
fn env_with_refused_credentials() -> TestEnv {
    let env =
        env_syncing_every_second(&["--messages", "20", "--topic-messages", "0"]).with_only("agora");
    env.script_answer(ScriptedAnswer {
        status: 401,
        times: u32::MAX,
        ..ScriptedAnswer::default()
    });
    env
}

fn count_active_alarms(env: &TestEnv) -> i64 {
    let known = env.archive_path().exists()
        && env.query_number("SELECT count(*) FROM sqlite_schema WHERE name = 'alarms'") == 1;
    if known {
        env.query_number("SELECT count(*) FROM alarms WHERE kind = 'parked' AND until IS NULL")
    } else {
        0
    }
}

fn stop_daemon(mut daemon: DaemonProcess) -> String {
    daemon.signal("-TERM");
    let (code, said) = daemon.wait_for_exit();
    assert_eq!(code, Some(0), "{said}");
    said
}

#[test]
fn refused_account_is_notified_once_across_restarts() {
    let (env, hook) = WebhookReceiver::start_for(env_with_refused_credentials(), 200);
    let daemon = DaemonProcess::start(&env);
    wait_until("the alarm", || {
        count_active_alarms(&env) == 1 && hook.received().len() == 1
    });
    let said = stop_daemon(daemon);
    assert_eq!(said.matches("\"kind\":\"parked\"").count(), 1, "{said}");
    let taken = hook.received();
    let told = |key: &str| taken[0][key].as_str().unwrap_or_default().to_owned();
    let words = ["event", "kind", "account", "provider"].map(told);
    assert_eq!(words, ["begun", "parked", "sandbox", "agora"]);
    assert!(
        told("text").contains("sandbox: parked") && told("text").contains("What to do: "),
        "{taken:#?}"
    );
    assert!(
        told("problem").contains("401") && told("hint").contains("backscroll check"),
        "{taken:#?}"
    );
    assert!(
        told("since").parse::<Millis>().is_ok()
            && taken[0]["until"].is_null()
            && taken[0]["stream"].is_null()
    );

    env.run(&["status"])
        .assert_ok()
        .assert_prints("ALARM: sandbox: parked, for ")
        .assert_prints("hint: renew the account's credentials");
    let status: Vec<Value> =
        serde_json::from_str(&env.run(&["status", "--json"]).assert_ok().stdout).unwrap();
    assert_eq!(status[0]["alarms"][0]["kind"], "parked", "{status:#?}");
    assert_eq!(
        status[0]["alarms"][0]["since"].as_str(),
        Some(told("since").as_str())
    );

    // The alarm ends with its cause. The next process says so, and no alarm begins again.
    env.world().script().clear();
    env.run(&["check"]).assert_ok();
    assert_eq!(count_active_alarms(&env), 0);
    let status = env.run(&["status"]).assert_ok().stdout;
    assert!(
        !status.contains("ALARM") && !status.contains("paused"),
        "{status}"
    );
    let daemon = DaemonProcess::start(&env);
    wait_until("passes", || {
        env.query_number("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL") >= 3
            && hook.received().len() == 2
    });
    let said = stop_daemon(daemon);
    assert!(!said.contains("\"kind\":\"parked\""), "{said}");
    assert_eq!(count_active_alarms(&env), 0);
    let over = &hook.received()[1];
    assert_eq!(
        (&over["event"], &over["since"]),
        (&"over".into(), &taken[0]["since"])
    );
}

#[test]
fn check_lifts_the_pause_of_a_running_daemon() {
    let env = env_with_refused_credentials();
    let daemon = DaemonProcess::start(&env);
    wait_until("the alarm", || count_active_alarms(&env) == 1);
    // `check` lifts the pause of the daemon that runs.
    env.world().script().clear();
    env.run(&["check"]).assert_ok();
    wait_until("messages", || {
        env.query_number("SELECT count(*) FROM archive") > 0
    });
    stop_daemon(daemon);
    assert_eq!(count_active_alarms(&env), 0);
}

#[test]
fn undelivered_notification_is_sent_after_restart() {
    let (env, hook) = WebhookReceiver::start_for(env_with_refused_credentials(), 302);
    // The statements of the schema alone would fill the pipe, which is read only at the end.
    let levels = "trace,sqlx=warn";
    let mut daemon = DaemonProcess::start_with_args(&env, &["run", "--log", levels]);
    wait_until("a notification", || {
        count_active_alarms(&env) == 1 && !hook.received().is_empty()
    });
    daemon.kill();
    let mut said = String::new();
    std::io::Read::read_to_string(daemon.0.stderr.as_mut().unwrap(), &mut said).unwrap();
    let refused = hook.received().len();
    hook.status.store(200, Ordering::Relaxed);
    let daemon = DaemonProcess::start(&env);
    // The first pass is paused: the account is parked, and its name is known from then on.
    wait_until("the same notification", || {
        hook.received().len() == refused + 1
    });
    said += &stop_daemon(daemon);
    assert_eq!(hook.received()[0], hook.received()[refused]);
    said += &env.run(&["status", "--log", "trace"]).assert_ok().stdout;
    assert!(!said.contains(TOKEN), "{said}");
    let archive = std::fs::read(env.archive_path()).unwrap();
    assert!(
        !archive
            .windows(TOKEN.len())
            .any(|part| part == TOKEN.as_bytes())
    );
}

#[test]
fn webhook_text_holds_no_markup_and_no_unsafe_characters() {
    let env = env_syncing_every_second(&["--messages", "20", "--topic-messages", "0"]);
    let (env, hook) = WebhookReceiver::start_for(env.with_only("agora"), 200);
    env.sync().assert_ok();
    env.execute_sql(
        "INSERT INTO alarm (account, stream, kind, since_ms, text, hint, notified)
         VALUES ('', '', 'disk', 4102444800000,
                 '<!channel> @here <https://evil|x> ' || char(8238, 155, 10) || 'FORGED', 'none', 0)",
    );
    let daemon = DaemonProcess::start(&env);
    wait_until("the notification", || !hook.received().is_empty());
    stop_daemon(daemon);
    let text = hook.received()[0]["text"].as_str().unwrap().to_owned();
    for odd in ["<", ">", "@here", "\u{202E}", "\u{9B}", "\nFORGED"] {
        assert!(!text.contains(odd), "{text}");
    }
    assert!(text.contains("&lt;!channel&gt;"), "{text}");
}

/// An account with an hour of history, of which only the first windows are sealed.
async fn half_archived() -> (ModelRun, Vec<StreamStatus>) {
    let hour = Duration::from_hours(1);
    let provider = FakeProvider::new(NOW, Duration::from_mins(2), Some(hour));
    provider
        .history()
        .messages
        .extend((0..4000).map(|n| (NOW.0 - 1_790_000 + n as i64 * 400, n)));
    let mut run = ModelRun::with_provider(provider).await;
    run.provider.history().calls_before_failures.push_back(7);
    run.run_pass(Purpose::Sync(HistoryBounds::default())).await;
    let status = run.store.status().await.unwrap();
    (run, status)
}

#[tokio::test]
async fn expected_loss_is_a_problem_while_it_is_forecast() {
    let (run, status) = half_archived().await;
    let look = |requests| {
        let busy = Duration::from_hours(1);
        let pace = RequestRate {
            account: "shop".to_owned(),
            requests,
            busy,
            last_pass: None,
        };
        lost_history::check_loss_ahead(
            "shop",
            forecast(&*run.provider, &status, &[pace], NOW).as_ref(),
        )
        .unwrap()
    };
    let slow = look(1);
    assert_eq!((slow.kind, slow.problems.len()), (AlarmKind::LossAhead, 1));
    assert!(
        slow.problems[0]
            .text
            .contains("messages will expire at the provider"),
        "{slow:?}"
    );
    assert_eq!(look(36_000).problems, []);
    assert_eq!(
        lost_history::check_loss_ahead("shop", None)
            .unwrap()
            .problems,
        []
    );
}

#[tokio::test]
async fn each_loss_is_notified_once() {
    let (_, mut status) = half_archived().await;
    let lost = |status: &[StreamStatus], known| {
        lost_history::check_lost("shop", &status.iter().collect::<Vec<_>>(), known)
    };
    assert_eq!(lost(&status, 0).problems, []);
    status[0].lost_seconds = 3600;
    let wrong = lost(&status, 0).problems.remove(0);
    assert_eq!(wrong.level, Some(3600));
    assert!(
        wrong.text.contains("1h in total, of 1 stream;"),
        "{wrong:?}"
    );
    assert_eq!(lost(&status, 3600).problems, []);
    status[0].lost_seconds = 3700;
    assert!(lost(&status, 3600).problems[0].text.contains("1m 40s more"));
}

#[tokio::test]
async fn stream_failing_three_passes_is_stuck() {
    let (_, mut status) = half_archived().await;
    status[0].error = Some(RecordedError {
        error: "no such channel".to_owned(),
        hint: "see to it".to_owned(),
    });
    let mut passes = PassHistory::default();
    let stuck = |passes: &mut PassHistory| {
        let look = passes.check_streams("shop", &status.iter().collect::<Vec<_>>());
        look.map(|look| (look.problems.len(), look.inconclusive.len()))
    };
    assert_eq!(stuck(&mut passes), None);
    let mut found = Vec::new();
    for _ in 0..4 {
        passes.record_end(None, 1, true, NOW);
        found.push(stuck(&mut passes));
    }
    assert_eq!(
        found,
        [Some((0, 1)), Some((0, 1)), Some((1, 0)), Some((1, 0))]
    );
    let cause = "status 503".to_owned();
    passes.record_end(
        Some(&ProviderError::Unreachable {
            operation: "count",
            cause,
            attempts: 6,
        }),
        1,
        false,
        NOW,
    );
    assert_eq!(stuck(&mut passes), None, "the streams are unknown then");
}

/// An archive of ten thousand streams without a message for a day.
#[tokio::test]
async fn ten_thousand_silent_streams_are_checked_in_batches() {
    const STREAMS: i64 = 10_000;
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(&dir.path().join("archive.db"), IfMissing::Create)
        .await
        .unwrap();
    let scope = |n: i64| Scope {
        recipient: Some(format!("channel-{n}")),
        ..Scope::default()
    };
    let stream = |n| {
        Arc::new(Stream {
            key: format!("destination=channel-{n}"),
            scope: scope(n),
            discovered: false,
        })
    };
    let streams: Vec<Arc<Stream>> = (0..STREAMS).map(stream).collect();
    let now = NOW.second();
    let since = now.plus(-28 * 86_400);
    let wanted = WantedHistory {
        since: Some(since),
        reach: None,
        now,
    };
    let shop = NewAccount {
        streams: Some((&streams[..], wanted)),
        ..NewAccount::named("shop", "agora")
    };
    let known = store.register(&shop).await.unwrap();
    let (account, settled) = (known.account, now.plus(-120));
    store
        .save_frontier(
            account,
            Frontier {
                horizon: None,
                settled_to: settled,
                wanted_to: now,
                retention: None,
            },
        )
        .await
        .unwrap();
    let window = Window::new(since, settled).unwrap();
    let commit = |(n, (stream, _)): (i64, &(_, _))| {
        let seal = Seal {
            window,
            scope: scope(n),
            provider_count: None,
            shown_outside: 0,
            doubt: None,
            replaces: false,
        };
        Commit {
            account,
            stream: *stream,
            window,
            seal: Some(seal),
            messages: vec![],
            unreadable: vec![],
        }
    };
    let commits: Vec<Commit> = (0..).zip(&known.streams).map(commit).collect();
    store.commit(&commits, NOW).await.unwrap();

    let status = store.status().await.unwrap();
    let streams: Vec<&StreamStatus> = status.iter().collect();
    let mut silences = SilenceDetector::default();
    let begun = Instant::now();
    let mut left = Vec::new();
    for _ in 0..11 {
        let look = silences
            .check(&store, "shop", &streams, |_| false, NOW)
            .await
            .unwrap();
        assert_eq!(look.problems, [], "the streams had no rhythm");
        left.push(look.inconclusive.len());
    }
    assert_eq!((left[0], left[8], left[9], left[10]), (9000, 1000, 0, 0));
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
}
