//! Statements on ledger rows and unread messages.

/// Returns the ledger rows of an account's active streams within the provider's retention.
pub(in crate::store) const SEALED_WINDOWS: &str = "
    SELECT w.stream_id, w.from_s, w.to_s
    FROM sealed_window w
         JOIN stream s ON s.id = w.stream_id
         JOIN account a ON a.id = s.account_id
    WHERE s.account_id = $1 AND s.active = 1 AND (a.horizon_s IS NULL OR w.to_s > a.horizon_s)
    ORDER BY w.stream_id, w.from_s";

/// Returns the ledger rows that overlap a window. Rows do not overlap each other, so the first of
/// them is the last row that begins at the window's start or before. `$lock` is the clause with
/// which the database keeps the rows from being changed until the transaction ends.
macro_rules! ledger_rows_in_window {
    ($lock:literal) => {
        concat!(
            "SELECT stream_id, from_s, to_s, messages, provider_count, not_shown, doubt,",
            " doubted_at_ms, sealed_at_ms, digest",
            " FROM sealed_window",
            " WHERE stream_id = $1 AND from_s < $3 AND to_s > $2",
            " AND from_s >= coalesce((SELECT max(from_s) FROM sealed_window",
            " WHERE stream_id = $1 AND from_s <= $2), $2)",
            " ORDER BY from_s LIMIT $4",
            $lock
        )
    };
}
pub(in crate::store) use ledger_rows_in_window;

/// See [`ledger_rows_in_window`]. Locks nothing.
pub(in crate::store) const LEDGER_ROWS_IN_WINDOW: &str = ledger_rows_in_window!("");

pub(in crate::store) const DELETE_LEDGER_ROWS: &str = "
    DELETE FROM sealed_window WHERE stream_id = $1 AND from_s >= $2 AND to_s <= $3";

pub(in crate::store) const DELETE_LEDGER_ROWS_AFTER: &str = "
    DELETE FROM sealed_window
    WHERE to_s > $2 AND stream_id IN (SELECT id FROM stream WHERE account_id = $1)";

pub(in crate::store) const INSERT_LEDGER_ROW: &str = "
    INSERT INTO sealed_window (stream_id, from_s, to_s, messages, provider_count, doubt,
                               sealed_at_ms, digest, doubted_at_ms, not_shown)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

pub(in crate::store) const EXTEND_LEDGER_ROW: &str = "
    UPDATE sealed_window
    SET to_s = $3, messages = $4, provider_count = $5, sealed_at_ms = $6, digest = $7,
        not_shown = $8
    WHERE stream_id = $1 AND from_s = $2";

/// Replaces the count and the digest of a ledger row.
pub(in crate::store) const ADJUST_LEDGER_ROW: &str = "
    UPDATE sealed_window SET messages = $3, digest = $4, not_shown = $5
    WHERE stream_id = $1 AND from_s = $2";

/// Returns the length of the history that the provider shows. NULL if it has no horizon.
pub(in crate::store) const RETENTION_SPAN: &str = "
    SELECT settled_s - horizon_s AS span_s FROM account WHERE id = $1";

pub(in crate::store) const DOUBTED_ROWS: &str = "
    SELECT w.stream_id, w.from_s, w.to_s, w.messages, w.provider_count, w.not_shown, w.doubt,
           w.doubted_at_ms, w.sealed_at_ms, w.digest
    FROM sealed_window w JOIN stream s ON s.id = w.stream_id
    WHERE s.account_id = $1 AND s.active = 1 AND w.doubt IS NOT NULL
    ORDER BY w.stream_id, w.from_s";

/// Returns messages that are known to be unread, grouped by the minute, the newest first.
pub(in crate::store) const UNREAD_MESSAGES: &str = "
    SELECT s.value AS sender, r.value AS recipient, c.name AS conversation,
           min(m.sent_at_ms) AS first_ms, max(m.sent_at_ms) AS last_ms
    FROM message m
         JOIN conversation c ON c.id = m.conversation_id
         JOIN name s ON s.id = m.sender_id
         JOIN name r ON r.id = m.recipient_id
    WHERE c.account_id = $1 AND m.status < 3 AND m.sent_at_ms >= $2
    GROUP BY s.value, r.value, c.name, m.sent_at_ms / 60000
    ORDER BY last_ms DESC
    LIMIT $3";
