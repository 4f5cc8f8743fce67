-- The archive. The tables are Backscroll's own and may change; the views at the end are the interface.
--
-- Moments are integers: milliseconds (`…_ms`) or whole seconds (`…_s`) since 1970, UTC. The views say them as
-- TIMESTAMPTZ.

-- Names of users, channels, groups and topics, and the few words that repeat in every message: written once,
-- referred to by number.
CREATE TABLE name (
    id    INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Bytewise: names are the provider's, and know no language.
    value TEXT COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE account (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            TEXT COLLATE "C" NOT NULL UNIQUE,
    provider        TEXT COLLATE "C" NOT NULL,
    -- Where the account stood when it was last looked at: behind the horizon the provider has forgotten, up to
    -- settled it is trusted to show everything, up to wanted_to history is wanted.
    horizon_s       BIGINT,
    settled_s       BIGINT NOT NULL DEFAULT 0,
    wanted_to_s     BIGINT NOT NULL DEFAULT 0,
    -- A penalty or a refusal outlives the process, so that a restart loop cannot turn it into a ban.
    paused_until_ms BIGINT,
    paused_reason   TEXT
);

CREATE TABLE stream (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id    BIGINT NOT NULL REFERENCES account (id),
    key           TEXT COLLATE "C" NOT NULL,
    wanted_from_s BIGINT NOT NULL,
    -- 0 once the configuration no longer lists it.
    active        BIGINT NOT NULL DEFAULT 1,
    error         TEXT,
    hint          TEXT,
    error_at_ms   BIGINT,
    UNIQUE (account_id, key)
);

-- The ledger: which time ranges of a stream are complete. It is the checkpoint; there is no other. A row and its
-- messages are committed together. Short neighbours are kept as one row.
CREATE TABLE sealed_window (
    stream_id      BIGINT NOT NULL REFERENCES stream (id),
    from_s         BIGINT NOT NULL,
    to_s           BIGINT NOT NULL CHECK (from_s < to_s),
    messages       BIGINT NOT NULL,
    provider_count BIGINT,
    -- Why the window may not be complete; NULL where it is.
    doubt          TEXT,
    sealed_at_ms   BIGINT NOT NULL,
    PRIMARY KEY (stream_id, from_s)
);

CREATE TABLE conversation (
    id         INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES account (id),
    name       TEXT COLLATE "C" NOT NULL,
    -- 0 unknown, 1 peer, 2 channel, 3 group, 4 topic
    kind       BIGINT NOT NULL,
    UNIQUE (account_id, name)
);

-- Partitioned by month, so that old months can be detached and indexes stay small. The partitions are made as they are
-- needed; none takes what fits no other. The widest columns come first, for they are laid out in this order.
CREATE TABLE message (
    sent_at_ms      BIGINT NOT NULL,
    archived_at_ms  BIGINT NOT NULL,
    status_at_ms    BIGINT,
    account_id      INTEGER NOT NULL,
    recipient_id    INTEGER NOT NULL,
    sender_id       INTEGER NOT NULL,
    conversation_id INTEGER NOT NULL,
    occurrence      INTEGER NOT NULL DEFAULT 0,
    message_type_id INTEGER,
    payload_type_id INTEGER,
    cipher_suite_id INTEGER,
    -- 0 utf8, 1 base64, 2 raw
    encoding        SMALLINT NOT NULL DEFAULT 0,
    status          SMALLINT,
    -- Whether the payload is text; where its bytes are not quite, `body` says them readably.
    is_text         BOOLEAN NOT NULL DEFAULT TRUE,
    hash            BYTEA NOT NULL,
    payload         BYTEA NOT NULL,
    provider_id     TEXT COLLATE "C",
    body            TEXT COLLATE "C",
    -- JSON as it came, and where Postgres has no place for what it holds (U+0000, say), readably.
    extra           TEXT COLLATE "C",
    extra_readable  TEXT COLLATE "C"
) PARTITION BY RANGE (sent_at_ms);

-- The identity of a message. It begins with time and ends with the hash: entries that are written together lie
-- together, and a day is a range of it. Every index costs each message as much as the table does: there is none for
-- time alone.
CREATE UNIQUE INDEX message_identity ON message (sent_at_ms, account_id, recipient_id, hash, occurrence);
CREATE INDEX message_by_conversation ON message (conversation_id, sent_at_ms, sender_id);
CREATE INDEX message_by_sender ON message (sender_id, sent_at_ms);

-- What could not be understood, as it came.
CREATE TABLE quarantine (
    account_id  BIGINT NOT NULL REFERENCES account (id),
    hash        BYTEA NOT NULL,
    stream_id   BIGINT NOT NULL REFERENCES stream (id),
    from_s      BIGINT NOT NULL,
    to_s        BIGINT NOT NULL,
    found_at_ms BIGINT NOT NULL,
    reason      TEXT NOT NULL,
    raw         TEXT NOT NULL,
    PRIMARY KEY (account_id, hash)
);

CREATE TABLE run (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id     BIGINT NOT NULL REFERENCES account (id),
    why            TEXT NOT NULL,
    started_at_ms  BIGINT NOT NULL,
    finished_at_ms BIGINT,
    requests       BIGINT NOT NULL DEFAULT 0,
    new            BIGINT NOT NULL DEFAULT 0,
    changed        BIGINT NOT NULL DEFAULT 0,
    windows        BIGINT NOT NULL DEFAULT 0,
    errors         BIGINT NOT NULL DEFAULT 0,
    last_error     TEXT
);

CREATE INDEX run_by_time ON run (started_at_ms);

CREATE VIEW archive AS
SELECT a.name                                                            AS account,
       a.provider                                                        AS provider,
       c.name                                                            AS conversation,
       CASE c.kind WHEN 1 THEN 'peer' WHEN 2 THEN 'channel' WHEN 3 THEN 'group' WHEN 4 THEN 'topic'
                   ELSE 'unknown' END                                    AS conversation_kind,
       s.value                                                           AS sender,
       r.value                                                           AS recipient,
       TIMESTAMPTZ 'epoch' + m.sent_at_ms * INTERVAL '1 millisecond' AS sent_at,
       m.sent_at_ms                                                      AS sent_at_ms,
       CASE WHEN m.is_text THEN coalesce(m.body, convert_from(m.payload, 'UTF8')) END AS body,
       m.payload                                                         AS payload,
       CASE m.encoding WHEN 0 THEN 'utf8' WHEN 1 THEN 'base64' ELSE 'raw' END AS payload_encoding,
       pt.value                                                          AS payload_type,
       cs.value                                                          AS cipher_suite,
       CASE m.status WHEN 1 THEN 'received' WHEN 2 THEN 'delivered' WHEN 3 THEN 'read' END AS status,
       TIMESTAMPTZ 'epoch' + m.status_at_ms * INTERVAL '1 millisecond' AS status_at,
       m.provider_id                                                     AS provider_message_id,
       CAST(m.occurrence AS BIGINT)                                      AS occurrence,
       TIMESTAMPTZ 'epoch' + m.archived_at_ms * INTERVAL '1 millisecond' AS archived_at,
       CAST(coalesce(m.extra_readable, m.extra) AS JSONB)                AS extra,
       mt.value                                                          AS message_type,
       CAST(m.conversation_id AS BIGINT)                                 AS conversation_id,
       CAST(m.sender_id AS BIGINT)                                       AS sender_id
FROM message m
     LEFT JOIN account a ON a.id = m.account_id
     LEFT JOIN conversation c ON c.id = m.conversation_id
     LEFT JOIN name s ON s.id = m.sender_id
     LEFT JOIN name r ON r.id = m.recipient_id
     LEFT JOIN name pt ON pt.id = m.payload_type_id
     LEFT JOIN name cs ON cs.id = m.cipher_suite_id
     LEFT JOIN name mt ON mt.id = m.message_type_id;

CREATE VIEW conversations AS
SELECT a.name                                                            AS account,
       c.name                                                            AS conversation,
       CASE c.kind WHEN 1 THEN 'peer' WHEN 2 THEN 'channel' WHEN 3 THEN 'group' WHEN 4 THEN 'topic'
                   ELSE 'unknown' END                                    AS conversation_kind,
       count(*)                                                          AS messages,
       count(DISTINCT m.sender_id)                                       AS participants,
       TIMESTAMPTZ 'epoch' + min(m.sent_at_ms) * INTERVAL '1 millisecond' AS first_at,
       TIMESTAMPTZ 'epoch' + max(m.sent_at_ms) * INTERVAL '1 millisecond' AS last_at,
       CAST(c.id AS BIGINT)                                              AS conversation_id
FROM conversation c
     JOIN account a ON a.id = c.account_id
     JOIN message m ON m.conversation_id = c.id
GROUP BY c.id, a.name;

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
       TIMESTAMPTZ 'epoch' + min(from_s) * INTERVAL '1 second' AS from_at,
       TIMESTAMPTZ 'epoch' + max(to_s) * INTERVAL '1 second' AS to_at,
       CAST(sum(messages) AS BIGINT)                                         AS messages,
       CASE WHEN count(*) = count(provider_count) THEN CAST(sum(provider_count) AS BIGINT) END AS provider_count,
       CASE WHEN max(doubt) IS NULL THEN 'sealed' ELSE 'suspect' END AS state,
       max(doubt)                                            AS reason,
       TIMESTAMPTZ 'epoch' + max(sealed_at_ms) * INTERVAL '1 millisecond' AS sealed_at,
       count(*)                                              AS windows
FROM numbered n
     JOIN stream s ON s.id = n.stream_id
     JOIN account a ON a.id = s.account_id
GROUP BY n.stream_id, n.run, a.name, s.key;

CREATE VIEW gaps AS
WITH edges AS (
    SELECT stream_id, from_s, to_s FROM sealed_window
    UNION ALL
    -- A window without length behind everything: what is missing before it is missing at the end.
    SELECT s.id, a.wanted_to_s, a.wanted_to_s
    FROM stream s JOIN account a ON a.id = s.account_id WHERE s.active = 1
),
holes AS (
    SELECT e.stream_id,
           greatest(s.wanted_from_s, coalesce(lag(e.to_s) OVER (PARTITION BY e.stream_id ORDER BY e.from_s, e.to_s), s.wanted_from_s)) AS from_s,
           least(e.from_s, a.wanted_to_s) AS to_s
    FROM edges e JOIN stream s ON s.id = e.stream_id JOIN account a ON a.id = s.account_id
    WHERE s.active = 1
),
cut AS (
    -- What is behind the horizon is lost; the rest can still be had.
    SELECT h.stream_id, h.from_s, least(h.to_s, a.horizon_s) AS to_s, 1 AS lost
    FROM holes h JOIN stream s ON s.id = h.stream_id JOIN account a ON a.id = s.account_id
    WHERE h.from_s < a.horizon_s
    UNION ALL
    SELECT h.stream_id, greatest(h.from_s, coalesce(a.horizon_s, h.from_s)), h.to_s, 0
    FROM holes h JOIN stream s ON s.id = h.stream_id JOIN account a ON a.id = s.account_id
)
SELECT a.name                                          AS account,
       s.key                                           AS stream,
       TIMESTAMPTZ 'epoch' + h.from_s * INTERVAL '1 second' AS from_at,
       TIMESTAMPTZ 'epoch' + h.to_s * INTERVAL '1 second' AS to_at,
       CASE WHEN h.lost = 1 THEN 'behind the provider''s retention edge before it was fetched'
            WHEN h.from_s >= a.settled_s THEN 'fetched, but too young to be final'
            ELSE coalesce(s.error, a.paused_reason, 'not fetched yet') END AS reason,
       CAST(h.lost AS BIGINT)                          AS lost
FROM cut h JOIN stream s ON s.id = h.stream_id JOIN account a ON a.id = s.account_id
WHERE h.from_s < h.to_s;

CREATE VIEW runs AS
SELECT a.name AS account,
       r.why  AS why,
       TIMESTAMPTZ 'epoch' + r.started_at_ms * INTERVAL '1 millisecond'  AS started_at,
       TIMESTAMPTZ 'epoch' + r.finished_at_ms * INTERVAL '1 millisecond' AS finished_at,
       r.requests, r.new, r.changed, r.windows, r.errors, r.last_error
FROM run r JOIN account a ON a.id = r.account_id;
