-- The days (UTC) on which something was said in a conversation, and whether all of it is archived.
CREATE OR REPLACE VIEW days AS
WITH spoken AS (
    -- start_ms: midnight, also before 1970, where a remainder is negative.
    -- All times outside the years 1 to 9999 are one day, which has no date.
    SELECT conversation_id,
           at_ms - (at_ms % 86400000 + 86400000) % 86400000 AS start_ms,
           count(1) AS messages
    FROM (SELECT conversation_id,
                 greatest(least(sent_at_ms, 253402300800000), -62135683200000) AS at_ms
          FROM message) AS m
    GROUP BY 1, 2
)
SELECT a.name AS account,
       c.name AS conversation,
       CAST(instant(d.start_ms) AT TIME ZONE 'UTC' AS DATE) AS day,
       d.messages AS messages,
       CASE WHEN bool_or(p.from_ms <= d.start_ms AND p.to_ms >= d.start_ms + 86400000)
            THEN 'complete'
            WHEN count(p.from_ms) > 0 THEN 'partial'
            ELSE 'unknown' END AS state,
       CAST(d.conversation_id AS BIGINT) AS conversation_id
FROM spoken d
     JOIN conversation c ON c.id = d.conversation_id
     JOIN account a ON a.id = c.account_id
     LEFT JOIN completeness p ON p.conversation_id = d.conversation_id
          AND p.from_ms < d.start_ms + 86400000 AND p.to_ms > d.start_ms
GROUP BY d.conversation_id, d.start_ms, d.messages, a.name, c.name;

COMMENT ON VIEW days IS
    'The days (UTC) on which something was said in a conversation.';
COMMENT ON COLUMN days.account IS 'The name of the account in the configuration.';
COMMENT ON COLUMN days.conversation IS
    'The channel, group, topic or pair of peers that the message belongs to.';
COMMENT ON COLUMN days.day IS 'The day in UTC.';
COMMENT ON COLUMN days.messages IS 'The number of messages in the archive.';
COMMENT ON COLUMN days.state IS
    'complete: the archive has all of the day. partial: of a part of the day. unknown: no '
    'stream that is followed shows.';
COMMENT ON COLUMN days.conversation_id IS
    'The number of the conversation. It has an index together with sent_at_ms.';
