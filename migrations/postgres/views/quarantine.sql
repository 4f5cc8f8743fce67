-- Messages that could not be parsed or stored.
CREATE OR REPLACE VIEW quarantine AS
SELECT a.name AS account,
       a.provider AS provider,
       s.key AS stream,
       instant_s(q.from_s) AS from_at,
       instant_s(q.to_s) AS to_at,
       instant(q.found_at_ms) AS found_at,
       q.reason AS reason,
       q.raw AS raw
FROM quarantined_message q
     LEFT JOIN account a ON a.id = q.account_id
     LEFT JOIN stream s ON s.id = q.stream_id;

COMMENT ON VIEW quarantine IS
    'Messages that could not be parsed or stored, kept raw.';
COMMENT ON COLUMN quarantine.account IS 'The name of the account in the configuration.';
COMMENT ON COLUMN quarantine.provider IS 'agora or web3mq.';
COMMENT ON COLUMN quarantine.stream IS 'The stream in which the message was found.';
COMMENT ON COLUMN quarantine.from_at IS 'The start of the window in which the message was found.';
COMMENT ON COLUMN quarantine.to_at IS 'The end of that window, exclusive.';
COMMENT ON COLUMN quarantine.found_at IS 'The time at which it was found.';
COMMENT ON COLUMN quarantine.reason IS 'Why it could not be stored.';
COMMENT ON COLUMN quarantine.raw IS 'The message as the provider sent it.';
