//! The providers' rules: enforces the quota and records every violation.
//!
//! The code here never waits and reads no clock. The caller passes the time.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::call::Call;
use super::fault::Fault;
use super::limits::{MAX_LOST_ANSWERS, MAX_SIGNATURES, MIN_POLL_INTERVAL, QUOTA_WINDOW};
use crate::domain::lock::lock;

/// The number of requests and violations of one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCounts {
    /// Queries created.
    pub query: u64,
    /// Handles read.
    pub read: u64,
    /// Counts requested.
    pub count: u64,
    /// Reads of event feeds.
    pub events: u64,
    /// Pages of Web3MQ messages read.
    pub history: u64,
    /// Pages of Web3MQ's conversation lists read.
    pub list: u64,
    /// Answers of "in progress". They violate no rule, but return no data.
    pub in_progress: u64,
    /// Requests over the quota.
    pub quota_exceeded: u64,
    /// Requests repeated less than two seconds after "in progress".
    pub polled_too_soon: u64,
    /// Reads of a handle that was consumed or had expired.
    pub dead_handle_read: u64,
    /// Requests that reused a Web3MQ signature.
    pub stale_signature: u64,
    /// Requests that the contract does not allow.
    pub bad_request: u64,
    /// Requests without valid credentials.
    pub unauthorised: u64,
}

impl RuleCounts {
    /// Returns the total number of requests.
    pub fn requests(&self) -> u64 {
        self.query + self.read + self.count + self.events + self.history + self.list
    }

    /// Returns the total number of violations.
    pub fn violations(&self) -> u64 {
        self.quota_exceeded
            + self.polled_too_soon
            + self.dead_handle_read
            + self.stale_signature
            + self.bad_request
            + self.unauthorised
    }

    fn add(&mut self, other: &Self) {
        self.query += other.query;
        self.read += other.read;
        self.count += other.count;
        self.events += other.events;
        self.history += other.history;
        self.list += other.list;
        self.in_progress += other.in_progress;
        self.quota_exceeded += other.quota_exceeded;
        self.polled_too_soon += other.polled_too_soon;
        self.dead_handle_read += other.dead_handle_read;
        self.stale_signature += other.stale_signature;
        self.bad_request += other.bad_request;
        self.unauthorised += other.unauthorised;
    }
}

/// The record of all accounts since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesReport {
    /// The sum over all accounts.
    pub total: RuleCounts,
    /// The record by Agora app id or Web3MQ user id. Requests that name no existing account are
    /// recorded as `unknown`.
    pub accounts: BTreeMap<String, RuleCounts>,
    /// The number of requests that failed with a random fault, by kind.
    pub faults: BTreeMap<Fault, u64>,
}

/// Enforces the quota and records requests and violations.
#[derive(Debug, Default)]
pub struct Rules {
    accounts: Mutex<BTreeMap<String, AccountRecord>>,
    faults: Mutex<BTreeMap<Fault, u64>>,
}

#[derive(Debug, Default)]
struct AccountRecord {
    counts: RuleCounts,
    /// Requests admitted during the last second, oldest first.
    recent_requests: VecDeque<Instant>,
    /// Subjects that were recently answered with "in progress", and the time of that answer.
    pending: HashMap<String, Instant>,
    /// Subjects whose answer was lost to a fault. The client cannot know their state, so a repeated
    /// request is no violation.
    lost_answers: HashSet<String>,
    signatures: HashSet<String>,
    signatures_by_age: VecDeque<String>,
}

impl Rules {
    /// Records a request. Returns true if the quota (0: none) admits it. A rejected request does
    /// not count against the quota.
    pub fn record_request(&self, account: &str, call: Call, now: Instant, quota: u32) -> bool {
        self.with_account(account, |a| {
            match call {
                Call::Query => a.counts.query += 1,
                Call::Read => a.counts.read += 1,
                Call::Count => a.counts.count += 1,
                Call::Events => a.counts.events += 1,
                Call::History => a.counts.history += 1,
                Call::List => a.counts.list += 1,
            }
            while a
                .recent_requests
                .front()
                .is_some_and(|&t| now.saturating_duration_since(t) >= QUOTA_WINDOW)
            {
                a.recent_requests.pop_front();
            }
            let allowed = quota == 0 || a.recent_requests.len() < quota as usize;
            if !allowed {
                a.counts.quota_exceeded += 1;
            } else if quota > 0 {
                a.recent_requests.push_back(now);
            }
            allowed
        })
    }

    /// Records a request about `subject`. It is a violation if it follows "in progress" too soon.
    pub fn record_poll(&self, account: &str, what: &str, now: Instant) {
        self.with_account(account, |a| {
            if a.pending
                .get(what)
                .is_some_and(|&since| now.saturating_duration_since(since) < MIN_POLL_INTERVAL)
            {
                a.counts.polled_too_soon += 1;
            }
        });
    }

    /// Records that a request about `subject` was answered with "in progress".
    pub fn record_in_progress(&self, account: &str, what: &str, now: Instant) {
        self.with_account(account, |a| {
            a.counts.in_progress += 1;
            a.pending
                .retain(|_, &mut since| now.saturating_duration_since(since) < MIN_POLL_INTERVAL);
            a.pending.insert(what.to_owned(), now);
        });
    }

    /// Records the use of a signature. Each signature is valid for one request.
    pub fn record_signature(&self, account: &str, signature: &str) {
        self.with_account(account, |a| {
            if !a.signatures.insert(signature.to_owned()) {
                a.counts.stale_signature += 1;
                return;
            }
            a.signatures_by_age.push_back(signature.to_owned());
            if a.signatures_by_age.len() > MAX_SIGNATURES
                && let Some(oldest) = a.signatures_by_age.pop_front()
            {
                a.signatures.remove(&oldest);
            }
        });
    }

    /// Records the read of a handle that was consumed or had expired.
    pub fn record_dead_handle_read(&self, account: &str, handle: &str) {
        self.with_account(account, |a| {
            a.counts.dead_handle_read += u64::from(!a.lost_answers.contains(handle));
        });
    }

    /// Records that a request about `subject` failed with a fault. The client does not know whether
    /// `subject` is in progress or consumed.
    pub fn record_fault(&self, account: &str, what: &str, fault: Fault) {
        *lock(&self.faults).entry(fault).or_default() += 1;
        self.with_account(account, |a| {
            if a.lost_answers.len() >= MAX_LOST_ANSWERS {
                a.lost_answers.clear();
            }
            a.lost_answers.insert(what.to_owned());
        });
    }

    /// Removes the record that `subject` was answered with "in progress", because the answer was
    /// lost.
    pub fn clear_in_progress(&self, account: &str, what: &str) {
        self.with_account(account, |a| a.pending.remove(what));
    }

    /// Records a request that the contract does not allow.
    pub fn record_bad_request(&self, account: &str) {
        self.with_account(account, |a| a.counts.bad_request += 1);
    }

    /// Records a request without valid credentials.
    pub fn record_unauthorised(&self, account: &str) {
        self.with_account(account, |a| a.counts.unauthorised += 1);
    }

    /// Returns the record since the start or the last reset.
    pub fn report(&self) -> RulesReport {
        let accounts: BTreeMap<_, _> = lock(&self.accounts)
            .iter()
            .map(|(name, account)| (name.clone(), account.counts))
            .collect();
        let mut total = RuleCounts::default();
        for counts in accounts.values() {
            total.add(counts);
        }
        RulesReport {
            total,
            accounts,
            faults: lock(&self.faults).clone(),
        }
    }

    /// Clears the record. The state behind the quota and the polling rule is kept.
    pub fn reset(&self) {
        for account in lock(&self.accounts).values_mut() {
            account.counts = RuleCounts::default();
        }
        lock(&self.faults).clear();
    }

    fn with_account<T>(&self, account: &str, change: impl FnOnce(&mut AccountRecord) -> T) -> T {
        let mut accounts = lock(&self.accounts);
        if let Some(known) = accounts.get_mut(account) {
            return change(known);
        }
        change(accounts.entry(account.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_quota_applies_to_a_sliding_second() {
        let rules = Rules::default();
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        assert!(rules.record_request("a", Call::Query, at(0), 2));
        assert!(rules.record_request("a", Call::Read, at(900), 2));
        assert!(
            !rules.record_request("a", Call::Read, at(999), 2),
            "a third within the second"
        );
        assert!(
            rules.record_request("b", Call::Read, at(999), 2),
            "another account has its own"
        );
        assert!(
            rules.record_request("a", Call::Read, at(1000), 2),
            "the first has left the window, the refused never entered"
        );
        assert!(
            !rules.record_request("a", Call::Read, at(1800), 2),
            "a fixed window would have begun anew"
        );
        let report = rules.report();
        assert_eq!(report.accounts["a"].quota_exceeded, 2);
        assert_eq!((report.total.query, report.total.read), (1, 5));
        assert_eq!(report.total.requests(), 6);
    }

    #[test]
    fn a_poll_within_two_seconds_of_in_progress_is_a_violation() {
        let rules = Rules::default();
        let since = Instant::now();
        rules.record_poll("a", "handle", since);
        rules.record_in_progress("a", "handle", since);
        rules.record_poll("a", "other", since + Duration::from_millis(10));
        rules.record_poll("a", "handle", since + Duration::from_millis(1999));
        rules.record_poll("a", "handle", since + Duration::from_secs(2));
        assert_eq!(rules.report().total.polled_too_soon, 1);
    }

    #[test]
    fn a_reused_signature_is_a_violation_even_after_a_reset() {
        let rules = Rules::default();
        rules.record_signature("a", "s");
        rules.record_signature("a", "t");
        rules.record_signature("b", "s");
        assert_eq!(rules.report().total.violations(), 0);
        rules.reset();
        rules.record_signature("a", "s");
        assert_eq!(
            rules.report().total,
            RuleCounts {
                stale_signature: 1,
                ..RuleCounts::default()
            }
        );
    }
}
