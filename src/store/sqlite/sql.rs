//! Every statement that is put to SQLite.

use std::sync::LazyLock;

pub(super) const REGISTER_ACCOUNT: &str = "
    INSERT INTO account (name, provider) VALUES (?1, ?2)
    ON CONFLICT (name) DO UPDATE SET provider = excluded.provider
    RETURNING id, paused_until_ms, paused_reason";

pub(super) const DEACTIVATE_STREAMS: &str = "UPDATE stream SET active = 0 WHERE account_id = ?1";

pub(super) const REGISTER_STREAM: &str = "
    INSERT INTO stream (account_id, key, wanted_from_s) VALUES (?1, ?2, ?3)
    ON CONFLICT (account_id, key) DO UPDATE SET active = 1, wanted_from_s = coalesce(?4, wanted_from_s)
    RETURNING id, wanted_from_s";

pub(super) const SEALED: &str = "
    SELECT w.stream_id, w.from_s, w.to_s
    FROM sealed_window w JOIN stream s ON s.id = w.stream_id
    WHERE s.account_id = ?1 AND s.active
    ORDER BY w.stream_id, w.from_s";

pub(super) const ALL_SEALED: &str = "
    SELECT w.stream_id, w.from_s, w.to_s
    FROM sealed_window w JOIN stream s ON s.id = w.stream_id
    WHERE s.active
    ORDER BY w.stream_id, w.from_s";

pub(super) const STANDS: &str = "
    UPDATE account
    SET horizon_s = max(coalesce(horizon_s, ?2), ?2), settled_s = max(settled_s, ?3), wanted_to_s = max(wanted_to_s, ?4)
    WHERE id = ?1";

pub(super) const TROUBLE: &str = "
    UPDATE stream SET error = ?2, hint = ?3, error_at_ms = ?4 WHERE id = ?1 AND error IS NOT ?2";

pub(super) const PAUSE: &str = "UPDATE account SET paused_until_ms = ?2, paused_reason = ?3 WHERE id = ?1";

pub(super) const FORGET_RUNS: &str = "DELETE FROM run WHERE started_at_ms < ?1";

pub(super) const BEGIN_RUN: &str = "INSERT INTO run (account_id, why, started_at_ms) VALUES (?1, ?2, ?3) RETURNING id";

pub(super) const END_RUN: &str = "
    UPDATE run
    SET finished_at_ms = ?2, requests = ?3, new = ?4, changed = ?5, windows = ?6, errors = ?7, last_error = ?8
    WHERE id = ?1";

pub(super) const STATUS: &str = "
    SELECT s.id, a.name AS account, a.provider, s.key, s.wanted_from_s, a.settled_s, a.wanted_to_s, a.horizon_s,
           s.error, s.hint, a.paused_until_ms, a.paused_reason,
           (SELECT coalesce(sum(messages), 0) FROM sealed_window w WHERE w.stream_id = s.id) AS messages,
           (SELECT count(*) FROM sealed_window w WHERE w.stream_id = s.id AND doubt IS NOT NULL) AS suspect,
           (SELECT count(*) FROM quarantine q WHERE q.stream_id = s.id) AS quarantined
    FROM stream s JOIN account a ON a.id = s.account_id
    WHERE s.active
    ORDER BY a.name, s.key";

/// The window before, or around, the start of a new one.
pub(super) const NEIGHBOUR: &str = "
    SELECT from_s, to_s, messages, provider_count, doubt
    FROM sealed_window
    WHERE stream_id = ?1 AND from_s < ?2
    ORDER BY from_s DESC
    LIMIT 1";

pub(super) const SEAL: &str = "
    INSERT INTO sealed_window (stream_id, from_s, to_s, messages, provider_count, doubt, sealed_at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

pub(super) const SEAL_ON: &str = "
    UPDATE sealed_window
    SET to_s = ?3, messages = messages + ?4, provider_count = provider_count + ?5, sealed_at_ms = ?6
    WHERE stream_id = ?1 AND from_s = ?2";

pub(super) const NEW_NAME: &str = "INSERT INTO name (value) VALUES (?1) RETURNING id";

pub(super) const NEW_CONVERSATION: &str =
    "INSERT INTO conversation (account_id, name, kind) VALUES (?1, ?2, ?3) RETURNING id";

pub(super) const KNOW_CONVERSATION: &str = "UPDATE conversation SET kind = ?2 WHERE id = ?1 AND kind = 0";

pub(super) const LEARN: &str = "
    UPDATE message
    SET conversation_id = ?6, message_type_id = ?7, status = ?8, status_at_ms = ?9
    WHERE account_id = ?1 AND recipient_id = ?2 AND sent_at_ms = ?3 AND hash = ?4 AND occurrence = ?5";

pub(super) const QUARANTINE: &str = "
    INSERT INTO quarantine (account_id, hash, stream_id, from_s, to_s, found_at_ms, reason, raw)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT DO NOTHING";

/// A statement for many rows at once. It exists for a few numbers of rows, so that each is prepared once.
pub(super) struct Bulk {
    texts: [(usize, String); 4],
}

impl Bulk {
    fn new(head: &str, row: &str, tail: &str) -> Self {
        let text = |rows: usize| (rows, format!("{head}{}{tail}", vec![row; rows].join(",")));
        Self { texts: [256, 64, 8, 1].map(text) }
    }

    /// Cuts the rows into pieces for which there is a statement, each with its statement.
    pub(super) fn pieces<'s, 'r, R>(&'s self, mut rows: &'r [R]) -> impl Iterator<Item = (&'s str, &'r [R])> {
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

/// Binds account and name a row.
pub(super) static CONVERSATIONS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "SELECT c.account_id, c.name, c.id, c.kind FROM (SELECT column1 AS a, column2 AS n FROM (VALUES ",
        "(?,?)",
        ")) AS k CROSS JOIN conversation c ON c.account_id = k.a AND c.name = k.n",
    )
});

/// Binds the identity a row: account, recipient, millisecond, hash, occurrence.
pub(super) static THERE: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "SELECT m.recipient_id, m.sent_at_ms, m.hash, m.occurrence, m.conversation_id, m.message_type_id, m.status, \
         m.status_at_ms, c.kind = 0 AS kind_unknown \
         FROM (SELECT column1 AS a, column2 AS r, column3 AS t, column4 AS h, column5 AS o FROM (VALUES ",
        "(?,?,?,?,?)",
        ")) AS k CROSS JOIN message m ON m.account_id = k.a AND m.recipient_id = k.r AND m.sent_at_ms = k.t \
         AND m.hash = k.h AND m.occurrence = k.o CROSS JOIN conversation c ON c.id = m.conversation_id",
    )
});

/// Binds a message a row, in the order of the columns named here.
pub(super) static MESSAGES: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO message (account_id, recipient_id, sent_at_ms, hash, occurrence, conversation_id, sender_id, \
         encoding, is_text, status, status_at_ms, message_type_id, payload_type_id, cipher_suite_id, archived_at_ms, \
         provider_id, payload, body, extra) VALUES ",
        "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        "",
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_rows() {
        let rows: Vec<usize> = (0..1000).collect();
        for n in [0, 1, 7, 8, 255, 256, 1000] {
            let pieces: Vec<_> = NAMES.pieces(&rows[..n]).collect();
            assert_eq!(pieces.iter().flat_map(|(_, rows)| *rows).copied().collect::<Vec<_>>(), rows[..n]);
            assert!(pieces.iter().all(|(text, rows)| text.matches('?').count() == rows.len()));
        }
    }
}
