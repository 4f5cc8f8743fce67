//! Statements that read the messages that a search has found.

/// The columns of [`DisplayedMessage`](crate::store::DisplayedMessage).
macro_rules! displayed_columns {
    () => {
        "SELECT id, account, conversation, CAST(conversation_id AS BIGINT) AS conversation_id,
                conversation_kind, sender, recipient, sent_at_ms, body
         FROM archive "
    };
}

pub(in crate::store) const DISPLAYED_MESSAGE: &str =
    concat!(displayed_columns!(), "WHERE id = $1 AND sent_at_ms = $2");

/// Return the messages of a conversation before or behind one, those nearest to it first. They bind
/// the conversation, the time and the id of the message, and a limit.
pub(in crate::store) const MESSAGES_BEFORE: &str = concat!(
    displayed_columns!(),
    "WHERE conversation_id = $1 AND sent_at_ms <= $2 AND (sent_at_ms < $2 OR id < $3)
     ORDER BY sent_at_ms DESC, id DESC LIMIT $4"
);
pub(in crate::store) const MESSAGES_BEHIND: &str = concat!(
    displayed_columns!(),
    "WHERE conversation_id = $1 AND sent_at_ms >= $2 AND (sent_at_ms > $2 OR id > $3)
     ORDER BY sent_at_ms, id LIMIT $4"
);

/// Returns the ids of the conversations of this name, in one account or in all.
pub(in crate::store) const CONVERSATIONS_NAMED: &str = "
    SELECT CAST(c.id AS BIGINT) AS id
    FROM account a JOIN conversation c ON c.account_id = a.id
    WHERE ($2 IS NULL OR a.id = $2) AND c.name = $1";
