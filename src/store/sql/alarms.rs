//! Statements on alarms.

pub(in crate::store) const ACTIVE_ALARMS: &str = "
    SELECT account, stream, kind, since_ms, until_ms, text, hint, level, notified
    FROM alarm
    WHERE until_ms IS NULL
    ORDER BY since_ms, account, stream, kind";

/// Returns the active alarms, those that ended since a moment, those with a notification to send,
/// and those of permanent damage.
pub(in crate::store) const ALARMS: &str = "
    SELECT account, stream, kind, since_ms, until_ms, text, hint, level, notified
    FROM alarm
    WHERE until_ms IS NULL OR until_ms >= $1 OR notified < 2 OR level IS NOT NULL
    ORDER BY since_ms, account, stream, kind";

/// Inserts or updates an alarm. The state of its notification never moves back. `$key` is the
/// unique key of the table.
macro_rules! upsert_alarm {
    ($key:literal) => {
        concat!(
            "INSERT INTO alarm (account, stream, kind, since_ms, until_ms, text, hint, level,",
            " notified) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (",
            $key,
            ") DO UPDATE SET until_ms = excluded.until_ms, text = excluded.text,",
            " hint = excluded.hint, level = excluded.level,",
            " notified = CASE WHEN alarm.notified > excluded.notified THEN alarm.notified",
            " ELSE excluded.notified END"
        )
    };
}
pub(in crate::store) use upsert_alarm;

/// Deletes alarms that ended before a moment. An alarm of permanent damage is kept until a later
/// one records that the damage has grown.
pub(in crate::store) const DELETE_OLD_ALARMS: &str = "
    DELETE FROM alarm
    WHERE until_ms < $1
      AND (level IS NULL
           OR EXISTS (SELECT 1 FROM alarm later
                      WHERE later.account = alarm.account AND later.stream = alarm.stream
                        AND later.kind = alarm.kind AND later.since_ms > alarm.since_ms))";
