-- The passes of the engine.
DROP VIEW IF EXISTS runs;
CREATE VIEW runs AS
SELECT a.name    AS account,
       r.purpose AS why,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.started_at_ms / 1000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.finished_at_ms / 1000.0, 'unixepoch') AS finished_at,
       r.requests,
       r.new,
       r.changed,
       r.windows,
       r.errors,
       r.last_error,
       r.lag_s   AS lag_seconds
FROM run r
     JOIN account a ON a.id = r.account_id;
