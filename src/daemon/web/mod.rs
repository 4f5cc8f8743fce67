//! What the daemon shows of itself over HTTP: the page for people, `/metrics`, `/healthz`, `/readyz`.
//!
//! It only reads, and answers nobody else's questions: see `guard`. What it reads is [`Shown`], which another takes the
//! place of when the configuration is read again. That nobody can be shown anything is no reason not to archive: an
//! address that is taken is said in the log, and asked for again.

mod guard;
mod metrics;
mod page;
mod probes;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio::sync::watch;

use self::metrics::MetricsCache;
use self::server::HttpServer;
use crate::domain::clock::Clock;
use crate::provider::Provider;
use crate::store::Archive;
use crate::sync::progress::EngineProgress;

/// What may be read by whoever asks.
pub struct StatusSources {
    /// The archive.
    pub store: Arc<dyn Archive>,
    /// The accounts of the configuration, in its order.
    pub providers: Vec<Arc<dyn Provider>>,
    /// What the engine remembers of what it has done.
    pub progress: Arc<EngineProgress>,
    pub clock: Arc<dyn Clock>,
    /// What `/metrics` says of the archive.
    metrics: MetricsCache,
    /// What the page was made of last.
    page_cache: page::PageCache,
}

impl StatusSources {
    pub fn new(
        store: Arc<dyn Archive>,
        providers: Vec<Arc<dyn Provider>>,
        progress: Arc<EngineProgress>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let metrics = MetricsCache::new(store.clone(), clock.clone());
        Self {
            store,
            providers,
            progress,
            clock,
            metrics,
            page_cache: page::PageCache::default(),
        }
    }
}

impl std::fmt::Debug for StatusSources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown")
            .field("archive", &self.store.location())
            .finish_non_exhaustive()
    }
}

/// What the answers are made of: handed to every one of them.
#[derive(Clone, Debug)]
struct AppState(watch::Receiver<Arc<StatusSources>>);

impl AppState {
    /// What is shown now.
    fn sources(&self) -> Arc<StatusSources> {
        self.0.borrow().clone()
    }
}

/// The server, once there is something to show.
#[derive(Debug, Default)]
pub struct StatusServer {
    sources: Option<watch::Sender<Arc<StatusSources>>>,
    /// Where it listens; nothing where it is turned off.
    server: Option<(SocketAddr, HttpServer)>,
}

impl StatusServer {
    /// Shows this from now on, to whoever asks at `listen`; nothing: to nobody.
    pub async fn serve(&mut self, listen: Option<SocketAddr>, shown: StatusSources) {
        let shown = Arc::new(shown);
        let shown = match self.sources.take() {
            Some(sender) => {
                sender.send_replace(shown);
                sender
            }
            None => watch::Sender::new(shown),
        };
        if listen != self.server.as_ref().map(|(address, _)| *address) {
            if let Some((_, server)) = self.server.take() {
                server.stop().await;
            }
            self.server = listen.map(|listen| {
                (
                    listen,
                    HttpServer::start(listen, router(listen, AppState(shown.subscribe()))),
                )
            });
        }
        self.sources = Some(shown);
    }

    /// Stops: answers on their way arrive, if they do so in a moment.
    pub async fn stop(self) {
        if let Some((_, server)) = self.server {
            server.stop().await;
        }
    }
}

fn router(listen: SocketAddr, desk: AppState) -> Router {
    Router::new()
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(metrics::render_metrics))
        .merge(page::routes())
        .layer(from_fn_with_state(listen, guard::guard))
        .with_state(desk)
}

/// What handlers are given.
type AppStateExtractor = State<AppState>;
