//! The alarms that stand, and what makes them begin and end. Pure.
//!
//! Whoever looks at something says what is wrong of it ([`Look`]); what was not looked at stays as it is. What is wrong
//! begins an alarm once it has been so for as long as its kind has patience, and ends it once it has not been so for a
//! while: what comes and goes is one alarm. Of an account's streams a few have an alarm each, and many one together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::domain::alarm::{Alarm, Kind, Subject, Told};
use crate::domain::time::Millis;

/// How long all must be well before an alarm is over.
const CALM: Duration = Duration::from_mins(5);
/// More streams than this have one alarm together.
const FEW: usize = 3;
/// How many of those are named.
const NAMED: usize = 3;

/// What was found by looking at one kind of thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Nothing where the archive itself was looked at.
    pub account: Option<String>,
    pub kind: Kind,
    /// What is wrong of it, if anything.
    pub wrong: Vec<Wrong>,
    /// Streams that could not be judged, and stay as they are.
    pub unjudged: BTreeSet<String>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Nothing where all of the account is concerned.
    pub stream: Option<String>,
    pub text: String,
    pub hint: String,
    /// See [`Alarm::level`].
    pub level: Option<i64>,
}

impl Look {
    /// At what concerns an account, or the archive, as a whole.
    pub fn at(account: Option<&str>, kind: Kind, wrong: Option<Wrong>) -> Self {
        Self {
            account: account.map(str::to_owned),
            kind,
            wrong: wrong.into_iter().collect(),
            unjudged: BTreeSet::new(),
        }
    }

    fn subject(&self, stream: Option<&str>) -> Subject {
        Subject {
            account: self.account.clone(),
            stream: stream.map(str::to_owned),
            kind: self.kind,
        }
    }
}

/// See above.
#[derive(Debug, Default)]
pub struct Board {
    standing: BTreeMap<Subject, Alarm>,
    /// Since when something is wrong that stands on no alarm of its own yet.
    wrong: HashMap<Subject, Millis>,
    /// Since when all is well of what an alarm stands on.
    well: HashMap<Subject, Millis>,
}

impl Board {
    /// The alarms that stand.
    pub fn standing(&self) -> impl Iterator<Item = &Alarm> {
        self.standing.values()
    }

    /// Takes over what stands by the archive's record, which another process may have written.
    pub fn recall(&mut self, standing: impl Iterator<Item = Alarm>) {
        self.standing = standing
            .map(|alarm| (alarm.subject.clone(), alarm))
            .collect();
    }

    /// Takes note of a look. Answers with the alarms that began, are over, or read otherwise than before.
    pub fn take(&mut self, look: &Look, now: Millis) -> Vec<Alarm> {
        let ripe = self.ripe(look, now);
        let (own, rest): (Vec<&Wrong>, Vec<&Wrong>) = ripe.into_iter().partition(|wrong| {
            wrong.stream.is_none()
                || self
                    .standing
                    .contains_key(&look.subject(wrong.stream.as_deref()))
        });
        let all = look.subject(None);
        let together = rest.len() + own.len() > FEW || self.standing.contains_key(&all);
        let mut stands: Vec<(Subject, Wrong)> = own
            .into_iter()
            .map(|wrong| (look.subject(wrong.stream.as_deref()), wrong.clone()))
            .collect();
        if !rest.is_empty() && together {
            stands.push((all, summary(&rest)));
        } else {
            let each = rest
                .into_iter()
                .map(|wrong| (look.subject(wrong.stream.as_deref()), wrong.clone()));
            stands.extend(each);
        }
        let subjects: BTreeSet<Subject> =
            stands.iter().map(|(subject, _)| subject.clone()).collect();
        let mut changed: Vec<Alarm> = stands
            .into_iter()
            .filter_map(|(subject, wrong)| self.stand(subject, wrong, now))
            .collect();
        changed.extend(self.end(look, &subjects, now));
        changed
    }

    /// What has been wrong for long enough.
    fn ripe<'l>(&mut self, look: &'l Look, now: Millis) -> Vec<&'l Wrong> {
        let is_wrong: BTreeSet<Option<&str>> = look
            .wrong
            .iter()
            .map(|wrong| wrong.stream.as_deref())
            .collect();
        self.wrong.retain(|subject, _| {
            let is_other = subject.account != look.account || subject.kind != look.kind;
            let unjudged = subject
                .stream
                .as_ref()
                .is_some_and(|stream| look.unjudged.contains(stream));
            is_other || unjudged || is_wrong.contains(&subject.stream.as_deref())
        });
        let mut ripe = Vec::new();
        for wrong in &look.wrong {
            let subject = look.subject(wrong.stream.as_deref());
            let since = *self.wrong.entry(subject.clone()).or_insert(now);
            if now.since(since) >= look.kind.patience() || self.standing.contains_key(&subject) {
                ripe.push(wrong);
            }
        }
        ripe
    }

    /// Has an alarm stand. Answers with it if it began, or reads otherwise than before.
    fn stand(&mut self, subject: Subject, wrong: Wrong, now: Millis) -> Option<Alarm> {
        let Wrong {
            text, hint, level, ..
        } = wrong;
        self.well.remove(&subject);
        if let Some(known) = self.standing.get_mut(&subject) {
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
            told: Told::Nothing,
        };
        self.standing.insert(alarm.subject.clone(), alarm.clone());
        Some(alarm)
    }

    /// Ends those that do not stand on anything any more. Answers with them.
    fn end(&mut self, look: &Look, stands: &BTreeSet<Subject>, now: Millis) -> Vec<Alarm> {
        let is_of_it =
            |subject: &&Subject| subject.account == look.account && subject.kind == look.kind;
        let is_judged = |subject: &&Subject| match &subject.stream {
            Some(stream) => !look.unjudged.contains(stream),
            None => look.unjudged.is_empty(),
        };
        let well = self
            .standing
            .keys()
            .filter(is_of_it)
            .filter(is_judged)
            .filter(|subject| !stands.contains(subject));
        let mut over = Vec::new();
        for subject in well.cloned().collect::<Vec<_>>() {
            let since = *self.well.entry(subject.clone()).or_insert(now);
            if now.since(since) < CALM {
                continue;
            }
            self.well.remove(&subject);
            let ended = self.standing.remove(&subject);
            over.extend(ended.map(|alarm| Alarm {
                until: Some(since.max(alarm.since)),
                ..alarm
            }));
        }
        over
    }
}

/// What is said of many streams at once.
fn summary(rest: &[&Wrong]) -> Wrong {
    let names: Vec<&str> = rest
        .iter()
        .filter_map(|wrong| wrong.stream.as_deref())
        .take(NAMED)
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
    Wrong {
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

    const MINUTE: i64 = 60_000;

    fn wrong(stream: Option<&str>) -> Wrong {
        Wrong {
            stream: stream.map(str::to_owned),
            text: "wrong".to_owned(),
            hint: "right it".to_owned(),
            level: None,
        }
    }

    fn look(kind: Kind, streams: &[&str]) -> Look {
        let wrong = streams.iter().map(|stream| wrong(Some(stream))).collect();
        Look {
            account: Some("shop".to_owned()),
            kind,
            wrong,
            unjudged: BTreeSet::new(),
        }
    }

    fn whole(kind: Kind, is_wrong: bool) -> Look {
        Look::at(Some("shop"), kind, is_wrong.then(|| wrong(None)))
    }

    /// What happens at so many minutes: the streams of which an alarm begins (`+`) or ends (`-`).
    fn at(board: &mut Board, minute: i64, look: &Look) -> Vec<String> {
        let changed = board.take(look, Millis(minute * MINUTE));
        let sign = |alarm: &Alarm| if alarm.is_standing() { '+' } else { '-' };
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
        let mut board = Board::default();
        assert_eq!(at(&mut board, 0, &whole(Kind::Parked, true)), ["+*"]);
        assert_eq!(at(&mut board, 1, &whole(Kind::Parked, true)), [""; 0]);
        assert_eq!(
            at(&mut board, 2, &whole(Kind::Parked, false)),
            [""; 0],
            "it may come back"
        );
        let over = board.take(&whole(Kind::Parked, false), Millis(7 * MINUTE));
        assert_eq!(
            (over[0].since, over[0].until),
            (Millis(0), Some(Millis(2 * MINUTE)))
        );
        assert_eq!(at(&mut board, 8, &whole(Kind::Parked, false)), [""; 0]);
    }

    #[test]
    fn what_passes_by_itself_begins_nothing() {
        let mut board = Board::default();
        for minute in 0..=60 {
            let is_wrong = minute % 5 != 0;
            assert_eq!(
                at(&mut board, minute, &whole(Kind::Failing, is_wrong)),
                [""; 0],
                "{minute}"
            );
        }
        assert_eq!(at(&mut board, 61, &whole(Kind::Failing, true)), [""; 0]);
        assert_eq!(at(&mut board, 66, &whole(Kind::Failing, true)), ["+*"]);
    }

    #[test]
    fn what_comes_and_goes_is_one_alarm() {
        let mut board = Board::default();
        assert_eq!(at(&mut board, 0, &whole(Kind::Disk, true)), ["+*"]);
        for minute in 1..100 {
            assert_eq!(
                at(&mut board, minute, &whole(Kind::Disk, minute % 4 == 0)),
                [""; 0],
                "{minute}"
            );
        }
    }

    #[test]
    fn a_few_streams_have_an_alarm_each_and_many_one_together() {
        let mut board = Board::default();
        assert_eq!(at(&mut board, 0, &look(Kind::Silent, &["a"])), ["+a"]);
        assert_eq!(
            at(
                &mut board,
                1,
                &look(Kind::Silent, &["a", "b", "c", "d", "e"])
            ),
            ["+*"]
        );
        let text = &board
            .standing()
            .find(|alarm| alarm.subject.stream.is_none())
            .unwrap()
            .text;
        assert_eq!(text, "4 streams: b, c, d and 1 more; the first: wrong");
        assert_eq!(
            at(&mut board, 2, &look(Kind::Silent, &["e"])),
            ["+*"],
            "the number is another"
        );
        assert_eq!(at(&mut board, 7, &look(Kind::Silent, &["e"])), ["-a"]);
        assert_eq!(at(&mut board, 8, &look(Kind::Silent, &[])), [""; 0]);
        assert_eq!(at(&mut board, 13, &look(Kind::Silent, &[])), ["-*"]);
    }

    #[test]
    fn what_was_not_looked_at_stays_as_it_is() {
        let mut board = Board::default();
        at(&mut board, 0, &look(Kind::Silent, &["a"]));
        let unjudged = Look {
            unjudged: BTreeSet::from(["a".to_owned()]),
            ..look(Kind::Silent, &[])
        };
        assert_eq!(at(&mut board, 100, &unjudged), [""; 0]);
        assert_eq!(at(&mut board, 200, &whole(Kind::Parked, false)), [""; 0]);
        let elsewhere = Look {
            account: Some("other".to_owned()),
            ..look(Kind::Silent, &[])
        };
        assert_eq!(at(&mut board, 300, &elsewhere), [""; 0]);
        assert_eq!(board.standing().count(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// However streams come and go: beginnings and ends of each alarm take turns, none ends that is wrong, and there
        /// are never more than a few that begin at once.
        #[test]
        fn beginnings_and_ends_take_turns(looks in prop::collection::vec(prop::collection::btree_set(0u8..12, 0..12), 1..80)) {
            let mut board = Board::default();
            let mut standing = BTreeSet::new();
            for (minute, streams) in looks.iter().enumerate() {
                let names: Vec<String> = streams.iter().map(|stream| format!("s{stream}")).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let before: BTreeSet<Subject> = board.standing().map(|alarm| alarm.subject.clone()).collect();
                let changed = board.take(&look(Kind::Stuck, &names), Millis(minute as i64 * 2 * MINUTE));
                let mut begun = 0;
                for alarm in changed {
                    if alarm.is_standing() {
                        begun += usize::from(!before.contains(&alarm.subject));
                        standing.insert(alarm.subject);
                    } else {
                        prop_assert!(standing.remove(&alarm.subject), "it never began");
                        let is_wrong = alarm.subject.stream.as_deref().is_some_and(|stream| names.contains(&stream));
                        prop_assert!(!is_wrong);
                    }
                }
                prop_assert!(begun <= FEW, "{} at once", begun);
                prop_assert_eq!(&standing, &board.standing().map(|alarm| alarm.subject.clone()).collect());
            }
        }
    }
}
