//! The retry of requests: waits for the rate limit, sends, and repeats what may succeed later.
//!
//! Three layers retry. [`HttpClient::send`] repeats a request after a network error, 408, 429 or
//! 5xx. [`AnswerRetry`] repeats an operation whose answer was garbled. Whatever still fails is left
//! to the next pass, as the error's [`Disposition`](super::Disposition) says.

use crate::domain::lock::lock;
use std::sync::{Mutex, MutexGuard};

use reqwest::Url;
use tokio::time::Instant;

use super::error::ProviderError;
use super::gate::Gate;
use super::limits::{ANSWER_BACKOFF, RECOVERY_PERIOD, REQUEST_BACKOFF, THROTTLE_BACKOFF};
use super::rate_limiter::Priority;
use super::transport::{Attempt, ClientSetupError, ProviderRequest, ProviderResponse, Transport};

/// The requests of one account.
#[derive(Debug)]
pub(super) struct HttpClient {
    account: String,
    gate: Gate,
    transport: Transport,
    /// The time of the last failure of the current outage; `None` without one. An outage is logged
    /// once when it begins and once when it is over.
    last_failure_at: Mutex<Option<Instant>>,
}

impl HttpClient {
    /// Makes a client for `base_url`. `account` names it in the log.
    pub(super) fn new(account: &str, base_url: &Url, gate: Gate) -> Result<Self, ClientSetupError> {
        let transport = Transport::new(base_url)?;
        Ok(Self {
            account: account.to_owned(),
            gate,
            transport,
            last_failure_at: Mutex::default(),
        })
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Sends a request until there is an answer that another attempt would not change.
    /// `make_request` makes it anew for every attempt; `operation` names it in errors.
    pub(super) async fn send(
        &self,
        operation: &'static str,
        priority: Priority,
        make_request: impl Fn() -> Result<ProviderRequest, ProviderError>,
    ) -> Result<ProviderResponse, ProviderError> {
        let limiter = self.gate.rate_limiter();
        let mut attempts = 0;
        loop {
            limiter
                .acquire(priority)
                .await
                .map_err(|remaining| ProviderError::Paused { remaining })?;
            let attempt = self
                .transport
                .attempt(&self.gate, operation, make_request()?)
                .await;
            self.gate.traffic().record_outcome(attempt.outcome());
            let failure = match attempt {
                Attempt::Answered(answer) => {
                    if answer.status.is_success() {
                        self.gate.record_authenticated();
                    }
                    self.record_success();
                    return Ok(answer);
                }
                Attempt::Rejected(error) => return Err(error),
                Attempt::Failed(failure) => failure,
            };
            attempts += 1;
            self.record_failure(operation, &failure.cause);
            let Some(wait) = REQUEST_BACKOFF.delay_after(attempts, fastrand::f64()) else {
                return Err(ProviderError::Unreachable {
                    operation,
                    cause: failure.cause,
                    attempts,
                });
            };
            match failure.retry_after {
                // All requests of the account wait, this one included.
                Some(asked) => {
                    let grown = THROTTLE_BACKOFF.delay_after(attempts, fastrand::f64());
                    limiter.pause_until(Instant::now() + asked.max(grown.unwrap_or(asked)));
                }
                None => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Starts the retry of an operation whose answers may be garbled: a gateway's page, JSON that
    /// breaks off, a failure that the provider reports under 200; or whose credentials are refused
    /// although they were good a while ago. Only the caller knows which request to send then.
    pub(super) fn answer_retry(&self) -> AnswerRetry<'_> {
        AnswerRetry {
            client: self,
            failures: 0,
        }
    }

    fn record_failure(&self, operation: &'static str, cause: &str) {
        let account = &self.account;
        if self.lock_last_failure().replace(Instant::now()).is_some() {
            tracing::debug!(account, operation, cause, "still failing");
        } else {
            tracing::warn!(account, operation, cause, "the provider fails; retrying");
        }
    }

    fn record_success(&self) {
        let mut last_failure = self.lock_last_failure();
        if last_failure.is_some_and(|last| last.elapsed() >= RECOVERY_PERIOD) {
            *last_failure = None;
            tracing::info!(account = self.account, "the provider answers again");
        }
    }

    fn lock_last_failure(&self) -> MutexGuard<'_, Option<Instant>> {
        // A moment is plain data that no panic can leave half-written.
        lock(&self.last_failure_at)
    }

    /// True if an operation that failed may succeed when it is repeated shortly.
    fn is_transient(&self, error: &ProviderError) -> bool {
        match error {
            ProviderError::Credentials { .. } => self.gate.has_authenticated(),
            error => error.is_transient(),
        }
    }
}

/// The retry of an operation whose answers may be garbled.
#[derive(Debug)]
pub(super) struct AnswerRetry<'a> {
    client: &'a HttpClient,
    failures: u32,
}

impl AnswerRetry<'_> {
    /// Waits before the next attempt. Returns `error` if there is to be none.
    pub(super) async fn backoff_or_fail(
        &mut self,
        error: ProviderError,
    ) -> Result<(), ProviderError> {
        self.failures += 1;
        match ANSWER_BACKOFF.delay_after(self.failures, fastrand::f64()) {
            Some(wait) if self.client.is_transient(&error) => {
                self.client.record_failure("answer", &error.to_string());
                tokio::time::sleep(wait).await;
                Ok(())
            }
            _ => Err(error),
        }
    }
}
