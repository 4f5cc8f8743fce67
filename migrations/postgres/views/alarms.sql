-- Active alarms and past ones.
CREATE OR REPLACE VIEW alarms AS
SELECT nullif(l.account, '') AS account,
       a.provider            AS provider,
       nullif(l.stream, '')  AS stream,
       l.kind                AS kind,
       TIMESTAMPTZ 'epoch' + l.since_ms * INTERVAL '1 millisecond' AS since,
       TIMESTAMPTZ 'epoch' + l.until_ms * INTERVAL '1 millisecond' AS until,
       l.text                AS text,
       l.hint                AS hint
FROM alarm l
     LEFT JOIN account a ON a.name = l.account;
