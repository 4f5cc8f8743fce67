//! The statements of Postgres. Bulk statements take one array per column.
//!
//! Two encodings of the message table save bytes per row, and have a macro each:
//! - `archived_at_s` counts from 2^31 seconds after 1970, so that four bytes reach from 1970 to
//!   2106: [`ARCHIVED_AT_OFFSET_S`];
//! - NULL stands for the usual value in `occurrence` (0), `encoding` (0) and `is_text` (true),
//!   because a NULL takes no space: [`usual_occurrence`].

use crate::store::dialect::{InsertMode, PerAccessPath};
use crate::store::model::SelectedStatements;
use crate::store::sql::{
    read_links, reserve_block, restore_stream, selected_statements, upsert_alarm,
    upsert_conversation, upsert_streams,
};

/// The seconds after 1970 at which `message.archived_at_s` is 0. The statements that read the
/// column contain the same number.
pub(super) const ARCHIVED_AT_OFFSET_S: i64 = 1 << 31;

/// The column `occurrence` of a table, in which NULL stands for 0.
macro_rules! usual_occurrence {
    ($table:literal) => {
        concat!("coalesce(", $table, ".occurrence, 0)")
    };
}

/// The columns of a message `m` that `decode::message_record` decodes.
macro_rules! message_columns {
    () => {
        "m.id, m.conversation_id::BIGINT AS conversation_id, m.sender_id::BIGINT AS sender_id,
         m.recipient_id::BIGINT AS recipient_id, m.sent_at_ms, uuid_send(m.hash) AS hash,
         coalesce(m.occurrence, 0)::BIGINT AS occurrence,
         coalesce(m.encoding, 0)::BIGINT AS encoding,
         coalesce(m.is_text, TRUE)::INTEGER::BIGINT AS is_text, m.body, m.payload,
         m.message_type_id::BIGINT AS message_type_id,
         m.payload_type_id::BIGINT AS payload_type_id,
         m.cipher_suite_id::BIGINT AS cipher_suite_id, m.status::BIGINT AS status, m.status_at_ms,
         m.provider_id, m.archived_at_s + 2147483648 AS archived_at_s, m.extra,
         m.slot::BIGINT AS slot"
    };
}

/// See [`MessagePages::read_page`](crate::store::message_reader::MessagePages::read_page). The index tells
/// the time of the last message that a page can hold. A planner without statistics would sort the
/// rest of the range for each page.
pub(super) const READ_MESSAGES: &str = concat!(
    "SELECT ",
    message_columns!(),
    "
    FROM message m
    WHERE m.sent_at_ms >= $1 AND m.sent_at_ms < $2
      AND m.sent_at_ms <= coalesce(
          (SELECT l.sent_at_ms FROM message l
           WHERE l.sent_at_ms > $1 AND l.sent_at_ms < $2
           ORDER BY l.sent_at_ms OFFSET $7 - 1 LIMIT 1), $2)
      AND (m.sent_at_ms, m.hash, ",
    usual_occurrence!("m"),
    ", m.recipient_id, m.slot) > ($1, encode($3, 'hex')::UUID, $4, $5, $6)
    ORDER BY m.sent_at_ms, m.hash, ",
    usual_occurrence!("m"),
    ", m.recipient_id, m.slot
    LIMIT $7"
);

/// The statements of a snapshot.
pub(super) const SELECTED: SelectedStatements = selected_statements!(
    message_columns!(),
    // The id of the message before the page, and the limit.
    "AND (m.sent_at_ms, m.id) > ($1, $6) ORDER BY m.sent_at_ms, m.id LIMIT $7",
    "m.conversation_id = $8"
);

pub(super) const NAMES_BY_ID: &str = "
    SELECT id::BIGINT AS id, value FROM name
    WHERE id = ANY (ARRAY(SELECT i::INTEGER FROM jsonb_array_elements_text($1::JSONB) AS i))";

pub(super) const CONVERSATIONS_BY_ID: &str = "
    SELECT c.id::BIGINT AS id, a.name AS account, a.provider, c.name, c.kind, c.account_id
    FROM conversation c JOIN account a ON a.id = c.account_id
    WHERE c.id = ANY (ARRAY(SELECT i::INTEGER FROM jsonb_array_elements_text($1::JSONB) AS i))";

pub(super) const NAMES: &str = "SELECT value, id::BIGINT FROM name WHERE value = ANY ($1)";

pub(super) const CONVERSATIONS: &str = "
    SELECT name, id::BIGINT, kind FROM conversation WHERE account_id = $1 AND name = ANY ($2)";

/// See [`Dialect::UPSERT_STREAMS`](crate::store::dialect::Dialect::UPSERT_STREAMS).
pub(super) const UPSERT_STREAMS: &str = upsert_streams!(
    "json_to_recordset($4::JSON)
         AS new (key TEXT, discovered BIGINT, sender TEXT, recipient TEXT, conversation TEXT)",
    "account_id, text_key(key)"
);

/// See [`Dialect::RESTORE_STREAM`](crate::store::dialect::Dialect::RESTORE_STREAM).
pub(super) const RESTORE_STREAM: &str = restore_stream!("account_id, text_key(key)");

/// See [`Dialect::UPSERT_CONVERSATION`](crate::store::dialect::Dialect::UPSERT_CONVERSATION).
pub(super) const UPSERT_CONVERSATION: &str = upsert_conversation!("account_id, text_key(name)");

/// See [`Dialect::UPSERT_ALARM`](crate::store::dialect::Dialect::UPSERT_ALARM).
pub(super) const UPSERT_ALARM: &str = upsert_alarm!("account, text_key(stream), kind, since_ms");

/// The common table expressions of a statement on the messages to a recipient, whose name is
/// `$name`, in a time range.
///
/// No index begins with the recipient: it would cost every commit as much as the unique index
/// does, which begins with time. `few` tells if a range of that index holds few enough messages of
/// anybody to search it. Otherwise the messages are read conversation by conversation: all
/// messages to a recipient are in `home`: the conversation with its name, and the pairs whose name
/// begins with it and a `/` (the character after that is `0`), or ends with them. Only the first or
/// last 100 letters are indexed, so a few other conversations may be among them. 5000 entries of
/// an index take about a millisecond.
macro_rules! with_recipient {
    ($name:literal, $account:literal) => {
        concat!(
            "WITH few AS MATERIALIZED (
                 SELECT count(*) < 5000 AS is_true
                 FROM (SELECT 1 FROM message WHERE sent_at_ms >= $1 AND sent_at_ms < $2
                       LIMIT 5000) AS m),
             recipient AS MATERIALIZED (
                 SELECT id FROM name WHERE value = ",
            $name,
            "),
             letters AS MATERIALIZED (
                 SELECT escaped, left(escaped, 100) || next AS after,
                        left(reverse(escaped), 100) || next AS after_reversed
                 FROM (SELECT escaped,
                              CASE WHEN length(escaped) < 100 THEN '0' ELSE chr(1) END AS next
                       FROM (SELECT replace(replace(",
            $name,
            "::TEXT, '\\', '\\\\'), '/', '\\/') COLLATE \"C\" AS escaped) AS e) AS n),
             home AS MATERIALIZED (
                 SELECT c.id FROM letters l CROSS JOIN LATERAL (
                     SELECT id FROM conversation
                     WHERE account_id = ",
            $account,
            " AND left(name, 100) = left(l.escaped, 100) AND NOT (SELECT is_true FROM few)
                     OFFSET 0) AS c
                 UNION
                 SELECT c.id FROM letters l CROSS JOIN LATERAL (
                     SELECT id FROM conversation
                     WHERE account_id = ",
            $account,
            " AND left(name, 100) >= left(l.escaped || '/', 100)
                       AND left(name, 100) < l.after AND NOT (SELECT is_true FROM few)
                     OFFSET 0) AS c
                 UNION
                 SELECT c.id FROM letters l CROSS JOIN LATERAL (
                     SELECT id FROM conversation
                     WHERE account_id = ",
            $account,
            " AND left(reverse(name), 100) >= left(reverse(l.escaped) || '/', 100)
                       AND left(reverse(name), 100) < l.after_reversed
                       AND NOT (SELECT is_true FROM few)
                     OFFSET 0) AS c)"
        )
    };
}

/// The messages to a recipient in a time range: through time, or through conversations. See
/// [`with_recipient`].
macro_rules! messages_to_recipient {
    () => {
        "(SELECT sent_at_ms, hash, occurrence, conversation_id FROM message
          WHERE sent_at_ms >= $1 AND sent_at_ms < $2
            AND recipient_id = (SELECT id FROM recipient) AND (SELECT is_true FROM few)
          UNION ALL
          SELECT m.sent_at_ms, m.hash, m.occurrence, m.conversation_id
          FROM home CROSS JOIN LATERAL (
              SELECT * FROM message
              WHERE conversation_id = home.id AND sent_at_ms >= $1 AND sent_at_ms < $2
              OFFSET 0) AS m
          WHERE m.recipient_id = (SELECT id FROM recipient))"
    };
}

/// See [`MessageTable::COUNT_BY_RECIPIENT`](crate::store::dialect::MessageTable::COUNT_BY_RECIPIENT).
pub(super) const COUNT_BY_RECIPIENT: &str = concat!(
    with_recipient!("$3", "$4"),
    " SELECT count(*) AS messages FROM ",
    messages_to_recipient!(),
    " AS m"
);

/// See [`MessageTable::READ_LINKS`](crate::store::dialect::MessageTable::READ_LINKS). A stream that
/// is read by its recipient has neither a sender nor a conversation.
pub(super) const READ_LINKS: PerAccessPath = PerAccessPath {
    by_recipient: concat!(
        with_recipient!("$5", "$3"),
        " SELECT m.sent_at_ms, uuid_send(m.hash) AS hash,
                 coalesce(m.occurrence, 0)::BIGINT AS occurrence
          FROM ",
        messages_to_recipient!(),
        " AS m
          WHERE $3 = (SELECT c.account_id FROM conversation c WHERE c.id = m.conversation_id)
            AND $4::TEXT IS NULL AND $6::TEXT IS NULL
          ORDER BY m.sent_at_ms, m.hash, coalesce(m.occurrence, 0)"
    ),
    ..read_links!("uuid_send(m.hash)")
};

/// See [`Dialect::RELEASE_ARCHIVED`](crate::store::dialect::Dialect::RELEASE_ARCHIVED).
pub(super) const RELEASE_ARCHIVED: &str = "
    DELETE FROM quarantined_message
    WHERE account_id = $1 AND hash IN (SELECT decode(id, 'hex') FROM json_array_elements_text($2::JSON) AS k (id))";

/// See [`Dialect::AFFECTED_ROWS`](crate::store::dialect::Dialect::AFFECTED_ROWS). One probe for
/// each name, in the index of the part by which streams are looked up; then one for each stream.
/// `OFFSET 0` keeps the planner from joining in another way.
pub(super) const AFFECTED_ROWS: &str = "
    WITH candidate AS (
        SELECT s.*
        FROM json_array_elements_text($2::JSON) AS k (name) CROSS JOIN LATERAL (
            SELECT id, sender, recipient, conversation FROM stream
            WHERE conversation = k.name AND account_id = $1
            OFFSET 0) AS s
        UNION ALL
        SELECT s.*
        FROM json_array_elements_text($3::JSON) AS k (name) CROSS JOIN LATERAL (
            SELECT id, sender, recipient, conversation FROM stream
            WHERE recipient = k.name AND account_id = $1 AND conversation IS NULL
            OFFSET 0) AS s
        UNION ALL
        SELECT s.*
        FROM json_array_elements_text($4::JSON) AS k (name) CROSS JOIN LATERAL (
            SELECT id, sender, recipient, conversation FROM stream
            WHERE sender = k.name AND account_id = $1 AND recipient IS NULL
              AND conversation IS NULL
            OFFSET 0) AS s)
    SELECT w.stream_id, w.from_s, w.to_s, c.sender, c.recipient, c.conversation
    FROM candidate c CROSS JOIN LATERAL (
        SELECT stream_id, from_s, to_s FROM sealed_window
        WHERE stream_id = c.id AND from_s <= $6 AND to_s > $5
          AND from_s >= coalesce((SELECT max(from_s) FROM sealed_window
                                  WHERE stream_id = c.id AND from_s <= $5), $5)
        OFFSET 0) AS w
    ORDER BY w.stream_id, w.from_s";

/// Counts the existing messages in the same conversations, and tells if one may need an update.
/// `$join` leads from the messages looked up, `k`, to the existing ones, `m`. An array whose values
/// are all usual may be empty: `UNNEST` fills it with NULL. `$9` tells for all messages together
/// if one has a message type.
macro_rules! count_existing {
    ($join:expr) => {
        concat!(
            "SELECT count(m.slot) FILTER (WHERE k.hash IS NOT NULL) AS existing, ",
            "coalesce(bool_or(m.slot IS NOT NULL AND (k.status > 0 AND (k.status, k.status_at) > ",
            "(coalesce(m.status, 0), coalesce(m.status_at_ms, -9223372036854775807)) ",
            "OR $9 AND m.message_type_id IS NULL)), FALSE) AS may_update ",
            "FROM UNNEST($1::INTEGER[], $2::BIGINT[], $3::INTEGER[], $4::UUID[], $5::INTEGER[], ",
            "$6::INTEGER[], $7::BIGINT[], $8::BIGINT[]) ",
            "AS k (recipient_id, sent_at_ms, slot, hash, occurrence, conversation_id, ",
            "status, status_at) ",
            $join
        )
    };
    (among $path:literal) => {
        count_existing!(concat!(
            "FULL JOIN (SELECT * FROM message m WHERE m.sent_at_ms BETWEEN $10 AND $11 AND ",
            $path,
            ") AS m ON m.hash = k.hash AND m.sent_at_ms = k.sent_at_ms AND ",
            usual_occurrence!("m"),
            " = ",
            usual_occurrence!("k"),
            " AND m.conversation_id = k.conversation_id"
        ))
    };
}

/// Looks up each message by itself; `LIMIT 1` prevents another plan. A range of time may hold any
/// number of messages of other streams, and a planner without statistics might read all of them.
pub(super) const COUNT_EXISTING: &str = count_existing!(concat!(
    "CROSS JOIN LATERAL (
         SELECT * FROM message m
         WHERE m.sent_at_ms = k.sent_at_ms AND m.recipient_id = k.recipient_id AND m.slot = k.slot
           AND m.hash = k.hash AND ",
    usual_occurrence!("m"),
    " = ",
    usual_occurrence!("k"),
    "
           AND m.conversation_id = k.conversation_id
         LIMIT 1
     ) AS m"
));

/// Reads all messages of an access path in a range of time, and joins them with those looked up.
/// It is used where the path holds few others. A `FULL` join never runs as a nested loop, which a
/// planner without statistics might prefer. The hash covers the recipient, and no index is needed
/// for the slot. Binds as [`COUNT_EXISTING`], with empty recipients and slots, then the range in
/// ms and the id of the path.
pub(super) const COUNT_EXISTING_BY_PATH: PerAccessPath = PerAccessPath {
    by_conversation: count_existing!(among "m.conversation_id = $12"),
    by_sender: count_existing!(among "m.sender_id = $12"),
    by_recipient: count_existing!(among "m.recipient_id = $12"),
};

/// Looks up each message by itself. See [`COUNT_EXISTING`].
pub(super) const LOAD_EXISTING: &str = concat!(
    "
    SELECT m.recipient_id::BIGINT, m.sent_at_ms, m.slot::BIGINT, uuid_send(m.hash) AS hash, ",
    usual_occurrence!("m"),
    "::BIGINT AS occurrence, m.conversation_id::BIGINT, m.message_type_id::BIGINT,
           m.status::BIGINT, m.status_at_ms, (c.kind = 0)::INTEGER::BIGINT AS kind_unknown
    FROM UNNEST($2::INTEGER[], $3::BIGINT[], $4::INTEGER[], $5::UUID[], $6::INTEGER[])
         AS k (recipient_id, sent_at_ms, slot, hash, occurrence)
         CROSS JOIN LATERAL (
             SELECT * FROM message m
             WHERE m.sent_at_ms = k.sent_at_ms AND m.recipient_id = k.recipient_id
               AND m.slot = k.slot AND m.hash = k.hash AND ",
    usual_occurrence!("m"),
    " = ",
    usual_occurrence!("k"),
    "
             LIMIT 1
         ) AS m
         JOIN conversation c ON c.id = m.conversation_id AND c.account_id = $1"
);

pub(super) const MESSAGES_OF_MILLISECOND: &str = concat!(
    "
    SELECT coalesce(c.account_id, 0) AS account_id, m.recipient_id::BIGINT, m.sent_at_ms,
           m.slot::BIGINT, uuid_send(m.hash) AS hash, ",
    usual_occurrence!("m"),
    "::BIGINT AS occurrence, m.conversation_id::BIGINT, m.message_type_id::BIGINT,
           m.status::BIGINT, m.status_at_ms,
           (coalesce(c.kind, 0) = 0)::INTEGER::BIGINT AS kind_unknown
    FROM message m LEFT JOIN conversation c ON c.id = m.conversation_id
    WHERE m.recipient_id = $1 AND m.sent_at_ms = $2"
);

/// A statement that inserts messages, once for each [`InsertMode`].
pub(super) struct InsertStatement {
    expect_new: &'static str,
    /// Returns the keys of the messages that it inserts. Writes every row to the log twice, because
    /// of its `ON CONFLICT`.
    skip_existing: &'static str,
}

impl InsertStatement {
    /// Returns the statement for this mode.
    pub(super) fn for_mode(&self, mode: InsertMode) -> &'static str {
        match mode {
            InsertMode::ExpectNew => self.expect_new,
            InsertMode::SkipExisting => self.skip_existing,
        }
    }
}

/// Builds both variants from an `INSERT … SELECT` without conditions.
///
/// Each takes a shared lock, once and before its first id, that tells the view `archive_end` which
/// ids are still to come. See there.
macro_rules! insert_statement {
    ($($text:expr),+ $(,)?) => {
        InsertStatement {
            expect_new: concat!($($text,)+ announce_ids!()),
            skip_existing: concat!(
                $($text,)+
                announce_ids!(),
                " ON CONFLICT DO NOTHING
                 RETURNING recipient_id::BIGINT, sent_at_ms, uuid_send(hash) AS hash, ",
                "coalesce(occurrence, 0)::BIGINT AS occurrence"
            ),
        }
    };
}

macro_rules! announce_ids {
    () => {
        "
    WHERE (SELECT CAST(pg_advisory_xact_lock_shared(
                      CAST(CAST('message_id' AS REGCLASS) AS OID)::INTEGER,
                      CAST(last_value >> 10 AS INTEGER)) AS TEXT)
           FROM message_id) IS NOT NULL"
    };
}

/// Inserts messages that leave the optional columns at their defaults.
pub(super) const INSERT_PLAIN: InsertStatement = insert_statement!(
    "
    INSERT INTO message (archived_at_s, recipient_id, sent_at_ms, slot, hash, conversation_id,
                         sender_id, message_type_id, payload, is_json)
    SELECT k.*
    FROM UNNEST($1::INTEGER[], $2::INTEGER[], $3::BIGINT[], $4::INTEGER[], $5::UUID[], $6::INTEGER[],
                $7::INTEGER[], $8::INTEGER[], $9::BYTEA[], $10::BOOLEAN[]) AS k"
);

/// The columns of a message, except its id.
macro_rules! full_columns {
    () => {
        "archived_at_s, recipient_id, sent_at_ms, slot, hash, conversation_id, sender_id,
         message_type_id, payload, is_json, occurrence, encoding, is_text, status, status_at_ms,
         payload_type_id, cipher_suite_id, provider_id, body, extra, extra_readable"
    };
}

/// The arrays of these columns.
macro_rules! full_arrays {
    () => {
        "$1::INTEGER[], $2::INTEGER[], $3::BIGINT[], $4::INTEGER[], $5::UUID[], $6::INTEGER[],
         $7::INTEGER[], $8::INTEGER[], $9::BYTEA[], $10::BOOLEAN[], $11::INTEGER[], $12::SMALLINT[],
         $13::BOOLEAN[], $14::SMALLINT[], $15::BIGINT[], $16::INTEGER[], $17::INTEGER[],
         $18::TEXT[], $19::TEXT[], $20::TEXT[], $21::TEXT[]"
    };
}

/// Inserts messages with all columns.
pub(super) const INSERT_FULL: InsertStatement = insert_statement!(
    "INSERT INTO message (",
    full_columns!(),
    ") SELECT k.* FROM UNNEST(",
    full_arrays!(),
    ") AS k",
);

/// Inserts copied messages, which keep their ids.
pub(super) const INSERT_COPIED: InsertStatement = insert_statement!(
    "INSERT INTO message (",
    full_columns!(),
    ", id) SELECT k.* FROM UNNEST(",
    full_arrays!(),
    ", $22::BIGINT[]) AS k",
);

/// Updates the mutable columns of messages. The range of send times, `$1` to `$2`, limits the
/// partitions that are searched.
pub(super) const UPDATE_MESSAGES: &str = "
    UPDATE message m
    SET conversation_id = k.conversation_id, message_type_id = k.message_type_id,
        status = k.status, status_at_ms = k.status_at_ms
    FROM UNNEST($3::INTEGER[], $4::BIGINT[], $5::INTEGER[], $6::INTEGER[], $7::INTEGER[],
                $8::SMALLINT[], $9::BIGINT[])
         AS k (recipient_id, sent_at_ms, slot, conversation_id, message_type_id, status,
               status_at_ms)
    WHERE m.recipient_id = k.recipient_id AND m.sent_at_ms = k.sent_at_ms AND m.slot = k.slot
      AND m.sent_at_ms BETWEEN $1 AND $2";

/// See [`MessageTable::RESERVE_IDS`](crate::store::dialect::MessageTable::RESERVE_IDS).
pub(super) const RESERVE_IDS: &str = "
    SELECT setval('message_id', $1) FROM message_id
    WHERE $1 > 0 AND (last_value < $1 OR NOT is_called)";

/// See [`Dialect::RESERVE_BLOCK`](crate::store::dialect::Dialect::RESERVE_BLOCK).
pub(super) const RESERVE_BLOCK: &str = reserve_block!(
    "greatest",
    "least",
    "(extract(epoch FROM clock_timestamp()) * 1000)::BIGINT"
);

/// See [`Dialect::PLACE`](crate::store::dialect::Dialect::PLACE). The moment at which a server was
/// started, in microseconds, tells it from others.
pub(super) const PLACE: &str = "
    SELECT concat_ws(' ', pg_postmaster_start_time(), current_database(), current_schema()) AS place";

pub(super) const ARCHIVE_SIZE: &str = "
    SELECT CAST(coalesce(sum(pg_total_relation_size(oid)), 0) AS BIGINT) AS bytes
    FROM pg_class
    WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace";

/// Return the role, and true if it may create the archive, or write its tables. While the schema of
/// the tables does not exist, the readers' is the first of the search path.
pub(super) const MAY_CREATE: &str = "
    SELECT CAST(current_user AS TEXT),
           CASE current_schema() WHEN current_setting('backscroll.readers')
                THEN has_database_privilege(current_database(), 'CREATE')
                ELSE coalesce(has_schema_privilege(current_schema(), 'CREATE'), FALSE) END
           AND coalesce(has_schema_privilege(
                   to_regnamespace(quote_ident(current_setting('backscroll.readers'))), 'CREATE'
               ), FALSE)";
pub(super) const MAY_WRITE: &str = "
    SELECT CAST(current_user AS TEXT), has_table_privilege('sealed_window', 'INSERT')";

/// Each returns a `GRANT` statement, in which the server has quoted the names. The second covers
/// every view of the archive.
pub(super) const GRANTS: [&str; 2] = [
    "SELECT format('GRANT USAGE ON SCHEMA %I TO %I',
                   current_setting('backscroll.readers'), $1::TEXT) AS statement",
    "SELECT format('GRANT SELECT ON %s TO %I',
                   string_agg(format('%I', name), ', ' ORDER BY name), $1::TEXT) AS statement
     FROM view_definition",
];

/// See [`Dialect::TAKE_VIEW`](crate::store::dialect::Dialect::TAKE_VIEW). Another program's view of
/// that name stays where it is.
pub(super) const TAKE_VIEW: &str = "
    SELECT move_view(name, current_setting('backscroll.readers'), current_schema())
    FROM view_definition WHERE name = $1";

/// See [`Dialect::HAND_OUT_VIEW`](crate::store::dialect::Dialect::HAND_OUT_VIEW).
pub(super) const HAND_OUT_VIEW: &str =
    "SELECT move_view($1, current_schema(), current_setting('backscroll.readers'))";

/// Locks an account of this archive until the session ends. The keepalives let the server notice
/// a vanished client within half a minute instead of the usual two hours.
pub(super) const TRY_LOCK_ACCOUNT: &str = "
    SELECT pg_try_advisory_lock('account'::regclass::oid::BIGINT << 32 | $1) AS locked,
           set_config('tcp_keepalives_idle', '10', false),
           set_config('tcp_keepalives_interval', '5', false),
           set_config('tcp_keepalives_count', '4', false)";

/// Returns the number of a lease, and keeps it from being incremented until the transaction ends.
pub(super) const HOLD_LEASE_NUMBER: &str = "
    SELECT fencing_token FROM account WHERE id = $1 FOR SHARE";
