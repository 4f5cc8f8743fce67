//! The encoding of a body: plain UTF-8, or what older servers and gateways make of it.

use std::io::Write;

use axum::body::{Bytes, to_bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use clap::ValueEnum;
use flate2::Compression;
use flate2::write::GzEncoder;

/// The encoding of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum BodyForm {
    /// UTF-8
    #[default]
    Plain,
    /// UTF-8 after a byte order mark
    Bom,
    /// `charset=iso-8859-1`; a body with other characters is sent in UTF-8 all the same
    Latin1,
    /// gzip
    Gzip,
    /// gzip by its old name, `x-gzip`
    XGzip,
}

impl BodyForm {
    /// Writes an answer in this form.
    pub(super) async fn apply(self, answer: Response) -> Response {
        if self == Self::Plain {
            return answer;
        }
        let (mut parts, body) = answer.into_parts();
        // All handlers build their answers in memory.
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let (name, value) = match self {
            Self::Plain | Self::Bom => (header::CONTENT_TYPE, "application/json"),
            Self::Latin1 => (header::CONTENT_TYPE, "application/json; charset=iso-8859-1"),
            Self::Gzip => (header::CONTENT_ENCODING, "gzip"),
            Self::XGzip => (header::CONTENT_ENCODING, "x-gzip"),
        };
        parts.headers.insert(name, HeaderValue::from_static(value));
        parts.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(parts, self.encode(body).into())
    }

    fn encode(self, body: Bytes) -> Bytes {
        match self {
            Self::Plain => body,
            Self::Bom => [b"\xEF\xBB\xBF", &body[..]].concat().into(),
            Self::Latin1 => {
                let text = std::str::from_utf8(&body).unwrap_or_default();
                let bytes = text.chars().map(|c| u8::try_from(c).ok());
                let bytes: Option<Vec<u8>> = bytes.collect();
                bytes.map_or(body.clone(), Bytes::from)
            }
            Self::Gzip | Self::XGzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                // Writing to memory does not fail.
                drop(encoder.write_all(&body));
                encoder.finish().unwrap_or_default().into()
            }
        }
    }
}
