//! Tests of the catch-up model.

use proptest::prelude::*;

use super::*;

const NOW: Second = Second(1_000_000);

/// A missing range, by the seconds before now at which it begins and ends.
fn missing(stream: usize, from: i64, to: i64, messages: u64, requests: u64) -> MissingRange {
    MissingRange {
        stream: StreamIndex::new(stream),
        range: Window::new(NOW.plus(-from), NOW.plus(-to)).unwrap(),
        messages,
        requests,
    }
}

fn conditions(retention_s: u64, rate: f64, pause_s: u64) -> CatchUpConditions {
    CatchUpConditions {
        now: NOW,
        retention: Some(Duration::from_secs(retention_s)),
        rate: Some(rate),
        pause: Duration::from_secs(pause_s),
    }
}

fn outlook(missing: &[MissingRange], retention_s: u64, rate: f64) -> BacklogOutlook {
    BacklogOutlook::from_missing(missing, conditions(retention_s, rate, 0))
}

fn loss(seconds: u64, messages: u64) -> Loss {
    Loss { seconds, messages }
}

#[test]
fn history_fetched_before_it_expires_is_not_lost() {
    let ranges = [
        missing(0, 1000, 0, 50_000, 1000),
        missing(1, 1000, 500, 10, 500),
    ];
    let found = outlook(&ranges, 1000, 3.0);
    assert_eq!((found.loss, found.loss_begins), (Loss::default(), None));
    assert_eq!((found.streams, found.max_missing_s), (2, 1000));
    assert_eq!((found.messages, found.requests), (50_010, 1500));
    assert_eq!(found.duration, Duration::from_secs(500));
    assert_eq!(found.expires_at, Some(NOW));
}

#[test]
fn half_the_needed_rate_loses_half_the_history() {
    // It takes two requests a second, and there is one.
    let found = outlook(&[missing(0, 1000, 0, 80_000, 2000)], 1000, 1.0);
    assert_eq!(found.loss, loss(500, 40_000));
    assert_eq!(found.duration.as_secs(), 1000);
    assert_eq!(found.loss_begins, Some(NOW));
    // A younger history expires later, and the work has a head start.
    let found = outlook(&[missing(0, 500, 0, 80_000, 2000)], 1000, 1.0);
    assert_eq!(found.loss, loss(250, 40_000));
    assert_eq!(found.duration.as_secs(), 1000);
    assert_eq!(found.loss_begins, Some(NOW.plus(666)));
}

#[test]
fn pause_causes_loss_as_the_horizon_moves_on() {
    let ranges = [missing(3, 1000, 0, 1000, 100)];
    let loss_after = |pause_s| {
        let conditions = conditions(1000, 10.0, pause_s);
        BacklogOutlook::from_missing(&ranges, conditions).loss
    };
    assert_eq!(loss_after(250), loss(250, 250));
    assert_eq!(loss_after(9999), loss(1000, 1000));
}

#[test]
fn unlimited_retention_loses_nothing() {
    let conditions = CatchUpConditions {
        retention: None,
        ..conditions(0, 2.0, 5)
    };
    let ranges = [
        missing(0, 900_000, 0, 100, 50),
        missing(0, 950_000, 920_000, 0, 1),
    ];
    let found = BacklogOutlook::from_missing(&ranges, conditions);
    assert_eq!((found.loss, found.expires_at), (Loss::default(), None));
    assert_eq!(found.duration, Duration::from_millis(5000 + 25_500));
    let nothing = outlook(&[], 100, 1.0);
    assert_eq!(nothing, BacklogOutlook::default());
}

#[test]
fn loss_sentence_tells_the_rate_the_loss_and_its_start() {
    let found = outlook(&[missing(0, 1000, 0, 80_000, 2000)], 1000, 1.0);
    let sentence = found.loss_sentence(Some(1.0)).unwrap();
    assert_eq!(
        sentence,
        "at 1.000 requests a second about 40,000 messages will expire at the provider before they \
         can be fetched, from 1970-01-12T13:46:40Z on: 8m 20s of history, over all streams"
    );
    assert!(found.loss_sentence(None).unwrap().starts_with("about "));
    assert_eq!(BacklogOutlook::default().loss_sentence(Some(1.0)), None);
}

#[test]
fn unsampled_ranges_are_estimated_from_sampled_ones() {
    assert_eq!(sample_evenly(3, 10), [0, 1, 2]);
    assert_eq!(sample_evenly(10, 4), [0, 2, 5, 7]);
    assert_eq!(sample_evenly(0, 4), [0; 0]);
    let ranges = [100, 100, 50, 200, 100].map(|s| Window::with_length(NOW, s));
    let counted = [Some(10), None, None, Some(400), None];
    assert_eq!(fill_unsampled(&ranges, &counted), [10, 10, 100, 400, 10]);
    assert_eq!(fill_unsampled(&ranges[..2], &[None, None]), [0, 0]);
}

/// Returns the requests that are lost, simulated second by second: the oldest history is fetched
/// first, and expired history is skipped.
fn simulated_loss(missing: &[MissingRange], retention_s: i64, rate: f64) -> f64 {
    let by_second = |missing: &MissingRange| {
        let density = missing.requests as f64 / missing.range.seconds() as f64;
        let seconds = missing.range.from().0..missing.range.to().0;
        seconds.map(move |at| (at, density))
    };
    let mut work: Vec<(i64, f64)> = missing.iter().flat_map(by_second).collect();
    work.sort_by_key(|(at, _)| *at);
    let mut lost = 0.0;
    let mut time = 0.0;
    for (at, requests) in work {
        let deadline = (at + retention_s - NOW.0) as f64 + 1.0;
        let done = (deadline - time).max(0.0).min(requests / rate);
        lost += requests - done * rate;
        time += done;
    }
    lost
}

proptest! {
    #[test]
    fn predicted_loss_matches_a_simulation(
        ranges in prop::collection::vec((1i64..2000, 1i64..2000, 0u64..3000), 1..8),
        rate in 0.2f64..8.0,
    ) {
        let range = |(n, (from, length, requests)): (usize, (i64, i64, u64))| {
            // Every request returns ten messages.
            missing(n, from, (from - length).max(0), requests * 10, requests)
        };
        let ranges: Vec<MissingRange> = ranges.into_iter().enumerate().map(range).collect();
        let predicted = outlook(&ranges, 2000, rate).loss.messages;
        let expected = simulated_loss(&ranges, 2000, rate) * 10.0;
        let slack = 40.0 + expected * 0.02;
        let error = (predicted as f64 - expected).abs();
        prop_assert!(error <= slack, "{predicted}, not {expected}");
        let missing: u64 = ranges.iter().map(|range| range.messages).sum();
        prop_assert!(predicted <= missing + ranges.len() as u64);
    }
}
