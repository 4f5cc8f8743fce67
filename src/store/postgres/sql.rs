//! Statements as only Postgres takes them: arrays in, rows out.

pub(super) const NAMES: &str = "SELECT value, id::BIGINT FROM name WHERE value = ANY ($1)";

pub(super) const CONVERSATIONS: &str =
    "SELECT name, id::BIGINT, kind FROM conversation WHERE account_id = $1 AND name = ANY ($2)";

/// How many are there, and whether one of those might learn something. Each is looked up by itself (`LIMIT 1` keeps it
/// so): in a range of time there may be any number of other streams' messages, and a planner that has no figures yet
/// might read them all.
pub(super) const FAMILIAR: &str = "
    SELECT count(*) AS there,
           coalesce(bool_or(k.status > 0 AND k.status >= coalesce(m.status, 0)
                            OR k.has_type AND m.message_type_id IS NULL
                            OR k.has_kind AND (SELECT kind FROM conversation c WHERE c.id = m.conversation_id) = 0),
                    FALSE) AS teachable
    FROM UNNEST($2::INTEGER[], $3::BIGINT[], $4::BYTEA[], $5::INTEGER[], $6::BIGINT[], $7::BOOLEAN[], $8::BOOLEAN[])
         AS k (recipient_id, sent_at_ms, hash, occurrence, status, has_kind, has_type)
         CROSS JOIN LATERAL (
             SELECT * FROM message m
             WHERE m.sent_at_ms = k.sent_at_ms AND m.account_id = $1 AND m.recipient_id = k.recipient_id
               AND m.hash = k.hash AND m.occurrence = k.occurrence
             LIMIT 1
         ) AS m";

/// See [`FAMILIAR`].
pub(super) const THERE: &str = "
    SELECT m.recipient_id::BIGINT, m.sent_at_ms, m.hash, m.occurrence::BIGINT, m.conversation_id::BIGINT,
           m.message_type_id::BIGINT, m.status::BIGINT, m.status_at_ms, c.kind = 0 AS kind_unknown
    FROM UNNEST($2::INTEGER[], $3::BIGINT[], $4::BYTEA[], $5::INTEGER[]) AS k (recipient_id, sent_at_ms, hash, occurrence)
         CROSS JOIN LATERAL (
             SELECT * FROM message m
             WHERE m.sent_at_ms = k.sent_at_ms AND m.account_id = $1 AND m.recipient_id = k.recipient_id
               AND m.hash = k.hash AND m.occurrence = k.occurrence
             LIMIT 1
         ) AS m
         JOIN conversation c ON c.id = m.conversation_id";

/// Messages that leave most columns to their defaults.
pub(super) const ADD_PLAIN: &str = "
    INSERT INTO message (account_id, archived_at_ms, recipient_id, sent_at_ms, hash, conversation_id, sender_id,
                         message_type_id, payload)
    SELECT $1, $2, k.*
    FROM UNNEST($3::INTEGER[], $4::BIGINT[], $5::BYTEA[], $6::INTEGER[], $7::INTEGER[], $8::INTEGER[], $9::BYTEA[]) AS k
    ON CONFLICT DO NOTHING";

pub(super) const ADD: &str = "
    INSERT INTO message (account_id, archived_at_ms, recipient_id, sent_at_ms, hash, conversation_id, sender_id,
                         message_type_id, payload, occurrence, encoding, is_text, status, status_at_ms,
                         payload_type_id, cipher_suite_id, provider_id, body, extra, extra_readable)
    SELECT $1, $2, k.*
    FROM UNNEST($3::INTEGER[], $4::BIGINT[], $5::BYTEA[], $6::INTEGER[], $7::INTEGER[], $8::INTEGER[], $9::BYTEA[],
                $10::INTEGER[], $11::SMALLINT[], $12::BOOLEAN[], $13::SMALLINT[], $14::BIGINT[], $15::INTEGER[],
                $16::INTEGER[], $17::TEXT[], $18::TEXT[], $19::TEXT[], $20::TEXT[]) AS k
    ON CONFLICT DO NOTHING";

pub(super) const LEARN: &str = "
    UPDATE message m
    SET conversation_id = k.conversation_id, message_type_id = k.message_type_id, status = k.status,
        status_at_ms = k.status_at_ms
    FROM UNNEST($4::INTEGER[], $5::BIGINT[], $6::BYTEA[], $7::INTEGER[], $8::INTEGER[], $9::INTEGER[], $10::SMALLINT[],
                $11::BIGINT[])
         AS k (recipient_id, sent_at_ms, hash, occurrence, conversation_id, message_type_id, status, status_at_ms)
    WHERE m.account_id = $1 AND m.recipient_id = k.recipient_id AND m.sent_at_ms = k.sent_at_ms AND m.hash = k.hash
      AND m.occurrence = k.occurrence AND m.sent_at_ms BETWEEN $2 AND $3";

/// Each answers with a statement, in which the server has quoted the role's name.
pub(super) const GRANTS: [&str; 2] = [
    "SELECT format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), $1::TEXT) AS statement",
    "SELECT format('GRANT SELECT ON archive, conversations, coverage, gaps, runs TO %I', $1::TEXT) AS statement",
];

/// A lock that the session holds until it ends, on an account of this very archive. Should the other end vanish, the
/// server is to notice within half a minute, and not after the two hours that are usual.
pub(super) const LOCK: &str = "
    SELECT pg_try_advisory_lock('account'::regclass::oid::BIGINT << 32 | $1) AS locked,
           set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
           set_config('tcp_keepalives_count', '4', false)";

/// Until the transaction ends, nobody counts it on.
pub(super) const LEASED: &str = "SELECT lease FROM account WHERE id = $1 FOR SHARE";
