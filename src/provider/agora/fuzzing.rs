//! The entry points of the fuzz targets for Agora's answers. It exists in fuzzing builds only.

use reqwest::Url;

use super::answers::{self, HistoryAnswer};
use super::conversations::ConversationKinds;
use super::events;
use super::location;
use super::message::{MessagePage, ParsedMessage};
use super::page_checks;
use super::requested::RequestedMessages;
use super::streams::filter_stream;
use crate::domain::message::name_error;
use crate::domain::time::Second;
use crate::domain::window::Window;

/// Parses a body as each of Agora's answers.
pub fn answer(body: &[u8]) {
    let _ = answers::parse_location(body);
    let _ = answers::parse_count(body);
    if let Ok(events) = events::parse_events(body) {
        let mut participants = events.participants.iter();
        assert!(participants.all(|participant| name_error(participant.name()).is_none()));
    }
    let kinds = ConversationKinds::default();
    let Some(bounds) = Window::new(Second(0), Second(i64::MAX)) else {
        return;
    };
    let requested = RequestedMessages {
        stream: &filter_stream(None, None),
        bounds,
    };
    if let HistoryAnswer::Ready(items) = answers::parse_page(body, &kinds, requested) {
        items.iter().for_each(check_item);
        let size = items.len();
        let halves = vec![items.clone(), items];
        assert!(page_checks::mismatch(&halves, 2 * size as u64 + 1).is_some());
        let merged = page_checks::merged(MessagePage::new(), &halves);
        assert_eq!(merged.len(), size);
    }
}

/// Checks that a parsed message can be archived, and that any other can be kept raw.
fn check_item(item: &ParsedMessage) {
    match item {
        Ok(message) => {
            assert!(name_error(&message.sender).is_none());
            assert!(name_error(&message.recipient).is_none());
            if let Some(extra) = &message.extra {
                assert!(extra.starts_with('{') && extra.ends_with('}'));
            }
        }
        Err(unparsable) => {
            assert!(!unparsable.raw.is_empty() && !unparsable.reason.is_empty());
        }
    }
}

/// Checks that any location resolves to an address on the host that was asked, or to none.
pub fn location(text: &str) {
    let projects = [
        "https://api.agora.io/dev/v2/project/app",
        "http://127.0.0.1:8787/a%20b/dev/v2/project/app",
    ];
    for project in projects {
        if let Ok(project) = Url::parse(project)
            && let Ok(address) = location::resolve_location(&project, text)
        {
            assert_eq!(address.origin(), project.origin());
            assert_eq!(address.host_str(), project.host_str());
        }
    }
}
