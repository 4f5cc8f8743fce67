//! Statements as only Postgres takes them: arrays in, rows out.

pub(super) const NAMES: &str = "SELECT value, id::BIGINT FROM name WHERE value = ANY ($1)";

pub(super) const CONVERSATIONS: &str =
    "SELECT name, id::BIGINT, kind FROM conversation WHERE account_id = $1 AND name = ANY ($2)";

/// The bounds in time let the planner pass over the months that cannot hold any of them.
pub(super) const THERE: &str = "
    SELECT m.recipient_id::BIGINT, m.sent_at_ms, m.hash, m.occurrence::BIGINT, m.conversation_id::BIGINT,
           m.message_type_id::BIGINT, m.status::BIGINT, m.status_at_ms, c.kind = 0 AS kind_unknown
    FROM UNNEST($4::BIGINT[], $5::BIGINT[], $6::BYTEA[], $7::BIGINT[]) AS k (recipient_id, sent_at_ms, hash, occurrence)
         JOIN message m ON m.account_id = $1 AND m.recipient_id = k.recipient_id AND m.sent_at_ms = k.sent_at_ms
                       AND m.hash = k.hash AND m.occurrence = k.occurrence
         JOIN conversation c ON c.id = m.conversation_id
    WHERE m.sent_at_ms BETWEEN $2 AND $3";

pub(super) const ADD: &str = "
    INSERT INTO message (account_id, archived_at_ms, recipient_id, sent_at_ms, hash, occurrence, conversation_id,
                         sender_id, encoding, is_text, status, status_at_ms, message_type_id, payload_type_id,
                         cipher_suite_id, payload, provider_id, body, extra, extra_readable)
    SELECT $1, $2, k.*
    FROM UNNEST($3::BIGINT[], $4::BIGINT[], $5::BYTEA[], $6::BIGINT[], $7::BIGINT[], $8::BIGINT[], $9::BIGINT[],
                $10::BOOLEAN[], $11::BIGINT[], $12::BIGINT[], $13::BIGINT[], $14::BIGINT[], $15::BIGINT[],
                $16::BYTEA[], $17::TEXT[], $18::TEXT[], $19::TEXT[], $20::TEXT[]) AS k";

pub(super) const LEARN: &str = "
    UPDATE message m
    SET conversation_id = k.conversation_id, message_type_id = k.message_type_id, status = k.status,
        status_at_ms = k.status_at_ms
    FROM UNNEST($4::BIGINT[], $5::BIGINT[], $6::BYTEA[], $7::BIGINT[], $8::BIGINT[], $9::BIGINT[], $10::BIGINT[],
                $11::BIGINT[])
         AS k (recipient_id, sent_at_ms, hash, occurrence, conversation_id, message_type_id, status, status_at_ms)
    WHERE m.account_id = $1 AND m.recipient_id = k.recipient_id AND m.sent_at_ms = k.sent_at_ms AND m.hash = k.hash
      AND m.occurrence = k.occurrence AND m.sent_at_ms BETWEEN $2 AND $3";

/// Each answers with a statement, in which the server has quoted the role's name.
pub(super) const GRANTS: [&str; 2] = [
    "SELECT format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), $1::TEXT) AS statement",
    "SELECT format('GRANT SELECT ON archive, conversations, coverage, gaps, runs TO %I', $1::TEXT) AS statement",
];
