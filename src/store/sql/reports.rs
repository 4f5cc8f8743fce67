//! Statements by which the archive is told of at a glance: they read sums, and of the ledger what reaches beyond the
//! horizon.

/// Where the ledger rows of each active stream begin that reach beyond the horizon. Rows do not overlap: no row before
/// the last that begins at the horizon or before does so.
macro_rules! with_reach {
    ($($statement:literal),+ $(,)?) => {
        concat!(
            "WITH reach AS MATERIALIZED (",
            " SELECT s.id AS stream_id, coalesce(a.horizon_s, -9223372036854775807) AS horizon_s,",
            " coalesce((SELECT max(from_s) FROM sealed_window WHERE stream_id = s.id AND from_s <= a.horizon_s),",
            " a.horizon_s, -9223372036854775807) AS start_s",
            " FROM stream s JOIN account a ON a.id = s.account_id WHERE s.active = 1)",
            $($statement),+
        )
    };
}

/// An account whose credentials were refused at once has no stream yet, but a pause that somebody must know of. Of the
/// ledger only sums are read, and what reaches beyond the horizon: a long history costs little more than a short one.
pub(in crate::store) const STATUS: &str = with_reach!(
    ", totals AS (
        SELECT stream_id, CAST(sum(messages) AS BIGINT) AS messages, CAST(sum(to_s - from_s) AS BIGINT) AS seconds
        FROM sealed_window GROUP BY stream_id),
    aside AS (SELECT stream_id, count(*) AS quarantined FROM quarantine GROUP BY stream_id)
    SELECT coalesce(s.id, 0) AS id, a.id AS account_id, a.name AS account, a.provider, coalesce(s.key, '(none yet)') AS key,
           coalesce(s.wanted_from_s, a.settled_s) AS wanted_from_s, a.settled_s, a.wanted_to_s, a.horizon_s,
           a.retention_s, s.error, s.hint, a.paused_until_ms, a.paused_reason, a.settle_override_s,
           a.discovery_error, a.discovery_hint, coalesce(s.discovered, 0) AS discovered,
           s.sender, s.recipient, s.conversation,
           coalesce(t.messages, 0) AS messages, coalesce(t.seconds, 0) AS sealed_seconds,
           coalesce(q.quarantined, 0) AS quarantined,
           (SELECT count(*) FROM sealed_window w WHERE w.stream_id = s.id AND doubt IS NOT NULL) AS suspect,
           (SELECT CAST(sum(CASE WHEN to_s > s.wanted_from_s THEN s.wanted_from_s ELSE to_s END - from_s) AS BIGINT)
            FROM sealed_window w WHERE w.stream_id = s.id AND from_s < s.wanted_from_s) AS unwanted_seconds,
           (SELECT CAST(sum(messages) AS BIGINT) FROM sealed_window w
            WHERE w.stream_id = s.id AND from_s >= r.start_s AND to_s > r.horizon_s) AS recent_messages,
           (SELECT from_s FROM sealed_window w
            WHERE w.stream_id = s.id AND from_s >= r.start_s AND to_s > r.horizon_s ORDER BY from_s LIMIT 1) AS first_s
    FROM account a
         LEFT JOIN stream s ON s.account_id = a.id AND s.active = 1
         LEFT JOIN reach r ON r.stream_id = s.id
         LEFT JOIN totals t ON t.stream_id = s.id
         LEFT JOIN aside q ON q.stream_id = s.id
    WHERE s.id IS NOT NULL OR a.paused_until_ms IS NOT NULL OR a.discovery_error IS NOT NULL
    ORDER BY a.name, s.key"
);

/// Where each unbroken run of ledger rows ends of those that reach beyond the horizon, and where the next one begins.
/// (To SQLite `CROSS` says from where to where it is to go.)
pub(in crate::store) const RUN_ENDS_OF_ACTIVE_STREAMS: &str = with_reach!(
    " SELECT w.stream_id, w.to_s,
           (SELECT min(from_s) FROM sealed_window n WHERE n.stream_id = w.stream_id AND n.from_s > w.to_s) AS next_s
    FROM reach r CROSS JOIN sealed_window w
    WHERE w.stream_id = r.stream_id AND w.from_s >= r.start_s AND w.to_s > r.horizon_s
      AND NOT EXISTS (SELECT 1 FROM sealed_window n WHERE n.stream_id = w.stream_id AND n.from_s = w.to_s)
    ORDER BY w.stream_id, w.from_s"
);

/// The same of all rows of one stream.
pub(in crate::store) const RUN_ENDS_OF_STREAM: &str = "
    SELECT w.stream_id, w.to_s,
           (SELECT min(from_s) FROM sealed_window n WHERE n.stream_id = w.stream_id AND n.from_s > w.to_s) AS next_s,
           (SELECT min(from_s) FROM sealed_window n WHERE n.stream_id = w.stream_id) AS first_s
    FROM sealed_window w
    WHERE w.stream_id = $1
      AND NOT EXISTS (SELECT 1 FROM sealed_window n WHERE n.stream_id = w.stream_id AND n.from_s = w.to_s)
    ORDER BY w.from_s";

/// What is missing of the active streams and could still be had: from where a run of sealed windows ends, or a stream's
/// history begins, to where the next begins. As rows of a stream do not overlap, a run ends where no row begins at
/// another's end.
pub(in crate::store) const MISSING_RANGES: &str = "
    WITH wanted AS (
        SELECT s.id, s.account_id, a.settled_s,
               CASE WHEN a.horizon_s > s.wanted_from_s THEN a.horizon_s ELSE s.wanted_from_s END AS from_s
        FROM stream s JOIN account a ON a.id = s.account_id
        WHERE s.active = 1),
    begun AS (
        SELECT id, account_id, settled_s, from_s,
               (SELECT max(w.from_s) FROM sealed_window w WHERE w.stream_id = wanted.id AND w.from_s <= wanted.from_s) AS first_s
        FROM wanted
        WHERE from_s < settled_s),
    ends AS (
        SELECT b.id, b.account_id, b.settled_s, w.to_s AS from_s
        FROM begun b JOIN sealed_window w ON w.stream_id = b.id AND w.from_s >= coalesce(b.first_s, b.from_s)
        WHERE w.to_s > b.from_s AND w.to_s < b.settled_s
          AND NOT EXISTS (SELECT 1 FROM sealed_window n WHERE n.stream_id = w.stream_id AND n.from_s = w.to_s)
        UNION ALL
        SELECT b.id, b.account_id, b.settled_s, b.from_s
        FROM begun b
        WHERE NOT EXISTS (
            SELECT 1 FROM sealed_window w WHERE w.stream_id = b.id AND w.from_s = b.first_s AND w.to_s > b.from_s)),
    holes AS (
        SELECT id, account_id, settled_s, from_s,
               (SELECT min(w.from_s) FROM sealed_window w WHERE w.stream_id = ends.id AND w.from_s > ends.from_s) AS next_s
        FROM ends)
    SELECT id AS stream_id, account_id, from_s, CASE WHEN next_s < settled_s THEN next_s ELSE settled_s END AS to_s
    FROM holes
    ORDER BY account_id, from_s, id";

/// What the active streams had in sealed windows that their provider still had, where it forgets.
pub(in crate::store) const RECENT_TOTALS: &str = "
    SELECT s.account_id, CAST(coalesce(sum(w.messages), 0) AS BIGINT) AS messages,
           CAST(coalesce(sum(w.to_s - w.from_s), 0) AS BIGINT) AS seconds
    FROM account a
         JOIN stream s ON s.account_id = a.id AND s.active = 1
         JOIN sealed_window w ON w.stream_id = s.id AND w.to_s > a.horizon_s
              AND w.from_s >= coalesce(
                  (SELECT max(from_s) FROM sealed_window WHERE stream_id = s.id AND from_s <= a.horizon_s), a.horizon_s)
    GROUP BY s.account_id";

/// `lost` is what was wanted behind the horizon, less what is sealed of it. SQLite joins crosswise in the order given:
/// the few windows that are in doubt come first, by their own index.
pub(in crate::store) const ACCOUNT_SUMMARIES: &str = "
    SELECT a.id, a.name AS account, a.provider, a.horizon_s, a.settled_s, a.wanted_to_s, a.retention_s,
           a.paused_until_ms, a.paused_reason,
           (SELECT count(*) FROM stream s WHERE s.account_id = a.id AND s.active = 1) AS streams,
           (SELECT count(s.error) FROM stream s WHERE s.account_id = a.id AND s.active = 1) AS failing,
           (SELECT count(*) FROM quarantine q WHERE q.account_id = a.id) AS quarantined,
           (SELECT count(*) FROM sealed_window w CROSS JOIN stream s
            WHERE w.doubt IS NOT NULL AND s.id = w.stream_id AND s.account_id = a.id AND s.active = 1) AS suspect,
           (SELECT min((SELECT w.to_s FROM sealed_window w WHERE w.stream_id = s.id ORDER BY w.from_s DESC LIMIT 1))
            FROM stream s WHERE s.account_id = a.id AND s.active = 1) AS sealed_to_s,
           CAST(coalesce((
               SELECT sum(e.edge_s - s.wanted_from_s - coalesce((
                   SELECT sum(CASE WHEN w.to_s < e.edge_s THEN w.to_s ELSE e.edge_s END
                              - CASE WHEN w.from_s > s.wanted_from_s THEN w.from_s ELSE s.wanted_from_s END)
                   FROM sealed_window w
                   WHERE w.stream_id = s.id AND w.from_s < e.edge_s AND w.to_s > s.wanted_from_s), 0))
               FROM stream s
                    JOIN (SELECT id, CASE WHEN horizon_s < settled_s THEN horizon_s ELSE settled_s END AS edge_s
                          FROM account WHERE horizon_s IS NOT NULL) e ON e.id = s.account_id
               WHERE s.account_id = a.id AND s.active = 1 AND s.wanted_from_s < e.edge_s), 0) AS BIGINT) AS lost
    FROM account a
    ORDER BY a.name";

pub(in crate::store) const RECENT_PASSES: &str = "
    SELECT a.name AS account, r.purpose, r.started_at_ms, r.finished_at_ms, r.requests, r.new, r.changed, r.windows, r.errors,
           r.last_error, r.lag_s
    FROM run r JOIN account a ON a.id = r.account_id
    ORDER BY r.started_at_ms DESC, r.id DESC
    LIMIT $1";

/// Binds a moment and a length, in ms.
pub(in crate::store) const THROUGHPUT: &str = "
    SELECT a.name AS account, r.nth, r.requests, r.new, r.errors, r.lag_s
    FROM (SELECT account_id, started_at_ms / $2 AS nth, CAST(sum(requests) AS BIGINT) AS requests,
                 CAST(sum(new) AS BIGINT) AS new, CAST(sum(errors) AS BIGINT) AS errors, max(lag_s) AS lag_s
          FROM run WHERE started_at_ms >= $1 GROUP BY account_id, started_at_ms / $2) r
         JOIN account a ON a.id = r.account_id
    ORDER BY r.nth, a.name";

/// Of the days on which rows of a stream begin and end, what these come to. Binds the stream and a window.
pub(in crate::store) const LEDGER_DAYS: &str = "
    SELECT min(from_s) AS from_s, max(to_s) AS to_s, CAST(sum(messages) AS BIGINT) AS messages,
           CAST(sum(to_s - from_s) AS BIGINT) AS seconds, CAST(suspect AS BIGINT) AS suspect
    FROM (SELECT from_s, to_s, messages, CASE WHEN doubt IS NULL THEN 0 ELSE 1 END AS suspect,
                 from_s / 86400 AS first, (to_s - 1) / 86400 AS last
          FROM sealed_window
          WHERE stream_id = $1 AND from_s < $3 AND to_s > $2
            AND from_s >= coalesce((SELECT max(from_s) FROM sealed_window WHERE stream_id = $1 AND from_s <= $2), $2)) w
    GROUP BY first, last, w.suspect
    ORDER BY first, last, w.suspect";
