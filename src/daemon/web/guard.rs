//! Request filter and response headers of the status server.

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

const UNKNOWN_HOST: &str = "Unknown host name: use localhost or a numeric address.\n";
const READ_ONLY: &str = "Only GET and HEAD are allowed.\n";

/// Headers of every response. Only the page sets a wider content policy of its own.
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

/// Rejects requests that do more than read, and requests under a foreign host name.
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

/// True if the requested host may be this server.
///
/// A foreign web page can point its own host name at this machine (DNS rebinding) and would then be
/// allowed to read the response. No host name can be a numeric address, and nobody else can own
/// `localhost`. On an address that is open to other machines, any host name is accepted.
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
    fn loopback_allows_only_localhost_and_addresses() {
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
    fn a_public_address_allows_any_host_name() {
        assert!(is_answered("0.0.0.0", &["archive.example:9464"]));
        assert!(is_answered("::", &["archive.example"]));
    }
}
