//! What a person reads of a payload.

use std::borrow::Cow;

use super::message::{Encoding, Message};

/// A payload as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// It is no text.
    None,
    /// Its bytes are the text.
    ExactText,
    /// Its bytes are not quite text: U+FFFD stands for what is not.
    RepairedText(String),
}

impl Body {
    /// Reads a message's payload as text, if text is what it is.
    ///
    /// Agora's payloads are text by contract. Web3MQ's are where their type says so, or where they happen to be
    /// UTF-8; what is encrypted is not, whatever its bytes look like. U+0000 counts as no text, for Postgres has no
    /// text that holds it.
    pub fn from_message(message: &Message) -> Self {
        let encrypted = message
            .cipher_suite
            .as_deref()
            .is_some_and(|suite| !matches!(suite, "" | "NONE"));
        if encrypted {
            return Self::None;
        }
        match decode_text(&message.payload.bytes) {
            Cow::Borrowed(_) => Self::ExactText,
            Cow::Owned(text)
                if is_declared_text(message)
                    || std::str::from_utf8(&message.payload.bytes).is_ok() =>
            {
                Self::RepairedText(text)
            }
            Cow::Owned(_) => Self::None,
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

/// Borrowed where the bytes are text as they are.
fn decode_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Cow::Borrowed(text),
        Ok(text) => Cow::Owned(text.replace('\0', "\u{FFFD}")),
        Err(_) => Cow::Owned(replace_invalid(bytes).replace('\0', "\u{FFFD}")),
    }
}

/// One U+FFFD for each lone surrogate in generalised UTF-8, and for each fault as the standard has it.
fn replace_invalid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // A surrogate's three bytes are three faults to the standard: the first stands for all.
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
    use crate::domain::message::{Conversation, Payload};
    use crate::domain::time::Millis;

    fn body(
        bytes: &[u8],
        encoding: Encoding,
        payload_type: Option<&str>,
        cipher_suite: Option<&str>,
    ) -> Body {
        Body::from_message(&Message {
            sender: "a".into(),
            recipient: "b".into(),
            sent_at: Millis(0),
            payload: Payload {
                bytes: bytes.to_vec(),
                encoding,
            },
            conversation: Conversation::between("a", "b"),
            provider_id: None,
            message_type: None,
            payload_type: payload_type.map(str::to_owned),
            cipher_suite: cipher_suite.map(str::to_owned),
            status: None,
            extra: None,
        })
    }

    #[test]
    fn text_is_read_and_what_is_not_text_is_marked() {
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
    fn bytes_are_text_only_where_something_says_so() {
        let web3mq =
            |bytes: &[u8], payload_type, suite| body(bytes, Encoding::Base64, payload_type, suite);
        assert_eq!(web3mq(b"hi", None, Some("NONE")), Body::ExactText);
        assert_eq!(web3mq(b"\xFF\x00", None, None), Body::None);
        assert_eq!(
            web3mq(b"\xFFx", Some("text/plain; charset=utf-8"), None),
            Body::RepairedText("\u{FFFD}x".to_owned())
        );
        assert_eq!(
            web3mq(b"hi", Some("text/plain"), Some("X25519/AES-GCM_SHA384")),
            Body::None
        );
    }
}
