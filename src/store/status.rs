//! How streams and accounts are, by what the archive says.

use std::collections::HashMap;
use std::time::Duration;

use super::dialect::{Dialect, duration_s, int, optional_int, text};
use super::ledger;
use super::sql_store::pause_from_row;
use super::{AccountId, Pause, RecordedError, StoreError, StreamId, sql};
use crate::domain::frontier::Frontier;
use crate::domain::stream::Scope;
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};

/// How a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamStatus {
    /// Its number; nothing where the row stands for an account of which no stream was looked at.
    pub id: Option<StreamId>,
    pub account_id: AccountId,
    pub account: String,
    pub provider: String,
    pub stream: String,
    /// Which messages belong to it; nothing where it was last followed before this was written down.
    pub scope: Option<Scope>,
    /// From when on its history is wanted.
    pub wanted_from: Second,
    /// What of it is sealed, as far back as the provider remembers.
    pub sealed: Runs,
    /// The end of the unbroken run of sealed windows from where history is wanted and can still be had; nothing where
    /// nothing is sealed.
    pub watermark: Option<Second>,
    /// The account's frontier when it was last saved.
    pub frontier: Frontier,
    /// Messages in sealed windows.
    pub messages: u64,
    /// The same, in those that the provider still had, then.
    pub recent_messages: u64,
    /// How many seconds those last.
    pub recent_seconds: u64,
    pub suspect_rows: u64,
    pub quarantined: u64,
    /// History that is settled, wanted and not sealed, but could still be had, then.
    pub missing: Vec<Window>,
    /// How many seconds that is.
    pub missing_seconds: u64,
    /// Seconds of history that fell behind the horizon unsealed.
    pub lost_seconds: u64,
    pub error: Option<RecordedError>,
    /// Why the account's provider could not be asked what there is to follow.
    pub discovery_error: Option<RecordedError>,
    /// Whether it was found, and not listed in the configuration.
    pub discovered: bool,
    pub pause: Option<Pause>,
    /// The account's settle age, where late messages have made it another than the configuration has it.
    pub settle: Option<Duration>,
}

/// How fast an account has worked lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The account's name.
    pub account: String,
    /// Requests, and over how long.
    pub requests: u64,
    pub busy: Duration,
    /// When its last pass began, or ended where it has ended.
    pub last_pass: Option<Millis>,
}

impl Pace {
    /// Requests a second; nothing where it had nothing to hurry for.
    pub fn rate(&self) -> Option<f64> {
        (self.busy > Duration::ZERO).then(|| self.requests as f64 / self.busy.as_secs_f64())
    }
}

pub(super) async fn read_status<DB: Dialect>(
    connection: &mut DB::Connection,
) -> Result<Vec<StreamStatus>, StoreError> {
    const WHAT: &str = "status";
    let mut ends: HashMap<i64, Vec<RunEnd>> = HashMap::new();
    DB::for_each_row(connection, WHAT, sql::RUN_ENDS_OF_ACTIVE_STREAMS, |row| {
        ends.entry(int::<DB>(row, "stream_id")?)
            .or_default()
            .push(run_end_from_row::<DB>(row)?);
        Ok(())
    })
    .await?;
    let mut streams = Vec::with_capacity(ends.len());
    DB::for_each_row(connection, WHAT, sql::STATUS, |row| {
        let ends = ends.remove(&int::<DB>(row, "id")?).unwrap_or_default();
        streams.push(status_from_row::<DB>(row, &ends)?);
        Ok(())
    })
    .await?;
    Ok(streams)
}

/// What is sealed of a stream, however long ago.
pub(super) async fn read_sealed_runs<DB: Dialect>(
    connection: &mut DB::Connection,
    stream: StreamId,
) -> Result<Runs, StoreError> {
    let rows = DB::fetch(connection, sql::RUN_ENDS_OF_STREAM, &[stream.0.into()])
        .await
        .map_err(StoreError::at("sealed"))?;
    let first = rows
        .first()
        .map(|row| int::<DB>(row, "first_s"))
        .transpose()?;
    let ends: Vec<RunEnd> = rows
        .iter()
        .map(run_end_from_row::<DB>)
        .collect::<Result<_, _>>()?;
    Ok(runs_from_ends(first, &ends))
}

/// Where a run of ledger rows ends, and where the next one begins.
type RunEnd = (i64, Option<i64>);

fn run_end_from_row<DB: Dialect>(row: &DB::Row) -> Result<RunEnd, StoreError> {
    Ok((int::<DB>(row, "to_s")?, optional_int::<DB>(row, "next_s")?))
}

/// The runs that end there, of which the first begins at `first`.
fn runs_from_ends(first: Option<i64>, ends: &[RunEnd]) -> Runs {
    let starts = std::iter::once(first).chain(ends.iter().map(|(_, next)| *next));
    starts
        .zip(ends)
        .filter_map(|(from, (to, _))| Window::new(Second(from?), Second(*to)))
        .collect()
}

fn status_from_row<DB: Dialect>(
    row: &DB::Row,
    ends: &[RunEnd],
) -> Result<StreamStatus, StoreError> {
    let from = Second(int::<DB>(row, "wanted_from_s")?);
    let frontier = ledger::frontier_from_row::<DB>(row)?;
    let settled = frontier.settled_to;
    let horizon = frontier.horizon.unwrap_or(from);
    let sealed = runs_from_ends(optional_int::<DB>(row, "first_s")?, ends);
    // What is lost behind the horizon does not make the rest any less complete.
    let start = from.max(horizon);
    let watermark = sealed.watermark(start);
    let missing = Window::new(start, settled)
        .map(|part| sealed.gaps_in(part))
        .unwrap_or_default();
    let beyond = sealed
        .iter()
        .filter_map(|run| run.starting_at(start))
        .map(Window::seconds)
        .sum();
    let behind = count_column::<DB>(row, "sealed_seconds")?
        .saturating_sub(count_column::<DB>(row, "unwanted_seconds")?);
    let forgotten = Window::new(from, horizon.min(settled)).map_or(0, Window::seconds);
    Ok(StreamStatus {
        id: Some(StreamId(int::<DB>(row, "id")?)).filter(|id| id.0 != 0),
        account_id: AccountId(int::<DB>(row, "account_id")?),
        account: text::<DB>(row, "account")?.unwrap_or_default(),
        provider: text::<DB>(row, "provider")?.unwrap_or_default(),
        stream: text::<DB>(row, "key")?.unwrap_or_default(),
        scope: ledger::scope_from_row::<DB>(row)?,
        wanted_from: from,
        watermark: (watermark > start).then_some(watermark),
        frontier,
        messages: count_column::<DB>(row, "messages")?,
        recent_messages: count_column::<DB>(row, "recent_messages")?,
        recent_seconds: sealed.iter().map(Window::seconds).sum(),
        suspect_rows: count_column::<DB>(row, "suspect")?,
        quarantined: count_column::<DB>(row, "quarantined")?,
        missing_seconds: missing.iter().map(|range| range.seconds()).sum(),
        missing,
        lost_seconds: forgotten.saturating_sub(behind.saturating_sub(beyond)),
        error: error_from_row::<DB>(row, ["error", "hint"])?,
        discovery_error: error_from_row::<DB>(row, ["discovery_error", "discovery_hint"])?,
        discovered: int::<DB>(row, "discovered")? == 1,
        pause: pause_from_row::<DB>(row)?,
        settle: duration_s::<DB>(row, "settle_override_s")?,
        sealed,
    })
}

fn error_from_row<DB: Dialect>(
    row: &DB::Row,
    [error, hint]: [&'static str; 2],
) -> Result<Option<RecordedError>, StoreError> {
    let hint = text::<DB>(row, hint)?.unwrap_or_default();
    Ok(text::<DB>(row, error)?.map(|error| RecordedError { error, hint }))
}

pub(super) async fn read_request_rates<DB: Dialect>(
    connection: &mut DB::Connection,
    since: Millis,
    lasting: Duration,
) -> Result<Vec<Pace>, StoreError> {
    let lasting = i64::try_from(lasting.as_millis()).unwrap_or(i64::MAX);
    let rows = DB::fetch(
        connection,
        sql::REQUEST_RATES,
        &[since.0.into(), lasting.into()],
    )
    .await;
    let pace = |row: &DB::Row| {
        Ok(Pace {
            account: text::<DB>(row, "account")?.unwrap_or_default(),
            requests: count_column::<DB>(row, "requests")?,
            busy: Duration::from_millis(count_column::<DB>(row, "busy_ms")?),
            last_pass: optional_int::<DB>(row, "last_ms")?.map(Millis),
        })
    };
    rows.map_err(StoreError::at("paces"))?
        .iter()
        .map(pace)
        .collect()
}

/// A number; none is 0.
pub(super) fn count_column<DB: Dialect>(
    row: &DB::Row,
    column: &'static str,
) -> Result<u64, StoreError> {
    Ok(optional_int::<DB>(row, column)?
        .and_then(|count| u64::try_from(count).ok())
        .unwrap_or(0))
}
