//! The entry points of the fuzz targets for Web3MQ's answers. It exists in fuzzing builds only.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::answers;
use super::lists;
use super::message::ParsedRow;
use super::streams::TopicMessages;
use crate::domain::message::{Encoding, name_error};

/// Parses a body as a page of a topic, and as a page of a list.
pub fn answer(body: &[u8]) {
    if let Ok(page) = lists::parse_list_page(body) {
        assert!(
            page.ids
                .iter()
                .all(|id| !id.is_empty() && name_error(id).is_none())
        );
    }
    let topic = TopicMessages {
        user: "user:1",
        topic: "topic:1",
    };
    if let Ok(page) = answers::parse_page(body, topic) {
        page.rows.iter().for_each(check_row);
    }
}

/// Checks that a parsed message can be archived, and that any other can be kept raw.
fn check_row(row: &ParsedRow) {
    match row {
        Ok(message) => {
            assert!(name_error(&message.sender).is_none());
            assert!(name_error(&message.recipient).is_none());
            assert!(
                message
                    .provider_id
                    .as_deref()
                    .is_none_or(|id| !id.is_empty())
            );
            let bytes = &message.payload.bytes;
            match message.payload.encoding {
                Encoding::Base64 => assert!(STANDARD.decode(STANDARD.encode(bytes)).is_ok()),
                Encoding::Raw => assert!(STANDARD.decode(bytes).is_err()),
                Encoding::Utf8 => unreachable!("Web3MQ's payloads are base64 or raw text"),
            }
        }
        Err(unparsable) => {
            assert!(!unparsable.raw.is_empty() && !unparsable.reason.is_empty());
        }
    }
}
