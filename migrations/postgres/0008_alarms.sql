-- What is wrong, and what has been of late. A row begins when it is noticed, and is kept for a while after it is over.
CREATE TABLE alarm (
    -- The account's name; '' where the archive itself is concerned.
    account  TEXT NOT NULL,
    -- The stream's key; '' where all of the account is concerned.
    stream   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    until_ms BIGINT,
    text     TEXT NOT NULL,
    hint     TEXT NOT NULL,
    -- How far the harm had come that grows and does not go away again (of `lost`: seconds of history): whatever goes
    -- beyond is another alarm. NULL of every other kind.
    level    BIGINT,
    -- What the webhook has been told: 0 nothing, 1 that it began, 2 all.
    told     BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (account, stream, kind, since_ms)
);

CREATE VIEW alarms AS
SELECT nullif(l.account, '')                                           AS account,
       a.provider                                                      AS provider,
       nullif(l.stream, '')                                            AS stream,
       l.kind                                                          AS kind,
       TIMESTAMPTZ 'epoch' + l.since_ms * INTERVAL '1 millisecond' AS since,
       TIMESTAMPTZ 'epoch' + l.until_ms * INTERVAL '1 millisecond' AS until,
       l.text                                                          AS text,
       l.hint                                                          AS hint
FROM alarm l LEFT JOIN account a ON a.name = l.account;
