//! The credentials that Agora accepts.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::access_token;
use crate::domain::time::Second;
use crate::sandbox::World;

/// The customer id for Basic authentication.
pub const CUSTOMER_ID: &str = "sandbox-id";
/// The customer secret for Basic authentication.
pub const CUSTOMER_SECRET: &str = "sandbox-secret";
/// The uid that the token is valid for.
pub const TOKEN_UID: &str = "sandbox-uid";
/// The App certificate of every project: tokens signed with it are accepted.
pub const APP_CERTIFICATE: &str = "0123456789abcdef0123456789abcdef";

/// True if the headers carry valid credentials for the project: Basic authentication, a token with its
/// uid in two headers, or a token in `Authorization`.
pub(super) fn is_authorised(world: &World, app_id: &str, headers: &HeaderMap, now: Second) -> bool {
    let value = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let given = world.token();
    let signed_for = |token: &str| access_token::user_of(token, APP_CERTIFICATE, app_id, now);
    if let Some(credential) = value(header::AUTHORIZATION.as_str()) {
        let basic = STANDARD.encode(format!("{CUSTOMER_ID}:{CUSTOMER_SECRET}"));
        let token = credential.strip_prefix("agora token=");
        return credential == format!("Basic {basic}")
            || token.is_some_and(|token| token == given || signed_for(token).is_some());
    }
    let [token, uid] = world.options().token_headers.names();
    let (Some(token), Some(uid)) = (value(token), value(uid)) else {
        return false;
    };
    token == given && uid == TOKEN_UID || signed_for(token).is_some_and(|user| user == uid)
}
