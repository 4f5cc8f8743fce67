//! Checks of the pages of a window: they are read one by one, and the history may change between
//! two reads.

use std::collections::HashMap;

use super::message::{MessagePage, ParsedMessage};
use crate::domain::format::counted;
use crate::domain::message::Message;
use crate::domain::stream::Stream;
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::json;

/// Returns the reason why these pages cannot be all of a window with `count` messages. `None` if
/// they add up, and each page starts where the one before it ends. A single page that holds all
/// messages is complete in any order: one message with a wrong time costs no other its proof.
pub(super) fn mismatch(pages: &[MessagePage], count: u64) -> Option<String> {
    let served: u64 = pages.iter().map(|page| page.len() as u64).sum();
    if served != count {
        return Some(count_mismatch(count, served));
    }
    match pages {
        [_] => None,
        _ => order_mismatch(pages),
    }
}

/// Returns the reason why pages are not in order of time.
pub(super) fn order_mismatch(pages: &[MessagePage]) -> Option<String> {
    let times = || {
        pages
            .iter()
            .flatten()
            .flatten()
            .map(|message| message.sent_at)
    };
    let is_out_of_order = times()
        .zip(times().skip(1))
        .any(|(earlier, later)| later < earlier);
    is_out_of_order.then(|| "the provider does not serve this history in order of time".to_owned())
}

pub(super) fn count_mismatch(count: u64, served: u64) -> String {
    let count = counted(count, "message", "messages");
    format!("the provider counts {count} and serves {served}")
}

/// Returns the reason why pages that are in order may not be consecutive: a message stands on two of
/// them. That happens if another was inserted before it, which would then be missed.
pub(super) fn repeated_message(pages: &[MessagePage]) -> Option<String> {
    let is_repeated = repetitions(pages).any(|repeated| repeated > 0);
    is_repeated.then(|| "a message is served on two pages".to_owned())
}

/// Returns the reason why pages cannot be consecutive: most messages of one stand on others, too. It
/// is the answer to another request.
pub(super) fn repeated_page(pages: &[MessagePage]) -> Option<String> {
    let is_repeated = repetitions(pages)
        .zip(pages)
        .any(|(repeated, page)| 2 * repeated > page.len());
    is_repeated.then(|| "most messages of a page are served on others, too".to_owned())
}

/// Returns for each page the number of its messages that stand on a page before it, too.
fn repetitions(pages: &[MessagePage]) -> impl Iterator<Item = usize> {
    let mut first_pages = HashMap::new();
    pages.iter().enumerate().map(move |(number, page)| {
        let keys = page.iter().filter(|item| item.is_ok()).map(key);
        keys.filter(|key| *first_pages.entry(*key).or_insert(number) != number)
            .count()
    })
}

/// True if most messages of a page were not asked for: it is the answer to another request.
pub(super) fn is_foreign(page: &[ParsedMessage]) -> bool {
    let foreign = page.iter().filter(|item| json::is_not_requested(item));
    2 * foreign.count() > page.len()
}

/// True if a page may be the answer to another request, although each of its messages may have been
/// asked for: it holds messages that its destination can only have received in channels. A message
/// to the destination beside messages of several senders dispels the doubt: no other query brings
/// both.
pub(super) fn may_be_foreign(page: &[ParsedMessage], stream: &Stream) -> bool {
    let Some(destination) = &stream.scope.recipient else {
        return false;
    };
    let messages = || page.iter().flatten();
    let is_direct = |message: &Message| message.recipient == *destination;
    let has_several_senders = messages()
        .zip(messages().skip(1))
        .any(|(one, next)| one.sender != next.sender);
    let is_certain = has_several_senders && messages().any(is_direct);
    !is_certain && !messages().all(is_direct)
}

/// True if an answer repeats an earlier one to the same request. Messages that have come since may
/// stand at either end.
pub(super) fn repeats(page: &[ParsedMessage], earlier: &[ParsedMessage]) -> bool {
    page.is_empty() == earlier.is_empty() && (page.starts_with(earlier) || page.ends_with(earlier))
}

/// Returns the messages within the window, and all items that could not be parsed.
pub(super) fn within(window: Window, items: MessagePage) -> impl Iterator<Item = ParsedMessage> {
    let is_wanted = move |item: &ParsedMessage| match item {
        Ok(message) => window.contains(message.sent_at),
        Err(_) => true,
    };
    items.into_iter().filter(is_wanted)
}

/// Adds the messages of further pages, in order of time. Pages that overlap show one message several
/// times, and a page never does: each message is kept as often as the page, or `kept`, that shows it
/// most often. Equal messages that are lost by this on pages that do not overlap are added by a later
/// read without a doubt.
pub(super) fn merged<'a>(
    kept: MessagePage,
    pages: impl IntoIterator<Item = &'a MessagePage>,
) -> MessagePage {
    let mut held: HashMap<_, usize> = HashMap::new();
    for item in &kept {
        *held.entry(key(item)).or_default() += 1;
    }
    let mut missing = MessagePage::new();
    for page in pages {
        let mut shown: HashMap<_, usize> = HashMap::new();
        for item in page {
            let shown = shown.entry(key(item)).or_default();
            *shown += 1;
            let held = held.entry(key(item)).or_default();
            if *shown > *held {
                *held = *shown;
                missing.push(item.clone());
            }
        }
    }
    if missing.is_empty() {
        return kept;
    }
    let mut merged = missing;
    merged.extend(kept);
    merged.sort_by_key(|item| item.as_ref().map(|message| message.sent_at).ok());
    merged
}

/// Returns what equal items share: the fields of a message's identity, or the text of an item that
/// could not be parsed.
fn key(item: &ParsedMessage) -> (Option<Millis>, &str, &str, &[u8]) {
    match item {
        Ok(message) => (
            Some(message.sent_at),
            &message.sender,
            &message.recipient,
            &message.payload.bytes,
        ),
        Err(unparsable) => (None, &unparsable.raw, "", b""),
    }
}

#[cfg(test)]
mod tests {
    use super::super::conversations::ConversationKinds;
    use super::super::requested::RequestedMessages;
    use super::*;
    use crate::domain::message::{Conversation, ConversationKind, UnparsableMessage};
    use crate::domain::time::Second;

    fn page(items: &[(i64, &str)]) -> MessagePage {
        let message = |&(at, text): &(i64, &str)| Ok(Message::text("a", "b", Millis(at), text));
        items.iter().map(message).collect()
    }

    #[test]
    fn mismatched_count_is_explained() {
        let pages = [page(&[(1, "x"), (2, "y")]), page(&[(3, "z")])];
        assert_eq!(mismatch(&pages, 3), None);
        assert_eq!(
            mismatch(&pages, 4).unwrap(),
            "the provider counts 4 messages and serves 3"
        );
    }

    #[test]
    fn message_is_kept_as_often_as_one_page_shows_it() {
        let (one, two) = (page(&[(1, "x"), (2, "y")]), page(&[(3, "z"), (3, "z")]));
        let earlier = [one.clone(), two.clone(), one.clone(), two.clone()];
        let all = [one.clone(), two.clone()].concat();
        assert_eq!(merged(two.clone(), &earlier), all);
        assert_eq!(merged(MessagePage::new(), &earlier), all);
        let consistent = [two.clone(), page(&[(3, "z")])].concat();
        assert_eq!(merged(consistent.clone(), [&two]), consistent);
        let overlapping = [page(&[(1, "x"), (2, "y")]), page(&[(2, "y"), (2, "new")])];
        assert_eq!(
            merged(MessagePage::new(), &overlapping),
            page(&[(1, "x"), (2, "y"), (2, "new")])
        );
    }

    #[test]
    fn message_on_two_pages_is_noticed() {
        let neighbours = [page(&[(1, "x"), (2, "y")]), page(&[(2, "y"), (3, "z")])];
        // Of one moment, so that the pages are in order.
        let apart = [page(&[(2, "y")]), page(&[(2, "z")]), page(&[(2, "y")])];
        for (pages, is_whole_page) in [(&neighbours[..], false), (&apart, true)] {
            assert_eq!(order_mismatch(pages), None);
            assert!(repeated_message(pages).is_some_and(|fault| fault.contains("two pages")));
            assert_eq!(repeated_page(pages).is_some(), is_whole_page);
        }
        let within_a_page = [page(&[(2, "y"), (2, "y")]), page(&[(3, "z")])];
        assert_eq!(repeated_message(&within_a_page), None);
    }

    #[test]
    fn misplaced_page_is_noticed() {
        let (one, two) = (page(&[(1, "x"), (2, "y")]), page(&[(2, "y"), (3, "z")]));
        assert_eq!(mismatch(&[one.clone(), two.clone()], 4), None);
        assert!(
            mismatch(&[two.clone(), two.clone()], 4)
                .unwrap()
                .contains("in order of time")
        );
        assert!(
            mismatch(&[two, one], 4)
                .unwrap()
                .contains("in order of time")
        );
        let out_of_order = page(&[(2, "y"), (1, "x")]);
        assert_eq!(mismatch(&[out_of_order], 2), None);
    }

    #[test]
    fn messages_of_another_request_are_recognized() {
        let bounds = |to| Window::new(Second(0), Second(to)).unwrap();
        let stream = |source: Option<&str>, destination: Option<&str>| {
            crate::provider::agora::filter_stream(
                source.map(str::to_owned),
                destination.map(str::to_owned),
            )
        };
        let message = Message {
            conversation: ConversationKinds::default().conversation("a", "b", None),
            ..Message::text("a", "b", Millis(9999), "y")
        };
        let kinds = [("channel".to_owned(), ConversationKind::Channel)];
        let kinds = ConversationKinds::new(kinds.into());
        for (source, destination, to, is_included) in [
            (Some("a"), None, 10, true),
            (Some("a"), Some("b"), 10, true),
            (None, Some("channel"), 10, false),
            (None, Some("member of b"), 10, true),
            (Some("b"), Some("b"), 10, false),
            (None, Some("B"), 10, false),
            (None, Some("b"), 9, false),
        ] {
            let stream = &stream(source, destination);
            let requested = RequestedMessages {
                stream,
                bounds: bounds(to),
            };
            let is_requested = requested.include(&message, &kinds);
            assert_eq!(is_requested, is_included, "{stream:?} {to}");
        }
        let between_peers = Message {
            conversation: Conversation::between("a", "b"),
            ..message
        };
        let requested = RequestedMessages {
            stream: &stream(None, Some("member of b")),
            bounds: bounds(10),
        };
        assert!(!requested.include(&between_peers, &kinds));
    }

    #[test]
    fn page_of_received_messages_is_certain_if_no_other_request_brings_it() {
        let to =
            |sender: &str, recipient: &str| Ok(Message::text(sender, recipient, Millis(1), "hi"));
        let stream = |source: Option<&str>, destination: Option<&str>| {
            crate::provider::agora::filter_stream(
                source.map(str::to_owned),
                destination.map(str::to_owned),
            )
        };
        let inbox = stream(None, Some("alice"));
        for (page, is_doubtful) in [
            (vec![], false),
            (vec![to("bob", "alice"), to("carol", "alice")], false),
            (vec![to("bob", "lobby")], true),
            (vec![to("bob", "lobby"), to("carol", "lobby")], true),
            (vec![to("bob", "lobby"), to("bob", "alice")], true),
            (vec![to("bob", "lobby"), to("carol", "alice")], false),
        ] {
            assert_eq!(may_be_foreign(&page, &inbox), is_doubtful, "{page:?}");
            assert!(!may_be_foreign(&page, &stream(Some("bob"), None)));
        }
        let both = [to("bob", "lobby"), to("carol", "lobby")];
        assert!(repeats(&both, &both[..1]) && repeats(&both, &both[1..]));
        assert!(!repeats(&both[..1], &both[1..]) && !repeats(&[], &both[1..]));
        assert!(repeats(&[], &[]) && !repeats(&both, &[]));
    }

    #[test]
    fn page_is_foreign_if_most_of_its_messages_are() {
        let foreign = || {
            let message = page(&[(1, "x")]).remove(0).unwrap();
            Err(UnparsableMessage {
                sound: Some(Box::new(message)),
                ..UnparsableMessage::new("{}", "not asked for")
            })
        };
        let with_foreign = |count: usize| {
            let foreign = (0..count).map(|_| foreign());
            page(&[(1, "x"), (2, "y")])
                .into_iter()
                .chain(foreign)
                .collect::<MessagePage>()
        };
        assert!(!is_foreign(&with_foreign(0)) && !is_foreign(&with_foreign(2)));
        assert!(is_foreign(&with_foreign(3)) && is_foreign(&[foreign()]));
        assert!(!is_foreign(&[]));
    }
}
