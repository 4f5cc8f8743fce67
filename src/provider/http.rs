//! The one HTTP client: spends the budget, bounds everything, retries what may pass, and never follows a redirect.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::budget::{Budget, Turn};
use super::clock::{ProviderClock, parse_http_date};
use super::error::ProviderError;
use super::traffic::{Outcome, Traffic};
use crate::domain::clock::Clock;
use crate::domain::retry::Backoff;

/// The largest body that is read. A page of Agora's is at most 100 messages of 32 KiB, each byte of which JSON may
/// write as six (`\u00XX`): 20 MB.
const MAX_BODY_BYTES: usize = 24 << 20;
/// Of bodies that are larger than this, one at a time is read: whatever is in flight, memory is bounded.
const MAX_CONCURRENT_BODY_BYTES: usize = 256 << 10;
/// From the request to the last byte of its answer, unless the account says otherwise. Nothing else needs a limit of
/// its own: an answer that hangs and one that drips end alike.
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a `Retry-After` is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);
/// The pause after a 429 that does not say how long; it grows while the 429s go on.
const THROTTLE_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(2),
    most: Duration::from_mins(1),
    max_attempts: u32::MAX,
};

/// Trouble is over once nothing has failed for so long: while it lasts, some requests may well succeed.
const RECOVERY_PERIOD: Duration = Duration::from_secs(10);

/// Above so many requests a second a limit is none that a provider of today has.
const MAX_PROVIDER_RATE: f64 = 1000.0;

/// How a request is tried.
const REQUEST_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(500),
    most: Duration::from_secs(20),
    max_attempts: 6,
};

/// How something is tried whose answer was garbled.
const ANSWER_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(500),
    most: Duration::from_secs(5),
    max_attempts: 4,
};

/// The way to one account's provider.
#[derive(Debug)]
pub struct HttpClient {
    client: reqwest::Client,
    account: String,
    rate_limiter: Budget,
    clock: ProviderClock,
    timeout: Duration,
    large_body: Semaphore,
    traffic: Traffic,
    /// Whether the provider has let us in since this process began.
    authenticated_once: AtomicBool,
    /// When something failed last, in trouble that is not over: it is logged once when it begins and once when it is
    /// over.
    last_failure_at: Mutex<Option<Instant>>,
}

/// A request, made anew for every try.
#[derive(Debug)]
pub struct ProviderRequest {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<String>,
}

/// An answer that is neither a refusal of the credentials nor a passing failure.
#[derive(Debug)]
pub struct ProviderResponse {
    pub status: StatusCode,
    pub body: Vec<u8>,
}

/// A try that may succeed later.
struct TransientFailure {
    cause: String,
    /// What the provider asked us to wait.
    retry_after: Option<Duration>,
    outcome: Outcome,
}

impl HttpClient {
    /// `base` is only looked at to decide whether plain HTTP may ever be spoken: to loopback, nowhere else.
    pub fn new(
        account: &str,
        base: &Url,
        requests_per_second: f64,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ClientSetupError> {
        let plain = base.scheme() == "http";
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .https_only(!plain)
            .user_agent(concat!("backscroll/", env!("CARGO_PKG_VERSION")));
        if plain {
            builder = builder.no_proxy();
        }
        let budget = Budget::per_second(requests_per_second);
        if requests_per_second <= MAX_PROVIDER_RATE {
            // Another process may have spent the second that is running.
            budget.pause_until(Instant::now() + Duration::from_secs(1));
        }
        Ok(Self {
            client: builder
                .build()
                .map_err(|e| ClientSetupError(describe_network_error(&e)))?,
            account: account.to_owned(),
            rate_limiter: budget,
            clock: ProviderClock::new(clock),
            timeout: DEFAULT_REQUEST_TIMEOUT,
            large_body: Semaphore::new(1),
            traffic: Traffic::default(),
            authenticated_once: AtomicBool::new(false),
            last_failure_at: Mutex::default(),
        })
    }

    /// With another limit on the time from a request to the last byte of its answer.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    pub fn clock(&self) -> &ProviderClock {
        &self.clock
    }

    pub fn budget(&self) -> &Budget {
        &self.rate_limiter
    }

    pub fn requests(&self) -> u64 {
        self.traffic.requests_sent()
    }

    /// What became of the account's requests.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Whether the provider has let us in since this process began.
    pub fn has_authenticated(&self) -> bool {
        self.authenticated_once.load(Ordering::Relaxed)
    }

    /// How long an answer may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends what `request` makes, afresh for every try, until there is an answer that trying again would not change.
    /// `what` names the request in errors.
    pub async fn send(
        &self,
        what: &'static str,
        turn: Turn,
        request: impl Fn() -> Result<ProviderRequest, ProviderError>,
    ) -> Result<ProviderResponse, ProviderError> {
        let mut failures = 0;
        loop {
            self.rate_limiter
                .acquire(turn)
                .await
                .map_err(|left| ProviderError::Paused { left })?;
            let attempt = self.attempt(what, request()?).await;
            self.traffic.record_outcome(outcome_of(&attempt));
            let passing = match attempt? {
                Ok(answer) => {
                    self.record_success();
                    return Ok(answer);
                }
                Err(passing) => passing,
            };
            failures += 1;
            self.record_failure(what, &passing.cause);
            let Some(wait) = REQUEST_BACKOFF.after(failures, fastrand::f64()) else {
                return Err(ProviderError::Unreachable {
                    what,
                    cause: passing.cause,
                    tries: failures,
                });
            };
            match passing.retry_after {
                // Everything of the account waits, this request with it.
                Some(asked) => {
                    let grown = THROTTLE_BACKOFF
                        .after(failures, fastrand::f64())
                        .unwrap_or(asked);
                    self.rate_limiter
                        .pause_until(Instant::now() + asked.max(grown));
                }
                None => tokio::time::sleep(wait).await,
            }
        }
    }

    /// One try: an answer, a passing failure, or an error that is final.
    async fn attempt(
        &self,
        what: &'static str,
        request: ProviderRequest,
    ) -> Result<Result<ProviderResponse, TransientFailure>, ProviderError> {
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
            .timeout(self.timeout);
        if let Some(body) = body {
            builder = builder.body(body);
        }
        self.traffic.record_sent();
        let sent = Instant::now();
        let response = match builder.send().await {
            Ok(response) => response,
            Err(error) => return Ok(Err(TransientFailure::network(&error))),
        };
        if let Some(date) = response.headers().get(DATE).and_then(|d| d.to_str().ok()) {
            self.clock.observe(date, sent, Instant::now());
        }
        let status = response.status();
        let retry_after = self.retry_after(response.headers());
        let body = match read_body(response, &self.large_body).await {
            Ok(Some(body)) => body,
            Ok(None) => {
                let fault = format!("the answer is larger than {MAX_BODY_BYTES} bytes");
                return Err(ProviderError::Malformed { what, fault });
            }
            Err(error) => return Ok(Err(TransientFailure::network(&error))),
        };
        match status.as_u16() {
            401 | 403 => Err(ProviderError::Credentials {
                what,
                status: status.as_u16(),
                said: said(&body),
            }),
            429 => {
                let wait = Some(retry_after.unwrap_or_default());
                Ok(Err(TransientFailure {
                    cause: describe_status(status, &body),
                    retry_after: wait,
                    outcome: Outcome::Throttled,
                }))
            }
            408 | 500..=599 => Ok(Err(TransientFailure {
                cause: describe_status(status, &body),
                retry_after,
                outcome: Outcome::Failed,
            })),
            300..=399 => {
                let fault = format!("answered with a redirect ({status}), which is never followed");
                Err(ProviderError::Malformed { what, fault })
            }
            _ => {
                self.authenticated_once
                    .fetch_or(status.is_success(), Ordering::Relaxed);
                Ok(Ok(ProviderResponse { status, body }))
            }
        }
    }

    /// `Retry-After` in either of its forms, as far as it is believed.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let asked = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => parse_http_date(text)?.since(self.clock.now()),
        };
        Some(asked.min(MAX_RETRY_AFTER))
    }

    /// To do something again that came to nothing because an answer was garbled: a page of a gateway's, JSON that
    /// breaks off, a failure that the provider reports under 200; or because credentials were refused that were good
    /// a while ago. Such things pass, like the failures that [`Http::send`] deals with itself; but which request is
    /// then to be sent, only the caller knows.
    pub fn answer_retry(&self) -> AnswerRetry<'_> {
        AnswerRetry {
            http: self,
            failures: 0,
        }
    }

    fn record_failure(&self, what: &'static str, cause: &str) {
        if self.lock_last_failure().replace(Instant::now()).is_some() {
            tracing::debug!(account = self.account, what, cause, "still failing");
        } else {
            tracing::warn!(
                account = self.account,
                what,
                cause,
                "the provider fails; trying again"
            );
        }
    }

    fn record_success(&self) {
        let mut trouble = self.lock_last_failure();
        if trouble.is_some_and(|last| last.elapsed() >= RECOVERY_PERIOD) {
            *trouble = None;
            tracing::info!(account = self.account, "the provider answers again");
        }
    }

    /// A moment is plain data that no panic can leave half-written.
    fn lock_last_failure(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.last_failure_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what failed may succeed when it is done again in a moment.
    fn is_transient(&self, error: &ProviderError) -> bool {
        match error {
            ProviderError::Credentials { .. } => self.has_authenticated(),
            error => error.is_transient(),
        }
    }
}

/// The tries of something whose answers may be garbled.
#[derive(Debug)]
pub struct AnswerRetry<'a> {
    http: &'a HttpClient,
    failures: u32,
}

impl AnswerRetry<'_> {
    /// Waits before the next try; errors with what went wrong if there is to be none.
    pub async fn backoff_or_fail(&mut self, error: ProviderError) -> Result<(), ProviderError> {
        self.failures += 1;
        match ANSWER_BACKOFF.after(self.failures, fastrand::f64()) {
            Some(wait) if self.http.is_transient(&error) => {
                self.http.record_failure("answer", &error.to_string());
                tokio::time::sleep(wait).await;
                Ok(())
            }
            _ => Err(error),
        }
    }
}

impl ProviderResponse {
    /// The error for an answer that a caller has no use for.
    pub fn refusal(&self, what: &'static str) -> ProviderError {
        ProviderError::Refused {
            what,
            code: format!("status {}", self.status),
            said: said(&self.body),
        }
    }
}

impl TransientFailure {
    fn network(error: &reqwest::Error) -> Self {
        Self {
            cause: describe_network_error(error),
            retry_after: None,
            outcome: Outcome::Unreachable,
        }
    }
}

fn outcome_of(
    attempt: &Result<Result<ProviderResponse, TransientFailure>, ProviderError>,
) -> Outcome {
    match attempt {
        Ok(Ok(answer)) if answer.status.is_success() => Outcome::Answered,
        Ok(Ok(_)) => Outcome::Refused,
        Ok(Err(passing)) => passing.outcome,
        Err(ProviderError::Credentials { .. }) => Outcome::Unauthorized,
        Err(_) => Outcome::Malformed,
    }
}

/// An HTTP client could not be set up on this machine.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up: {0}")]
pub struct ClientSetupError(String);

impl ClientSetupError {
    pub(super) fn invalid_header(name: &str) -> Self {
        Self(format!(
            "the value for the header `{name}` holds characters that no header can"
        ))
    }
}

/// The body, or nothing where it is too large.
async fn read_body(
    mut response: reqwest::Response,
    large_body: &Semaphore,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let announced = response
        .content_length()
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(0);
    if announced > MAX_BODY_BYTES {
        return Ok(None);
    }
    let mut turn = None;
    let mut body = Vec::with_capacity(announced.min(MAX_CONCURRENT_BODY_BYTES));
    while let Some(chunk) = response.chunk().await? {
        let size = body.len() + chunk.len();
        if size > MAX_BODY_BYTES {
            return Ok(None);
        }
        if size > MAX_CONCURRENT_BODY_BYTES && turn.is_none() {
            // It is never closed.
            turn = large_body.acquire().await.ok();
        }
        if size > body.capacity() {
            // By so much at a time, and not by doubling: a body that is too large takes no more than the largest.
            body.reserve_exact(chunk.len().max(MAX_CONCURRENT_BODY_BYTES));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// An error with its causes, in one line. reqwest's own text would name the URL, and a URL may hold a signature.
fn describe_network_error(error: &reqwest::Error) -> String {
    use std::error::Error;
    let mut text = match (error.is_timeout(), error.is_connect()) {
        (true, _) => "timed out".to_owned(),
        (_, true) => "cannot connect".to_owned(),
        _ => "the connection failed".to_owned(),
    };
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn describe_status(status: StatusCode, body: &[u8]) -> String {
    match said(body) {
        Some(said) => format!("status {status}: {said}"),
        None => format!("status {status}"),
    }
}

/// What an error body says for itself: the `reason`, `message`, `msg` or `code` of a JSON object. Gateways also
/// answer with pages of HTML; of those, and of anything else, nothing is shown.
pub fn said(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = ["reason", "message", "msg", "code"]
        .iter()
        .find_map(|key| value.get(key)?.as_str())?;
    Some(text.chars().filter(|c| !c.is_control()).take(200).collect())
}
