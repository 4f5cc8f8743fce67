-- Everyone who has sent a message, over all accounts. Counts are computed only if selected.
CREATE OR REPLACE VIEW senders AS
SELECT s.value                                                              AS sender,
       (SELECT count(*)
        FROM message WHERE sender_id = s.id)                                AS messages,
       (SELECT TIMESTAMPTZ 'epoch' + min(sent_at_ms) * INTERVAL '1 millisecond'
        FROM message WHERE sender_id = s.id)                                AS first_at,
       (SELECT TIMESTAMPTZ 'epoch' + max(sent_at_ms) * INTERVAL '1 millisecond'
        FROM message WHERE sender_id = s.id)                                AS last_at,
       s.id                                                                 AS sender_id
FROM name s
-- max() and not EXISTS: see conversations.sql.
WHERE (SELECT max(sent_at_ms) FROM message WHERE sender_id = s.id) IS NOT NULL;
