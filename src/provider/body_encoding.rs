//! The encoding of a body, where servers do not write plain UTF-8: a byte order mark, Latin-1, or
//! gzip by its old name.

use std::io::Read;

use flate2::read::GzDecoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};

use super::limits::MAX_BODY_BYTES;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The encoding that the headers of an answer name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BodyEncoding {
    /// The HTTP client decodes `gzip`, but not `x-gzip`.
    is_gzip: bool,
    is_latin1: bool,
}

impl BodyEncoding {
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_lowercase()
        };
        let encoding = text(CONTENT_ENCODING);
        let content_type = text(CONTENT_TYPE);
        let charset = content_type.split_once("charset=").map_or("", |(_, rest)| {
            let rest = rest.split(';').next().unwrap_or_default();
            rest.trim().trim_matches('"')
        });
        Self {
            is_gzip: matches!(encoding.trim(), "gzip" | "x-gzip"),
            is_latin1: matches!(charset, "iso-8859-1" | "latin1"),
        }
    }

    /// Returns the body in UTF-8, as far as it can be decoded. JSON is always UTF-8, whatever the
    /// headers say, so Latin-1 is only tried for a body that is not.
    pub(super) fn decode(self, body: Vec<u8>) -> Vec<u8> {
        let body = if self.is_gzip { unpacked(body) } else { body };
        if let Some(rest) = body.strip_prefix(BYTE_ORDER_MARK) {
            return rest.to_vec();
        }
        if self.is_latin1 && std::str::from_utf8(&body).is_err() {
            let text: String = body.iter().map(|&byte| char::from(byte)).collect();
            return text.into_bytes();
        }
        body
    }
}

/// Returns the unpacked body, or the body itself if it is not gzip or too large.
fn unpacked(body: Vec<u8>) -> Vec<u8> {
    let mut unpacked = Vec::new();
    let most = MAX_BODY_BYTES as u64 + 1;
    let read = GzDecoder::new(body.as_slice())
        .take(most)
        .read_to_end(&mut unpacked);
    match read {
        Ok(bytes) if bytes <= MAX_BODY_BYTES => unpacked,
        _ => body,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use reqwest::header::HeaderValue;

    use super::*;

    fn decoded(name: HeaderName, value: &'static str, body: &[u8]) -> Vec<u8> {
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        BodyEncoding::from_headers(&headers).decode(body.to_vec())
    }

    #[test]
    fn byte_order_mark_is_removed() {
        let body = [BYTE_ORDER_MARK, b"{}"].concat();
        assert_eq!(decoded(CONTENT_TYPE, "application/json", &body), b"{}");
        assert_eq!(decoded(CONTENT_TYPE, "application/json", b"{}"), b"{}");
    }

    #[test]
    fn latin1_is_decoded_unless_the_body_is_utf8() {
        let latin1 = b"{\"a\":\"caf\xE9\"}";
        let utf8 = "{\"a\":\"café\"}".as_bytes();
        for header in [
            "application/json; charset=iso-8859-1",
            "application/json;Charset=\"ISO-8859-1\"; version=1",
            "application/json;charset=latin1",
        ] {
            assert_eq!(decoded(CONTENT_TYPE, header, latin1), utf8, "{header}");
            assert_eq!(decoded(CONTENT_TYPE, header, utf8), utf8, "{header}");
        }
        let undeclared = decoded(CONTENT_TYPE, "application/json;charset=utf-8", latin1);
        assert_eq!(undeclared, latin1);
    }

    #[test]
    fn gzip_by_its_old_name_is_unpacked_up_to_the_largest_body() {
        let packed = |body: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        };
        for name in ["x-gzip", "X-GZip", "gzip"] {
            assert_eq!(decoded(CONTENT_ENCODING, name, &packed(b"{}")), b"{}");
        }
        assert_eq!(
            decoded(CONTENT_ENCODING, "x-gzip", b"{}"),
            b"{}",
            "it is not packed"
        );
        let bomb = packed(&vec![b' '; MAX_BODY_BYTES + 1]);
        assert_eq!(decoded(CONTENT_ENCODING, "x-gzip", &bomb), bomb);
    }
}
