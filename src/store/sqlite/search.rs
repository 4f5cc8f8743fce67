//! Search on SQLite: FTS5 finds ids, and the message table has everything else.

use sqlx::sqlite::Sqlite;

use crate::domain::search::query::SearchQuery;
use crate::domain::search::time_slice::TimeSlice;
use crate::store::dialect::{PerWalkPath, WordSearch};
use crate::store::sql::{is_selected, walks};

/// All hits, in an order.
macro_rules! hits {
    ($order:literal) => {
        concat!(
            "
    SELECT 0 AS examined, m.id, m.sent_at_ms, 1 AS is_certain
    FROM archive_search s
         CROSS JOIN message m ON m.id = s.rowid
    WHERE s.archive_search MATCH $6 AND ",
            is_selected!(),
            " ORDER BY ",
            $order,
            "m.sent_at_ms DESC, m.id DESC LIMIT $7"
        )
    };
}

impl WordSearch for Sqlite {
    const WALKS: &'static [u64] = &[1_000, 20_000];
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
    const HITS_BY_TIME: &'static str = hits!("");
    const HITS_BY_RELEVANCE: &'static str = hits!("s.rank, ");
    const COUNT_WITHOUT_WORDS: &'static str = "SELECT 0 AS messages";

    fn notation_of(query: &SearchQuery, slice: Option<TimeSlice>) -> String {
        query.to_fts5(slice)
    }
}
