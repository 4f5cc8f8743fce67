-- One row for each message. The columns are described in docs/SQL.md.
--
-- Only the tables that readers filter by are joined. Other names are looked up by subqueries:
-- SQLite carries out every join of an aggregate even if its columns are not used.
--
-- Datasette, among others, shows bytes only in a row that has a `rowid`.
DROP VIEW IF EXISTS archive;
CREATE VIEW archive AS
SELECT a.name                                                               AS account,
       a.provider                                                           AS provider,
       c.name                                                               AS conversation,
       CASE c.kind WHEN 1 THEN 'peer'
                   WHEN 2 THEN 'channel'
                   WHEN 3 THEN 'group'
                   WHEN 4 THEN 'topic'
                   ELSE 'unknown' END                                       AS conversation_kind,
       s.value                                                              AS sender,
       (SELECT value FROM name WHERE id = m.recipient_id)                   AS recipient,
       strftime('%Y-%m-%dT%H:%M:%fZ', m.sent_at_ms / 1000.0, 'unixepoch')   AS sent_at,
       m.sent_at_ms                                                         AS sent_at_ms,
       CASE WHEN m.is_text
            THEN coalesce(m.body, CAST(m.payload AS TEXT)) END              AS body,
       m.payload                                                            AS payload,
       CASE m.encoding WHEN 0 THEN 'utf8'
                       WHEN 1 THEN 'base64'
                       ELSE 'raw' END                                       AS payload_encoding,
       (SELECT value FROM name WHERE id = m.payload_type_id)                AS payload_type,
       (SELECT value FROM name WHERE id = m.cipher_suite_id)                AS cipher_suite,
       CASE m.status WHEN 1 THEN 'received'
                     WHEN 2 THEN 'delivered'
                     WHEN 3 THEN 'read' END                                 AS status,
       strftime('%Y-%m-%dT%H:%M:%fZ', m.status_at_ms / 1000.0, 'unixepoch') AS status_at,
       m.provider_id                                                        AS provider_message_id,
       m.occurrence                                                         AS occurrence,
       strftime('%Y-%m-%dT%H:%M:%fZ', m.archived_at_s, 'unixepoch')         AS archived_at,
       m.extra                                                              AS extra,
       (SELECT value FROM name WHERE id = m.message_type_id)                AS message_type,
       m.conversation_id                                                    AS conversation_id,
       m.sender_id                                                          AS sender_id,
       m.id                                                                 AS id,
       CASE WHEN m.is_text AND json_valid(coalesce(m.body, CAST(m.payload AS TEXT)))
            THEN CASE WHEN json_type(coalesce(m.body, CAST(m.payload AS TEXT)))
                           IN ('object', 'array')
                      THEN coalesce(m.body, CAST(m.payload AS TEXT)) END END AS body_json,
       m.id                                                                 AS rowid
FROM message m
     LEFT JOIN conversation c ON c.id = m.conversation_id
     LEFT JOIN account a ON a.id = c.account_id
     LEFT JOIN name s ON s.id = m.sender_id;
