//! What the daemon shows of itself over HTTP: the page for people, `/metrics`, `/healthz`, `/readyz`.
//!
//! It only reads, and answers nobody else's questions: see [`guard`]. What it reads is [`Shown`], which another takes the
//! place of when the configuration is read again. That nobody can be shown anything is no reason not to archive: an
//! address that is taken is said in the log, and asked for again.

mod guard;
mod health;
mod page;
mod serve;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio::sync::watch;

use self::serve::Server;
use crate::domain::clock::Clock;
use crate::provider::Provider;
use crate::store::Store;
use crate::sync::progress::Progress;

/// What may be read by whoever asks.
#[derive(Clone)]
pub struct Shown {
    /// The archive.
    pub store: Arc<dyn Store>,
    /// The accounts of the configuration, in its order.
    pub providers: Vec<Arc<dyn Provider>>,
    /// What the engine remembers of what it has done.
    pub progress: Arc<Progress>,
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("archive", &self.store.place()).finish_non_exhaustive()
    }
}

/// What the answers are made of: handed to every one of them.
#[derive(Clone, Debug)]
struct Desk {
    shown: watch::Receiver<Arc<Shown>>,
    /// What the page was made of last.
    looks: Arc<page::Looks>,
}

impl Desk {
    fn new(shown: watch::Receiver<Arc<Shown>>) -> Self {
        Self { shown, looks: Arc::default() }
    }

    /// What is shown now.
    fn shown(&self) -> Arc<Shown> {
        self.shown.borrow().clone()
    }
}

/// The server.
#[derive(Debug)]
pub struct Web {
    shown: watch::Sender<Arc<Shown>>,
    /// Where it should listen; nothing where it is turned off.
    listen: Option<SocketAddr>,
    server: Option<Server>,
}

impl Web {
    /// Listens from now on, in tasks of its own.
    pub fn start(listen: Option<SocketAddr>, shown: Shown) -> Self {
        let shown = watch::Sender::new(Arc::new(shown));
        let server = listen.map(|listen| Server::start(listen, router(listen, Desk::new(shown.subscribe()))));
        Self { shown, listen, server }
    }

    /// Shows something else from now on, and elsewhere where that is asked for.
    pub async fn show(&mut self, listen: Option<SocketAddr>, shown: Shown) {
        self.shown.send_replace(Arc::new(shown));
        if listen == self.listen {
            return;
        }
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        self.listen = listen;
        self.server = listen.map(|listen| Server::start(listen, router(listen, Desk::new(self.shown.subscribe()))));
    }

    /// Stops: answers on their way arrive, if they do so in a moment.
    pub async fn stop(self) {
        if let Some(server) = self.server {
            server.stop().await;
        }
    }
}

fn router(listen: SocketAddr, desk: Desk) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .merge(page::routes())
        .layer(from_fn_with_state(listen, guard::guard))
        .with_state(desk)
}

/// What handlers are given.
type Asked = State<Desk>;
