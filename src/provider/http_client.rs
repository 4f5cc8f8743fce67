//! The retry of requests: waits for the rate limit, sends, and repeats what may succeed later.
//!
//! Three layers retry. [`HttpClient::send`] repeats a request after a network error, 408, 429 or
//! 5xx. [`AnswerRetry`] repeats an operation whose answer was garbled. Whatever still fails is left
//! to the next pass, as the error's [`Disposition`](super::Disposition) says.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use reqwest::Url;
use tokio::time::Instant;

use super::error::ProviderError;
use super::gate::Gate;
use super::limits::{ANSWER_BACKOFF, RECOVERY_PERIOD, REQUEST_BACKOFF, THROTTLE_BACKOFF};
use super::rate_limiter::Priority;
use super::transport::{Attempt, ClientSetupError, ProviderRequest, ProviderResponse, Transport};
use crate::domain::lock::lock;

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
            let sent = limiter
                .acquire(priority)
                .await
                .map_err(|remaining| self.gate.paused(remaining))?;
            let attempt = self
                .transport
                .attempt(&self.gate, operation, make_request()?, sent)
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
                    let wait = asked.max(grown.unwrap_or(asked));
                    let reason = format!("{operation}: {}", failure.cause);
                    self.gate.pause_until(Instant::now() + wait, &reason);
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
            odd_items: HashSet::new(),
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
            ProviderError::Credentials { .. } => self.gate.knows_credentials_as_good(),
            error => error.is_transient(),
        }
    }
}

/// A parsed answer. Some of its items may be odd: they cannot be parsed, or were not asked for.
#[derive(Debug)]
pub(super) struct ParsedAnswer<T> {
    pub(super) value: T,
    /// The raw texts of the odd items.
    pub(super) odd_items: Vec<String>,
}

/// The retry of an operation whose answers may be garbled.
#[derive(Debug)]
pub(super) struct AnswerRetry<'a> {
    client: &'a HttpClient,
    failures: u32,
    /// The odd items of earlier answers.
    odd_items: HashSet<String>,
}

impl AnswerRetry<'_> {
    /// Returns the value of an answer that can be relied on. `None` after the wait before the next
    /// attempt.
    ///
    /// Odd items may have been garbled on the way. An answer is relied on if another one before it
    /// has shown the same odd items: then the provider stores them so. At the last attempt one of
    /// them is enough, since a history that grows may show new ones in every answer.
    pub(super) async fn accept<T>(
        &mut self,
        operation: &'static str,
        answer: Result<ParsedAnswer<T>, ProviderError>,
    ) -> Result<Option<T>, ProviderError> {
        let ParsedAnswer { value, odd_items } = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.backoff_or_fail(error).await?;
                return Ok(None);
            }
        };
        let known = odd_items
            .iter()
            .filter(|raw| self.odd_items.contains(*raw))
            .count();
        if known == odd_items.len() || (known > 0 && self.is_last_attempt()) {
            self.client.gate.traffic().record_used_answer();
            return Ok(Some(value));
        }
        self.odd_items.extend(odd_items);
        let fault = "some of its messages cannot be parsed or were not asked for".to_owned();
        self.backoff_or_fail(ProviderError::Malformed { operation, fault })
            .await?;
        Ok(None)
    }

    fn is_last_attempt(&self) -> bool {
        ANSWER_BACKOFF.delay_after(self.failures + 1, 0.0).is_none()
    }

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
