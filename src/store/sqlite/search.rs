//! Search on SQLite: FTS5 finds ids, and the message table has everything else.

use sqlx::sqlite::Sqlite;

use crate::domain::search::query::SearchQuery;
use crate::domain::search::time_slice::TimeSlice;
use crate::store::dialect::{PerWalkPath, WordSearch};
use crate::store::sql::{displayed_messages, is_selected, walks};

/// The hits of a query, in an order.
macro_rules! hits {
    ($query:literal, $order:literal) => {
        concat!(
            "
    SELECT 0 AS examined, m.id, m.sent_at_ms, 1 AS is_certain
    FROM archive_search s
         CROSS JOIN message m ON m.id = s.rowid
    WHERE s.archive_search MATCH ",
            $query,
            " AND ",
            is_selected!(),
            " ORDER BY ",
            $order,
            "m.sent_at_ms DESC, m.id DESC LIMIT $7"
        )
    };
}

impl WordSearch for Sqlite {
    /// The ids of the messages that are walked through bound the part of the index that is read:
    /// messages that were sent together were mostly archived together.
    const WALK: PerWalkPath = walks!(
        "
             SELECT m.id, m.sent_at_ms, 1 AS is_certain
             FROM walked m
             WHERE m.id IN (SELECT rowid FROM archive_search
                            WHERE archive_search MATCH $8
                              AND rowid >= (SELECT min(id) FROM walked)
                              AND rowid <= (SELECT max(id) FROM walked))"
    );
    const HITS_BY_TIME: &'static str = hits!("$6", "");
    const HITS_IN_SLICES: &'static str = hits!("'(' || $6 || ') AND (' || $8 || ')'", "");
    const HITS_BY_RELEVANCE: &'static str = hits!("$6", "s.rank, ");
    const MESSAGES_OF_HITS: &'static str = concat!(
        displayed_messages!(),
        "WHERE id IN (SELECT value ->> 0 FROM json_each($1))"
    );
    const COUNT_WITHOUT_WORDS: &'static str = "SELECT 0 AS messages";

    fn walk_lengths(_: &SearchQuery) -> &'static [u64] {
        &[1_000, 5_000, 20_000]
    }

    fn notation_of(query: &SearchQuery) -> String {
        query.to_fts5()
    }

    fn notation_of_slices(slices: impl Iterator<Item = TimeSlice>) -> String {
        let words: Vec<String> = slices.map(|slice| format!("\"{slice}\"")).collect();
        words.join(" OR ")
    }
}
