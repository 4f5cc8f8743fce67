//! The statements of SQLite. Bulk statements exist for a few numbers of rows, because a prepared
//! statement for a few dozen rows is the fastest.

use std::sync::LazyLock;

use crate::store::dialect::InsertMode;
use crate::store::model::SelectedStatements;
use crate::store::sql::{
    reserve_block, restore_stream, selected_statements, upsert_alarm, upsert_conversation,
    upsert_streams,
};

pub(super) const UPDATE_MESSAGE: &str = "
    UPDATE message
    SET conversation_id = ?4, message_type_id = ?5, status = ?6, status_at_ms = ?7
    WHERE recipient_id = ?1 AND sent_at_ms = ?2 AND slot = ?3";

pub(super) const MESSAGES_OF_MILLISECOND: &str = "
    SELECT coalesce(c.account_id, 0) AS account_id, m.recipient_id, m.sent_at_ms, m.slot, m.hash,
           m.occurrence, m.conversation_id, m.message_type_id, m.status, m.status_at_ms,
           coalesce(c.kind, 0) = 0 AS kind_unknown
    FROM message m LEFT JOIN conversation c ON c.id = m.conversation_id
    WHERE m.recipient_id = ?1 AND m.sent_at_ms = ?2";

/// The columns of a message `m` that `decode::message_record` decodes.
macro_rules! message_columns {
    () => {
        "m.id, m.conversation_id, m.sender_id, m.recipient_id, m.sent_at_ms, m.hash, m.occurrence,
         m.encoding, m.is_text, m.body, m.payload, m.message_type_id, m.payload_type_id,
         m.cipher_suite_id, m.status, m.status_at_ms, m.provider_id, m.archived_at_s, m.extra, m.slot"
    };
}

/// See [`MessagePages::read_page`](crate::store::message_reader::MessagePages::read_page).
pub(super) const READ_MESSAGES: &str = concat!(
    "SELECT ",
    message_columns!(),
    "
    FROM message m
    WHERE m.sent_at_ms >= ?1 AND m.sent_at_ms < ?2
      AND (m.sent_at_ms, m.hash, m.occurrence, m.recipient_id, m.slot) > (?1, ?3, ?4, ?5, ?6)
    ORDER BY m.sent_at_ms, m.hash, m.occurrence, m.recipient_id, m.slot
    LIMIT ?7"
);

/// The statements of a snapshot.
pub(super) const SELECTED: SelectedStatements = selected_statements!(
    message_columns!(),
    "ORDER BY m.sent_at_ms, m.id",
    "m.conversation_id = $6"
);

pub(super) const NAME_BY_ID: &str = "SELECT id, value FROM name WHERE id = ?1";

pub(super) const CONVERSATION_BY_ID: &str = "
    SELECT c.id, a.name AS account, a.provider, c.name, c.kind, c.account_id
    FROM conversation c JOIN account a ON a.id = c.account_id
    WHERE c.id = ?1";

pub(super) const COUNT_BY_RECIPIENT: &str = "
    SELECT count(*) AS messages
    FROM message
    WHERE recipient_id = (SELECT id FROM name WHERE value = ?3)
      AND sent_at_ms >= ?1 AND sent_at_ms < ?2 AND ?4 IS NOT NULL";

/// See [`Dialect::RELEASE_ARCHIVED`](crate::store::dialect::Dialect::RELEASE_ARCHIVED).
pub(super) const RELEASE_ARCHIVED: &str = "
    DELETE FROM quarantined_message
    WHERE account_id = ?1 AND hash IN (SELECT unhex(value) FROM json_each(?2))";

/// See [`Dialect::AFFECTED_ROWS`](crate::store::dialect::Dialect::AFFECTED_ROWS). One probe for
/// each name, in the index of the part by which streams are looked up; then one for each stream.
/// `CROSS JOIN` fixes the order of the joins.
pub(super) const AFFECTED_ROWS: &str = "
    WITH candidate AS (
        SELECT s.id, s.sender, s.recipient, s.conversation
        FROM json_each(?2) k CROSS JOIN stream s
             ON s.account_id = ?1 AND s.conversation = k.value
        UNION ALL
        SELECT s.id, s.sender, s.recipient, s.conversation
        FROM json_each(?3) k CROSS JOIN stream s
             ON s.account_id = ?1 AND s.recipient = k.value AND s.conversation IS NULL
        UNION ALL
        SELECT s.id, s.sender, s.recipient, s.conversation
        FROM json_each(?4) k CROSS JOIN stream s
             ON s.account_id = ?1 AND s.sender = k.value AND s.recipient IS NULL
                AND s.conversation IS NULL)
    SELECT w.stream_id, w.from_s, w.to_s, c.sender, c.recipient, c.conversation
    FROM candidate c CROSS JOIN sealed_window w
         ON w.stream_id = c.id AND w.from_s <= ?6 AND w.to_s > ?5
            AND w.from_s >= coalesce((SELECT max(p.from_s) FROM sealed_window p
                                      WHERE p.stream_id = c.id AND p.from_s <= ?5), ?5)
    ORDER BY w.stream_id, w.from_s";

/// See [`Dialect::UPSERT_STREAMS`](crate::store::dialect::Dialect::UPSERT_STREAMS).
pub(super) const UPSERT_STREAMS: &str = upsert_streams!(
    "(SELECT value ->> 'key' AS key, value ->> 'discovered' AS discovered,
             value ->> 'sender' AS sender, value ->> 'recipient' AS recipient,
             value ->> 'conversation' AS conversation
      FROM json_each($4)) AS new",
    "account_id, key"
);

/// See [`Dialect::RESTORE_STREAM`](crate::store::dialect::Dialect::RESTORE_STREAM).
pub(super) const RESTORE_STREAM: &str = restore_stream!("account_id, key");

/// See [`Dialect::UPSERT_CONVERSATION`](crate::store::dialect::Dialect::UPSERT_CONVERSATION).
pub(super) const UPSERT_CONVERSATION: &str = upsert_conversation!("account_id, name");

/// See [`Dialect::UPSERT_ALARM`](crate::store::dialect::Dialect::UPSERT_ALARM).
pub(super) const UPSERT_ALARM: &str = upsert_alarm!("account, stream, kind, since_ms");

/// See [`Dialect::RESERVE_BLOCK`](crate::store::dialect::Dialect::RESERVE_BLOCK).
pub(super) const RESERVE_BLOCK: &str = reserve_block!("max", "min", "$6");

pub(super) const ARCHIVE_SIZE: &str = "
    SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size";

pub(super) const EMPTY_LOG: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// A statement for many rows. It exists for four numbers of rows, each prepared once.
pub(super) struct BatchStatement {
    texts: [(usize, String); 4],
}

impl BatchStatement {
    /// The statement is `head`, a list of `row`s, and `tail`.
    pub(super) fn new(head: &str, row: &str, tail: &str) -> Self {
        let text = |rows: usize| {
            let list = vec![row; rows].join(",");
            (rows, format!("{head}{list}{tail}"))
        };
        Self {
            texts: [250, 50, 4, 1].map(text),
        }
    }

    /// Splits the rows into batches for which a statement exists, each with its statement.
    pub(super) fn batches<'r, R>(
        &'static self,
        mut rows: &'r [R],
    ) -> impl Iterator<Item = (&'static str, &'r [R])> + use<'r, R> {
        std::iter::from_fn(move || {
            let (size, text) = self.texts.iter().find(|(size, _)| *size <= rows.len())?;
            let (batch, rest) = rows.split_at(*size);
            rows = rest;
            Some((text.as_str(), batch))
        })
    }
}

/// Binds one name per row.
pub(super) static NAMES: LazyLock<BatchStatement> =
    LazyLock::new(|| BatchStatement::new("SELECT id, value FROM name WHERE value IN (", "?", ")"));

/// Binds the account, then one name per row.
pub(super) static CONVERSATIONS: LazyLock<BatchStatement> = LazyLock::new(|| {
    let head = "SELECT name, id, kind FROM conversation WHERE account_id = ? AND name IN (";
    BatchStatement::new(head, "?", ")")
});

/// The number of values per row of [`COUNT_EXISTING`].
pub(super) const COUNT_EXISTING_WIDTH: usize = 9;

/// Binds per row: milliseconds, recipient, slot, hash, occurrence, conversation, and the values
/// that may advance it: status, its time, and whether the message type is known.
pub(super) static COUNT_EXISTING: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "WITH k (sent_at_ms, recipient, slot, hash, occurrence, conversation, status, status_at, \
         has_type) AS (VALUES ",
        "(?,?,?,?,?,?,?,?,?)",
        ") SELECT count(*) AS existing, \
         coalesce(max((k.status, k.status_at) > \
         (coalesce(m.status, 0), coalesce(m.status_at_ms, -9223372036854775807)) \
         OR k.has_type AND m.message_type_id IS NULL), 0) AS may_update \
         FROM k CROSS JOIN message m ON m.recipient_id = k.recipient \
         AND m.sent_at_ms = k.sent_at_ms AND m.slot = k.slot AND m.hash = k.hash \
         AND m.occurrence = k.occurrence AND m.conversation_id = k.conversation",
    )
});

/// The number of values per row of [`LOAD_EXISTING`].
pub(super) const LOAD_EXISTING_WIDTH: usize = 5;

/// Binds milliseconds, recipient, slot, hash and occurrence per row, then the account.
pub(super) static LOAD_EXISTING: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "WITH k (sent_at_ms, recipient, slot, hash, occurrence) AS (VALUES ",
        "(?,?,?,?,?)",
        ") SELECT m.recipient_id, m.sent_at_ms, m.slot, m.hash, m.occurrence, m.conversation_id, \
         m.message_type_id, m.status, m.status_at_ms, c.kind = 0 AS kind_unknown \
         FROM k CROSS JOIN message m ON m.recipient_id = k.recipient \
         AND m.sent_at_ms = k.sent_at_ms AND m.slot = k.slot AND m.hash = k.hash \
         AND m.occurrence = k.occurrence \
         CROSS JOIN conversation c ON c.id = m.conversation_id AND c.account_id = ?",
    )
});

/// A failed insert fails the transaction. Without `OR FAIL` SQLite would keep a statement journal
/// to undo the first rows if a later one fails.
const INSERT_HEAD: &str = "INSERT OR FAIL INTO message (sent_at_ms, recipient_id, slot, hash, \
    conversation_id, sender_id, message_type_id, archived_at_s, payload";

/// See [`MessageTable::RESERVE_IDS`](crate::store::dialect::MessageTable::RESERVE_IDS). Without
/// messages the table has no row: it then makes one.
pub(super) const RESERVE_IDS: &str = "
    INSERT OR REPLACE INTO sqlite_sequence (rowid, name, seq)
    SELECT max(rowid), 'message', max(coalesce(max(seq), 0), ?1)
    FROM sqlite_sequence WHERE name = 'message'";

/// A statement that inserts messages, once for each [`InsertMode`].
pub(super) struct InsertStatement {
    expect_new: BatchStatement,
    /// Returns the keys of the messages that it inserts.
    skip_existing: BatchStatement,
}

impl InsertStatement {
    fn new(head: &str, row: &str) -> Self {
        let skip_existing = " ON CONFLICT DO NOTHING \
                             RETURNING recipient_id, sent_at_ms, hash, occurrence";
        Self {
            expect_new: BatchStatement::new(head, row, ""),
            skip_existing: BatchStatement::new(head, row, skip_existing),
        }
    }

    /// Returns the statement for this mode.
    pub(super) fn for_mode(&'static self, mode: InsertMode) -> &'static BatchStatement {
        match mode {
            InsertMode::ExpectNew => &self.expect_new,
            InsertMode::SkipExisting => &self.skip_existing,
        }
    }
}

/// See [`Dialect::FIND_NUL`](crate::store::dialect::Dialect::FIND_NUL).
pub(super) const FIND_NUL: &str = "
    WITH text (place, value) AS (
        SELECT 'the name ' || id, value FROM name
        UNION ALL SELECT 'the conversation ' || id, name FROM conversation
        UNION ALL SELECT 'the provider id of the message ' || id, provider_id FROM message
        UNION ALL SELECT 'extra of the message ' || id, extra FROM message
        UNION ALL SELECT 'the account ' || id,
                         concat(name, paused_reason, error, hint, discovery_error, discovery_hint)
                  FROM account
        UNION ALL SELECT 'the stream ' || id,
                         concat(key, sender, recipient, conversation, error, hint) FROM stream
        UNION ALL SELECT 'the ledger of the stream ' || stream_id, doubt FROM sealed_window
        UNION ALL SELECT 'a message in quarantine, found at ' || found_at_ms, reason || raw
                  FROM quarantined_message
        UNION ALL SELECT 'the run ' || id, last_error FROM run
        UNION ALL SELECT 'the alarm of ' || since_ms, account || stream || text || hint FROM alarm)
    SELECT place FROM text WHERE instr(value, char(0)) > 0 LIMIT 5";

/// The number of values per row of [`INSERT_PLAIN`].
pub(super) const PLAIN_WIDTH: usize = 9;

/// Inserts messages that leave the optional columns at their defaults. Binds the columns in the
/// order of the statement.
pub(super) static INSERT_PLAIN: LazyLock<InsertStatement> = LazyLock::new(|| {
    let head = format!("{INSERT_HEAD}) VALUES ");
    InsertStatement::new(&head, "(?,?,?,?,?,?,?,?,?)")
});

/// The number of values per row of [`INSERT_FULL`].
pub(super) const FULL_WIDTH: usize = 20;

/// Inserts messages with all columns. Binds the columns in the order of the statement.
pub(super) static INSERT_FULL: LazyLock<InsertStatement> = LazyLock::new(|| {
    let optional = "occurrence, encoding, is_text, status, status_at_ms, payload_type_id, \
                    cipher_suite_id, provider_id, body, extra, id";
    let head = format!("{INSERT_HEAD}, {optional}) VALUES ");
    let row = format!("({})", vec!["?"; FULL_WIDTH].join(","));
    InsertStatement::new(&head, &row)
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_add_up_to_all_rows() {
        let rows: Vec<usize> = (0..1000).collect();
        for n in [0, 1, 3, 4, 255, 250, 1000] {
            let batches: Vec<_> = NAMES.batches(&rows[..n]).collect();
            let joined: Vec<usize> = batches
                .iter()
                .flat_map(|(_, rows)| *rows)
                .copied()
                .collect();
            assert_eq!(joined, rows[..n]);
            assert!(
                batches
                    .iter()
                    .all(|(text, rows)| text.matches('?').count() == rows.len())
            );
        }
    }
}
