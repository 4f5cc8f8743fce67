-- The time of each message, for counting. It has no joins, so that a range of time is counted from
-- an index alone. (Postgres 15 drops a join that it does not need, but still reads its columns.)
CREATE OR REPLACE VIEW times AS
SELECT TIMESTAMPTZ 'epoch' + m.sent_at_ms * INTERVAL '1 millisecond' AS sent_at,
       m.sent_at_ms                                                  AS sent_at_ms,
       CAST(m.conversation_id AS BIGINT)                             AS conversation_id,
       CAST(m.sender_id AS BIGINT)                                   AS sender_id
FROM message m;
