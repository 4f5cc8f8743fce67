//! Statements for many rows at once, as SQLite likes them: a few dozen rows to a prepared statement.

use std::sync::LazyLock;

pub(super) const LEARN: &str = "
    UPDATE message
    SET conversation_id = ?6, message_type_id = ?7, status = ?8, status_at_ms = ?9
    WHERE account_id = ?1 AND recipient_id = ?2 AND sent_at_ms = ?3 AND hash = ?4 AND occurrence = ?5";

/// A statement for many rows at once. It exists for a few numbers of rows, so that each is prepared once.
pub(super) struct Bulk {
    texts: [(usize, String); 4],
}

impl Bulk {
    fn new(head: &str, row: &str, tail: &str) -> Self {
        let text = |rows: usize| (rows, format!("{head}{}{tail}", vec![row; rows].join(",")));
        Self { texts: [250, 50, 4, 1].map(text) }
    }

    /// Cuts the rows into pieces for which there is a statement, each with its statement.
    pub(super) fn pieces<'r, R>(
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
pub(super) static NAMES: LazyLock<Bulk> =
    LazyLock::new(|| Bulk::new("SELECT id, value FROM name WHERE value IN (", "?", ")"));

/// Binds the account, then a name a row.
pub(super) static CONVERSATIONS: LazyLock<Bulk> =
    LazyLock::new(|| Bulk::new("SELECT name, id, kind FROM conversation WHERE account_id = ? AND name IN (", "?", ")"));

/// Binds milliseconds, recipient, hash, occurrence and what a row teaches: status, kind, message type; then the account.
pub(super) static FAMILIAR: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "WITH k (t, r, h, o, status, kind, type) AS (VALUES ",
        "(?,?,?,?,?,?,?)",
        ") SELECT count(*) AS there, coalesce(max(k.status > 0 AND k.status >= coalesce(m.status, 0) \
         OR k.type AND m.message_type_id IS NULL \
         OR k.kind AND (SELECT kind FROM conversation c WHERE c.id = m.conversation_id) = 0), 0) AS teachable \
         FROM k CROSS JOIN message m ON m.sent_at_ms = k.t AND m.account_id = ? AND m.recipient_id = k.r \
         AND m.hash = k.h AND m.occurrence = k.o",
    )
});

/// Binds milliseconds, recipient, hash and occurrence a row; then the account.
pub(super) static THERE: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "WITH k (t, r, h, o) AS (VALUES ",
        "(?,?,?,?)",
        ") SELECT m.recipient_id, m.sent_at_ms, m.hash, m.occurrence, m.conversation_id, m.message_type_id, m.status, \
         m.status_at_ms, c.kind = 0 AS kind_unknown \
         FROM k CROSS JOIN message m ON m.sent_at_ms = k.t AND m.account_id = ? AND m.recipient_id = k.r \
         AND m.hash = k.h AND m.occurrence = k.o CROSS JOIN conversation c ON c.id = m.conversation_id",
    )
});

/// Binds a plain message a row, in the order of the columns named here.
pub(super) static PLAIN: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO message (sent_at_ms, recipient_id, hash, account_id, conversation_id, sender_id, \
         message_type_id, archived_at_ms, payload) VALUES ",
        "(?,?,?,?,?,?,?,?,?)",
        " ON CONFLICT DO NOTHING",
    )
});

/// Binds a message a row, in the order of the columns named here.
pub(super) static MESSAGES: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO message (sent_at_ms, recipient_id, hash, account_id, conversation_id, sender_id, \
         message_type_id, archived_at_ms, payload, occurrence, encoding, is_text, status, status_at_ms, \
         payload_type_id, cipher_suite_id, provider_id, body, extra) VALUES ",
        "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
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
            let pieces: Vec<_> = NAMES.pieces(&rows[..n]).collect();
            assert_eq!(pieces.iter().flat_map(|(_, rows)| *rows).copied().collect::<Vec<_>>(), rows[..n]);
            assert!(pieces.iter().all(|(text, rows)| text.matches('?').count() == rows.len()));
        }
    }
}
