//! Combinations of the sandbox's flags: every two values of two flags occur together at least once.

use std::collections::BTreeSet;

use crate::support::env::TestEnv;

/// A flag and its values; `""` leaves it out.
const FLAGS: &[(&str, &[&str])] = &[
    (
        "--time-form",
        &["millis", "millis-text", "seconds", "seconds-text", "iso"],
    ),
    ("--message-type", &["group", "channel", "absent"]),
    ("--empty-list", &["empty", "null", "absent"]),
    ("--start", &["inclusive", "exclusive"]),
    ("--end", &["inclusive", "exclusive"]),
    ("--seconds", &["", "yes"]),
    ("--time-field", &["ms", "ts"]),
    ("--receiver-field", &["dst", "dest"]),
    ("--list-field", &["messages", "message"]),
    ("--snapshot", &["post", "get"]),
    ("--dead-handle", &["410", "404"]),
    ("--extra-fields", &["", "yes"]),
    ("--envelope", &["v1", "v2"]),
    ("--payload-field", &["payload", "pyaload"]),
    ("--from-sign", &["text", "number"]),
    ("--total", &["whole", "absent"]),
    ("--max-size", &["100", "30"]),
    ("--count-form", &["number", "text", "float"]),
    ("--body-form", &["plain", "bom", "latin1", "gzip", "x-gzip"]),
];

/// Two flags and a value of each.
type Pair = (usize, usize, usize, usize);

/// A value for each flag.
type Shape = Vec<usize>;

fn pairs(shape: &Shape) -> impl Iterator<Item = Pair> + '_ {
    (0..shape.len())
        .flat_map(move |i| (i + 1..shape.len()).map(move |j| (i, shape[i], j, shape[j])))
}

/// Returns few combinations that cover every pair of values. Each is the best of many random ones.
fn shapes() -> Vec<Shape> {
    let mut dice = fastrand::Rng::with_seed(7);
    let mut open: BTreeSet<Pair> = BTreeSet::new();
    for (i, (_, some)) in FLAGS.iter().enumerate() {
        for (j, (_, others)) in FLAGS.iter().enumerate().skip(i + 1) {
            open.extend((0..some.len()).flat_map(|a| (0..others.len()).map(move |b| (i, a, j, b))));
        }
    }
    let mut shapes = Vec::new();
    while let Some(&(i, a, j, b)) = open.first() {
        let mut draw = || -> Shape {
            let mut shape: Shape = FLAGS
                .iter()
                .map(|(_, values)| dice.usize(0..values.len()))
                .collect();
            (shape[i], shape[j]) = (a, b);
            shape
        };
        let drawn: Vec<Shape> = (0..60).map(|_| draw()).collect();
        let best = drawn
            .into_iter()
            .max_by_key(|shape| pairs(shape).filter(|pair| open.contains(pair)).count());
        let best = best.expect("sixty were drawn");
        pairs(&best).for_each(|pair| {
            open.remove(&pair);
        });
        shapes.push(best);
    }
    shapes
}

fn flags(shape: &Shape) -> Vec<&'static str> {
    let said = shape
        .iter()
        .zip(FLAGS)
        .filter(|(value, (_, values))| !values[**value].is_empty());
    said.flat_map(|(&value, (flag, values))| match values[value] {
        "yes" => vec![*flag],
        value => vec![*flag, value],
    })
    .collect()
}

/// Archives every fourth combination, so that four tests can run in parallel.
fn archive_in_each(part: usize) {
    let shapes = shapes();
    assert!(
        shapes.len() < 32,
        "{} combinations take too long",
        shapes.len()
    );
    for shape in shapes.iter().skip(part).step_by(4) {
        let flags = flags(shape);
        eprintln!("{flags:?}");
        let env = TestEnv::new(
            &[
                &["--messages", "420", "--topic-messages", "420"],
                flags.as_slice(),
            ]
            .concat(),
        );
        env.assert_sync_archives_truth();
        env.assert_no_rule_broken();
    }
}

#[test]
fn archive_equals_truth_for_flag_combinations_1_of_4() {
    archive_in_each(0);
}

#[test]
fn archive_equals_truth_for_flag_combinations_2_of_4() {
    archive_in_each(1);
}

#[test]
fn archive_equals_truth_for_flag_combinations_3_of_4() {
    archive_in_each(2);
}

#[test]
fn archive_equals_truth_for_flag_combinations_4_of_4() {
    archive_in_each(3);
}
