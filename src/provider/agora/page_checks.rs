//! Whether the pages of a window make up the window: they were read one by one, and the history may have moved
//! beneath them.

use std::collections::HashSet;

use super::answers::{ParsedMessage, Sent};
use crate::domain::stream::Stream;
use crate::domain::time::Millis;
use crate::domain::window::Window;

/// What is wrong with the pages of a window of which the provider counted `count` messages; nothing if they add up,
/// and each goes on where the one before it ends.
pub(super) fn mismatch(pages: &[Vec<ParsedMessage>], count: u64) -> Option<String> {
    let served: u64 = pages.iter().map(|page| page.len() as u64).sum();
    if served != count {
        return Some(format!(
            "the provider counts {count} messages and serves {served}"
        ));
    }
    let times = || pages.iter().flatten().flatten().map(|sent| sent.at);
    let goes_back = times()
        .zip(times().skip(1))
        .any(|(before, after)| after < before);
    goes_back.then(|| "the provider does not serve this history in order of time".to_owned())
}

/// Why pages that add up may do so by accident: a message stands on both sides of a page's end, as one does when another was
/// put in before it, which would then be missed. Where the reading before says the very same, they are two.
pub(super) fn repeated_at_boundary(
    pages: &[Vec<ParsedMessage>],
    before: Option<&Vec<Vec<ParsedMessage>>>,
) -> Option<String> {
    let is_repeated = pages
        .windows(2)
        .any(|pair| doubled(&pair[0], &pair[1]).next().is_some());
    let is_known = before.is_some_and(|before| before == pages);
    (is_repeated && !is_known)
        .then(|| "a message is served on both sides of a page's end".to_owned())
}

/// Whether these are messages that the stream was asked for between these bounds, and not the answer to another
/// request. The bounds must allow for a provider that takes its own more liberally.
pub(super) fn all_requested(page: &[ParsedMessage], stream: &Stream, bounds: Window) -> bool {
    let is =
        |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
    page.iter().flatten().all(|sent| {
        is(&stream.scope.sender, &sent.source)
            && is(&stream.scope.recipient, &sent.destination)
            && bounds.contains(sent.at)
    })
}

/// The pages without what a moving history may have doubled: the message at the end of a page is served again at the
/// start of the next when something was put in before it, so where pages do not add up, equals on both sides of a
/// page's end count once. Where they truly were several, a later and steady reading adds what is missing here.
pub(super) fn without_boundary_duplicates(
    pages: Vec<Vec<ParsedMessage>>,
) -> Vec<Vec<ParsedMessage>> {
    let doubtful: HashSet<(usize, usize)> = (1..pages.len())
        .flat_map(|page| doubled(&pages[page - 1], &pages[page]).map(move |item| (page, item)))
        .collect();
    let keep = |(number, page): (usize, Vec<ParsedMessage>)| {
        let items = page
            .into_iter()
            .enumerate()
            .filter(|(item, _)| !doubtful.contains(&(number, *item)));
        items.map(|(_, item)| item).collect()
    };
    pages.into_iter().enumerate().map(keep).collect()
}

/// The pages of the last reading of a window, with what only earlier ones have shown: the provider has served it, and may
/// have forgotten it since. Of equals one is kept, for a history that moves may show one message twice.
pub(super) fn with_earlier_messages(
    last: Vec<Vec<ParsedMessage>>,
    earlier: &[Vec<Vec<ParsedMessage>>],
) -> Vec<Vec<ParsedMessage>> {
    fn key(sent: &Sent) -> (Millis, &str, &str, &[u8]) {
        (
            sent.at,
            &sent.source,
            &sent.destination,
            &sent.payload.bytes,
        )
    }
    let mut known: HashSet<_> = last.iter().flatten().flatten().map(key).collect();
    let mut forgotten: Vec<ParsedMessage> = Vec::new();
    for item in earlier.iter().flatten().flatten() {
        if item.as_ref().map_or(true, |sent| known.insert(key(sent))) {
            forgotten.push(item.clone());
        }
    }
    forgotten.sort_by_key(|item| item.as_ref().map(|sent| sent.at).ok());
    if forgotten.is_empty() {
        last
    } else {
        [vec![forgotten], last].concat()
    }
}

/// The positions in `page` of what shares the first millisecond and stands in the page before it, too.
fn doubled<'a>(
    before: &'a [ParsedMessage],
    page: &'a [ParsedMessage],
) -> impl Iterator<Item = usize> + 'a {
    let boundary = page
        .first()
        .and_then(|item| item.as_ref().ok())
        .map(|sent| sent.at);
    let at_boundary =
        move |item: &ParsedMessage| item.as_ref().is_ok_and(|sent| Some(sent.at) == boundary);
    let positions = page
        .iter()
        .enumerate()
        .take_while(move |(_, item)| at_boundary(item));
    positions
        .filter(|(_, item)| before.contains(item))
        .map(|(position, _)| position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::{Encoding, Payload};
    use crate::domain::time::Second;

    fn page(items: &[(i64, &str)]) -> Vec<ParsedMessage> {
        let sent = |&(at, text): &(i64, &str)| {
            Ok(Sent {
                source: "a".into(),
                destination: "b".into(),
                at: Millis(at),
                payload: Payload {
                    bytes: text.into(),
                    encoding: Encoding::Utf8,
                },
                message_type: None,
                extra: None,
            })
        };
        items.iter().map(sent).collect()
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
    fn answer_to_another_request_is_recognized() {
        let bounds = Window::new(Second(0), Second(10)).unwrap();
        let stream = |source: Option<&str>, destination: Option<&str>| {
            crate::provider::agora::stream(
                source.map(str::to_owned),
                destination.map(str::to_owned),
            )
        };
        let page = page(&[(0, "x"), (9999, "y")]);
        assert!(all_requested(&page, &stream(Some("a"), None), bounds));
        assert!(all_requested(&page, &stream(Some("a"), Some("b")), bounds));
        assert!(!all_requested(&page, &stream(None, Some("c")), bounds));
        assert!(!all_requested(&page, &stream(Some("b"), Some("b")), bounds));
        assert!(!all_requested(
            &page,
            &stream(None, Some("b")),
            Window::new(Second(0), Second(9)).unwrap()
        ));
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
