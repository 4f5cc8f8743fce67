//! A provider that repeats the request in its error text, as some gateways do.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::gateway::Gateway;

/// Refuses a provider's request with its own text if the option `--echo` is set.
pub(super) async fn echo_request(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
    next: Next,
) -> Response {
    let is_administration = request.uri().path().starts_with("/sandbox/");
    if !gateway.world.options().echo || is_administration {
        return next.run(request).await;
    }
    let headers = request.headers();
    let secret_names = ["authorization", "x-agora-token", "x-ar-token"];
    let mut parts: Vec<String> = secret_names
        .into_iter()
        .filter_map(|name| headers.get(name)?.to_str().ok().map(str::to_owned))
        .collect();
    parts.push(request.uri().to_string());
    let echoed: Vec<String> = parts.iter().flat_map(|part| encodings(part)).collect();
    // The clients show the beginning of a text only: each request shows other parts first.
    let turn = gateway.echo_turn() % echoed.len().max(1);
    let text = [&echoed[turn..], &echoed[..turn]].concat().join(" ");
    let body = Json(json!({ "message": text, "reason": text, "msg": text, "code": text }));
    (StatusCode::UNAUTHORIZED, body).into_response()
}

/// Returns a text in several encodings.
fn encodings(text: &str) -> Vec<String> {
    vec![
        text.to_owned(),
        STANDARD.encode(text),
        URL_SAFE_NO_PAD.encode(text),
        hex::encode(text),
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string(),
        json!(text).to_string(),
    ]
}
