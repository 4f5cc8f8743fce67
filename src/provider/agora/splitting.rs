//! The split of a range into windows, and the requests that reading them costs: a count for every
//! range, a POST and a GET for every page.

use crate::domain::time::Second;
use crate::domain::window::Window;
use crate::provider::limits::agora::{MESSAGES_PER_WINDOW, PAGE_SIZE, REQUESTS_PER_PAGE};
use crate::provider::splitting::piece_count;

/// Returns the number of windows of about `target` messages into which a range of `count` messages
/// is split.
pub fn window_count(count: u64, target: u64) -> u64 {
    piece_count(count, target * 2, target)
}

/// Returns the points that split a range into about `windows` windows: evenly in time, from the
/// first message on. A silence before it, which may be most of the range, becomes part of the first
/// window.
pub(super) fn split_points(range: Window, first: Option<Second>, windows: u64) -> Vec<Second> {
    let silence = first.and_then(|first| range.up_to(first));
    let Some(silence) = silence.filter(|silence| silence.seconds() > range.seconds() / windows)
    else {
        return range.even_split_points(windows);
    };
    let active = range.starting_at(silence.to()).unwrap_or(range);
    let points = active.even_split_points(windows);
    if points.is_empty() {
        vec![silence.to()]
    } else {
        points
    }
}

/// Returns the number of requests that a range of `messages` messages takes if every handle is
/// ready at its first reading.
pub(super) fn request_cost(messages: u64) -> u64 {
    let windows = window_count(messages, MESSAGES_PER_WINDOW);
    if windows == 1 {
        return 1 + REQUESTS_PER_PAGE * messages.div_ceil(PAGE_SIZE);
    }
    // The range is counted, its first page read, and every window counted. The last page of a
    // window is half empty on average.
    let pages = messages / PAGE_SIZE + windows.div_ceil(2);
    1 + REQUESTS_PER_PAGE + windows + REQUESTS_PER_PAGE * pages
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

    #[test]
    fn long_silence_is_left_out_of_the_even_split() {
        let range = Window::new(Second(0), Second(100)).unwrap();
        let seconds = |first: Option<i64>, windows| -> Vec<i64> {
            split_points(range, first.map(Second), windows)
                .into_iter()
                .map(|at| at.0)
                .collect()
        };
        assert_eq!(seconds(None, 4), [25, 50, 75]);
        assert_eq!(
            seconds(Some(10), 4),
            [25, 50, 75],
            "a short silence changes nothing"
        );
        assert_eq!(seconds(Some(80), 4), [85, 90, 95]);
        assert_eq!(
            seconds(Some(99), 4),
            [99],
            "a single second cannot be split"
        );
    }
}
