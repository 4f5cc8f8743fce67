//! What the daemon shows of itself over HTTP: the page for people, `/metrics`, `/healthz`, `/readyz`.
//!
//! It only reads, and answers nobody else's questions: see `guard`. What it reads is [`Shown`], which another takes the
//! place of when the configuration is read again. That nobody can be shown anything is no reason not to archive: an
//! address that is taken is said in the log, and asked for again.

mod guard;
mod health;
mod metrics;
mod page;
mod serve;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio::sync::watch;

use self::metrics::Looks;
use self::serve::Server;
use crate::domain::clock::Clock;
use crate::provider::Provider;
use crate::store::Store;
use crate::sync::progress::Progress;

/// What may be read by whoever asks.
pub struct Shown {
    /// The archive.
    pub store: Arc<dyn Store>,
    /// The accounts of the configuration, in its order.
    pub providers: Vec<Arc<dyn Provider>>,
    /// What the engine remembers of what it has done.
    pub progress: Arc<Progress>,
    pub clock: Arc<dyn Clock>,
    /// What `/metrics` says of the archive.
    figures: Looks,
    /// What the page was made of last.
    page: page::Looks,
}

impl Shown {
    pub fn new(
        store: Arc<dyn Store>,
        providers: Vec<Arc<dyn Provider>>,
        progress: Arc<Progress>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let figures = Looks::new(store.clone(), clock.clone());
        Self {
            store,
            providers,
            progress,
            clock,
            figures,
            page: page::Looks::default(),
        }
    }
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown")
            .field("archive", &self.store.place())
            .finish_non_exhaustive()
    }
}

/// What the answers are made of: handed to every one of them.
#[derive(Clone, Debug)]
struct Desk(watch::Receiver<Arc<Shown>>);

impl Desk {
    /// What is shown now.
    fn shown(&self) -> Arc<Shown> {
        self.0.borrow().clone()
    }
}

/// The server, once there is something to show.
#[derive(Debug, Default)]
pub struct Web {
    shown: Option<watch::Sender<Arc<Shown>>>,
    /// Where it listens; nothing where it is turned off.
    server: Option<(SocketAddr, Server)>,
}

impl Web {
    /// Shows this from now on, to whoever asks at `listen`; nothing: to nobody.
    pub async fn show(&mut self, listen: Option<SocketAddr>, shown: Shown) {
        let shown = Arc::new(shown);
        let shown = match self.shown.take() {
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
                    Server::start(listen, router(listen, Desk(shown.subscribe()))),
                )
            });
        }
        self.shown = Some(shown);
    }

    /// Stops: answers on their way arrive, if they do so in a moment.
    pub async fn stop(self) {
        if let Some((_, server)) = self.server {
            server.stop().await;
        }
    }
}

fn router(listen: SocketAddr, desk: Desk) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .merge(page::routes())
        .layer(from_fn_with_state(listen, guard::guard))
        .with_state(desk)
}

/// What handlers are given.
type Asked = State<Desk>;
