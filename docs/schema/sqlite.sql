-- The schema of a fresh archive in sqlite. Do not edit; generate it:
-- UPDATE_SCHEMA=1 cargo test --test it schema_dump

CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);

CREATE TABLE account (
    id                INTEGER PRIMARY KEY,
    name              TEXT NOT NULL UNIQUE,
    provider          TEXT NOT NULL,
    owner             TEXT,
    node              TEXT,
    horizon_s         INTEGER,
    settled_s         INTEGER NOT NULL DEFAULT 0,
    wanted_to_s       INTEGER NOT NULL DEFAULT 0,
    retention_s       INTEGER,
    paused_until_ms   INTEGER,
    paused_reason     TEXT,
    refused_credentials  TEXT,
    accepted_credentials TEXT,
    error             TEXT,
    hint              TEXT,
    clock_skew_ms     INTEGER NOT NULL DEFAULT 0,
    settle_ms         INTEGER,
    settle_override_s INTEGER,
    straggler_count   INTEGER NOT NULL DEFAULT 0,
    fencing_token     INTEGER NOT NULL DEFAULT 0,
    lease_holder      TEXT,
    discovery_error   TEXT,
    discovery_hint    TEXT
) STRICT;

CREATE TABLE alarm (
    account  TEXT NOT NULL,
    stream   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    until_ms INTEGER,
    text     TEXT NOT NULL,
    hint     TEXT NOT NULL,
    level    INTEGER,
    notified INTEGER NOT NULL DEFAULT 0 CHECK (notified BETWEEN 0 AND 2),
    PRIMARY KEY (account, stream, kind, since_ms)
) STRICT, WITHOUT ROWID;

CREATE VIRTUAL TABLE archive_search USING fts5 (words, content = '', tokenize = 'ascii');

CREATE TABLE 'archive_search_config'(k PRIMARY KEY, v) WITHOUT ROWID;

CREATE TABLE 'archive_search_data'(id INTEGER PRIMARY KEY, block BLOB);

CREATE TABLE 'archive_search_docsize'(id INTEGER PRIMARY KEY, sz BLOB);

CREATE TABLE 'archive_search_idx'(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID;

CREATE TABLE arrival_mark (
    stream_id INTEGER PRIMARY KEY REFERENCES stream (id),
    position  INTEGER NOT NULL,
    last_hash BLOB
) STRICT;

CREATE TABLE conversation (
    id         INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    name       TEXT NOT NULL,
    kind       INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 4),
    UNIQUE (account_id, name)
) STRICT;

CREATE TABLE message (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    recipient_id    INTEGER NOT NULL,
    sent_at_ms      INTEGER NOT NULL,
    slot            INTEGER NOT NULL,
    hash            BLOB NOT NULL,
    occurrence      INTEGER NOT NULL DEFAULT 0,
    conversation_id INTEGER NOT NULL,
    sender_id       INTEGER NOT NULL,
    encoding        INTEGER NOT NULL DEFAULT 0 CHECK (encoding BETWEEN 0 AND 2),
    is_text         INTEGER NOT NULL DEFAULT 1 CHECK (is_text IN (0, 1)),
    status          INTEGER CHECK (status BETWEEN 1 AND 3),
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

CREATE TABLE name (
    id    INTEGER PRIMARY KEY,
    value TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE quarantined_message (
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

CREATE TABLE quota (
    account  TEXT PRIMARY KEY,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    id             INTEGER PRIMARY KEY,
    account_id     INTEGER NOT NULL REFERENCES account (id),
    purpose        TEXT NOT NULL,
    started_at_ms  INTEGER NOT NULL,
    finished_at_ms INTEGER,
    requests       INTEGER NOT NULL DEFAULT 0,
    new            INTEGER NOT NULL DEFAULT 0,
    changed        INTEGER NOT NULL DEFAULT 0,
    windows        INTEGER NOT NULL DEFAULT 0,
    errors         INTEGER NOT NULL DEFAULT 0,
    last_error     TEXT,
    lag_s          INTEGER
) STRICT;

CREATE TABLE sealed_window (
    stream_id      INTEGER NOT NULL REFERENCES stream (id),
    from_s         INTEGER NOT NULL,
    to_s           INTEGER NOT NULL CHECK (from_s < to_s),
    messages       INTEGER NOT NULL,
    provider_count INTEGER,
    not_shown      INTEGER NOT NULL DEFAULT 0,
    digest         BLOB,
    doubt          TEXT,
    doubted_at_ms  INTEGER,
    sealed_at_ms   INTEGER NOT NULL,
    PRIMARY KEY (stream_id, from_s)
) STRICT, WITHOUT ROWID;

CREATE TABLE search_progress (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    enabled     INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    token_rules INTEGER NOT NULL DEFAULT 0,
    indexed_to  INTEGER NOT NULL DEFAULT 0,
    changes     INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE stream (
    id            INTEGER PRIMARY KEY,
    account_id    INTEGER NOT NULL REFERENCES account (id),
    key           TEXT NOT NULL,
    wanted_from_s INTEGER NOT NULL,
    followed_at_s INTEGER NOT NULL DEFAULT 0,
    active        INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    discovered    INTEGER NOT NULL DEFAULT 0 CHECK (discovered IN (0, 1)),
    sender        TEXT,
    recipient     TEXT,
    conversation  TEXT,
    error         TEXT,
    hint          TEXT,
    error_at_ms   INTEGER,
    UNIQUE (account_id, key)
) STRICT;

CREATE TABLE view_definition (
    name    TEXT PRIMARY KEY,
    hash    BLOB NOT NULL,
    version TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX message_by_conversation ON message (conversation_id, sent_at_ms, sender_id);

CREATE INDEX message_by_sender ON message (sender_id, sent_at_ms);

CREATE INDEX message_by_time ON message (sent_at_ms, conversation_id, sender_id);

CREATE UNIQUE INDEX message_identity ON message (recipient_id, sent_at_ms, slot);

CREATE INDEX message_unread ON message (sent_at_ms, conversation_id) WHERE status < 3;

CREATE INDEX run_by_time ON run (started_at_ms);

CREATE INDEX sealed_window_in_doubt ON sealed_window (stream_id) WHERE doubt IS NOT NULL;

CREATE INDEX stream_by_conversation ON stream (account_id, conversation)
    WHERE conversation IS NOT NULL;

CREATE INDEX stream_by_recipient ON stream (account_id, recipient)
    WHERE recipient IS NOT NULL AND conversation IS NULL;

CREATE INDEX stream_by_sender ON stream (account_id, sender)
    WHERE sender IS NOT NULL AND recipient IS NULL AND conversation IS NULL;

-- VIEW alarms
--     account
--     provider
--     stream
--     kind
--     since
--     until
--     text
--     hint

-- VIEW archive
--     account
--     provider
--     conversation
--     conversation_kind
--     sender
--     recipient
--     sent_at
--     sent_at_ms
--     body
--     payload
--     payload_encoding
--     payload_type
--     cipher_suite
--     status
--     status_at
--     provider_message_id
--     occurrence
--     archived_at
--     extra
--     message_type
--     conversation_id
--     sender_id
--     id
--     body_json
--     rowid

-- VIEW archive_end
--     id

-- VIEW archive_search_end
--     id

-- VIEW archive_text
--     id
--     account
--     provider
--     conversation
--     conversation_kind
--     sender
--     recipient
--     sent_at
--     sent_at_ms
--     body
--     body_json
--     payload_type
--     cipher_suite
--     status
--     status_at
--     provider_message_id
--     occurrence
--     archived_at
--     extra
--     message_type
--     conversation_id
--     sender_id

-- VIEW completeness
--     account
--     conversation
--     from_at
--     to_at
--     from_ms
--     to_ms
--     conversation_id

-- VIEW conversations
--     account
--     conversation
--     conversation_kind
--     messages
--     participants
--     first_at
--     last_at
--     conversation_id

-- VIEW coverage
--     account
--     stream
--     from_at
--     to_at
--     messages
--     provider_count
--     state
--     reason
--     sealed_at
--     windows

-- VIEW days
--     account
--     conversation
--     day
--     messages
--     state
--     conversation_id

-- VIEW gaps
--     account
--     stream
--     from_at
--     to_at
--     reason
--     lost
--     expires_at

-- VIEW quarantine
--     account
--     provider
--     stream
--     from_at
--     to_at
--     found_at
--     reason
--     raw

-- VIEW runs
--     account
--     why
--     started_at
--     finished_at
--     requests
--     new
--     changed
--     windows
--     errors
--     last_error
--     lag_seconds

-- VIEW senders
--     sender
--     messages
--     first_at
--     last_at
--     sender_id

-- VIEW times
--     sent_at
--     sent_at_ms
--     conversation_id
--     sender_id
