//! The time at which a request leaves, which may be later than the time at which it was allowed.
//!
//! A request that finds no open connection opens one, and is sent when that is done. If it counted
//! from when it was allowed, its successor a period later could reach the provider within the same
//! second. So it counts from when its connection is open, and meanwhile as if it were sent now. A
//! request on an open connection is sent at once.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::domain::lock::lock;

tokio::task_local! {
    /// The request that is being sent by the current task.
    static CURRENT: SentTime;
}

/// The time at which a request was sent. Clones are of the same request.
#[derive(Clone, Debug)]
pub struct SentTime(Arc<Mutex<SendState>>);

#[derive(Clone, Copy, Debug)]
enum SendState {
    /// A connection is being opened for it.
    Opening,
    Sent(Instant),
}

impl SentTime {
    pub(super) fn at(moment: Instant) -> Self {
        Self(Arc::new(Mutex::new(SendState::Sent(moment))))
    }

    /// The time at which it was sent, or could still be.
    pub(super) fn or_now(&self, now: Instant) -> Instant {
        match *lock(&self.0) {
            SendState::Opening => now,
            SendState::Sent(moment) => moment,
        }
    }

    /// True if a connection is being opened for it.
    pub(super) fn is_opening(&self) -> bool {
        matches!(*lock(&self.0), SendState::Opening)
    }

    /// Counts the request as not sent until the returned guard is dropped.
    pub(super) fn begin_opening(&self) -> OpeningRequest {
        self.set(SendState::Opening);
        OpeningRequest(self.clone())
    }

    /// Counts the request as sent later by this much.
    pub(super) fn delay(&self, by: Duration) {
        if let SendState::Sent(moment) = &mut *lock(&self.0) {
            *moment += by;
        }
    }

    /// Awaits the sending of this request.
    pub(super) async fn follow<T>(self, sending: impl Future<Output = T>) -> T {
        CURRENT.scope(self, sending).await
    }

    fn set(&self, state: SendState) {
        *lock(&self.0) = state;
    }
}

/// Observes the connections that are opened for requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpeningObserver;

/// A connector that tells requests when their connection is open.
#[derive(Clone, Debug)]
pub(super) struct ObservedConnector<C>(C);

/// A request whose connection is being opened, until this is dropped.
#[derive(Debug)]
pub(super) struct OpeningRequest(SentTime);

impl Drop for OpeningRequest {
    fn drop(&mut self) {
        self.0.set(SendState::Sent(Instant::now()));
    }
}

impl<C> Layer<C> for OpeningObserver {
    type Service = ObservedConnector<C>;

    fn layer(&self, connector: C) -> Self::Service {
        ObservedConnector(connector)
    }
}

impl<C, Target> Service<Target> for ObservedConnector<C>
where
    C: Service<Target>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, C::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.0.poll_ready(context)
    }

    /// Called in the task of the request; the connection may be opened in another one.
    fn call(&mut self, target: Target) -> Self::Future {
        // None outside of `SentTime::follow`.
        let opening = CURRENT.try_with(SentTime::begin_opening).ok();
        let connecting = self.0.call(target);
        Box::pin(async move {
            let connected = connecting.await;
            drop(opening);
            connected
        })
    }
}
