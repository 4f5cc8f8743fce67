//! Statements of readers: messages that they select, names that they filter by, and the coverage of
//! streams.

/// The condition that a message `m` has the account, the conversation and the sender of a selection.
/// `$3` to `$5` are those of [`Selection::args`](crate::store::model::Selection::args), NULL for any.
/// `+ 0` keeps the planner from choosing an index for it.
macro_rules! names_are_selected {
    () => {
        "($3 IS NULL
              OR m.conversation_id + 0 IN (SELECT id FROM conversation WHERE account_id = $3))
         AND ($4 IS NULL OR m.conversation_id + 0 IN
              (SELECT n.id FROM account o JOIN conversation n ON n.account_id = o.id
               WHERE n.name = $4))
         AND ($5 IS NULL OR m.sender_id + 0 = $5)"
    };
}
pub(in crate::store) use names_are_selected;

/// The condition that a reader has selected a message `m`. Its arguments are
/// [`Selection::args`](crate::store::model::Selection::args): the range in ms, and the account, the
/// name of the conversation and the sender, NULL for any. It uses no index: it goes with a condition
/// that has one.
macro_rules! is_selected {
    () => {
        concat!(
            "m.sent_at_ms + 0 >= $1 AND m.sent_at_ms + 0 < $2 AND ",
            $crate::store::sql::names_are_selected!()
        )
    };
}
pub(in crate::store) use is_selected;

/// The same query on the messages of a selection, once for each index: `$head`, the condition, and
/// `$tail`. `$conversation` finds a conversation by its id; without it, its name is looked up.
macro_rules! per_read_path {
    ($head:expr, $tail:expr) => {
        $crate::store::sql::per_read_path!(
            $head,
            $tail,
            "m.conversation_id IN (SELECT n.id FROM account o
             JOIN conversation n ON n.account_id = o.id WHERE n.name = $4)"
        )
    };
    ($head:expr, $tail:expr, $conversation:literal) => {
        $crate::store::model::PerReadPath {
            by_time: $crate::store::sql::per_read_path!(@ $head, "", $tail),
            by_sender: $crate::store::sql::per_read_path!(@ $head, "m.sender_id = $5 AND ", $tail),
            by_conversation: $crate::store::sql::per_read_path!(
                @ $head, concat!($conversation, " AND "), $tail
            ),
        }
    };
    (@ $head:expr, $path:expr, $tail:expr) => {
        concat!(
            $head,
            " FROM message m WHERE ",
            $path,
            "m.sent_at_ms >= $1 AND m.sent_at_ms < $2 AND ",
            $crate::store::sql::names_are_selected!(),
            " ",
            $tail
        )
    };
}
pub(in crate::store) use per_read_path;

/// The statements on selected messages. `$columns` are the columns of a message in the database's
/// words, in the order of `decode::message_record`; `$order` is the end of the query that returns
/// them; `$conversation` is the condition that a message is in the conversation that is read.
macro_rules! selected_statements {
    ($columns:expr, $order:literal, $conversation:literal) => {
        $crate::store::model::SelectedStatements {
            first_moment: $crate::store::model::PerReadPath {
                by_conversation: $crate::store::sql::FIRST_OF_CONVERSATIONS,
                ..$crate::store::sql::per_read_path!(
                    "SELECT m.sent_at_ms",
                    "ORDER BY m.sent_at_ms LIMIT 1"
                )
            },
            change_mark: $crate::store::sql::per_read_path!(
                "SELECT count(*) AS messages,
                        CAST(coalesce(sum(m.id >> 32), 0) AS BIGINT) AS ids_high,
                        CAST(coalesce(sum(m.id & 4294967295), 0) AS BIGINT) AS ids_low,
                        CAST(coalesce(sum(m.slot), 0) AS BIGINT) AS slots,
                        CAST(coalesce(sum(m.status), 0) AS BIGINT) AS statuses,
                        CAST(coalesce(sum(m.status_at_ms >> 32), 0) AS BIGINT) AS times_high,
                        CAST(coalesce(sum(m.status_at_ms & 4294967295), 0) AS BIGINT) AS times_low,
                        count(m.message_type_id) AS message_types,
                        count(CASE WHEN m.conversation_id IN
                                        (SELECT id FROM conversation WHERE kind <> 0)
                                   THEN 1 END) AS known_kinds",
                ""
            ),
            conversations: $crate::store::sql::per_read_path!(
                "SELECT DISTINCT CAST(m.conversation_id AS BIGINT) AS conversation_id",
                "ORDER BY 1"
            ),
            messages: $crate::store::sql::per_read_path!(
                concat!("SELECT ", $columns),
                $order,
                $conversation
            ),
        }
    };
}
pub(in crate::store) use selected_statements;

/// Returns the time of the first selected message of the conversations of one name: one lookup for
/// each.
pub(in crate::store) const FIRST_OF_CONVERSATIONS: &str = concat!(
    "SELECT f.sent_at_ms
     FROM (SELECT (SELECT m.sent_at_ms FROM message m
                   WHERE m.conversation_id = n.id AND m.sent_at_ms >= $1 AND m.sent_at_ms < $2
                     AND ",
    names_are_selected!(),
    "
                   ORDER BY m.sent_at_ms LIMIT 1) AS sent_at_ms
           FROM account o JOIN conversation n ON n.account_id = o.id
           WHERE n.name = $4) f
     WHERE f.sent_at_ms IS NOT NULL
     ORDER BY f.sent_at_ms
     LIMIT 1"
);

pub(in crate::store) const FIND_ACCOUNT: &str = "SELECT id FROM account WHERE name = $1";

/// Returns the conversations with this name, in one account or in all. SQLite finds them by the
/// account and the name.
pub(in crate::store) const FIND_CONVERSATIONS: &str = "
    SELECT CAST(c.id AS BIGINT) AS id, a.name AS account, c.name, c.kind
    FROM account a JOIN conversation c ON c.account_id = a.id
    WHERE ($2 IS NULL OR a.id = $2) AND c.name = $1
    ORDER BY a.name";

pub(in crate::store) const LATEST_PARTICIPANTS: &str = "
    SELECT s.value AS sender, r.value AS recipient
    FROM message m
         JOIN name s ON s.id = m.sender_id
         JOIN name r ON r.id = m.recipient_id
    WHERE m.conversation_id = $1
    ORDER BY m.sent_at_ms DESC
    LIMIT 1";

/// Returns the id of a name if a message has it as its sender.
pub(in crate::store) const FIND_SENDER: &str = "
    SELECT CAST(n.id AS BIGINT) AS id FROM name n
    WHERE n.value = $1 AND EXISTS (SELECT 1 FROM message m WHERE m.sender_id = n.id)";

pub(in crate::store) const ACCOUNT_NAMES: &str = "SELECT name FROM account";

pub(in crate::store) const CONVERSATION_NAMES: &str = "
    SELECT name FROM conversation WHERE $1 IS NULL OR account_id = $1";

pub(in crate::store) const SENDER_NAMES: &str = "
    SELECT n.value AS name FROM name n
    WHERE EXISTS (SELECT 1 FROM message m WHERE m.sender_id = n.id)";

/// Returns the limits of the history of all streams of one account, or of all accounts.
pub(in crate::store) const STREAM_LIMITS: &str = "
    SELECT s.id, a.name AS account, s.key, s.sender, s.recipient, s.conversation, s.active,
           s.wanted_from_s, s.followed_at_s, a.horizon_s, a.settled_s, a.wanted_to_s,
           a.retention_s, coalesce(s.error, a.error, a.paused_reason) AS error,
           (SELECT min(w.from_s) FROM sealed_window w WHERE w.stream_id = s.id) AS first_s
    FROM stream s JOIN account a ON a.id = s.account_id
    WHERE $1 IS NULL OR a.id = $1
    ORDER BY a.name, s.key";

/// Returns the sum of each stream's sealed windows that overlap a range of seconds. If the seconds
/// add up to the distance between its ends, the windows are one unbroken run.
pub(in crate::store) const LEDGER_SPANS: &str = "
    SELECT w.stream_id, min(w.from_s) AS from_s, max(w.to_s) AS to_s,
           CAST(sum(w.to_s - w.from_s) AS BIGINT) AS seconds, count(w.doubt) AS suspect
    FROM sealed_window w JOIN stream s ON s.id = w.stream_id
    WHERE w.to_s > $1 AND w.from_s < $2 AND ($3 IS NULL OR s.account_id = $3)
    GROUP BY w.stream_id";

/// Returns the sealed windows of one stream that overlap a range of seconds. They do not overlap
/// each other, so the first of them is the last one that begins at the start of the range or before.
pub(in crate::store) const LEDGER_RUNS: &str = "
    SELECT from_s, to_s, doubt
    FROM sealed_window
    WHERE stream_id = $3 AND from_s < $2 AND to_s > $1
      AND from_s >= coalesce((SELECT max(from_s) FROM sealed_window
                              WHERE stream_id = $3 AND from_s <= $1), $1)
    ORDER BY from_s";
