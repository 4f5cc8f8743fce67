//! Slices of time: the index has a word for the slice of each message, so that the hits of one slice
//! are found without looking at all others.

use std::fmt;

use crate::domain::time::Millis;

/// The length of a slice as a power of two, in milliseconds: about three days. In longer slices a
/// word has more hits, all of which are looked up; of shorter ones more have to be searched until
/// there are enough hits.
const SLICE_BITS: u32 = 28;

/// Begins the word for a slice. It is a separator, so no text has such a word. It is not in ASCII:
/// SQLite's tokenizer would cut it off.
const MARK: char = '§';

/// A slice of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSlice(i64);

impl TimeSlice {
    /// Returns the slice that a time lies in.
    pub fn of(time: Millis) -> Self {
        Self(time.0 >> SLICE_BITS)
    }

    /// Returns this slice and those before it, as many in all as `count` says: the newest first.
    pub fn and_before(self, count: i64) -> impl Iterator<Item = Self> {
        let first = (i64::MIN >> SLICE_BITS).max(self.0.saturating_sub(count - 1));
        (first..=self.0).rev().map(Self)
    }

    /// Returns the first millisecond of the slice.
    pub fn start(self) -> Millis {
        Millis(self.0 << SLICE_BITS)
    }
}

/// Writes the word for the slice in the index.
impl fmt::Display for TimeSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}{}", self.0.cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::search::tokens::tokens;

    #[test]
    fn slices_follow_each_other() {
        let of = |ms: i64, count| -> Vec<i64> {
            let slices = TimeSlice::of(Millis(ms)).and_before(count);
            slices.map(|slice| slice.start().0).collect()
        };
        let length = 1 << SLICE_BITS;
        assert_eq!(of(0, 1), [0]);
        assert_eq!(of(length + 5, 3), [length, 0, -length]);
        assert_eq!(of(i64::MIN + 5, 4), [i64::MIN]);
    }

    #[test]
    fn slices_have_a_start_and_a_word_that_no_text_has() {
        for ms in [0, 1_767_571_200_000, -1, i64::MIN, i64::MAX] {
            let slice = TimeSlice::of(Millis(ms));
            assert!(slice.start().0 <= ms);
            assert_eq!(TimeSlice::of(slice.start()), slice);
            assert_eq!(
                tokens(&slice.to_string()),
                slice.to_string().replace(MARK, "")
            );
        }
        assert_eq!(
            TimeSlice::of(Millis(1_767_571_200_000)).to_string(),
            "§6584"
        );
    }
}
