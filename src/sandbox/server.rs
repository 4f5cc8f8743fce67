//! The HTTP server of the sandbox: it starts, serves both providers and stops.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::middleware::map_response_with_state;
use axum::response::Response;
use axum::serve::ListenerExt;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::corpus::CorpusError;
use super::gateway::Gateway;
use super::limits::SHUTDOWN_GRACE;
use super::options::Options;
use super::rules::RulesReport;
use super::sample_config::SampleConfig;
use super::script::{ScriptError, ScriptedAnswer};
use super::world::World;
use super::{admin, agora, web3mq};
use crate::domain::clock::Clock;

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// It has no secrets worth the name, so nobody else may reach it.
    #[error("the sandbox listens on loopback only, and {0} is not")]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// What went wrong.
        source: io::Error,
    },
    /// The history cannot be read.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The making of the history was broken off.
    #[error("the history could not be made: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// A running sandbox. It stops when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    addr: SocketAddr,
    world: Arc<World>,
    tasks: JoinSet<()>,
    stopping: DropGuard,
}

impl Sandbox {
    /// Makes the world that the options describe, binds `listen` (on loopback; port 0 takes any) and serves until
    /// stopped or dropped.
    pub async fn start(
        options: Options,
        listen: SocketAddr,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SandboxError> {
        if !listen.ip().is_loopback() {
            return Err(SandboxError::NotLoopback(listen));
        }
        let listen_error = |source| SandboxError::Listen {
            addr: listen,
            source,
        };
        let listener = TcpListener::bind(listen).await.map_err(listen_error)?;
        let addr = listener.local_addr().map_err(listen_error)?;
        let world =
            Arc::new(tokio::task::spawn_blocking(move || World::create(options, clock)).await??);
        let stopping = CancellationToken::new();
        let router = router(Arc::new(Gateway::new(Arc::clone(&world), stopping.clone())));
        // Answers are small and waited for: held back by Nagle's algorithm, they would be late for nothing.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let mut tasks = JoinSet::new();
        let server = axum::serve(listener, router)
            .with_graceful_shutdown(stopping.clone().cancelled_owned());
        tasks.spawn(async move { drop(server.await) });
        spawn_background_tasks(&world, &stopping, &mut tasks);
        Ok(Self {
            addr,
            world,
            tasks,
            stopping: stopping.drop_guard(),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where both providers are: `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What the providers know: to read the truth, to write, and to script answers while it serves.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Who kept to which rule so far.
    pub fn rules(&self) -> RulesReport {
        self.world.rules().report()
    }

    /// Scripts an answer behind those that wait.
    pub fn script(&self, answer: ScriptedAnswer) -> Result<(), ScriptError> {
        self.world.script().push(answer)
    }

    /// A complete `config.toml` for this sandbox: every account with its credentials, and every stream.
    pub fn sample_config(&self, database_url: &str) -> String {
        SampleConfig {
            world: &self.world,
            base_url: &self.base_url(),
            database_url,
        }
        .to_string()
    }

    /// Writes that down where only this user reads it: it holds secrets, if those of a sandbox.
    pub fn write_config(&self, path: &Path, database_url: &str) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(self.sample_config(database_url).as_bytes())
    }

    /// Stops serving: lets answers on their way arrive, for a moment.
    pub async fn stop(mut self) {
        drop(self.stopping);
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        // What has not ended by then is aborted when the tasks are dropped.
        let _ = timeout(SHUTDOWN_GRACE, all_ended).await;
    }
}

fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .merge(agora::handlers::routes())
        .merge(web3mq::handlers::routes())
        .merge(admin::routes())
        .layer(map_response_with_state(
            Arc::clone(&gateway),
            set_date_header,
        ))
        .with_state(gateway)
}

/// Dates an answer by the providers' clock; otherwise the HTTP library would, by the machine's.
async fn set_date_header(State(gateway): State<Arc<Gateway>>, mut response: Response) -> Response {
    let date = Timestamp::from_millisecond(gateway.world.now().0)
        .ok()
        .and_then(|now| {
            jiff::fmt::rfc2822::DateTimePrinter::new()
                .timestamp_to_rfc9110_string(&now)
                .ok()
        })
        .and_then(|date| HeaderValue::try_from(date).ok());
    if let Some(date) = date {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// Starts what goes on in the world by itself.
fn spawn_background_tasks(
    world: &Arc<World>,
    stopping: &CancellationToken,
    tasks: &mut JoinSet<()>,
) {
    let options = world.options();
    if let Ok(pause) = Duration::try_from_secs_f64(1.0 / options.append_rate) {
        tasks.spawn(run_periodically(
            pause,
            Arc::clone(world),
            stopping.clone(),
            World::append_random,
        ));
    }
    if let Some(pause) = options.advance_every {
        tasks.spawn(run_periodically(
            pause,
            Arc::clone(world),
            stopping.clone(),
            |world| {
                world.advance_statuses();
            },
        ));
    }
}

async fn run_periodically(
    pause: Duration,
    world: Arc<World>,
    stopping: CancellationToken,
    action: fn(&World),
) {
    // A timer of zero length is listen_error by tokio; nothing needs to happen more often than this.
    let mut ticks = interval(pause.max(Duration::from_micros(100)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    // The first tick comes at once.
    ticks.tick().await;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => action(&world),
        }
    }
}
