//! The search index on SQLite: a contentless table of FTS5.

use std::sync::LazyLock;

use sqlx::sqlite::{Sqlite, SqliteConnection};

use super::sql::BatchStatement;
use crate::domain::search::time_slice::TimeSlice;
use crate::domain::search::tokens::tokens;
use crate::store::dialect::WordTable;
use crate::store::driver::{Arg, Driver as _, DriverResult};
use crate::store::model::IndexEntry;

const READ_TEXTS: &str = "
    SELECT m.id, m.sent_at_ms, m.body, CASE WHEN m.body IS NULL THEN m.payload END AS payload
    FROM message m
    WHERE m.id > ?1 AND m.id <= ?2 AND m.is_text
    ORDER BY m.id
    LIMIT ?3";

const CLEAR_INDEX: &str = "INSERT INTO archive_search (archive_search) VALUES ('delete-all')";

/// Binds an id and words per row.
static ADD_WORDS: LazyLock<BatchStatement> = LazyLock::new(|| {
    let head = "INSERT INTO archive_search (rowid, words) VALUES ";
    BatchStatement::new(head, "(?,?)", "")
});

/// FTS5 takes the words again to remove them. It must not remove what it does not have: the table
/// that it keeps beside its index has one row for each message.
const REMOVE_WORDS: &str = "
    INSERT INTO archive_search (archive_search, rowid, words)
    SELECT 'delete', id, ?2 FROM archive_search_docsize WHERE id = ?1";

impl WordTable for Sqlite {
    const READ_TEXTS: &'static str = READ_TEXTS;
    const CLEAR_INDEX: &'static str = CLEAR_INDEX;

    fn words_of(text: &str, slice: TimeSlice) -> Option<String> {
        let tokens = tokens(text);
        Some(if tokens.is_empty() {
            tokens
        } else {
            format!("{slice} {tokens}")
        })
    }

    async fn add_to_index(
        connection: &mut SqliteConnection,
        entries: &[IndexEntry],
    ) -> DriverResult<()> {
        for (text, entries) in ADD_WORDS.batches(entries) {
            let args: Vec<Arg<'_>> = entries.iter().flat_map(entry_args).collect();
            Self::execute(&mut *connection, text, &args).await?;
        }
        Ok(())
    }

    async fn remove_from_index(
        connection: &mut SqliteConnection,
        entries: &[IndexEntry],
    ) -> DriverResult<()> {
        for entry in entries {
            Self::execute(&mut *connection, REMOVE_WORDS, &entry_args(entry)).await?;
        }
        Ok(())
    }
}

fn entry_args(entry: &IndexEntry) -> [Arg<'_>; 2] {
    [entry.id.into(), entry.words.as_deref().into()]
}
