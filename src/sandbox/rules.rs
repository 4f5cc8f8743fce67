//! The providers' rules: the quota, and the record of who kept to which rule.
//!
//! Nothing here waits or reads a clock: every call says when it happens.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::fault::Fault;
use super::world::lock;

/// Both contracts count requests over one second.
const QUOTA_WINDOW: Duration = Duration::from_secs(1);
/// Agora's contract: "wait at least two seconds" after "in progress".
const MIN_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How many handles of an account are remembered whose answer never arrived: far more than are ever in use.
const MAX_LOST_ANSWERS: usize = 10_000;
/// How many signatures of an account are remembered to notice a replay: far more than can be made while one is valid.
const MAX_SIGNATURES: usize = 50_000;

/// A request that a provider counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Call {
    /// Agora: make a handle.
    Query,
    /// Agora: read a handle.
    Read,
    /// Agora: count.
    Count,
    /// Agora: take events from a feed.
    Events,
    /// Web3MQ: read a page.
    History,
    /// Web3MQ: read a page of a list of conversations.
    List,
}

/// What one account did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCounts {
    /// Handles asked for.
    pub query: u64,
    /// Handles read.
    pub read: u64,
    /// Counts asked for.
    pub count: u64,
    /// Feeds asked for events.
    pub events: u64,
    /// Pages of Web3MQ read.
    pub history: u64,
    /// Pages of Web3MQ's lists read.
    pub list: u64,
    /// Answers of "in progress": no rule broken, but a request that brought nothing.
    pub in_progress: u64,
    /// Requests beyond the quota.
    pub quota_exceeded: u64,
    /// Repeated less than two seconds after "in progress".
    pub polled_too_soon: u64,
    /// Read a handle again that was consumed or had expired.
    pub dead_handle_read: u64,
    /// Used a Web3MQ signature for a second request.
    pub stale_signature: u64,
    /// Requests that the contract does not allow.
    pub bad_request: u64,
    /// Requests without a good credential.
    pub unauthorised: u64,
}

impl RuleCounts {
    /// All requests.
    pub fn requests(&self) -> u64 {
        self.query + self.read + self.count + self.events + self.history + self.list
    }

    /// How often a rule was broken.
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

/// What everybody did since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesReport {
    /// All accounts together.
    pub total: RuleCounts,
    /// By Agora app id or Web3MQ user id; whoever named no known account is `unknown`.
    pub accounts: BTreeMap<String, RuleCounts>,
    /// How many requests were met by a fault that was drawn, by kind.
    pub faults: BTreeMap<Fault, u64>,
}

/// Keeps the quota and the record.
#[derive(Debug, Default)]
pub struct Rules {
    accounts: Mutex<BTreeMap<String, AccountRecord>>,
    faults: Mutex<BTreeMap<Fault, u64>>,
}

#[derive(Debug, Default)]
struct AccountRecord {
    counts: RuleCounts,
    /// Requests inside the quota during the last second, oldest first.
    recent_requests: VecDeque<Instant>,
    /// What was answered "in progress" lately, and when.
    pending: HashMap<String, Instant>,
    /// What was answered with a fault: whoever asks again cannot know what became of it.
    lost_answers: HashSet<String>,
    signatures: HashSet<String>,
    signatures_by_age: VecDeque<String>,
}

impl Rules {
    /// Records a request, and tells whether the quota (0: none) allows it. A refused one takes no room in the quota.
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

    /// Records that the account asks for `what`, which it may have been told to wait for.
    pub fn record_poll(&self, account: &str, what: &str, now: Instant) {
        self.with_account(account, |a| {
            if a.pending
                .get(what)
                .is_some_and(|&told| now.saturating_duration_since(told) < MIN_POLL_INTERVAL)
            {
                a.counts.polled_too_soon += 1;
            }
        });
    }

    /// Records that the account is told that `what` is in progress.
    pub fn record_in_progress(&self, account: &str, what: &str, now: Instant) {
        self.with_account(account, |a| {
            a.counts.in_progress += 1;
            a.pending
                .retain(|_, &mut told| now.saturating_duration_since(told) < MIN_POLL_INTERVAL);
            a.pending.insert(what.to_owned(), now);
        });
    }

    /// Records that the account used `signature`; each is good for one request.
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

    /// Records that the account read a handle that was consumed or had expired.
    pub fn record_dead_handle_read(&self, account: &str, handle: &str) {
        self.with_account(account, |a| {
            a.counts.dead_handle_read += u64::from(!a.lost_answers.contains(handle));
        });
    }

    /// Records that a request about `what` was met by a fault. Whoever made it has not heard whether `what` is in
    /// progress, or spent.
    pub fn record_fault(&self, account: &str, what: &str, fault: Fault) {
        *lock(&self.faults).entry(fault).or_default() += 1;
        self.with_account(account, |a| {
            if a.lost_answers.len() >= MAX_LOST_ANSWERS {
                a.lost_answers.clear();
            }
            a.lost_answers.insert(what.to_owned());
        });
    }

    /// Records that the account has not heard that `what` is in progress.
    pub fn clear_in_progress(&self, account: &str, what: &str) {
        self.with_account(account, |a| a.pending.remove(what));
    }

    /// Records a request that the contract does not allow.
    pub fn record_bad_request(&self, account: &str) {
        self.with_account(account, |a| a.counts.bad_request += 1);
    }

    /// Records a request without a good credential.
    pub fn record_unauthorised(&self, account: &str) {
        self.with_account(account, |a| a.counts.unauthorised += 1);
    }

    /// The record so far.
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

    /// Begins the record anew. What the quota and the pauses are measured by stays.
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
    use super::*;

    #[test]
    fn the_quota_slides() {
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
    fn polling_within_two_seconds_of_in_progress_is_noticed() {
        let rules = Rules::default();
        let told = Instant::now();
        rules.record_poll("a", "handle", told);
        rules.record_in_progress("a", "handle", told);
        rules.record_poll("a", "other", told + Duration::from_millis(10));
        rules.record_poll("a", "handle", told + Duration::from_millis(1999));
        rules.record_poll("a", "handle", told + Duration::from_secs(2));
        assert_eq!(rules.report().total.polled_too_soon, 1);
    }

    #[test]
    fn a_signature_is_good_once_and_a_reset_forgets_the_record_only() {
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
