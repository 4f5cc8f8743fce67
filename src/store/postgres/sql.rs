//! Statements as only Postgres takes them.

use crate::store::dialect::{InsertMode, PerAccessPath};
use crate::store::sql::follow;

pub(super) const NAMES: &str = "SELECT value, id::BIGINT FROM name WHERE value = ANY ($1)";

pub(super) const CONVERSATIONS: &str =
    "SELECT name, id::BIGINT, kind FROM conversation WHERE account_id = $1 AND name = ANY ($2)";

/// See [`Dialect::FOLLOW`](crate::store::dialect::Dialect::FOLLOW).
pub(super) const UPSERT_STREAMS: &str = follow!(
    "json_to_recordset($4::JSON)
         AS new (key TEXT, discovered BIGINT, sender TEXT, recipient TEXT, conversation TEXT)"
);

/// See [`Dialect::MESSAGES`](crate::store::dialect::Dialect::MESSAGES).
pub(super) const READ_MESSAGES: &str = "
    SELECT coalesce(a.name, '') AS account, coalesce(c.name, '') AS conversation, coalesce(c.kind, 0) AS kind,
           coalesce(s.value, '') AS sender, coalesce(r.value, '') AS recipient, m.sent_at_ms,
           uuid_send(m.hash) AS hash, coalesce(m.occurrence, 0)::BIGINT AS occurrence,
           coalesce(m.encoding, 0)::BIGINT AS encoding, coalesce(m.is_text, TRUE)::INTEGER::BIGINT AS is_text, m.body,
           m.status::BIGINT AS status, m.status_at_ms, mt.value AS message_type, pt.value AS payload_type,
           cs.value AS cipher_suite, m.archived_at_s + 2147483648 AS archived_at_s, m.provider_id, m.payload,
           m.extra, m.recipient_id::BIGINT AS recipient_id, m.slot::BIGINT AS slot,
           coalesce(c.account_id, 0) AS account_id
    FROM message m
         LEFT JOIN conversation c ON c.id = m.conversation_id
         LEFT JOIN account a ON a.id = c.account_id
         LEFT JOIN name s ON s.id = m.sender_id
         LEFT JOIN name r ON r.id = m.recipient_id
         LEFT JOIN name mt ON mt.id = m.message_type_id
         LEFT JOIN name pt ON pt.id = m.payload_type_id
         LEFT JOIN name cs ON cs.id = m.cipher_suite_id
    WHERE m.sent_at_ms >= $1 AND m.sent_at_ms < $2
      AND (m.sent_at_ms, m.hash, coalesce(m.occurrence, 0), m.recipient_id, m.slot)
          > ($1, encode($3, 'hex')::UUID, $4, $5, $6)
    ORDER BY m.sent_at_ms, m.hash, coalesce(m.occurrence, 0), m.recipient_id, m.slot
    LIMIT $7";

/// The unique index begins with time: nothing but it is read.
pub(super) const COUNT_BY_RECIPIENT: &str = "
    SELECT CASE WHEN count(*) < $4 THEN count(CASE WHEN recipient_id = r.id THEN 1 END) END AS there
    FROM (SELECT recipient_id FROM message WHERE sent_at_ms >= $1 AND sent_at_ms < $2 LIMIT $4) m
         LEFT JOIN (SELECT id FROM name WHERE value = $3) r ON TRUE";

/// How many are there, filed as those that are looked for, and whether one of those might learn something. An array in
/// which all is as usual may be empty (`UNNEST` makes up NULLs); whether any has a type is said once for all. `$there`
/// leads from what is looked for, `k`, to what is there, `m`.
macro_rules! familiar {
    ($there:expr) => {
        concat!(
            "SELECT count(m.slot) FILTER (WHERE k.hash IS NOT NULL) AS there, ",
            "coalesce(bool_or(m.slot IS NOT NULL AND (k.status > 0 AND (k.status, k.since) > ",
            "(coalesce(m.status, 0), coalesce(m.status_at_ms, -9223372036854775807)) ",
            "OR $9 AND m.message_type_id IS NULL)), FALSE) AS teachable ",
            "FROM UNNEST($1::INTEGER[], $2::BIGINT[], $3::INTEGER[], $4::UUID[], $5::INTEGER[], $6::INTEGER[], ",
            "$7::BIGINT[], $8::BIGINT[]) ",
            "AS k (recipient_id, sent_at_ms, slot, hash, occurrence, conversation_id, status, since) ",
            $there
        )
    };
    (among $way:literal) => {
        familiar!(concat!(
            "FULL JOIN (SELECT * FROM message m WHERE m.sent_at_ms BETWEEN $10 AND $11 AND ",
            $way,
            ") AS m ON m.hash = k.hash AND m.sent_at_ms = k.sent_at_ms ",
            "AND coalesce(m.occurrence, 0) = coalesce(k.occurrence, 0) ",
            "AND m.conversation_id = k.conversation_id"
        ))
    };
}

/// Each is looked up by itself (`LIMIT 1` keeps it so): in a range of time there may be any number of other streams'
/// messages, and a planner that has no figures yet might read them all.
pub(super) const COUNT_EXISTING: &str = familiar!(
    "CROSS JOIN LATERAL (
         SELECT * FROM message m
         WHERE m.sent_at_ms = k.sent_at_ms AND m.recipient_id = k.recipient_id AND m.slot = k.slot
           AND m.hash = k.hash AND coalesce(m.occurrence, 0) = coalesce(k.occurrence, 0)
           AND m.conversation_id = k.conversation_id
         LIMIT 1
     ) AS m"
);

/// All of a stream's messages in a range of time are read, where they are known to be few others than those looked for,
/// and met with them all at once: a `FULL` join is never done by going through the one for each of the other, which a
/// planner that has no figures yet might prefer. The hash covers the recipient, and no index is asked for the slot. Binds
/// as [`FAMILIAR`], with recipients and slots left empty, then the range in ms and a number.
pub(super) const COUNT_EXISTING_BY_PATH: PerAccessPath = PerAccessPath {
    by_conversation: familiar!(among "m.conversation_id = $12"),
    by_sender: familiar!(among "m.sender_id = $12"),
    by_recipient: familiar!(among "m.recipient_id = $12"),
};

/// Each is looked up by itself. See [`FAMILIAR`].
pub(super) const LOAD_EXISTING: &str = "
    SELECT m.recipient_id::BIGINT, m.sent_at_ms, m.slot, uuid_send(m.hash) AS hash,
           coalesce(m.occurrence, 0)::BIGINT AS occurrence, m.conversation_id::BIGINT, m.message_type_id::BIGINT,
           m.status::BIGINT, m.status_at_ms, c.kind = 0 AS kind_unknown
    FROM UNNEST($2::INTEGER[], $3::BIGINT[], $4::INTEGER[], $5::UUID[], $6::INTEGER[])
         AS k (recipient_id, sent_at_ms, slot, hash, occurrence)
         CROSS JOIN LATERAL (
             SELECT * FROM message m
             WHERE m.sent_at_ms = k.sent_at_ms AND m.recipient_id = k.recipient_id AND m.slot = k.slot
               AND m.hash = k.hash AND coalesce(m.occurrence, 0) = coalesce(k.occurrence, 0)
             LIMIT 1
         ) AS m
         JOIN conversation c ON c.id = m.conversation_id AND c.account_id = $1";

pub(super) const MESSAGES_OF_MILLISECOND: &str = "
    SELECT coalesce(c.account_id, 0) AS account_id, m.recipient_id::BIGINT, m.sent_at_ms, m.slot,
           uuid_send(m.hash) AS hash, coalesce(m.occurrence, 0)::BIGINT AS occurrence, m.conversation_id::BIGINT,
           m.message_type_id::BIGINT, m.status::BIGINT, m.status_at_ms, coalesce(c.kind, 0) = 0 AS kind_unknown
    FROM message m LEFT JOIN conversation c ON c.id = m.conversation_id
    WHERE m.recipient_id = $1 AND m.sent_at_ms = $2";

/// A statement that adds messages, in two forms.
pub(super) struct InsertStatement {
    expect_new: &'static str,
    /// It writes every row twice to the log.
    skip_existing: &'static str,
}

impl InsertStatement {
    pub(super) fn for_mode(&self, faith: InsertMode) -> &'static str {
        match faith {
            InsertMode::ExpectNew => self.expect_new,
            InsertMode::SkipExisting => self.skip_existing,
        }
    }
}

macro_rules! add {
    ($text:literal) => {
        InsertStatement {
            expect_new: $text,
            skip_existing: concat!($text, " ON CONFLICT DO NOTHING"),
        }
    };
}

/// Messages that leave most columns to their defaults.
pub(super) const INSERT_PLAIN: InsertStatement = add!(
    "
    INSERT INTO message (archived_at_s, recipient_id, sent_at_ms, slot, hash, conversation_id, sender_id,
                         message_type_id, payload)
    SELECT $1, k.*
    FROM UNNEST($2::INTEGER[], $3::BIGINT[], $4::INTEGER[], $5::UUID[], $6::INTEGER[], $7::INTEGER[], $8::INTEGER[],
                $9::BYTEA[]) AS k"
);

pub(super) const INSERT_FULL: InsertStatement = add!(
    "
    INSERT INTO message (archived_at_s, recipient_id, sent_at_ms, slot, hash, conversation_id, sender_id,
                         message_type_id, payload, occurrence, encoding, is_text, status, status_at_ms,
                         payload_type_id, cipher_suite_id, provider_id, body, extra, extra_readable)
    SELECT $1, k.*
    FROM UNNEST($2::INTEGER[], $3::BIGINT[], $4::INTEGER[], $5::UUID[], $6::INTEGER[], $7::INTEGER[], $8::INTEGER[],
                $9::BYTEA[], $10::INTEGER[], $11::SMALLINT[], $12::BOOLEAN[], $13::SMALLINT[], $14::BIGINT[],
                $15::INTEGER[], $16::INTEGER[], $17::TEXT[], $18::TEXT[], $19::TEXT[], $20::TEXT[]) AS k"
);

pub(super) const UPDATE_MESSAGES: &str = "
    UPDATE message m
    SET conversation_id = k.conversation_id, message_type_id = k.message_type_id, status = k.status,
        status_at_ms = k.status_at_ms
    FROM UNNEST($3::INTEGER[], $4::BIGINT[], $5::INTEGER[], $6::INTEGER[], $7::INTEGER[], $8::SMALLINT[], $9::BIGINT[])
         AS k (recipient_id, sent_at_ms, slot, conversation_id, message_type_id, status, status_at_ms)
    WHERE m.recipient_id = k.recipient_id AND m.sent_at_ms = k.sent_at_ms AND m.slot = k.slot
      AND m.sent_at_ms BETWEEN $1 AND $2";

pub(super) const ARCHIVE_SIZE: &str = "
    SELECT CAST(coalesce(sum(pg_total_relation_size(oid)), 0) AS BIGINT) AS bytes
    FROM pg_class
    WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace";

/// Each returns a statement, in which the server has quoted the names. The second covers every view of the archive.
pub(super) const GRANTS: [&str; 2] = [
    "SELECT format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), $1::TEXT) AS statement",
    "SELECT format('GRANT SELECT ON %s TO %I', string_agg(format('%I', name), ', ' ORDER BY name), $1::TEXT)
         AS statement
     FROM view_definition",
];

/// A lock that the session holds until it ends, on an account of this very archive. Should the other end vanish, the
/// server is to notice within half a minute, and not after the two hours that are usual.
pub(super) const TRY_LOCK_ACCOUNT: &str = "
    SELECT pg_try_advisory_lock('account'::regclass::oid::BIGINT << 32 | $1) AS locked,
           set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
           set_config('tcp_keepalives_count', '4', false)";

/// Until the transaction ends, nobody counts it on.
pub(super) const HOLD_LEASE_NUMBER: &str =
    "SELECT fencing_token FROM account WHERE id = $1 FOR SHARE";
