-- Time ranges that are wanted and not sealed.
CREATE OR REPLACE VIEW gaps AS
WITH edges AS (
    SELECT stream_id, from_s, to_s
    FROM sealed_window
    UNION ALL
    -- An empty window at the end of each stream, so that a gap at the end has a window behind it.
    SELECT s.id, a.wanted_to_s, a.wanted_to_s
    FROM stream s
         JOIN account a ON a.id = s.account_id
    WHERE s.active = 1
),
holes AS (
    -- From the end of the previous window to the start of this one.
    SELECT e.stream_id,
           greatest(
               s.wanted_from_s,
               coalesce(lag(e.to_s) OVER (PARTITION BY e.stream_id ORDER BY e.from_s, e.to_s),
                        s.wanted_from_s)) AS from_s,
           least(e.from_s, a.wanted_to_s) AS to_s
    FROM edges e
         JOIN stream s ON s.id = e.stream_id
         JOIN account a ON a.id = s.account_id
    WHERE s.active = 1
),
cut AS (
    -- The part before the horizon is lost; the rest can still be fetched.
    SELECT h.stream_id, h.from_s, least(h.to_s, a.horizon_s) AS to_s, 1 AS lost
    FROM holes h
         JOIN stream s ON s.id = h.stream_id
         JOIN account a ON a.id = s.account_id
    WHERE h.from_s < a.horizon_s
    UNION ALL
    SELECT h.stream_id, greatest(h.from_s, coalesce(a.horizon_s, h.from_s)), h.to_s, 0
    FROM holes h
         JOIN stream s ON s.id = h.stream_id
         JOIN account a ON a.id = s.account_id
)
SELECT a.name AS account,
       s.key  AS stream,
       TIMESTAMPTZ 'epoch' + h.from_s * INTERVAL '1 second' AS from_at,
       TIMESTAMPTZ 'epoch' + h.to_s * INTERVAL '1 second' AS to_at,
       CASE WHEN h.lost = 1 THEN 'behind the provider''s retention edge before it was fetched'
            WHEN h.from_s >= a.settled_s THEN 'fetched, but too young to be final'
            ELSE coalesce(s.error, a.paused_reason, 'not fetched yet') END AS reason,
       CAST(h.lost AS BIGINT) AS lost,
       TIMESTAMPTZ 'epoch' + (h.from_s + a.retention_s) * INTERVAL '1 second' AS expires_at
FROM cut h
     JOIN stream s ON s.id = h.stream_id
     JOIN account a ON a.id = s.account_id
WHERE h.from_s < h.to_s;
