//! Search on Postgres: the GIN index finds messages that have all words of a query, and their
//! `TSVECTOR`s tell if these are in sequence.

use sqlx::postgres::Postgres;

use crate::domain::search::query::SearchQuery;
use crate::domain::search::time_slice::TimeSlice;
use crate::store::dialect::{PerWalkPath, WordSearch};
use crate::store::sql::{is_selected, walks};

/// All hits, in an order. The messages themselves are only read if something is selected that the
/// index does not know.
macro_rules! hits {
    ($order:literal) => {
        concat!(
            "
    WITH hit AS MATERIALIZED (
        SELECT id, sent_at_ms, 1 AS is_certain, words
        FROM message_words
        WHERE words @@ CAST($6 AS TSQUERY) AND sent_at_ms >= $1 AND sent_at_ms < $2
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
    const WALKS: &'static [u64] = &[500, 2_500];
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
    const HITS_BY_TIME: &'static str = hits!("");
    const HITS_BY_RELEVANCE: &'static str =
        hits!("ts_rank(coalesce(h.words, ''), CAST($6 AS TSQUERY)) DESC, ");
    const COUNT_WITHOUT_WORDS: &'static str =
        "SELECT count(*) AS messages FROM message_words WHERE words IS NULL";

    fn notation_of(query: &SearchQuery, slice: Option<TimeSlice>) -> String {
        query.to_tsquery(slice)
    }
}
