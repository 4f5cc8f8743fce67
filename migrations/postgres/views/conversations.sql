-- The conversations that hold messages.
--
-- Counts are subqueries, so that they are computed only if the column is selected: looking up a
-- `conversation_id` costs nothing.
CREATE OR REPLACE VIEW conversations AS
SELECT a.name                                                               AS account,
       c.name                                                               AS conversation,
       CASE c.kind WHEN 1 THEN 'peer'
                   WHEN 2 THEN 'channel'
                   WHEN 3 THEN 'group'
                   WHEN 4 THEN 'topic'
                   ELSE 'unknown' END                                       AS conversation_kind,
       (SELECT count(*)
        FROM message WHERE conversation_id = c.id)                          AS messages,
       (SELECT count(DISTINCT sender_id)
        FROM message WHERE conversation_id = c.id)                          AS participants,
       (SELECT instant(min(sent_at_ms))
        FROM message WHERE conversation_id = c.id)                          AS first_at,
       (SELECT instant(max(sent_at_ms))
        FROM message WHERE conversation_id = c.id)                          AS last_at,
       c.id                                                                 AS conversation_id
FROM conversation c
     JOIN account a ON a.id = c.account_id
-- max() and not EXISTS: max() reads one entry of an index, EXISTS may read all messages.
WHERE (SELECT max(sent_at_ms) FROM message WHERE conversation_id = c.id) IS NOT NULL;

COMMENT ON VIEW conversations IS
    'The conversations that hold messages. A count is computed only if its column is selected.';
COMMENT ON COLUMN conversations.account IS 'The name of the account in the configuration.';
COMMENT ON COLUMN conversations.conversation IS
    'The channel, group, topic or pair of peers that the message belongs to.';
COMMENT ON COLUMN conversations.conversation_kind IS 'peer, channel, group, topic or unknown.';
COMMENT ON COLUMN conversations.messages IS 'The number of messages in the archive.';
COMMENT ON COLUMN conversations.participants IS 'The number of users who have sent a message.';
COMMENT ON COLUMN conversations.first_at IS 'The time of the first message.';
COMMENT ON COLUMN conversations.last_at IS 'The time of the latest message.';
COMMENT ON COLUMN conversations.conversation_id IS
    'The number of the conversation. It has an index together with sent_at_ms.';
