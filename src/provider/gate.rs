//! The gate to one account's provider: its rate limit, its clock and its traffic, without an HTTP
//! client.
//!
//! The engine, the daemon and the commands see a provider's state through this and nothing else. A
//! test double makes one with [`Gate::new`] and needs no URL.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::clock::ProviderClock;
use super::error::ProviderError;
use super::limits;
use super::rate_limiter::RateLimiter;
use super::traffic::Traffic;
use crate::domain::clock::Clock;
use crate::domain::lock::lock;

/// The state that an account shares between all its requests.
#[derive(Debug)]
pub struct Gate {
    rate_limiter: RateLimiter,
    clock: ProviderClock,
    traffic: Traffic,
    request_timeout: Duration,
    authenticated_once: AtomicBool,
    authenticated_before: AtomicBool,
    /// The reason of the latest pause.
    pause_reason: Mutex<Option<String>>,
}

impl Gate {
    /// Makes a gate for `requests_per_second`; 0 or less means without a limit. `machine` is this
    /// machine's clock, which stands in for the provider's until the first answer.
    pub fn new(requests_per_second: f64, machine: Arc<dyn Clock>) -> Self {
        let rate_limiter = RateLimiter::per_second(requests_per_second);
        if requests_per_second <= limits::MAX_PROVIDER_RATE {
            // A process before this one may have used up the current second. If the archive is known,
            // its record tells; if there is none yet, nothing does.
            let pause = limits::HANDOVER_PAUSE.max(rate_limiter.period());
            rate_limiter.pause_until(Instant::now() + pause);
        }
        Self {
            rate_limiter,
            clock: ProviderClock::new(machine),
            traffic: Traffic::default(),
            request_timeout: limits::DEFAULT_REQUEST_TIMEOUT,
            authenticated_once: AtomicBool::new(false),
            authenticated_before: AtomicBool::new(false),
            pause_reason: Mutex::default(),
        }
    }

    /// Replaces the time limit from a request to the last byte of its answer.
    pub fn with_request_timeout(self, request_timeout: Duration) -> Self {
        Self {
            request_timeout,
            ..self
        }
    }

    /// Sets the account's settle age: a first `Date` that differs by more from this machine's clock
    /// is doubted.
    pub fn with_settle(self, settle: Duration) -> Self {
        Self {
            clock: self.clock.with_first_tolerance(settle),
            ..self
        }
    }

    /// The account's rate limit and its pauses.
    pub fn rate_limiter(&self) -> &RateLimiter {
        &self.rate_limiter
    }

    /// The provider's clock, as far as its answers show it.
    pub fn clock(&self) -> &ProviderClock {
        &self.clock
    }

    /// The account's requests and their outcomes since this process started.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The time limit from a request to the last byte of its answer.
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// True if the provider has accepted the credentials since this process started.
    pub fn has_authenticated(&self) -> bool {
        self.authenticated_once.load(Ordering::Relaxed)
    }

    /// Records a successful answer: the credentials are good.
    pub fn record_authenticated(&self) {
        self.authenticated_once.store(true, Ordering::Relaxed);
    }

    /// Records that the provider has accepted the same credentials from an earlier process.
    pub fn record_authenticated_before(&self) {
        self.authenticated_before.store(true, Ordering::Relaxed);
    }

    /// True if the provider has ever accepted the credentials. A refusal may then be an accident.
    pub fn knows_credentials_as_good(&self) -> bool {
        self.has_authenticated() || self.authenticated_before.load(Ordering::Relaxed)
    }

    /// Sends no request before `until`, because of a failure with this text. A pause that lasts
    /// longer stays.
    pub fn pause_until(&self, until: Instant, reason: &str) {
        if self.rate_limiter.pause_until(until) {
            *lock(&self.pause_reason) = Some(reason.to_owned());
        }
    }

    /// Returns the failure of a request during a pause with this rest.
    pub fn paused(&self, remaining: Duration) -> ProviderError {
        ProviderError::Paused {
            remaining,
            reason: lock(&self.pause_reason).clone(),
        }
    }
}
