//! Statements on whole ledgers and on the quarantine.

pub(in crate::store) const INSERT_QUARANTINE: &str = "
    INSERT INTO quarantined_message (account_id, hash, stream_id, from_s, to_s, found_at_ms, reason, raw)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT DO NOTHING";

pub(in crate::store) const QUARANTINED_MESSAGES: &str = "
    SELECT q.stream_id, s.key, q.hash, q.from_s, q.to_s, q.found_at_ms, q.reason, q.raw
    FROM quarantined_message q JOIN stream s ON s.id = q.stream_id
    WHERE q.account_id = $1 AND q.hash > $2
    ORDER BY q.hash
    LIMIT $3";

pub(in crate::store) const DELETE_QUARANTINE: &str = "
    DELETE FROM quarantined_message WHERE account_id = $1 AND hash = $2";

pub(in crate::store) const HAS_QUARANTINE: &str = "
    SELECT hash FROM quarantined_message WHERE account_id = $1 LIMIT 1";

pub(in crate::store) const ID_OF_NAME: &str =
    "SELECT CAST(id AS BIGINT) AS id FROM name WHERE value = $1";

pub(in crate::store) const UPDATE_QUARANTINE_REASON: &str = "
    UPDATE quarantined_message SET reason = $3 WHERE account_id = $1 AND hash = $2";

pub(in crate::store) const ACCOUNT_OF_STREAM: &str = "SELECT account_id FROM stream WHERE id = $1";

/// Adds a digest to a row that has none and is otherwise as given.
pub(in crate::store) const ADD_DIGEST: &str = "
    UPDATE sealed_window SET digest = $5
    WHERE stream_id = $1 AND from_s = $2 AND to_s = $3 AND messages = $4 AND digest IS NULL";

pub(in crate::store) const ALL_STREAMS: &str = "
    SELECT s.id, a.name AS account, a.provider, s.key, s.sender, s.recipient, s.conversation
    FROM stream s JOIN account a ON a.id = s.account_id
    ORDER BY a.name, s.key";

pub(in crate::store) const LEDGER_ACCOUNTS: &str = "
    SELECT id, name, provider, owner, node, horizon_s, settled_s, wanted_to_s, retention_s
    FROM account
    ORDER BY name";

pub(in crate::store) const LEDGER_STREAMS: &str = "
    SELECT s.id, s.account_id, s.key, s.wanted_from_s, s.followed_at_s, s.active, s.discovered,
           s.sender, s.recipient, s.conversation, m.position, m.last_hash
    FROM stream s LEFT JOIN arrival_mark m ON m.stream_id = s.id
    ORDER BY s.account_id, s.key";

pub(in crate::store) const LEDGER_WINDOWS: &str = "
    SELECT stream_id, from_s, to_s, messages, provider_count, not_shown, doubt, doubted_at_ms,
           sealed_at_ms, digest
    FROM sealed_window
    ORDER BY stream_id, from_s";

pub(in crate::store) const LEDGER_QUARANTINE: &str = "
    SELECT stream_id, hash, from_s, to_s, found_at_ms, reason, raw
    FROM quarantined_message
    ORDER BY stream_id, found_at_ms, hash";

/// Inserts a stream as another archive has it, or updates it. `$key` is the unique key of the
/// table.
macro_rules! restore_stream {
    ($key:literal) => {
        concat!(
            "INSERT INTO stream (account_id, key, wanted_from_s, active, sender, recipient,",
            " conversation, discovered, followed_at_s)",
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (",
            $key,
            ") DO UPDATE SET wanted_from_s = excluded.wanted_from_s,",
            " followed_at_s = excluded.followed_at_s, active = excluded.active,",
            " discovered = excluded.discovered, sender = excluded.sender,",
            " recipient = excluded.recipient, conversation = excluded.conversation RETURNING id"
        )
    };
}
pub(in crate::store) use restore_stream;

pub(in crate::store) const DELETE_STREAM_LEDGER: &str = "
    DELETE FROM sealed_window WHERE stream_id = $1";

pub(in crate::store) const LATEST_ID: &str = "SELECT coalesce(id, 0) AS id FROM archive_end";

pub(in crate::store) const USED_IDS: &str = "SELECT id FROM message WHERE id BETWEEN $1 AND $2";
