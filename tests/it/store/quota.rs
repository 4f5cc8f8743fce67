//! Blocks of an account's time follow each other, whoever reserves them.

use std::time::Duration;

use backscroll::domain::quota::{BlockRequest, ReservedBlock};
use backscroll::domain::time::Millis;

use crate::support::store_fixture::{NOW, StoreFixture};

const SECOND: Duration = Duration::from_secs(1);
const DISTANCE: Duration = Duration::from_millis(350);

on_every_database! {
    blocks_of_all_processes_follow_each_other,
    clock_that_was_set_back_delays_a_block_by_a_few_others,
}

async fn reserve(
    fixture: &StoreFixture,
    last: Option<ReservedBlock>,
    now: Millis,
) -> ReservedBlock {
    reserve_length(fixture, SECOND, last, now).await
}

async fn reserve_length(
    fixture: &StoreFixture,
    length: Duration,
    last: Option<ReservedBlock>,
    now: Millis,
) -> ReservedBlock {
    let request = BlockRequest {
        length,
        distance: DISTANCE,
        last_end: last.map(|block| block.end),
    };
    let store = &fixture.store;
    store
        .reserve_block("not registered", request, now)
        .await
        .unwrap()
}

async fn blocks_of_all_processes_follow_each_other(fixture: StoreFixture) {
    let first = reserve(&fixture, None, NOW).await;
    // A process that began before the record was there may still send. (Postgres reads its clock
    // once more for the answer.)
    let wait = SECOND + DISTANCE;
    assert!(
        first.begins_in <= wait && first.begins_in + DISTANCE > wait,
        "{first:?}"
    );
    let second = reserve(&fixture, Some(first), NOW).await;
    assert_eq!(
        second.end,
        first.end.plus(SECOND),
        "the same process goes on"
    );
    let other = reserve(&fixture, None, NOW).await;
    assert_eq!(other.end, second.end.plus(DISTANCE + SECOND));
    let ahead = first.begins_in + 2 * SECOND + DISTANCE;
    assert!(other.begins_in + SECOND > ahead && other.begins_in <= ahead);
    let third = reserve(&fixture, Some(second), NOW).await;
    assert_eq!(
        third.end,
        other.end.plus(DISTANCE + SECOND),
        "they take turns"
    );
}

async fn clock_that_was_set_back_delays_a_block_by_a_few_others(fixture: StoreFixture) {
    // The record lies an hour ahead, as if the clock had been set back by an hour. (In Postgres it
    // is the server's, which no test can set.)
    let ahead = reserve_length(&fixture, Duration::from_hours(1), None, NOW).await;
    let other = reserve(&fixture, None, NOW).await;
    assert!(other.begins_in <= 8 * SECOND + DISTANCE, "{other:?}");
    assert!(other.end < ahead.end);
}
