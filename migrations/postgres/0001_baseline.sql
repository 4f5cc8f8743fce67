-- The schema of an archive in Postgres. Read it from top to bottom: tables first, then indexes.
--
-- RULES
--
-- * Until version 0.2.0 this baseline may still be edited. After that it never changes: add a
--   numbered migration instead, here and in migrations/sqlite under the same file name.
-- * Tables are private to Backscroll and may change. The views in views/ are the interface.
-- * The program creates all of it in a schema of its own (`backscroll`), and then brings the views
--   to the schema of the readers (`public`).
-- * A view has one file and no number. The program applies it again whenever its text changes.
--   A view may gain columns at its end; existing columns never change.
-- * A migration should not drop a view: readers would lose their rights on it. If it must, it also
--   deletes the view's row from view_definition, so that the program creates the view again.
-- * docs/schema/postgres.sql is the schema of a fresh archive. A test compares it with this file.
--
-- CONVENTIONS
--
-- * Times are integers since 1970 in UTC: milliseconds (`…_ms`) or whole seconds (`…_s`). Integers
--   compare, subtract and index alike in both databases; their time types do not. The views show
--   times as TIMESTAMPTZ.
-- * Names are compared byte by byte (`COLLATE "C"`): they belong to no language.
-- * Codes are small integers with a CHECK. The views show them as words.
-- * Words that the program defines and may extend (`run.purpose`, `alarm.kind`) have no CHECK.
-- * Booleans are 0 or 1 in a BIGINT, so that both databases return the same type.
--
-- `message` alone deviates: it is packed as tightly as Postgres allows. See there.

-- ---------------------------------------------------------------------------------------------
-- Functions of the views
-- ---------------------------------------------------------------------------------------------

-- The time for a number of milliseconds since 1970; NULL outside the years 1 to 9999. No stored
-- number can make a view fail. (STABLE, though it never changes: only then Postgres inlines it.)
CREATE FUNCTION instant(ms BIGINT) RETURNS TIMESTAMPTZ LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN ms BETWEEN -62135596800000 AND 253402300799999
                THEN TIMESTAMPTZ 'epoch' + ms / 1000 * INTERVAL '1 second'
                     + ms % 1000 * INTERVAL '1 millisecond' END
$$;

-- The same for a number of seconds.
CREATE FUNCTION instant_s(s BIGINT) RETURNS TIMESTAMPTZ LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN s BETWEEN -62135596800 AND 253402300799
                THEN TIMESTAMPTZ 'epoch' + s * INTERVAL '1 second' END
$$;

-- ---------------------------------------------------------------------------------------------
-- A function of the keys
-- ---------------------------------------------------------------------------------------------

-- 32 bytes in place of a text of any length. An index entry of Postgres is limited to about 2,700
-- bytes, and a text that others choose may be longer.
CREATE FUNCTION text_key(value TEXT) RETURNS BYTEA LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT sha256(convert_to(value, 'UTF8')) $$;

-- ---------------------------------------------------------------------------------------------
-- A function of the program
-- ---------------------------------------------------------------------------------------------

-- Brings a view into another schema. Everything else stays out of the readers' sight.
CREATE FUNCTION move_view(view TEXT, origin TEXT, target TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass(format('%I.%I', origin, view)) IS NOT NULL THEN
        EXECUTE format('ALTER VIEW %I.%I SET SCHEMA %I', origin, view, target);
    END IF;
END $$;

-- ---------------------------------------------------------------------------------------------
-- Tables
-- ---------------------------------------------------------------------------------------------

-- Interned strings: names of users, channels, groups and topics, and the few type names that repeat
-- in every message. Each is stored once; messages refer to it by number.
CREATE TABLE name (
    id    INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL,
    -- It is unique, as by UNIQUE, but may have any length.
    CONSTRAINT name_value EXCLUDE USING hash (value WITH =)
);

-- One set of credentials at one provider.
CREATE TABLE account (
    id                BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The name in the configuration.
    name              TEXT COLLATE "C" NOT NULL UNIQUE,
    -- `agora` or `web3mq`.
    provider          TEXT COLLATE "C" NOT NULL,
    -- The identity of its history: Agora's App ID or Web3MQ's user, and the node of
    -- Web3MQ (host, port and path). The same name with another identity is refused. NULL: unknown.
    owner             TEXT COLLATE "C",
    node              TEXT COLLATE "C",
    -- The frontier: the state of the account at its latest pass.
    -- The provider's retention edge: what is older cannot be fetched. NULL: the provider has none.
    horizon_s         BIGINT,
    -- Up to here the provider is trusted to show all messages.
    settled_s         BIGINT NOT NULL DEFAULT 0,
    -- Up to here history is wanted.
    wanted_to_s       BIGINT NOT NULL DEFAULT 0,
    -- How long the provider keeps a message. NULL: it is not known to delete any.
    retention_s       BIGINT,
    -- No request is sent before this time. A penalty or a refusal is stored here to outlive the
    -- process: otherwise a restart loop could turn it into a ban.
    paused_until_ms   BIGINT,
    paused_reason     TEXT,
    -- Fingerprints of credentials: a random salt and 32 bits of a hash, never the secret. Other
    -- credentials than the refused ones lift the pause. NULL: it has another reason.
    refused_credentials  TEXT,
    -- The credentials that the provider last accepted. A single refusal of them may be an accident.
    accepted_credentials TEXT,
    -- Why the latest pass could not work on the account. NULL: it could.
    error             TEXT,
    hint              TEXT,
    -- This machine's clock minus the provider's at the latest pass, in milliseconds.
    clock_skew_ms     BIGINT NOT NULL DEFAULT 0,
    -- The configured settle period. Where it changes, the next two start anew. NULL: not known yet.
    settle_ms         BIGINT,
    -- The settle period, if late messages have made it longer than configured. NULL: as configured.
    settle_override_s BIGINT,
    -- Stragglers since the settle period was last changed: messages that arrived in a window
    -- after it was sealed.
    straggler_count   BIGINT NOT NULL DEFAULT 0,
    -- The lease: which process works on the account. An advisory lock of that process's session
    -- keeps other processes out, and ends with the session.
    -- The fencing token grows whenever the account changes hands. A commit with an older token
    -- fails.
    fencing_token     BIGINT NOT NULL DEFAULT 0,
    lease_holder      TEXT,
    -- Why the latest discovery of streams failed. NULL: it succeeded, or is not configured.
    discovery_error   TEXT,
    discovery_hint    TEXT
);

-- A series of messages that can be requested: an Agora filter, a Web3MQ topic.
CREATE TABLE stream (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id    BIGINT NOT NULL REFERENCES account (id),
    -- What is requested: `destination=lobby`, `source=alice&destination=bob`, `topic=group:…`.
    key           TEXT COLLATE "C" NOT NULL,
    -- From here on its history is wanted. It follows from the configuration and from followed_at_s,
    -- and is computed at each start.
    wanted_from_s BIGINT NOT NULL,
    -- The provider's time when it was first followed. Without a configured start, history is wanted
    -- as far back as could be fetched then.
    followed_at_s BIGINT NOT NULL DEFAULT 0,
    -- 1: it is followed. 0: the configuration no longer lists it; what is archived stays.
    active        BIGINT NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    -- 1: it was discovered. 0: the configuration lists it.
    discovered    BIGINT NOT NULL DEFAULT 0 CHECK (discovered IN (0, 1)),
    -- The scope: a message of the account belongs to the stream if it matches every part that is
    -- not NULL. All NULL: the scope is unknown.
    sender        TEXT COLLATE "C",
    recipient     TEXT COLLATE "C",
    conversation  TEXT COLLATE "C",
    -- The latest error of the stream. NULL: its latest request succeeded.
    error         TEXT,
    hint          TEXT,
    error_at_ms   BIGINT
);

-- The ledger: the time ranges `[from_s, to_s)` of a stream that are complete. It is the only
-- checkpoint. A row is committed in one transaction with its messages. Rows of a stream never
-- overlap. Short neighbours are joined into one row.
CREATE TABLE sealed_window (
    stream_id      BIGINT NOT NULL REFERENCES stream (id),
    from_s         BIGINT NOT NULL,
    to_s           BIGINT NOT NULL CHECK (from_s < to_s),
    -- The number of messages that the archive holds of the stream in this range, whichever stream
    -- brought them. A commit that adds or removes one adjusts the number and the digest.
    messages       BIGINT NOT NULL,
    -- The number that the provider reported when it was last asked. NULL: it does not count.
    provider_count BIGINT,
    -- How many of `messages` the provider did not show to this stream then: another stream brought
    -- them, or the provider has removed them. If it is 0, archived messages tell what to expect of
    -- the provider in a part of the range.
    not_shown      BIGINT NOT NULL DEFAULT 0,
    -- A hash chain over the messages. NULL: not computed yet; `verify --repair` adds it.
    digest         BYTEA,
    -- Why the window is suspect: it may be incomplete. NULL: it is not.
    doubt          TEXT,
    -- Since when. A suspect window is refetched less and less often.
    doubted_at_ms  BIGINT,
    sealed_at_ms   BIGINT NOT NULL,
    PRIMARY KEY (stream_id, from_s)
);

-- How far streams are archived that are read in order of arrival, since their pages are not in order
-- of time. Positions count from the oldest message that the provider keeps.
CREATE TABLE arrival_mark (
    stream_id BIGINT PRIMARY KEY REFERENCES stream (id),
    -- All messages before this position are archived.
    position  BIGINT NOT NULL,
    -- The hash of the message before it: if it stands elsewhere, messages came or went. NULL: there
    -- is none.
    last_hash BYTEA
);

-- Where messages belong for a reader: a channel, a group, a topic, or a pair of peers.
CREATE TABLE conversation (
    id         INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES account (id),
    name       TEXT COLLATE "C" NOT NULL,
    -- 0 unknown, 1 peer, 2 channel, 3 group, 4 topic
    kind       BIGINT NOT NULL CHECK (kind BETWEEN 0 AND 4)
);

-- The ids of messages.
CREATE SEQUENCE message_id;

-- The messages. Its size and its write cost are those of the archive, so every byte and every index
-- was measured.
--
-- It has no foreign keys: six lookups for each message would slow every commit down. Names and
-- conversations are committed before the messages that refer to them and are never deleted. Should
-- a reference dangle nevertheless, readers use LEFT JOIN and still show the message.
--
-- Its CHECKs compare a column with constants and cost nothing that could be measured. Keep it so:
-- each one is evaluated for every message.
--
-- The account of a message is that of its conversation.
--
-- To save bytes:
-- * A value that most messages share is NULL, which takes no space: `occurrence` 0, `encoding` 0
--   and `is_text` TRUE. Readers use coalesce().
-- * Columns are ordered by width, so that Postgres inserts no padding between them.
-- * References are INTEGER, and `archived_at_s` is too (see there).
--
-- Partitioned by month of `sent_at_ms`, so that an old month can be detached and indexes stay
-- small. The program makes partitions as they are needed; one before the year 1 and one behind the
-- year 9998 hold all times outside. There is no default partition: it would have to be scanned
-- whenever a month is added.
CREATE TABLE message (
    -- It grows and is never used again, so readers can continue after the last id they have seen.
    -- Commits that overlap may become visible in another order than their ids: see the view
    -- archive_end. No index makes it unique: an index on a partitioned table cannot without the
    -- time in it.
    id              BIGINT NOT NULL DEFAULT nextval('message_id'),
    sent_at_ms      BIGINT NOT NULL,
    status_at_ms    BIGINT,
    -- Seconds, less 2^31: four bytes then reach from 1970 to 2106. Add 2147483648 to read it.
    archived_at_s   INTEGER NOT NULL,
    recipient_id    INTEGER NOT NULL,
    -- Tells apart the messages of one recipient in one millisecond: 32 bits computed from hash,
    -- account and occurrence, or the next free number if another message has these. It keeps the
    -- unique index narrow. Only `hash` and `occurrence` identify a message.
    slot            INTEGER NOT NULL,
    conversation_id INTEGER NOT NULL,
    sender_id       INTEGER NOT NULL,
    message_type_id INTEGER,
    payload_type_id INTEGER,
    cipher_suite_id INTEGER,
    -- NULL: 0; for the second of two equal messages 1, and so on.
    occurrence      INTEGER,
    -- How the payload came: NULL utf8, 1 base64, 2 raw
    encoding        SMALLINT CHECK (encoding BETWEEN 0 AND 2),
    -- 1 received, 2 delivered, 3 read. NULL: the provider has no status.
    status          SMALLINT CHECK (status BETWEEN 1 AND 3),
    -- NULL: the payload is text. If it is not valid UTF-8, `body` has a readable form of it.
    is_text         BOOLEAN,
    -- 128 bits over sender, recipient, millisecond, provider id and payload. A UUID is the only
    -- type of 16 bytes without a length byte.
    hash            UUID NOT NULL,
    payload         BYTEA NOT NULL,
    provider_id     TEXT COLLATE "C",
    body            TEXT COLLATE "C",
    -- Further fields of the provider, as JSON. Not JSONB: it would reorder and normalise them.
    extra           TEXT COLLATE "C",
    -- The same as JSON that JSONB accepts, if `extra` contains something that it rejects (U+0000).
    extra_readable  TEXT COLLATE "C",
    -- TRUE if the payload is a JSON object or array that JSONB accepts. NULL: it is not. A view
    -- cannot find out: before Postgres 16 a cast that fails ends the query.
    is_json         BOOLEAN
) PARTITION BY RANGE (sent_at_ms);

-- Messages that could not be parsed or stored, raw. One such message never blocks its page, its
-- stream or its account.
CREATE TABLE quarantined_message (
    account_id  BIGINT NOT NULL REFERENCES account (id),
    hash        BYTEA NOT NULL,
    stream_id   BIGINT NOT NULL REFERENCES stream (id),
    -- The window in which it was found.
    from_s      BIGINT NOT NULL,
    to_s        BIGINT NOT NULL,
    found_at_ms BIGINT NOT NULL,
    reason      TEXT NOT NULL,
    raw         TEXT NOT NULL,
    PRIMARY KEY (account_id, hash)
);

-- The time in which processes may send requests for an account. Each reserves a block behind all
-- others before it sends, so that together they stay within one rate limit, and a process that
-- follows a killed one waits until the block of that one is over.
CREATE TABLE quota (
    -- The name in the configuration. The account may not have been registered yet.
    account  TEXT COLLATE "C" PRIMARY KEY,
    -- Up to here all blocks are reserved. By the server's clock.
    until_ms BIGINT NOT NULL
);

-- The passes of the engine, for 90 days.
CREATE TABLE run (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id     BIGINT NOT NULL REFERENCES account (id),
    -- `sync`, `reconcile`, `refresh` or `repair`.
    purpose        TEXT NOT NULL,
    started_at_ms  BIGINT NOT NULL,
    -- NULL: it is under way, or its process ended before it did.
    finished_at_ms BIGINT,
    requests       BIGINT NOT NULL DEFAULT 0,
    new            BIGINT NOT NULL DEFAULT 0,
    changed        BIGINT NOT NULL DEFAULT 0,
    windows        BIGINT NOT NULL DEFAULT 0,
    errors         BIGINT NOT NULL DEFAULT 0,
    last_error     TEXT,
    -- The lag at its end of the stream that was furthest behind. NULL: the pass was limited to a
    -- range that the caller gave, or did not end.
    lag_s          BIGINT
);

-- Active alarms, and for 90 days those that ended.
CREATE TABLE alarm (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The name of the account; '' if the alarm concerns the archive itself.
    account  TEXT NOT NULL,
    -- The key of the stream; '' if the alarm concerns the whole account.
    stream   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    -- NULL: it is active.
    until_ms BIGINT,
    text     TEXT NOT NULL,
    hint     TEXT NOT NULL,
    -- The extent of damage that grows and cannot be undone (of `lost`: seconds of history). More
    -- damage than this is a new alarm. NULL for all other kinds.
    level    BIGINT,
    -- Which notifications the webhook has received: 0 none, 1 that it began, 2 that it ended too.
    notified BIGINT NOT NULL DEFAULT 0 CHECK (notified BETWEEN 0 AND 2)
);

-- The search index: the tokens of each message's text. The program cuts texts into tokens
-- (docs/SQL.md), because no parser of Postgres finds words in every script.
CREATE TABLE message_words (
    -- The id of the message.
    id         BIGINT PRIMARY KEY,
    -- Its time: it leads to the message, together with the id.
    sent_at_ms BIGINT NOT NULL,
    -- NULL: the text has more words than a TSVECTOR can hold. The program reads it instead.
    words      TSVECTOR
);

-- How far the search index reaches. One row.
CREATE TABLE search_progress (
    id          BIGINT PRIMARY KEY CHECK (id = 1),
    -- 0: search is off, and the index is empty.
    enabled     BIGINT NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    -- The version of the rules by which texts are cut. An index of other rules is built anew.
    token_rules BIGINT NOT NULL DEFAULT 0,
    -- Messages up to this id are in the index, and no others.
    indexed_to  BIGINT NOT NULL DEFAULT 0,
    -- Grows when a message up to there is added or removed. The transaction that does so changes the
    -- index as well.
    changes     BIGINT NOT NULL DEFAULT 0
);
INSERT INTO search_progress (id) VALUES (1);

-- The views as they were last applied, so that a start without changes costs one read. Rights for
-- readers are granted on the views that are listed here.
CREATE TABLE view_definition (
    name    TEXT COLLATE "C" PRIMARY KEY,
    -- BLAKE3 of the text of its file.
    hash    BYTEA NOT NULL,
    -- The version of Backscroll that applied it. An older version leaves it as it is.
    version TEXT NOT NULL
);

-- ---------------------------------------------------------------------------------------------
-- Indexes
--
-- On `message` each index costs a commit about as much as the table does. Each of them therefore
-- has to serve a frequent question that no other can serve. No entry holds more than 16 bytes: up
-- to that width Postgres fills the pages of an index that grows in several places at once.
-- ---------------------------------------------------------------------------------------------

-- The identity of a message: no message is stored twice. Commits look up existing messages here.
-- Time comes first: what is written together lies together, and a range of time is a range of this
-- index. No index on time alone is needed. It holds the columns that a sharded archive would be
-- distributed by. As the primary key, it lets logical replication find the rows that change.
ALTER TABLE message ADD CONSTRAINT message_identity PRIMARY KEY (sent_at_ms, recipient_id, slot);

-- The latest messages of a conversation. The entries of a conversation arrive almost in order of
-- time, so a full page (fillfactor 100) is rarely split.
CREATE INDEX message_by_conversation ON message (conversation_id, sent_at_ms)
    WITH (fillfactor = 100);

-- The latest messages of a sender.
CREATE INDEX message_by_sender ON message (sender_id, sent_at_ms);

-- Messages whose status can still change, for `refresh`. No other message is in this index.
CREATE INDEX message_unread ON message (sent_at_ms, conversation_id) WHERE status < 3;

-- The messages behind an id. A block range index costs a commit nearly nothing: the table is filled
-- in about the order of ids.
CREATE INDEX message_by_id ON message USING brin (id) WITH (pages_per_range = 32);

-- The messages that have a word. New entries wait in a list that each search reads, so it is short.
CREATE INDEX message_words_by_word ON message_words USING gin (words)
    WITH (gin_pending_list_limit = 1024);

-- The messages that are too long for the index of words. They are few.
CREATE INDEX message_words_too_long ON message_words (id) WHERE words IS NULL;

-- The streams that a message belongs to, by the most specific part of their scope. Each commit looks
-- for them, to adjust their sealed windows. A hash index takes names of any length.
CREATE INDEX stream_by_conversation ON stream USING hash (conversation);
CREATE INDEX stream_by_recipient ON stream USING hash (recipient) WHERE conversation IS NULL;
CREATE INDEX stream_by_sender ON stream USING hash (sender)
    WHERE recipient IS NULL AND conversation IS NULL;

-- The conversations of a recipient: the one with its name, and the pairs that begin or end with it.
-- No index on `message` begins with the recipient.
CREATE INDEX conversation_by_first_letters ON conversation (account_id, left(name, 100));
CREATE INDEX conversation_by_last_letters ON conversation (account_id, left(reverse(name), 100));

-- The streams of an account.
CREATE UNIQUE INDEX stream_key ON stream (account_id, text_key(key));

-- The conversations of an account, and a conversation by its name.
CREATE UNIQUE INDEX conversation_key ON conversation (account_id, text_key(name));
CREATE INDEX conversation_by_name ON conversation USING hash (name);

-- One alarm of a kind begins at a time.
CREATE UNIQUE INDEX alarm_key ON alarm (account, text_key(stream), kind, since_ms);

-- Suspect windows. They are few, and looked for at every pass.
CREATE INDEX sealed_window_in_doubt ON sealed_window (stream_id) WHERE doubt IS NOT NULL;

-- The latest passes, and those that are due for deletion.
CREATE INDEX run_by_time ON run (started_at_ms);
