//! The split of a range into windows.
//!
//! A survey finds out how many messages a range holds. [`piece_count`] decides whether it fits into
//! one window. If not, the adapter chooses the split points (`agora/splitting.rs`,
//! `web3mq/splitting.rs`) and returns [`Survey::Split`](super::Survey::Split); the engine surveys
//! each piece by itself.

/// Returns the number of pieces into which a range of `count` messages is split; 1 for no split. A
/// window may hold up to `max` messages: splitting one that is slightly too large costs more
/// requests than it saves memory. Otherwise the pieces hold about `target` messages each.
pub(super) fn piece_count(count: u64, max: u64, target: u64) -> u64 {
    if count <= max {
        1
    } else {
        count.div_ceil(target.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_split_only_above_the_maximum() {
        assert_eq!(
            [0, 100, 200].map(|count| piece_count(count, 200, 100)),
            [1, 1, 1]
        );
        assert_eq!(
            [201, 300, 301].map(|count| piece_count(count, 200, 100)),
            [3, 3, 4]
        );
        assert_eq!(piece_count(5, 0, 0), 5);
    }
}
