-- The days (UTC) on which something was said in a conversation, and whether all of it is archived.
DROP VIEW IF EXISTS days;
CREATE VIEW days AS
WITH spoken AS (
    -- start_ms: midnight, also before 1970, where a remainder is negative.
    SELECT conversation_id,
           sent_at_ms - (sent_at_ms % 86400000 + 86400000) % 86400000 AS start_ms,
           count(1) AS messages
    FROM message
    GROUP BY 1, 2
)
SELECT a.name                                                         AS account,
       c.name                                                         AS conversation,
       strftime('%Y-%m-%d', d.start_ms / 1000, 'unixepoch')           AS day,
       d.messages                                                     AS messages,
       CASE WHEN max(p.from_ms <= d.start_ms AND p.to_ms >= d.start_ms + 86400000) = 1
            THEN 'complete'
            WHEN count(p.from_ms) > 0 THEN 'partial'
            ELSE 'unknown' END                                        AS state,
       d.conversation_id                                              AS conversation_id
FROM spoken d
     JOIN conversation c ON c.id = d.conversation_id
     JOIN account a ON a.id = c.account_id
     LEFT JOIN completeness p ON p.conversation_id = d.conversation_id
          AND p.from_ms < d.start_ms + 86400000 AND p.to_ms > d.start_ms
GROUP BY d.conversation_id, d.start_ms;
