//! Statements that read the messages that a search has found.

/// Reads [`DisplayedMessage`](crate::store::DisplayedMessage)s: what follows selects them.
macro_rules! displayed_messages {
    () => {
        "SELECT id, account, conversation, CAST(conversation_id AS BIGINT) AS conversation_id,
                conversation_kind, sender, recipient, sent_at_ms, body
         FROM archive "
    };
}

pub(in crate::store) use displayed_messages;

/// See [`WordSearch::WALK`](crate::store::dialect::WordSearch::WALK). `$hits` selects `id`,
/// `sent_at_ms` and `is_certain` of the messages in `walked m` that match the query, `$8`, and ends
/// in a condition that another one can follow.
macro_rules! walk {
    ($path:literal, $hits:literal) => {
        concat!(
            "
    WITH walked AS MATERIALIZED (
        SELECT m.id, m.sent_at_ms, m.conversation_id, m.sender_id
        FROM message m
        WHERE m.sent_at_ms >= $1 AND m.sent_at_ms < $2 AND ",
            $path,
            "
        ORDER BY m.sent_at_ms DESC, m.id DESC
        LIMIT $7)
    SELECT e.examined, h.id, h.sent_at_ms, h.is_certain
    FROM (SELECT count(*) AS examined FROM walked) e
         LEFT JOIN (",
            $hits,
            " AND ",
            $crate::store::sql::is_selected!(),
            "
             ORDER BY m.sent_at_ms DESC, m.id DESC
             LIMIT $9) h ON TRUE
    ORDER BY h.sent_at_ms DESC, h.id DESC"
        )
    };
}
pub(in crate::store) use walk;

/// The walks through all messages, those of a conversation, and those of a sender, with `$hits` as in
/// [`walk`].
macro_rules! walks {
    ($hits:literal) => {
        $crate::store::dialect::PerWalkPath {
            by_time: $crate::store::sql::walk!("$6 IS NULL", $hits),
            by_conversation: $crate::store::sql::walk!("m.conversation_id = $6", $hits),
            by_sender: $crate::store::sql::walk!("m.sender_id = $6", $hits),
        }
    };
}
pub(in crate::store) use walks;

/// Return the messages of a conversation before or behind one, those nearest to it first. They bind
/// the conversation, the time and the id of the message, and a limit.
pub(in crate::store) const MESSAGES_BEFORE: &str = concat!(
    displayed_messages!(),
    "WHERE conversation_id = $1 AND sent_at_ms <= $2 AND (sent_at_ms < $2 OR id < $3)
     ORDER BY sent_at_ms DESC, id DESC LIMIT $4"
);
pub(in crate::store) const MESSAGES_BEHIND: &str = concat!(
    displayed_messages!(),
    "WHERE conversation_id = $1 AND sent_at_ms >= $2 AND (sent_at_ms > $2 OR id > $3)
     ORDER BY sent_at_ms, id LIMIT $4"
);

/// Returns the time of the newest message in a range of time, or NULL.
pub(in crate::store) const NEWEST_MESSAGE: &str = "
    SELECT max(sent_at_ms) AS sent_at_ms FROM message WHERE sent_at_ms >= $1 AND sent_at_ms < $2";

/// Returns the ids of the conversations of this name, in one account or in all.
pub(in crate::store) const CONVERSATIONS_NAMED: &str = "
    SELECT CAST(c.id AS BIGINT) AS id
    FROM account a JOIN conversation c ON c.account_id = a.id
    WHERE ($2 IS NULL OR a.id = $2) AND c.name = $1";
