-- Everyone who has sent a message, over all accounts. Counts are computed only if selected.
CREATE OR REPLACE VIEW senders AS
SELECT s.value                                                              AS sender,
       (SELECT count(*)
        FROM message WHERE sender_id = s.id)                                AS messages,
       (SELECT instant(min(sent_at_ms))
        FROM message WHERE sender_id = s.id)                                AS first_at,
       (SELECT instant(max(sent_at_ms))
        FROM message WHERE sender_id = s.id)                                AS last_at,
       s.id                                                                 AS sender_id
FROM name s
-- max() and not EXISTS: see conversations.sql.
WHERE (SELECT max(sent_at_ms) FROM message WHERE sender_id = s.id) IS NOT NULL;

COMMENT ON VIEW senders IS
    'Everyone who has sent a message, over all accounts. A count is computed only if its '
    'column is selected.';
COMMENT ON COLUMN senders.sender IS 'As the provider spells it, including case.';
COMMENT ON COLUMN senders.messages IS 'The number of messages in the archive.';
COMMENT ON COLUMN senders.first_at IS 'The time of the first message.';
COMMENT ON COLUMN senders.last_at IS 'The time of the latest message.';
COMMENT ON COLUMN senders.sender_id IS
    'The number of the sender. It has an index together with sent_at_ms.';
