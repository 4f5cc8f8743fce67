//! The places up to which streams are archived that are read in order of arrival.

use backscroll::domain::arrival::ArrivalMark;
use backscroll::domain::identity::Fingerprint;

use crate::support::store_fixture::StoreFixture;

on_every_database! {
    mark_moves_only_from_where_it_is,
}

fn mark(position: u64) -> ArrivalMark {
    let last = (position > 0).then_some(Fingerprint([position as u8; 16]));
    ArrivalMark { position, last }
}

async fn mark_moves_only_from_where_it_is(fixture: StoreFixture) {
    let (store, account, stream) = (&fixture.store, fixture.account, fixture.streams[0]);
    let marks = async || store.arrival_marks(account).await.unwrap();
    let moved = async |from, to| {
        let mark = store.move_arrival_mark(stream, mark(from), mark(to)).await;
        mark.unwrap().position
    };
    assert!(marks().await.is_empty());
    assert_eq!(moved(7, 9).await, 0, "nothing before the seventh is known");
    assert!(marks().await.is_empty());
    assert_eq!(moved(0, 9).await, 9);
    assert_eq!(moved(0, 5).await, 9, "another part was read from there");
    assert_eq!(moved(9, 20).await, 20);
    assert_eq!(moved(20, 3).await, 3, "the oldest have expired");
    assert_eq!(
        marks().await.into_iter().collect::<Vec<_>>(),
        [(stream, mark(3))]
    );
}
