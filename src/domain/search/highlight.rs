//! The parts of a text that a query matches, to be marked.

use std::ops::Range;

use super::fold::fold_with_origins;
use super::query::{SearchPhrase, SearchQuery};
use super::tokens::{Piece, pieces};

/// A token of a text, and the bytes of the folded text that it comes from.
struct PlacedToken<'a> {
    text: &'a str,
    start: usize,
    is_of_run: bool,
}

impl AsRef<str> for PlacedToken<'_> {
    fn as_ref(&self) -> &str {
        self.text
    }
}

/// Returns the ranges of bytes of a text where words or phrases of the query occur, in order. They
/// neither overlap nor touch.
pub fn matched_ranges(query: &SearchQuery, text: &str) -> Vec<Range<usize>> {
    let (folded, origins) = fold_with_origins(text);
    let mut tokens = Vec::new();
    for (place, piece) in pieces(&folded) {
        let is_of_run = matches!(piece, Piece::Run(_));
        piece.for_each_token(|offset, text| {
            tokens.push(PlacedToken {
                text,
                start: place + offset,
                is_of_run,
            });
        });
    }
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for first in 0..tokens.len() {
        let found = query
            .wanted()
            .filter(|phrase| phrase.begins(&tokens[first..]));
        let Some(end) = found.map(|phrase| end_of(phrase, &tokens[first..])).max() else {
            continue;
        };
        let range = origins[tokens[first].start].0..origins[end - 1].1;
        match ranges.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => ranges.push(range),
        }
    }
    ranges
}

/// Returns the end of a phrase that begins with the first token. A word is marked as a whole, and
/// of a run without spaces no more than the query has.
fn end_of(phrase: &SearchPhrase, tokens: &[PlacedToken<'_>]) -> usize {
    let wanted = phrase.tokens.iter().zip(tokens).next_back();
    wanted.map_or(0, |(wanted, token)| {
        let length = if token.is_of_run {
            wanted.len()
        } else {
            token.text.len()
        };
        token.start + length
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_are_marked_in_the_original_text() {
        for (query, text, marked) in [
            (
                "cafe",
                "Le CAFÉ, le cafe\u{301}.",
                "Le [CAFÉ], le [cafe\u{301}].",
            ),
            ("京都", "東京都庁", "東[京都]庁"),
            ("京", "東京都", "東[京]都"),
            ("東京都", "in 東京都庁", "in [東京都]庁"),
            ("us*", "User_id", "[User]_id"),
            ("user_id", "a user.id!", "a [user.id]!"),
            ("red OR car", "red car bike", "[red] [car] bike"),
            ("strasse", "Die Straße", "Die [Straße]"),
            ("red -bike", "red car", "[red] car"),
            ("none", "red", "red"),
        ] {
            let query: SearchQuery = query.parse().unwrap();
            let mut found = text.to_owned();
            for range in matched_ranges(&query, text).into_iter().rev() {
                found.insert(range.end, ']');
                found.insert(range.start, '[');
            }
            assert_eq!(found, marked);
        }
    }

    #[test]
    fn long_cut_words_are_marked_as_far_as_they_are_compared() {
        let word = "x".repeat(300);
        let query: SearchQuery = word.parse().unwrap();
        let ranges = matched_ranges(&query, &word);
        assert_eq!((ranges.len(), &ranges[0]), (1, &(0..128)));
    }
}
