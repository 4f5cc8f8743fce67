-- One row for each message. The columns are described in docs/SQL.md.
CREATE OR REPLACE VIEW archive AS
SELECT a.name                                                            AS account,
       a.provider                                                        AS provider,
       c.name                                                            AS conversation,
       CASE c.kind WHEN 1 THEN 'peer'
                   WHEN 2 THEN 'channel'
                   WHEN 3 THEN 'group'
                   WHEN 4 THEN 'topic'
                   ELSE 'unknown' END                                    AS conversation_kind,
       s.value                                                           AS sender,
       r.value                                                           AS recipient,
       TIMESTAMPTZ 'epoch' + m.sent_at_ms * INTERVAL '1 millisecond'     AS sent_at,
       m.sent_at_ms                                                      AS sent_at_ms,
       CASE WHEN coalesce(m.is_text, TRUE)
            THEN coalesce(m.body, convert_from(m.payload, 'UTF8')) END   AS body,
       m.payload                                                         AS payload,
       CASE coalesce(m.encoding, 0) WHEN 0 THEN 'utf8'
                                    WHEN 1 THEN 'base64'
                                    ELSE 'raw' END                       AS payload_encoding,
       pt.value                                                          AS payload_type,
       cs.value                                                          AS cipher_suite,
       CASE m.status WHEN 1 THEN 'received'
                     WHEN 2 THEN 'delivered'
                     WHEN 3 THEN 'read' END                              AS status,
       TIMESTAMPTZ 'epoch' + m.status_at_ms * INTERVAL '1 millisecond'   AS status_at,
       m.provider_id                                                     AS provider_message_id,
       CAST(coalesce(m.occurrence, 0) AS BIGINT)                         AS occurrence,
       -- The column counts from 2^31 seconds after 1970.
       TIMESTAMPTZ 'epoch' + (m.archived_at_s + 2147483648) * INTERVAL '1 second'
                                                                         AS archived_at,
       CAST(coalesce(m.extra_readable, m.extra) AS JSONB)                AS extra,
       mt.value                                                          AS message_type,
       m.conversation_id                                                 AS conversation_id,
       m.sender_id                                                       AS sender_id
FROM message m
     LEFT JOIN conversation c ON c.id = m.conversation_id
     LEFT JOIN account a ON a.id = c.account_id
     LEFT JOIN name s ON s.id = m.sender_id
     LEFT JOIN name r ON r.id = m.recipient_id
     LEFT JOIN name pt ON pt.id = m.payload_type_id
     LEFT JOIN name cs ON cs.id = m.cipher_suite_id
     LEFT JOIN name mt ON mt.id = m.message_type_id;
