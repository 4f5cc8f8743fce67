//! Who is answered, and under which rules a browser may show it.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const UNKNOWN_HOST: &str =
    "This host name is not answered: ask for localhost or for an address in digits.\n";
const READ_ONLY: &str = "There is nothing to do here but to read: GET or HEAD.\n";

/// What every answer says of itself. The page allows itself more by a policy of its own.
const COMMON_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];
const DEFAULT_CONTENT_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Lets through what only reads, and was not sent here by a name that somebody else has pointed at this machine.
pub(super) async fn guard(
    State(listen): State<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = if !matches!(*request.method(), Method::GET | Method::HEAD) {
        (
            StatusCode::METHOD_NOT_ALLOWED,
            [(ALLOW, "GET, HEAD")],
            READ_ONLY,
        )
            .into_response()
    } else if !is_allowed_host(request.headers(), listen.ip()) {
        (StatusCode::MISDIRECTED_REQUEST, UNKNOWN_HOST).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    for (name, value) in COMMON_HEADERS {
        headers.entry(name).or_insert(value);
    }
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(DEFAULT_CONTENT_POLICY);
    response
}

/// Whether the host that is asked for is this one. A page from elsewhere can have a browser ask this machine under the
/// page's own name, and would then be let read the answer; but no name leads to an address in digits, and nobody else
/// can have `localhost`. Where the address is open to others they may call it what they like.
fn is_allowed_host(headers: &HeaderMap, listen: IpAddr) -> bool {
    if !listen.to_canonical().is_loopback() {
        return true;
    }
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_answered(listen: &str, hosts: &[&'static str]) -> bool {
        let mut all = HeaderMap::new();
        for host in hosts {
            all.append(HOST, HeaderValue::from_static(host));
        }
        is_allowed_host(&all, listen.parse().unwrap())
    }

    #[test]
    fn on_loopback_a_name_is_answered_only_if_nobody_else_can_have_it() {
        for host in [
            "localhost",
            "LocalHost:9464",
            "127.0.0.1",
            "127.0.0.1:9464",
            "[::1]:9464",
            "[::1]",
            "192.168.1.7",
        ] {
            assert!(is_answered("127.0.0.1", &[host]), "{host}");
            assert!(is_answered("::1", &[host]), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9464",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "a b",
        ] {
            assert!(!is_answered("127.0.0.1", &[host]), "{host}");
            assert!(!is_answered("::ffff:127.0.0.1", &[host]), "{host}");
        }
        assert!(!is_answered("127.0.0.1", &[]));
        assert!(!is_answered("127.0.0.1", &["localhost", "evil.example"]));
    }

    #[test]
    fn where_others_may_ask_they_may_do_so_by_any_name() {
        assert!(is_answered("0.0.0.0", &["archive.example:9464"]));
        assert!(is_answered("::", &["archive.example"]));
    }
}
