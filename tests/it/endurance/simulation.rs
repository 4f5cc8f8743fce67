//! The participants of the day, on one clock.

use std::collections::HashMap;
use std::future::pending;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use backscroll::alerts::AlarmMonitor;
use backscroll::config::{Config, UsedSecrets};
use backscroll::daemon::service_manager::ServiceManager;
use backscroll::daemon::signals::Shutdown;
use backscroll::daemon::{self, SideTasks};
use backscroll::domain::clock::{Clock, TimerClock};
use backscroll::provider::agora::{self, Agora, AgoraSettings, Credentials};
use backscroll::provider::web3mq::{Identity, SessionKey, Web3mq, Web3mqSettings};
use backscroll::provider::{AccountSettings, Gate, Provider, ProviderKind};
use backscroll::sandbox::{
    CUSTOMER_ID, CUSTOMER_SECRET, CallFilter, Fault, Options, Sandbox, ScriptedAnswer, Web3mqUser,
};
use backscroll::store::Archive;
use backscroll::sync::Engine;
use reqwest::Url;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::advance;
use tokio_util::sync::CancellationToken;

use super::archive::EnduranceArchive;
use super::{AGORA, BEGIN, HOUR, WEB3MQ};
use crate::support::messages::{channel_message, web3mq_message};
use crate::support::paused_clock::hold_clock;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
/// The steps of the clock while requests are made, and while none are.
const STEPS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];
/// After this many steps without a request, none is expected for a while.
const QUIET_STEPS: usize = 1;
/// The real time that each step gives the participants, besides the database's. A response within
/// this machine is faster, unless the machine is very busy; then the provider just seems a little
/// slower.
const STEP_TIME: Duration = Duration::from_micros(500);
/// The maximum wait for the database while it works, and during its outage.
const MAX_DATABASE_WAIT: [Duration; 2] = [Duration::from_secs(10), Duration::from_millis(20)];

/// Runs `work` for at most this much real time.
async fn run_for_at_most(time: Duration, work: impl Future<Output = ()>) {
    let (hold, held) = channel::<()>();
    let over = spawn_blocking(move || held.recv_timeout(time).is_ok());
    tokio::select! {
        () = work => {}
        _ = over => {}
    }
    drop(hold);
}

/// The receiver of the notifications.
#[derive(Debug, Default)]
pub(super) struct WebhookLog {
    taken: Mutex<Vec<Value>>,
    pub(super) is_down: AtomicBool,
}

impl WebhookLog {
    async fn listen(self: &Arc<Self>) -> String {
        let take = async |State(pager): State<Arc<Self>>, body: String| {
            if pager.is_down.load(Ordering::Relaxed) {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            pager
                .taken
                .lock()
                .unwrap()
                .push(serde_json::from_str(&body).unwrap());
            StatusCode::OK
        };
        let router = Router::new()
            .route("/hook/{token}", post(take))
            .with_state(self.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!(
            "http://{}/hook/a-token-to-keep",
            listener.local_addr().unwrap()
        );
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    /// Event, account, stream and kind of each notification, in order.
    pub(super) fn notifications(&self) -> Vec<[String; 4]> {
        let taken = self.taken.lock().unwrap();
        let words = |value: &Value| {
            ["event", "account", "stream", "kind"]
                .map(|key| value[key].as_str().unwrap_or_default().to_owned())
        };
        taken.iter().map(words).collect()
    }
}

/// The participants: sandbox, daemon, clock, archive and webhook receiver.
pub(super) struct Simulation {
    pub(super) sandbox: Sandbox,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) archive: EnduranceArchive,
    pub(super) pager: Arc<WebhookLog>,
    hook: String,
    user: String,
    topic: String,
    running: Option<(JoinHandle<()>, Shutdown, Arc<dyn Archive>)>,
    /// The minute up to which messages were sent.
    spoken_until_minute: i64,
    /// The number of requests at the last step, and the number of steps without a further one.
    request: (u64, usize),
}

impl Simulation {
    pub(super) async fn new(archive: EnduranceArchive) -> Self {
        let flags = [
            "--messages",
            "0",
            "--topic-messages",
            "0",
            "--requests-per-second",
            "0",
            "--ready-after",
            "0ms",
        ];
        let clock: Arc<dyn Clock> = Arc::new(TimerClock::starting_at(BEGIN));
        let listen = (Ipv4Addr::LOCALHOST, 0).into();
        let sandbox = Sandbox::start(Options::from_flags(flags).unwrap(), listen, clock.clone())
            .await
            .unwrap();
        let user = sandbox.world().user_ids()[0].clone();
        let topic = sandbox
            .world()
            .web3mq_topics(&user)
            .into_keys()
            .find(|topic| topic.starts_with("group:"))
            .unwrap();
        let pager = Arc::new(WebhookLog::default());
        let hook = pager.listen().await;
        let spoken = BEGIN.0 / MINUTE_MS;
        let mut simulation = Self {
            sandbox,
            clock,
            archive,
            pager,
            hook,
            user,
            topic,
            running: None,
            spoken_until_minute: spoken,
            request: (0, 0),
        };
        // A message was sent at every hour of the last four weeks.
        for hour in 1..=28 * 24 {
            simulation.append_messages(BEGIN.0 - hour * HOUR_MS + 7 * MINUTE_MS, true);
        }
        simulation
    }

    /// Sends a message to every stream, or to all but the lobby.
    fn append_messages(&mut self, ms: i64, in_the_lobby: bool) {
        for room in ["lobby", "office"]
            .into_iter()
            .skip(usize::from(!in_the_lobby))
        {
            let message = channel_message("alice", room, ms, &format!("{room} {ms}"));
            self.sandbox.world().append_agora(AGORA, message).unwrap();
        }
        self.sandbox
            .world()
            .append_web3mq(&self.user, web3mq_message(&self.topic, ms, None))
            .unwrap();
    }

    fn providers(&self) -> Vec<Arc<dyn Provider>> {
        let base = Url::parse(&format!("{}/", self.sandbox.base_url())).unwrap();
        let account = |name: &str, provider, retention| AccountSettings {
            name: name.to_owned(),
            provider,
            identity: None,
            settle: Duration::from_mins(2),
            retention,
            since: Some(BEGIN.minus(29 * 24 * HOUR)),
            refresh_for: (provider == ProviderKind::Web3mq).then_some(24 * HOUR),
            discover_limit: None,
        };
        let gate = || Gate::new(0.0, self.clock.clone());
        let basic = Credentials::Basic {
            customer_id: CUSTOMER_ID.to_owned(),
            customer_secret: CUSTOMER_SECRET.into(),
        };
        let rooms = ["lobby", "office"]
            .map(|room| agora::filter_stream(None, Some(room.to_owned())))
            .to_vec();
        let shop = account(AGORA, ProviderKind::Agora, Some(30 * 24 * HOUR));
        let settings = AgoraSettings {
            account: shop,
            base_url: base.clone(),
            app_id: AGORA.to_owned(),
            credentials: basic,
            streams: rooms,
            kinds: HashMap::new(),
            discovery: None,
        };
        let agora = Agora::new(settings, gate()).unwrap();
        let mut seed = [0; 32];
        let key = self
            .sandbox
            .world()
            .with_user(&self.user, Web3mqUser::private_key)
            .unwrap();
        hex::decode_to_slice(key, &mut seed).unwrap();
        let key = SessionKey::from_seed(&seed);
        let identity = Identity {
            user: self.user.clone(),
            key: Some(key),
            did_key: None,
            send_public_key: true,
        };
        let settings = Web3mqSettings {
            account: account(WEB3MQ, ProviderKind::Web3mq, None),
            base_url: base,
            identity,
            page_size: 100,
            topics: vec![self.topic.clone()],
        };
        let web3mq = Web3mq::new(settings, gate()).unwrap();
        vec![Arc::new(agora), Arc::new(web3mq)]
    }

    /// Starts the daemon.
    pub(super) async fn start(&mut self) {
        let _still = hold_clock();
        let config = Config::parse(
            &self.sandbox.sample_config("sqlite://a.db"),
            "config.toml".as_ref(),
            UsedSecrets::Accounts,
        )
        .unwrap();
        let (store, clock, providers) = (
            self.archive.open().await,
            self.clock.clone(),
            self.providers(),
        );
        let webhook = Some(self.hook.as_str());
        let lookout =
            AlarmMonitor::new(store.clone(), providers.clone(), clock.clone(), webhook).unwrap();
        let engine = Engine::new(providers, store.clone(), &clock);
        let stop = Shutdown {
            graceful: CancellationToken::new(),
            abort: CancellationToken::new(),
        };
        let (word, archive) = (stop.clone(), store.clone());
        let running = tokio::spawn(async move {
            let notify = ServiceManager::from_environment();
            let side_tasks = SideTasks {
                monitor: Arc::new(lookout),
                archive: archive.clone(),
                // It polls every other second, which is too often for months.
                search_enabled: false,
            };
            daemon::run(engine, &config.schedule, clock, notify, side_tasks, &word)
                .await
                .unwrap();
            archive.close().await;
        });
        self.running = Some((running, stop, store));
    }

    pub(super) async fn stop(&mut self) {
        let (running, stop, _) = self.running.take().unwrap();
        stop.graceful.cancel();
        while !running.is_finished() {
            self.step().await;
        }
        running.await.unwrap();
    }

    /// Advances the clock after all participants have had time to work.
    async fn step(&mut self) {
        let still = hold_clock();
        run_for_at_most(STEP_TIME, pending()).await;
        if let Some((_, _, store)) = &self.running {
            // Other checks notice if the database fails.
            let patience = MAX_DATABASE_WAIT[usize::from(self.archive.is_down())];
            run_for_at_most(patience, self.archive.wait_until_idle(&**store)).await;
        }
        drop(still);
        let request = self.sandbox.rules().total.requests();
        self.request = if self.request.0 == request {
            (request, self.request.1 + 1)
        } else {
            (request, 0)
        };
        advance(STEPS[usize::from(self.request.1 > QUIET_STEPS)]).await;
    }

    /// Runs the day until this hour, with messages every minute.
    pub(super) async fn run_until(&mut self, hour: f64, in_the_lobby: bool) {
        let end = BEGIN.0 + (hour * HOUR_MS as f64) as i64;
        while self.clock.now().0 < end {
            self.step().await;
            while self.spoken_until_minute < self.clock.now().0 / MINUTE_MS {
                self.spoken_until_minute += 1;
                self.append_messages(self.spoken_until_minute * MINUTE_MS, in_the_lobby);
            }
        }
    }

    /// From now on answers all requests of these kinds with this status or fault.
    pub(super) fn start_outage(&self, on: &[CallFilter], status: u16, fault: Option<Fault>) {
        for on in on {
            self.sandbox
                .script(ScriptedAnswer {
                    on: *on,
                    status,
                    fault,
                    times: u32::MAX,
                    ..ScriptedAnswer::default()
                })
                .unwrap();
        }
    }

    pub(super) fn end_outage(&self) {
        self.sandbox.world().script().clear();
    }
}
