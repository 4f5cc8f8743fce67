-- The schema of an archive in SQLite. Read it from top to bottom: tables first, then indexes.
--
-- RULES
--
-- * Until version 0.2.0 this baseline may still be edited. After that it never changes: add a
--   numbered migration instead, here and in migrations/postgres under the same file name.
-- * Tables are private to Backscroll and may change. The views in views/ are the interface.
-- * A view has one file and no number. The program applies it again whenever its text changes.
--   A view may gain columns at its end; existing columns never change.
-- * A migration should not drop a view. If it must, it also deletes the view's row from
--   view_definition, so that the program creates the view again.
-- * docs/schema/sqlite.sql is the schema of a fresh archive. A test compares it with this file.
--
-- CONVENTIONS
--
-- * Times are integers since 1970 in UTC: milliseconds (`…_ms`) or whole seconds (`…_s`). Integers
--   compare, subtract and index alike in both databases; their time types do not. The views show
--   times as text.
-- * Codes are small integers with a CHECK. The views show them as words.
-- * Words that the program defines and may extend (`run.purpose`, `alarm.kind`) have no CHECK:
--   SQLite cannot change a CHECK without rewriting the table.
-- * Booleans are 0 or 1.

-- ---------------------------------------------------------------------------------------------
-- Tables
-- ---------------------------------------------------------------------------------------------

-- Interned strings: names of users, channels, groups and topics, and the few type names that repeat
-- in every message. Each is stored once; messages refer to it by number.
CREATE TABLE name (
    id    INTEGER PRIMARY KEY,
    value TEXT NOT NULL UNIQUE
) STRICT;

-- One set of credentials at one provider.
CREATE TABLE account (
    id                INTEGER PRIMARY KEY,
    -- The name in the configuration.
    name              TEXT NOT NULL UNIQUE,
    -- `agora` or `web3mq`.
    provider          TEXT NOT NULL,
    -- The identity of its history: Agora's App ID or Web3MQ's user, and the node of
    -- Web3MQ (host, port and path). The same name with another identity is refused. NULL: unknown.
    owner             TEXT,
    node              TEXT,
    -- The frontier: the state of the account at its latest pass.
    -- The provider's retention edge: what is older cannot be fetched. NULL: the provider has none.
    horizon_s         INTEGER,
    -- Up to here the provider is trusted to show all messages.
    settled_s         INTEGER NOT NULL DEFAULT 0,
    -- Up to here history is wanted.
    wanted_to_s       INTEGER NOT NULL DEFAULT 0,
    -- How long the provider keeps a message. NULL: it is not known to delete any.
    retention_s       INTEGER,
    -- No request is sent before this time. A penalty or a refusal is stored here to outlive the
    -- process: otherwise a restart loop could turn it into a ban.
    paused_until_ms   INTEGER,
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
    clock_skew_ms     INTEGER NOT NULL DEFAULT 0,
    -- The configured settle period. Where it changes, the next two start anew. NULL: not known yet.
    settle_ms         INTEGER,
    -- The settle period, if late messages have made it longer than configured. NULL: as configured.
    settle_override_s INTEGER,
    -- Stragglers since the settle period was last changed: messages that arrived in a window
    -- after it was sealed.
    straggler_count   INTEGER NOT NULL DEFAULT 0,
    -- The lease: which process works on the account. Only Postgres uses it, where several processes
    -- may share an archive. In SQLite a lock on the file keeps other processes out.
    -- The fencing token grows whenever the account changes hands. A commit with an older token
    -- fails.
    fencing_token     INTEGER NOT NULL DEFAULT 0,
    lease_holder      TEXT,
    -- Why the latest discovery of streams failed. NULL: it succeeded, or is not configured.
    discovery_error   TEXT,
    discovery_hint    TEXT
) STRICT;

-- A series of messages that can be requested: an Agora filter, a Web3MQ topic.
CREATE TABLE stream (
    id            INTEGER PRIMARY KEY,
    account_id    INTEGER NOT NULL REFERENCES account (id),
    -- What is requested: `destination=lobby`, `source=alice&destination=bob`, `topic=group:…`.
    key           TEXT NOT NULL,
    -- From here on its history is wanted. It follows from the configuration and from followed_at_s,
    -- and is computed at each start.
    wanted_from_s INTEGER NOT NULL,
    -- The provider's time when it was first followed. Without a configured start, history is wanted
    -- as far back as could be fetched then.
    followed_at_s INTEGER NOT NULL DEFAULT 0,
    -- 1: it is followed. 0: the configuration no longer lists it; what is archived stays.
    active        INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    -- 1: it was discovered. 0: the configuration lists it.
    discovered    INTEGER NOT NULL DEFAULT 0 CHECK (discovered IN (0, 1)),
    -- The scope: a message of the account belongs to the stream if it matches every part that is
    -- not NULL. All NULL: the scope is unknown.
    sender        TEXT,
    recipient     TEXT,
    conversation  TEXT,
    -- The latest error of the stream. NULL: its latest request succeeded.
    error         TEXT,
    hint          TEXT,
    error_at_ms   INTEGER,
    UNIQUE (account_id, key)
) STRICT;

-- The ledger: the time ranges `[from_s, to_s)` of a stream that are complete. It is the only
-- checkpoint. A row is committed in one transaction with its messages. Rows of a stream never
-- overlap. Short neighbours are joined into one row.
CREATE TABLE sealed_window (
    stream_id      INTEGER NOT NULL REFERENCES stream (id),
    from_s         INTEGER NOT NULL,
    to_s           INTEGER NOT NULL CHECK (from_s < to_s),
    -- The number of messages that the archive holds of the stream in this range, whichever stream
    -- brought them. A commit that adds or removes one adjusts the number and the digest.
    messages       INTEGER NOT NULL,
    -- The number that the provider reported when it was last asked. NULL: it does not count.
    provider_count INTEGER,
    -- How many of `messages` the provider did not show to this stream then: another stream brought
    -- them, or the provider has removed them. If it is 0, archived messages tell what to expect of
    -- the provider in a part of the range.
    not_shown      INTEGER NOT NULL DEFAULT 0,
    -- A hash chain over the messages. NULL: not computed yet; `verify --repair` adds it.
    digest         BLOB,
    -- Why the window is suspect: it may be incomplete. NULL: it is not.
    doubt          TEXT,
    -- Since when. A suspect window is refetched less and less often.
    doubted_at_ms  INTEGER,
    sealed_at_ms   INTEGER NOT NULL,
    PRIMARY KEY (stream_id, from_s)
) STRICT, WITHOUT ROWID;

-- How far streams are archived that are read in order of arrival, since their pages are not in order
-- of time. Positions count from the oldest message that the provider keeps.
CREATE TABLE arrival_mark (
    stream_id INTEGER PRIMARY KEY REFERENCES stream (id),
    -- All messages before this position are archived.
    position  INTEGER NOT NULL,
    -- The hash of the message before it: if it stands elsewhere, messages came or went. NULL: there
    -- is none.
    last_hash BLOB
) STRICT;

-- Where messages belong for a reader: a channel, a group, a topic, or a pair of peers.
CREATE TABLE conversation (
    id         INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    name       TEXT NOT NULL,
    -- 0 unknown, 1 peer, 2 channel, 3 group, 4 topic
    kind       INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 4),
    UNIQUE (account_id, name)
) STRICT;

-- The messages. Its size and its write cost are those of the archive, so every byte and every index
-- was measured.
--
-- It has no foreign keys: six lookups for each message would slow every commit down. Names and
-- conversations are committed before the messages that refer to them and are never deleted. Should
-- a reference dangle nevertheless, readers use LEFT JOIN and still show the message.
--
-- Its CHECKs take 2 % of the instructions of an insert, and far less of a commit. More of them (on
-- the length of `hash`, say) would not be free.
--
-- The account of a message is that of its conversation.
CREATE TABLE message (
    -- It grows in the order of commits and is never used again, so readers can continue after the
    -- last id they have seen. AUTOINCREMENT keeps it so when the latest message is removed.
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    recipient_id    INTEGER NOT NULL,
    sent_at_ms      INTEGER NOT NULL,
    -- Tells apart the messages of one recipient in one millisecond: 32 bits computed from hash,
    -- account and occurrence, or the next free number if another message has these. It keeps the
    -- unique index narrow. Only `hash` and `occurrence` identify a message.
    slot            INTEGER NOT NULL,
    -- 128 bits over sender, recipient, millisecond, provider id and payload.
    hash            BLOB NOT NULL,
    -- 0; for the second of two equal messages 1, and so on.
    occurrence      INTEGER NOT NULL DEFAULT 0,
    conversation_id INTEGER NOT NULL,
    sender_id       INTEGER NOT NULL,
    -- How the payload came: 0 utf8, 1 base64, 2 raw
    encoding        INTEGER NOT NULL DEFAULT 0 CHECK (encoding BETWEEN 0 AND 2),
    -- 1 if the payload is text. If it is not valid UTF-8, `body` has a readable form of it.
    is_text         INTEGER NOT NULL DEFAULT 1 CHECK (is_text IN (0, 1)),
    -- 1 received, 2 delivered, 3 read. NULL: the provider has no status.
    status          INTEGER CHECK (status BETWEEN 1 AND 3),
    status_at_ms    INTEGER,
    message_type_id INTEGER,
    payload_type_id INTEGER,
    cipher_suite_id INTEGER,
    archived_at_s   INTEGER NOT NULL,
    provider_id     TEXT,
    payload         BLOB NOT NULL,
    body            TEXT,
    -- Further fields of the provider, as JSON.
    extra           TEXT
) STRICT;

-- Messages that could not be parsed or stored, raw. One such message never blocks its page, its
-- stream or its account.
CREATE TABLE quarantined_message (
    account_id  INTEGER NOT NULL REFERENCES account (id),
    hash        BLOB NOT NULL,
    stream_id   INTEGER NOT NULL REFERENCES stream (id),
    -- The window in which it was found.
    from_s      INTEGER NOT NULL,
    to_s        INTEGER NOT NULL,
    found_at_ms INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    raw         TEXT NOT NULL,
    PRIMARY KEY (account_id, hash)
) STRICT, WITHOUT ROWID;

-- The time in which processes may send requests for an account. Each reserves a block behind all
-- others before it sends, so that together they stay within one rate limit, and a process that
-- follows a killed one waits until the block of that one is over.
CREATE TABLE quota (
    -- The name in the configuration. The account may not have been registered yet.
    account  TEXT PRIMARY KEY,
    -- Up to here all blocks are reserved.
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The passes of the engine, for 90 days.
CREATE TABLE run (
    id             INTEGER PRIMARY KEY,
    account_id     INTEGER NOT NULL REFERENCES account (id),
    -- `sync`, `reconcile`, `refresh` or `repair`.
    purpose        TEXT NOT NULL,
    started_at_ms  INTEGER NOT NULL,
    -- NULL: it is under way, or its process ended before it did.
    finished_at_ms INTEGER,
    requests       INTEGER NOT NULL DEFAULT 0,
    new            INTEGER NOT NULL DEFAULT 0,
    changed        INTEGER NOT NULL DEFAULT 0,
    windows        INTEGER NOT NULL DEFAULT 0,
    errors         INTEGER NOT NULL DEFAULT 0,
    last_error     TEXT,
    -- The lag at its end of the stream that was furthest behind. NULL: the pass was limited to a
    -- range that the caller gave, or did not end.
    lag_s          INTEGER
) STRICT;

-- Active alarms, and for 90 days those that ended.
CREATE TABLE alarm (
    -- The name of the account; '' if the alarm concerns the archive itself.
    account  TEXT NOT NULL,
    -- The key of the stream; '' if the alarm concerns the whole account.
    stream   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    -- NULL: it is active.
    until_ms INTEGER,
    text     TEXT NOT NULL,
    hint     TEXT NOT NULL,
    -- The extent of damage that grows and cannot be undone (of `lost`: seconds of history). More
    -- damage than this is a new alarm. NULL for all other kinds.
    level    INTEGER,
    -- Which notifications the webhook has received: 0 none, 1 that it began, 2 that it ended too.
    notified INTEGER NOT NULL DEFAULT 0 CHECK (notified BETWEEN 0 AND 2),
    PRIMARY KEY (account, stream, kind, since_ms)
) STRICT, WITHOUT ROWID;

-- The search index: the tokens of each message's text, with a space between them, under the message's
-- id as `rowid`. The program cuts texts into tokens (docs/SQL.md), because no tokenizer of SQLite finds
-- words in every script. `ascii` divides them at spaces again and changes nothing else.
--
-- It is contentless: the tokens cannot be read back. It has no `contentless_delete`, so that SQLite 3.38
-- can read it; the program deletes a message from it by giving its tokens again.
CREATE VIRTUAL TABLE archive_search USING fts5 (words, content = '', tokenize = 'ascii');

-- How far the search index reaches. One row.
CREATE TABLE search_progress (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    -- 0: search is off, and the index is empty.
    enabled     INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    -- The version of the rules by which texts are cut. An index of other rules is built anew.
    token_rules INTEGER NOT NULL DEFAULT 0,
    -- Messages up to this id are in the index, and no others.
    indexed_to  INTEGER NOT NULL DEFAULT 0,
    -- Grows when a message up to there is added or removed. The transaction that does so changes the
    -- index as well.
    changes     INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO search_progress (id) VALUES (1);

-- The views as they were last applied, so that a start without changes costs one read.
CREATE TABLE view_definition (
    name    TEXT PRIMARY KEY,
    -- BLAKE3 of the text of its file.
    hash    BLOB NOT NULL,
    -- The version of Backscroll that applied it. An older version leaves it as it is.
    version TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------------------------------------
-- Indexes
--
-- On `message` each index costs a commit about as much as the table does. Each of them therefore
-- has to serve a frequent question that no other can serve.
-- ---------------------------------------------------------------------------------------------

-- The identity of a message: no message is stored twice. Commits look up existing messages here.
-- Recipient and time come first: the messages of a window then lie together. A unique index on
-- `hash` instead would touch a random page for each message.
CREATE UNIQUE INDEX message_identity ON message (recipient_id, sent_at_ms, slot);

-- The latest messages of a conversation. `sender_id` makes the count of its participants covered.
CREATE INDEX message_by_conversation ON message (conversation_id, sent_at_ms, sender_id);

-- The latest messages of a sender.
CREATE INDEX message_by_sender ON message (sender_id, sent_at_ms);

-- The messages in a range of time. It holds every column that the views join on: a count of a range
-- reads nothing else.
CREATE INDEX message_by_time ON message (sent_at_ms, conversation_id, sender_id);

-- Messages whose status can still change, for `refresh`. No other message is in this index.
CREATE INDEX message_unread ON message (sent_at_ms, conversation_id) WHERE status < 3;

-- The streams that a message belongs to, by the most specific part of their scope. Each commit looks
-- for them, to adjust their sealed windows.
CREATE INDEX stream_by_conversation ON stream (account_id, conversation)
    WHERE conversation IS NOT NULL;
CREATE INDEX stream_by_recipient ON stream (account_id, recipient)
    WHERE recipient IS NOT NULL AND conversation IS NULL;
CREATE INDEX stream_by_sender ON stream (account_id, sender)
    WHERE sender IS NOT NULL AND recipient IS NULL AND conversation IS NULL;

-- Suspect windows. They are few, and looked for at every pass.
CREATE INDEX sealed_window_in_doubt ON sealed_window (stream_id) WHERE doubt IS NOT NULL;

-- The latest passes, and those that are due for deletion.
CREATE INDEX run_by_time ON run (started_at_ms);
