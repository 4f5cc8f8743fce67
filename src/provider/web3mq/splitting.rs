//! The split of a range into windows, and the requests that reading them costs: one a page, and the
//! newest page to find the others.

use crate::provider::limits::web3mq::{MAX_PIECES, MESSAGES_PER_WINDOW};
use crate::provider::splitting::piece_count;

/// Returns the number of windows of about `target` messages into which a range of `count` messages
/// is split.
pub(super) fn window_count(count: u64, target: u64) -> u64 {
    piece_count(count, target + target / 3, target)
}

/// Returns the positions at which to split `from..to`: evenly by messages, into at most
/// [`MAX_PIECES`] pieces at once.
pub(super) fn split_positions(from: u64, to: u64, target: u64) -> Vec<u64> {
    let count = to - from;
    let pieces = window_count(count, target).min(MAX_PIECES);
    let stride = count.div_ceil(pieces).max(1);
    let stride = usize::try_from(stride).unwrap_or(usize::MAX);
    (from..to).step_by(stride).skip(1).collect()
}

/// Returns the number of requests that a range of `messages` messages up to now takes, in pages of
/// `page_size`.
pub(super) fn request_cost(messages: u64, page_size: u64) -> u64 {
    let page_size = page_size.max(1);
    // The page that shows the number of messages shows all of them.
    if messages < page_size {
        return 1;
    }
    let windows = window_count(messages, MESSAGES_PER_WINDOW);
    // Pages are counted from the newest message back, so a window begins and ends within one, and
    // every split point reads a page. The newest page is read for the range, and again for the
    // window that reaches up to now.
    2 + messages.div_ceil(page_size) + if windows > 1 { 2 * windows } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_page_costs_one_request_and_long_history_its_pages() {
        let costs = [0, 1, 99, 100, 2000].map(|messages| request_cost(messages, 100));
        assert_eq!(costs, [1, 1, 1, 3, 22]);
        let long = request_cost(1_000_000, 100);
        assert!((10_000..11_500).contains(&long), "{long}");
        assert_eq!(request_cost(50, 0), 52, "a page size that nobody means");
    }

    #[test]
    fn positions_split_a_range_evenly_into_a_limited_number_of_pieces() {
        assert_eq!(split_positions(10, 20, 20), Vec::<u64>::new());
        assert_eq!(split_positions(100, 400, 100), [200, 300]);
        assert_eq!(
            split_positions(0, 1_000_000, 100).len() as u64,
            MAX_PIECES - 1
        );
    }
}
