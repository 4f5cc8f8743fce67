-- Active alarms and past ones.
DROP VIEW IF EXISTS alarms;
CREATE VIEW alarms AS
SELECT nullif(l.account, '') AS account,
       a.provider            AS provider,
       nullif(l.stream, '')  AS stream,
       l.kind                AS kind,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.since_ms / 1000.0, 'unixepoch') AS since,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.until_ms / 1000.0, 'unixepoch') AS until,
       l.text                AS text,
       l.hint                AS hint
FROM alarm l
     LEFT JOIN account a ON a.name = l.account;
