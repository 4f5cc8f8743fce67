-- The time ranges in which a conversation is complete: all that was said in it is archived, by
-- whichever streams.
--
-- A stream brings a conversation if its scope leaves out nobody who may speak in it. Between two
-- peers it takes both directions, which may come from two streams: the range is what both cover.
DROP VIEW IF EXISTS completeness;
CREATE VIEW completeness AS
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
           quote(s.sender) || '>' || quote(s.recipient) || '@' || quote(s.conversation) AS scope,
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
         JOIN message m ON m.id = (
             SELECT id FROM message
             WHERE conversation_id = c.id ORDER BY sent_at_ms DESC LIMIT 1)
         JOIN name s ON s.id = m.sender_id
         JOIN name r ON r.id = m.recipient_id
         CROSS JOIN json_each('[0, 1]') AS is_answer
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
         CROSS JOIN json_each('[1, 2, 3, 4, 5, 6, 7]') AS parts
         JOIN runs r ON r.account_id = d.account_id
              AND r.scope = CASE WHEN parts.value & 1 THEN quote(d.sender) ELSE 'NULL' END
                  || '>' || CASE WHEN parts.value & 2 THEN quote(d.recipient) ELSE 'NULL' END
                  || '@' || CASE WHEN parts.value & 4 THEN quote(d.name) ELSE 'NULL' END
    WHERE d.sender IS NOT NULL OR parts.value & 1 = 0
)
SELECT a.name                                                                   AS account,
       c.name                                                                   AS conversation,
       strftime('%Y-%m-%dT%H:%M:%fZ', max(o.from_s, coalesce(b.from_s, o.from_s)), 'unixepoch')
                                                                                AS from_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', min(o.to_s, coalesce(b.to_s, o.to_s)), 'unixepoch')
                                                                                AS to_at,
       max(o.from_s, coalesce(b.from_s, o.from_s)) * 1000                       AS from_ms,
       min(o.to_s, coalesce(b.to_s, o.to_s)) * 1000                             AS to_ms,
       c.id                                                                     AS conversation_id
FROM covered o
     JOIN conversation c ON c.id = o.id
     JOIN account a ON a.id = c.account_id
     LEFT JOIN covered b ON b.id = o.id AND b.is_answer = 1 AND c.kind = 1
WHERE o.is_answer = 0
  AND (c.kind <> 1 OR (b.from_s < o.to_s AND o.from_s < b.to_s));
