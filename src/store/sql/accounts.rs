//! Statements on accounts, streams, leases and runs.

/// Inserts an account, or updates its identity where it was unknown or its node has moved from
/// `$5`. Where `$6` is another settle age than before, what was learned for that one is forgotten.
/// Returns its provider, which may be another one than `$2`.
pub(in crate::store) const REGISTER_ACCOUNT: &str = "
    INSERT INTO account (name, provider, owner, node, settle_ms) VALUES ($1, $2, $3, $4, $6)
    ON CONFLICT (name) DO UPDATE
    SET owner = coalesce(account.owner, excluded.owner),
        node = CASE WHEN account.node = $5 THEN excluded.node
                    ELSE coalesce(account.node, excluded.node) END,
        settle_ms = coalesce(excluded.settle_ms, account.settle_ms),
        settle_override_s = CASE WHEN excluded.settle_ms IS NULL
                                      OR excluded.settle_ms = account.settle_ms
                                 THEN account.settle_override_s END,
        straggler_count = CASE WHEN excluded.settle_ms IS NULL
                                    OR excluded.settle_ms = account.settle_ms
                               THEN account.straggler_count ELSE 0 END
    RETURNING id, provider, owner, node, horizon_s, settled_s, wanted_to_s, retention_s,
              paused_until_ms, paused_reason, refused_credentials, accepted_credentials,
              settle_override_s";

pub(in crate::store) const ACCOUNT_IDENTITY: &str = "
    SELECT provider, owner, node FROM account WHERE name = $1";

pub(in crate::store) const DEACTIVATE_STREAMS: &str = "
    UPDATE stream SET active = 0 WHERE account_id = $1";

/// Inserts streams or updates existing ones, and makes them active. The start of the wanted
/// history is [`WantedHistory::start`](crate::store::WantedHistory::start). `$new` is the
/// expression with which the database reads the JSON in `$4` as a table, `$key` the unique key of
/// the table.
macro_rules! upsert_streams {
    ($new:literal, $key:literal) => {
        concat!(
            "INSERT INTO stream (account_id, key, followed_at_s, wanted_from_s, discovered,",
            " sender, recipient, conversation)",
            " SELECT $1, key, $2, coalesce($3, $2 - $5, 0), discovered, sender, recipient,",
            " conversation FROM ",
            $new,
            " WHERE TRUE ON CONFLICT (",
            $key,
            ") DO UPDATE SET active = 1,",
            " followed_at_s = CASE WHEN stream.followed_at_s < excluded.followed_at_s",
            " THEN stream.followed_at_s ELSE excluded.followed_at_s END,",
            " wanted_from_s = coalesce($3,",
            " CASE WHEN stream.followed_at_s < excluded.followed_at_s",
            " THEN stream.followed_at_s ELSE excluded.followed_at_s END - $5, 0),",
            " discovered = excluded.discovered, sender = excluded.sender,",
            " recipient = excluded.recipient, conversation = excluded.conversation",
            " RETURNING id, key, wanted_from_s"
        )
    };
}
pub(in crate::store) use upsert_streams;

pub(in crate::store) const DISCOVERED_STREAMS: &str = "
    SELECT key, sender, recipient, conversation
    FROM stream
    WHERE account_id = $1 AND discovered = 1
    ORDER BY id";

pub(in crate::store) const CONVERSATIONS_OF_ACCOUNT: &str = "
    SELECT name, kind FROM conversation WHERE account_id = $1";

/// Returns the recent senders in the conversations of an account. Only the latest messages of each
/// sender are read, so that a sender who is active in another account costs no more than others.
pub(in crate::store) const SENDERS_OF_ACCOUNT: &str = "
    SELECT n.value
    FROM name n
    WHERE EXISTS (
        SELECT 1
        FROM (SELECT conversation_id FROM message
              WHERE sender_id = n.id ORDER BY sent_at_ms DESC LIMIT 100) m
             JOIN conversation c ON c.id = m.conversation_id
        WHERE c.account_id = $1)";

pub(in crate::store) const RECORD_DISCOVERY_ERROR: &str = "
    UPDATE account SET discovery_error = $2, discovery_hint = $3
    WHERE id = $1 AND discovery_error IS DISTINCT FROM $2";

pub(in crate::store) const SAVE_FRONTIER: &str = "
    UPDATE account SET horizon_s = $2, settled_s = $3, wanted_to_s = $4, retention_s = $5
    WHERE id = $1";

pub(in crate::store) const RECORD_STREAM_ERROR: &str = "
    UPDATE stream SET error = $2, hint = $3, error_at_ms = $4
    WHERE id = $1 AND error IS DISTINCT FROM $2";

pub(in crate::store) const INCREMENT_LEASE: &str = "
    UPDATE account SET fencing_token = fencing_token + 1, lease_holder = $2
    WHERE id = $1
    RETURNING fencing_token";

pub(in crate::store) const LEASE_HOLDER: &str =
    "SELECT name, lease_holder FROM account WHERE id = $1";

pub(in crate::store) const SET_PAUSE: &str = "
    UPDATE account SET paused_until_ms = $2, paused_reason = $3, refused_credentials = $4
    WHERE id = $1";

pub(in crate::store) const SET_ACCEPTED_CREDENTIALS: &str = "
    UPDATE account SET accepted_credentials = $2 WHERE id = $1";

pub(in crate::store) const RECORD_ACCOUNT_ERROR: &str = "
    UPDATE account SET error = $2, hint = $3
    WHERE id = $1 AND error IS DISTINCT FROM $2";

pub(in crate::store) const SET_CLOCK_SKEW: &str = "
    UPDATE account SET clock_skew_ms = $2 WHERE id = $1 AND clock_skew_ms <> $2";

pub(in crate::store) const ADD_STRAGGLERS: &str = "
    UPDATE account SET straggler_count = straggler_count + $2
    WHERE id = $1
    RETURNING straggler_count";

pub(in crate::store) const SET_SETTLE_OVERRIDE: &str = "
    UPDATE account SET settle_override_s = $2, straggler_count = 0 WHERE id = $1";

pub(in crate::store) const DELETE_OLD_RUNS: &str = "DELETE FROM run WHERE started_at_ms < $1";

pub(in crate::store) const BEGIN_RUN: &str = "
    INSERT INTO run (account_id, purpose, started_at_ms) VALUES ($1, $2, $3) RETURNING id";

pub(in crate::store) const END_RUN: &str = "
    UPDATE run
    SET finished_at_ms = $2, requests = $3, new = $4, changed = $5, windows = $6, errors = $7,
        last_error = $8, lag_s = $9
    WHERE id = $1";

/// Reserves a block of an account's time. `$max` and `$min` are the functions of two numbers, and
/// `$now` is the current time. The first block waits for one that a process has begun before the
/// record was there.
macro_rules! reserve_block {
    ($max:literal, $min:literal, $now:literal) => {
        concat!(
            "INSERT INTO quota AS q (account, until_ms) VALUES ($1, ",
            $now,
            " + $4 + $2 + $2) ON CONFLICT (account) DO UPDATE SET until_ms = $2 + ",
            $max,
            "(",
            $now,
            ", ",
            $min,
            "(q.until_ms, ",
            $now,
            " + $5) + CASE WHEN q.until_ms = $3 THEN 0 ELSE $4 END)",
            " RETURNING until_ms - $2 - ",
            $now,
            " AS begins_in_ms, until_ms"
        )
    };
}
pub(in crate::store) use reserve_block;
