//! The human-readable text of a payload.

use std::borrow::Cow;

use super::message::{Encoding, Message};

/// The text form of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The payload is not text.
    NotText,
    /// The payload's bytes are valid text as they are.
    ExactText,
    /// The payload is text with invalid parts. Each invalid part is replaced by U+FFFD.
    RepairedText(String),
}

impl Body {
    /// Decodes a message's payload as text.
    ///
    /// Agora's payloads are text by contract. Web3MQ's payloads are text if their type says so or
    /// if they are valid UTF-8. Encrypted payloads are never text. U+0000 is replaced, because
    /// Postgres cannot store it in text.
    pub fn from_message(message: &Message) -> Self {
        let encrypted = message
            .cipher_suite
            .as_deref()
            .is_some_and(|suite| !matches!(suite, "" | "NONE"));
        if encrypted {
            return Self::NotText;
        }
        match decode_text(&message.payload.bytes) {
            Cow::Borrowed(_) => Self::ExactText,
            Cow::Owned(text)
                if is_declared_text(message)
                    || std::str::from_utf8(&message.payload.bytes).is_ok() =>
            {
                Self::RepairedText(text)
            }
            Cow::Owned(_) => Self::NotText,
        }
    }
}

fn is_declared_text(message: &Message) -> bool {
    let by_type = || {
        message
            .payload_type
            .as_deref()
            .is_some_and(|t| t.starts_with("text/") || t.contains("json"))
    };
    message.payload.encoding != Encoding::Base64 || by_type()
}

/// Decodes the bytes. The result is borrowed if the bytes are valid text without replacement.
fn decode_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Cow::Borrowed(text),
        Ok(text) => Cow::Owned(text.replace('\0', "\u{FFFD}")),
        Err(_) => Cow::Owned(replace_invalid(bytes).replace('\0', "\u{FFFD}")),
    }
}

/// Replaces each lone surrogate (in generalised UTF-8) and each invalid sequence by one U+FFFD.
fn replace_invalid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // The standard reports a surrogate's three bytes as three errors. Only the first is
        // replaced.
        let continued =
            text.is_empty() || !chunk.valid().is_empty() || !is_continuation(chunk.invalid());
        if !chunk.invalid().is_empty() && continued {
            text.push('\u{FFFD}');
        }
    }
    text
}

fn is_continuation(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80..=0xBF])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::Payload;
    use crate::domain::time::Millis;

    fn body(
        bytes: &[u8],
        encoding: Encoding,
        payload_type: Option<&str>,
        cipher_suite: Option<&str>,
    ) -> Body {
        let mut message = Message::text("a", "b", Millis(0), "");
        message.payload = Payload {
            bytes: bytes.to_vec(),
            encoding,
        };
        message.payload_type = payload_type.map(str::to_owned);
        message.cipher_suite = cipher_suite.map(str::to_owned);
        Body::from_message(&message)
    }

    #[test]
    fn invalid_parts_of_text_are_replaced() {
        let agora = |bytes: &[u8]| body(bytes, Encoding::Utf8, None, None);
        let marked = |text: &str| Body::RepairedText(text.to_owned());
        assert_eq!(agora("héllo 😀".as_bytes()), Body::ExactText);
        assert_eq!(agora(b""), Body::ExactText);
        assert_eq!(agora(b"a\0b"), marked("a\u{FFFD}b"));
        assert_eq!(agora(b"a\xED\xA0\xBDb"), marked("a\u{FFFD}b"));
        assert_eq!(
            agora(b"\xED\xA0\xBD\xED\xA0\xBD\0"),
            marked("\u{FFFD}\u{FFFD}\u{FFFD}")
        );
    }

    #[test]
    fn binary_payloads_are_text_only_if_declared_or_valid_utf8() {
        let web3mq =
            |bytes: &[u8], payload_type, suite| body(bytes, Encoding::Base64, payload_type, suite);
        assert_eq!(web3mq(b"hi", None, Some("NONE")), Body::ExactText);
        assert_eq!(web3mq(b"\xFF\x00", None, None), Body::NotText);
        assert_eq!(
            web3mq(b"\xFFx", Some("text/plain; charset=utf-8"), None),
            Body::RepairedText("\u{FFFD}x".to_owned())
        );
        assert_eq!(
            web3mq(b"hi", Some("text/plain"), Some("X25519/AES-GCM_SHA384")),
            Body::NotText
        );
    }
}
