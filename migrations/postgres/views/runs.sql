-- The passes of the engine.
CREATE OR REPLACE VIEW runs AS
SELECT a.name    AS account,
       r.purpose AS why,
       TIMESTAMPTZ 'epoch' + r.started_at_ms * INTERVAL '1 millisecond' AS started_at,
       TIMESTAMPTZ 'epoch' + r.finished_at_ms * INTERVAL '1 millisecond' AS finished_at,
       r.requests,
       r.new,
       r.changed,
       r.windows,
       r.errors,
       r.last_error,
       r.lag_s   AS lag_seconds
FROM run r
     JOIN account a ON a.id = r.account_id;
