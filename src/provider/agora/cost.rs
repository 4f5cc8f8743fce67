//! What reading a history costs here, in requests: a count for every range, a POST and a GET for every page.

use super::PAGE;
use crate::provider;

/// What a page costs.
const READ: u64 = 2;

/// Messages to a window. It is rather large: each costs a count, and a last page that is half empty, which together must
/// not be more than one request in twenty.
pub const WINDOW: u64 = 4000;

/// Into how many windows of about `target` a range of so many messages is cut.
pub fn pieces(count: u64, target: u64) -> u64 {
    provider::pieces(count, target * 2, target)
}

/// How many requests a range of so many messages takes, when every handle is ready at its first reading.
pub(super) fn cost(messages: u64) -> u64 {
    let windows = pieces(messages, WINDOW);
    if windows == 1 {
        return 1 + READ * messages.div_ceil(PAGE);
    }
    // The whole is counted, its first message looked at, and every piece counted. Of each piece the last page is half
    // empty, more or less.
    1 + READ + windows + READ * (messages / PAGE + windows.div_ceil(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_costs_a_count_and_a_dense_history_little_more_than_two_requests_a_page() {
        assert_eq!([0, 1, 100, 101, 2000].map(cost), [1, 3, 3, 5, 41]);
        let dense = cost(1_000_000);
        assert!((20_400..21_000).contains(&dense), "{dense}");
    }
}
