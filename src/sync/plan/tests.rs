//! Tests of the order of work.

use proptest::prelude::*;

use super::*;

/// A frontier at which history within ten seconds of the horizon is about to expire.
fn frontier(horizon: Option<i64>, wanted_to: i64) -> Frontier {
    Frontier {
        horizon: horizon.map(Second),
        settled_to: Second(wanted_to),
        wanted_to: Second(wanted_to),
        retention: Some(Duration::from_secs(80)),
    }
}

/// A plan for streams with the same sealed runs, all of whose history is wanted.
fn plan_of(horizon: Option<i64>, wanted_to: i64, sealed: &[&Runs]) -> Plan {
    let streams = sealed
        .iter()
        .enumerate()
        .map(|(index, sealed)| StreamHistory {
            stream: StreamIndex::new(index),
            wanted_from: Second(0),
            sealed,
            is_discovered: false,
        });
    let until = Some(Second(wanted_to));
    Plan::missing(
        frontier(horizon, wanted_to),
        until,
        TailScheduler::default(),
        streams,
    )
}

fn drain(mut plan: Plan) -> Vec<Job> {
    let horizon = plan.frontier.horizon;
    std::iter::from_fn(|| plan.pop(Second(0), horizon)).collect()
}

fn runs(windows: &[(i64, i64)]) -> Runs {
    windows
        .iter()
        .filter_map(|&(from, to)| Window::new(Second(from), Second(to)))
        .collect()
}

fn bounds(job: &Job) -> (i64, i64) {
    (job.range.from().0, job.range.to().0)
}

#[test]
fn expiring_history_precedes_the_tail_which_precedes_backfill() {
    let sealed = runs(&[(105, 120), (200, 300), (400, 500)]);
    let jobs = drain(plan_of(Some(100), 600, &[&sealed]));
    let order: Vec<_> = jobs.iter().map(bounds).collect();
    assert_eq!(order, [(100, 105), (500, 600), (120, 200), (300, 400)]);
}

#[test]
fn stream_with_nothing_missing_is_no_work() {
    let sealed = runs(&[(0, 600)]);
    assert!(plan_of(None, 600, &[&sealed]).is_empty());
    assert!(plan_of(Some(700), 600, &[&Runs::default()]).is_empty());
}

#[test]
fn last_piece_of_a_split_tail_remains_a_tail_poll() {
    let none = Runs::default();
    let mut plan = plan_of(None, 600, &[&none, &none]);
    let first = plan.pop(Second(600), None).unwrap();
    first
        .pieces(&[Second(100)])
        .into_iter()
        .for_each(|piece| plan.push(piece));
    let jobs = drain(plan);
    let order: Vec<_> = jobs
        .iter()
        .map(|job| (job.stream == first.stream, job.range.from().0))
        .collect();
    assert_eq!(order, [(true, 100), (false, 0), (true, 0)]);
}

#[test]
fn polls_and_backfill_share_the_requests_equally() {
    let sealed = runs(&[(5000, 5100)]);
    let mut plan = plan_of(None, 5200, &[&sealed; 40]);
    let mut is_poll = Vec::new();
    while let Some(job) = plan.pop(Second(5200), None) {
        is_poll.push(job.poll.is_some());
        plan.account_for(job, 10);
    }
    let expected = [true, false, true, true, true, true, true, false];
    assert_eq!(
        is_poll[..8],
        expected,
        "a window of ten requests for five polls"
    );
    assert_eq!(is_poll.iter().filter(|poll| **poll).count(), 40);
}

#[test]
fn history_that_begins_to_expire_during_a_pass_precedes_the_tail() {
    let none = Runs::default();
    let mut plan = plan_of(Some(0), 600, &[&none]);
    let whole = plan.pop(Second(600), Some(Second(0))).unwrap();
    whole
        .pieces(&[Second(100), Second(200)])
        .into_iter()
        .for_each(|piece| plan.push(piece));
    let mut from = |horizon| {
        plan.pop(Second(600), Some(Second(horizon)))
            .map(|job| job.range.from().0)
    };
    assert_eq!(from(0), Some(0));
    assert_eq!(from(91), Some(100), "nine seconds from the horizon");
    assert_eq!(from(91), Some(200));
    assert_eq!(from(91), None);
}

#[test]
fn polls_keep_their_minimum_share_while_history_expires() {
    let (none, sealed) = (Runs::default(), runs(&[(0, 590)]));
    let mut plan = plan_of(Some(0), 600, &[&none, &sealed]);
    let whole = plan.pop(Second(600), Some(Second(0))).unwrap();
    let split_points: Vec<_> = (1..600).map(Second).collect();
    whole
        .pieces(&split_points)
        .into_iter()
        .for_each(|piece| plan.push(piece));
    let mut polls = Vec::new();
    for (n, horizon) in (0..600).enumerate() {
        let job = plan.pop(Second(600), Some(Second(horizon))).unwrap();
        if job.poll.is_some() {
            polls.push((n, job.stream.get()));
        }
        plan.account_for(job, 10);
    }
    let share = "two requests of a hundred; the first poll has taken ten at once";
    assert_eq!(polls[..2], [(11, 0), (61, 1)], "{share}");
    assert_eq!(plan.len(), 1);
}

#[test]
fn ranges_that_would_expire_while_fetched_are_dropped() {
    let none = Runs::default();
    let mut plan = plan_of(Some(100), 600, &[&none]);
    let first = plan.pop(Second(600), Some(Second(100))).unwrap();
    assert_eq!(first.range.from(), Second(100), "as far as history reaches");
    plan.learn_lead(4.0, true);
    for range in first
        .range
        .split_at(&[Second(110), Second(120), Second(130)])
    {
        plan.push(Job {
            range,
            is_piece: true,
            poll: None,
            ..first
        });
    }
    let mut next = || {
        plan.pop(Second(613), Some(Second(113)))
            .as_ref()
            .map(bounds)
    };
    let lead = "the horizon is at 113, 5 s are tolerated, and a job takes 6 s";
    assert_eq!(next(), Some((114, 130)), "{lead}");
    assert_eq!(next(), Some((130, 600)));
}

#[test]
fn rest_of_an_expiring_piece_is_joined_with_the_next() {
    let none = Runs::default();
    let jobs_at = |horizon| {
        let mut plan = plan_of(Some(0), 600, &[&none, &none]);
        let whole = [(); 2].map(|()| plan.pop(Second(600), None).unwrap());
        for piece in whole
            .into_iter()
            .flat_map(|job| job.pieces(&[Second(200), Second(400)]))
        {
            plan.push(piece);
        }
        let jobs = std::iter::from_fn(move || plan.pop(Second(600), Some(Second(horizon))));
        let of_first = jobs.filter(|job| job.stream == StreamIndex::new(0));
        let mut jobs: Vec<_> = of_first
            .map(|job| (job.range.from().0, job.range.to().0, job.poll.is_some()))
            .collect();
        jobs.sort_unstable();
        jobs
    };
    assert_eq!(
        jobs_at(5),
        [(0, 200, false), (200, 400, false), (400, 600, true)]
    );
    assert_eq!(jobs_at(6), [(1, 400, false), (400, 600, true)]);
    assert_eq!(jobs_at(155), [(150, 400, false), (400, 600, true)]);
    assert_eq!(jobs_at(255), [(250, 600, true)]);
    assert_eq!(jobs_at(355), [(350, 600, true)]);
}

#[test]
fn refetches_keep_the_given_order_and_hold_up_polls() {
    let job = |from| {
        let range = Window::with_length(Second(from), 10);
        let refetch = job::Refetch {
            row: range,
            outside: 0,
            sealed_at: Millis(0),
            is_doubted: false,
        };
        let stream = StreamIndex::new(0);
        Job {
            range,
            stream,
            is_piece: false,
            refetch: Some(refetch),
            poll: None,
        }
    };
    let list = RefetchList {
        jobs: [500, 100, 300].map(job).to_vec(),
        ..RefetchList::default()
    };
    let plan = Plan::refetching(frontier(Some(0), 600), list);
    assert!(plan.is_refetch());
    let order: Vec<_> = drain(plan).iter().map(|job| job.range.from().0).collect();
    assert_eq!(order, [500, 100, 300]);
}

proptest! {
    #[test]
    fn plan_covers_exactly_the_wanted_and_unsealed_seconds(
        sealed in prop::collection::vec((0i64..200, 1i64..30), 0..10),
        wanted_from in 0i64..100,
        horizon in prop::option::of(0i64..150),
        wanted_to in 50i64..220,
    ) {
        let sealed: Vec<_> = sealed.into_iter().map(|(from, len)| (from, from + len)).collect();
        let runs = runs(&sealed);
        let stream = StreamIndex::new(0);
        let history = StreamHistory { stream, wanted_from: Second(wanted_from), sealed: &runs, is_discovered: false };
        let (frontier, until) = (frontier(horizon, wanted_to), Some(Second(wanted_to)));
        let plan = Plan::missing(frontier, until, TailScheduler::default(), [history]);
        let work: Vec<i64> = drain(plan).iter().flat_map(|job| bounds(job).0..bounds(job).1).collect();
        let done: BTreeSet<i64> = sealed.iter().flat_map(|&(from, to)| from..to).collect();
        let from = wanted_from.max(horizon.unwrap_or(0));
        let expected: BTreeSet<i64> = (from..wanted_to).filter(|s| !done.contains(s)).collect();
        prop_assert_eq!(work.len(), expected.len(), "no second twice");
        prop_assert_eq!(work.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}

#[test]
fn listed_and_discovered_streams_take_turns() {
    let sealed = runs(&[(0, 300), (310, 320), (330, 500)]);
    let found = runs(&[(10, 20), (30, 40), (50, 60), (70, 500)]);
    let mut plan = plan_of(None, 500, &[&sealed]);
    plan.discovered.insert(StreamIndex::new(1));
    for gap in found.gaps_in(Window::new(Second(0), Second(500)).unwrap()) {
        plan.add_gap(StreamIndex::new(1), gap);
    }
    let order: Vec<_> = drain(plan).iter().map(bounds).collect();
    assert_eq!(
        order,
        [
            (0, 10),
            (300, 310),
            (20, 30),
            (320, 330),
            (40, 50),
            (60, 70)
        ]
    );
}

#[test]
fn expiring_history_of_a_discovered_stream_comes_first() {
    let sealed = runs(&[(0, 300), (310, 500)]);
    let found = runs(&[(105, 500)]);
    let mut plan = plan_of(Some(100), 500, &[&sealed]);
    plan.discovered.insert(StreamIndex::new(1));
    plan.was_discovered = true;
    for gap in found.gaps_in(Window::new(Second(100), Second(500)).unwrap()) {
        plan.add_gap(StreamIndex::new(1), gap);
    }
    let order: Vec<_> = drain(plan).iter().map(bounds).collect();
    assert_eq!(order, [(100, 105), (300, 310)]);
}

#[test]
fn window_in_parts_takes_turns_with_all_other_work() {
    let sealed = runs(&[(10, 20), (30, 40), (50, 500)]);
    let mut plan = plan_of(None, 500, &[&sealed]);
    let part = Job {
        range: Window::new(Second(700), Second(701)).unwrap(),
        stream: StreamIndex::new(0),
        is_piece: true,
        refetch: None,
        poll: None,
    };
    plan.push_continuation(part);
    let mut order = Vec::new();
    while let Some(job) = plan.pop(Second(0), None) {
        order.push(bounds(&job));
        if job == part && order.len() < 7 {
            plan.push_continuation(part);
        }
    }
    let (part, work) = ((700, 701), [(0, 10), (20, 30), (40, 50)]);
    assert_eq!(order, [part, work[0], part, work[1], part, work[2], part]);
}
