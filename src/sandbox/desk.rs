//! The desk at which every request to a provider arrives: it is counted, delayed, and let in or turned away.

use std::sync::{Arc, Mutex};

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::agora::Desk as AgoraDesk;
use super::rules::Call;
use super::world::{World, locked};

/// The account under which requests are recorded that name no account the sandbox has.
pub(super) const STRANGER: &str = "unknown";

/// What all handlers share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) world: Arc<World>,
    pub(super) agora: AgoraDesk,
    pub(super) stopping: CancellationToken,
    dice: Mutex<fastrand::Rng>,
}

/// Why a request is turned away before its provider looks at it.
#[derive(Debug)]
pub(super) enum Turned {
    /// A scripted answer took its place.
    Scripted(Box<Response>),
    Unauthorised,
    OverQuota,
}

impl Desk {
    pub(super) fn new(world: Arc<World>, stopping: CancellationToken) -> Self {
        let mut dice = fastrand::Rng::with_seed(world.options().seed);
        Self { world, agora: AgoraDesk::new(&mut dice), stopping, dice: Mutex::new(dice) }
    }

    /// Takes a request in for an account.
    pub(super) async fn admit(&self, account: &str, call: Call, authorised: bool) -> Result<(), Turned> {
        let options = self.world.options();
        let rules = self.world.rules();
        let allowed = rules.arrive(account, call, Instant::now(), options.requests_per_second);
        if !authorised {
            rules.unauthorised(account);
        }
        let latency = self.draw(options.latency);
        if !latency.is_zero() {
            sleep(latency).await;
        }
        if let Some(canned) = self.world.script().next(call) {
            return Err(Turned::Scripted(Box::new(canned.play(&self.stopping).await)));
        }
        match (authorised, allowed) {
            (false, _) => Err(Turned::Unauthorised),
            (true, false) => Err(Turned::OverQuota),
            (true, true) => Ok(()),
        }
    }

    /// Draws a duration from a span.
    pub(super) fn draw(&self, span: super::span::Span) -> std::time::Duration {
        span.pick(&mut locked(&self.dice))
    }

    /// Adds `Retry-After` to an answer of 429, if this sandbox sends it.
    pub(super) fn slow_down(&self, answer: impl IntoResponse) -> Response {
        let mut answer = answer.into_response();
        if self.world.options().retry_after {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}
