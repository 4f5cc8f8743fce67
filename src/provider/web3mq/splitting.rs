//! What reading a history costs here, in requests: a page at a time, and a look at the newest to find the pages.

use crate::provider;

/// Messages to a window. A page costs the same in whichever window it is, and what came late is found by reading one
/// window again: it is rather small.
pub(super) const MESSAGES_PER_WINDOW: u64 = 1500;

/// Into how many windows of about `target` a range of so many messages is cut.
pub(super) fn window_count(count: u64, target: u64) -> u64 {
    provider::piece_count(count, target + target / 3, target)
}

/// How many requests a range of so many messages takes that reaches up to now, in pages of `page` messages.
pub(super) fn request_cost(messages: u64, page: u64) -> u64 {
    let page = page.max(1);
    // The page that shows how many there are shows them all.
    if messages < page {
        return 1;
    }
    let windows = window_count(messages, MESSAGES_PER_WINDOW);
    // Pages are counted from the newest message back: a window begins and ends somewhere within one, and every cut is a
    // page looked at. The newest page is looked at for the whole, and again for the window that reaches up to now.
    2 + messages.div_ceil(page) + if windows > 1 { 2 * windows } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_page_costs_one_request_and_long_history_its_pages() {
        assert_eq!(
            [0, 1, 99, 100, 2000].map(|messages| request_cost(messages, 100)),
            [1, 1, 1, 3, 22]
        );
        let long = request_cost(1_000_000, 100);
        assert!((10_000..11_500).contains(&long), "{long}");
        assert_eq!(request_cost(50, 0), 52, "a page size that nobody means");
    }
}
