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
           greatest(s.wanted_from_s, coalesce(lag(e.to_s) OVER in_order, s.wanted_from_s))
               AS from_s,
           least(e.from_s, a.wanted_to_s) AS to_s,
           lag(e.to_s) OVER in_order IS NULL AS is_first
    FROM edges e
         JOIN stream s ON s.id = e.stream_id
         JOIN account a ON a.id = s.account_id
    WHERE s.active = 1
    WINDOW in_order AS (PARTITION BY e.stream_id ORDER BY e.from_s, e.to_s)
),
cut AS (
    -- The part before the horizon is lost; the rest can still be fetched. What had expired before
    -- the first fetch of a stream is neither, if that was within an hour after the stream was first
    -- followed.
    SELECT h.stream_id,
           CASE WHEN h.is_first
                THEN greatest(h.from_s, s.followed_at_s - coalesce(a.retention_s, 0) + 3600)
                ELSE h.from_s END AS from_s,
           least(h.to_s, a.horizon_s) AS to_s, TRUE AS lost
    FROM holes h
         JOIN stream s ON s.id = h.stream_id
         JOIN account a ON a.id = s.account_id
    WHERE h.from_s < a.horizon_s
    UNION ALL
    SELECT h.stream_id, greatest(h.from_s, coalesce(a.horizon_s, h.from_s)), h.to_s, FALSE
    FROM holes h
         JOIN stream s ON s.id = h.stream_id
         JOIN account a ON a.id = s.account_id
)
SELECT a.name AS account,
       s.key  AS stream,
       instant_s(h.from_s) AS from_at,
       instant_s(h.to_s) AS to_at,
       CASE WHEN h.lost THEN 'behind the provider''s retention edge before it was fetched'
            WHEN h.from_s >= a.settled_s THEN 'fetched, but too young to be final'
            ELSE coalesce(s.error, a.error, a.paused_reason, 'not fetched yet') END AS reason,
       h.lost AS lost,
       instant_s(h.from_s + a.retention_s) AS expires_at
FROM cut h
     JOIN stream s ON s.id = h.stream_id
     JOIN account a ON a.id = s.account_id
WHERE h.from_s < h.to_s;

COMMENT ON VIEW gaps IS
    'Time ranges that are wanted and not sealed.';
COMMENT ON COLUMN gaps.account IS 'The name of the account in the configuration.';
COMMENT ON COLUMN gaps.stream IS
    'The request: destination=lobby, source=alice&destination=bob, topic=group:...';
COMMENT ON COLUMN gaps.from_at IS 'The start of the range.';
COMMENT ON COLUMN gaps.to_at IS 'The end of the range, exclusive.';
COMMENT ON COLUMN gaps.reason IS 'Why the range is not sealed.';
COMMENT ON COLUMN gaps.lost IS 'TRUE if the provider has deleted the range.';
COMMENT ON COLUMN gaps.expires_at IS
    'The time at which the oldest second of the range reaches the retention edge.';
