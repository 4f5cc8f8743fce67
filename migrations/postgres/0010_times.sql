-- When messages were sent, for counting: without joins, so that a range of time is counted from an index alone. (Of a
-- join that it has found out it does not need, Postgres 15 reads the columns all the same.)
CREATE VIEW times AS
SELECT TIMESTAMPTZ 'epoch' + m.sent_at_ms * INTERVAL '1 millisecond' AS sent_at,
       m.sent_at_ms                                                  AS sent_at_ms,
       CAST(m.conversation_id AS BIGINT)                             AS conversation_id,
       CAST(m.sender_id AS BIGINT)                                   AS sender_id
FROM message m;
