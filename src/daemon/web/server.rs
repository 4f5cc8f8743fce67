//! The HTTP connections. They are few, short, and carry one request each.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::limits::{
    ACCEPT_RETRY, BIND_RETRY, CONNECTION_TIMEOUT, HEAD_TIMEOUT, MAX_CONNECTIONS, MAX_HEAD_BYTES,
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
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let served = serve_connection(stream, router.clone());
                    connections.spawn(timeout(CONNECTION_TIMEOUT, served));
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

async fn serve_connection(stream: TcpStream, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = served.await {
        tracing::trace!(%error, "a connection to the status page was lost");
    }
}
