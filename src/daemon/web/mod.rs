//! The HTTP server of the daemon: the status page, `/status.json`, `/metrics`, `/healthz` and
//! `/readyz`.
//!
//! It is read-only and rejects requests under foreign host names (see `guard`). Responses are made
//! from [`StatusSources`], which a configuration reload replaces. If the address is in use,
//! archiving continues; the server logs the error and retries.

mod guard;
mod health_check;
mod limits;
mod metrics;
mod page;
mod probes;
mod server;
mod sources;
mod state;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio::sync::watch;
use tokio::time::Instant;

pub use health_check::{HealthError, check_health};
use server::HttpServer;
pub use sources::StatusSources;
use state::{AppState, CachedSources};

/// The HTTP server, once it has sources.
#[derive(Debug)]
pub struct StatusServer {
    /// The start of the service.
    started_at: Instant,
    sources: Option<watch::Sender<Arc<CachedSources>>>,
    /// The address and the server; `None` if the status page is turned off.
    server: Option<(SocketAddr, HttpServer)>,
}

impl Default for StatusServer {
    fn default() -> Self {
        Self {
            started_at: Instant::now(),
            sources: None,
            server: None,
        }
    }
}

impl StatusServer {
    /// Serves these sources at `listen` from now on, or stops the server if `listen` is `None`. If
    /// the address is in use, the server logs the error and retries in the background.
    pub async fn serve(&mut self, listen: Option<SocketAddr>, sources: StatusSources) {
        let state = self.replace_sources(sources);
        let current = self.server.as_ref().map(|(address, _)| *address);
        if listen == current {
            return;
        }
        if let Some((_, server)) = self.server.take() {
            server.stop().await;
        }
        if let Some(address) = listen {
            let server = HttpServer::start(address, router(address, state));
            self.server = Some((address, server));
        }
    }

    /// Replaces the sources, also for a running server. Returns the state of the handlers.
    fn replace_sources(&mut self, sources: StatusSources) -> AppState {
        let sources = Arc::new(CachedSources::new(sources));
        let sender = self
            .sources
            .get_or_insert_with(|| watch::Sender::new(sources.clone()));
        sender.send_replace(sources);
        AppState::new(sender.subscribe(), self.started_at)
    }

    /// Stops the server. Responses in flight have a short time to finish.
    pub async fn stop(self) {
        if let Some((_, server)) = self.server {
            server.stop().await;
        }
    }
}

fn router(listen: SocketAddr, state: AppState) -> Router {
    Router::new()
        .route("/healthz", get(probes::healthz).options(probes::healthz))
        .route("/readyz", get(probes::readyz).options(probes::readyz))
        .route("/metrics", get(metrics::render_metrics))
        .merge(page::routes())
        .layer(from_fn_with_state(listen, guard::guard))
        .with_state(state)
}
