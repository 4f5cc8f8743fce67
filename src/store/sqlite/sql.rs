//! Statements for many rows at once, as SQLite likes them: a few dozen rows to a prepared statement.

use std::sync::LazyLock;

use crate::store::sql::follow;

pub(super) const UPDATE_MESSAGE: &str = "
    UPDATE message
    SET conversation_id = ?4, message_type_id = ?5, status = ?6, status_at_ms = ?7
    WHERE recipient_id = ?1 AND sent_at_ms = ?2 AND slot = ?3";

pub(super) const MESSAGES_OF_MILLISECOND: &str = "
    SELECT coalesce(c.account_id, 0) AS account_id, m.recipient_id, m.sent_at_ms, m.slot, m.hash, m.occurrence,
           m.conversation_id, m.message_type_id, m.status, m.status_at_ms, coalesce(c.kind, 0) = 0 AS kind_unknown
    FROM message m LEFT JOIN conversation c ON c.id = m.conversation_id
    WHERE m.recipient_id = ?1 AND m.sent_at_ms = ?2";

/// See [`Dialect::MESSAGES`](crate::store::dialect::Dialect::MESSAGES).
pub(super) const READ_MESSAGES: &str = "
    SELECT coalesce(a.name, '') AS account, coalesce(c.name, '') AS conversation, coalesce(c.kind, 0) AS kind,
           coalesce(s.value, '') AS sender, coalesce(r.value, '') AS recipient, m.sent_at_ms, m.hash, m.occurrence,
           m.encoding, m.is_text <> 0 AS is_text, m.body, m.status, m.status_at_ms, mt.value AS message_type,
           pt.value AS payload_type, cs.value AS cipher_suite, m.archived_at_s, m.provider_id, m.payload, m.extra,
           m.recipient_id, m.slot, coalesce(c.account_id, 0) AS account_id
    FROM message m
         LEFT JOIN conversation c ON c.id = m.conversation_id
         LEFT JOIN account a ON a.id = c.account_id
         LEFT JOIN name s ON s.id = m.sender_id
         LEFT JOIN name r ON r.id = m.recipient_id
         LEFT JOIN name mt ON mt.id = m.message_type_id
         LEFT JOIN name pt ON pt.id = m.payload_type_id
         LEFT JOIN name cs ON cs.id = m.cipher_suite_id
    WHERE m.sent_at_ms >= ?1 AND m.sent_at_ms < ?2
      AND (m.sent_at_ms, m.hash, m.occurrence, m.recipient_id, m.slot) > (?1, ?3, ?4, ?5, ?6)
    ORDER BY m.sent_at_ms, m.hash, m.occurrence, m.recipient_id, m.slot
    LIMIT ?7";

pub(super) const COUNT_BY_RECIPIENT: &str = "
    SELECT CASE WHEN count(*) < ?4 THEN count(*) END AS there
    FROM (SELECT 1 FROM message WHERE recipient_id = (SELECT id FROM name WHERE value = ?3)
          AND sent_at_ms >= ?1 AND sent_at_ms < ?2 LIMIT ?4)";

/// See [`Dialect::FOLLOW`](crate::store::dialect::Dialect::FOLLOW).
pub(super) const UPSERT_STREAMS: &str = follow!(
    "(SELECT value ->> 'key' AS key, value ->> 'discovered' AS discovered, value ->> 'sender' AS sender,
             value ->> 'recipient' AS recipient, value ->> 'conversation' AS conversation
      FROM json_each($4)) AS new"
);

/// A statement for many rows at once. It exists for a few numbers of rows, so that each is prepared once.
pub(super) struct BatchStatement {
    texts: [(usize, String); 4],
}

impl BatchStatement {
    fn new(head: &str, row: &str, tail: &str) -> Self {
        let text = |rows: usize| (rows, format!("{head}{}{tail}", vec![row; rows].join(",")));
        Self {
            texts: [250, 50, 4, 1].map(text),
        }
    }

    /// Cuts the rows into pieces for which there is a statement, each with its statement.
    pub(super) fn batches<'r, R>(
        &'static self,
        mut rows: &'r [R],
    ) -> impl Iterator<Item = (&'static str, &'r [R])> + use<'r, R> {
        std::iter::from_fn(move || {
            let (size, text) = self.texts.iter().find(|(size, _)| *size <= rows.len())?;
            let (piece, rest) = rows.split_at(*size);
            rows = rest;
            Some((text.as_str(), piece))
        })
    }
}

/// Binds a name a row.
pub(super) static NAMES: LazyLock<BatchStatement> =
    LazyLock::new(|| BatchStatement::new("SELECT id, value FROM name WHERE value IN (", "?", ")"));

/// Binds the account, then a name a row.
pub(super) static CONVERSATIONS: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "SELECT name, id, kind FROM conversation WHERE account_id = ? AND name IN (",
        "?",
        ")",
    )
});

/// Binds milliseconds, recipient, slot, hash, occurrence, conversation and what a row teaches: status, since when, message
/// type.
pub(super) static COUNT_EXISTING: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "WITH k (t, r, p, h, o, c, status, since, type) AS (VALUES ",
        "(?,?,?,?,?,?,?,?,?)",
        ") SELECT count(*) AS there, coalesce(max((k.status, k.since) > \
         (coalesce(m.status, 0), coalesce(m.status_at_ms, -9223372036854775807)) \
         OR k.type AND m.message_type_id IS NULL), 0) AS teachable \
         FROM k CROSS JOIN message m ON m.recipient_id = k.r AND m.sent_at_ms = k.t AND m.slot = k.p \
         AND m.hash = k.h AND m.occurrence = k.o AND m.conversation_id = k.c",
    )
});

/// Binds milliseconds, recipient, slot, hash and occurrence a row; then the account.
pub(super) static LOAD_EXISTING: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        "WITH k (t, r, p, h, o) AS (VALUES ",
        "(?,?,?,?,?)",
        ") SELECT m.recipient_id, m.sent_at_ms, m.slot, m.hash, m.occurrence, m.conversation_id, m.message_type_id, \
         m.status, m.status_at_ms, c.kind = 0 AS kind_unknown \
         FROM k CROSS JOIN message m ON m.recipient_id = k.r AND m.sent_at_ms = k.t AND m.slot = k.p \
         AND m.hash = k.h AND m.occurrence = k.o \
         CROSS JOIN conversation c ON c.id = m.conversation_id AND c.account_id = ?",
    )
});

/// What fails, fails the transaction: without `OR FAIL` SQLite would keep a journal of every statement, to be able to
/// take back its first rows for the sake of the last.
const INSERT_HEAD: &str = "INSERT OR FAIL INTO message (sent_at_ms, recipient_id, slot, hash, conversation_id, sender_id, \
                    message_type_id, archived_at_s, payload";

/// Binds a plain message a row, in the order of the columns named here.
pub(super) static INSERT_PLAIN: LazyLock<BatchStatement> = LazyLock::new(|| {
    BatchStatement::new(
        &format!("{INSERT_HEAD}) VALUES "),
        "(?,?,?,?,?,?,?,?,?)",
        " ON CONFLICT DO NOTHING",
    )
});

/// Binds a message a row, in the order of the columns named here.
pub(super) static INSERT_FULL: LazyLock<BatchStatement> = LazyLock::new(|| {
    let rare = "occurrence, encoding, is_text, status, status_at_ms, payload_type_id, cipher_suite_id, provider_id, \
                body, extra";
    let row = "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
    BatchStatement::new(
        &format!("{INSERT_HEAD}, {rare}) VALUES "),
        row,
        " ON CONFLICT DO NOTHING",
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_rows() {
        let rows: Vec<usize> = (0..1000).collect();
        for n in [0, 1, 3, 4, 255, 250, 1000] {
            let pieces: Vec<_> = NAMES.batches(&rows[..n]).collect();
            assert_eq!(
                pieces
                    .iter()
                    .flat_map(|(_, rows)| *rows)
                    .copied()
                    .collect::<Vec<_>>(),
                rows[..n]
            );
            assert!(
                pieces
                    .iter()
                    .all(|(text, rows)| text.matches('?').count() == rows.len())
            );
        }
    }
}
