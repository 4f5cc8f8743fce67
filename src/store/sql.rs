//! The statements that every database understands. What must be fast is in each database's own folder.

mod reports;

pub(super) use reports::{
    ACCOUNT_SUMMARIES, LEDGER_DAYS, MISSING_RANGES, RECENT_PASSES, RECENT_TOTALS,
    RUN_ENDS_OF_ACTIVE_STREAMS, RUN_ENDS_OF_STREAM, STATUS, THROUGHPUT,
};

use super::dialect::PerAccessPath;

pub(super) const REGISTER_ACCOUNT: &str = "
    INSERT INTO account (name, provider) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET provider = excluded.provider
    RETURNING id, paused_until_ms, paused_reason, settle_override_s";

pub(super) const DEACTIVATE_STREAMS: &str = "UPDATE stream SET active = 0 WHERE account_id = $1";

/// Writes streams down as active. `new` is how the database reads them as a table out of the JSON in `$4`.
macro_rules! follow {
    ($new:literal) => {
        concat!(
            "INSERT INTO stream (account_id, key, wanted_from_s, discovered, sender, recipient, conversation)",
            " SELECT $1, key, $2, discovered, sender, recipient, conversation FROM ",
            $new,
            " WHERE TRUE ON CONFLICT (account_id, key) DO UPDATE",
            " SET active = 1, wanted_from_s = coalesce($3, stream.wanted_from_s), discovered = excluded.discovered,",
            " sender = excluded.sender, recipient = excluded.recipient, conversation = excluded.conversation",
            " RETURNING id, key, wanted_from_s"
        )
    };
}
pub(super) use follow;

pub(super) const DISCOVERED_STREAMS: &str = "
    SELECT key, sender, recipient, conversation FROM stream WHERE account_id = $1 AND discovered = 1 ORDER BY id";

pub(super) const CONVERSATIONS_OF_ACCOUNT: &str =
    "SELECT name, kind FROM conversation WHERE account_id = $1";

/// Who has lately spoken in a conversation of the account. Of each sender only a few messages are looked at, so that
/// one who speaks a great deal elsewhere costs no more than others.
pub(super) const SENDERS_OF_ACCOUNT: &str = "
    SELECT n.value
    FROM name n
    WHERE EXISTS (
        SELECT 1
        FROM (SELECT conversation_id FROM message WHERE sender_id = n.id ORDER BY sent_at_ms DESC LIMIT 100) m
             JOIN conversation c ON c.id = m.conversation_id
        WHERE c.account_id = $1)";

pub(super) const RECORD_DISCOVERY_ERROR: &str = "
    UPDATE account SET discovery_error = $2, discovery_hint = $3 WHERE id = $1 AND discovery_error IS DISTINCT FROM $2";

pub(super) const SEALED_WINDOWS: &str = "
    SELECT w.stream_id, w.from_s, w.to_s
    FROM sealed_window w JOIN stream s ON s.id = w.stream_id JOIN account a ON a.id = s.account_id
    WHERE s.account_id = $1 AND s.active = 1 AND (a.horizon_s IS NULL OR w.to_s > a.horizon_s)
    ORDER BY w.stream_id, w.from_s";

pub(super) const SAVE_FRONTIER: &str = "
    UPDATE account
    SET horizon_s = CASE WHEN horizon_s > $2 THEN horizon_s ELSE $2 END,
        settled_s = CASE WHEN settled_s > $3 THEN settled_s ELSE $3 END,
        wanted_to_s = CASE WHEN wanted_to_s > $4 THEN wanted_to_s ELSE $4 END,
        retention_s = $5
    WHERE id = $1";

pub(super) const RECORD_STREAM_ERROR: &str = "
    UPDATE stream SET error = $2, hint = $3, error_at_ms = $4 WHERE id = $1 AND error IS DISTINCT FROM $2";

pub(super) const INCREMENT_LEASE: &str = "
    UPDATE account SET fencing_token = fencing_token + 1, lease_holder = $2 WHERE id = $1
    RETURNING fencing_token";

pub(super) const LEASE_HOLDER: &str = "SELECT name, lease_holder FROM account WHERE id = $1";

pub(super) const SET_PAUSE: &str =
    "UPDATE account SET paused_until_ms = $2, paused_reason = $3 WHERE id = $1";

pub(super) const DELETE_OLD_RUNS: &str = "DELETE FROM run WHERE started_at_ms < $1";

pub(super) const BEGIN_RUN: &str =
    "INSERT INTO run (account_id, purpose, started_at_ms) VALUES ($1, $2, $3) RETURNING id";

pub(super) const END_RUN: &str = "
    UPDATE run
    SET finished_at_ms = $2, requests = $3, new = $4, changed = $5, windows = $6, errors = $7, last_error = $8,
        lag_s = $9
    WHERE id = $1";

/// What passes of some length have spent since a moment, and when the last of all began or ended. Binds that moment and
/// that length, in ms.
pub(super) const REQUEST_RATES: &str = "
    SELECT a.name AS account, CAST(coalesce(sum(r.requests), 0) AS BIGINT) AS requests,
           CAST(coalesce(sum(r.finished_at_ms - r.started_at_ms), 0) AS BIGINT) AS busy_ms,
           (SELECT max(coalesce(finished_at_ms, started_at_ms)) FROM run WHERE account_id = a.id) AS last_ms
    FROM account a
         LEFT JOIN run r ON r.account_id = a.id AND r.started_at_ms >= $1 AND r.finished_at_ms - r.started_at_ms >= $2
    GROUP BY a.id, a.name
    ORDER BY a.name";

/// Rows do not overlap: the first that has a part in the window is the last that begins at its start or before.
pub(super) const LEDGER_ROWS_IN_WINDOW: &str = "
    SELECT stream_id, from_s, to_s, messages, provider_count, doubt, doubted_at_ms, sealed_at_ms, digest
    FROM sealed_window
    WHERE stream_id = $1 AND from_s < $3 AND to_s > $2
      AND from_s >= coalesce((SELECT max(from_s) FROM sealed_window WHERE stream_id = $1 AND from_s <= $2), $2)
    ORDER BY from_s
    LIMIT $4";

pub(super) const DELETE_LEDGER_ROWS: &str =
    "DELETE FROM sealed_window WHERE stream_id = $1 AND from_s >= $2 AND to_s <= $3";

pub(super) const INSERT_LEDGER_ROW: &str = "
    INSERT INTO sealed_window (stream_id, from_s, to_s, messages, provider_count, doubt, sealed_at_ms, digest,
                               doubted_at_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

pub(super) const EXTEND_LEDGER_ROW: &str = "
    UPDATE sealed_window
    SET to_s = $3, messages = $4, provider_count = $5, sealed_at_ms = $6, digest = $7
    WHERE stream_id = $1 AND from_s = $2";

/// How far the provider's memory reaches, where it forgets.
pub(super) const RETENTION_SPAN: &str =
    "SELECT settled_s - horizon_s AS reach FROM account WHERE id = $1";

/// How many messages there may be in a stream's window: no fewer than there are. Read from an index alone.
pub(super) const COUNT_BY_CONVERSATION: &str = "
    SELECT count(*) AS there
    FROM message
    WHERE conversation_id = (SELECT id FROM conversation WHERE account_id = $4 AND name = $3)
      AND sent_at_ms >= $1 AND sent_at_ms < $2";

/// See [`COUNT_BY_CONVERSATION`].
pub(super) const COUNT_BY_SENDER: &str = "
    SELECT count(*) AS there
    FROM message
    WHERE sender_id = (SELECT id FROM name WHERE value = $3) AND sent_at_ms >= $1 AND sent_at_ms < $2";

/// The messages of a stream's window, by whichever index leads to them. `hash` says how the database answers with the
/// bytes of one.
macro_rules! links {
    ($hash:literal, $path:literal) => {
        concat!(
            "SELECT m.sent_at_ms, ",
            $hash,
            " AS hash, CAST(coalesce(m.occurrence, 0) AS BIGINT) AS occurrence",
            " FROM message m JOIN conversation c ON c.id = m.conversation_id WHERE ",
            $path,
            " AND m.sent_at_ms >= $1 AND m.sent_at_ms < $2 AND c.account_id = $3",
            " AND ($4 IS NULL OR m.sender_id + 0 = (SELECT id FROM name WHERE value = $4))",
            " AND ($5 IS NULL OR m.recipient_id + 0 = (SELECT id FROM name WHERE value = $5))",
            " AND ($6 IS NULL OR m.conversation_id + 0 = ",
            "(SELECT id FROM conversation WHERE account_id = $3 AND name = $6))",
            " ORDER BY m.sent_at_ms, m.hash, coalesce(m.occurrence, 0)"
        )
    };
    ($hash:literal) => {
        $crate::store::dialect::PerAccessPath {
            by_conversation: $crate::store::sql::links!(
                $hash,
                "m.conversation_id = (SELECT id FROM conversation WHERE account_id = $3 AND name = $6)"
            ),
            by_sender: $crate::store::sql::links!($hash, "m.sender_id = (SELECT id FROM name WHERE value = $4)"),
            by_recipient: $crate::store::sql::links!($hash, "m.recipient_id = (SELECT id FROM name WHERE value = $5)"),
        }
    };
}
pub(super) use links;

pub(super) const INSERT_NAME: &str =
    "INSERT INTO name (value) VALUES ($1) ON CONFLICT (value) DO NOTHING";

pub(super) const UPSERT_CONVERSATION: &str = "
    INSERT INTO conversation (account_id, name, kind) VALUES ($1, $2, $3)
    ON CONFLICT (account_id, name) DO UPDATE SET kind = excluded.kind WHERE conversation.kind = 0";

pub(super) const INSERT_QUARANTINE: &str = "
    INSERT INTO quarantine (account_id, hash, stream_id, from_s, to_s, found_at_ms, reason, raw)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT DO NOTHING";

pub(super) const DELETE_MESSAGE: &str = "
    DELETE FROM message
    WHERE recipient_id = $1 AND sent_at_ms = $2 AND slot = $3";

pub(super) const MOVE_TO_SLOT: &str = "
    UPDATE message SET slot = $4 WHERE recipient_id = $1 AND sent_at_ms = $2 AND slot = $3";

pub(super) const ACCOUNT_OF_STREAM: &str = "SELECT account_id FROM stream WHERE id = $1";

pub(super) const ADD_DIGEST: &str = "
    UPDATE sealed_window SET digest = $5
    WHERE stream_id = $1 AND from_s = $2 AND to_s = $3 AND messages = $4 AND digest IS NULL";

pub(super) const ALL_STREAMS: &str = "
    SELECT s.id, a.name AS account, a.provider, s.key, s.sender, s.recipient, s.conversation
    FROM stream s JOIN account a ON a.id = s.account_id
    ORDER BY a.name, s.key";

pub(super) const LEDGER_ACCOUNTS: &str = "
    SELECT id, name, provider, horizon_s, settled_s, wanted_to_s, retention_s FROM account ORDER BY name";

pub(super) const LEDGER_STREAMS: &str = "
    SELECT id, account_id, key, wanted_from_s, active, discovered, sender, recipient, conversation
    FROM stream
    ORDER BY account_id, key";

pub(super) const LEDGER_WINDOWS: &str = "
    SELECT stream_id, from_s, to_s, messages, provider_count, doubt, doubted_at_ms, sealed_at_ms, digest
    FROM sealed_window
    ORDER BY stream_id, from_s";

pub(super) const LEDGER_QUARANTINE: &str = "
    SELECT stream_id, from_s, to_s, found_at_ms, reason, raw FROM quarantine ORDER BY stream_id, found_at_ms, hash";

pub(super) const RESTORE_STREAM: &str = "
    INSERT INTO stream (account_id, key, wanted_from_s, active, sender, recipient, conversation, discovered)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (account_id, key) DO UPDATE
    SET wanted_from_s = excluded.wanted_from_s, active = excluded.active, discovered = excluded.discovered,
        sender = excluded.sender, recipient = excluded.recipient, conversation = excluded.conversation
    RETURNING id";

pub(super) const DELETE_STREAM_LEDGER: &str = "DELETE FROM sealed_window WHERE stream_id = $1";

pub(super) const DOUBTED_ROWS: &str = "
    SELECT w.stream_id, w.from_s, w.to_s, w.messages, w.provider_count, w.doubt, w.doubted_at_ms, w.sealed_at_ms, w.digest
    FROM sealed_window w JOIN stream s ON s.id = w.stream_id
    WHERE s.account_id = $1 AND s.active = 1 AND w.doubt IS NOT NULL
    ORDER BY w.stream_id, w.from_s";

/// By the minute, the newest first.
pub(super) const UNREAD_MESSAGES: &str = "
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

pub(super) const ADD_STRAGGLERS: &str = "
    UPDATE account SET straggler_count = straggler_count + $2 WHERE id = $1 RETURNING straggler_count";

pub(super) const SET_SETTLE_OVERRIDE: &str =
    "UPDATE account SET settle_override_s = $2, straggler_count = 0 WHERE id = $1";

pub(super) const QUARANTINED_MESSAGES: &str = "
    SELECT q.stream_id, s.key, q.hash, q.from_s, q.to_s, q.found_at_ms, q.reason, q.raw
    FROM quarantine q JOIN stream s ON s.id = q.stream_id
    WHERE q.account_id = $1 AND q.hash > $2
    ORDER BY q.hash
    LIMIT $3";

pub(super) const DELETE_QUARANTINE: &str =
    "DELETE FROM quarantine WHERE account_id = $1 AND hash = $2";

pub(super) const UPDATE_QUARANTINE_REASON: &str =
    "UPDATE quarantine SET reason = $3 WHERE account_id = $1 AND hash = $2";

/// Besides what stands and what is over since a moment, what the webhook has not been told all of, and the harm that is
/// done for good.
pub(super) const ALARMS: &str = "
    SELECT account, stream, kind, since_ms, until_ms, text, hint, level, notified
    FROM alarm
    WHERE until_ms IS NULL OR until_ms >= $1 OR notified < 2 OR level IS NOT NULL
    ORDER BY since_ms, account, stream, kind";

pub(super) const UPSERT_ALARM: &str = "
    INSERT INTO alarm (account, stream, kind, since_ms, until_ms, text, hint, level, notified)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (account, stream, kind, since_ms) DO UPDATE
    SET until_ms = excluded.until_ms, text = excluded.text, hint = excluded.hint, level = excluded.level,
        notified = CASE WHEN alarm.notified > excluded.notified THEN alarm.notified ELSE excluded.notified END";

/// How far harm had come is remembered for as long as no later alarm says that it has come further.
pub(super) const DELETE_OLD_ALARMS: &str = "
    DELETE FROM alarm
    WHERE until_ms < $1
      AND (level IS NULL
           OR EXISTS (SELECT 1 FROM alarm later
                      WHERE later.account = alarm.account AND later.stream = alarm.stream
                        AND later.kind = alarm.kind AND later.since_ms > alarm.since_ms))";

/// The hours in which messages of a stream were sent: after one, the first message behind its end tells the next. `$1` is
/// the hour before the first that is asked for, `$2` an end in ms.
macro_rules! active_hours {
    ($path:literal) => {
        concat!(
            "WITH RECURSIVE active (hour) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT (",
            "SELECT m.sent_at_ms / 3600000 FROM message m JOIN conversation c ON c.id = m.conversation_id WHERE ",
            $path,
            " AND m.sent_at_ms >= (active.hour + 1) * 3600000 AND m.sent_at_ms < $2",
            " AND c.account_id = (SELECT id FROM account WHERE name = $3)",
            " AND ($4 IS NULL OR m.sender_id + 0 = (SELECT id FROM name WHERE value = $4))",
            " AND ($5 IS NULL OR m.recipient_id + 0 = (SELECT id FROM name WHERE value = $5))",
            " AND ($6 IS NULL OR c.name = $6)",
            " ORDER BY m.sent_at_ms LIMIT 1) FROM active WHERE active.hour IS NOT NULL)",
            " SELECT hour FROM active WHERE hour > $1 ORDER BY hour"
        )
    };
}

pub(super) const ACTIVE_HOURS: PerAccessPath = PerAccessPath {
    by_conversation: active_hours!(
        "m.conversation_id = (SELECT c.id FROM conversation c JOIN account a ON a.id = c.account_id \
         WHERE a.name = $3 AND c.name = $6)"
    ),
    by_sender: active_hours!("m.sender_id = (SELECT id FROM name WHERE value = $4)"),
    by_recipient: active_hours!("m.recipient_id = (SELECT id FROM name WHERE value = $5)"),
};
