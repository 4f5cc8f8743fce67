//! The invariant of the ledger, computed anew: each row's count and digest are those of all archived
//! messages in its window and scope.

use backscroll::domain::digest::{ChainLink, Digest};
use backscroll::domain::time::{Millis, Second};
use backscroll::domain::window::Window;
use backscroll::store::{Archive, Cursor};

/// Panics unless every ledger row equals the archive.
#[track_caller]
pub(crate) fn assert_none(untrue: &[String], what: &str) {
    assert!(
        untrue.is_empty(),
        "after {what}, rows differ from the archive: {untrue:#?}"
    );
}

/// Returns the ledger rows that differ from the archive.
pub(crate) async fn untrue_rows(store: &dyn Archive) -> Vec<String> {
    let all = store
        .messages(
            &Cursor::before(Millis(i64::MIN)),
            Millis(i64::MAX),
            u64::MAX >> 1,
        )
        .await
        .unwrap();
    let ever = Window::new(Second(i64::MIN), Second(i64::MAX)).unwrap();
    let mut untrue = Vec::new();
    for stream in store.streams().await.unwrap() {
        let scope = stream.scope.expect("a scope");
        for row in store.ledger_rows(stream.id, ever, u64::MAX).await.unwrap() {
            let held = all.iter().filter(|archived| {
                let message = &archived.identified.message;
                archived.account == stream.account
                    && row.window.contains(message.sent_at)
                    && scope.matches(message)
            });
            let held = held.map(|archived| ChainLink::from_identified(&archived.identified));
            let mut held: Vec<ChainLink> = held.collect();
            held.sort_unstable();
            let digest = Digest::default().append_all(&held);
            if (row.messages, row.digest) != (held.len() as u64, Some(digest)) {
                untrue.push(format!("{}: {row:?} holds {}", stream.key, held.len()));
            } else if row.not_shown > row.messages {
                untrue.push(format!("{}: {row:?} shows fewer than none", stream.key));
            }
        }
    }
    untrue
}
