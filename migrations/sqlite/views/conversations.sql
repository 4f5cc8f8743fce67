-- The conversations that hold messages.
--
-- Counts are subqueries, so that they are computed only if the column is selected: looking up a
-- `conversation_id` costs nothing.
DROP VIEW IF EXISTS conversations;
CREATE VIEW conversations AS
SELECT a.name                                                               AS account,
       c.name                                                               AS conversation,
       CASE c.kind WHEN 1 THEN 'peer'
                   WHEN 2 THEN 'channel'
                   WHEN 3 THEN 'group'
                   WHEN 4 THEN 'topic'
                   ELSE 'unknown' END                                       AS conversation_kind,
       (SELECT count(1)
        FROM message WHERE conversation_id = c.id)                          AS messages,
       (SELECT count(DISTINCT sender_id)
        FROM message WHERE conversation_id = c.id)                          AS participants,
       (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', min(sent_at_ms) / 1000.0, 'unixepoch')
        FROM message WHERE conversation_id = c.id)                          AS first_at,
       (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', max(sent_at_ms) / 1000.0, 'unixepoch')
        FROM message WHERE conversation_id = c.id)                          AS last_at,
       c.id                                                                 AS conversation_id
FROM conversation c
     JOIN account a ON a.id = c.account_id
WHERE (SELECT max(sent_at_ms) FROM message WHERE conversation_id = c.id) IS NOT NULL;
