//! The results of an account's passes in this process: can the account be worked on. Pure.

use std::collections::{BTreeSet, HashMap};

use crate::alerts::check::{CheckResult, DetectedProblem};
use crate::alerts::limits::{FAILURES_BEFORE_ALARM, HANG_AFTER};
use crate::domain::alarm::AlarmKind;
use crate::domain::time::Millis;
use crate::provider::{Disposition, ProviderError};
use crate::store::StreamStatus;

const HANG_HINT: &str = "raise requests_per_second if it is below 0.1; otherwise restart \
                         Backscroll (nothing is lost), and please report it";

/// The key of discovery among the failing streams. No stream has it.
const DISCOVERY: &str = "";

/// The recent passes of an account. See the module documentation.
#[derive(Debug, Default)]
pub struct PassHistory {
    /// True if this process, and no other, works on the account.
    is_ours: bool,
    /// The start of the running pass.
    running_since: Option<Millis>,
    /// The start of the last pass that has ended.
    last_begun: Option<Millis>,
    /// True if streams failed in the last pass, or were not discovered.
    last_had_failures: bool,
    condition: AccountCondition,
    /// The number of passes in which the account could be worked on.
    working_passes: u64,
    /// For each failing stream, the first pass after which its error was seen.
    first_failures: HashMap<String, FirstFailure>,
}

/// The first of a stream's consecutive failures.
#[derive(Clone, Copy, Debug)]
struct FirstFailure {
    /// The value of `working_passes`.
    pass: u64,
    /// The start of the pass.
    begun: Option<Millis>,
}

#[derive(Debug, Default)]
enum AccountCondition {
    #[default]
    Unknown,
    Working,
    Failing {
        /// The start of the first pass in which nothing worked.
        since: Millis,
        error: String,
        hint: &'static str,
    },
    Parked {
        error: String,
        hint: &'static str,
    },
}

impl PassHistory {
    /// Records the start of a pass.
    pub fn record_begin(&mut self, now: Millis) {
        self.running_since = Some(now);
    }

    /// Records that another process works on the account. That process reports its own problems.
    pub fn release_to_other_process(&mut self) {
        *self = Self::default();
    }

    /// Records a pass that failed at the archive. It says nothing about the account.
    pub fn record_abort(&mut self) {
        self.is_ours = true;
        self.running_since = None;
    }

    /// Records the end of a pass that sent this number of requests: with the failure of the account
    /// as a whole, if there was one, or else with answers for some of its streams. A pass without
    /// either is ignored: it proves nothing. So is one that sent no request because of a pause: an
    /// earlier pass has met the reason, in this process or before it.
    pub fn record_end(
        &mut self,
        account_failure: Option<&ProviderError>,
        requests: u64,
        has_answers: bool,
        now: Millis,
    ) {
        self.is_ours = true;
        let begun = self.running_since.take().unwrap_or(now);
        self.last_begun = Some(begun);
        // A pass that has brought something shows that the account worked until its end.
        let failing_since = if has_answers { now } else { begun };
        let is_new = |failure: &&ProviderError| {
            requests > 0 || !matches!(failure, ProviderError::Paused { .. })
        };
        let condition = std::mem::take(&mut self.condition);
        self.condition = match account_failure.filter(is_new) {
            Some(failure) => condition.after_failure(failure, failing_since),
            None if has_answers => AccountCondition::Working,
            None => condition,
        };
        let is_working = matches!(self.condition, AccountCondition::Working);
        self.working_passes += u64::from(is_working && has_answers);
    }

    /// Records if some streams failed in the pass that has just ended, or were not discovered.
    pub fn record_stream_failures(&mut self, had_failures: bool) {
        self.last_had_failures = had_failures;
    }

    /// True if streams failed in the last pass, or when they were last checked.
    pub fn has_stream_failures(&self) -> bool {
        self.last_had_failures || !self.first_failures.is_empty()
    }

    /// True if this process is known to work on the account.
    pub fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Returns the check results for the account; empty while its condition is unknown.
    pub fn check(&self, account: &str, now: Millis) -> Vec<CheckResult> {
        let result = |kind, problem| CheckResult::for_whole(Some(account), kind, problem);
        if let Some(problem) = self.hanging_pass(now) {
            return vec![result(AlarmKind::Failing, Some(problem))];
        }
        match &self.condition {
            AccountCondition::Working => vec![
                result(AlarmKind::Failing, None),
                result(AlarmKind::Parked, None),
            ],
            AccountCondition::Failing { since, error, hint } => {
                let text = format!("nothing can be fetched: {error}");
                let problem = DetectedProblem::new(text, *hint).lasting_since(*since);
                vec![result(AlarmKind::Failing, Some(problem))]
            }
            AccountCondition::Unknown => vec![],
            AccountCondition::Parked { error, hint } => {
                let text = format!("the account is paused and retried every 15 minutes: {error}");
                let problem = DetectedProblem::new(text, *hint);
                vec![
                    result(AlarmKind::Failing, None),
                    result(AlarmKind::Parked, Some(problem)),
                ]
            }
        }
    }

    fn hanging_pass(&self, now: Millis) -> Option<DetectedProblem> {
        let begun = self.running_since?;
        if now.since(begun) < HANG_AFTER {
            return None;
        }
        let text = format!("a pass that started at {begun} has not ended");
        Some(DetectedProblem::new(text, HANG_HINT).lasting_since(begun))
    }

    /// Checks for streams that cannot be fetched while others can. Returns `None` while the account
    /// as a whole fails.
    pub fn check_streams(
        &mut self,
        account: &str,
        streams: &[&StreamStatus],
    ) -> Option<CheckResult> {
        if !matches!(self.condition, AccountCondition::Working) {
            return None;
        }
        let discovery_error = streams
            .iter()
            .find_map(|stream| stream.discovery_error.as_ref());
        let mut failing: BTreeSet<&str> = streams
            .iter()
            .filter(|stream| stream.error.is_some())
            .map(|stream| stream.stream.as_str())
            .collect();
        if discovery_error.is_some() {
            failing.insert(DISCOVERY);
        }
        self.first_failures
            .retain(|stream, _| failing.contains(stream.as_str()));
        let mut result = CheckResult::for_whole(Some(account), AlarmKind::Stuck, None);
        for stream in streams {
            let Some(failure) = &stream.error else {
                continue;
            };
            let key = stream.stream.clone();
            if let Some(since) = self.failing_since(&key) {
                let error = &failure.error;
                let text = format!("the stream cannot be fetched, although others can: {error}");
                let problem = DetectedProblem::of_stream(key, text, &failure.hint);
                result.problems.push(problem.lasting_since(since));
            } else {
                result.inconclusive.insert(key);
            }
        }
        if let Some(failure) = discovery_error
            && let Some(since) = self.failing_since(DISCOVERY)
        {
            let problem = DetectedProblem::new(&failure.error, &failure.hint);
            result.problems.push(problem.lasting_since(since));
        }
        Some(result)
    }

    /// Returns the start of a failing stream's first failed pass, if enough of them have failed.
    fn failing_since(&mut self, stream: &str) -> Option<Millis> {
        let first = self.first_failures.entry(stream.to_owned());
        let first = *first.or_insert(FirstFailure {
            pass: self.working_passes,
            begun: self.last_begun,
        });
        let failed_passes = self.working_passes - first.pass + 1;
        first
            .begun
            .filter(|_| failed_passes >= FAILURES_BEFORE_ALARM)
    }
}

impl AccountCondition {
    /// Returns the condition after a pass with this failure.
    fn after_failure(self, failure: &ProviderError, since: Millis) -> Self {
        let reason_is_elsewhere = match failure {
            ProviderError::Stopped => true,
            ProviderError::Paused { .. } => matches!(self, Self::Parked { .. }),
            _ => false,
        };
        if reason_is_elsewhere {
            return self;
        }
        let error = failure.cause();
        let hint = failure.hint();
        if failure.disposition() == Disposition::Park {
            return Self::Parked { error, hint };
        }
        let since = match self {
            Self::Failing { since, .. } => since,
            _ => since,
        };
        Self::Failing { since, error, hint }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Millis = Millis(1_795_343_200_123);

    fn unreachable() -> ProviderError {
        ProviderError::Unreachable {
            operation: "count",
            cause: "status 503".to_owned(),
            attempts: 6,
        }
    }

    fn refused() -> ProviderError {
        ProviderError::Credentials {
            operation: "count",
            status: 401,
            message: None,
        }
    }

    fn blocked() -> ProviderError {
        ProviderError::Paused {
            remaining: Duration::from_mins(14),
            reason: Some("status 429".to_owned()),
        }
    }

    fn gone() -> ProviderError {
        ProviderError::Refused {
            operation: "count",
            code: "status 404 Not Found".to_owned(),
            message: None,
        }
    }

    /// The outcome of a pass: the failure of the account, or answers.
    type Outcome = Result<(), ProviderError>;

    /// Returns the kinds that are known after these passes, a minute apart, and true for those with
    /// a problem.
    fn conditions_after(outcomes: &[Outcome]) -> Vec<(&'static str, bool)> {
        let checked = check_after(outcomes);
        let kinds = checked.iter();
        kinds
            .map(|result| (result.kind.name(), !result.problems.is_empty()))
            .collect()
    }

    fn check_after(outcomes: &[Outcome]) -> Vec<CheckResult> {
        let mut passes = PassHistory::default();
        let mut now = NOW;
        for outcome in outcomes {
            passes.record_begin(now);
            passes.record_end(outcome.as_ref().err(), 1, outcome.is_ok(), now);
            now = now.plus(Duration::from_mins(1));
        }
        passes.check("shop", now)
    }

    #[test]
    fn any_failure_of_the_whole_account_is_a_problem_since_the_first_such_pass() {
        assert_eq!(conditions_after(&[]), []);
        let working = [("failing", false), ("parked", false)];
        assert_eq!(conditions_after(&[Ok(())]), working);
        for failure in [unreachable, gone, blocked] {
            let outcomes = [Ok(()), Err(failure()), Err(failure())];
            let found = check_after(&outcomes);
            let problem = &found[0].problems[0];
            assert_eq!(problem.since, Some(NOW.plus(Duration::from_mins(1))));
            assert!(problem.text.contains(&failure().cause()), "{problem:?}");
            assert_eq!(conditions_after(&[Err(failure())]), [("failing", true)]);
            let recovered = [Err(failure()), Ok(())];
            assert_eq!(conditions_after(&recovered), working);
        }
    }

    #[test]
    fn a_pass_that_proves_nothing_is_ignored() {
        let mut passes = PassHistory::default();
        for _ in 0..3 {
            passes.record_end(Some(&unreachable()), 1, false, NOW);
            passes.record_end(None, 0, false, NOW);
        }
        assert_eq!(passes.check("shop", NOW)[0].problems.len(), 1);
    }

    #[test]
    fn a_slow_pass_without_answers_counts_from_its_start() {
        let mut passes = PassHistory::default();
        let end = NOW.plus(Duration::from_mins(3));
        passes.record_begin(NOW);
        passes.record_end(Some(&unreachable()), 1, false, end);
        assert_eq!(passes.check("shop", end)[0].problems[0].since, Some(NOW));
        let mut passes = PassHistory::default();
        passes.record_begin(NOW);
        passes.record_end(Some(&unreachable()), 1, true, end);
        assert_eq!(passes.check("shop", end)[0].problems[0].since, Some(end));
    }

    #[test]
    fn parked_alarm_lasts_until_credentials_are_accepted() {
        let parked = [("failing", false), ("parked", true)];
        assert_eq!(conditions_after(&[Err(refused())]), parked);
        assert_eq!(
            conditions_after(&[
                Err(refused()),
                Err(blocked()),
                Err(refused()),
                Err(ProviderError::Stopped)
            ]),
            parked
        );
        assert_eq!(
            conditions_after(&[Err(refused()), Err(unreachable())]),
            [("failing", true)],
            "whether they are accepted by now is not known"
        );
        assert_eq!(
            conditions_after(&[Err(refused()), Err(unreachable()), Ok(())]),
            [("failing", false), ("parked", false)]
        );
    }

    #[test]
    fn a_pause_before_any_request_is_inconclusive() {
        let mut passes = PassHistory::default();
        passes.record_end(Some(&blocked()), 0, false, NOW);
        assert_eq!(passes.check("shop", NOW).len(), 0);
        passes.record_end(None, 1, true, NOW);
        passes.record_end(Some(&blocked()), 0, false, NOW);
        assert!(
            passes
                .check("shop", NOW)
                .iter()
                .all(|result| result.problems.is_empty())
        );
    }

    #[test]
    fn a_hanging_pass_raises_an_alarm() {
        let mut passes = PassHistory::default();
        passes.record_end(None, 1, true, NOW);
        passes.record_begin(NOW);
        assert!(
            passes
                .check("shop", NOW.plus(Duration::from_mins(59)))
                .iter()
                .all(|result| result.problems.is_empty())
        );
        let results = passes.check("shop", NOW.plus(HANG_AFTER));
        assert!(
            results[0].problems[0].text.contains(&NOW.to_string()),
            "{results:?}"
        );
    }
}
