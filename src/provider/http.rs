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
const MAX_BODY: usize = 24 << 20;
/// Of bodies that are larger than this, one at a time is read: whatever is in flight, memory is bounded.
const SMALL_BODY: usize = 256 << 10;
/// From the request to the last byte of its answer, unless the account says otherwise. Nothing else needs a limit of
/// its own: an answer that hangs and one that drips end alike.
pub const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that a `Retry-After` is believed.
const LONGEST_PENALTY: Duration = Duration::from_hours(1);
/// The pause after a 429 that does not say how long; it grows while the 429s go on.
const PENALTY: Backoff = Backoff {
    first: Duration::from_secs(2),
    most: Duration::from_mins(1),
    tries: u32::MAX,
};

/// Trouble is over once nothing has failed for so long: while it lasts, some requests may well succeed.
const CALM: Duration = Duration::from_secs(10);

/// Above so many requests a second a limit is none that a provider of today has.
const NOTICEABLE: f64 = 1000.0;

/// How a request is tried.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(500),
    most: Duration::from_secs(20),
    tries: 6,
};

/// How something is tried whose answer was garbled.
const GARBLED: Backoff = Backoff {
    first: Duration::from_millis(500),
    most: Duration::from_secs(5),
    tries: 4,
};

/// The way to one account's provider.
#[derive(Debug)]
pub struct Http {
    client: reqwest::Client,
    account: String,
    budget: Budget,
    clock: ProviderClock,
    timeout: Duration,
    large_body: Semaphore,
    traffic: Traffic,
    /// Whether the provider has let us in since this process began.
    let_in: AtomicBool,
    /// When something failed last, in trouble that is not over: it is logged once when it begins and once when it is
    /// over.
    trouble: Mutex<Option<Instant>>,
}

/// A request, made anew for every try.
#[derive(Debug)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<String>,
}

/// An answer that is neither a refusal of the credentials nor a passing failure.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Vec<u8>,
}

/// A try that may succeed later.
struct Passing {
    cause: String,
    /// What the provider asked us to wait.
    wait: Option<Duration>,
    outcome: Outcome,
}

impl Http {
    /// `base` is only looked at to decide whether plain HTTP may ever be spoken: to loopback, nowhere else.
    pub fn new(
        account: &str,
        base: &Url,
        requests_per_second: f64,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BadClient> {
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
        if requests_per_second <= NOTICEABLE {
            // Another process may have spent the second that is running.
            budget.pause_until(Instant::now() + Duration::from_secs(1));
        }
        Ok(Self {
            client: builder.build().map_err(|e| BadClient(chain(&e)))?,
            account: account.to_owned(),
            budget,
            clock: ProviderClock::new(clock),
            timeout: TIMEOUT,
            large_body: Semaphore::new(1),
            traffic: Traffic::default(),
            let_in: AtomicBool::new(false),
            trouble: Mutex::default(),
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
        &self.budget
    }

    pub fn requests(&self) -> u64 {
        self.traffic.sent()
    }

    /// What became of the account's requests.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Whether the provider has let us in since this process began.
    pub fn is_let_in(&self) -> bool {
        self.let_in.load(Ordering::Relaxed)
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
        request: impl Fn() -> Result<Request, ProviderError>,
    ) -> Result<Answer, ProviderError> {
        let mut failures = 0;
        loop {
            self.budget
                .acquire(turn)
                .await
                .map_err(|left| ProviderError::Blocked { left })?;
            let attempt = self.attempt(what, request()?).await;
            self.traffic.note_ended(outcome(&attempt));
            let passing = match attempt? {
                Ok(answer) => {
                    self.well();
                    return Ok(answer);
                }
                Err(passing) => passing,
            };
            failures += 1;
            self.trouble(what, &passing.cause);
            let Some(wait) = BACKOFF.after(failures, fastrand::f64()) else {
                return Err(ProviderError::Unreachable {
                    what,
                    cause: passing.cause,
                    tries: failures,
                });
            };
            match passing.wait {
                // Everything of the account waits, this request with it.
                Some(asked) => {
                    let grown = PENALTY.after(failures, fastrand::f64()).unwrap_or(asked);
                    self.budget.pause_until(Instant::now() + asked.max(grown));
                }
                None => tokio::time::sleep(wait).await,
            }
        }
    }

    /// One try: an answer, a passing failure, or an error that is final.
    async fn attempt(
        &self,
        what: &'static str,
        request: Request,
    ) -> Result<Result<Answer, Passing>, ProviderError> {
        let Request {
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
        self.traffic.note_sent();
        let sent = Instant::now();
        let response = match builder.send().await {
            Ok(response) => response,
            Err(error) => return Ok(Err(Passing::network(&error))),
        };
        if let Some(date) = response.headers().get(DATE).and_then(|d| d.to_str().ok()) {
            self.clock.observe(date, sent, Instant::now());
        }
        let status = response.status();
        let retry_after = self.retry_after(response.headers());
        let body = match read_bounded(response, &self.large_body).await {
            Ok(Some(body)) => body,
            Ok(None) => {
                let fault = format!("the answer is larger than {MAX_BODY} bytes");
                return Err(ProviderError::Malformed { what, fault });
            }
            Err(error) => return Ok(Err(Passing::network(&error))),
        };
        match status.as_u16() {
            401 | 403 => Err(ProviderError::Credentials {
                what,
                status: status.as_u16(),
                said: said(&body),
            }),
            429 => {
                let wait = Some(retry_after.unwrap_or_default());
                Ok(Err(Passing {
                    cause: label(status, &body),
                    wait,
                    outcome: Outcome::Throttled,
                }))
            }
            408 | 500..=599 => Ok(Err(Passing {
                cause: label(status, &body),
                wait: retry_after,
                outcome: Outcome::Failed,
            })),
            300..=399 => {
                let fault = format!("answered with a redirect ({status}), which is never followed");
                Err(ProviderError::Malformed { what, fault })
            }
            _ => {
                self.let_in.fetch_or(status.is_success(), Ordering::Relaxed);
                Ok(Ok(Answer { status, body }))
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
        Some(asked.min(LONGEST_PENALTY))
    }

    /// To do something again that came to nothing because an answer was garbled: a page of a gateway's, JSON that
    /// breaks off, a failure that the provider reports under 200; or because credentials were refused that were good
    /// a while ago. Such things pass, like the failures that [`Http::send`] deals with itself; but which request is
    /// then to be sent, only the caller knows.
    pub fn patience(&self) -> Patience<'_> {
        Patience {
            http: self,
            failures: 0,
        }
    }

    fn trouble(&self, what: &'static str, cause: &str) {
        if self.troubled().replace(Instant::now()).is_some() {
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

    fn well(&self) {
        let mut trouble = self.troubled();
        if trouble.is_some_and(|last| last.elapsed() >= CALM) {
            *trouble = None;
            tracing::info!(account = self.account, "the provider answers again");
        }
    }

    /// A moment is plain data that no panic can leave half-written.
    fn troubled(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what failed may succeed when it is done again in a moment.
    fn may_pass(&self, error: &ProviderError) -> bool {
        match error {
            ProviderError::Credentials { .. } => self.is_let_in(),
            error => error.may_pass(),
        }
    }
}

/// The tries of something whose answers may be garbled.
#[derive(Debug)]
pub struct Patience<'a> {
    http: &'a Http,
    failures: u32,
}

impl Patience<'_> {
    /// Waits before the next try; errors with what went wrong if there is to be none.
    pub async fn bear(&mut self, error: ProviderError) -> Result<(), ProviderError> {
        self.failures += 1;
        match GARBLED.after(self.failures, fastrand::f64()) {
            Some(wait) if self.http.may_pass(&error) => {
                self.http.trouble("answer", &error.to_string());
                tokio::time::sleep(wait).await;
                Ok(())
            }
            _ => Err(error),
        }
    }
}

impl Answer {
    /// The error for an answer that a caller has no use for.
    pub fn refused(&self, what: &'static str) -> ProviderError {
        ProviderError::Refused {
            what,
            code: format!("status {}", self.status),
            said: said(&self.body),
        }
    }
}

impl Passing {
    fn network(error: &reqwest::Error) -> Self {
        Self {
            cause: chain(error),
            wait: None,
            outcome: Outcome::Unreachable,
        }
    }
}

fn outcome(attempt: &Result<Result<Answer, Passing>, ProviderError>) -> Outcome {
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
pub struct BadClient(String);

impl BadClient {
    pub(super) fn header(name: &str) -> Self {
        Self(format!(
            "the value for the header `{name}` holds characters that no header can"
        ))
    }
}

/// The body, or nothing where it is too large.
async fn read_bounded(
    mut response: reqwest::Response,
    large_body: &Semaphore,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let announced = response
        .content_length()
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(0);
    if announced > MAX_BODY {
        return Ok(None);
    }
    let mut turn = None;
    let mut body = Vec::with_capacity(announced.min(SMALL_BODY));
    while let Some(chunk) = response.chunk().await? {
        let size = body.len() + chunk.len();
        if size > MAX_BODY {
            return Ok(None);
        }
        if size > SMALL_BODY && turn.is_none() {
            // It is never closed.
            turn = large_body.acquire().await.ok();
        }
        if size > body.capacity() {
            // By so much at a time, and not by doubling: a body that is too large takes no more than the largest.
            body.reserve_exact(chunk.len().max(SMALL_BODY));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// An error with its causes, in one line. reqwest's own text would name the URL, and a URL may hold a signature.
fn chain(error: &reqwest::Error) -> String {
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

fn label(status: StatusCode, body: &[u8]) -> String {
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
