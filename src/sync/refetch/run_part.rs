//! The parts of a run of adjacent ledger rows, as they are bisected. Pure.

use std::ops::Range;

use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::store::LedgerRow;

/// A count of a run of adjacent rows, from its start up to some second.
#[derive(Clone, Copy)]
pub(super) struct CountMark {
    pub(super) at: Second,
    /// The time up to which the provider has counted in fact.
    pub(super) counted_to: Millis,
    /// The provider's count minus the known count.
    pub(super) excess: i64,
}

/// Some rows of a run, or a range of one row.
pub(super) struct RunPart {
    pub(super) rows: Range<usize>,
    pub(super) from: CountMark,
    pub(super) to: CountMark,
}

/// The point where a part is cut in two.
pub(super) struct PartCut {
    pub(super) at: Second,
    /// The known count of the run up to there.
    pub(super) known: u64,
    /// The rows of the two halves.
    pub(super) rows: [Range<usize>; 2],
}

impl RunPart {
    /// Returns the provider's count minus the known count.
    pub(super) fn excess(&self) -> i64 {
        self.to.excess - self.from.excess
    }

    /// Returns the time range. `None` if it is empty.
    pub(super) fn range(&self) -> Option<Window> {
        Window::new(self.from.at, self.to.at)
    }
}

/// Returns the number of messages that the provider had in a row when it was last fetched.
pub(super) fn known_count(row: &LedgerRow) -> u64 {
    row.provider_count.unwrap_or(row.messages)
}

/// True if the provider showed exactly the archived messages when a row was last fetched. Then the
/// archived messages tell what to expect of a part of the row.
///
/// The counts alone do not say so: a message that the provider does not show and one that it counts
/// and is not archived make them equal as well.
pub(super) fn is_shown_as_archived(row: &LedgerRow) -> bool {
    row.not_shown == 0 && known_count(row) == row.messages
}

/// Returns the number of rows before the cut that halves at least two rows by their counts.
pub(super) fn middle(rows: &[LedgerRow]) -> usize {
    let half = rows.iter().map(known_count).sum::<u64>() / 2;
    let mut sum = 0;
    let first_half = rows.iter().take_while(|row| {
        sum += known_count(row);
        sum <= half
    });
    first_half.count().clamp(1, rows.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_halved_by_their_counts() {
        let row = |messages| LedgerRow {
            window: Window::with_length(Second(0), 1),
            messages,
            digest: None,
            provider_count: None,
            not_shown: 0,
            doubt: None,
            doubted_at: None,
            sealed_at: Millis(0),
        };
        let middle = |counts: &[u64]| middle(&counts.iter().map(|n| row(*n)).collect::<Vec<_>>());
        assert_eq!(middle(&[10, 10, 10, 10]), 2);
        assert_eq!(middle(&[100, 1, 1, 1]), 1, "no half is empty");
        assert_eq!(middle(&[1, 1, 1, 100]), 3);
        assert_eq!(middle(&[0, 0]), 1);
    }
}
