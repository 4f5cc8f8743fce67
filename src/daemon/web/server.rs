//! The HTTP connections. They are few, short, and carry one request each. Where there are too
//! many, the oldest one that has not sent a request yet makes room for the next.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::limits::{
    ACCEPT_RETRY, BIND_RETRY, CONNECTION_TIMEOUT, HEAD_TIMEOUT, MAX_CONNECTIONS, MAX_HEAD_BYTES,
    SILENT_GRACE,
};
use crate::daemon::limits::CLOSE_GRACE;

const BIND_HINT: &str = "archiving continues without the status page; another process uses the \
                         address: stop it, or set another `listen`, or \"\" for none";

/// An HTTP server, in its own task.
#[derive(Debug)]
pub(super) struct HttpServer {
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl HttpServer {
    /// Starts a server that binds the address as soon as it is free.
    pub(super) fn start(listen: SocketAddr, router: Router) -> Self {
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(accept_connections(listen, router, stop.clone()));
        Self { stop, task }
    }

    /// Stops the server and releases the address.
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
    let mut waiting = WaitingConnections::default();
    loop {
        let is_full = connections.len() >= MAX_CONNECTIONS;
        waiting.remove_served();
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = waiting.overdue(), if is_full => {
                waiting.abort_oldest();
                connections.join_next().await;
            }
            accepted = listener.accept(), if !is_full => match accepted {
                Ok((stream, _)) => {
                    let has_request = Arc::new(AtomicBool::new(false));
                    let served = serve_connection(stream, router.clone(), has_request.clone());
                    let task = connections.spawn(timeout(CONNECTION_TIMEOUT, served));
                    let since = Instant::now();
                    waiting.0.push_back(WaitingConnection { task, has_request, since });
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection to the status page was not accepted");
                    sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    // Connections that have not ended by then are aborted when the set is dropped.
    let _ = timeout(CLOSE_GRACE, all_ended).await;
}

/// The connections that have not sent a request yet, the oldest first.
#[derive(Debug, Default)]
struct WaitingConnections(VecDeque<WaitingConnection>);

#[derive(Debug)]
struct WaitingConnection {
    task: AbortHandle,
    /// True once it has sent one.
    has_request: Arc<AtomicBool>,
    since: Instant,
}

impl WaitingConnections {
    /// Waits until the oldest one may be closed for another. Never returns if there is none.
    async fn overdue(&self) {
        match self.0.front() {
            Some(oldest) => sleep_until(oldest.since + SILENT_GRACE).await,
            None => std::future::pending().await,
        }
    }

    fn remove_served(&mut self) {
        let is_waiting = |connection: &WaitingConnection| {
            !connection.has_request.load(Ordering::Relaxed) && !connection.task.is_finished()
        };
        self.0.retain(is_waiting);
    }

    fn abort_oldest(&mut self) {
        if let Some(oldest) = self.0.pop_front() {
            oldest.task.abort();
        }
    }
}

/// Binds the address, and retries until it is free. Logs only the first error.
async fn bind(listen: SocketAddr) -> TcpListener {
    let mut has_failed = false;
    loop {
        match try_bind(listen).await {
            Ok(listener) => return listener,
            Err(error) => {
                if !has_failed {
                    tracing::error!(
                        %listen,
                        %error,
                        hint = BIND_HINT,
                        "the status page could not be started; retrying"
                    );
                }
                has_failed = true;
                sleep(BIND_RETRY).await;
            }
        }
    }
}

async fn try_bind(listen: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    tracing::info!(url = %format_args!("http://{address}/"), "the status page is available");
    Ok(listener)
}

async fn serve_connection(stream: TcpStream, router: Router, has_request: Arc<AtomicBool>) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        has_request.store(true, Ordering::Relaxed);
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::trace!(%error, "a connection to the status page was lost");
    }
}
