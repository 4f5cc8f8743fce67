//! Request filter and response headers of the status server.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const UNKNOWN_HOST: &str = "Unknown host name: use localhost or a numeric address.\n";
const NO_HOST: &str = "A request of HTTP/1.1 names one host.\n";
const READ_ONLY: &str = "Only GET and HEAD are allowed, and OPTIONS.\n";
const ALLOWED_METHODS: (HeaderName, HeaderValue) =
    (ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));

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
    let mut response = match (request.method(), check_host(&request, listen.ip())) {
        (&Method::GET | &Method::HEAD, Ok(())) => next.run(request).await,
        (&Method::OPTIONS, Ok(())) => options(request, next).await,
        (&Method::GET | &Method::HEAD | &Method::OPTIONS, Err(rejection)) => {
            rejection.into_response()
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, [ALLOWED_METHODS], READ_ONLY).into_response(),
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

/// Responds to OPTIONS, which load balancers send as a health check. Paths that are made for such
/// checks respond with the health.
async fn options(request: Request, next: Next) -> Response {
    let is_about_server = request.uri().path() == "*";
    if !is_about_server {
        let response = next.run(request).await;
        if response.status() != StatusCode::METHOD_NOT_ALLOWED {
            return response;
        }
    }
    (StatusCode::NO_CONTENT, [ALLOWED_METHODS]).into_response()
}

/// Errors unless the requested host may be this server.
///
/// A foreign web page can point its own host name at this machine (DNS rebinding) and would then be
/// allowed to read the response. No host name can be a numeric address, and nobody else can own
/// `localhost`. A request of HTTP/1.0 without a host is no browser's: health checks send it. On an
/// address that is open to other machines, any host name is accepted.
fn check_host(request: &Request, listen: IpAddr) -> Result<(), (StatusCode, &'static str)> {
    if !listen.to_canonical().is_loopback() {
        return Ok(());
    }
    let mut named = request.headers().get_all(HOST).iter();
    let (host, second) = (named.next(), named.next());
    // A target with a host of its own takes precedence.
    let authority = match (request.uri().authority(), host, second) {
        (_, _, Some(_)) => return Err((StatusCode::BAD_REQUEST, NO_HOST)),
        (Some(authority), ..) => Ok(authority.clone()),
        (None, Some(host), None) => Authority::try_from(host.as_bytes()),
        (None, None, None) if request.version() < Version::HTTP_11 => return Ok(()),
        (None, None, None) => return Err((StatusCode::BAD_REQUEST, NO_HOST)),
    };
    if authority.is_ok_and(|authority| is_local_name(authority.host())) {
        Ok(())
    } else {
        Err((StatusCode::MISDIRECTED_REQUEST, UNKNOWN_HOST))
    }
}

/// True for `localhost` and for numeric addresses.
fn is_local_name(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn status(listen: &str, version: Version, target: &str, hosts: &[&str]) -> u16 {
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let request = request.body(Body::empty()).unwrap();
        let checked = check_host(&request, listen.parse().unwrap());
        checked.map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    fn is_answered(listen: &str, hosts: &[&str]) -> bool {
        status(listen, Version::HTTP_11, "/", hosts) == 200
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
        assert!(!is_answered("127.0.0.1", &["localhost", "localhost"]));
        assert!(!is_answered("127.0.0.1", &["localhost", "evil.example"]));
    }

    #[test]
    fn a_public_address_allows_any_host_name() {
        assert!(is_answered("0.0.0.0", &["archive.example:9464"]));
        assert!(is_answered("::", &["archive.example"]));
    }
    #[test]
    fn only_an_old_request_may_omit_the_host() {
        for (version, target, hosts, expected) in [
            (Version::HTTP_10, "/healthz", &[][..], 200),
            (Version::HTTP_10, "/healthz", &["localhost"], 200),
            (Version::HTTP_10, "/healthz", &["evil.example"], 421),
            (Version::HTTP_11, "/healthz", &[], 400),
            (
                Version::HTTP_11,
                "/healthz",
                &["localhost", "evil.example"],
                400,
            ),
            (
                Version::HTTP_11,
                "http://localhost:9464/",
                &["localhost"],
                200,
            ),
            (Version::HTTP_11, "http://[::1]/", &["evil.example"], 200),
            (
                Version::HTTP_11,
                "http://evil.example/",
                &["localhost"],
                421,
            ),
            (Version::HTTP_10, "http://evil.example/", &[], 421),
            (
                Version::HTTP_11,
                "http://me@evil.example/",
                &["localhost"],
                421,
            ),
        ] {
            let found = status("127.0.0.1", version, target, hosts);
            assert_eq!(found, expected, "{version:?} {target} {hosts:?}");
        }
    }
}
