//! The search index on Postgres: a table of `TSVECTOR`s with a GIN index.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sqlx::postgres::{PgConnection, Postgres};

use crate::domain::search::time_slice::TimeSlice;
use crate::domain::search::tokens::for_each_token;
use crate::store::dialect::WordTable;
use crate::store::driver::DriverResult;
use crate::store::model::IndexEntry;

/// The highest position in a `TSVECTOR`. Postgres gives it to all words behind it as well, so that
/// phrases would not be found there.
const MAX_POSITION: usize = 16_383;
/// The number of positions of one word in a `TSVECTOR`. Postgres leaves out more of them.
const MAX_POSITIONS_OF_WORD: usize = 255;
/// The size of a `TSVECTOR` in bytes up to which it is stored. Postgres allows a little more.
const MAX_VECTOR_BYTES: usize = 1_000_000;

const READ_TEXTS: &str = "
    SELECT m.id, m.sent_at_ms, m.body, CASE WHEN m.body IS NULL THEN m.payload END AS payload
    FROM message m
    WHERE m.id > $1 AND m.id <= $2 AND coalesce(m.is_text, TRUE)
    ORDER BY m.id
    LIMIT $3";

const CLEAR_INDEX: &str = "TRUNCATE message_words";

const ADD_WORDS: &str = "
    INSERT INTO message_words (id, sent_at_ms, words)
    SELECT k.id, k.sent_at_ms, CAST(k.words AS TSVECTOR)
    FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::TEXT[]) AS k (id, sent_at_ms, words)";

const REMOVE_WORDS: &str = "DELETE FROM message_words WHERE id = ANY ($1)";

impl WordTable for Postgres {
    const READ_TEXTS: &'static str = READ_TEXTS;
    const CLEAR_INDEX: &'static str = CLEAR_INDEX;

    fn words_of(text: &str, slice: TimeSlice) -> Option<String> {
        let mut vector = to_tsvector(text)?;
        if !vector.is_empty() {
            // It has no position: no phrase contains it.
            let _ = write!(vector, "'{slice}'");
        }
        Some(vector)
    }

    async fn add_to_index(
        connection: &mut PgConnection,
        entries: &[IndexEntry],
    ) -> DriverResult<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let (mut ids, mut times, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            ids.push(entry.id);
            times.push(entry.sent_at_ms);
            words.push(entry.words.as_deref());
        }
        let query = sqlx::query(ADD_WORDS).bind(ids).bind(times).bind(words);
        query.execute(connection).await.map(drop)
    }

    async fn remove_from_index(
        connection: &mut PgConnection,
        entries: &[IndexEntry],
    ) -> DriverResult<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = entries.iter().map(|entry| entry.id).collect();
        let query = sqlx::query(REMOVE_WORDS).bind(ids);
        query.execute(connection).await.map(drop)
    }
}

/// Returns the words of a text with their positions, in the notation of `TSVECTOR`. `None` if it
/// cannot hold all of them.
fn to_tsvector(text: &str) -> Option<String> {
    let mut positions: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut position = 0;
    for_each_token(text, |token| {
        position += 1;
        match positions.get_mut(token) {
            Some(positions) => positions.push(position),
            None => {
                positions.insert(token.to_owned(), vec![position]);
            }
        }
    });
    // A word takes its bytes, an entry of 4 bytes, and at most 3 + 2 for each position.
    let bytes = |(word, positions): (&String, &Vec<usize>)| word.len() + 7 + 2 * positions.len();
    let fits = position < MAX_POSITION
        && positions
            .values()
            .all(|positions| positions.len() <= MAX_POSITIONS_OF_WORD)
        && positions.iter().map(bytes).sum::<usize>() <= MAX_VECTOR_BYTES;
    fits.then(|| write_vector(&positions))
}

/// No token holds a quotation mark or a backslash: these are separators.
fn write_vector(positions: &BTreeMap<String, Vec<usize>>) -> String {
    let mut vector = String::new();
    for (word, positions) in positions {
        // Writing to a string cannot fail.
        let _ = write!(vector, "'{word}'");
        for (index, position) in positions.iter().enumerate() {
            let _ = write!(vector, "{}{position}", if index == 0 { ':' } else { ',' });
        }
        vector.push(' ');
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_vectors_with_positions() {
        assert_eq!(to_tsvector(" ?! ").unwrap(), "");
        let vector = to_tsvector("To be, or not to BE").unwrap();
        assert_eq!(vector, "'be':2,6 'not':4 'or':3 'to':1,5 ");
        assert_eq!(to_tsvector("'東京' \\").unwrap(), "'京':2 '東京':1 ");
    }

    #[test]
    fn texts_with_too_many_words_are_left_out() {
        let join = |words: Vec<String>| words.join(" ");
        let distinct = |n: usize| join((0..n).map(|i| format!("w{i}")).collect());
        assert!(to_tsvector(&distinct(16_382)).is_some());
        assert!(to_tsvector(&distinct(16_383)).is_none());
        assert!(to_tsvector(&"a ".repeat(255)).is_some());
        assert!(to_tsvector(&"a ".repeat(256)).is_none());
        let long = |n: usize| join((0..n).map(|i| format!("{i:0>120}")).collect());
        assert!(to_tsvector(&long(7_000)).is_some());
        assert!(to_tsvector(&long(9_000)).is_none());
    }
}
