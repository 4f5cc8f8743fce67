//! What reading a history costs here, in requests: a count for every range, a POST and a GET for every page.

use super::PAGE_SIZE;
use crate::provider;

/// What a page costs.
const REQUESTS_PER_PAGE: u64 = 2;

/// Messages to a window. It is rather large: each costs a count, and a last page that is half empty, which together must
/// not be more than one request in twenty.
pub const MESSAGES_PER_WINDOW: u64 = 4000;

/// Into how many windows of about `target` a range of so many messages is cut.
pub fn window_count(count: u64, target: u64) -> u64 {
    provider::piece_count(count, target * 2, target)
}

/// How many requests a range of so many messages takes, when every handle is ready at its first reading.
pub(super) fn request_cost(messages: u64) -> u64 {
    let windows = window_count(messages, MESSAGES_PER_WINDOW);
    if windows == 1 {
        return 1 + REQUESTS_PER_PAGE * messages.div_ceil(PAGE_SIZE);
    }
    // The whole is counted, its first message looked at, and every piece counted. Of each piece the last page is half
    // empty, more or less.
    1 + REQUESTS_PER_PAGE
        + windows
        + REQUESTS_PER_PAGE * (messages / PAGE_SIZE + windows.div_ceil(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_range_costs_one_request_and_dense_history_two_per_page() {
        assert_eq!([0, 1, 100, 101, 2000].map(request_cost), [1, 3, 3, 5, 41]);
        let dense = request_cost(1_000_000);
        assert!((20_400..21_000).contains(&dense), "{dense}");
    }
}
