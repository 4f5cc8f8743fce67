-- Active alarms and past ones.
CREATE OR REPLACE VIEW alarms AS
SELECT nullif(l.account, '') AS account,
       a.provider            AS provider,
       nullif(l.stream, '')  AS stream,
       l.kind                AS kind,
       instant(l.since_ms) AS since,
       instant(l.until_ms) AS until,
       l.text                AS text,
       l.hint                AS hint
FROM alarm l
     LEFT JOIN account a ON a.name = l.account;

COMMENT ON VIEW alarms IS
    'Active alarms, and for 90 days those that ended.';
COMMENT ON COLUMN alarms.account IS
    'The name of the account. NULL: the alarm concerns the archive itself.';
COMMENT ON COLUMN alarms.provider IS 'agora or web3mq.';
COMMENT ON COLUMN alarms.stream IS
    'The request of the stream. NULL: the alarm concerns the whole account.';
COMMENT ON COLUMN alarms.kind IS 'The kind of alarm. docs/ALARMS.md lists the kinds.';
COMMENT ON COLUMN alarms.since IS 'The start of the alarm.';
COMMENT ON COLUMN alarms.until IS 'The end of the alarm. NULL: it is active.';
COMMENT ON COLUMN alarms.text IS 'What is wrong.';
COMMENT ON COLUMN alarms.hint IS 'What to do about it.';
