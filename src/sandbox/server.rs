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
use axum::middleware::{from_fn_with_state, map_response_with_state};
use axum::response::Response;
use axum::serve::ListenerExt;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::corpus::CorpusError;
use super::echo::echo_request;
use super::gateway::Gateway;
use super::limits::SHUTDOWN_GRACE;
use super::options::Options;
use super::rules::RulesReport;
use super::sample_config::SampleConfig;
use super::script::{ScriptError, ScriptedAnswer};
use super::world::World;
use super::{admin, agora, web3mq};
use crate::domain::clock::Clock;

/// The reason why a sandbox cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The address is not on loopback. The sandbox has no real secrets, so no other machine may
    /// reach it.
    #[error("the sandbox listens on loopback only, and {0} is not")]
    NotLoopback(SocketAddr),
    /// The address cannot be bound.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The requested address.
        addr: SocketAddr,
        /// The error from the operating system.
        source: io::Error,
    },
    /// The corpus file cannot be loaded.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The task that generates the history was aborted.
    #[error("the history could not be generated: {0}")]
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
    /// Creates the world that the options describe, binds `listen` and serves until stopped or
    /// dropped. `listen` must be on loopback; port 0 selects a free port.
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
        // Answers are small, and clients wait for them. Nagle's algorithm would only delay them.
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

    /// Returns the address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the base URL of both providers: `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns the world: its state can be read, changed and scripted while the sandbox serves.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Returns the record of requests and violations so far.
    pub fn rules(&self) -> RulesReport {
        self.world.rules().report()
    }

    /// Adds a scripted answer to the end of the queue.
    pub fn script(&self, answer: ScriptedAnswer) -> Result<(), ScriptError> {
        self.world.script().push(answer)
    }

    /// Returns a complete `config.toml` for this sandbox, with all accounts, credentials and
    /// streams.
    pub fn sample_config(&self, database_url: &str) -> String {
        SampleConfig {
            world: &self.world,
            base_url: &self.base_url(),
            database_url,
        }
        .to_string()
    }

    /// Writes the sample configuration to a new file that only this user can read, because it
    /// contains secrets. Errors if the file exists.
    pub fn write_config(&self, path: &Path, database_url: &str) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(self.sample_config(database_url).as_bytes())
    }

    /// Stops serving. Answers in flight get a short time to complete.
    pub async fn stop(mut self) {
        drop(self.stopping);
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        // Tasks that have not ended by then are aborted when they are dropped.
        let _ = timeout(SHUTDOWN_GRACE, all_ended).await;
    }
}

fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .merge(agora::handlers::routes())
        .merge(web3mq::handlers::routes())
        .merge(admin::routes())
        .layer(from_fn_with_state(Arc::clone(&gateway), echo_request))
        .layer(map_response_with_state(
            Arc::clone(&gateway),
            set_date_header,
        ))
        .with_state(gateway)
}

/// Sets the `Date` header to the providers' clock, or what the first answers show for it. Otherwise
/// the HTTP library would use the machine's clock.
async fn set_date_header(State(gateway): State<Arc<Gateway>>, mut response: Response) -> Response {
    let date = Timestamp::from_millisecond(gateway.world.next_date().0)
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

/// Starts the tasks that change the world while it serves.
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
    // Tokio rejects a timer of zero length, so the interval has a lower bound.
    let mut ticks = interval(pause.max(Duration::from_micros(100)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    // The first tick completes immediately.
    ticks.tick().await;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => action(&world),
        }
    }
}
