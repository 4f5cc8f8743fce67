//! The active alarms, and the rules by which they begin and end. Pure.
//!
//! Each check reports the problems that it found ([`CheckResult`]); unchecked subjects keep their
//! state. An alarm begins when a problem has lasted for its kind's delay, and ends after five
//! minutes without it (hysteresis), so a flapping problem is one alarm. Up to three streams of an
//! account have separate alarms; more share one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::check::{CheckResult, DetectedProblem};
use super::limits::{CLEAR_DELAY, MAX_SEPARATE_ALARMS};
use crate::domain::alarm::{Alarm, AlarmSubject, Notified};
use crate::domain::time::Millis;

/// The active alarms and their timing. See the module documentation.
#[derive(Debug, Default)]
pub(super) struct AlarmBoard {
    active: BTreeMap<AlarmSubject, Alarm>,
    /// The start of each problem that has not become an alarm of its own yet, by the timer.
    pending: HashMap<AlarmSubject, Millis>,
    /// The time since which the problem of an active alarm is gone.
    recovering: HashMap<AlarmSubject, CheckTime>,
}

/// The time of a check by two clocks. The wall clock dates alarms. The timer measures delays, since
/// the wall clock may be set meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckTime {
    pub(super) wall: Millis,
    pub(super) timer: Millis,
}

impl AlarmBoard {
    /// Returns the active alarms.
    pub(super) fn active(&self) -> impl Iterator<Item = &Alarm> {
        self.active.values()
    }

    /// Replaces the active alarms by those of the archive, which another process may have written.
    pub(super) fn restore(&mut self, active: impl Iterator<Item = Alarm>) {
        self.active = active.map(|alarm| (alarm.subject.clone(), alarm)).collect();
    }

    /// Applies the result of a check. Returns the alarms that began, ended or changed their text.
    pub(super) fn apply(&mut self, result: &CheckResult, now: CheckTime) -> Vec<Alarm> {
        let due = self.due_problems(result, now);
        let raised = self.assign_subjects(result, &due);
        let subjects: BTreeSet<AlarmSubject> =
            raised.iter().map(|(subject, _)| subject.clone()).collect();
        let mut changed = Vec::new();
        for (subject, problem) in raised {
            changed.extend(self.raise(subject, problem, now));
        }
        changed.extend(self.clear(result, &subjects, now));
        changed
    }

    /// Returns the problems that have lasted long enough.
    fn due_problems<'r>(
        &mut self,
        result: &'r CheckResult,
        now: CheckTime,
    ) -> Vec<&'r DetectedProblem> {
        self.forget_solved_problems(result);
        let mut due = Vec::new();
        for problem in &result.problems {
            let subject = result.subject_for(problem.stream.as_deref());
            let since = problem.since.unwrap_or(now.timer);
            let since = *self.pending.entry(subject.clone()).or_insert(since);
            let has_lasted = now.timer.since(since) >= result.kind.start_delay();
            if has_lasted || self.active.contains_key(&subject) {
                due.push(problem);
            }
        }
        due
    }

    fn forget_solved_problems(&mut self, result: &CheckResult) {
        let affected: BTreeSet<Option<&str>> = result
            .problems
            .iter()
            .map(|problem| problem.stream.as_deref())
            .collect();
        self.pending.retain(|subject, _| {
            let stream = subject.stream.as_ref();
            let is_inconclusive = stream.is_some_and(|stream| result.inconclusive.contains(stream));
            !result.covers(subject)
                || is_inconclusive
                || affected.contains(&subject.stream.as_deref())
        });
    }

    /// Decides which problems have separate alarms and which share one. Problems that have an alarm
    /// of their own keep it.
    fn assign_subjects(
        &self,
        result: &CheckResult,
        due: &[&DetectedProblem],
    ) -> Vec<(AlarmSubject, DetectedProblem)> {
        let subject_of = |problem: &DetectedProblem| result.subject_for(problem.stream.as_deref());
        let has_own_alarm = |problem: &&DetectedProblem| {
            problem.stream.is_none() || self.active.contains_key(&subject_of(problem))
        };
        let (own, others): (Vec<&DetectedProblem>, Vec<&DetectedProblem>) =
            due.iter().partition(|problem| has_own_alarm(problem));
        let whole = result.subject_for(None);
        let are_many = due.len() > MAX_SEPARATE_ALARMS;
        let share_one = are_many || self.active.contains_key(&whole);
        let mut assigned: Vec<(AlarmSubject, DetectedProblem)> = own
            .into_iter()
            .map(|problem| (subject_of(problem), problem.clone()))
            .collect();
        if !others.is_empty() && share_one {
            assigned.push((whole, DetectedProblem::combined(&others)));
        } else {
            let separate = others.into_iter();
            assigned.extend(separate.map(|problem| (subject_of(problem), problem.clone())));
        }
        assigned
    }

    /// Raises or updates an alarm. Returns it if it began or its text changed.
    fn raise(
        &mut self,
        subject: AlarmSubject,
        problem: DetectedProblem,
        now: CheckTime,
    ) -> Option<Alarm> {
        self.recovering.remove(&subject);
        let DetectedProblem {
            text, hint, level, ..
        } = problem;
        if let Some(known) = self.active.get_mut(&subject) {
            if known.text == text && known.hint == hint && known.level == level {
                return None;
            }
            known.text = text;
            known.hint = hint;
            known.level = level;
            return Some(known.clone());
        }
        let alarm = Alarm {
            subject,
            since: now.wall,
            until: None,
            text,
            hint,
            level,
            notified: Notified::Nothing,
        };
        self.active.insert(alarm.subject.clone(), alarm.clone());
        Some(alarm)
    }

    /// Clears the alarms whose problem has been gone long enough. Returns them.
    fn clear(
        &mut self,
        result: &CheckResult,
        raised: &BTreeSet<AlarmSubject>,
        now: CheckTime,
    ) -> Vec<Alarm> {
        let is_conclusive = |subject: &AlarmSubject| match &subject.stream {
            Some(stream) => !result.inconclusive.contains(stream),
            None => result.inconclusive.is_empty(),
        };
        let has_recovered = |subject: &&AlarmSubject| {
            result.covers(subject) && is_conclusive(subject) && !raised.contains(*subject)
        };
        let recovered: Vec<AlarmSubject> =
            self.active.keys().filter(has_recovered).cloned().collect();
        let mut cleared = Vec::new();
        for subject in recovered {
            let since = *self.recovering.entry(subject.clone()).or_insert(now);
            if now.timer.since(since.timer) < CLEAR_DELAY {
                continue;
            }
            self.recovering.remove(&subject);
            if let Some(alarm) = self.active.remove(&subject) {
                let until = Some(since.wall.max(alarm.since));
                cleared.push(Alarm { until, ..alarm });
            }
        }
        cleared
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::alarm::AlarmKind;

    const MINUTE: i64 = 60_000;

    fn problem(stream: Option<&str>) -> DetectedProblem {
        DetectedProblem {
            stream: stream.map(str::to_owned),
            text: "wrong".to_owned(),
            hint: "right it".to_owned(),
            level: None,
            since: None,
        }
    }

    fn stream_check(kind: AlarmKind, streams: &[&str]) -> CheckResult {
        let problems = streams.iter().map(|stream| problem(Some(stream))).collect();
        CheckResult {
            account: Some("shop".to_owned()),
            kind,
            problems,
            inconclusive: BTreeSet::new(),
        }
    }

    fn account_check(kind: AlarmKind, is_wrong: bool) -> CheckResult {
        CheckResult::for_whole(Some("shop"), kind, is_wrong.then(|| problem(None)))
    }

    /// A time at which both clocks show the same.
    fn at_minute(minute: i64) -> CheckTime {
        CheckTime {
            wall: Millis(minute * MINUTE),
            timer: Millis(minute * MINUTE),
        }
    }

    /// Applies a check at this minute. Returns the streams whose alarm begins (`+`) or ends (`-`).
    fn apply_at(board: &mut AlarmBoard, minute: i64, result: &CheckResult) -> Vec<String> {
        let changed = board.apply(result, at_minute(minute));
        let sign = |alarm: &Alarm| if alarm.is_active() { '+' } else { '-' };
        changed
            .iter()
            .map(|alarm| {
                format!(
                    "{}{}",
                    sign(alarm),
                    alarm.subject.stream.as_deref().unwrap_or("*")
                )
            })
            .collect()
    }

    fn active_subjects(board: &AlarmBoard) -> BTreeSet<AlarmSubject> {
        board.active().map(|alarm| alarm.subject.clone()).collect()
    }

    #[test]
    fn alarm_begins_once_and_ends_once() {
        let mut board = AlarmBoard::default();
        assert_eq!(
            apply_at(&mut board, 0, &account_check(AlarmKind::Parked, true)),
            ["+*"]
        );
        assert_eq!(
            apply_at(&mut board, 1, &account_check(AlarmKind::Parked, true)),
            [""; 0]
        );
        assert_eq!(
            apply_at(&mut board, 2, &account_check(AlarmKind::Parked, false)),
            [""; 0],
            "it may come back"
        );
        let over = board.apply(&account_check(AlarmKind::Parked, false), at_minute(7));
        assert_eq!(
            (over[0].since, over[0].until),
            (Millis(0), Some(Millis(2 * MINUTE)))
        );
        assert_eq!(
            apply_at(&mut board, 8, &account_check(AlarmKind::Parked, false)),
            [""; 0]
        );
    }

    #[test]
    fn short_problems_raise_no_alarm() {
        let mut board = AlarmBoard::default();
        for minute in 0..=60 {
            let is_wrong = minute % 5 != 0;
            assert_eq!(
                apply_at(
                    &mut board,
                    minute,
                    &account_check(AlarmKind::Failing, is_wrong)
                ),
                [""; 0],
                "{minute}"
            );
        }
        assert_eq!(
            apply_at(&mut board, 61, &account_check(AlarmKind::Failing, true)),
            [""; 0]
        );
        assert_eq!(
            apply_at(&mut board, 66, &account_check(AlarmKind::Failing, true)),
            ["+*"]
        );
    }

    #[test]
    fn setting_the_wall_clock_changes_no_delay() {
        const DAY: i64 = 24 * 60 * MINUTE;
        for step in [-DAY, DAY] {
            let mut board = AlarmBoard::default();
            let stepped = |minute| CheckTime {
                wall: Millis(minute * MINUTE + step),
                ..at_minute(minute)
            };
            let wrong = account_check(AlarmKind::Failing, true);
            let right = account_check(AlarmKind::Failing, false);
            assert_eq!(board.apply(&wrong, at_minute(0)), []);
            assert_eq!(board.apply(&wrong, stepped(1)), []);
            assert_eq!(board.apply(&wrong, stepped(4)).len(), 1);
            assert_eq!(board.apply(&right, at_minute(5)), []);
            assert_eq!(board.apply(&right, stepped(6)), []);
            assert_eq!(board.apply(&right, stepped(10)).len(), 1);
        }
    }

    #[test]
    fn a_flapping_problem_is_one_alarm() {
        let mut board = AlarmBoard::default();
        assert_eq!(
            apply_at(&mut board, 0, &account_check(AlarmKind::Disk, true)),
            ["+*"]
        );
        for minute in 1..100 {
            assert_eq!(
                apply_at(
                    &mut board,
                    minute,
                    &account_check(AlarmKind::Disk, minute % 4 == 0)
                ),
                [""; 0],
                "{minute}"
            );
        }
    }

    #[test]
    fn few_streams_alarm_separately_and_many_together() {
        let mut board = AlarmBoard::default();
        assert_eq!(
            apply_at(&mut board, 0, &stream_check(AlarmKind::Silent, &["a"])),
            ["+a"]
        );
        assert_eq!(
            apply_at(
                &mut board,
                1,
                &stream_check(AlarmKind::Silent, &["a", "b", "c", "d", "e"])
            ),
            ["+*"]
        );
        let text = &board
            .active()
            .find(|alarm| alarm.subject.stream.is_none())
            .unwrap()
            .text;
        assert_eq!(text, "4 streams: b, c, d and 1 more; first problem: wrong");
        assert_eq!(
            apply_at(&mut board, 2, &stream_check(AlarmKind::Silent, &["e"])),
            ["+*"],
            "the number is another"
        );
        assert_eq!(
            apply_at(&mut board, 7, &stream_check(AlarmKind::Silent, &["e"])),
            ["-a"]
        );
        assert_eq!(
            apply_at(&mut board, 8, &stream_check(AlarmKind::Silent, &[])),
            [""; 0]
        );
        assert_eq!(
            apply_at(&mut board, 13, &stream_check(AlarmKind::Silent, &[])),
            ["-*"]
        );
    }

    #[test]
    fn unchecked_alarms_stay_active() {
        let mut board = AlarmBoard::default();
        apply_at(&mut board, 0, &stream_check(AlarmKind::Silent, &["a"]));
        let unjudged = CheckResult {
            inconclusive: BTreeSet::from(["a".to_owned()]),
            ..stream_check(AlarmKind::Silent, &[])
        };
        assert_eq!(apply_at(&mut board, 100, &unjudged), [""; 0]);
        assert_eq!(
            apply_at(&mut board, 200, &account_check(AlarmKind::Parked, false)),
            [""; 0]
        );
        let elsewhere = CheckResult {
            account: Some("other".to_owned()),
            ..stream_check(AlarmKind::Silent, &[])
        };
        assert_eq!(apply_at(&mut board, 300, &elsewhere), [""; 0]);
        assert_eq!(board.active().count(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Begins and ends of each alarm alternate, no alarm ends while its problem lasts, and at
        /// most a few begin at once.
        #[test]
        fn begins_and_ends_alternate(
            checks in prop::collection::vec(prop::collection::btree_set(0u8..12, 0..12), 1..80)
        ) {
            let mut board = AlarmBoard::default();
            let mut active = BTreeSet::new();
            for (n, streams) in checks.iter().enumerate() {
                let names: Vec<String> = streams.iter().map(|n| format!("s{n}")).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let before = active_subjects(&board);
                let result = stream_check(AlarmKind::Stuck, &names);
                let changed = board.apply(&result, at_minute(n as i64 * 2));
                let mut begun = 0;
                for alarm in changed {
                    if alarm.is_active() {
                        begun += usize::from(!before.contains(&alarm.subject));
                        active.insert(alarm.subject);
                    } else {
                        prop_assert!(active.remove(&alarm.subject), "it never began");
                        let stream = alarm.subject.stream.as_deref();
                        prop_assert!(!stream.is_some_and(|stream| names.contains(&stream)));
                    }
                }
                prop_assert!(begun <= MAX_SEPARATE_ALARMS, "{} at once", begun);
                prop_assert_eq!(&active, &active_subjects(&board));
            }
        }
    }
}
