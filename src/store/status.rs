//! How streams and accounts are, by what the archive says.

use std::collections::HashMap;
use std::time::Duration;

use super::dialect::{Dialect, int, maybe_int, seconds, text};
use super::ledger::{self, window_of};
use super::sql_store::pause_of;
use super::{Pause, StoreError, Trouble, sql};
use crate::domain::stream::Scope;
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};

/// How a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamStatus {
    pub account: String,
    pub provider: String,
    pub stream: String,
    /// Which messages belong to it; nothing where it was last followed before this was written down.
    pub scope: Option<Scope>,
    /// From when on its history is wanted.
    pub wanted_from: Second,
    /// What of it is sealed.
    pub sealed: Runs,
    /// The end of the unbroken run of sealed windows from where history is wanted and can still be had; nothing where
    /// nothing is sealed.
    pub watermark: Option<Second>,
    /// Provider-now when the account was last looked at.
    pub as_of: Second,
    /// How long the provider keeps a message, where it is known to forget.
    pub retention: Option<Duration>,
    /// Messages in sealed windows.
    pub messages: u64,
    /// The same, in those that the provider still had, then.
    pub recent_messages: u64,
    /// How many seconds those last.
    pub recent_seconds: u64,
    pub suspect: u64,
    pub quarantined: u64,
    /// History that is settled, wanted and not sealed, but could still be had, then.
    pub missing: Vec<Window>,
    /// How many seconds that is.
    pub missing_seconds: u64,
    /// Seconds of history that fell behind the horizon unsealed.
    pub lost_seconds: u64,
    pub trouble: Option<Trouble>,
    /// Why the account's provider could not be asked what there is to follow.
    pub unlisted: Option<Trouble>,
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

/// The ledger of a stream, in short.
#[derive(Debug, Default)]
struct Rows {
    runs: Runs,
    /// Each with its messages.
    windows: Vec<(Window, u64)>,
}

pub(super) async fn read<DB: Dialect>(connection: &mut DB::Connection) -> Result<Vec<StreamStatus>, StoreError> {
    let failed = StoreError::at("status");
    let mut ledger: HashMap<i64, Rows> = HashMap::new();
    for row in DB::fetch(connection, sql::ALL_SEALED, &[]).await.map_err(&failed)? {
        let rows = ledger.entry(int::<DB>(&row, "stream_id")?).or_default();
        let window = window_of::<DB>(&row)?;
        rows.runs.insert(window);
        rows.windows.push((window, count::<DB>(&row, "messages")?));
    }
    let rows = DB::fetch(connection, sql::STATUS, &[]).await.map_err(&failed)?;
    rows.iter().map(|row| status::<DB>(row, ledger.remove(&int::<DB>(row, "id")?).unwrap_or_default())).collect()
}

fn status<DB: Dialect>(row: &DB::Row, Rows { runs, windows }: Rows) -> Result<StreamStatus, StoreError> {
    let (from, settled) = (Second(int::<DB>(row, "wanted_from_s")?), Second(int::<DB>(row, "settled_s")?));
    let horizon = maybe_int::<DB>(row, "horizon_s")?.map_or(from, Second);
    let missing = |part: Option<Window>| part.map(|part| runs.missing_from(part)).unwrap_or_default();
    let seconds_of = |missing: &[Window]| missing.iter().map(|range| range.seconds()).sum();
    // What is lost behind the horizon does not make the rest any less complete.
    let start = from.max(horizon);
    let watermark = runs.watermark(start);
    let ahead = missing(Window::new(start, settled));
    let recent = || windows.iter().filter(|(window, _)| window.to() > horizon);
    Ok(StreamStatus {
        account: text::<DB>(row, "account")?.unwrap_or_default(),
        provider: text::<DB>(row, "provider")?.unwrap_or_default(),
        stream: text::<DB>(row, "key")?.unwrap_or_default(),
        scope: ledger::scope::<DB>(row)?,
        wanted_from: from,
        watermark: (watermark > start).then_some(watermark),
        as_of: Second(int::<DB>(row, "wanted_to_s")?),
        retention: seconds::<DB>(row, "retention_s")?,
        messages: windows.iter().map(|(_, messages)| messages).sum(),
        recent_messages: recent().map(|(_, messages)| messages).sum(),
        recent_seconds: recent().map(|(window, _)| window.seconds()).sum(),
        suspect: count::<DB>(row, "suspect")?,
        quarantined: count::<DB>(row, "quarantined")?,
        missing_seconds: seconds_of(&ahead),
        missing: ahead,
        lost_seconds: seconds_of(&missing(Window::new(from, horizon.min(settled)))),
        trouble: trouble::<DB>(row, ["error", "hint"])?,
        unlisted: trouble::<DB>(row, ["unlisted_error", "unlisted_hint"])?,
        discovered: int::<DB>(row, "discovered")? == 1,
        pause: pause_of::<DB>(row)?,
        settle: seconds::<DB>(row, "settle_s")?,
        sealed: runs,
    })
}

fn trouble<DB: Dialect>(row: &DB::Row, [error, hint]: [&'static str; 2]) -> Result<Option<Trouble>, StoreError> {
    let hint = text::<DB>(row, hint)?.unwrap_or_default();
    Ok(text::<DB>(row, error)?.map(|error| Trouble { error, hint }))
}

pub(super) async fn paces<DB: Dialect>(
    connection: &mut DB::Connection,
    since: Millis,
    lasting: Duration,
) -> Result<Vec<Pace>, StoreError> {
    let lasting = i64::try_from(lasting.as_millis()).unwrap_or(i64::MAX);
    let rows = DB::fetch(connection, sql::PACE, &[since.0.into(), lasting.into()]).await;
    let pace = |row: &DB::Row| {
        Ok(Pace {
            account: text::<DB>(row, "account")?.unwrap_or_default(),
            requests: count::<DB>(row, "requests")?,
            busy: Duration::from_millis(count::<DB>(row, "busy_ms")?),
            last_pass: maybe_int::<DB>(row, "last_ms")?.map(Millis),
        })
    };
    rows.map_err(StoreError::at("paces"))?.iter().map(pace).collect()
}

fn count<DB: Dialect>(row: &DB::Row, column: &'static str) -> Result<u64, StoreError> {
    Ok(u64::try_from(int::<DB>(row, column)?).unwrap_or(0))
}
