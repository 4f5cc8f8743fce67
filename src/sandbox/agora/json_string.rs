//! JSON strings that may contain lone surrogates, which serde cannot write.

use std::fmt::{self, Write};

use serde_json::value::RawValue;

/// The reason why a payload cannot be encoded as JSON.
#[derive(Debug, thiserror::Error)]
pub(super) enum PayloadJsonError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Text(#[from] fmt::Error),
}

/// Encodes generalised UTF-8 as a JSON string. A lone surrogate becomes its JSON escape.
pub(super) fn json_string(bytes: &[u8]) -> Result<Box<RawValue>, PayloadJsonError> {
    let mut json = String::with_capacity(bytes.len() + 2);
    json.push('"');
    let mut rest = bytes;
    while let Some(chunk) = rest.utf8_chunks().next() {
        let quoted = serde_json::to_string(chunk.valid())?;
        json.push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
        rest = rest.get(chunk.valid().len()..).unwrap_or_default();
        match *rest {
            [] => break,
            [0xED, b @ 0xA0..=0xBF, c @ 0x80..=0xBF, ..] => {
                let unit = 0xD000 | (u16::from(b) & 0x3F) << 6 | u16::from(c) & 0x3F;
                write!(json, "\\u{unit:04x}")?;
                rest = rest.get(3..).unwrap_or_default();
            }
            _ => {
                json.push(char::REPLACEMENT_CHARACTER);
                rest = rest.get(chunk.invalid().len()..).unwrap_or_default();
            }
        }
    }
    json.push('"');
    Ok(RawValue::from_string(json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_escaped_without_loss() {
        let json = |bytes: &[u8]| json_string(bytes).unwrap().get().to_owned();
        assert_eq!(json(b"a\xED\xA0\xBDb\xED\xBF\xBF"), r#""a\ud83db\udfff""#);
        assert_eq!(json("\0\"\\\n😀é".as_bytes()), "\"\\u0000\\\"\\\\\\n😀é\"");
        assert_eq!(json(b""), r#""""#);
        assert_eq!(json(b"x\xFFy"), "\"x\u{FFFD}y\"");
    }
}
