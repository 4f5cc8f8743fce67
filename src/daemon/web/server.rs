//! Connections: few of them, and each for one request and a short time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Connections at once; others wait until one of these ends.
const MAX_CONNECTIONS: usize = 32;
/// From a connection's beginning to its end. Longer than any answer takes.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// How long whoever has connected may take to say what they want.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes that a request's head may have.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// How long answers on their way are waited for at the end.
const CLOSE_GRACE: Duration = Duration::from_millis(250);
/// An address that is taken is asked for again after so long.
const BIND_RETRY: Duration = Duration::from_secs(5);
/// The pause after a connection that could not be had, as when the process has too many files open.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

const BIND_HINT: &str = "archiving goes on without it; another process has the address: end it, or give [status_page] another \
                    `listen`, or \"\" for none";

/// A server, in a task of its own.
#[derive(Debug)]
pub(super) struct HttpServer {
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl HttpServer {
    /// Serves at an address as soon as it can be had.
    pub(super) fn start(listen: SocketAddr, router: Router) -> Self {
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(accept_connections(listen, router, stop.clone()));
        Self { stop, task }
    }

    /// Stops, and gives the address back.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        self.task.join_next().await;
    }
}

async fn accept_connections(listen: SocketAddr, router: Router, stop: CancellationToken) {
    let listener = tokio::select! {
        listener = bind(listen) => listener,
        () = stop.cancelled() => return,
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(connections.spawn(timeout(CONNECTION_TIMEOUT, serve_connection(stream, router.clone())))),
                Err(error) => {
                    tracing::debug!(%error, "a connection to the status page could not be had");
                    sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    // What has not ended by then is aborted with the set.
    let _ = timeout(CLOSE_GRACE, all_ended).await;
}

/// Waits until the address can be had; says once that it cannot.
async fn bind(listen: SocketAddr) -> TcpListener {
    let mut failing = false;
    loop {
        match TcpListener::bind(listen)
            .await
            .and_then(|listener| Ok((listener.local_addr()?, listener)))
        {
            Ok((address, listener)) => {
                tracing::info!(url = %format_args!("http://{address}/"), "the status page can be looked at");
                return listener;
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    log_bind_error(listen, &error);
                }
                sleep(BIND_RETRY).await;
            }
        }
    }
}

fn log_bind_error(listen: SocketAddr, error: &io::Error) {
    tracing::error!(%listen, %error, hint = BIND_HINT, "the status page cannot be shown; trying again");
}

async fn serve_connection(stream: TcpStream, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = served.await {
        tracing::trace!(%error, "a connection to the status page broke off");
    }
}
