//! Statements on messages and on the names that they refer to.

/// Returns an upper bound on the number of messages in a stream's window. Reads only an index.
pub(in crate::store) const COUNT_BY_CONVERSATION: &str = "
    SELECT count(*) AS messages
    FROM message
    WHERE conversation_id = (SELECT id FROM conversation WHERE account_id = $4 AND name = $3)
      AND sent_at_ms >= $1 AND sent_at_ms < $2";

/// See [`COUNT_BY_CONVERSATION`].
pub(in crate::store) const COUNT_BY_SENDER: &str = "
    SELECT count(*) AS messages
    FROM message
    WHERE sender_id = (SELECT id FROM name WHERE value = $3)
      AND sent_at_ms >= $1 AND sent_at_ms < $2";

/// Returns the identities of the messages in a stream's window, once for each access path. `$hash`
/// is the expression with which the database returns the bytes of a hash, `$path` the condition
/// that the index serves. `+ 0` keeps the planner from choosing another index.
macro_rules! read_links {
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
            by_conversation: $crate::store::sql::read_links!(
                $hash,
                "m.conversation_id = \
                 (SELECT id FROM conversation WHERE account_id = $3 AND name = $6)"
            ),
            by_sender: $crate::store::sql::read_links!(
                $hash,
                "m.sender_id = (SELECT id FROM name WHERE value = $4)"
            ),
            by_recipient: $crate::store::sql::read_links!(
                $hash,
                "m.recipient_id = (SELECT id FROM name WHERE value = $5)"
            ),
        }
    };
}
pub(in crate::store) use read_links;

pub(in crate::store) const INSERT_NAME: &str = "
    INSERT INTO name (value) VALUES ($1) ON CONFLICT DO NOTHING";

/// Inserts a conversation, or sets the kind of an existing one whose kind is unknown. `$key` is the
/// unique key of the table.
macro_rules! upsert_conversation {
    ($key:literal) => {
        concat!(
            "INSERT INTO conversation (account_id, name, kind) VALUES ($1, $2, $3) ON CONFLICT (",
            $key,
            ") DO UPDATE SET kind = excluded.kind WHERE conversation.kind = 0"
        )
    };
}
pub(in crate::store) use upsert_conversation;

pub(in crate::store) const DELETE_MESSAGE: &str = "
    DELETE FROM message WHERE recipient_id = $1 AND sent_at_ms = $2 AND slot = $3";

pub(in crate::store) const MOVE_TO_SLOT: &str = "
    UPDATE message SET slot = $4 WHERE recipient_id = $1 AND sent_at_ms = $2 AND slot = $3";
