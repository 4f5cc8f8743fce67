//! The desk at which every request to a provider arrives: it is counted, delayed, and let in or turned away.

use std::sync::{Arc, Mutex};

use axum::body::{Bytes, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::agora::Desk as AgoraDesk;
use super::chance::{Chance, Drawn};
use super::fault::{Fault, Material};
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
    chance: Chance,
}

/// A request to a provider.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) account: &'a str,
    pub(super) call: Call,
    /// What it is about: a handle, a range to count, a topic.
    pub(super) subject: &'a str,
}

/// What is to become of the true answer: it may go wrong on its way.
#[derive(Debug)]
pub(super) struct Way(Option<Fault>);

impl Way {
    /// Nothing happens to it.
    pub(super) fn clear() -> Self {
        Self(None)
    }
}

/// Why a request is turned away before its provider looks at it.
#[derive(Debug)]
pub(super) enum Turned {
    /// A scripted answer or a fault took its place.
    Instead(Box<Response>),
    Unauthorised,
    OverQuota,
}

impl Desk {
    pub(super) fn new(world: Arc<World>, stopping: CancellationToken) -> Self {
        let mut dice = fastrand::Rng::with_seed(world.options().seed);
        let chance = Chance::new(world.options());
        Self {
            world,
            agora: AgoraDesk::new(&mut dice),
            stopping,
            dice: Mutex::new(dice),
            chance,
        }
    }

    /// Takes a request in.
    pub(super) async fn admit(&self, asked: Asked<'_>, authorised: bool) -> Result<Way, Turned> {
        let Asked {
            account,
            call,
            subject,
        } = asked;
        let options = self.world.options();
        let rules = self.world.rules();
        self.world.arrivals().note(account, call, self.world.now());
        let allowed = rules.arrive(account, call, Instant::now(), options.requests_per_second);
        if !authorised {
            rules.unauthorised(account);
        }
        let latency = self.draw(options.latency);
        if !latency.is_zero() {
            sleep(latency).await;
        }
        if let Some(canned) = self.world.script().next(call) {
            let answer = canned.play(Material::default(), &self.stopping).await;
            return Err(Turned::Instead(Box::new(answer)));
        }
        let drawn = self.chance.draw(account, call);
        if let Some(Drawn { fault, .. }) = drawn {
            rules.unheard(account, subject, fault);
        }
        if let Some(Drawn { fault, done: false }) = drawn {
            return Err(Turned::Instead(Box::new(
                self.spoil(fault, asked, None).await,
            )));
        }
        match (authorised, allowed) {
            (false, _) => Err(Turned::Unauthorised),
            (true, false) => Err(Turned::OverQuota),
            (true, true) => Ok(Way(drawn.map(|drawn| drawn.fault))),
        }
    }

    /// Sends the true answer on its way.
    pub(super) async fn send(&self, asked: Asked<'_>, way: Way, answer: Response) -> Response {
        if self.chance.is_none() {
            return answer;
        }
        let (parts, body) = answer.into_parts();
        // What the handlers answer is in memory.
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        if let Some(fault) = way.0 {
            // Should it have been "in progress", nobody has heard.
            self.world
                .rules()
                .forget_progress(asked.account, asked.subject);
            return self.spoil(fault, asked, Some(body)).await;
        }
        if parts.status == StatusCode::OK {
            self.chance
                .answered(asked.call, asked.subject, body.clone());
        }
        Response::from_parts(parts, body.into())
    }

    async fn spoil(&self, fault: Fault, asked: Asked<'_>, truth: Option<Bytes>) -> Response {
        let material = self.chance.material(asked.call, asked.subject, truth);
        fault.play(material, &self.stopping).await
    }

    /// Draws a duration from a span.
    pub(super) fn draw(&self, span: super::span::Span) -> std::time::Duration {
        span.pick(&mut locked(&self.dice))
    }

    /// Adds `Retry-After` to an answer of 429, if this sandbox sends it.
    pub(super) fn slow_down(&self, answer: impl IntoResponse) -> Response {
        let mut answer = answer.into_response();
        if self.world.options().retry_after {
            answer
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}
