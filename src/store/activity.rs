//! What passes came to, and what a stream's ledger says of its days.

use std::time::Duration;

use super::dialect::{Dialect, int, optional_int, text};
use super::ledger::window_from_row;
use super::status::count_column;
use super::{StoreError, StreamId, Tally, sql};
use crate::domain::time::Millis;
use crate::domain::window::Window;

/// A pass that is over, or under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassRecord {
    /// The account's name.
    pub account: String,
    /// What it was for.
    pub why: String,
    pub started_at: Millis,
    /// Nothing while it is under way, and where it was broken off.
    pub finished_at: Option<Millis>,
    pub tally: Tally,
}

/// What an account's passes came to that began within a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// The account's name.
    pub account: String,
    /// When the span begins; all are equally long, and counted from 1970.
    pub from: Millis,
    pub requests: u64,
    pub new: u64,
    pub errors: u64,
    /// How far, at the worst, the stream furthest behind lagged when one of them ended, in seconds.
    pub lag_seconds: Option<u64>,
}

/// Ledger rows of a stream that begin on one day and end on one day (UTC), taken together. Those that do not lie within
/// a day stand alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// From the first to the last of them.
    pub window: Window,
    /// How many seconds of it are sealed.
    pub seconds: u64,
    pub messages: u64,
    /// Whether they are in doubt.
    pub is_suspect: bool,
}

/// The latest passes, the newest first.
pub(super) async fn read_recent_passes<DB: Dialect>(
    connection: &mut DB::Connection,
    limit: u64,
) -> Result<Vec<PassRecord>, StoreError> {
    let rows = DB::fetch(connection, sql::RECENT_PASSES, &[limit.into()])
        .await
        .map_err(StoreError::at("passes"))?;
    let passed = |row: &DB::Row| {
        let [requests, new, changed] =
            ["requests", "new", "changed"].map(|figure| count_column::<DB>(row, figure));
        let [windows, errors] = ["windows", "errors"].map(|figure| count_column::<DB>(row, figure));
        Ok(PassRecord {
            account: text::<DB>(row, "account")?.unwrap_or_default(),
            why: text::<DB>(row, "purpose")?.unwrap_or_default(),
            started_at: Millis(int::<DB>(row, "started_at_ms")?),
            finished_at: optional_int::<DB>(row, "finished_at_ms")?.map(Millis),
            tally: Tally {
                requests: requests?,
                new: new?,
                changed: changed?,
                windows: windows?,
                errors: errors?,
                last_error: text::<DB>(row, "last_error")?,
                lag_seconds: lag_seconds::<DB>(row)?,
            },
        })
    };
    rows.iter().map(passed).collect()
}

/// What passes came to since a moment, by spans of this length, in order of time.
pub(super) async fn read_throughput<DB: Dialect>(
    connection: &mut DB::Connection,
    since: Millis,
    span: Duration,
) -> Result<Vec<Pulse>, StoreError> {
    let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX).max(1);
    let rows = DB::fetch(connection, sql::THROUGHPUT, &[since.0.into(), span.into()]).await;
    let pulse = |row: &DB::Row| {
        Ok(Pulse {
            account: text::<DB>(row, "account")?.unwrap_or_default(),
            from: Millis(int::<DB>(row, "nth")?.saturating_mul(span)),
            requests: count_column::<DB>(row, "requests")?,
            new: count_column::<DB>(row, "new")?,
            errors: count_column::<DB>(row, "errors")?,
            lag_seconds: lag_seconds::<DB>(row)?,
        })
    };
    rows.map_err(StoreError::at("pulse"))?
        .iter()
        .map(pulse)
        .collect()
}

fn lag_seconds<DB: Dialect>(row: &DB::Row) -> Result<Option<u64>, StoreError> {
    Ok(optional_int::<DB>(row, "lag_s")?.and_then(|lag| u64::try_from(lag).ok()))
}

/// What of a stream is sealed that has a part in `window`, day by day.
pub(super) async fn read_ledger_days<DB: Dialect>(
    connection: &mut DB::Connection,
    stream: StreamId,
    window: Window,
) -> Result<Vec<Stretch>, StoreError> {
    let args = [
        stream.0.into(),
        window.from().0.into(),
        window.to().0.into(),
    ];
    let rows = DB::fetch(connection, sql::LEDGER_DAYS, &args)
        .await
        .map_err(StoreError::at("days"))?;
    let stretch = |row: &DB::Row| {
        Ok(Stretch {
            window: window_from_row::<DB>(row)?,
            seconds: count_column::<DB>(row, "seconds")?,
            messages: count_column::<DB>(row, "messages")?,
            is_suspect: int::<DB>(row, "suspect")? == 1,
        })
    };
    rows.iter().map(stretch).collect()
}
