//! The data of the page for programs: `/status.json`. docs/PAGE.md describes its fields.

use std::time::Duration;

use axum::body::Bytes;
use serde::Serialize;

use super::model::headline::Headline;
use super::snapshot::{AccountOverview, PageSnapshot};
use crate::daemon::status_report::{AlarmReport, StreamReport, report_streams};
use crate::domain::format::sanitized_json;
use crate::store::StoreError;

/// The version of the format. It grows when a field changes or goes; new fields leave it as it is.
const FORMAT: u32 = 1;
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Debug, Serialize)]
struct StatusDocument<'a> {
    format: u32,
    version: &'static str,
    taken_at: String,
    uptime_seconds: u64,
    state: &'static str,
    headline: &'a str,
    archive: &'a str,
    archive_bytes: u64,
    accounts: Vec<AccountReport<'a>>,
    alarms: Vec<AlarmReport<'a>>,
    /// The same as `status --json` prints.
    streams: Vec<StreamReport<'a>>,
}

/// The state of an account that its streams do not say.
#[derive(Debug, Serialize)]
struct AccountReport<'a> {
    account: &'a str,
    provider: &'static str,
    requests_per_second_limit: Option<f64>,
    last_pass_at: Option<String>,
    next_pass_at: Option<String>,
    backlog: Option<BacklogReport>,
}

/// The history that is being fetched.
#[derive(Debug, Serialize)]
struct BacklogReport {
    fetched_messages: u64,
    expected_messages: u64,
    /// True if more messages may be expected.
    is_estimate: bool,
    seconds_left: u64,
}

/// The document while the archive cannot be read.
#[derive(Debug, Serialize)]
struct ErrorDocument<'a> {
    format: u32,
    version: &'static str,
    error: String,
    hint: &'a str,
}

/// Renders the document.
pub(super) fn render(snapshot: &PageSnapshot, headline: &Headline, uptime: Duration) -> Bytes {
    let forecasts = snapshot.accounts.iter();
    let forecasts: Vec<_> = forecasts
        .filter_map(|account| account.forecast.as_ref())
        .collect();
    let (streams, alarms) = (&snapshot.streams, &snapshot.alarms);
    to_json(&StatusDocument {
        format: FORMAT,
        version: VERSION,
        taken_at: snapshot.taken_at.to_string(),
        uptime_seconds: uptime.as_secs(),
        state: headline.state.name(),
        headline: &headline.text,
        archive: &snapshot.location,
        archive_bytes: snapshot.bytes,
        accounts: snapshot.accounts.iter().map(AccountReport::new).collect(),
        alarms: alarms.iter().map(AlarmReport::new).collect(),
        streams: report_streams(streams, &forecasts, alarms, snapshot.taken_at.second()),
    })
}

/// Renders the document for an archive that cannot be read.
pub(super) fn render_error(error: &StoreError) -> Bytes {
    to_json(&ErrorDocument {
        format: FORMAT,
        version: VERSION,
        error: error.to_string(),
        hint: error.hint(),
    })
}

impl<'a> AccountReport<'a> {
    fn new(account: &'a AccountOverview) -> Self {
        let backlog = account.progress.and_then(|progress| {
            let (fetched_messages, expected_messages) = progress.backlog()?;
            Some(BacklogReport {
                fetched_messages,
                expected_messages,
                is_estimate: progress.is_estimate,
                seconds_left: progress.left.as_secs(),
            })
        });
        Self {
            account: &account.name,
            provider: account.provider,
            requests_per_second_limit: account.requests_per_second,
            last_pass_at: account.last_pass.map(|at| at.to_string()),
            next_pass_at: account.next_pass.map(|at| at.to_string()),
            backlog,
        }
    }
}

/// Renders a value whose maps have no keys but strings, which cannot fail.
fn to_json(value: &impl Serialize) -> Bytes {
    let json = serde_json::to_string(value).unwrap_or_default();
    sanitized_json(&json).into()
}
