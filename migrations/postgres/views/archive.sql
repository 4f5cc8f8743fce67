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
       instant(m.sent_at_ms)                                             AS sent_at,
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
       instant(m.status_at_ms)                                           AS status_at,
       m.provider_id                                                     AS provider_message_id,
       CAST(coalesce(m.occurrence, 0) AS BIGINT)                         AS occurrence,
       -- The column counts from 2^31 seconds after 1970.
       instant_s(m.archived_at_s + 2147483648)                           AS archived_at,
       CAST(coalesce(m.extra_readable, m.extra) AS JSONB)                AS extra,
       mt.value                                                          AS message_type,
       m.conversation_id                                                 AS conversation_id,
       m.sender_id                                                       AS sender_id,
       m.id                                                              AS id,
       CASE WHEN m.is_json
            THEN CAST(convert_from(m.payload, 'UTF8') AS JSONB) END      AS body_json,
       m.id                                                              AS rowid
FROM message m
     LEFT JOIN conversation c ON c.id = m.conversation_id
     LEFT JOIN account a ON a.id = c.account_id
     LEFT JOIN name s ON s.id = m.sender_id
     LEFT JOIN name r ON r.id = m.recipient_id
     LEFT JOIN name pt ON pt.id = m.payload_type_id
     LEFT JOIN name cs ON cs.id = m.cipher_suite_id
     LEFT JOIN name mt ON mt.id = m.message_type_id;

COMMENT ON VIEW archive IS
    'The messages, one row each.';
COMMENT ON COLUMN archive.account IS 'The name of the account in the configuration.';
COMMENT ON COLUMN archive.provider IS 'agora or web3mq.';
COMMENT ON COLUMN archive.conversation IS
    'The channel, group, topic or pair of peers that the message belongs to.';
COMMENT ON COLUMN archive.conversation_kind IS 'peer, channel, group, topic or unknown.';
COMMENT ON COLUMN archive.sender IS 'As the provider spells it, including case.';
COMMENT ON COLUMN archive.recipient IS
    'As the provider spells it, including case. To filter, use conversation_id: it has an index.';
COMMENT ON COLUMN archive.sent_at IS
    'The time of sending, according to the provider. To filter or sort, use sent_at_ms: '
    'it has an index.';
COMMENT ON COLUMN archive.sent_at_ms IS 'The time of sending in milliseconds since 1970.';
COMMENT ON COLUMN archive.body IS 'The payload as text. NULL: the payload is not text.';
COMMENT ON COLUMN archive.payload IS 'The exact bytes.';
COMMENT ON COLUMN archive.payload_encoding IS
    'How the provider delivered the payload: utf8, base64 or raw.';
COMMENT ON COLUMN archive.payload_type IS 'The value of Web3MQ.';
COMMENT ON COLUMN archive.cipher_suite IS 'The value of Web3MQ.';
COMMENT ON COLUMN archive.status IS 'The value of Web3MQ: received, delivered or read.';
COMMENT ON COLUMN archive.status_at IS 'The time of the latest change of status.';
COMMENT ON COLUMN archive.provider_message_id IS
    'The messageid of Web3MQ. NULL: the provider has none. To find one quickly, filter by a range '
    'of sent_at_ms or by conversation_id as well.';
COMMENT ON COLUMN archive.occurrence IS
    '0. Of several equal messages in one millisecond the second has 1, and so on.';
COMMENT ON COLUMN archive.archived_at IS
    'The time of archiving, to the second. To continue after earlier messages, use id.';
COMMENT ON COLUMN archive.extra IS 'Further fields of the provider, as a JSON object.';
COMMENT ON COLUMN archive.message_type IS 'The value of Agora.';
COMMENT ON COLUMN archive.conversation_id IS
    'The number of the conversation. It has an index together with sent_at_ms.';
COMMENT ON COLUMN archive.sender_id IS
    'The number of the sender. It has an index together with sent_at_ms.';
COMMENT ON COLUMN archive.id IS
    'The number of the message. It grows with every commit, never changes and is never used again.';
COMMENT ON COLUMN archive.body_json IS
    'The body as JSON if it is a JSON object or array. NULL: it is not.';
COMMENT ON COLUMN archive.rowid IS 'The same as id, under the name that tools for SQLite expect.';
