-- Fewer bytes for each message. What a plain message does not say is NULL, which costs nothing; columns lie so that
-- none is padded; and no index entry but for two numbers is wider than 16 bytes, up to which Postgres fills the pages
-- of an index that grows in several places.
--
-- The account is that of the conversation, and is no longer said twice. `archived_at` is kept to the second.

DROP VIEW archive;
DROP VIEW conversations;
ALTER TABLE message RENAME TO message_wide;
ALTER INDEX message_identity RENAME TO message_wide_identity;
ALTER INDEX message_by_conversation RENAME TO message_wide_by_conversation;
ALTER INDEX message_by_sender RENAME TO message_wide_by_sender;

CREATE TABLE message (
    sent_at_ms      BIGINT NOT NULL,
    status_at_ms    BIGINT,
    -- Counted from 2^31 seconds after 1970, so that four bytes reach from 1970 to 2106.
    archived_at_s   INTEGER NOT NULL,
    recipient_id    INTEGER NOT NULL,
    -- Where the message lies among those of its recipient and millisecond: 32 bits of its hash, its account and its
    -- occurrence, or the next free number, should another message have these already. It keeps the unique index
    -- narrow; what a message is, only its hash says.
    slot            INTEGER NOT NULL,
    conversation_id INTEGER NOT NULL,
    sender_id       INTEGER NOT NULL,
    message_type_id INTEGER,
    payload_type_id INTEGER,
    cipher_suite_id INTEGER,
    -- NULL: 0
    occurrence      INTEGER,
    -- NULL: utf8; 1 base64, 2 raw
    encoding        SMALLINT,
    status          SMALLINT,
    -- Whether the payload is text (NULL: it is); where its bytes are not quite, `body` says them readably.
    is_text         BOOLEAN,
    hash            UUID NOT NULL,
    payload         BYTEA NOT NULL,
    provider_id     TEXT COLLATE "C",
    body            TEXT COLLATE "C",
    -- JSON as it came, and where Postgres has no place for what it holds (U+0000, say), readably.
    extra           TEXT COLLATE "C",
    extra_readable  TEXT COLLATE "C"
) PARTITION BY RANGE (sent_at_ms);

-- Entries that are written together lie together, and a day is a range of the first: there is none for time alone.
CREATE UNIQUE INDEX message_identity ON message (sent_at_ms, recipient_id, slot);
CREATE INDEX message_by_conversation ON message (conversation_id, sent_at_ms) WITH (fillfactor = 100);
CREATE INDEX message_by_sender ON message (sender_id, sent_at_ms);

-- Month by month, in partitions of the same bounds.
DO $$
DECLARE
    month RECORD;
BEGIN
    FOR month IN
        SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bounds
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'message_wide'::regclass
        ORDER BY c.relname
    LOOP
        EXECUTE format('ALTER TABLE %I RENAME TO %I', month.name, 'wide_' || month.name);
        EXECUTE format('CREATE TABLE %I PARTITION OF message %s', month.name, month.bounds);
        EXECUTE format($copy$
            INSERT INTO message (sent_at_ms, status_at_ms, archived_at_s, recipient_id, slot, conversation_id,
                                 sender_id, message_type_id, payload_type_id, cipher_suite_id, occurrence, encoding,
                                 status, is_text, hash, payload, provider_id, body, extra, extra_readable)
            SELECT sent_at_ms, status_at_ms, (archived_at_ms / 1000 - 2147483648)::INTEGER, recipient_id,
                   (place & 4294967295)::BIT(32)::INTEGER, conversation_id, sender_id, message_type_id,
                   payload_type_id, cipher_suite_id, nullif(occurrence, 0), nullif(encoding, 0), status,
                   nullif(is_text, TRUE), encode(hash, 'hex')::UUID, payload, provider_id, body, extra, extra_readable
            FROM (
                SELECT *, number + row_number() OVER (
                    PARTITION BY recipient_id, sent_at_ms, number & 4294967295 ORDER BY hash) - 1 AS place
                FROM (
                    SELECT m.*, ('x' || encode(substring(hash FROM 1 FOR 4), 'hex'))::BIT(32)::BIGINT
                                + (account_id::BIGINT << 16) + occurrence AS number
                    FROM %I m
                ) AS numbered
            ) AS placed
            ORDER BY sent_at_ms$copy$, 'wide_' || month.name);
    END LOOP;
END $$;

DROP TABLE message_wide;

CREATE VIEW archive AS
SELECT a.name                                                            AS account,
       a.provider                                                        AS provider,
       c.name                                                            AS conversation,
       CASE c.kind WHEN 1 THEN 'peer' WHEN 2 THEN 'channel' WHEN 3 THEN 'group' WHEN 4 THEN 'topic'
                   ELSE 'unknown' END                                    AS conversation_kind,
       s.value                                                           AS sender,
       r.value                                                           AS recipient,
       TIMESTAMPTZ 'epoch' + m.sent_at_ms * INTERVAL '1 millisecond'     AS sent_at,
       m.sent_at_ms                                                      AS sent_at_ms,
       CASE WHEN coalesce(m.is_text, TRUE) THEN coalesce(m.body, convert_from(m.payload, 'UTF8')) END AS body,
       m.payload                                                         AS payload,
       CASE coalesce(m.encoding, 0) WHEN 0 THEN 'utf8' WHEN 1 THEN 'base64' ELSE 'raw' END AS payload_encoding,
       pt.value                                                          AS payload_type,
       cs.value                                                          AS cipher_suite,
       CASE m.status WHEN 1 THEN 'received' WHEN 2 THEN 'delivered' WHEN 3 THEN 'read' END AS status,
       TIMESTAMPTZ 'epoch' + m.status_at_ms * INTERVAL '1 millisecond'   AS status_at,
       m.provider_id                                                     AS provider_message_id,
       CAST(coalesce(m.occurrence, 0) AS BIGINT)                         AS occurrence,
       TIMESTAMPTZ 'epoch' + (m.archived_at_s + 2147483648) * INTERVAL '1 second' AS archived_at,
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

-- What is counted is counted only where it is asked for: the number of a conversation costs nothing.
CREATE VIEW conversations AS
SELECT a.name                                                            AS account,
       c.name                                                            AS conversation,
       CASE c.kind WHEN 1 THEN 'peer' WHEN 2 THEN 'channel' WHEN 3 THEN 'group' WHEN 4 THEN 'topic'
                   ELSE 'unknown' END                                    AS conversation_kind,
       (SELECT count(*) FROM message WHERE conversation_id = c.id)       AS messages,
       (SELECT count(DISTINCT sender_id) FROM message WHERE conversation_id = c.id) AS participants,
       (SELECT TIMESTAMPTZ 'epoch' + min(sent_at_ms) * INTERVAL '1 millisecond'
        FROM message WHERE conversation_id = c.id)                       AS first_at,
       (SELECT TIMESTAMPTZ 'epoch' + max(sent_at_ms) * INTERVAL '1 millisecond'
        FROM message WHERE conversation_id = c.id)                       AS last_at,
       c.id                                                              AS conversation_id
FROM conversation c JOIN account a ON a.id = c.account_id
-- The newest of an index, not whether there is any: for that Postgres may read all of them.
WHERE (SELECT max(sent_at_ms) FROM message WHERE conversation_id = c.id) IS NOT NULL;

CREATE VIEW senders AS
SELECT s.value                                                           AS sender,
       (SELECT count(*) FROM message WHERE sender_id = s.id)             AS messages,
       (SELECT TIMESTAMPTZ 'epoch' + min(sent_at_ms) * INTERVAL '1 millisecond'
        FROM message WHERE sender_id = s.id)                             AS first_at,
       (SELECT TIMESTAMPTZ 'epoch' + max(sent_at_ms) * INTERVAL '1 millisecond'
        FROM message WHERE sender_id = s.id)                             AS last_at,
       s.id                                                              AS sender_id
FROM name s
WHERE (SELECT max(sent_at_ms) FROM message WHERE sender_id = s.id) IS NOT NULL;
