-- The time ranges in which a conversation is complete: all that was said in it is archived, by
-- whichever streams.
--
-- A stream brings a conversation if its scope leaves out nobody who may speak in it. Between two
-- peers it takes both directions, which may come from two streams: the range is what both cover.
CREATE OR REPLACE VIEW completeness AS
WITH marked AS (
    -- starts: 1 if an unbroken run of certain windows begins with this row.
    SELECT stream_id, from_s, to_s,
           CASE WHEN from_s = lag(to_s) OVER (PARTITION BY stream_id ORDER BY from_s)
                THEN 0 ELSE 1 END AS starts
    FROM sealed_window
    WHERE doubt IS NULL
),
numbered AS (
    SELECT stream_id, from_s, to_s,
           sum(starts) OVER (PARTITION BY stream_id ORDER BY from_s) AS run
    FROM marked
),
runs AS (
    SELECT s.account_id,
           quote_nullable(s.sender) || '>' || quote_nullable(s.recipient)
               || '@' || quote_nullable(s.conversation) AS scope,
           s.id AS stream_id,
           min(n.from_s) AS from_s,
           max(n.to_s)   AS to_s
    FROM numbered n
         JOIN stream s ON s.id = n.stream_id
    GROUP BY s.id, n.run
),
-- Who speaks to whom: two directions for peers, else anybody to the recipient.
directions AS (
    SELECT c.id,
           c.account_id,
           c.name,
           is_answer.value AS is_answer,
           CASE WHEN c.kind = 1 THEN
               CASE WHEN is_answer.value = 1 THEN r.value ELSE s.value END END AS sender,
           CASE WHEN is_answer.value = 1 THEN s.value ELSE r.value END         AS recipient
    FROM conversation c
         CROSS JOIN LATERAL (
             SELECT sender_id, recipient_id FROM message
             WHERE conversation_id = c.id ORDER BY sent_at_ms DESC LIMIT 1
         ) AS m
         JOIN name s ON s.id = m.sender_id
         JOIN name r ON r.id = m.recipient_id
         CROSS JOIN (VALUES (0), (1)) AS is_answer (value)
    WHERE is_answer.value = 0 OR c.kind = 1
),
-- The scopes that bring a direction: some of its three parts are given, the others are open.
covered AS (
    SELECT d.id,
           d.is_answer,
           r.stream_id,
           r.from_s,
           r.to_s
    FROM directions d
         CROSS JOIN generate_series(1, 7) AS parts (value)
         JOIN runs r ON r.account_id = d.account_id
              AND r.scope =
                  CASE WHEN parts.value & 1 <> 0 THEN quote_nullable(d.sender) ELSE 'NULL' END
                  || '>'
                  || CASE WHEN parts.value & 2 <> 0 THEN quote_nullable(d.recipient) ELSE 'NULL' END
                  || '@'
                  || CASE WHEN parts.value & 4 <> 0 THEN quote_nullable(d.name) ELSE 'NULL' END
    WHERE d.sender IS NOT NULL OR parts.value & 1 = 0
)
SELECT a.name AS account,
       c.name AS conversation,
       instant_s(greatest(o.from_s, coalesce(b.from_s, o.from_s))) AS from_at,
       instant_s(least(o.to_s, coalesce(b.to_s, o.to_s))) AS to_at,
       greatest(o.from_s, coalesce(b.from_s, o.from_s)) * 1000 AS from_ms,
       least(o.to_s, coalesce(b.to_s, o.to_s)) * 1000 AS to_ms,
       CAST(c.id AS BIGINT) AS conversation_id
FROM covered o
     JOIN conversation c ON c.id = o.id
     JOIN account a ON a.id = c.account_id
     LEFT JOIN covered b ON b.id = o.id AND b.is_answer = 1 AND c.kind = 1
WHERE o.is_answer = 0
  AND (c.kind <> 1 OR (b.from_s < o.to_s AND o.from_s < b.to_s));

COMMENT ON VIEW completeness IS
    'The ranges in which a conversation is complete: all that was said in it is archived, '
    'by whichever streams.';
COMMENT ON COLUMN completeness.account IS 'The name of the account in the configuration.';
COMMENT ON COLUMN completeness.conversation IS
    'The channel, group, topic or pair of peers that the message belongs to.';
COMMENT ON COLUMN completeness.from_at IS 'The start of the range.';
COMMENT ON COLUMN completeness.to_at IS 'The end of the range, exclusive.';
COMMENT ON COLUMN completeness.from_ms IS 'The start of the range in milliseconds since 1970.';
COMMENT ON COLUMN completeness.to_ms IS
    'The end of the range in milliseconds since 1970, exclusive.';
COMMENT ON COLUMN completeness.conversation_id IS
    'The number of the conversation. It has an index together with sent_at_ms.';
