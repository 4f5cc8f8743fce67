//! One HTTP request and its answer: bounded in time and size, without redirects, on a verified
//! connection.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, LOCATION};
use reqwest::{Method, StatusCode, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::body_encoding::BodyEncoding;
use super::client_builder::client_builder;
use super::error::ProviderError;
use super::gate::Gate;
use super::json::printable;
use super::limits::{CONNECT_TIMEOUT, MAX_BODY_BYTES, MAX_CONCURRENT_BODY_BYTES};
use super::retry_after::retry_after;
use super::sent_time::{OpeningObserver, SentTime};
use super::traffic::RequestOutcome;

/// A request, made anew for every attempt.
#[derive(Debug)]
pub(super) struct ProviderRequest {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<String>,
}

/// An answer that is neither a refusal of the credentials nor a transient failure.
#[derive(Debug)]
pub(super) struct ProviderResponse {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
    /// Held with a large body, until it is parsed and dropped.
    _large_body: Option<OwnedSemaphorePermit>,
}

/// A body that was read.
struct Body {
    bytes: Vec<u8>,
    /// See [`Transport::large_body`].
    permit: Option<OwnedSemaphorePermit>,
}

/// The result of one attempt.
pub(super) enum Attempt {
    Answered(ProviderResponse),
    /// A later attempt may succeed.
    Failed(TransientFailure),
    /// No further attempt would change it.
    Rejected(ProviderError),
}

/// A failure that may be over at the next attempt.
pub(super) struct TransientFailure {
    pub(super) cause: String,
    /// The wait that the provider asked for; zero after a 429 that names none.
    pub(super) retry_after: Option<Duration>,
    outcome: RequestOutcome,
}

/// The HTTP client of one account.
#[derive(Debug)]
pub(super) struct Transport {
    client: reqwest::Client,
    /// Held while a large body is read and parsed: one at a time is in memory.
    large_body: Arc<Semaphore>,
}

/// The HTTP client of an account cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up: {0}")]
pub struct ClientSetupError(String);

impl Transport {
    /// Makes a client for `base_url`. Plain HTTP is spoken only if `base_url` itself says so, and
    /// the configuration allows that for loopback addresses only.
    pub(super) fn new(base_url: &Url) -> Result<Self, ClientSetupError> {
        if base_url.scheme() == "https" {
            check_proxy_variables()?;
        }
        let client = client_builder(base_url)
            .connect_timeout(CONNECT_TIMEOUT)
            .connector_layer(OpeningObserver)
            .build()
            .map_err(|e| ClientSetupError(describe_network_error(&e)))?;
        Ok(Self {
            client,
            large_body: Arc::new(Semaphore::new(1)),
        })
    }

    /// Sends one request. `operation` names it in errors, and `sent` is its time in the rate limit.
    pub(super) async fn attempt(
        &self,
        gate: &Gate,
        operation: &'static str,
        request: ProviderRequest,
        sent: SentTime,
    ) -> Attempt {
        let ProviderRequest {
            method,
            url,
            headers,
            body,
        } = request;
        let mut builder = self
            .client
            .request(method, url)
            .headers(headers)
            .timeout(gate.request_timeout());
        if let Some(body) = body {
            builder = builder.body(body);
        }
        gate.traffic().record_sent();
        let asked = Instant::now();
        let response = match sent.clone().follow(builder.send()).await {
            Ok(response) => response,
            // Only this request cannot be made: its address or a header is too long or not valid.
            Err(error) if error.is_builder() => {
                let fault = describe_network_error(&error);
                return Attempt::Rejected(ProviderError::Unsendable { operation, fault });
            }
            Err(error) => return Attempt::unreachable(&error),
        };
        gate.rate_limiter().record_answer(&sent);
        if let Some(date) = response.headers().get(DATE).and_then(|d| d.to_str().ok()) {
            gate.clock().observe(date, asked, Instant::now());
        }
        let status = response.status();
        let retry_after = retry_after(response.headers(), gate.clock().now());
        let encoding = BodyEncoding::from_headers(response.headers());
        if status.is_redirection() {
            let target = redirect_target(response.headers());
            // The rest of the answer says no more.
            let fault =
                format!("answered with a redirect{target} ({status}), which is never followed");
            return Attempt::Rejected(ProviderError::Malformed { operation, fault });
        }
        match self.read_body(response).await {
            Ok(Some(body)) => {
                let body = Body {
                    bytes: encoding.decode(body.bytes),
                    ..body
                };
                Attempt::from_answer(operation, status, retry_after, body)
            }
            Ok(None) => {
                let fault = format!("the answer is larger than {MAX_BODY_BYTES} bytes");
                Attempt::Rejected(ProviderError::Malformed { operation, fault })
            }
            Err(error) => Attempt::unreachable(&error),
        }
    }

    /// Reads the body; `None` if it is too large.
    async fn read_body(
        &self,
        mut response: reqwest::Response,
    ) -> Result<Option<Body>, reqwest::Error> {
        let announced = response
            .content_length()
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(0);
        if announced > MAX_BODY_BYTES {
            return Ok(None);
        }
        let mut permit = None;
        let mut bytes = Vec::with_capacity(announced.min(MAX_CONCURRENT_BODY_BYTES));
        while let Some(chunk) = response.chunk().await? {
            let size = bytes.len() + chunk.len();
            if size > MAX_BODY_BYTES {
                return Ok(None);
            }
            if size > MAX_CONCURRENT_BODY_BYTES && permit.is_none() {
                // The semaphore is never closed.
                permit = self.large_body.clone().acquire_owned().await.ok();
            }
            if size > bytes.capacity() {
                // Grown by a fixed step and not by doubling: a refused body takes no more than the
                // largest legal one.
                bytes.reserve_exact(chunk.len().max(MAX_CONCURRENT_BODY_BYTES));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(Body { bytes, permit }))
    }
}

/// Returns ` to ` and the scheme and host to which a redirect leads: they show a captive portal, or
/// a plain connection. The rest of the address may hold anything. Empty if it names no other host.
fn redirect_target(headers: &HeaderMap) -> String {
    let location = headers
        .get(LOCATION)
        .and_then(|location| location.to_str().ok());
    let address = location.and_then(|location| Url::parse(location).ok());
    match address
        .as_ref()
        .map(|address| (address, address.host_str()))
    {
        Some((address, Some(host))) => {
            let port = address.port().map(|port| format!(":{port}"));
            let port = port.unwrap_or_default();
            printable(&format!(" to {}://{host}{port}", address.scheme()))
        }
        _ => String::new(),
    }
}

impl Attempt {
    fn unreachable(error: &reqwest::Error) -> Self {
        let cause = describe_network_error(error);
        Self::Failed(TransientFailure {
            cause,
            retry_after: None,
            outcome: RequestOutcome::Unreachable,
        })
    }

    fn from_answer(
        operation: &'static str,
        status: StatusCode,
        retry_after: Option<Duration>,
        body: Body,
    ) -> Self {
        let Body { bytes, permit } = body;
        let failed = |retry_after, outcome| {
            Self::Failed(TransientFailure {
                cause: describe_status(status, &bytes),
                retry_after,
                outcome,
            })
        };
        match status.as_u16() {
            // Credentials that are wrong do not become right with time: it is a rate limit.
            401 | 403 if retry_after.is_some() => failed(retry_after, RequestOutcome::Throttled),
            401 | 403 => Self::Rejected(ProviderError::Credentials {
                operation,
                status: status.as_u16(),
                message: error_text(&bytes),
            }),
            429 => failed(
                Some(retry_after.unwrap_or_default()),
                RequestOutcome::Throttled,
            ),
            408 | 500..=599 => failed(retry_after, RequestOutcome::Failed),
            _ => Self::Answered(ProviderResponse {
                status,
                body: bytes,
                _large_body: permit,
            }),
        }
    }

    /// The outcome that the traffic counters record.
    pub(super) fn outcome(&self) -> RequestOutcome {
        match self {
            Self::Answered(answer) if answer.status.is_success() => RequestOutcome::Answered,
            Self::Answered(_) => RequestOutcome::Refused,
            Self::Failed(failure) => failure.outcome,
            Self::Rejected(ProviderError::Credentials { .. }) => RequestOutcome::Unauthorized,
            Self::Rejected(_) => RequestOutcome::Malformed,
        }
    }
}

impl ProviderResponse {
    /// The error for an answer whose status is not a success.
    pub(super) fn refusal(&self, operation: &'static str) -> ProviderError {
        let code = format!("status {}", self.status);
        ProviderError::Refused {
            operation,
            code,
            message: error_text(&self.body),
        }
    }
}

impl ClientSetupError {
    pub(super) fn invalid_header(name: &str) -> Self {
        Self(format!(
            "the value of the header `{name}` holds characters that no header can"
        ))
    }
}

/// Fails if the environment names a proxy that cannot be used. Otherwise the client would ignore it
/// and connect directly, which the operator may not want.
fn check_proxy_variables() -> Result<(), ClientSetupError> {
    const NAMES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    for name in NAMES {
        let Some(value) = std::env::var_os(name) else {
            continue;
        };
        let is_usable = value.to_str().is_some_and(is_usable_proxy);
        if !is_usable {
            // The value may hold a password.
            return Err(ClientSetupError(format!(
                "the variable {name} does not name an HTTP proxy: write http://host:port, or unset it"
            )));
        }
    }
    Ok(())
}

/// An empty value stands for no proxy. Without a scheme it is `http`.
fn is_usable_proxy(value: &str) -> bool {
    let address = if value.contains("://") {
        value.to_owned()
    } else {
        format!("http://{value}")
    };
    let is_scheme = |host: &str| matches!(host, "http" | "https");
    let usable =
        |url: Url| is_scheme(url.scheme()) && url.host_str().is_some_and(|host| !is_scheme(host));
    value.is_empty() || Url::parse(&address).is_ok_and(usable)
}

/// Returns an error with its causes in one line. reqwest's own text would name the URL, and a URL
/// may hold a signature.
fn describe_network_error(error: &reqwest::Error) -> String {
    use std::error::Error;
    let text = match (error.is_timeout(), error.is_connect()) {
        (true, true) => "timed out while connecting",
        // Interim answers (1xx) are none.
        (true, false) if error.is_request() => "timed out before an answer began",
        (true, false) => "timed out within an answer",
        (false, true) => "cannot connect",
        (false, false) => "the connection failed",
    };
    let mut text = text.to_owned();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn describe_status(status: StatusCode, body: &[u8]) -> String {
    match error_text(body) {
        Some(message) => format!("status {status}: {message}"),
        None => format!("status {status}"),
    }
}

/// Returns the `reason`, `message`, `msg` or `code` of a JSON object in an error's body, shortened
/// and without control characters. Other bodies, such as the HTML pages of gateways, are
/// not shown.
fn error_text(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let keys = ["reason", "message", "msg", "code"];
    let text = keys.iter().find_map(|key| value.get(key)?.as_str())?;
    Some(super::json::printable(text))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;
    use crate::domain::clock::SystemClock;

    #[tokio::test]
    async fn connection_of_endless_interim_answers_is_closed_at_the_time_limit() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url: Url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let server = tokio::task::spawn_blocking(move || {
            let (mut connection, _) = listener.accept()?;
            let _ = connection.read(&mut [0; 4096])?;
            let answers = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(300);
            while connection.write_all(&answers).is_ok() {}
            Ok::<_, std::io::Error>(())
        });
        let gate =
            Gate::new(0.0, Arc::new(SystemClock)).with_request_timeout(Duration::from_millis(200));
        let request = ProviderRequest {
            method: Method::GET,
            url: url.clone(),
            headers: HeaderMap::new(),
            body: None,
        };
        let sent = SentTime::at(Instant::now());
        let transport = Transport::new(&url).unwrap();
        let attempt = transport.attempt(&gate, "test", request, sent).await;
        let Attempt::Failed(failure) = attempt else {
            panic!("no interim answer is an answer");
        };
        assert!(
            failure
                .cause
                .starts_with("timed out before an answer began"),
            "{}",
            failure.cause
        );
        // The client and its connections live on; the server meets the end of this one.
        server.await.unwrap().unwrap();
        drop(transport);
    }

    #[test]
    fn proxy_must_be_an_address_of_an_http_proxy() {
        for usable in [
            "",
            "http://proxy:3128",
            "https://u:p@proxy.example/",
            "proxy:3128",
            "[::1]:80",
        ] {
            assert!(is_usable_proxy(usable), "{usable}");
        }
        for unusable in [
            "http://",
            "http:/proxy",
            "proxy:port",
            "socks5://proxy:1080",
            "ht tp://proxy",
            "://",
        ] {
            assert!(!is_usable_proxy(unusable), "{unusable}");
        }
    }
}
