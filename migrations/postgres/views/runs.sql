-- The passes of the engine.
CREATE OR REPLACE VIEW runs AS
SELECT a.name    AS account,
       r.purpose AS why,
       instant(r.started_at_ms) AS started_at,
       instant(r.finished_at_ms) AS finished_at,
       r.requests,
       r.new,
       r.changed,
       r.windows,
       r.errors,
       r.last_error,
       r.lag_s   AS lag_seconds
FROM run r
     JOIN account a ON a.id = r.account_id;

COMMENT ON VIEW runs IS
    'The passes of the engine, for 90 days.';
COMMENT ON COLUMN runs.account IS 'The name of the account in the configuration.';
COMMENT ON COLUMN runs.why IS 'sync, reconcile, refresh or repair.';
COMMENT ON COLUMN runs.started_at IS 'The start of the pass.';
COMMENT ON COLUMN runs.finished_at IS
    'The end of the pass. NULL: it is under way, or its process ended before it did.';
COMMENT ON COLUMN runs.requests IS 'The number of requests.';
COMMENT ON COLUMN runs.new IS 'The number of messages that were not in the archive.';
COMMENT ON COLUMN runs.changed IS 'The number of messages of which something was learned.';
COMMENT ON COLUMN runs.windows IS 'The number of windows.';
COMMENT ON COLUMN runs.errors IS 'The number of errors.';
COMMENT ON COLUMN runs.last_error IS 'The latest error.';
COMMENT ON COLUMN runs.lag_seconds IS
    'The lag of the stream that was furthest behind at the end of the pass.';
