//! Statements on the marks of streams that are read in order of arrival.

pub(in crate::store) const ARRIVAL_MARKS: &str = "
    SELECT m.stream_id, m.position, m.last_hash
    FROM arrival_mark m JOIN stream s ON s.id = m.stream_id
    WHERE s.account_id = $1";

/// Inserts the mark of a stream that has none, or moves one that still is where it was. Without a
/// mark, nothing is archived in this order.
pub(in crate::store) const MOVE_ARRIVAL_MARK: &str = "
    INSERT INTO arrival_mark (stream_id, position, last_hash)
    SELECT s.id, $3, $4 FROM stream s
    WHERE s.id = $1
      AND $2 = coalesce((SELECT m.position FROM arrival_mark m WHERE m.stream_id = $1), 0)
    ON CONFLICT (stream_id) DO UPDATE SET position = excluded.position, last_hash = excluded.last_hash";

/// Sets the mark of a stream, wherever it is.
pub(in crate::store) const RESTORE_ARRIVAL_MARK: &str = "
    INSERT INTO arrival_mark (stream_id, position, last_hash) VALUES ($1, $2, $3)
    ON CONFLICT (stream_id) DO UPDATE SET position = excluded.position, last_hash = excluded.last_hash";

/// Returns one row, even for a stream without a mark.
pub(in crate::store) const ARRIVAL_MARK_OF_STREAM: &str = "
    SELECT coalesce(m.position, 0) AS position, m.last_hash AS last_hash
    FROM stream s LEFT JOIN arrival_mark m ON m.stream_id = s.id
    WHERE s.id = $1";
