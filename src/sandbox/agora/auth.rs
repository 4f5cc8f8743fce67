//! The credentials that Agora accepts.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The customer id for Basic authentication.
pub const CUSTOMER_ID: &str = "sandbox-id";
/// The customer secret for Basic authentication.
pub const CUSTOMER_SECRET: &str = "sandbox-secret";
/// The uid that the token is valid for.
pub const TOKEN_UID: &str = "sandbox-uid";

/// True if the headers carry valid credentials: Basic authentication, a token with its uid in two
/// headers, or a token in `Authorization`.
pub(super) fn is_authorised(token: &str, headers: &HeaderMap) -> bool {
    let value = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(credential) = value(header::AUTHORIZATION.as_str()) {
        let basic = STANDARD.encode(format!("{CUSTOMER_ID}:{CUSTOMER_SECRET}"));
        return credential == format!("Basic {basic}")
            || credential == format!("agora token={token}");
    }
    value("x-agora-token") == Some(token) && value("x-agora-uid") == Some(TOKEN_UID)
}
