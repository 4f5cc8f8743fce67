-- Time ranges that are wanted and not sealed.
--
-- `json_each('[0, 1]')` doubles rows where UNION ALL would be usual: DuckDB's SQLite scanner writes
-- a UNION in a way that SQLite does not read.
DROP VIEW IF EXISTS gaps;
CREATE VIEW gaps AS
WITH edges AS (
    -- The windows of each stream, and an empty one at its end, so that a gap at the end has a
    -- window behind it.
    SELECT s.id                              AS stream_id,
           coalesce(w.from_s, a.wanted_to_s) AS from_s,
           coalesce(w.to_s, a.wanted_to_s)   AS to_s
    FROM json_each('[0, 1]') AS is_window
         CROSS JOIN stream s
         JOIN account a ON a.id = s.account_id
         LEFT JOIN sealed_window w ON w.stream_id = s.id AND is_window.value = 1
    WHERE s.active AND (is_window.value = 0 OR w.stream_id IS NOT NULL)
),
holes AS (
    -- From the end of the previous window to the start of this one.
    SELECT e.stream_id,
           max(s.wanted_from_s, coalesce(lag(e.to_s) OVER in_order, s.wanted_from_s)) AS from_s,
           min(e.from_s, a.wanted_to_s) AS to_s,
           lag(e.to_s) OVER in_order IS NULL AS is_first
    FROM edges e
         JOIN stream s ON s.id = e.stream_id
         JOIN account a ON a.id = s.account_id
    WINDOW in_order AS (PARTITION BY e.stream_id ORDER BY e.from_s, e.to_s)
),
cut AS (
    -- The part before the horizon is lost; the rest can still be fetched. Without a horizon the
    -- lost part has no end, and is left out below. What had expired before the first fetch of a
    -- stream is neither, if that was within an hour after the stream was first followed.
    SELECT h.stream_id,
           CASE WHEN is_lost.value = 0 THEN max(h.from_s, coalesce(a.horizon_s, h.from_s))
                WHEN h.is_first
                THEN max(h.from_s, s.followed_at_s - coalesce(a.retention_s, 0) + 3600)
                ELSE h.from_s END AS from_s,
           CASE WHEN is_lost.value = 1 THEN min(h.to_s, a.horizon_s)
                ELSE h.to_s END AS to_s,
           is_lost.value        AS lost
    FROM json_each('[0, 1]') AS is_lost
         CROSS JOIN holes h
         JOIN stream s ON s.id = h.stream_id
         JOIN account a ON a.id = s.account_id
)
SELECT a.name AS account,
       s.key  AS stream,
       strftime('%Y-%m-%dT%H:%M:%fZ', h.from_s, 'unixepoch') AS from_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', h.to_s, 'unixepoch') AS to_at,
       CASE WHEN h.lost THEN 'behind the provider''s retention edge before it was fetched'
            WHEN h.from_s >= a.settled_s THEN 'fetched, but too young to be final'
            ELSE coalesce(s.error, a.error, a.paused_reason, 'not fetched yet') END AS reason,
       h.lost AS lost,
       strftime('%Y-%m-%dT%H:%M:%fZ', h.from_s + a.retention_s, 'unixepoch') AS expires_at
FROM cut h
     JOIN stream s ON s.id = h.stream_id
     JOIN account a ON a.id = s.account_id
WHERE h.from_s < h.to_s;
