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
mod tests;
