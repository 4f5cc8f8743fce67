//! The list of issues: problems, and what to do about them. Pure.
//!
//! An issue that an active alarm covers is not repeated. Not every issue is an alarm, and alarms
//! begin only after a delay.

use std::collections::BTreeMap;

use super::health::AssessedStream;
use super::issue::{ActiveAlarms, Issue};
use super::stream_issues::{data_issues, failure_issues};
use crate::alerts::text::LOSS_HINT;
use crate::daemon::web::limits::{MAX_ALARMS, NEGLECTED_AFTER_S};
use crate::daemon::web::page::snapshot::{AccountOverview, PageSnapshot};
use crate::domain::alarm::{Alarm, AlarmKind};
use crate::domain::format::{counted, duration};
use crate::domain::time::Second;
use crate::store::StreamStatus;

const CLOCK_HINT: &str = "set this machine's clock, by NTP (`timedatectl set-ntp true`)";

/// Returns all issues, the most severe first.
pub(crate) fn find_issues(snapshot: &PageSnapshot, streams: &[AssessedStream<'_>]) -> Vec<Issue> {
    let alarms = ActiveAlarms(&snapshot.alarms);
    let now = snapshot.taken_at.second();
    // The worst alarm is the headline.
    let mut issues = alarm_issues(&snapshot.alarms);
    issues.extend(account_issues(streams, alarms, now));
    for account in &snapshot.accounts {
        if !alarms.covers(&account.name, &[AlarmKind::LossAhead]) {
            issues.extend(loss_ahead_issue(account));
        }
    }
    issues.extend(failure_issues(streams, alarms));
    for account in &snapshot.accounts {
        issues.extend(backlog_issue(account, streams));
    }
    issues.extend(data_issues(streams));
    issues.sort_by_key(|issue| issue.severity);
    issues
}

fn alarm_issues(alarms: &[Alarm]) -> Vec<Issue> {
    let mut worst_first: Vec<&Alarm> = alarms.iter().collect();
    worst_first.sort_by_key(|alarm| alarm.subject.kind.rank());
    let listed = worst_first.into_iter().take(MAX_ALARMS);
    let mut issues: Vec<Issue> = listed.map(Issue::from_alarm).collect();
    if alarms.len() > MAX_ALARMS {
        let more = (alarms.len() - MAX_ALARMS) as u64;
        let problem = counted(more, "more alarm", "more alarms");
        let hint = "`SELECT * FROM alarms WHERE until IS NULL`";
        issues.push(Issue::action("more", problem, hint));
    }
    issues
}

/// Returns the issues that affect all streams of an account.
fn account_issues(
    streams: &[AssessedStream<'_>],
    alarms: ActiveAlarms<'_>,
    now: Second,
) -> Vec<Issue> {
    let first_of_account: BTreeMap<&str, &AssessedStream<'_>> = streams
        .iter()
        .rev()
        .map(|stream| (stream.status.account.as_str(), stream))
        .collect();
    let mut issues = Vec::new();
    for (account, AssessedStream { status, .. }) in first_of_account {
        if !alarms.covers(account, &[AlarmKind::Parked, AlarmKind::Failing]) {
            issues.extend(inactivity_issue(account, status, now));
        }
        if let Some(failure) = &status.discovery_error {
            issues.push(Issue::action(account, &failure.error, &failure.hint));
        }
        if !status.clock_skew.is_negligible() {
            let problem = format!("{}; the provider's is used instead", status.clock_skew);
            issues.push(Issue::info(account, problem, CLOCK_HINT));
        }
        if let Some(settle) = status.settle_override {
            let age = duration(settle.as_secs());
            let problem = format!(
                "messages arrived late repeatedly, so windows are now sealed at an age of {age}"
            );
            let hint = "nothing: the settle age adapts automatically";
            issues.push(Issue::info(account, problem, hint));
        }
    }
    issues
}

/// Returns the reason why no pass works on an account: a pause, or an unknown one.
fn inactivity_issue(account: &str, status: &StreamStatus, now: Second) -> Option<Issue> {
    if let Some(pause) = &status.pause {
        let problem = format!("paused until {}: {}", pause.until.second(), pause.reason);
        let hint = "`backscroll check` retries at once and lifts the pause";
        return Some(Issue::action(account, problem, hint));
    }
    if let Some(failure) = &status.account_error {
        let problem = format!("nothing can be fetched: {}", failure.error);
        return Some(Issue::action(account, problem, &failure.hint));
    }
    let last_pass_at = status.last_pass_at()?;
    if status.id.is_none() || status.lag_s(last_pass_at, now) <= NEGLECTED_AFTER_S {
        return None;
    }
    let problem = format!("no pass since {last_pass_at}");
    let hint = "the log shows the cause; an account that was removed from the configuration keeps \
                its archived messages";
    Some(Issue::action(account, problem, hint))
}

fn loss_ahead_issue(account: &AccountOverview) -> Option<Issue> {
    let forecast = account.forecast.as_ref()?;
    let loss = forecast.outlook.loss_sentence(forecast.rate)?;
    let problem = format!("loss ahead: {loss}");
    Some(Issue::action(&account.name, problem, LOSS_HINT))
}

/// Returns the missing history of an account that is being fetched, with the estimated time.
fn backlog_issue(account: &AccountOverview, streams: &[AssessedStream<'_>]) -> Option<Issue> {
    let is_behind = |stream: &&AssessedStream<'_>| {
        stream.status.account == account.name && !stream.gaps.is_empty()
    };
    let streams = match streams.iter().filter(is_behind).count() as u64 {
        0 => return None,
        some => counted(some, "stream lacks", "streams lack"),
    };
    let left_s = account
        .progress
        .map_or(0, |progress| progress.left.as_secs());
    let left = match left_s {
        0 => String::new(),
        left_s => format!("; time left: about {}", duration(left_s)),
    };
    let problem = format!("{streams} history that can still be fetched{left}");
    let hint = "nothing: it is being fetched, expiring ranges first";
    Some(Issue::info(&account.name, problem, hint))
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;
    use std::time::Duration;

    use super::super::health::tests::{NOW, lacking, stream};
    use super::super::issue::Severity;
    use super::*;
    use crate::daemon::web::limits::MAX_FAILURES;
    use crate::domain::alarm::{AlarmSubject, Notified};
    use crate::domain::frontier::Frontier;
    use crate::store::{Pause, RecordedError};

    fn issues_of(streams: &[StreamStatus]) -> Vec<(Severity, String, String)> {
        issues_with_alarms(vec![], streams)
    }

    fn issues_with_alarms(
        alarms: Vec<Alarm>,
        streams: &[StreamStatus],
    ) -> Vec<(Severity, String, String)> {
        let accounts = ["shop"].map(|name| AccountOverview {
            name: name.to_owned(),
            provider: "agora",
            requests_per_second: None,
            progress: None,
            forecast: None,
            last_pass: None,
            next_pass: None,
        });
        let snapshot = PageSnapshot {
            taken_at: NOW.start(),
            location: String::new(),
            bytes: 0,
            streams: vec![],
            alarms,
            past_alarms: vec![],
            accounts: accounts.into_iter().collect(),
            passes: vec![],
            hours: vec![],
            days: vec![],
            document: OnceLock::new(),
        };
        let assessed: Vec<_> = streams
            .iter()
            .map(|stream| AssessedStream::new(stream, NOW))
            .collect();
        find_issues(&snapshot, &assessed)
            .into_iter()
            .map(|issue| (issue.severity, issue.subject, issue.problem))
            .collect()
    }

    #[test]
    fn healthy_streams_have_no_issues() {
        assert_eq!(issues_of(&[stream(1), stream(2)]), []);
    }

    #[test]
    fn failures_with_the_same_reason_are_one_issue() {
        let failing = |id, error: &str| StreamStatus {
            error: Some(RecordedError {
                error: error.to_owned(),
                hint: "try".to_owned(),
            }),
            ..stream(id)
        };
        let mut streams: Vec<_> = (0..4000).map(|id| failing(id, "no")).collect();
        streams.push(failing(4001, "never"));
        let found = issues_of(&streams);
        assert_eq!(
            found[0],
            (
                Severity::Action,
                "shop, 4,000 streams".to_owned(),
                "no".to_owned()
            )
        );
        assert_eq!(
            found[1],
            (
                Severity::Action,
                "shop source=user 4001".to_owned(),
                "never".to_owned()
            )
        );
        assert_eq!(found.len(), 2);
        let many: Vec<_> = (0..30)
            .map(|id| failing(id, &format!("reason {id}")))
            .collect();
        assert_eq!(issues_of(&many).len(), MAX_FAILURES + 1);
        assert_eq!(
            issues_of(&many)[MAX_FAILURES].2,
            "streams fail with 22 other errors"
        );
    }

    #[test]
    fn issues_that_need_action_are_listed_first() {
        let pause = Some(Pause {
            until: NOW.start(),
            reason: "credentials refused".to_owned(),
            refused_credentials: None,
        });
        let status = StreamStatus {
            suspect_rows: 2,
            quarantined: 3,
            lost_seconds: 7200,
            ..lacking(1, 90_000, 120)
        };
        let paused = StreamStatus {
            pause,
            settle_override: Some(Duration::from_mins(4)),
            ..status
        };
        let found = issues_of(&[paused, stream(2)]);
        assert_eq!(found[0].0, Severity::Action);
        assert!(found[0].2.contains("credentials refused"), "{found:?}");
        let rest: Vec<&str> = found[1..]
            .iter()
            .map(|(_, _, what)| what.as_str())
            .collect();
        assert_eq!(
            rest,
            [
                "messages arrived late repeatedly, so windows are now sealed at an age of 4m",
                "1 stream lacks history that can still be fetched",
                "windows that may be incomplete: 2",
                "messages that could not be parsed and are kept raw: 3",
                "permanently lost, up to 2h of a stream: it expired at the provider before it was \
                 fetched",
            ]
        );
    }

    #[test]
    fn an_issue_covered_by_an_alarm_is_not_repeated() {
        let alarm = |account: &str, kind: AlarmKind| Alarm {
            subject: AlarmSubject {
                account: Some(account.to_owned()),
                stream: None,
                kind,
            },
            since: NOW.start(),
            until: None,
            text: format!("alarm of {account}"),
            hint: "hear".to_owned(),
            level: None,
            notified: Notified::Nothing,
        };
        let pause = Some(Pause {
            until: NOW.start(),
            reason: "refused".to_owned(),
            refused_credentials: None,
        });
        let error = Some(RecordedError {
            error: "refused".to_owned(),
            hint: "try".to_owned(),
        });
        let failing = StreamStatus {
            error,
            pause,
            ..stream(1)
        };
        let parked = issues_with_alarms(
            vec![alarm("shop", AlarmKind::Parked)],
            std::slice::from_ref(&failing),
        );
        assert_eq!(
            parked,
            [(
                Severity::Action,
                "shop".to_owned(),
                "alarm of shop".to_owned()
            )]
        );
        let of_another = issues_with_alarms(vec![alarm("other", AlarmKind::Parked)], &[failing]);
        assert_eq!(of_another.len(), 3);
        let many = (0..50)
            .map(|n| alarm(&n.to_string(), AlarmKind::Silent))
            .collect();
        assert_eq!(
            issues_with_alarms(many, &[stream(1)])[MAX_ALARMS].2,
            "30 more alarms"
        );
    }

    #[test]
    fn a_neglected_account_is_an_issue() {
        let found = issues_of(&[StreamStatus {
            frontier: Frontier {
                wanted_to: NOW.plus(-3601),
                ..stream(1).frontier
            },
            ..stream(1)
        }]);
        assert_eq!(found.len(), 1);
        assert!(found[0].2.starts_with("no pass since 20"), "{found:?}");
    }
}
