//! When which request arrived: how evenly a quota was spent is seen from here alone.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::rules::Call;
use super::world::lock;
use crate::domain::time::Millis;

/// How many are remembered: a quarter of an hour of ten accounts that spend ten requests a second.
const MAX_ARRIVALS: usize = 100_000;

/// A request that a provider has counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The Agora app id or Web3MQ user id that it named; `unknown` where there is none such.
    pub account: String,
    /// What it asked for.
    pub call: Call,
    /// When it came, in milliseconds since 1970 by the providers' clock.
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

    /// The record so far.
    pub fn report(&self) -> Vec<Arrival> {
        lock(&self.0).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_are_remembered() {
        let arrivals = ArrivalLog::default();
        (0..MAX_ARRIVALS as i64 + 2).for_each(|ms| arrivals.record("a", Call::Count, Millis(ms)));
        let report = arrivals.report();
        assert_eq!((report.len(), report[0].at_ms), (MAX_ARRIVALS, 2));
    }
}
