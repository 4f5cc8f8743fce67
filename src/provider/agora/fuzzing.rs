//! What cargo-fuzz reaches of Agora's wire. It is in its builds only.

use reqwest::Url;

use super::events;
use super::location;
use super::pages;
use super::wire::{self, Item, Reading};
use crate::domain::message::name_fault;

/// Reads a body as each of the answers that Agora gives.
pub fn answer(body: &[u8]) {
    let _ = wire::location(body);
    let _ = wire::count(body);
    if let Ok((parties, _)) = events::parties(body) {
        assert!(
            parties
                .iter()
                .all(|party| name_fault(party.name()).is_none())
        );
    }
    if let Reading::Ready(items) = wire::page(body) {
        items.iter().for_each(check);
        let size = items.len();
        let halves = vec![items.clone(), items];
        assert!(pages::fault(&halves, 2 * size as u64 + 1).is_some());
        assert!(
            pages::without_invented(halves)
                .iter()
                .map(Vec::len)
                .sum::<usize>()
                >= size
        );
    }
}

/// What was understood is fit for the archive, and what was not can be kept and read again.
fn check(item: &Item) {
    match item {
        Ok(sent) => {
            assert!(name_fault(&sent.source).is_none() && name_fault(&sent.destination).is_none());
            if let Some(extra) = &sent.extra {
                assert!(extra.starts_with('{') && extra.ends_with('}'));
            }
        }
        Err(unreadable) => {
            assert!(!unreadable.raw.is_empty() && !unreadable.reason.is_empty());
        }
    }
}

/// Whatever a location says, the place that it leads to is on the host that was asked.
pub fn location(text: &str) {
    for base in [
        "https://api.agora.io/dev/v2/project/app",
        "http://127.0.0.1:8787/a%20b/dev/v2/project/app",
    ] {
        if let Ok(base) = Url::parse(base)
            && let Ok(place) = location::resolve(&base, text)
        {
            assert_eq!(place.origin(), base.origin());
            assert_eq!(place.host_str(), base.host_str());
        }
    }
}
