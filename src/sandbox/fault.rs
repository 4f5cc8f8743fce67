//! What can go wrong with an answer on its way, and how that looks to whoever waits for it.

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::LazyLock;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use clap::ValueEnum;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// A way in which an answer goes wrong.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The connection breaks in the middle of the body
    Cut,
    /// The body ends in its middle, as if that were all
    Truncated,
    /// A page of HTML under 200
    Html,
    /// No answer at all
    Hang,
    /// A byte now and then, without end
    Drip,
    /// 500, 502, 503 or 504
    ServerError,
    /// 429 that does not say how long
    TooMany,
    /// 429 with `Retry-After: 1`
    RetryAfter,
    /// 401, for some requests in a row
    Unauthorised,
    /// A redirect to another host
    Redirect,
    /// 200 MiB: announced, unannounced, or packed by gzip
    Oversized,
    /// JSON that is nested a hundred thousand deep
    Deep,
    /// Bytes that are not UTF-8
    Charset,
    /// The answer to another request
    Other,
    /// Agora: a handle that is gone before it was read
    DeadHandle,
}

/// How large an oversized body is.
const HUGE: usize = 200 << 20;
/// The piece in which it is made.
const PIECE: usize = 64 << 10;
const DEPTH: usize = 100_000;
const DRIP: Duration = Duration::from_millis(250);
/// What is spoiled where there is no true answer.
const STAND_IN: &[u8] =
    br#"{"result":"success","code":"ok","count":0,"messages":[{"src":"alice","dst":"lobby","#;
/// Nobody is there, by definition.
const ELSEWHERE: &str = "https://elsewhere.invalid/dev/v2/project";

/// What a fault has to work with.
#[derive(Debug, Default)]
pub(super) struct FaultInput {
    /// The true answer's body, where the provider made one.
    pub(super) answer: Option<Bytes>,
    /// The body of the answer to another request.
    pub(super) other_answer: Option<Bytes>,
    /// Chooses among the forms of a fault.
    pub(super) variant: usize,
}

impl Fault {
    /// Gives the answer. One that hangs or drips ends with the server, or when nobody waits for it any more.
    pub(super) async fn respond(
        self,
        material: FaultInput,
        stopping: &CancellationToken,
    ) -> Response {
        let FaultInput {
            answer: truth,
            other_answer: other,
            variant: luck,
        } = material;
        let body = truth.unwrap_or(Bytes::from_static(STAND_IN));
        match self {
            Self::Cut => cut(&body),
            Self::Truncated => json(body.slice(..body.len() / 2)),
            Self::Html => Html("<!DOCTYPE html><title>Please log in</title>").into_response(),
            Self::Hang => {
                stopping.cancelled().await;
                cut(&body)
            }
            Self::Drip => drip(body, stopping.clone()),
            Self::ServerError => {
                (failing(luck), Html("<h1>Something went wrong</h1>")).into_response()
            }
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS.into_response(),
            Self::RetryAfter => {
                (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")]).into_response()
            }
            Self::Unauthorised => {
                (StatusCode::UNAUTHORIZED, r#"{"message":"try again"}"#).into_response()
            }
            Self::Redirect => (moved(luck), [(header::LOCATION, ELSEWHERE)]).into_response(),
            Self::Oversized => oversized(luck),
            Self::Deep => json(Bytes::from(
                [b"[".repeat(DEPTH), b"]".repeat(DEPTH)].concat(),
            )),
            Self::Charset => recoded(&body, luck),
            Self::Other => json(other.unwrap_or(Bytes::from_static(b"{}"))),
            Self::DeadHandle => (
                StatusCode::GONE,
                r#"{"result":"failed","code":"resource_expired"}"#,
            )
                .into_response(),
        }
    }

    /// Whether it is the work of somebody before the provider, who has not heard of the request then.
    pub(super) fn precedes_handling(self) -> bool {
        matches!(self, Self::TooMany | Self::RetryAfter | Self::Unauthorised)
    }
}

fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// Half a body, and then the server can only close the connection.
fn cut(body: &Bytes) -> Response {
    let broken = io::Error::from(io::ErrorKind::ConnectionAborted);
    json(Body::from_stream(stream::iter([
        Ok(body.slice(..body.len() / 2)),
        Err(broken),
    ])))
}

fn drip(body: Bytes, stopping: CancellationToken) -> Response {
    let bytes = stream::iter(0_usize..).then(move |n| {
        // Behind the body there is nothing but spaces.
        let byte = if n < body.len() {
            body.slice(n..=n)
        } else {
            Bytes::from_static(b" ")
        };
        async move {
            tokio::time::sleep(DRIP).await;
            Ok::<_, Infallible>(byte)
        }
    });
    json(Body::from_stream(
        bytes.take_until(stopping.cancelled_owned()),
    ))
}

fn failing(luck: usize) -> StatusCode {
    const STATUSES: [StatusCode; 4] = [
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    STATUSES[luck % STATUSES.len()]
}

fn moved(luck: usize) -> StatusCode {
    const STATUSES: [StatusCode; 3] = [
        StatusCode::FOUND,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    STATUSES[luck % STATUSES.len()]
}

/// The body is never in memory as a whole.
fn oversized(luck: usize) -> Response {
    let pieces = || {
        let piece = Bytes::from(vec![b' '; PIECE]);
        Body::from_stream(stream::iter(
            (0..HUGE / PIECE).map(move |_| Ok::<_, Infallible>(piece.clone())),
        ))
    };
    let mut response = json(if luck % 3 == 2 {
        Body::from(BOMB.clone())
    } else {
        pieces()
    });
    match luck % 3 {
        0 => drop(
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, HeaderValue::from(HUGE)),
        ),
        2 => drop(
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip")),
        ),
        _ => {}
    }
    response
}

/// [`HUGE`] spaces, packed.
static BOMB: LazyLock<Bytes> = LazyLock::new(|| {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    let piece = vec![b' '; PIECE];
    // Writing into memory does not fail.
    (0..HUGE / PIECE).for_each(|_| drop(packer.write_all(&piece)));
    Bytes::from(packer.finish().unwrap_or_default())
});

/// The body as UTF-16, or with a byte of Latin-1 in it.
fn recoded(body: &Bytes, luck: usize) -> Response {
    let bytes = if luck.is_multiple_of(2) {
        // Behind the mark that says so.
        let text = String::from_utf8_lossy(body);
        std::iter::once(0xFEFF)
            .chain(text.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect()
    } else {
        let (start, end) = body.split_at(body.len() / 2);
        [start, b"\xE9", end].concat()
    };
    json(bytes)
}
