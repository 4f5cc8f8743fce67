//! Statements on what an archive knows of its accounts besides messages and ledgers.

pub(in crate::store) const ACCOUNT_RECORDS: &str = "
    SELECT name, paused_until_ms, paused_reason, refused_credentials, accepted_credentials, error,
           hint, settle_ms, settle_override_s, straggler_count, discovery_error, discovery_hint
    FROM account
    ORDER BY name";

pub(in crate::store) const STREAM_ERRORS: &str = "
    SELECT a.name AS account, s.key, s.error, s.hint, s.error_at_ms
    FROM stream s JOIN account a ON a.id = s.account_id
    WHERE s.error IS NOT NULL
    ORDER BY a.name, s.key";

pub(in crate::store) const RESTORE_ACCOUNT_RECORD: &str = "
    UPDATE account
    SET paused_until_ms = $2, paused_reason = $3, settle_override_s = $4, straggler_count = $5,
        discovery_error = $6, discovery_hint = $7, refused_credentials = $8,
        accepted_credentials = $9, error = $10, hint = $11, settle_ms = $12
    WHERE name = $1";

pub(in crate::store) const CLEAR_STREAM_ERRORS: &str = "
    UPDATE stream SET error = NULL, hint = NULL, error_at_ms = NULL
    WHERE account_id = (SELECT id FROM account WHERE name = $1) AND error IS NOT NULL";

pub(in crate::store) const RESTORE_STREAM_ERROR: &str = "
    UPDATE stream SET error = $3, hint = $4, error_at_ms = $5
    WHERE account_id = (SELECT id FROM account WHERE name = $1) AND key = $2";

pub(in crate::store) const DELETE_RUNS_OF_ACCOUNT: &str = "
    DELETE FROM run WHERE account_id = (SELECT id FROM account WHERE name = $1)";

pub(in crate::store) const RUNS_AFTER: &str = "
    SELECT r.id, a.name AS account, r.purpose, r.started_at_ms, r.finished_at_ms, r.requests,
           r.new, r.changed, r.windows, r.errors, r.last_error, r.lag_s
    FROM run r JOIN account a ON a.id = r.account_id
    WHERE r.id > $1
    ORDER BY r.id
    LIMIT $2";

pub(in crate::store) const ADD_RUN: &str = "
    INSERT INTO run (account_id, purpose, started_at_ms, finished_at_ms, requests, new, changed,
                     windows, errors, last_error, lag_s)
    SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM account WHERE name = $1";
