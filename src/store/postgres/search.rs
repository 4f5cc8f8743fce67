//! Search on Postgres: the GIN index finds messages that have all words of a query, and their
//! `TSVECTOR`s tell if these are in sequence.

use sqlx::postgres::Postgres;

use crate::domain::search::query::SearchQuery;
use crate::domain::search::time_slice::TimeSlice;
use crate::store::dialect::{PerWalkPath, WordSearch};
use crate::store::sql::{displayed_messages, is_selected, walks};

/// The hits of a query that a condition selects, in an order. The messages themselves are only read if
/// something is selected that the index does not know.
macro_rules! hits {
    ($condition:literal, $order:literal) => {
        concat!(
            "
    WITH hit AS MATERIALIZED (
        SELECT id, sent_at_ms, 1 AS is_certain, words
        FROM message_words
        WHERE ",
            $condition,
            " AND words @@ CAST($6 AS TSQUERY) AND sent_at_ms >= $1 AND sent_at_ms < $2
        UNION ALL
        SELECT id, sent_at_ms, 0, NULL
        FROM message_words
        WHERE words IS NULL AND sent_at_ms >= $1 AND sent_at_ms < $2)
    SELECT CAST(0 AS BIGINT) AS examined, h.id, h.sent_at_ms,
           CAST(h.is_certain AS BIGINT) AS is_certain
    FROM hit h
    WHERE ($3 IS NULL AND $4 IS NULL AND $5 IS NULL)
       OR EXISTS (SELECT 1
                  FROM message m
                  WHERE m.sent_at_ms = h.sent_at_ms AND m.id = h.id AND ",
            is_selected!(),
            ") ORDER BY ",
            $order,
            "h.sent_at_ms DESC, h.id DESC LIMIT $7"
        )
    };
}

impl WordSearch for Postgres {
    /// `OFFSET 0` makes the server look up each message that is walked through: it might read all hits
    /// from the index of words instead.
    const WALK: PerWalkPath = walks!(
        "
             SELECT m.id, m.sent_at_ms, CAST(w.is_certain AS BIGINT) AS is_certain
             FROM walked m
                  CROSS JOIN LATERAL (
                      SELECT CAST(words IS NOT NULL AS INTEGER) AS is_certain
                      FROM message_words
                      WHERE id = m.id AND (words @@ CAST($8 AS TSQUERY) OR words IS NULL)
                      OFFSET 0) w
             WHERE TRUE"
    );
    const HITS_BY_TIME: &'static str = hits!("TRUE", "");
    /// As a condition of their own, the slices bound the part of the index that is read. In the query
    /// itself, all occurrences of its rarest word would be looked up in those of each other.
    const HITS_IN_SLICES: &'static str = hits!("words @@ CAST($8 AS TSQUERY)", "");
    const HITS_BY_RELEVANCE: &'static str = hits!(
        "TRUE",
        "ts_rank(coalesce(h.words, ''), CAST($6 AS TSQUERY)) DESC, "
    );
    /// `OFFSET 0` makes the server look up each hit by itself: it might read the whole view instead.
    const MESSAGES_OF_HITS: &'static str = concat!(
        "
    SELECT m.*
    FROM (SELECT CAST(hit ->> 0 AS BIGINT) AS id, CAST(hit ->> 1 AS BIGINT) AS sent_at_ms
          FROM jsonb_array_elements(CAST($1 AS JSONB)) AS hit) h
         CROSS JOIN LATERAL (",
        displayed_messages!(),
        "WHERE id = h.id AND sent_at_ms = h.sent_at_ms OFFSET 0) m"
    );
    const COUNT_WITHOUT_WORDS: &'static str =
        "SELECT count(*) AS messages FROM message_words WHERE words IS NULL";

    /// The index looks up all messages that have a word with a prefix, those of other slices as well.
    fn walk_lengths(query: &SearchQuery) -> &'static [u64] {
        if query.has_prefix() {
            &[500, 2_500, 10_000]
        } else {
            &[500, 2_500]
        }
    }

    fn notation_of(query: &SearchQuery) -> String {
        query.to_tsquery()
    }

    fn notation_of_slices(slices: impl Iterator<Item = TimeSlice>) -> String {
        let words: Vec<String> = slices.map(|slice| format!("'{slice}'")).collect();
        words.join(" | ")
    }
}
