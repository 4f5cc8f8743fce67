//! Tests of the provider's clock.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::domain::clock::TimerClock;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const DATE_MS: i64 = 784_111_777_000;

#[tokio::test(start_paused = true)]
async fn first_date_that_lasts_corrects_a_machine_a_day_off() {
    for wrong_by in [-86_400_000, 86_400_000] {
        let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(
            DATE_MS + wrong_by,
        ))));
        assert_eq!(clock.now(), Millis(DATE_MS + wrong_by));
        clock.observe(DATE, Instant::now(), Instant::now());
        assert_eq!(clock.now(), Millis(DATE_MS + wrong_by), "not believed yet");
        assert_eq!(clock.doubt(), Some(clock.skew()));
        assert!((clock.skew().0 - wrong_by).abs() <= 1000);
        let machine_ms = clock.signing_offset_ms();
        assert!(clock.unique_timestamp().0 >= DATE_MS + wrong_by);
        clock.record_refused_signature(machine_ms);
        assert!((DATE_MS..=DATE_MS + 1000).contains(&clock.unique_timestamp().0));
        tokio::time::advance(MIN_FIRST_DATE_DURATION).await;
        clock.observe(TEN_SECONDS_LATER, Instant::now(), Instant::now());
        assert!(
            (DATE_MS + 10_000..=DATE_MS + 11_000).contains(&clock.now().0),
            "{:?}",
            clock.now()
        );
        assert_eq!(clock.doubt(), None);
        assert!((clock.skew().0 - wrong_by).abs() <= 1000);
    }
}

#[tokio::test(start_paused = true)]
async fn first_date_that_is_taken_back_is_never_believed() {
    for wrong in [
        "Mon, 06 Nov 1995 08:49:37 GMT",
        "Sat, 06 Nov 1993 08:49:37 GMT",
    ] {
        let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS))));
        for date in [wrong, wrong, DATE, DATE] {
            clock.observe(date, Instant::now(), Instant::now());
            assert!(
                (DATE_MS..=DATE_MS + 1000).contains(&clock.now().0),
                "{wrong}"
            );
        }
        assert_eq!(clock.doubt(), None);
        assert!(clock.skew().is_negligible());
    }
}

#[tokio::test(start_paused = true)]
async fn first_date_within_the_settle_age_is_believed_at_once() {
    let machine = TimerClock::starting_at(Millis(DATE_MS - 60_000));
    let clock = ProviderClock::new(Arc::new(machine)).with_first_tolerance(Duration::from_mins(2));
    clock.observe(DATE, Instant::now(), Instant::now());
    assert_eq!(clock.doubt(), None);
    assert!((DATE_MS..=DATE_MS + 1000).contains(&clock.now().0));
}

#[tokio::test(start_paused = true)]
async fn correct_machine_clock_keeps_its_milliseconds() {
    let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS + 432))));
    clock.observe(DATE, Instant::now(), Instant::now());
    assert_eq!(clock.now(), Millis(DATE_MS + 432));
    assert!(clock.skew().is_negligible());
}

/// A machine's clock that the test sets.
#[derive(Debug, Default)]
struct SettableClock(AtomicI64);

impl Clock for SettableClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::Relaxed))
    }
}

const TEN_SECONDS_LATER: &str = "Sun, 06 Nov 1994 08:49:47 GMT";
const AN_HOUR_LATER: &str = "Sun, 06 Nov 1994 09:49:37 GMT";
const HOUR_MS: i64 = 3_600_000;

fn offset_after(clock: &ProviderClock, date: &str) -> i64 {
    clock.observe(date, Instant::now(), Instant::now());
    clock.now().0 - DATE_MS
}

#[tokio::test(start_paused = true)]
async fn forward_jump_is_accepted_after_it_has_lasted() {
    let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS))));
    assert!(offset_after(&clock, DATE) <= 1000);
    assert!(
        offset_after(&clock, AN_HOUR_LATER) <= 1000,
        "one answer may be wrong"
    );
    assert!(offset_after(&clock, DATE) <= 1000);
    assert!(
        offset_after(&clock, AN_HOUR_LATER) <= 1000,
        "the jump must last from the beginning again"
    );
    tokio::time::advance(MIN_JUMP_DURATION).await;
    assert!(offset_after(&clock, "Sun, 06 Nov 1994 09:50:37 GMT") >= HOUR_MS + 60_000);
}

#[tokio::test(start_paused = true)]
async fn backward_step_is_accepted_at_once() {
    let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS + HOUR_MS))));
    assert!(offset_after(&clock, AN_HOUR_LATER) >= HOUR_MS);
    assert!(offset_after(&clock, DATE) <= 1000);
    assert!(
        offset_after(&clock, AN_HOUR_LATER) >= HOUR_MS,
        "this machine's clock confirms it"
    );
}

#[tokio::test(start_paused = true)]
async fn forward_jump_after_sleep_is_accepted_at_once() {
    // Its clock is a day off. The clock runs on while the machine sleeps; the timer does not.
    let day = 24 * HOUR_MS;
    let machine = Arc::new(SettableClock(AtomicI64::new(DATE_MS - day)));
    let clock = ProviderClock::new(machine.clone()).with_first_tolerance(Duration::from_hours(48));
    assert!(offset_after(&clock, DATE) <= 1000);
    machine.0.store(DATE_MS - day + HOUR_MS, Ordering::Relaxed);
    assert!(offset_after(&clock, AN_HOUR_LATER) >= HOUR_MS);
}

#[tokio::test(start_paused = true)]
async fn setting_the_machine_clock_leaves_provider_time_unchanged() {
    let machine = Arc::new(SettableClock(AtomicI64::new(DATE_MS)));
    let clock = ProviderClock::new(machine.clone());
    assert!(offset_after(&clock, DATE) <= 1000);
    for wrong_by in [HOUR_MS, -HOUR_MS] {
        machine.0.store(DATE_MS + wrong_by, Ordering::Relaxed);
        assert!((0..=1000).contains(&offset_after(&clock, DATE)));
    }
}

#[tokio::test(start_paused = true)]
async fn timestamps_are_unique() {
    let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(DATE_MS))));
    assert!(clock.unique_timestamp() < clock.unique_timestamp());
}

#[tokio::test(start_paused = true)]
async fn timestamps_follow_the_clock_back_after_a_correction() {
    let clock = ProviderClock::new(Arc::new(TimerClock::starting_at(Millis(
        DATE_MS + 86_400_000,
    ))));
    assert_eq!(clock.unique_timestamp(), Millis(DATE_MS + 86_400_000));
    clock.observe(DATE, Instant::now(), Instant::now());
    clock.record_refused_signature(clock.offset_ms());
    let first = clock.unique_timestamp();
    assert!((DATE_MS..=DATE_MS + 1000).contains(&first.0) && first < clock.unique_timestamp());
}
