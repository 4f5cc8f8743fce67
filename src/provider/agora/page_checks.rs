//! Checks of the pages of a window: they are read one by one, and the history may change between
//! two reads.

use std::collections::HashSet;

use super::message::{MessagePage, ParsedMessage};
use crate::domain::message::Message;
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::json;

/// Returns the reason why these pages cannot be all of a window with `count` messages. `None` if
/// they add up, and each page starts where the one before it ends.
pub(super) fn mismatch(pages: &[MessagePage], count: u64) -> Option<String> {
    let served: u64 = pages.iter().map(|page| page.len() as u64).sum();
    if served != count {
        return Some(count_mismatch(count, served));
    }
    order_mismatch(pages)
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
    format!("the provider counts {count} messages and serves {served}")
}

/// Returns the reason why pages that add up may do so by accident: a message stands on both sides
/// of a page boundary. That happens if another was inserted before it, which would then be missed.
/// If the previous read shows the very same, they are two messages.
pub(super) fn repeated_at_boundary(
    pages: &[MessagePage],
    previous: Option<&Vec<MessagePage>>,
) -> Option<String> {
    let mut boundaries = pages.windows(2);
    let is_repeated =
        boundaries.any(|pair| boundary_duplicates(&pair[0], &pair[1]).next().is_some());
    let is_confirmed = previous.is_some_and(|previous| previous == pages);
    (is_repeated && !is_confirmed)
        .then(|| "a message is served on both sides of a page's end".to_owned())
}

/// True if most messages of a page were not asked for: it is the answer to another request.
pub(super) fn is_foreign(page: &[ParsedMessage]) -> bool {
    let foreign = page.iter().filter(|item| json::is_not_requested(item));
    2 * foreign.count() > page.len()
}

/// Returns the messages within the window, and all items that could not be parsed.
pub(super) fn within(
    window: Window,
    pages: Vec<MessagePage>,
) -> impl Iterator<Item = ParsedMessage> {
    let is_wanted = move |item: &ParsedMessage| match item {
        Ok(message) => window.contains(message.sent_at),
        Err(_) => true,
    };
    pages.into_iter().flatten().filter(is_wanted)
}

/// Removes messages that a changing history may have doubled. If a message is inserted, the one at
/// the end of a page is served again at the start of the next. So where pages do not add up, equal
/// messages on both sides of a boundary count once. If they were several, a later read without
/// changes adds what is missing here.
pub(super) fn without_boundary_duplicates(pages: Vec<MessagePage>) -> Vec<MessagePage> {
    let mut duplicates: HashSet<(usize, usize)> = HashSet::new();
    for number in 1..pages.len() {
        let items = boundary_duplicates(&pages[number - 1], &pages[number]);
        duplicates.extend(items.map(|item| (number, item)));
    }
    let keep = |(number, page): (usize, MessagePage)| {
        let items = page.into_iter().enumerate();
        let kept = items.filter(|(item, _)| !duplicates.contains(&(number, *item)));
        kept.map(|(_, item)| item).collect()
    };
    pages.into_iter().enumerate().map(keep).collect()
}

/// Adds the messages that only earlier reads of a window have shown: they may have expired since.
/// Of equal messages one is kept, since a changing history may show one message twice.
pub(super) fn with_earlier_messages(
    last: Vec<MessagePage>,
    earlier: &[Vec<MessagePage>],
) -> Vec<MessagePage> {
    fn key(message: &Message) -> (Millis, &str, &str, &[u8]) {
        (
            message.sent_at,
            &message.sender,
            &message.recipient,
            &message.payload.bytes,
        )
    }
    let mut known: HashSet<_> = last.iter().flatten().flatten().map(key).collect();
    let mut expired: MessagePage = Vec::new();
    for item in earlier.iter().flatten().flatten() {
        let is_new = match item {
            Ok(message) => known.insert(key(message)),
            Err(_) => true,
        };
        if is_new {
            expired.push(item.clone());
        }
    }
    expired.sort_by_key(|item| item.as_ref().map(|message| message.sent_at).ok());
    if expired.is_empty() {
        last
    } else {
        [vec![expired], last].concat()
    }
}

/// Returns the positions in `page` of messages that share its first millisecond and stand in the
/// page before it too.
fn boundary_duplicates<'a>(
    before: &'a [ParsedMessage],
    page: &'a [ParsedMessage],
) -> impl Iterator<Item = usize> + 'a {
    let time = |item: &ParsedMessage| item.as_ref().ok().map(|message| message.sent_at);
    let boundary = page.first().and_then(time);
    let at_boundary = page
        .iter()
        .enumerate()
        .take_while(move |(_, item)| boundary.is_some() && time(item) == boundary);
    at_boundary
        .filter(|(_, item)| before.contains(item))
        .map(|(position, _)| position)
}

#[cfg(test)]
mod tests {
    use super::super::requested::RequestedMessages;
    use super::*;
    use crate::domain::message::UnparsableMessage;
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
    fn expired_messages_of_earlier_reads_are_kept_once() {
        let (one, two) = (page(&[(1, "x"), (2, "y")]), page(&[(3, "z"), (3, "z")]));
        let earlier = vec![
            vec![one.clone(), one.clone()],
            vec![two.clone(), two.clone()],
        ];
        let kept = with_earlier_messages(vec![two.clone()], &earlier);
        assert_eq!(kept, [one, two]);
    }

    #[test]
    fn boundary_duplicates_are_accepted_when_read_again() {
        let pages = vec![page(&[(1, "x"), (2, "y")]), page(&[(2, "y"), (3, "z")])];
        assert!(
            repeated_at_boundary(&pages, None).is_some_and(|fault| fault.contains("both sides"))
        );
        assert_eq!(repeated_at_boundary(&pages, Some(&pages)), None);
        assert!(repeated_at_boundary(&pages, Some(&vec![page(&[(1, "x")])])).is_some());
        assert_eq!(
            repeated_at_boundary(&[page(&[(2, "y"), (2, "y")]), page(&[(3, "z")])], None),
            None
        );
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
        let message = page(&[(9999, "y")]).remove(0).unwrap();
        for (source, destination, to, is_included) in [
            (Some("a"), None, 10, true),
            (Some("a"), Some("b"), 10, true),
            (None, Some("c"), 10, false),
            (Some("b"), Some("b"), 10, false),
            (None, Some("B"), 10, false),
            (None, Some("b"), 9, false),
        ] {
            let stream = &stream(source, destination);
            let requested = RequestedMessages {
                stream,
                bounds: bounds(to),
            };
            assert_eq!(requested.include(&message), is_included, "{stream:?} {to}");
        }
    }

    #[test]
    fn page_is_foreign_if_most_of_its_messages_are() {
        let foreign = || {
            let message = page(&[(1, "x")]).remove(0).unwrap();
            json::require_requested(message, false).map_err(|reason| UnparsableMessage {
                raw: "{}".to_owned(),
                reason,
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

    #[test]
    fn message_repeated_at_a_page_boundary_counts_once() {
        let pages = vec![
            page(&[(1, "x"), (2, "y"), (2, "y")]),
            page(&[(2, "y"), (2, "new"), (3, "x")]),
        ];
        assert_eq!(
            without_boundary_duplicates(pages)[1],
            page(&[(2, "new"), (3, "x")])
        );
    }

    #[test]
    fn equal_messages_within_a_page_stay() {
        let pages = vec![page(&[(1, "x"), (1, "x")]), page(&[(2, "x"), (2, "x")])];
        assert_eq!(without_boundary_duplicates(pages.clone()), pages);
    }
}
