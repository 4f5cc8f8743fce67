-- The highest id up to which no message can be added any more.
--
-- Commits that overlap may become visible in another order than their ids. Each of them therefore
-- holds a shared advisory lock, whose key is the latest id at that time in units of 1,024: all its
-- ids are higher. The latest id has to be read before the locks: LATERAL keeps this order.
-- Locks are not seen on a standby; the answer is NULL there.
CREATE OR REPLACE VIEW archive_end AS
SELECT CASE WHEN NOT pg_is_in_recovery() THEN least(latest.id, underway.id) END AS id
FROM (SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS id FROM message_id) AS latest
     CROSS JOIN LATERAL (
         SELECT min(CAST(objid AS BIGINT)) * 1024 AS id
         FROM pg_locks
         WHERE latest.id IS NOT NULL
           AND locktype = 'advisory'
           AND objsubid = 2
           AND classid = CAST('message_id' AS REGCLASS)
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
     ) AS underway;

COMMENT ON VIEW archive_end IS
    'One row: the latest id. See its column.';
COMMENT ON COLUMN archive_end.id IS
    'The highest id up to which no message can be added any more. NULL on a standby.';
