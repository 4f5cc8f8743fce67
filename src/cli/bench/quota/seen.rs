//! What the sandbox has seen of a run.

use serde::de::DeserializeOwned;

use super::super::super::CliError;
use super::super::super::table::thousands;
use super::super::children::ProcessCost;
use super::{PAGE_MESSAGES, QUOTA, REQUESTS_A_PAGE};
use crate::sandbox::{Arrival, Call, RulesReport};

/// A run, from the sandbox's side; with what came of it.
#[derive(Debug)]
pub(super) struct QuotaRun {
    pub(super) rules: RulesReport,
    /// In order of time.
    pub(super) arrivals: Vec<Arrival>,
    /// Messages in the archive.
    pub(super) messages: u64,
    pub(super) took: ProcessCost,
}

impl QuotaRun {
    /// Asks a sandbox that has served one process.
    pub(super) async fn fetch(
        base_url: &str,
        messages: u64,
        took: ProcessCost,
    ) -> Result<Self, CliError> {
        let rules = fetch_json(&format!("{base_url}/sandbox/rules")).await?;
        let arrivals = fetch_json(&format!("{base_url}/sandbox/arrivals")).await?;
        Ok(Self {
            rules,
            arrivals,
            messages,
            took,
        })
    }

    /// How much of its quota an account has used while there was work; of several, the one that used least of it.
    pub(super) fn quota_used(&self) -> f64 {
        let used = self.rules.accounts.keys().map(|account| {
            let of_it = self
                .arrivals
                .iter()
                .filter(|arrival| arrival.account == *account);
            share_used(
                &of_it
                    .map(|arrival| (arrival.at_ms, arrival.call))
                    .collect::<Vec<_>>(),
            )
        });
        used.min_by(f64::total_cmp).unwrap_or_default()
    }

    /// The requests that pages full of these messages cost, as a share of those that were made.
    pub(super) fn request_efficiency(&self) -> f64 {
        let ideal = self.messages as f64 / f64::from(PAGE_MESSAGES) * f64::from(REQUESTS_A_PAGE);
        ideal / self.rules.total.requests().max(1) as f64
    }

    /// Messages a second, from the first request to the last.
    pub(super) fn messages_per_second(&self) -> f64 {
        let Some((first, last)) = self.arrivals.first().zip(self.arrivals.last()) else {
            return 0.0;
        };
        self.messages as f64 / ((last.at_ms - first.at_ms).max(1) as f64 / 1000.0)
    }

    /// Where the requests went.
    pub(super) fn describe_requests(&self) -> String {
        let total = &self.rules.total;
        let [query, read, early, count] =
            [total.query, total.read, total.in_progress, total.count].map(thousands);
        format!("{query} queries, {read} reads ({early} too early), {count} counts")
    }
}

/// How much of the quota was used from the first request up to the last that began something: after that, nothing was
/// left but to wait for handles, which no haste makes ready sooner.
fn share_used(requests: &[(i64, Call)]) -> f64 {
    let Some(last) = requests.iter().rposition(|(_, call)| *call != Call::Read) else {
        return 0.0;
    };
    // Between so many requests lie as many pauses.
    let taken_ms = requests[last].0 - requests[0].0;
    last as f64 / (f64::from(QUOTA) * taken_ms.max(1) as f64 / 1000.0)
}

async fn fetch_json<T: DeserializeOwned>(url: &str) -> Result<T, CliError> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .map_err(std::io::Error::other)?;
    let answer = client
        .get(url)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    let body = answer
        .map_err(std::io::Error::other)?
        .bytes()
        .await
        .map_err(std::io::Error::other)?;
    Ok(serde_json::from_slice(&body).map_err(std::io::Error::other)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_requests_a_second_use_all_of_the_quota_until_nothing_is_left_to_begin() {
        let at_ten_a_second = |n: i64| (n * 100, if n % 2 == 0 { Call::Query } else { Call::Read });
        let mut requests: Vec<_> = (0..=100).map(at_ten_a_second).collect();
        assert!((share_used(&requests) - 1.0).abs() < 1e-9);
        requests.push((60_000, Call::Read));
        assert!(
            (share_used(&requests) - 1.0).abs() < 1e-9,
            "a handle that took its time"
        );
        requests.push((20_000, Call::Count));
        assert!(
            (share_used(&requests) - 0.51).abs() < 1e-9,
            "as long again, and nothing but two requests"
        );
        assert!(share_used(&[]) <= 0.0 && share_used(&[(5, Call::Read)]) <= 0.0);
    }
}
