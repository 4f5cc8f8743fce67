//! Suspect windows: sealed with a doubt, because the provider contradicted itself.

use std::collections::HashMap;

use super::range::comparable_range;
use crate::domain::frontier::Frontier;
use crate::domain::stream::StreamIndex;
use crate::domain::time::{Millis, Second};
use crate::store::{LedgerRow, StoreError, StreamId};
use crate::sync::plan::job::{Job, Refetch, RefetchList};
use crate::sync::session::Session;

/// Returns the suspect windows that are due for a refetch.
pub(in crate::sync) async fn due_suspects(
    session: &Session,
    frontier: Frontier,
    now: Millis,
) -> Result<RefetchList, StoreError> {
    let indexes: HashMap<StreamId, StreamIndex> = session
        .streams()
        .map(|(index, stream)| (stream.id, index))
        .collect();
    let comparable = comparable_range(frontier, Second(i64::MIN));
    let rows = session.archive.doubted_rows(session.account).await?;
    let mut list = RefetchList::default();
    for (id, row) in rows {
        let Some(&stream) = indexes.get(&id) else {
            continue;
        };
        let is_comparable =
            comparable.and_then(|range| range.intersect(row.window)) == Some(row.window);
        if is_comparable && is_due(&row, now) {
            let refetch = Refetch {
                row: row.window,
                outside: 0,
                sealed_at: row.sealed_at,
            };
            let refetch = Some(refetch);
            let range = row.window;
            list.jobs.push(Job {
                stream,
                range,
                is_piece: false,
                refetch,
                poll: None,
            });
        }
    }
    Ok(list)
}

/// True if a suspect window has been left alone for as long as it had been in doubt before.
fn is_due(row: &LedgerRow, now: Millis) -> bool {
    let doubted_at = row.doubted_at.unwrap_or(row.sealed_at);
    now.since(row.sealed_at) >= row.sealed_at.since(doubted_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::window::Window;

    #[test]
    fn suspect_window_waits_as_long_as_it_was_in_doubt() {
        let row = |doubted_at: Option<i64>| LedgerRow {
            window: Window::with_length(Second(0), 1),
            messages: 0,
            digest: None,
            provider_count: None,
            not_shown: 0,
            doubt: Some("pages differ".to_owned()),
            doubted_at: doubted_at.map(Millis),
            sealed_at: Millis(10_000),
        };
        assert!(is_due(&row(None), Millis(10_000)), "the first time at once");
        assert!(!is_due(&row(Some(4000)), Millis(15_999)));
        assert!(is_due(&row(Some(4000)), Millis(16_000)));
    }
}
