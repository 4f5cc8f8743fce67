//! Faults: the ways in which an answer fails, as the client sees them.

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use clap::ValueEnum;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::limits::{CHUNK_BYTES, DRIP_INTERVAL, NESTING_DEPTH, OVERSIZED_BYTES};

/// A kind of fault in an answer.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The connection breaks in the middle of the body
    Cut,
    /// The body ends in the middle without an error
    Truncated,
    /// An HTML page with status 200
    Html,
    /// No answer is sent
    Hang,
    /// The body arrives one byte at a time and never ends
    Drip,
    /// 500, 502, 503 or 504
    ServerError,
    /// 429 without `Retry-After`
    TooMany,
    /// 429 with `Retry-After: 1`
    RetryAfter,
    /// 401 for several requests in a row
    Unauthorised,
    /// A redirect to another host
    Redirect,
    /// A body of 200 MiB: with its length, without it, or compressed with gzip
    Oversized,
    /// JSON nested to a depth of 100,000
    Deep,
    /// A body that is not valid UTF-8
    Charset,
    /// The answer to another request
    Other,
    /// Agora: a handle that has expired before it was read
    DeadHandle,
}

/// The body used if the provider made no answer.
const FALLBACK_BODY: &[u8] =
    br#"{"result":"success","code":"ok","count":0,"messages":[{"src":"alice","dst":"lobby","#;
/// The target of redirects. Names under `.invalid` never resolve.
const REDIRECT_TARGET: &str = "https://elsewhere.invalid/dev/v2/project";

/// The input from which a fault builds its answer.
#[derive(Debug, Default)]
pub(super) struct FaultInput {
    /// The body of the correct answer, if the provider made one.
    pub(super) answer: Option<Bytes>,
    /// The body of the answer to another request.
    pub(super) other_answer: Option<Bytes>,
    /// A random number that selects the variant of a fault.
    pub(super) variant: usize,
}

impl Fault {
    /// Builds the answer. A hanging or dripping answer ends when the server stops or the client
    /// disconnects.
    pub(super) async fn respond(self, input: FaultInput, stopping: &CancellationToken) -> Response {
        let FaultInput {
            answer,
            other_answer,
            variant,
        } = input;
        let body = answer.unwrap_or(Bytes::from_static(FALLBACK_BODY));
        match self {
            Self::Cut => cut_response(&body),
            Self::Truncated => json_response(body.slice(..body.len() / 2)),
            Self::Html => Html("<!DOCTYPE html><title>Please log in</title>").into_response(),
            Self::Hang => {
                stopping.cancelled().await;
                cut_response(&body)
            }
            Self::Drip => drip_response(body, stopping.clone()),
            Self::ServerError => (
                server_error_status(variant),
                Html("<h1>Something went wrong</h1>"),
            )
                .into_response(),
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS.into_response(),
            Self::RetryAfter => {
                (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")]).into_response()
            }
            Self::Unauthorised => {
                (StatusCode::UNAUTHORIZED, r#"{"message":"try again"}"#).into_response()
            }
            Self::Redirect => (
                redirect_status(variant),
                [(header::LOCATION, REDIRECT_TARGET)],
            )
                .into_response(),
            Self::Oversized => oversized_response(variant),
            Self::Deep => json_response(Bytes::from(
                [b"[".repeat(NESTING_DEPTH), b"]".repeat(NESTING_DEPTH)].concat(),
            )),
            Self::Charset => recoded_response(&body, variant),
            Self::Other => json_response(other_answer.unwrap_or(Bytes::from_static(b"{}"))),
            Self::DeadHandle => (
                StatusCode::GONE,
                r#"{"result":"failed","code":"resource_expired"}"#,
            )
                .into_response(),
        }
    }

    /// True if a proxy before the provider causes the fault. The provider has not seen the request
    /// then.
    pub(super) fn precedes_handling(self) -> bool {
        matches!(self, Self::TooMany | Self::RetryAfter | Self::Unauthorised)
    }
}

fn json_response(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// Sends half a body and then an error, so that the server must close the connection.
fn cut_response(body: &Bytes) -> Response {
    let broken = io::Error::from(io::ErrorKind::ConnectionAborted);
    json_response(Body::from_stream(stream::iter([
        Ok(body.slice(..body.len() / 2)),
        Err(broken),
    ])))
}

fn drip_response(body: Bytes, stopping: CancellationToken) -> Response {
    let bytes = stream::iter(0_usize..).then(move |n| {
        // After the body, only spaces follow.
        let byte = if n < body.len() {
            body.slice(n..=n)
        } else {
            Bytes::from_static(b" ")
        };
        async move {
            tokio::time::sleep(DRIP_INTERVAL).await;
            Ok::<_, Infallible>(byte)
        }
    });
    json_response(Body::from_stream(
        bytes.take_until(stopping.cancelled_owned()),
    ))
}

fn server_error_status(variant: usize) -> StatusCode {
    const STATUSES: [StatusCode; 4] = [
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    STATUSES[variant % STATUSES.len()]
}

fn redirect_status(variant: usize) -> StatusCode {
    const STATUSES: [StatusCode; 3] = [
        StatusCode::FOUND,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    STATUSES[variant % STATUSES.len()]
}

/// Streams the body, so that it is never in memory as a whole.
fn oversized_response(variant: usize) -> Response {
    let chunks = || {
        let chunk = Bytes::from(vec![b' '; CHUNK_BYTES]);
        Body::from_stream(stream::iter(
            (0..OVERSIZED_BYTES / CHUNK_BYTES).map(move |_| Ok::<_, Infallible>(chunk.clone())),
        ))
    };
    let is_compressed = variant % 3 == 2;
    let has_length = variant.is_multiple_of(3);
    let body = if is_compressed {
        Body::from(GZIP_BOMB.clone())
    } else {
        chunks()
    };
    let mut response = json_response(body);
    let headers = response.headers_mut();
    if is_compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if has_length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(OVERSIZED_BYTES));
    }
    response
}

/// [`OVERSIZED_BYTES`] of spaces, compressed with gzip.
static GZIP_BOMB: LazyLock<Bytes> = LazyLock::new(|| {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let chunk = vec![b' '; CHUNK_BYTES];
    // Writing to memory does not fail.
    (0..OVERSIZED_BYTES / CHUNK_BYTES).for_each(|_| drop(encoder.write_all(&chunk)));
    Bytes::from(encoder.finish().unwrap_or_default())
});

/// Encodes the body as UTF-16, or inserts one Latin-1 byte.
fn recoded_response(body: &Bytes, variant: usize) -> Response {
    let bytes = if variant.is_multiple_of(2) {
        // The text follows a byte order mark.
        let text = String::from_utf8_lossy(body);
        std::iter::once(0xFEFF)
            .chain(text.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect()
    } else {
        let (start, end) = body.split_at(body.len() / 2);
        [start, b"\xE9", end].concat()
    };
    json_response(bytes)
}
