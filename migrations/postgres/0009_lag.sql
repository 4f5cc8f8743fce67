-- How far the account's stream that is furthest behind lagged when a pass ended, in seconds; NULL where the pass was told
-- what of the history is wanted, has not ended, or ended before this was written down.
ALTER TABLE run ADD COLUMN lag_s BIGINT;

CREATE OR REPLACE VIEW runs AS
SELECT a.name AS account,
       r.why  AS why,
       TIMESTAMPTZ 'epoch' + r.started_at_ms * INTERVAL '1 millisecond'  AS started_at,
       TIMESTAMPTZ 'epoch' + r.finished_at_ms * INTERVAL '1 millisecond' AS finished_at,
       r.requests, r.new, r.changed, r.windows, r.errors, r.last_error, r.lag_s AS lag_seconds
FROM run r JOIN account a ON a.id = r.account_id;
