//! A proxy between the command and the sandbox. It records every request and can change responses.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::response::Response;
use backscroll::provider::client_builder;
use futures_util::stream;
use reqwest::Url;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request that passed the proxy.
#[derive(Clone, Debug)]
pub(crate) struct ProxiedRequest {
    pub(crate) at: Instant,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl ProxiedRequest {
    /// `query`, `read`, `count`, `events`, `history` or `list`.
    pub(crate) fn endpoint(&self) -> &'static str {
        match (&self.method, self.url.path()) {
            (&Method::POST, _) => "query",
            (_, path) if path.ends_with("/count") => "count",
            (_, path) if path.ends_with("_events") => "events",
            (_, path) if path.starts_with("/api/messages/history") => "history",
            (_, path) if path.starts_with("/api/") => "list",
            _ => "read",
        }
    }

    /// The value of a URL parameter, or of a field of a query's filter.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let filter = || {
            serde_json::from_str::<Value>(&self.body).ok()?["filter"][name]
                .as_str()
                .map(str::to_owned)
        };
        self.url
            .query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .or_else(filter)
    }

    /// True if the request asks for the messages sent to this name.
    pub(crate) fn is_addressed_to(&self, destination: &str) -> bool {
        self.parameter("destination").as_deref() == Some(destination)
            && self.parameter("source").is_none()
    }
}

/// The handling of a request.
pub(crate) enum ProxyAction {
    /// Forwards the request to the sandbox.
    Forward,
    /// Responds with this status, these headers and this body.
    Reply(u16, &'static [(&'static str, &'static str)], Vec<u8>),
    /// Responds with a body that breaks off after this text.
    Cut(&'static str),
    /// Forwards the request and changes the body of the response.
    Rewrite(Box<dyn FnOnce(Vec<u8>) -> Vec<u8> + Send>),
}

impl ProxyAction {
    /// A response without headers.
    pub(crate) fn reply(status: u16, body: &str) -> Self {
        Self::Reply(status, &[], body.as_bytes().to_vec())
    }

    /// Forwards the request and changes the JSON of the response.
    pub(crate) fn rewrite_json(change: impl FnOnce(&mut Value) + Send + 'static) -> Self {
        Self::Rewrite(Box::new(|body| {
            let mut json = serde_json::from_slice(&body).expect("the sandbox answers in JSON");
            change(&mut json);
            serde_json::to_vec(&json).expect("JSON")
        }))
    }
}

/// The proxy. It stops when it is dropped.
pub(crate) struct FaultProxy {
    pub(crate) url: String,
    desk: Arc<ProxyState>,
    task: JoinHandle<()>,
}

struct ProxyState {
    upstream: String,
    rule: Box<dyn Fn(&ProxiedRequest) -> ProxyAction + Send + Sync>,
    seen: Mutex<Vec<ProxiedRequest>>,
    client: reqwest::Client,
}

impl FaultProxy {
    pub(crate) async fn start(
        upstream: String,
        rule: impl Fn(&ProxiedRequest) -> ProxyAction + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let client = client_builder(&upstream.parse().expect("an address"))
            .no_gzip()
            .build()
            .expect("a client");
        let desk = Arc::new(ProxyState {
            upstream,
            rule: Box::new(rule),
            seen: Mutex::default(),
            client,
        });
        let router = Router::new()
            .fallback(handle_request)
            .with_state(desk.clone());
        let task =
            tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, desk, task }
    }

    /// All requests so far, in order of arrival.
    pub(crate) fn requests(&self) -> Vec<ProxiedRequest> {
        self.desk
            .seen
            .lock()
            .expect("no panic while it is held")
            .clone()
    }

    /// The number of requests that match a predicate.
    pub(crate) fn count_requests(&self, test: impl Fn(&ProxiedRequest) -> bool) -> usize {
        self.requests()
            .iter()
            .filter(|proxied| test(proxied))
            .count()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Middleman")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

async fn handle_request(State(desk): State<Arc<ProxyState>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("requests are small");
    let url = Url::parse(&format!("{}{}", desk.upstream, parts.uri)).expect("a URL");
    let proxied = ProxiedRequest {
        at: Instant::now(),
        method: parts.method,
        url,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).expect("requests are text"),
    };
    let verdict = (desk.rule)(&proxied);
    desk.seen
        .lock()
        .expect("no panic while it is held")
        .push(proxied.clone());
    match verdict {
        ProxyAction::Reply(status, headers, body) => {
            let mut builder = Response::builder().status(status);
            for (name, value) in headers {
                builder = builder.header(*name, *value);
            }
            builder.body(Body::from(body)).expect("an answer")
        }
        ProxyAction::Cut(start) => {
            let broken = std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
            Response::new(Body::from_stream(stream::iter([
                Ok(Bytes::from(start)),
                Err(broken),
            ])))
        }
        ProxyAction::Forward => desk.forward(&proxied, |body| body).await,
        ProxyAction::Rewrite(change) => desk.forward(&proxied, change).await,
    }
}

impl ProxyState {
    async fn forward(
        &self,
        proxied: &ProxiedRequest,
        change: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> Response {
        const FORWARDED_HEADERS: [HeaderName; 3] =
            [header::CONTENT_TYPE, header::DATE, header::RETRY_AFTER];
        let mut headers = proxied.headers.clone();
        headers.remove(header::HOST);
        let request = self
            .client
            .request(proxied.method.clone(), proxied.url.clone())
            .headers(headers);
        let answer = request
            .body(proxied.body.clone())
            .send()
            .await
            .expect("the sandbox answers");
        let mut builder = Response::builder().status(answer.status());
        for name in FORWARDED_HEADERS {
            if let Some(value) = answer.headers().get(&name) {
                builder = builder.header(name, value);
            }
        }
        let body = answer.bytes().await.expect("a body").to_vec();
        builder.body(Body::from(change(body))).expect("an answer")
    }
}
