-- The archive. The tables are Backscroll's own and may change; the views at the end are the interface.
--
-- Moments are integers: milliseconds (`…_ms`) or whole seconds (`…_s`) since 1970, UTC. The views say them as text.

-- Names of users, channels, groups and topics, and the few words that repeat in every message: written once,
-- referred to by number.
CREATE TABLE name (
    id    INTEGER PRIMARY KEY,
    value TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE account (
    id              INTEGER PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    provider        TEXT NOT NULL,
    -- Where the account stood when it was last looked at: behind the horizon the provider has forgotten, up to
    -- settled it is trusted to show everything, up to wanted_to history is wanted.
    horizon_s       INTEGER,
    settled_s       INTEGER NOT NULL DEFAULT 0,
    wanted_to_s     INTEGER NOT NULL DEFAULT 0,
    -- A penalty or a refusal outlives the process, so that a restart loop cannot turn it into a ban.
    paused_until_ms INTEGER,
    paused_reason   TEXT
) STRICT;

CREATE TABLE stream (
    id            INTEGER PRIMARY KEY,
    account_id    INTEGER NOT NULL REFERENCES account (id),
    key           TEXT NOT NULL,
    wanted_from_s INTEGER NOT NULL,
    -- 0 once the configuration no longer lists it.
    active        INTEGER NOT NULL DEFAULT 1,
    error         TEXT,
    hint          TEXT,
    error_at_ms   INTEGER,
    UNIQUE (account_id, key)
) STRICT;

-- The ledger: which time ranges of a stream are complete. It is the checkpoint; there is no other. A row and its
-- messages are committed together. Short neighbours are kept as one row.
CREATE TABLE sealed_window (
    stream_id      INTEGER NOT NULL REFERENCES stream (id),
    from_s         INTEGER NOT NULL,
    to_s           INTEGER NOT NULL CHECK (from_s < to_s),
    messages       INTEGER NOT NULL,
    provider_count INTEGER,
    -- Why the window may not be complete; NULL where it is.
    doubt          TEXT,
    sealed_at_ms   INTEGER NOT NULL,
    PRIMARY KEY (stream_id, from_s)
) STRICT, WITHOUT ROWID;

CREATE TABLE conversation (
    id         INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    name       TEXT NOT NULL,
    -- 0 unknown, 1 peer, 2 channel, 3 group, 4 topic
    kind       INTEGER NOT NULL,
    UNIQUE (account_id, name)
) STRICT;

CREATE TABLE message (
    account_id      INTEGER NOT NULL,
    recipient_id    INTEGER NOT NULL,
    sent_at_ms      INTEGER NOT NULL,
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
    archived_at_ms  INTEGER NOT NULL,
    provider_id     TEXT,
    payload         BLOB NOT NULL,
    body            TEXT,
    extra           TEXT
) STRICT;

-- The identity of a message. It begins with time and ends with the hash: entries that are written together lie
-- together, and a day is a range of it. Every index costs each message as much as the table does: there is none for
-- time alone.
CREATE UNIQUE INDEX message_identity ON message (sent_at_ms, account_id, recipient_id, hash, occurrence);
CREATE INDEX message_by_conversation ON message (conversation_id, sent_at_ms, sender_id);
CREATE INDEX message_by_sender ON message (sender_id, sent_at_ms);

-- What could not be understood, as it came.
CREATE TABLE quarantine (
    account_id  INTEGER NOT NULL REFERENCES account (id),
    hash        BLOB NOT NULL,
    stream_id   INTEGER NOT NULL REFERENCES stream (id),
    from_s      INTEGER NOT NULL,
    to_s        INTEGER NOT NULL,
    found_at_ms INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    raw         TEXT NOT NULL,
    PRIMARY KEY (account_id, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    id             INTEGER PRIMARY KEY,
    account_id     INTEGER NOT NULL REFERENCES account (id),
    why            TEXT NOT NULL,
    started_at_ms  INTEGER NOT NULL,
    finished_at_ms INTEGER,
    requests       INTEGER NOT NULL DEFAULT 0,
    new            INTEGER NOT NULL DEFAULT 0,
    changed        INTEGER NOT NULL DEFAULT 0,
    windows        INTEGER NOT NULL DEFAULT 0,
    errors         INTEGER NOT NULL DEFAULT 0,
    last_error     TEXT
) STRICT;

CREATE INDEX run_by_time ON run (started_at_ms);

-- What is searched for is joined. The rest is looked up only where it is asked for: SQLite carries out every join of
-- an aggregate, wanted or not.
CREATE VIEW archive AS
SELECT a.name                                                            AS account,
       a.provider                                                        AS provider,
       c.name                                                            AS conversation,
       CASE c.kind WHEN 1 THEN 'peer' WHEN 2 THEN 'channel' WHEN 3 THEN 'group' WHEN 4 THEN 'topic'
                   ELSE 'unknown' END                                    AS conversation_kind,
       s.value                                                           AS sender,
       r.value                                                           AS recipient,
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
       strftime('%Y-%m-%dT%H:%M:%fZ', m.archived_at_ms / 1000.0, 'unixepoch') AS archived_at,
       m.extra                                                           AS extra,
       (SELECT value FROM name WHERE id = m.message_type_id)             AS message_type,
       m.conversation_id                                                 AS conversation_id,
       m.sender_id                                                       AS sender_id
FROM message m
     LEFT JOIN account a ON a.id = m.account_id
     LEFT JOIN conversation c ON c.id = m.conversation_id
     LEFT JOIN name s ON s.id = m.sender_id
     LEFT JOIN name r ON r.id = m.recipient_id;

CREATE VIEW conversations AS
SELECT a.name                                                            AS account,
       c.name                                                            AS conversation,
       CASE c.kind WHEN 1 THEN 'peer' WHEN 2 THEN 'channel' WHEN 3 THEN 'group' WHEN 4 THEN 'topic'
                   ELSE 'unknown' END                                    AS conversation_kind,
       count(*)                                                          AS messages,
       count(DISTINCT m.sender_id)                                       AS participants,
       strftime('%Y-%m-%dT%H:%M:%fZ', min(m.sent_at_ms) / 1000.0, 'unixepoch') AS first_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', max(m.sent_at_ms) / 1000.0, 'unixepoch') AS last_at,
       c.id                                                              AS conversation_id
FROM conversation c
     JOIN account a ON a.id = c.account_id
     JOIN message m ON m.conversation_id = c.id
GROUP BY c.id;

CREATE VIEW coverage AS
WITH marked AS (
    SELECT w.*,
           CASE WHEN from_s = lag(to_s) OVER after AND (doubt IS NULL) = (lag(doubt) OVER after IS NULL)
                THEN 0 ELSE 1 END AS starts
    FROM sealed_window w
    WINDOW after AS (PARTITION BY stream_id ORDER BY from_s)
),
numbered AS (
    SELECT *, sum(starts) OVER (PARTITION BY stream_id ORDER BY from_s) AS run FROM marked
)
SELECT a.name                                                AS account,
       s.key                                                 AS stream,
       strftime('%Y-%m-%dT%H:%M:%fZ', min(from_s), 'unixepoch') AS from_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', max(to_s), 'unixepoch') AS to_at,
       sum(messages)                                         AS messages,
       CASE WHEN count(*) = count(provider_count) THEN sum(provider_count) END AS provider_count,
       CASE WHEN max(doubt) IS NULL THEN 'sealed' ELSE 'suspect' END AS state,
       max(doubt)                                            AS reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', max(sealed_at_ms) / 1000.0, 'unixepoch') AS sealed_at,
       count(*)                                              AS windows
FROM numbered n
     JOIN stream s ON s.id = n.stream_id
     JOIN account a ON a.id = s.account_id
GROUP BY n.stream_id, n.run;

CREATE VIEW gaps AS
WITH edges AS (
    SELECT stream_id, from_s, to_s FROM sealed_window
    UNION ALL
    -- A window without length behind everything: what is missing before it is missing at the end.
    SELECT s.id, a.wanted_to_s, a.wanted_to_s
    FROM stream s JOIN account a ON a.id = s.account_id WHERE s.active
),
holes AS (
    SELECT e.stream_id,
           max(s.wanted_from_s, coalesce(lag(e.to_s) OVER (PARTITION BY e.stream_id ORDER BY e.from_s, e.to_s), s.wanted_from_s)) AS from_s,
           min(e.from_s, a.wanted_to_s) AS to_s
    FROM edges e JOIN stream s ON s.id = e.stream_id JOIN account a ON a.id = s.account_id
    WHERE s.active
),
cut AS (
    -- What is behind the horizon is lost; the rest can still be had.
    SELECT h.stream_id, h.from_s, min(h.to_s, a.horizon_s) AS to_s, 1 AS lost
    FROM holes h JOIN stream s ON s.id = h.stream_id JOIN account a ON a.id = s.account_id
    WHERE h.from_s < a.horizon_s
    UNION ALL
    SELECT h.stream_id, max(h.from_s, coalesce(a.horizon_s, h.from_s)), h.to_s, 0
    FROM holes h JOIN stream s ON s.id = h.stream_id JOIN account a ON a.id = s.account_id
)
SELECT a.name                                          AS account,
       s.key                                           AS stream,
       strftime('%Y-%m-%dT%H:%M:%fZ', h.from_s, 'unixepoch') AS from_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', h.to_s, 'unixepoch') AS to_at,
       CASE WHEN h.lost THEN 'behind the provider''s retention edge before it was fetched'
            WHEN h.from_s >= a.settled_s THEN 'fetched, but too young to be final'
            ELSE coalesce(s.error, a.paused_reason, 'not fetched yet') END AS reason,
       h.lost                                          AS lost
FROM cut h JOIN stream s ON s.id = h.stream_id JOIN account a ON a.id = s.account_id
WHERE h.from_s < h.to_s;

CREATE VIEW runs AS
SELECT a.name AS account,
       r.why  AS why,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.started_at_ms / 1000.0, 'unixepoch')  AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.finished_at_ms / 1000.0, 'unixepoch') AS finished_at,
       r.requests, r.new, r.changed, r.windows, r.errors, r.last_error
FROM run r JOIN account a ON a.id = r.account_id;
