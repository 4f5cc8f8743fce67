//! A run as the sandbox has recorded it.

use backscroll::domain::format::thousands;
use backscroll::sandbox::{Arrival, Call, RulesReport};
use backscroll::sync::simulation::{PAGE_MESSAGES, REQUESTS_PER_PAGE, REQUESTS_PER_SECOND};
use serde::de::DeserializeOwned;

use crate::bench::children::{self, ProcessCost};
use crate::bench::error::BenchError;

/// The requests of a run, and its result.
#[derive(Debug)]
pub(super) struct QuotaRun {
    pub(super) rules: RulesReport,
    /// The requests in the order of time.
    pub(super) arrivals: Vec<Arrival>,
    /// The number of messages in the archive.
    pub(super) messages: u64,
    pub(super) cost: ProcessCost,
}

impl QuotaRun {
    /// Fetches the records of a sandbox that has served one process.
    pub(super) async fn fetch(
        base_url: &str,
        messages: u64,
        cost: ProcessCost,
    ) -> Result<Self, BenchError> {
        let rules = fetch_json(&format!("{base_url}/sandbox/rules")).await?;
        let arrivals = fetch_json(&format!("{base_url}/sandbox/arrivals")).await?;
        Ok(Self {
            rules,
            arrivals,
            messages,
            cost,
        })
    }

    /// Returns the share of its rate limit that an account used while it had work. If there are
    /// several accounts, returns the lowest share.
    pub(super) fn quota_used(&self) -> f64 {
        let shares = self.rules.accounts.keys().map(|account| {
            let own = self
                .arrivals
                .iter()
                .filter(|arrival| arrival.account == *account);
            share_used(
                &own.map(|arrival| (arrival.at_ms, arrival.call))
                    .collect::<Vec<_>>(),
            )
        });
        shares.min_by(f64::total_cmp).unwrap_or_default()
    }

    /// Returns the requests that full pages of these messages need, as a share of all requests.
    pub(super) fn request_efficiency(&self) -> f64 {
        let pages = self.messages as f64 / f64::from(PAGE_MESSAGES);
        let needed = pages * f64::from(REQUESTS_PER_PAGE);
        needed / self.rules.total.requests().max(1) as f64
    }

    /// Returns the messages per second from the first request to the last.
    pub(super) fn messages_per_second(&self) -> f64 {
        let Some((first, last)) = self.arrivals.first().zip(self.arrivals.last()) else {
            return 0.0;
        };
        self.messages as f64 / ((last.at_ms - first.at_ms).max(1) as f64 / 1000.0)
    }

    /// Returns the number of requests of each kind as text.
    pub(super) fn describe_requests(&self) -> String {
        let total = &self.rules.total;
        let counts = [total.query, total.read, total.in_progress, total.count];
        let [query, read, early, count] = counts.map(thousands);
        format!("{query} queries, {read} reads ({early} too early), {count} counts")
    }
}

/// Returns the share of the rate limit that was used from the first request to the last query or
/// count. After that, the only work left is to wait for handles, which more requests do not make
/// ready sooner.
pub(crate) fn share_used(requests: &[(i64, Call)]) -> f64 {
    let Some(last) = requests.iter().rposition(|(_, call)| *call != Call::Read) else {
        return 0.0;
    };
    // The number of intervals between the requests.
    let intervals = last as f64;
    let taken_ms = (requests[last].0 - requests[0].0).max(1) as f64;
    intervals / (f64::from(REQUESTS_PER_SECOND) * taken_ms / 1000.0)
}

async fn fetch_json<T: DeserializeOwned>(url: &str) -> Result<T, BenchError> {
    let client = children::http_client(url)?;
    let response = client.get(url).send().await?.error_for_status()?;
    Ok(serde_json::from_slice(&response.bytes().await?)?)
}
