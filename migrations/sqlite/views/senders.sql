-- Everyone who has sent a message, over all accounts. Counts are computed only if selected.
DROP VIEW IF EXISTS senders;
CREATE VIEW senders AS
SELECT s.value                                                              AS sender,
       (SELECT count(1)
        FROM message WHERE sender_id = s.id)                                AS messages,
       (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', min(sent_at_ms) / 1000.0, 'unixepoch')
        FROM message WHERE sender_id = s.id)                                AS first_at,
       (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', max(sent_at_ms) / 1000.0, 'unixepoch')
        FROM message WHERE sender_id = s.id)                                AS last_at,
       s.id                                                                 AS sender_id
FROM name s
WHERE (SELECT max(sent_at_ms) FROM message WHERE sender_id = s.id) IS NOT NULL;
