//! The log of request arrival times. It shows how evenly a client spends its quota.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::limits::MAX_ARRIVALS;
use crate::domain::lock::lock;
use crate::domain::time::Millis;

/// A request that counts against a provider's quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The Agora app id or Web3MQ user id of the request, or `unknown` if the sandbox has no such
    /// account.
    pub account: String,
    /// The kind of the request.
    pub call: Call,
    /// The arrival time in milliseconds since 1970, by the providers' clock.
    pub at_ms: i64,
}

/// The latest requests, oldest first.
#[derive(Debug, Default)]
pub struct ArrivalLog(Mutex<VecDeque<Arrival>>);

impl ArrivalLog {
    /// Records a request.
    pub(super) fn record(&self, account: &str, call: Call, now: Millis) {
        let mut arrivals = lock(&self.0);
        if arrivals.len() == MAX_ARRIVALS {
            arrivals.pop_front();
        }
        arrivals.push_back(Arrival {
            account: account.to_owned(),
            call,
            at_ms: now.0,
        });
    }

    /// Returns all recorded arrivals.
    pub fn report(&self) -> Vec<Arrival> {
        lock(&self.0).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_arrivals_are_kept() {
        let arrivals = ArrivalLog::default();
        (0..MAX_ARRIVALS as i64 + 2).for_each(|ms| arrivals.record("a", Call::Count, Millis(ms)));
        let report = arrivals.report();
        assert_eq!((report.len(), report[0].at_ms), (MAX_ARRIVALS, 2));
    }
}
