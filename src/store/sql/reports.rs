//! Statements behind status, summaries and charts. They read sums, and of the ledger only the rows
//! within the provider's retention.

use crate::store::dialect::PerAccessPath;

/// Returns what the status says of accounts.
pub(in crate::store) const ACCOUNT_STATUS: &str = "
    SELECT a.id, a.name AS account, a.provider, a.settled_s, a.wanted_to_s, a.horizon_s,
           a.retention_s, a.paused_until_ms, a.paused_reason, a.refused_credentials,
           a.settle_override_s, a.clock_skew_ms, a.error, a.hint, a.discovery_error,
           a.discovery_hint
    FROM account a
    ORDER BY a.name";

/// Returns what the status says of active streams, in the order of the keys of each account. Values
/// that are called recent are those of the rows beyond the horizon.
///
/// The ledger is read once, in its own order. A lookup for each stream and value would cost more with
/// thousands of streams.
pub(in crate::store) const STREAM_STATUS: &str = "
    WITH sums AS MATERIALIZED (
        SELECT w.stream_id, CAST(sum(w.messages) AS BIGINT) AS messages,
               CAST(sum(w.to_s - w.from_s) AS BIGINT) AS sealed_seconds,
               min(w.from_s) AS first_ever_s,
               CAST(sum(CASE WHEN w.from_s < s.wanted_from_s
                             THEN CASE WHEN w.to_s > s.wanted_from_s THEN s.wanted_from_s
                                       ELSE w.to_s END - w.from_s END) AS BIGINT)
                   AS unwanted_seconds,
               CAST(sum(CASE WHEN w.to_s > s.horizon_s THEN w.messages END) AS BIGINT)
                   AS recent_messages,
               CAST(sum(CASE WHEN w.to_s > s.horizon_s THEN w.to_s - w.from_s END) AS BIGINT)
                   AS recent_seconds,
               min(CASE WHEN w.to_s > s.horizon_s THEN w.from_s END) AS first_s,
               max(w.to_s) AS last_s
        FROM (SELECT f.id, f.wanted_from_s,
                     coalesce(a.horizon_s, -9223372036854775807) AS horizon_s
              FROM stream f JOIN account a ON a.id = f.account_id
              WHERE f.active = 1) s
             JOIN sealed_window w ON w.stream_id = s.id
        GROUP BY w.stream_id),
    doubted AS (
        SELECT w.stream_id, count(*) AS suspect,
               CAST(sum(CASE WHEN w.to_s <= a.horizon_s THEN 1 ELSE 0 END) AS BIGINT)
                   AS expired_suspect
        FROM sealed_window w
             JOIN stream f ON f.id = w.stream_id
             JOIN account a ON a.id = f.account_id
        WHERE w.doubt IS NOT NULL
        GROUP BY w.stream_id),
    in_quarantine AS (
        SELECT stream_id, count(*) AS quarantined FROM quarantined_message GROUP BY stream_id)
    SELECT s.id, s.account_id, s.key, s.wanted_from_s, s.followed_at_s, s.error, s.hint,
           s.discovered, s.sender, s.recipient, s.conversation, t.messages, t.sealed_seconds,
           t.first_ever_s, t.unwanted_seconds, t.recent_messages, t.recent_seconds, t.first_s,
           t.last_s, d.suspect, d.expired_suspect, q.quarantined
    FROM stream s
         LEFT JOIN sums t ON t.stream_id = s.id
         LEFT JOIN doubted d ON d.stream_id = s.id
         LEFT JOIN in_quarantine q ON q.stream_id = s.id
    WHERE s.active = 1
    ORDER BY s.account_id, s.key";

/// Returns the end of each unbroken run of ledger rows beyond the horizon, and the start of the
/// next run. `reach` has the start of the first row beyond the horizon: rows do not overlap, so that it
/// is the last one that begins at the horizon or before. `CROSS JOIN` fixes the order of the join on SQLite.
pub(in crate::store) const RUN_ENDS_OF_ACTIVE_STREAMS: &str = "
    WITH reach AS MATERIALIZED (
        SELECT s.id AS stream_id, coalesce(a.horizon_s, -9223372036854775807) AS horizon_s,
               coalesce((SELECT max(from_s) FROM sealed_window
                         WHERE stream_id = s.id AND from_s <= a.horizon_s),
                        a.horizon_s, -9223372036854775807) AS start_s
        FROM stream s JOIN account a ON a.id = s.account_id
        WHERE s.active = 1)
    SELECT w.stream_id, w.to_s,
           (SELECT min(from_s) FROM sealed_window n
            WHERE n.stream_id = w.stream_id AND n.from_s > w.to_s) AS next_s
    FROM reach r CROSS JOIN sealed_window w
    WHERE w.stream_id = r.stream_id AND w.from_s >= r.start_s AND w.to_s > r.horizon_s
      AND NOT EXISTS (SELECT 1 FROM sealed_window n
                      WHERE n.stream_id = w.stream_id AND n.from_s = w.to_s)
    ORDER BY w.stream_id, w.from_s";

/// Returns the same for all ledger rows of one stream, and the start of its first row.
pub(in crate::store) const RUN_ENDS_OF_STREAM: &str = "
    SELECT w.stream_id, w.to_s,
           (SELECT min(from_s) FROM sealed_window n
            WHERE n.stream_id = w.stream_id AND n.from_s > w.to_s) AS next_s,
           (SELECT min(from_s) FROM sealed_window n WHERE n.stream_id = w.stream_id) AS first_s
    FROM sealed_window w
    WHERE w.stream_id = $1
      AND NOT EXISTS (SELECT 1 FROM sealed_window n
                      WHERE n.stream_id = w.stream_id AND n.from_s = w.to_s)
    ORDER BY w.from_s";

/// Returns the missing ranges of active streams that can still be fetched: from the end of a run
/// of ledger rows, or from the start of the wanted history, to the start of the next run. Rows of
/// a stream do not overlap, so a run ends where no row begins at a row's end.
pub(in crate::store) const MISSING_RANGES: &str = "
    WITH wanted AS (
        SELECT s.id, s.account_id, a.settled_s,
               CASE WHEN a.horizon_s > s.wanted_from_s THEN a.horizon_s ELSE s.wanted_from_s END
                   AS from_s
        FROM stream s JOIN account a ON a.id = s.account_id
        WHERE s.active = 1),
    begun AS (
        SELECT id, account_id, settled_s, from_s,
               (SELECT max(w.from_s) FROM sealed_window w
                WHERE w.stream_id = wanted.id AND w.from_s <= wanted.from_s) AS first_s
        FROM wanted
        WHERE from_s < settled_s),
    ends AS (
        SELECT b.id, b.account_id, b.settled_s, w.to_s AS from_s
        FROM begun b
             JOIN sealed_window w
                  ON w.stream_id = b.id AND w.from_s >= coalesce(b.first_s, b.from_s)
        WHERE w.to_s > b.from_s AND w.to_s < b.settled_s
          AND NOT EXISTS (SELECT 1 FROM sealed_window n
                          WHERE n.stream_id = w.stream_id AND n.from_s = w.to_s)
        UNION ALL
        SELECT b.id, b.account_id, b.settled_s, b.from_s
        FROM begun b
        WHERE NOT EXISTS (
            SELECT 1 FROM sealed_window w
            WHERE w.stream_id = b.id AND w.from_s = b.first_s AND w.to_s > b.from_s)),
    holes AS (
        SELECT id, account_id, settled_s, from_s,
               (SELECT min(w.from_s) FROM sealed_window w
                WHERE w.stream_id = ends.id AND w.from_s > ends.from_s) AS next_s
        FROM ends)
    SELECT id AS stream_id, account_id, from_s,
           CASE WHEN next_s < settled_s THEN next_s ELSE settled_s END AS to_s
    FROM holes
    ORDER BY account_id, from_s, id";

/// Returns the messages and seconds of the sealed windows that the provider still shows, for each
/// account whose provider has a horizon.
pub(in crate::store) const RECENT_TOTALS: &str = "
    SELECT s.account_id, CAST(coalesce(sum(w.messages), 0) AS BIGINT) AS messages,
           CAST(coalesce(sum(w.to_s - w.from_s), 0) AS BIGINT) AS seconds
    FROM account a
         JOIN stream s ON s.account_id = a.id AND s.active = 1
         JOIN sealed_window w ON w.stream_id = s.id AND w.to_s > a.horizon_s
              AND w.from_s >= coalesce(
                  (SELECT max(from_s) FROM sealed_window
                   WHERE stream_id = s.id AND from_s <= a.horizon_s), a.horizon_s)
    GROUP BY s.account_id";

/// Returns one row of numbers for each account. `lost` is the wanted history behind the horizon,
/// less its sealed part. What had expired before a stream was first fetched is not part of it,
/// unless the first fetch was later than
/// [`FIRST_FETCH_GRACE_S`](crate::store::limits::FIRST_FETCH_GRACE_S) after the stream was first
/// followed. `CROSS JOIN` fixes the order of the join on SQLite: the few windows in doubt come first,
/// through their own index.
pub(in crate::store) const ACCOUNT_SUMMARIES: &str = "
    SELECT a.id, a.name AS account, a.provider, a.horizon_s, a.settled_s, a.wanted_to_s,
           a.retention_s, a.paused_until_ms, a.paused_reason, a.refused_credentials,
           (SELECT count(*) FROM stream s
            WHERE s.account_id = a.id AND s.active = 1) AS streams,
           (SELECT count(s.error) FROM stream s
            WHERE s.account_id = a.id AND s.active = 1) AS failing,
           (SELECT count(*) FROM quarantined_message q WHERE q.account_id = a.id) AS quarantined,
           (SELECT count(*) FROM sealed_window w CROSS JOIN stream s
            WHERE w.doubt IS NOT NULL AND s.id = w.stream_id
              AND s.account_id = a.id AND s.active = 1) AS suspect,
           (SELECT count(*) FROM sealed_window w CROSS JOIN stream s
            WHERE w.doubt IS NOT NULL AND s.id = w.stream_id AND w.to_s <= a.horizon_s
              AND s.account_id = a.id AND s.active = 1) AS expired_suspect,
           (SELECT min((SELECT w.to_s FROM sealed_window w
                        WHERE w.stream_id = s.id ORDER BY w.from_s DESC LIMIT 1))
            FROM stream s WHERE s.account_id = a.id AND s.active = 1) AS sealed_to_s,
           CAST(coalesce((
               SELECT sum(e.edge_s - s.start_s - coalesce((
                   SELECT sum(CASE WHEN w.to_s < e.edge_s THEN w.to_s ELSE e.edge_s END
                              - CASE WHEN w.from_s > s.start_s THEN w.from_s ELSE s.start_s END)
                   FROM sealed_window w
                   WHERE w.stream_id = s.id AND w.from_s < e.edge_s AND w.to_s > s.start_s), 0))
               FROM (SELECT id, account_id, active,
                            CASE WHEN wanted_from_s > first_s OR wanted_from_s > fetchable_s
                                 THEN wanted_from_s
                                 WHEN first_s < fetchable_s THEN first_s
                                 ELSE fetchable_s END AS start_s
                     FROM (SELECT f.id, f.account_id, f.active, f.wanted_from_s,
                                  f.followed_at_s - coalesce(b.retention_s, 0) + 3600
                                      AS fetchable_s,
                                  (SELECT min(from_s) FROM sealed_window
                                   WHERE stream_id = f.id) AS first_s
                           FROM stream f JOIN account b ON b.id = f.account_id) fetched) s
                    JOIN (SELECT id, CASE WHEN horizon_s < settled_s THEN horizon_s
                                          ELSE settled_s END AS edge_s
                          FROM account WHERE horizon_s IS NOT NULL) e ON e.id = s.account_id
               WHERE s.account_id = a.id AND s.active = 1 AND s.start_s < e.edge_s), 0)
               AS BIGINT) AS lost
    FROM account a
    ORDER BY a.name";

pub(in crate::store) const RECENT_PASSES: &str = "
    SELECT a.name AS account, r.purpose, r.started_at_ms, r.finished_at_ms, r.requests, r.new,
           r.changed, r.windows, r.errors, r.last_error, r.lag_s
    FROM run r JOIN account a ON a.id = r.account_id
    ORDER BY r.started_at_ms DESC, r.id DESC
    LIMIT $1";

/// Returns the totals of passes by account and time bucket. Binds the first moment and the length
/// of a bucket, in ms.
pub(in crate::store) const THROUGHPUT: &str = "
    SELECT a.name AS account, r.nth, r.requests, r.new, r.errors, r.lag_s
    FROM (SELECT account_id, started_at_ms / $2 AS nth, CAST(sum(requests) AS BIGINT) AS requests,
                 CAST(sum(new) AS BIGINT) AS new, CAST(sum(errors) AS BIGINT) AS errors,
                 max(lag_s) AS lag_s
          FROM run WHERE started_at_ms >= $1 GROUP BY account_id, started_at_ms / $2) r
         JOIN account a ON a.id = r.account_id
    ORDER BY r.nth, a.name";

/// Returns the requests and the duration of the passes of a minimum length, and the time of the
/// last pass of any length. Binds the first moment and the minimum length, in ms.
pub(in crate::store) const REQUEST_RATES: &str = "
    SELECT a.name AS account, CAST(coalesce(sum(r.requests), 0) AS BIGINT) AS requests,
           CAST(coalesce(sum(r.finished_at_ms - r.started_at_ms), 0) AS BIGINT) AS busy_ms,
           (SELECT max(coalesce(finished_at_ms, started_at_ms)) FROM run
            WHERE account_id = a.id) AS last_ms
    FROM account a
         LEFT JOIN run r ON r.account_id = a.id AND r.started_at_ms >= $1
              AND r.finished_at_ms - r.started_at_ms >= $2
    GROUP BY a.id, a.name
    ORDER BY a.name";

/// Returns the ledger rows of a stream added up by the days on which they begin and end. Binds the
/// stream and a window.
pub(in crate::store) const LEDGER_DAYS: &str = "
    SELECT min(from_s) AS from_s, max(to_s) AS to_s, CAST(sum(messages) AS BIGINT) AS messages,
           CAST(sum(to_s - from_s) AS BIGINT) AS seconds, CAST(suspect AS BIGINT) AS suspect
    FROM (SELECT from_s, to_s, messages, CASE WHEN doubt IS NULL THEN 0 ELSE 1 END AS suspect,
                 from_s / 86400 AS first, (to_s - 1) / 86400 AS last
          FROM sealed_window
          WHERE stream_id = $1 AND from_s < $3 AND to_s > $2
            AND from_s >= coalesce((SELECT max(from_s) FROM sealed_window
                                    WHERE stream_id = $1 AND from_s <= $2), $2)) w
    GROUP BY first, last, w.suspect
    ORDER BY first, last, w.suspect";

/// Returns the hours in which a stream has messages. Each hour leads to the next by one lookup of
/// the first message after its end. `$1` is the hour before the first one wanted, `$2` the end in
/// ms. `+ 0` keeps the planner from choosing another index.
macro_rules! active_hours {
    ($path:literal) => {
        concat!(
            "WITH RECURSIVE active (hour) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT (",
            "SELECT m.sent_at_ms / 3600000",
            " FROM message m JOIN conversation c ON c.id = m.conversation_id WHERE ",
            $path,
            " AND m.sent_at_ms >= (active.hour + 1) * 3600000 AND m.sent_at_ms < $2",
            " AND c.account_id = (SELECT id FROM account WHERE name = $3)",
            " AND ($4 IS NULL OR m.sender_id + 0 = (SELECT id FROM name WHERE value = $4))",
            " AND ($5 IS NULL OR m.recipient_id + 0 = (SELECT id FROM name WHERE value = $5))",
            " AND ($6 IS NULL OR c.name = $6)",
            " ORDER BY m.sent_at_ms LIMIT 1) FROM active WHERE active.hour IS NOT NULL)",
            " SELECT hour FROM active WHERE hour > $1 ORDER BY hour"
        )
    };
}

pub(in crate::store) const ACTIVE_HOURS: PerAccessPath = PerAccessPath {
    by_conversation: active_hours!(
        "m.conversation_id = (SELECT c.id FROM conversation c \
         JOIN account a ON a.id = c.account_id WHERE a.name = $3 AND c.name = $6)"
    ),
    by_sender: active_hours!("m.sender_id = (SELECT id FROM name WHERE value = $4)"),
    by_recipient: active_hours!("m.recipient_id = (SELECT id FROM name WHERE value = $5)"),
};
