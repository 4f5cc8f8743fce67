//! What is wrong, and what to do about it. Pure.
//!
//! What an alarm tells already is not told again; but not everything is an alarm, and none is before it has lasted.

use std::collections::BTreeMap;

use super::health::{AssessedStream, StreamHealth};
use crate::alerts::rules::lost_history::LOSS_HINT;
use crate::daemon::web::page::snapshot::{AccountOverview, PageSnapshot};
use crate::domain::alarm::{Alarm, AlarmKind};
use crate::domain::format::{duration, thousands};
use crate::domain::time::{Millis, Second};

/// An account that was not looked at for so long is one on which nobody works, in seconds.
const NEGLECTED_AFTER_S: i64 = 3600;
/// Kinds of failures that are told each by itself.
const MAX_FAILURES: usize = 8;

/// Alarms that are told.
const MAX_ALARMS: usize = 20;
/// Those that tell of streams that fail.
const FAILURE_KINDS: &[AlarmKind] = &[AlarmKind::Parked, AlarmKind::Failing, AlarmKind::Stuck];

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Somebody should do something.
    Action,
    /// It is as it is, or passes by itself.
    Info,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issue {
    pub(crate) severity: Severity,
    /// Whom it concerns, in a word or two.
    pub(crate) subject: String,
    pub(crate) problem: String,
    /// What to do.
    pub(crate) hint: String,
    /// Since when, where that is known.
    pub(crate) since: Option<Millis>,
}

fn issue(
    weight: Severity,
    whose: impl Into<String>,
    what: impl Into<String>,
    hint: impl Into<String>,
) -> Issue {
    Issue {
        severity: weight,
        subject: whose.into(),
        problem: what.into(),
        hint: hint.into(),
        since: None,
    }
}

fn alarm_issue(alarm: &Alarm) -> Issue {
    let whose = match (&alarm.subject.account, &alarm.subject.stream) {
        (Some(account), Some(stream)) => format!("{account} {stream}"),
        (Some(account), None) => account.clone(),
        (None, _) => "the archive".to_owned(),
    };
    Issue {
        since: Some(alarm.since),
        ..issue(Severity::Action, whose, &alarm.text, &alarm.hint)
    }
}

/// Of what there are alarms.
#[derive(Clone, Copy)]
struct ActiveAlarms<'a>(&'a [Alarm]);

impl ActiveAlarms<'_> {
    /// Whether an alarm of one of these kinds concerns an account.
    fn covers(self, account: &str, kinds: &[AlarmKind]) -> bool {
        let concerns = |alarm: &Alarm| {
            alarm.subject.account.as_deref() == Some(account) && kinds.contains(&alarm.subject.kind)
        };
        self.0.iter().any(concerns)
    }
}

/// All of it, the gravest first.
pub(crate) fn find_issues(look: &PageSnapshot, streams: &[AssessedStream<'_>]) -> Vec<Issue> {
    let told = ActiveAlarms(&look.alarms);
    let mut all: Vec<Issue> = look
        .alarms
        .iter()
        .take(MAX_ALARMS)
        .map(alarm_issue)
        .collect();
    if look.alarms.len() > MAX_ALARMS {
        let what = format!(
            "{} alarms besides these",
            thousands((look.alarms.len() - MAX_ALARMS) as u64)
        );
        all.push(issue(
            Severity::Action,
            "more",
            what,
            "SELECT * FROM alarms WHERE until IS NULL",
        ));
    }
    all.extend(account_issues(streams, told, look.taken_at.second()));
    all.extend(
        look.accounts
            .iter()
            .filter_map(loss_ahead_issue)
            .filter(|worry| !told.covers(&worry.subject, &[AlarmKind::LossAhead])),
    );
    all.extend(failure_issues(streams, told));
    all.extend(backlog_issues(look, streams));
    all.extend(data_issues(streams));
    all.sort_by_key(|worry| worry.severity);
    all
}

/// What is the same for all streams of an account.
fn account_issues(
    streams: &[AssessedStream<'_>],
    told: ActiveAlarms<'_>,
    now: Second,
) -> Vec<Issue> {
    let first: BTreeMap<&str, &AssessedStream<'_>> = streams
        .iter()
        .rev()
        .map(|stream| (stream.status.account.as_str(), stream))
        .collect();
    let mut all = Vec::new();
    for (account, AssessedStream { status, .. }) in first {
        let is_told = told.covers(account, &[AlarmKind::Parked, AlarmKind::Failing]);
        if let Some(pause) = status.pause.as_ref().filter(|_| !is_told) {
            let what = format!(
                "left alone until {}: {}",
                pause.until.second(),
                pause.reason
            );
            all.push(issue(
                Severity::Action,
                account,
                what,
                "`backscroll check` tries it at once and lifts the pause",
            ));
        } else if !is_told
            && status.id.is_some()
            && now.0.saturating_sub(status.frontier.wanted_to.0) > NEGLECTED_AFTER_S
        {
            let what = format!(
                "nobody has looked at it since {}",
                status.frontier.wanted_to
            );
            let hint = "see in the log what keeps the daemon from it; an account that the configuration no longer lists \
                        stays as it is";
            all.push(issue(Severity::Action, account, what, hint));
        }
        if let Some(trouble) = &status.discovery_error {
            let what = format!(
                "what else there is to follow cannot be found out: {}",
                trouble.error
            );
            let hint = format!(
                "what is followed already is archived all the same; {}",
                trouble.hint
            );
            all.push(issue(Severity::Action, account, what, hint));
        }
        if let Some(settle) = status.settle_override {
            let age = duration(settle.as_secs());
            let what =
                format!("messages kept coming late, so ranges are sealed at the age of {age}");
            all.push(issue(
                Severity::Info,
                account,
                what,
                "nothing: it looks after itself",
            ));
        }
    }
    all
}

fn loss_ahead_issue(account: &AccountOverview) -> Option<Issue> {
    let forecast = account.forecast.as_ref()?;
    let what = format!(
        "loss ahead: {}",
        forecast.outlook.loss_sentence(forecast.rate)?
    );
    Some(issue(Severity::Action, &account.name, what, LOSS_HINT))
}

/// Streams that fail for the same reason are one worry.
fn failure_issues(streams: &[AssessedStream<'_>], told: ActiveAlarms<'_>) -> Vec<Issue> {
    let mut kinds: BTreeMap<(&str, &str), Vec<&AssessedStream<'_>>> = BTreeMap::new();
    for stream in streams
        .iter()
        .filter(|stream| !told.covers(&stream.status.account, FAILURE_KINDS))
    {
        if let Some(trouble) = &stream.status.error {
            kinds
                .entry((&stream.status.account, &trouble.error))
                .or_default()
                .push(stream);
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, streams)| std::cmp::Reverse(streams.len()));
    let rest = kinds.len().saturating_sub(MAX_FAILURES);
    let told = kinds
        .into_iter()
        .take(MAX_FAILURES)
        .map(|((account, error), streams)| {
            let whose = match streams.as_slice() {
                [one] => format!("{account} {}", one.status.stream),
                some => format!("{account}, {} streams", thousands(some.len() as u64)),
            };
            let hint = streams[0]
                .status
                .error
                .as_ref()
                .map(|trouble| trouble.hint.as_str())
                .unwrap_or_default();
            issue(Severity::Action, whose, error, hint)
        });
    let mut told: Vec<Issue> = told.collect();
    if rest > 0 {
        let what = format!("streams fail for {} other reasons", thousands(rest as u64));
        told.push(issue(
            Severity::Action,
            "more",
            what,
            "see the streams below, the worst of which come first",
        ));
    }
    told
}

/// What is missing, is on its way, and how long that takes.
fn backlog_issues(look: &PageSnapshot, streams: &[AssessedStream<'_>]) -> Vec<Issue> {
    let lacking = |account: &&AccountOverview| {
        let of_account = |stream: &&AssessedStream<'_>| {
            stream.status.account == account.name && !stream.gaps.is_empty()
        };
        streams.iter().filter(of_account).count() as u64
    };
    let worry_of = |account: &AccountOverview| {
        let lacking = lacking(&account);
        let left = account
            .progress
            .map(|progress| progress.left.as_secs())
            .filter(|left| *left > 0);
        let left = left.map_or_else(String::new, |left| {
            format!("; fetched in about {}", duration(left))
        });
        let streams = if lacking == 1 {
            "1 stream lacks".to_owned()
        } else {
            format!("{} streams lack", thousands(lacking))
        };
        let what = format!("{streams} history that can still be had{left}");
        (lacking > 0).then(|| {
            issue(
                Severity::Info,
                &account.name,
                what,
                "nothing: what is about to expire goes first",
            )
        })
    };
    look.accounts.iter().filter_map(worry_of).collect()
}

/// What no pass puts right today.
fn data_issues(streams: &[AssessedStream<'_>]) -> Vec<Issue> {
    let sum = |figure: fn(&AssessedStream<'_>) -> u64| {
        let some: Vec<u64> = streams
            .iter()
            .map(figure)
            .filter(|figure| *figure > 0)
            .collect();
        (
            some.len() as u64,
            some.iter().sum::<u64>(),
            some.iter().copied().max().unwrap_or(0),
        )
    };
    let of = |streams: u64| {
        if streams == 1 {
            "1 stream".to_owned()
        } else {
            format!("{} streams", thousands(streams))
        }
    };
    let (suspect_in, suspect, _) = sum(|stream| stream.status.suspect_rows);
    let (quarantined_in, quarantined, _) = sum(|stream| stream.status.quarantined);
    let (lost_in, _, longest) = sum(|stream| stream.lost_s);
    let mut all = Vec::new();
    if suspect > 0 {
        let what = format!("windows that may not be complete: {}", thousands(suspect));
        let hint =
            "nothing: they are read again, less and less often; a stream's own page says why";
        all.push(issue(Severity::Info, of(suspect_in), what, hint));
    }
    if quarantined > 0 {
        let what = format!(
            "messages that could not be understood, and are kept raw: {}",
            thousands(quarantined)
        );
        let hint = "`backscroll requeue` reads them again after an upgrade";
        all.push(issue(Severity::Info, of(quarantined_in), what, hint));
    }
    if lost_in > 0 {
        let what = format!(
            "lost for good, up to {}: the provider forgot it before it was fetched",
            duration(longest)
        );
        let hint = "nothing brings it back; a stream's own page says which days";
        all.push(issue(Severity::Info, of(lost_in), what, hint));
    }
    all
}

/// Whether anybody should look: a stream that lacks nothing, for the failure of one is over when it is fetched again.
pub(crate) fn needs_action(worries: &[Issue], streams: &[AssessedStream<'_>]) -> bool {
    worries
        .iter()
        .any(|worry| worry.severity == Severity::Action)
        || streams
            .iter()
            .any(|stream| stream.health <= StreamHealth::Paused)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::health::tests::{NOW, lacking, stream};
    use super::*;
    use crate::domain::alarm::{AlarmSubject, Notified};
    use crate::domain::frontier::Frontier;
    use crate::store::{Pause, RecordedError, StreamStatus};

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
        });
        let look = PageSnapshot {
            taken_at: NOW.start(),
            location: String::new(),
            bytes: 0,
            streams: vec![],
            alarms,
            accounts: accounts.into_iter().collect(),
            passes: vec![],
            hours: vec![],
            days: vec![],
        };
        let judged: Vec<_> = streams
            .iter()
            .map(|stream| AssessedStream::new(stream, NOW))
            .collect();
        find_issues(&look, &judged)
            .into_iter()
            .map(|worry| (worry.severity, worry.subject, worry.problem))
            .collect()
    }

    #[test]
    fn nothing_is_said_of_what_is_well() {
        assert_eq!(issues_of(&[stream(1), stream(2)]), []);
    }

    #[test]
    fn failures_for_the_same_reason_are_one_worry() {
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
            "streams fail for 22 other reasons"
        );
    }

    #[test]
    fn what_asks_for_somebody_comes_before_what_does_not() {
        let pause = Some(Pause {
            until: NOW.start(),
            reason: "credentials refused".to_owned(),
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
                "messages kept coming late, so ranges are sealed at the age of 4m",
                "1 stream lacks history that can still be had",
                "windows that may not be complete: 2",
                "messages that could not be understood, and are kept raw: 3",
                "lost for good, up to 2h: the provider forgot it before it was fetched",
            ]
        );
    }

    #[test]
    fn what_an_alarm_tells_is_not_told_again() {
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
        });
        let trouble = Some(RecordedError {
            error: "refused".to_owned(),
            hint: "try".to_owned(),
        });
        let ill = StreamStatus {
            error: trouble,
            pause,
            ..stream(1)
        };
        let parked = issues_with_alarms(
            vec![alarm("shop", AlarmKind::Parked)],
            std::slice::from_ref(&ill),
        );
        assert_eq!(
            parked,
            [(
                Severity::Action,
                "shop".to_owned(),
                "alarm of shop".to_owned()
            )]
        );
        let of_another = issues_with_alarms(vec![alarm("other", AlarmKind::Parked)], &[ill]);
        assert_eq!(of_another.len(), 3);
        let many = (0..50)
            .map(|n| alarm(&n.to_string(), AlarmKind::Silent))
            .collect();
        assert_eq!(
            issues_with_alarms(many, &[stream(1)])[MAX_ALARMS].2,
            "30 alarms besides these"
        );
    }

    #[test]
    fn an_account_that_nobody_looks_at_is_a_worry() {
        let found = issues_of(&[StreamStatus {
            frontier: Frontier {
                wanted_to: NOW.plus(-3601),
                ..stream(1).frontier
            },
            ..stream(1)
        }]);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].2.starts_with("nobody has looked at it since 20"),
            "{found:?}"
        );
    }
}
