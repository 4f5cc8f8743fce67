-- The schema of a fresh archive in postgres. Do not edit; generate it:
-- UPDATE_SCHEMA=1 cargo test --test it schema_dump

CREATE TABLE _sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone NOT NULL DEFAULT now(),
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL,
    CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version)
);

CREATE TABLE account (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    name text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    owner text COLLATE "C",
    node text COLLATE "C",
    horizon_s bigint,
    settled_s bigint NOT NULL DEFAULT 0,
    wanted_to_s bigint NOT NULL DEFAULT 0,
    retention_s bigint,
    paused_until_ms bigint,
    paused_reason text,
    refused_credentials text,
    accepted_credentials text,
    error text,
    hint text,
    clock_skew_ms bigint NOT NULL DEFAULT 0,
    settle_ms bigint,
    settle_override_s bigint,
    straggler_count bigint NOT NULL DEFAULT 0,
    fencing_token bigint NOT NULL DEFAULT 0,
    lease_holder text,
    discovery_error text,
    discovery_hint text,
    CONSTRAINT account_name_key UNIQUE (name),
    CONSTRAINT account_pkey PRIMARY KEY (id)
);

CREATE TABLE alarm (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    account text NOT NULL,
    stream text NOT NULL,
    kind text NOT NULL,
    since_ms bigint NOT NULL,
    until_ms bigint,
    text text NOT NULL,
    hint text NOT NULL,
    level bigint,
    notified bigint NOT NULL DEFAULT 0,
    CONSTRAINT alarm_notified_check CHECK (((notified >= 0) AND (notified <= 2))),
    CONSTRAINT alarm_pkey PRIMARY KEY (id)
);

CREATE TABLE arrival_mark (
    stream_id bigint NOT NULL,
    "position" bigint NOT NULL,
    last_hash bytea,
    CONSTRAINT arrival_mark_pkey PRIMARY KEY (stream_id),
    CONSTRAINT arrival_mark_stream_id_fkey FOREIGN KEY (stream_id) REFERENCES stream(id)
);

CREATE TABLE conversation (
    id integer NOT NULL GENERATED ALWAYS AS IDENTITY,
    account_id bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    kind bigint NOT NULL,
    CONSTRAINT conversation_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
    CONSTRAINT conversation_kind_check CHECK (((kind >= 0) AND (kind <= 4))),
    CONSTRAINT conversation_pkey PRIMARY KEY (id)
);

CREATE TABLE message (
    id bigint NOT NULL DEFAULT nextval('message_id'::regclass),
    sent_at_ms bigint NOT NULL,
    status_at_ms bigint,
    archived_at_s integer NOT NULL,
    recipient_id integer NOT NULL,
    slot integer NOT NULL,
    conversation_id integer NOT NULL,
    sender_id integer NOT NULL,
    message_type_id integer,
    payload_type_id integer,
    cipher_suite_id integer,
    occurrence integer,
    encoding smallint,
    status smallint,
    is_text boolean,
    hash uuid NOT NULL,
    payload bytea NOT NULL,
    provider_id text COLLATE "C",
    body text COLLATE "C",
    extra text COLLATE "C",
    extra_readable text COLLATE "C",
    is_json boolean,
    CONSTRAINT message_encoding_check CHECK (((encoding >= 0) AND (encoding <= 2))),
    CONSTRAINT message_identity PRIMARY KEY (sent_at_ms, recipient_id, slot),
    CONSTRAINT message_status_check CHECK (((status >= 1) AND (status <= 3)))
) PARTITION BY RANGE (sent_at_ms);

CREATE TABLE message_words (
    id bigint NOT NULL,
    sent_at_ms bigint NOT NULL,
    words tsvector,
    CONSTRAINT message_words_pkey PRIMARY KEY (id)
);

CREATE TABLE name (
    id integer NOT NULL GENERATED ALWAYS AS IDENTITY,
    value text COLLATE "C" NOT NULL,
    CONSTRAINT name_pkey PRIMARY KEY (id),
    CONSTRAINT name_value EXCLUDE USING hash (value WITH =)
);

CREATE TABLE quarantined_message (
    account_id bigint NOT NULL,
    hash bytea NOT NULL,
    stream_id bigint NOT NULL,
    from_s bigint NOT NULL,
    to_s bigint NOT NULL,
    found_at_ms bigint NOT NULL,
    reason text NOT NULL,
    raw text NOT NULL,
    CONSTRAINT quarantined_message_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
    CONSTRAINT quarantined_message_pkey PRIMARY KEY (account_id, hash),
    CONSTRAINT quarantined_message_stream_id_fkey FOREIGN KEY (stream_id) REFERENCES stream(id)
);

CREATE TABLE quota (
    account text COLLATE "C" NOT NULL,
    until_ms bigint NOT NULL,
    CONSTRAINT quota_pkey PRIMARY KEY (account)
);

CREATE TABLE run (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    account_id bigint NOT NULL,
    purpose text NOT NULL,
    started_at_ms bigint NOT NULL,
    finished_at_ms bigint,
    requests bigint NOT NULL DEFAULT 0,
    new bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0,
    windows bigint NOT NULL DEFAULT 0,
    errors bigint NOT NULL DEFAULT 0,
    last_error text,
    lag_s bigint,
    CONSTRAINT run_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
    CONSTRAINT run_pkey PRIMARY KEY (id)
);

CREATE TABLE sealed_window (
    stream_id bigint NOT NULL,
    from_s bigint NOT NULL,
    to_s bigint NOT NULL,
    messages bigint NOT NULL,
    provider_count bigint,
    not_shown bigint NOT NULL DEFAULT 0,
    digest bytea,
    doubt text,
    doubted_at_ms bigint,
    sealed_at_ms bigint NOT NULL,
    CONSTRAINT sealed_window_check CHECK ((from_s < to_s)),
    CONSTRAINT sealed_window_pkey PRIMARY KEY (stream_id, from_s),
    CONSTRAINT sealed_window_stream_id_fkey FOREIGN KEY (stream_id) REFERENCES stream(id)
);

CREATE TABLE search_progress (
    id bigint NOT NULL,
    enabled bigint NOT NULL DEFAULT 1,
    token_rules bigint NOT NULL DEFAULT 0,
    indexed_to bigint NOT NULL DEFAULT 0,
    changes bigint NOT NULL DEFAULT 0,
    CONSTRAINT search_progress_enabled_check CHECK ((enabled = ANY (ARRAY[(0)::bigint, (1)::bigint]))),
    CONSTRAINT search_progress_id_check CHECK ((id = 1)),
    CONSTRAINT search_progress_pkey PRIMARY KEY (id)
);

CREATE TABLE stream (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    account_id bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    wanted_from_s bigint NOT NULL,
    followed_at_s bigint NOT NULL DEFAULT 0,
    active bigint NOT NULL DEFAULT 1,
    discovered bigint NOT NULL DEFAULT 0,
    sender text COLLATE "C",
    recipient text COLLATE "C",
    conversation text COLLATE "C",
    error text,
    hint text,
    error_at_ms bigint,
    CONSTRAINT stream_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
    CONSTRAINT stream_active_check CHECK ((active = ANY (ARRAY[(0)::bigint, (1)::bigint]))),
    CONSTRAINT stream_discovered_check CHECK ((discovered = ANY (ARRAY[(0)::bigint, (1)::bigint]))),
    CONSTRAINT stream_pkey PRIMARY KEY (id)
);

CREATE TABLE view_definition (
    name text COLLATE "C" NOT NULL,
    hash bytea NOT NULL,
    version text NOT NULL,
    CONSTRAINT view_definition_pkey PRIMARY KEY (name)
);

CREATE UNIQUE INDEX alarm_key ON backscroll.alarm USING btree (account, text_key(stream), kind, since_ms);

CREATE INDEX conversation_by_first_letters ON backscroll.conversation USING btree (account_id, "left"(name, 100));

CREATE INDEX conversation_by_last_letters ON backscroll.conversation USING btree (account_id, "left"(reverse(name), 100));

CREATE INDEX conversation_by_name ON backscroll.conversation USING hash (name);

CREATE UNIQUE INDEX conversation_key ON backscroll.conversation USING btree (account_id, text_key(name));

CREATE INDEX message_by_conversation ON ONLY backscroll.message USING btree (conversation_id, sent_at_ms) WITH (fillfactor='100');

CREATE INDEX message_by_id ON ONLY backscroll.message USING brin (id) WITH (pages_per_range='32');

CREATE INDEX message_by_sender ON ONLY backscroll.message USING btree (sender_id, sent_at_ms);

CREATE INDEX message_unread ON ONLY backscroll.message USING btree (sent_at_ms, conversation_id) WHERE (status < 3);

CREATE INDEX message_words_by_word ON backscroll.message_words USING gin (words) WITH (gin_pending_list_limit='1024');

CREATE INDEX message_words_too_long ON backscroll.message_words USING btree (id) WHERE (words IS NULL);

CREATE INDEX run_by_time ON backscroll.run USING btree (started_at_ms);

CREATE INDEX sealed_window_in_doubt ON backscroll.sealed_window USING btree (stream_id) WHERE (doubt IS NOT NULL);

CREATE INDEX stream_by_conversation ON backscroll.stream USING hash (conversation);

CREATE INDEX stream_by_recipient ON backscroll.stream USING hash (recipient) WHERE (conversation IS NULL);

CREATE INDEX stream_by_sender ON backscroll.stream USING hash (sender) WHERE ((recipient IS NULL) AND (conversation IS NULL));

CREATE UNIQUE INDEX stream_key ON backscroll.stream USING btree (account_id, text_key(key));

-- VIEW alarms
--     account text
--     provider text
--     stream text
--     kind text
--     since timestamp with time zone
--     until timestamp with time zone
--     text text
--     hint text

-- VIEW archive
--     account text
--     provider text
--     conversation text
--     conversation_kind text
--     sender text
--     recipient text
--     sent_at timestamp with time zone
--     sent_at_ms bigint
--     body text
--     payload bytea
--     payload_encoding text
--     payload_type text
--     cipher_suite text
--     status text
--     status_at timestamp with time zone
--     provider_message_id text
--     occurrence bigint
--     archived_at timestamp with time zone
--     extra jsonb
--     message_type text
--     conversation_id integer
--     sender_id integer
--     id bigint
--     body_json jsonb
--     rowid bigint

-- VIEW archive_end
--     id bigint

-- VIEW archive_search
--     id bigint
--     sent_at_ms bigint
--     words tsvector
--     rowid bigint

-- VIEW archive_search_end
--     id bigint

-- VIEW archive_text
--     id bigint
--     account text
--     provider text
--     conversation text
--     conversation_kind text
--     sender text
--     recipient text
--     sent_at timestamp with time zone
--     sent_at_ms bigint
--     body text
--     body_json jsonb
--     payload_type text
--     cipher_suite text
--     status text
--     status_at timestamp with time zone
--     provider_message_id text
--     occurrence bigint
--     archived_at timestamp with time zone
--     extra jsonb
--     message_type text
--     conversation_id integer
--     sender_id integer

-- VIEW completeness
--     account text
--     conversation text
--     from_at timestamp with time zone
--     to_at timestamp with time zone
--     from_ms bigint
--     to_ms bigint
--     conversation_id bigint

-- VIEW conversations
--     account text
--     conversation text
--     conversation_kind text
--     messages bigint
--     participants bigint
--     first_at timestamp with time zone
--     last_at timestamp with time zone
--     conversation_id integer

-- VIEW coverage
--     account text
--     stream text
--     from_at timestamp with time zone
--     to_at timestamp with time zone
--     messages bigint
--     provider_count bigint
--     state text
--     reason text
--     sealed_at timestamp with time zone
--     windows bigint

-- VIEW days
--     account text
--     conversation text
--     day date
--     messages bigint
--     state text
--     conversation_id bigint

-- VIEW gaps
--     account text
--     stream text
--     from_at timestamp with time zone
--     to_at timestamp with time zone
--     reason text
--     lost boolean
--     expires_at timestamp with time zone

-- VIEW quarantine
--     account text
--     provider text
--     stream text
--     from_at timestamp with time zone
--     to_at timestamp with time zone
--     found_at timestamp with time zone
--     reason text
--     raw text

-- VIEW runs
--     account text
--     why text
--     started_at timestamp with time zone
--     finished_at timestamp with time zone
--     requests bigint
--     new bigint
--     changed bigint
--     windows bigint
--     errors bigint
--     last_error text
--     lag_seconds bigint

-- VIEW senders
--     sender text
--     messages bigint
--     first_at timestamp with time zone
--     last_at timestamp with time zone
--     sender_id integer

-- VIEW times
--     sent_at timestamp with time zone
--     sent_at_ms bigint
--     conversation_id bigint
--     sender_id bigint
