-- Messages that could not be parsed or stored.
DROP VIEW IF EXISTS quarantine;
CREATE VIEW quarantine AS
SELECT a.name                                                 AS account,
       a.provider                                             AS provider,
       s.key                                                  AS stream,
       strftime('%Y-%m-%dT%H:%M:%fZ', q.from_s, 'unixepoch')  AS from_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', q.to_s, 'unixepoch')    AS to_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', q.found_at_ms / 1000.0, 'unixepoch') AS found_at,
       q.reason                                               AS reason,
       q.raw                                                  AS raw
FROM quarantined_message q
     LEFT JOIN account a ON a.id = q.account_id
     LEFT JOIN stream s ON s.id = q.stream_id;
