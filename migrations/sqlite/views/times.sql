-- The time of each message, for counting. It has no joins, so that a range of time is counted from
-- an index alone.
DROP VIEW IF EXISTS times;
CREATE VIEW times AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', m.sent_at_ms / 1000.0, 'unixepoch') AS sent_at,
       m.sent_at_ms                                                       AS sent_at_ms,
       m.conversation_id                                                  AS conversation_id,
       m.sender_id                                                        AS sender_id
FROM message m;
