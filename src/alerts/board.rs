//! The alarms that stand, and what makes them begin and end. Pure.
//!
//! Whoever looks at something says what is wrong of it ([`Look`]); what was not looked at stays as it is. What is wrong
//! begins an alarm once it has been so for as long as its kind has patience, and ends it once it has not been so for a
//! while: what comes and goes is one alarm. Of an account's streams a few have an alarm each, and many one together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::check::{CheckResult, DetectedProblem};
use crate::domain::alarm::{Alarm, AlarmSubject, Notified};
use crate::domain::time::Millis;

/// How long all must be well before an alarm is over.
const CLEAR_DELAY: Duration = Duration::from_mins(5);
/// More streams than this have one alarm together.
const MAX_SEPARATE_ALARMS: usize = 3;
/// How many of those are named.
const MAX_NAMED_STREAMS: usize = 3;

/// See above.
#[derive(Debug, Default)]
pub(super) struct AlarmBoard {
    active: BTreeMap<AlarmSubject, Alarm>,
    /// Since when something is wrong that stands on no alarm of its own yet.
    pending: HashMap<AlarmSubject, Millis>,
    /// Since when all is well of what an alarm stands on.
    recovering: HashMap<AlarmSubject, Millis>,
}

impl AlarmBoard {
    /// The alarms that stand.
    pub(super) fn active(&self) -> impl Iterator<Item = &Alarm> {
        self.active.values()
    }

    /// Takes over what stands by the archive's record, which another process may have written.
    pub(super) fn restore(&mut self, standing: impl Iterator<Item = Alarm>) {
        self.active = standing
            .map(|alarm| (alarm.subject.clone(), alarm))
            .collect();
    }

    /// Takes note of a look. Answers with the alarms that began, are over, or read otherwise than before.
    pub(super) fn apply(&mut self, result: &CheckResult, now: Millis) -> Vec<Alarm> {
        let ripe = self.due_problems(result, now);
        let (own, rest): (Vec<&DetectedProblem>, Vec<&DetectedProblem>) =
            ripe.into_iter().partition(|wrong| {
                wrong.stream.is_none()
                    || self
                        .active
                        .contains_key(&result.subject_for(wrong.stream.as_deref()))
            });
        let all = result.subject_for(None);
        let together =
            rest.len() + own.len() > MAX_SEPARATE_ALARMS || self.active.contains_key(&all);
        let mut stands: Vec<(AlarmSubject, DetectedProblem)> = own
            .into_iter()
            .map(|wrong| (result.subject_for(wrong.stream.as_deref()), wrong.clone()))
            .collect();
        if !rest.is_empty() && together {
            stands.push((all, combined(&rest)));
        } else {
            let each = rest
                .into_iter()
                .map(|wrong| (result.subject_for(wrong.stream.as_deref()), wrong.clone()));
            stands.extend(each);
        }
        let subjects: BTreeSet<AlarmSubject> =
            stands.iter().map(|(subject, _)| subject.clone()).collect();
        let mut changed: Vec<Alarm> = stands
            .into_iter()
            .filter_map(|(subject, wrong)| self.raise(subject, wrong, now))
            .collect();
        changed.extend(self.clear(result, &subjects, now));
        changed
    }

    /// What has been wrong for long enough.
    fn due_problems<'l>(
        &mut self,
        result: &'l CheckResult,
        now: Millis,
    ) -> Vec<&'l DetectedProblem> {
        let is_wrong: BTreeSet<Option<&str>> = result
            .problems
            .iter()
            .map(|wrong| wrong.stream.as_deref())
            .collect();
        self.pending.retain(|subject, _| {
            let is_other = subject.account != result.account || subject.kind != result.kind;
            let unjudged = subject
                .stream
                .as_ref()
                .is_some_and(|stream| result.inconclusive.contains(stream));
            is_other || unjudged || is_wrong.contains(&subject.stream.as_deref())
        });
        let mut ripe = Vec::new();
        for wrong in &result.problems {
            let subject = result.subject_for(wrong.stream.as_deref());
            let since = *self.pending.entry(subject.clone()).or_insert(now);
            if now.since(since) >= result.kind.start_delay() || self.active.contains_key(&subject) {
                ripe.push(wrong);
            }
        }
        ripe
    }

    /// Has an alarm stand. Answers with it if it began, or reads otherwise than before.
    fn raise(
        &mut self,
        subject: AlarmSubject,
        wrong: DetectedProblem,
        now: Millis,
    ) -> Option<Alarm> {
        let DetectedProblem {
            text, hint, level, ..
        } = wrong;
        self.recovering.remove(&subject);
        if let Some(known) = self.active.get_mut(&subject) {
            if (&known.text, &known.hint, known.level) == (&text, &hint, level) {
                return None;
            }
            (known.text, known.hint, known.level) = (text, hint, level);
            return Some(known.clone());
        }
        let alarm = Alarm {
            subject,
            since: now,
            until: None,
            text,
            hint,
            level,
            notified: Notified::Nothing,
        };
        self.active.insert(alarm.subject.clone(), alarm.clone());
        Some(alarm)
    }

    /// Ends those that do not stand on anything any more. Answers with them.
    fn clear(
        &mut self,
        result: &CheckResult,
        stands: &BTreeSet<AlarmSubject>,
        now: Millis,
    ) -> Vec<Alarm> {
        let is_of_it = |subject: &&AlarmSubject| {
            subject.account == result.account && subject.kind == result.kind
        };
        let is_judged = |subject: &&AlarmSubject| match &subject.stream {
            Some(stream) => !result.inconclusive.contains(stream),
            None => result.inconclusive.is_empty(),
        };
        let well = self
            .active
            .keys()
            .filter(is_of_it)
            .filter(is_judged)
            .filter(|subject| !stands.contains(subject));
        let mut over = Vec::new();
        for subject in well.cloned().collect::<Vec<_>>() {
            let since = *self.recovering.entry(subject.clone()).or_insert(now);
            if now.since(since) < CLEAR_DELAY {
                continue;
            }
            self.recovering.remove(&subject);
            let ended = self.active.remove(&subject);
            over.extend(ended.map(|alarm| Alarm {
                until: Some(since.max(alarm.since)),
                ..alarm
            }));
        }
        over
    }
}

/// What is said of many streams at once.
fn combined(rest: &[&DetectedProblem]) -> DetectedProblem {
    let names: Vec<&str> = rest
        .iter()
        .filter_map(|wrong| wrong.stream.as_deref())
        .take(MAX_NAMED_STREAMS)
        .collect();
    let more = rest.len() - names.len();
    let and = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let first = rest.first().map_or("", |wrong| wrong.text.as_str());
    let text = format!(
        "{} streams: {}{and}; the first: {first}",
        rest.len(),
        names.join(", ")
    );
    DetectedProblem {
        stream: None,
        text,
        hint: rest
            .first()
            .map_or_else(String::new, |wrong| wrong.hint.clone()),
        level: None,
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
        }
    }

    fn stream_check(kind: AlarmKind, streams: &[&str]) -> CheckResult {
        let wrong = streams.iter().map(|stream| problem(Some(stream))).collect();
        CheckResult {
            account: Some("shop".to_owned()),
            kind,
            problems: wrong,
            inconclusive: BTreeSet::new(),
        }
    }

    fn account_check(kind: AlarmKind, is_wrong: bool) -> CheckResult {
        CheckResult::for_whole(Some("shop"), kind, is_wrong.then(|| problem(None)))
    }

    /// What happens at so many minutes: the streams of which an alarm begins (`+`) or ends (`-`).
    fn apply_at(board: &mut AlarmBoard, minute: i64, look: &CheckResult) -> Vec<String> {
        let changed = board.apply(look, Millis(minute * MINUTE));
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

    #[test]
    fn it_begins_once_and_ends_once() {
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
        let over = board.apply(&account_check(AlarmKind::Parked, false), Millis(7 * MINUTE));
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
    fn what_passes_by_itself_begins_nothing() {
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
    fn what_comes_and_goes_is_one_alarm() {
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
    fn a_few_streams_have_an_alarm_each_and_many_one_together() {
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
        assert_eq!(text, "4 streams: b, c, d and 1 more; the first: wrong");
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
    fn what_was_not_looked_at_stays_as_it_is() {
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
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// However streams come and go: beginnings and ends of each alarm take turns, none ends that is wrong, and there
        /// are never more than a few that begin at once.
        #[test]
        fn beginnings_and_ends_take_turns(looks in prop::collection::vec(prop::collection::btree_set(0u8..12, 0..12), 1..80)) {
            let mut board = AlarmBoard::default();
            let mut standing = BTreeSet::new();
            for (minute, streams) in looks.iter().enumerate() {
                let names: Vec<String> = streams.iter().map(|stream| format!("s{stream}")).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let before: BTreeSet<AlarmSubject> = board.active().map(|alarm| alarm.subject.clone()).collect();
                let changed = board.apply(&stream_check(AlarmKind::Stuck, &names), Millis(minute as i64 * 2 * MINUTE));
                let mut begun = 0;
                for alarm in changed {
                    if alarm.is_active() {
                        begun += usize::from(!before.contains(&alarm.subject));
                        standing.insert(alarm.subject);
                    } else {
                        prop_assert!(standing.remove(&alarm.subject), "it never began");
                        let is_wrong = alarm.subject.stream.as_deref().is_some_and(|stream| names.contains(&stream));
                        prop_assert!(!is_wrong);
                    }
                }
                prop_assert!(begun <= MAX_SEPARATE_ALARMS, "{} at once", begun);
                prop_assert_eq!(&standing, &board.active().map(|alarm| alarm.subject.clone()).collect());
            }
        }
    }
}
