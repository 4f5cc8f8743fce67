-- The time of each message, for counting. It has no joins, so that a range of time is counted from
-- an index alone. (Postgres 15 drops a join that it does not need, but still reads its columns.)
CREATE OR REPLACE VIEW times AS
SELECT instant(m.sent_at_ms) AS sent_at,
       m.sent_at_ms                                                  AS sent_at_ms,
       CAST(m.conversation_id AS BIGINT)                             AS conversation_id,
       CAST(m.sender_id AS BIGINT)                                   AS sender_id
FROM message m;

COMMENT ON VIEW times IS
    'The time of each message, for counting: a range of sent_at_ms is counted from an index alone.';
COMMENT ON COLUMN times.sent_at IS
    'The time of sending, according to the provider. To filter or sort, use sent_at_ms: '
    'it has an index.';
COMMENT ON COLUMN times.sent_at_ms IS 'The time of sending in milliseconds since 1970.';
COMMENT ON COLUMN times.conversation_id IS
    'The number of the conversation. It has an index together with sent_at_ms.';
COMMENT ON COLUMN times.sender_id IS
    'The number of the sender. It has an index together with sent_at_ms.';
