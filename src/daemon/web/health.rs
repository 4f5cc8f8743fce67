//! `/healthz` and `/readyz`: for whoever starts the daemon anew, and for whoever waits for it.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::Asked;

/// By then a database that is well has answered.
const PROMPT: Duration = Duration::from_secs(3);

/// Whether the daemon goes on.
pub(super) async fn alive(State(_): Asked) -> Response {
    "alive\n".into_response()
}

/// Whether the database answers.
pub(super) async fn ready(State(desk): Asked) -> Response {
    match timeout(PROMPT, desk.shown().store.ping()).await {
        Ok(Ok(())) => "ready\n".into_response(),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response(),
    }
}
