//! Tests of the board of alarms.

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
