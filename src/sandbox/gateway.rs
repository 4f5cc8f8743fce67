//! The desk at which every request to a provider arrives: it is counted, delayed, and let in or turned away.

use std::sync::{Arc, Mutex};

use axum::body::{Bytes, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::agora::AgoraState as AgoraDesk;
use super::fault::{Fault, FaultInput};
use super::fault_sampler::{FaultSampler, SampledFault};
use super::rules::Call;
use super::world::{World, lock};

/// The account under which requests are recorded that name no account the sandbox has.
pub(super) const UNKNOWN_ACCOUNT: &str = "unknown";

/// What all handlers share.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) world: Arc<World>,
    pub(super) agora: AgoraDesk,
    pub(super) stopping: CancellationToken,
    dice: Mutex<fastrand::Rng>,
    chance: FaultSampler,
}

/// A request to a provider.
#[derive(Clone, Copy, Debug)]
pub(super) struct IncomingCall<'a> {
    pub(super) account: &'a str,
    pub(super) call: Call,
    /// What it is about: a handle, a range to count, a topic.
    pub(super) subject: &'a str,
}

/// What is to become of the true answer: it may go wrong on its way.
#[derive(Debug)]
pub(super) struct PendingFault(Option<Fault>);

impl PendingFault {
    /// Nothing happens to it.
    pub(super) fn none() -> Self {
        Self(None)
    }
}

/// Why a request is turned away before its provider looks at it.
#[derive(Debug)]
pub(super) enum Rejection {
    /// A scripted answer or a fault took its place.
    Replaced(Box<Response>),
    Unauthorised,
    OverQuota,
}

impl Gateway {
    pub(super) fn new(world: Arc<World>, stopping: CancellationToken) -> Self {
        let mut dice = fastrand::Rng::with_seed(world.options().seed);
        let chance = FaultSampler::new(world.options());
        Self {
            world,
            agora: AgoraDesk::new(&mut dice),
            stopping,
            dice: Mutex::new(dice),
            chance,
        }
    }

    /// Takes a request in.
    pub(super) async fn admit(
        &self,
        asked: IncomingCall<'_>,
        authorised: bool,
    ) -> Result<PendingFault, Rejection> {
        let IncomingCall {
            account,
            call,
            subject,
        } = asked;
        let options = self.world.options();
        let rules = self.world.rules();
        self.world
            .arrivals()
            .record(account, call, self.world.now());
        let allowed =
            rules.record_request(account, call, Instant::now(), options.requests_per_second);
        if !authorised {
            rules.record_unauthorised(account);
        }
        let latency = self.draw_duration(options.latency);
        if !latency.is_zero() {
            sleep(latency).await;
        }
        if let Some(canned) = self.world.script().take_answer(call) {
            let answer = canned.respond(FaultInput::default(), &self.stopping).await;
            return Err(Rejection::Replaced(Box::new(answer)));
        }
        let drawn = self.chance.sample(account, call);
        if let Some(SampledFault { fault, .. }) = drawn {
            rules.record_fault(account, subject, fault);
        }
        if let Some(SampledFault {
            fault,
            after_handling: false,
        }) = drawn
        {
            return Err(Rejection::Replaced(Box::new(
                self.apply_fault(fault, asked, None).await,
            )));
        }
        match (authorised, allowed) {
            (false, _) => Err(Rejection::Unauthorised),
            (true, false) => Err(Rejection::OverQuota),
            (true, true) => Ok(PendingFault(drawn.map(|drawn| drawn.fault))),
        }
    }

    /// Sends the true answer on its way.
    pub(super) async fn send(
        &self,
        asked: IncomingCall<'_>,
        way: PendingFault,
        answer: Response,
    ) -> Response {
        if self.chance.is_disabled() {
            return answer;
        }
        let (parts, body) = answer.into_parts();
        // What the handlers answer is in memory.
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        if let Some(fault) = way.0 {
            // Should it have been "in progress", nobody has heard.
            self.world
                .rules()
                .clear_in_progress(asked.account, asked.subject);
            return self.apply_fault(fault, asked, Some(body)).await;
        }
        if parts.status == StatusCode::OK {
            self.chance
                .answered(asked.call, asked.subject, body.clone());
        }
        Response::from_parts(parts, body.into())
    }

    async fn apply_fault(
        &self,
        fault: Fault,
        asked: IncomingCall<'_>,
        truth: Option<Bytes>,
    ) -> Response {
        let material = self.chance.fault_input(asked.call, asked.subject, truth);
        fault.respond(material, &self.stopping).await
    }

    /// Draws a duration from a span.
    pub(super) fn draw_duration(
        &self,
        span: super::durations::DurationRange,
    ) -> std::time::Duration {
        span.sample(&mut lock(&self.dice))
    }

    /// Adds `Retry-After` to an answer of 429, if this sandbox sends it.
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
