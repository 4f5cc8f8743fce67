-- Time ranges that are wanted and not sealed.
DROP VIEW IF EXISTS gaps;
CREATE VIEW gaps AS
WITH edges AS (
    SELECT stream_id, from_s, to_s
    FROM sealed_window
    UNION ALL
    -- An empty window at the end of each stream, so that a gap at the end has a window behind it.
    SELECT s.id, a.wanted_to_s, a.wanted_to_s
    FROM stream s
         JOIN account a ON a.id = s.account_id
    WHERE s.active
),
holes AS (
    -- From the end of the previous window to the start of this one.
    SELECT e.stream_id,
           max(
               s.wanted_from_s,
               coalesce(lag(e.to_s) OVER (PARTITION BY e.stream_id ORDER BY e.from_s, e.to_s),
                        s.wanted_from_s)) AS from_s,
           min(e.from_s, a.wanted_to_s) AS to_s
    FROM edges e
         JOIN stream s ON s.id = e.stream_id
         JOIN account a ON a.id = s.account_id
    WHERE s.active
),
cut AS (
    -- The part before the horizon is lost; the rest can still be fetched.
    SELECT h.stream_id, h.from_s, min(h.to_s, a.horizon_s) AS to_s, 1 AS lost
    FROM holes h
         JOIN stream s ON s.id = h.stream_id
         JOIN account a ON a.id = s.account_id
    WHERE h.from_s < a.horizon_s
    UNION ALL
    SELECT h.stream_id, max(h.from_s, coalesce(a.horizon_s, h.from_s)), h.to_s, 0
    FROM holes h
         JOIN stream s ON s.id = h.stream_id
         JOIN account a ON a.id = s.account_id
)
SELECT a.name AS account,
       s.key  AS stream,
       strftime('%Y-%m-%dT%H:%M:%fZ', h.from_s, 'unixepoch') AS from_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', h.to_s, 'unixepoch') AS to_at,
       CASE WHEN h.lost THEN 'behind the provider''s retention edge before it was fetched'
            WHEN h.from_s >= a.settled_s THEN 'fetched, but too young to be final'
            ELSE coalesce(s.error, a.paused_reason, 'not fetched yet') END AS reason,
       h.lost AS lost,
       strftime('%Y-%m-%dT%H:%M:%fZ', h.from_s + a.retention_s, 'unixepoch') AS expires_at
FROM cut h
     JOIN stream s ON s.id = h.stream_id
     JOIN account a ON a.id = s.account_id
WHERE h.from_s < h.to_s;
