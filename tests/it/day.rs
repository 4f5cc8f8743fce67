//! A day with the service, in about a minute: the daemon, the sandbox and somebody who takes its alarms, in one process on
//! a clock that is moved on in steps, as fast as they keep up with it. Sockets, files and the database are real.
//!
//! The day lies in a process of its own, so that its memory is its own.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use backscroll::config::{Alerts, Config, Secret};
use backscroll::daemon;
use backscroll::daemon::alarms::Lookout;
use backscroll::daemon::notify::Notify;
use backscroll::daemon::signals::Stop;
use backscroll::domain::clock::{Clock, TimerClock};
use backscroll::domain::time::Millis;
use backscroll::provider::agora::{self, Agora, Credentials};
use backscroll::provider::http::Http;
use backscroll::provider::web3mq::{Identity, Key, Web3mq};
use backscroll::provider::{Account, Provider};
use backscroll::sandbox::{
    AgoraMessage, CUSTOMER_ID, CUSTOMER_SECRET, Fault, Kind, On, Options, Sandbox, Scripted, Web3mqAccount,
};
use backscroll::store::{Missing, SqliteStore, Store};
use backscroll::sync::Engine;
use reqwest::Url;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::advance;
use tokio_util::sync::CancellationToken;

use crate::bed::reader;
use crate::growing::topic_message;
use crate::truth;

/// A Thursday, at midnight.
const BEGIN: Millis = Millis(1_795_651_200_000);
const HOUR: Duration = Duration::from_hours(1);
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const AGORA: &str = "sandbox";
const WEB3MQ: &str = "web3mq-1";
/// How far the clock is moved on at once while requests are being made, and while none are.
const STEPS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];
/// How long everybody has to keep up with such a step, besides what the database takes. No answer is longer on its way
/// within this machine, unless that is very busy; and then it is as if the provider took a little longer.
const PACE: Duration = Duration::from_millis(1);
/// By how much memory may grow from the second hour to the last.
const FLAT: u64 = 8 << 20;

/// Files may not grow beyond this from now on; nothing: as far as they like.
fn limit_files(size: Option<u64>) {
    let size = size.map_or("unlimited".to_owned(), |size| size.to_string());
    let process = std::process::id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &process, &format!("--fsize={size}:")]).status().unwrap();
    assert!(limited.success());
}

/// Bytes of memory that this process has.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Holds the clock still until it is dropped.
fn stillness() -> Sender<()> {
    // While such a task runs, time does not go on by itself; and nobody moves it on meanwhile.
    let (hold, held) = channel();
    tokio::task::spawn_blocking(move || held.recv());
    hold
}

/// Whoever takes the alarms.
#[derive(Debug, Default)]
struct Pager {
    taken: Mutex<Vec<Value>>,
    is_down: AtomicBool,
}

impl Pager {
    async fn listen(self: &Arc<Self>) -> String {
        let take = async |State(pager): State<Arc<Self>>, body: String| {
            if pager.is_down.load(Ordering::Relaxed) {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            pager.taken.lock().unwrap().push(serde_json::from_str(&body).unwrap());
            StatusCode::OK
        };
        let router = Router::new().route("/hook/{token}", post(take)).with_state(self.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/hook/a-token-to-keep", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    /// Event, account, stream and kind of what was taken, in order.
    fn said(&self) -> Vec<[String; 4]> {
        let taken = self.taken.lock().unwrap();
        let words = |value: &Value| {
            ["event", "account", "stream", "kind"].map(|key| value[key].as_str().unwrap_or_default().to_owned())
        };
        taken.iter().map(words).collect()
    }
}

/// The place where the day happens.
struct Place {
    sandbox: Sandbox,
    clock: Arc<dyn Clock>,
    dir: TempDir,
    pager: Arc<Pager>,
    hook: String,
    user: String,
    topic: String,
    running: Option<(JoinHandle<()>, Stop)>,
    store: Option<Arc<dyn Store>>,
    /// The minute up to which people have spoken.
    spoken: i64,
    asked: u64,
}

impl Place {
    async fn new() -> Self {
        let flags = ["--messages", "0", "--topic-messages", "0", "--requests-per-second", "0", "--ready-after", "0ms"];
        let clock: Arc<dyn Clock> = Arc::new(TimerClock::starting_at(BEGIN));
        let listen = (Ipv4Addr::LOCALHOST, 0).into();
        let sandbox = Sandbox::start(Options::from_flags(flags).unwrap(), listen, clock.clone()).await.unwrap();
        let user = sandbox.world().users()[0].clone();
        let topic = sandbox.world().web3mq(&user).into_keys().find(|topic| topic.starts_with("group:")).unwrap();
        let pager = Arc::new(Pager::default());
        let hook = pager.listen().await;
        let dir = TempDir::new().unwrap();
        let mut place = Self {
            sandbox,
            clock,
            dir,
            pager,
            hook,
            user,
            topic,
            running: None,
            store: None,
            spoken: BEGIN.0 / MINUTE_MS,
            asked: 0,
        };
        // For four weeks they have spoken at every hour.
        for hour in 1..=28 * 24 {
            place.speak(BEGIN.0 - hour * HOUR_MS + 7 * MINUTE_MS, true);
        }
        place
    }

    /// Somebody says something everywhere, or everywhere but in the lobby.
    fn speak(&mut self, ms: i64, in_the_lobby: bool) {
        for room in ["lobby", "office"].into_iter().skip(usize::from(!in_the_lobby)) {
            let (src, dst) = ("alice".to_owned(), room.to_owned());
            let message = AgoraMessage { src, dst, kind: Kind::Channel, ms, payload: format!("{room} {ms}").into() };
            self.sandbox.world().append_agora(AGORA, message).unwrap();
        }
        self.sandbox.world().append_web3mq(&self.user, topic_message(&self.topic, ms, None)).unwrap();
    }

    fn providers(&self) -> Vec<Arc<dyn Provider>> {
        let base = Url::parse(&format!("{}/", self.sandbox.base_url())).unwrap();
        let account = |name: &str, provider, retention| Account {
            name: name.to_owned(),
            provider,
            settle: Duration::from_mins(2),
            retention,
            since: None,
            refresh_for: (provider == "web3mq").then_some(24 * HOUR),
            discovers: false,
        };
        let http = |name| Http::new(name, &base, 0.0, self.clock.clone()).unwrap();
        let basic = Credentials::Basic { customer_id: CUSTOMER_ID.to_owned(), customer_secret: CUSTOMER_SECRET.into() };
        let rooms = ["lobby", "office"].map(|room| agora::stream(None, Some(room.to_owned())));
        let shop = account(AGORA, "agora", Some(30 * 24 * HOUR));
        let agora =
            Agora::new(shop, http(AGORA), &base, AGORA, basic, rooms.to_vec(), std::collections::HashMap::new());
        let mut seed = [0; 32];
        let key = self.sandbox.world().with_user(&self.user, Web3mqAccount::private_key).unwrap();
        hex::decode_to_slice(key, &mut seed).unwrap();
        let identity =
            Identity { user: self.user.clone(), key: Key::from_seed(&seed), did_key: None, send_public_key: true };
        let topics = vec![self.topic.clone()];
        let web3mq = Web3mq::new(account(WEB3MQ, "web3mq", None), http(WEB3MQ), &base, identity, 100, topics).unwrap();
        vec![Arc::new(agora), Arc::new(web3mq)]
    }

    async fn start(&mut self) {
        let _still = stillness();
        let config = Config::parse(&self.sandbox.sample_config("sqlite://a.db"), "config.toml".as_ref()).unwrap();
        let path = self.dir.path().join("archive.db");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open_to_write(&path, Missing::Create, "a test").await.unwrap());
        let (clock, providers) = (self.clock.clone(), self.providers());
        let alerts = Alerts { webhook: Some(Secret::plain(self.hook.as_str())) };
        let lookout = Lookout::new(store.clone(), providers.clone(), clock.clone(), &alerts).unwrap();
        let engine = Engine::new(providers, store.clone(), &clock);
        self.store = Some(store.clone());
        let stop = Stop { soft: CancellationToken::new(), hard: CancellationToken::new() };
        let word = stop.clone();
        let running = tokio::spawn(async move {
            let notify = Notify::from_environment();
            daemon::run(engine, &config.schedule, clock, notify, lookout, &word).await.unwrap();
            store.close().await;
        });
        self.running = Some((running, stop));
    }

    async fn stop(&mut self) {
        let (running, stop) = self.running.take().unwrap();
        self.store = None;
        stop.soft.cancel();
        while !running.is_finished() {
            self.step().await;
        }
        running.await.unwrap();
    }

    /// Moves the clock on, once everybody has had a moment to do what there is to do.
    async fn step(&mut self) {
        let still = stillness();
        tokio::task::spawn_blocking(|| std::thread::sleep(PACE)).await.unwrap();
        if let Some(store) = &self.store {
            // Whoever waits for the database, or is at it, has his turn first. Whether it fails is for others to notice.
            let _ = tokio::join!(store.note_alarms(&[], Millis(0)), store.ping());
        }
        drop(still);
        let asked = self.sandbox.rules().total.requests();
        let is_idle = std::mem::replace(&mut self.asked, asked) == asked;
        advance(STEPS[usize::from(is_idle)]).await;
    }

    /// Lets the day go on until this hour of it, people speaking every minute.
    async fn until(&mut self, hour: f64, in_the_lobby: bool) {
        let end = BEGIN.0 + (hour * HOUR_MS as f64) as i64;
        while self.clock.now().0 < end {
            self.step().await;
            while self.spoken < self.clock.now().0 / MINUTE_MS {
                self.spoken += 1;
                self.speak(self.spoken * MINUTE_MS, in_the_lobby);
            }
        }
    }

    /// From now on all requests of these kinds are answered so.
    fn break_down(&self, on: &[On], status: u16, fault: Option<Fault>) {
        for on in on {
            self.sandbox.script(Scripted { on: *on, status, fault, times: u32::MAX, ..Scripted::default() }).unwrap();
        }
    }

    fn mend(&self) {
        self.sandbox.world().script().clear();
    }

    async fn rows(&self, sql: &str) -> Vec<(String, String, String, f64, f64)> {
        let mut reader = reader(&self.dir.path().join("archive.db")).await;
        sqlx::query_as(AssertSqlSafe(sql.to_owned())).fetch_all(&mut reader).await.unwrap()
    }
}

/// What stood when, in hours of the day.
const STOOD: &str = "SELECT coalesce(account, ''), coalesce(stream, ''), kind,
    (unixepoch(since) - 1795651200) / 3600.0, (unixepoch(until) - 1795651200) / 3600.0 FROM alarms ORDER BY since, account";

/// Which alarm stands, and from when to when at the earliest and the latest.
type Expected = (&'static str, &'static str, &'static str, [f64; 2], [f64; 2]);

const EXPECTED: [Expected; 7] = [
    (AGORA, "", "failing", [3.1, 3.5], [4.0, 4.2]),
    (WEB3MQ, "", "failing", [3.1, 3.5], [4.0, 4.2]),
    (AGORA, "", "parked", [6.0, 6.1], [7.0, 7.4]),
    (WEB3MQ, "", "failing", [9.1, 9.6], [10.0, 10.2]),
    ("", "", "disk", [12.0, 12.1], [12.5, 12.6]),
    (AGORA, "destination=lobby", "silent", [20.0, 20.4], [22.0, 22.4]),
    (AGORA, "", "failing", [22.6, 23.0], [23.25, 23.45]),
];

async fn the_day_itself() {
    let mut place = {
        let _still = stillness();
        Place::new().await
    };
    place.start().await;
    place.until(2.0, true).await;
    let early = memory();
    place.until(3.0, true).await;
    // The provider is down.
    place.break_down(&[On::Any], 503, None);
    place.until(4.0, true).await;
    place.mend();
    place.until(6.0, true).await;
    // Credentials are refused. Meanwhile nobody takes alarms for a while, and the service is started anew.
    place.pager.is_down.store(true, Ordering::Relaxed);
    place.break_down(&[On::Query, On::Read, On::Count], 401, None);
    place.until(6.4, true).await;
    assert!(place.pager.said().iter().all(|said| said[3] != "parked"));
    place.stop().await;
    place.start().await;
    place.until(6.5, true).await;
    place.pager.is_down.store(false, Ordering::Relaxed);
    place.until(7.0, true).await;
    place.mend();
    place.until(9.0, true).await;
    // No answers at all.
    place.break_down(&[On::History], 200, Some(Fault::Hang));
    place.until(10.0, true).await;
    place.mend();
    place.until(12.0, true).await;
    limit_files(Some(4096));
    place.until(12.5, true).await;
    limit_files(None);
    place.until(13.95, true).await;
    place.until(22.0, false).await;
    place.until(22.5, true).await;
    // What comes and goes is one alarm.
    for minutes in [22.75, 22.78, 23.0, 23.03, 23.25] {
        if place.sandbox.world().script().waiting() > 0 {
            place.mend()
        } else {
            place.break_down(&[On::Count, On::Query], 500, None)
        }
        place.until(minutes, true).await;
    }
    place.mend();
    place.until(24.0, true).await;
    let late = memory();
    let edge = place.clock.now().minus(Duration::from_mins(2));
    place.stop().await;

    println!("memory: {} KiB in the second hour, {} KiB in the last", early >> 10, late >> 10);
    let _still = stillness();
    let stood = place.rows(STOOD).await;
    println!("{stood:#?}");
    assert_eq!(stood.len(), EXPECTED.len(), "{stood:#?}");
    for (account, stream, kind, since, until) in EXPECTED {
        let within = |at: f64, [earliest, latest]: [f64; 2]| earliest <= at && at <= latest;
        let is_it = |row: &&(String, String, String, f64, f64)| {
            (row.0.as_str(), row.1.as_str(), row.2.as_str()) == (account, stream, kind)
                && within(row.3, since)
                && within(row.4, until)
        };
        assert_eq!(
            stood.iter().filter(is_it).count(),
            1,
            "{account} {stream} {kind} {since:?} {until:?} in {stood:#?}"
        );
    }
    let mut told: Vec<[String; 4]> = stood
        .iter()
        .flat_map(|row| ["begun", "over"].map(|event| [event.to_owned(), row.0.clone(), row.1.clone(), row.2.clone()]))
        .collect();
    let mut said = place.pager.said();
    told.sort();
    said.sort();
    assert_eq!(said, told, "each begins once and ends once for whoever takes them");

    let mut archive = reader(&place.dir.path().join("archive.db")).await;
    let rows = sqlx::query_as(truth::ARCHIVED).fetch_all(&mut archive).await.unwrap();
    assert!(rows.len() > 3 * (24 * 60 + 24 * 28) - 8 * 60 - 20, "{} rows", rows.len());
    truth::assert_equal(place.sandbox.world(), &[AGORA, WEB3MQ], rows, edge);
    let missed = format!(
        "SELECT (SELECT count(*) FROM gaps WHERE unixepoch(to_at) < {0} OR unixepoch(from_at) < {0} - 300)
              + (SELECT count(*) FROM coverage WHERE state <> 'sealed')",
        edge.second().0
    );
    let (missed,): (i64,) = sqlx::query_as(AssertSqlSafe(missed)).fetch_one(&mut archive).await.unwrap();
    assert_eq!(missed, 0, "windows that were missed, or are in doubt");
    assert!(late <= early + FLAT, "memory: {early} bytes in the second hour, {late} in the last");
}

/// Writes that find no room fail, instead of ending the process.
const ALONE: &str = r#"trap "" XFSZ; exec "$0" --exact --ignored --nocapture day::the_day"#;

#[test]
fn a_day_of_outages_misses_nothing_and_raises_the_alarms_that_belong() {
    let begun = std::time::Instant::now();
    let this = std::env::current_exe().unwrap();
    let output = Command::new("sh").args(["-c", ALONE]).arg(this).env("RUST_BACKTRACE", "0").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    println!("{said}\nit took {:?}", begun.elapsed());
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "it is run by the test above, in a process of its own"]
fn the_day() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(the_day_itself());
}
