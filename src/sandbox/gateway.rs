//! The gateway of all provider requests: it counts, delays, and admits or rejects them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::agora::AgoraState;
use super::call::Call;
use super::durations::DurationRange;
use super::fault::{Fault, FaultInput};
use super::fault_sampler::{FaultSampler, SampledFault};
use super::world::World;
use crate::domain::lock::lock;

/// The account name that records requests which name no existing account.
pub(super) const UNKNOWN_ACCOUNT: &str = "unknown";

/// The state shared by all handlers.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) world: Arc<World>,
    pub(super) agora: AgoraState,
    pub(super) stopping: CancellationToken,
    rng: Mutex<fastrand::Rng>,
    sampler: FaultSampler,
    echoed: AtomicUsize,
}

/// A request to a provider.
#[derive(Clone, Copy, Debug)]
pub(super) struct IncomingCall<'a> {
    pub(super) account: &'a str,
    pub(super) call: Call,
    /// The subject of the call: a handle, a range to count, or a topic.
    pub(super) subject: &'a str,
}

/// The fault that will replace the correct answer when it is delivered, if any.
#[derive(Debug)]
pub(super) struct PendingFault(Option<Fault>);

impl PendingFault {
    /// Delivers the answer unchanged.
    pub(super) fn none() -> Self {
        Self(None)
    }
}

/// The reason why a request is rejected before the provider handles it.
#[derive(Debug)]
pub(super) enum Rejection {
    /// A scripted answer or a fault replaces the provider's answer.
    Replaced(Box<Response>),
    /// The credentials are not valid.
    Unauthorised,
    /// The request is over the quota.
    OverQuota,
}

impl Gateway {
    /// Creates the gateway to a world. `stopping` ends answers that hang or drip.
    pub(super) fn new(world: Arc<World>, stopping: CancellationToken) -> Self {
        let mut rng = fastrand::Rng::with_seed(world.options().seed);
        let sampler = FaultSampler::new(world.options());
        Self {
            world,
            agora: AgoraState::new(&mut rng),
            stopping,
            rng: Mutex::new(rng),
            sampler,
            echoed: AtomicUsize::new(0),
        }
    }

    /// Returns the number of requests that were echoed before, and adds one.
    pub(super) fn echo_turn(&self) -> usize {
        self.echoed.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts and delays a request, then admits or rejects it.
    pub(super) async fn admit(
        &self,
        incoming: IncomingCall<'_>,
        authorised: bool,
    ) -> Result<PendingFault, Rejection> {
        let IncomingCall {
            account,
            call,
            subject,
        } = incoming;
        let options = self.world.options();
        let rules = self.world.rules();
        self.world
            .arrivals()
            .record(account, call, self.world.now());
        let admitted =
            rules.record_request(account, call, Instant::now(), options.requests_per_second);
        if !authorised {
            rules.record_unauthorised(account);
        }
        let latency = self.sample_duration(options.latency);
        if !latency.is_zero() {
            sleep(latency).await;
        }
        if let Some(prepared) = self.world.script().take_answer(call) {
            let answer = prepared
                .respond(FaultInput::default(), &self.stopping)
                .await;
            let answer = options.body_form.apply(answer).await;
            return Err(Rejection::Replaced(Box::new(answer)));
        }
        let sampled = self.sampler.sample(account, call);
        if let Some(SampledFault {
            fault,
            after_handling,
        }) = sampled
        {
            rules.record_fault(account, subject, fault);
            if !after_handling {
                let answer = self.apply_fault(fault, incoming, None).await;
                return Err(Rejection::Replaced(Box::new(answer)));
            }
        }
        match (authorised, admitted) {
            (false, _) => Err(Rejection::Unauthorised),
            (true, false) => Err(Rejection::OverQuota),
            (true, true) => Ok(PendingFault(sampled.map(|sampled| sampled.fault))),
        }
    }

    /// Delivers the correct answer, or the pending fault in its place.
    pub(super) async fn deliver(
        &self,
        incoming: IncomingCall<'_>,
        pending: PendingFault,
        answer: Response,
    ) -> Response {
        if self.sampler.is_disabled() {
            return self.world.options().body_form.apply(answer).await;
        }
        let (parts, body) = answer.into_parts();
        // All handlers build their answers in memory.
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        if let Some(fault) = pending.0 {
            // The client has not received a possible "in progress" answer.
            self.world
                .rules()
                .clear_in_progress(incoming.account, incoming.subject);
            return self.apply_fault(fault, incoming, Some(body)).await;
        }
        if parts.status == StatusCode::OK {
            self.sampler
                .record_answer(incoming.call, incoming.subject, body.clone());
        }
        Response::from_parts(parts, body.into())
    }

    /// Builds the answer of a fault. `answer` is the body of the correct answer, if there is one.
    async fn apply_fault(
        &self,
        fault: Fault,
        incoming: IncomingCall<'_>,
        answer: Option<Bytes>,
    ) -> Response {
        let input = self
            .sampler
            .fault_input(incoming.call, incoming.subject, answer);
        fault.respond(input, &self.stopping).await
    }

    /// Samples a duration from a range.
    pub(super) fn sample_duration(&self, range: DurationRange) -> Duration {
        range.sample(&mut lock(&self.rng))
    }

    /// Adds `Retry-After` to a 429 answer if the options ask for it.
    pub(super) fn with_retry_after(&self, answer: impl IntoResponse) -> Response {
        let mut answer = answer.into_response();
        if self.world.options().retry_after {
            answer
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}
