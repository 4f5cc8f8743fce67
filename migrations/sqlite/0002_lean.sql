-- Fewer bytes and fewer pages for each message, and a day's count that reads one index.
--
-- The account is that of the conversation, and is no longer said twice. `archived_at` is kept to the second.

DROP VIEW archive;
DROP VIEW conversations;

CREATE TABLE message_lean (
    recipient_id    INTEGER NOT NULL,
    sent_at_ms      INTEGER NOT NULL,
    -- Where the message lies among those of its recipient and millisecond: 32 bits of its hash, its account and its
    -- occurrence, or the next free number, should another message have these already. It keeps the unique index
    -- narrow; what a message is, only its hash says.
    slot            INTEGER NOT NULL,
    hash            BLOB NOT NULL,
    occurrence      INTEGER NOT NULL DEFAULT 0,
    conversation_id INTEGER NOT NULL,
    sender_id       INTEGER NOT NULL,
    -- 0 utf8, 1 base64, 2 raw
    encoding        INTEGER NOT NULL DEFAULT 0,
    -- Whether the payload is text; where its bytes are not quite, `body` says them readably.
    is_text         INTEGER NOT NULL DEFAULT 1,
    status          INTEGER,
    status_at_ms    INTEGER,
    message_type_id INTEGER,
    payload_type_id INTEGER,
    cipher_suite_id INTEGER,
    archived_at_s   INTEGER NOT NULL,
    provider_id     TEXT,
    payload         BLOB NOT NULL,
    body            TEXT,
    extra           TEXT
) STRICT;

-- In the old order of rows, which is that of their arrival.
INSERT INTO message_lean
WITH numbered AS (
    SELECT m.*, m.rowid AS arrival,
           (instr('123456789ABCDEF', substr(hex(hash), 1, 1)) << 28) + (instr('123456789ABCDEF', substr(hex(hash), 2, 1)) << 24)
           + (instr('123456789ABCDEF', substr(hex(hash), 3, 1)) << 20) + (instr('123456789ABCDEF', substr(hex(hash), 4, 1)) << 16)
           + (instr('123456789ABCDEF', substr(hex(hash), 5, 1)) << 12) + (instr('123456789ABCDEF', substr(hex(hash), 6, 1)) << 8)
           + (instr('123456789ABCDEF', substr(hex(hash), 7, 1)) << 4) + instr('123456789ABCDEF', substr(hex(hash), 8, 1))
           + (account_id << 16) + occurrence AS number
    FROM message m
),
placed AS (
    SELECT *, number + row_number() OVER (PARTITION BY recipient_id, sent_at_ms, number & 4294967295 ORDER BY hash) - 1 AS place
    FROM numbered
)
SELECT recipient_id, sent_at_ms, ((place + 2147483648) & 4294967295) - 2147483648, hash, occurrence, conversation_id,
       sender_id, encoding, is_text, status, status_at_ms, message_type_id, payload_type_id, cipher_suite_id,
       archived_at_ms / 1000, provider_id, payload, body, extra
FROM placed
ORDER BY arrival;

DROP TABLE message;
ALTER TABLE message_lean RENAME TO message;

-- Every index costs each message as much as the table does: a row is as many bytes as a narrow one is entries.
CREATE UNIQUE INDEX message_identity ON message (recipient_id, sent_at_ms, slot);
CREATE INDEX message_by_conversation ON message (conversation_id, sent_at_ms, sender_id);
CREATE INDEX message_by_sender ON message (sender_id, sent_at_ms);
-- All that the view joins: counting a range of time reads nothing else.
CREATE INDEX message_by_time ON message (sent_at_ms, conversation_id, sender_id);

-- What is searched for is joined. The rest is looked up only where it is asked for: SQLite carries out every join of
-- an aggregate, wanted or not.
CREATE VIEW archive AS
SELECT a.name                                                            AS account,
       a.provider                                                        AS provider,
       c.name                                                            AS conversation,
       CASE c.kind WHEN 1 THEN 'peer' WHEN 2 THEN 'channel' WHEN 3 THEN 'group' WHEN 4 THEN 'topic'
                   ELSE 'unknown' END                                    AS conversation_kind,
       s.value                                                           AS sender,
       (SELECT value FROM name WHERE id = m.recipient_id)                AS recipient,
       strftime('%Y-%m-%dT%H:%M:%fZ', m.sent_at_ms / 1000.0, 'unixepoch') AS sent_at,
       m.sent_at_ms                                                      AS sent_at_ms,
       CASE WHEN m.is_text THEN coalesce(m.body, CAST(m.payload AS TEXT)) END AS body,
       m.payload                                                         AS payload,
       CASE m.encoding WHEN 0 THEN 'utf8' WHEN 1 THEN 'base64' ELSE 'raw' END AS payload_encoding,
       (SELECT value FROM name WHERE id = m.payload_type_id)             AS payload_type,
       (SELECT value FROM name WHERE id = m.cipher_suite_id)             AS cipher_suite,
       CASE m.status WHEN 1 THEN 'received' WHEN 2 THEN 'delivered' WHEN 3 THEN 'read' END AS status,
       strftime('%Y-%m-%dT%H:%M:%fZ', m.status_at_ms / 1000.0, 'unixepoch') AS status_at,
       m.provider_id                                                     AS provider_message_id,
       m.occurrence                                                      AS occurrence,
       strftime('%Y-%m-%dT%H:%M:%fZ', m.archived_at_s, 'unixepoch')      AS archived_at,
       m.extra                                                           AS extra,
       (SELECT value FROM name WHERE id = m.message_type_id)             AS message_type,
       m.conversation_id                                                 AS conversation_id,
       m.sender_id                                                       AS sender_id
FROM message m
     LEFT JOIN conversation c ON c.id = m.conversation_id
     LEFT JOIN account a ON a.id = c.account_id
     LEFT JOIN name s ON s.id = m.sender_id;

-- What is counted is counted only where it is asked for: the number of a conversation costs nothing.
CREATE VIEW conversations AS
SELECT a.name                                                            AS account,
       c.name                                                            AS conversation,
       CASE c.kind WHEN 1 THEN 'peer' WHEN 2 THEN 'channel' WHEN 3 THEN 'group' WHEN 4 THEN 'topic'
                   ELSE 'unknown' END                                    AS conversation_kind,
       (SELECT count(*) FROM message WHERE conversation_id = c.id)       AS messages,
       (SELECT count(DISTINCT sender_id) FROM message WHERE conversation_id = c.id) AS participants,
       (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', min(sent_at_ms) / 1000.0, 'unixepoch')
        FROM message WHERE conversation_id = c.id)                       AS first_at,
       (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', max(sent_at_ms) / 1000.0, 'unixepoch')
        FROM message WHERE conversation_id = c.id)                       AS last_at,
       c.id                                                              AS conversation_id
FROM conversation c JOIN account a ON a.id = c.account_id
WHERE (SELECT max(sent_at_ms) FROM message WHERE conversation_id = c.id) IS NOT NULL;

CREATE VIEW senders AS
SELECT s.value                                                           AS sender,
       (SELECT count(*) FROM message WHERE sender_id = s.id)             AS messages,
       (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', min(sent_at_ms) / 1000.0, 'unixepoch')
        FROM message WHERE sender_id = s.id)                             AS first_at,
       (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', max(sent_at_ms) / 1000.0, 'unixepoch')
        FROM message WHERE sender_id = s.id)                             AS last_at,
       s.id                                                              AS sender_id
FROM name s
WHERE (SELECT max(sent_at_ms) FROM message WHERE sender_id = s.id) IS NOT NULL;
