//! Statements of readers: names that they filter by, and the coverage of streams.

/// The condition that a reader has selected a message `m` of the conversation `c`. Its arguments are
/// [`Selection::args`](crate::store::model::Selection::args): the range in ms, and the account, the
/// name of the conversation and the sender, NULL for any. `+ 0` keeps the planner from choosing an
/// index for it: it goes with a condition that has one.
#[allow(unused_macros, reason = "the statements of search and export use it")]
macro_rules! is_selected {
    () => {
        "m.sent_at_ms + 0 >= $1 AND m.sent_at_ms + 0 < $2
         AND ($3 IS NULL OR c.account_id = $3)
         AND ($4 IS NULL OR m.conversation_id + 0 IN
              (SELECT n.id FROM account o JOIN conversation n ON n.account_id = o.id
               WHERE n.name = $4))
         AND ($5 IS NULL OR m.sender_id + 0 = $5)"
    };
}
#[allow(unused_imports, reason = "the statements of search and export use it")]
pub(in crate::store) use is_selected;

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
