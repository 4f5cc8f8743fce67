//! What cargo-fuzz reaches of Web3MQ's wire. It is in its builds only.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::lists;
use super::wire::{self, Row};
use crate::domain::message::{Encoding, name_fault};

/// Reads a body as a page, and as one of a list.
pub fn answer(body: &[u8]) {
    if let Ok(page) = lists::page(body) {
        assert!(
            page.ids
                .iter()
                .all(|id| !id.is_empty() && name_fault(id).is_none())
        );
    }
    if let Ok(page) = wire::page(body) {
        page.rows.iter().for_each(check);
    }
}

/// What was understood is fit for the archive, and what was not can be kept and read again.
fn check(row: &Row) {
    match row {
        Ok(sent) => {
            assert!(name_fault(&sent.from).is_none());
            assert!(sent.topic.as_deref().and_then(name_fault).is_none());
            assert!(sent.id.as_deref().is_none_or(|id| !id.is_empty()));
            match sent.payload.encoding {
                Encoding::Base64 => assert!(
                    STANDARD
                        .decode(STANDARD.encode(&sent.payload.bytes))
                        .is_ok()
                ),
                Encoding::Raw => assert!(STANDARD.decode(&sent.payload.bytes).is_err()),
                Encoding::Utf8 => unreachable!("Web3MQ's payloads are base64 or kept as they came"),
            }
        }
        Err(unreadable) => assert!(!unreadable.raw.is_empty() && !unreadable.reason.is_empty()),
    }
}
