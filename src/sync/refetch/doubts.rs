//! Suspect windows: sealed with a doubt, because the provider contradicted itself.

use std::collections::HashMap;

use crate::domain::frontier::Frontier;
use crate::domain::stream::StreamIndex;
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::store::{LedgerRow, StoreError, StreamId};
use crate::sync::plan::job::{Job, Refetch, RefetchList};
use crate::sync::session::Session;

/// Returns the suspect windows that are due for a refetch, as far as the provider still has them.
/// One that the retention edge cuts is split there: its expired part stays suspect for good.
pub(in crate::sync) async fn due_suspects(
    session: &Session,
    frontier: Frontier,
    now: Millis,
) -> Result<RefetchList, StoreError> {
    let indexes: HashMap<StreamId, StreamIndex> = session
        .streams()
        .map(|(index, stream)| (stream.id, index))
        .collect();
    let rows = session.archive.doubted_rows(session.account).await?;
    let mut list = RefetchList::default();
    for (id, row) in rows {
        let Some(&stream) = indexes.get(&id) else {
            continue;
        };
        let fetchable = fetchable_part(frontier, row.window).filter(|_| is_due(&row, now));
        let Some(range) = fetchable else { continue };
        if range != row.window && !split_at(session, (stream, id), row.window, range.from()).await?
        {
            continue;
        }
        let refetch = Refetch {
            row: range,
            outside: 0,
            sealed_at: row.sealed_at,
            is_doubted: true,
        };
        list.jobs.push(Job {
            stream,
            range,
            is_piece: false,
            refetch: Some(refetch),
            poll: None,
        });
    }
    Ok(list)
}

/// Splits a suspect window at the retention edge.
async fn split_at(
    session: &Session,
    (stream, id): (StreamIndex, StreamId),
    window: Window,
    edge: Second,
) -> Result<bool, StoreError> {
    let scope = session.provider.stream(stream).scope.clone();
    session
        .archive
        .split_row(session.account, (id, &scope), window, edge)
        .await
}

/// Returns the part of a settled window that the provider still has. `None` if it has nothing of it,
/// or if the window is not settled.
fn fetchable_part(frontier: Frontier, window: Window) -> Option<Window> {
    let is_settled = window.to() <= frontier.settled_to;
    let available = match frontier.horizon {
        Some(horizon) => window.starting_at(horizon),
        None => Some(window),
    };
    available.filter(|_| is_settled)
}

/// True if a suspect window has been left alone for as long as it had been in doubt before.
fn is_due(row: &LedgerRow, now: Millis) -> bool {
    let doubted_at = row.doubted_at.unwrap_or(row.sealed_at);
    now.since(row.sealed_at) >= row.sealed_at.since(doubted_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetchable_part_begins_at_the_retention_edge() {
        let window = |from: i64, to: i64| Window::new(Second(from), Second(to)).unwrap();
        let part = |horizon: Option<i64>, settled_to: i64| {
            let frontier = Frontier {
                horizon: horizon.map(Second),
                settled_to: Second(settled_to),
                wanted_to: Second(settled_to),
                retention: None,
            };
            fetchable_part(frontier, window(100, 200))
        };
        let whole = Some(window(100, 200));
        for (horizon, settled_to, expected) in [
            (None, 200, whole),
            (Some(99), 200, whole),
            (Some(100), 200, whole),
            (Some(101), 200, Some(window(101, 200))),
            (Some(199), 200, Some(window(199, 200))),
            (Some(200), 200, None),
            (Some(201), 300, None),
            (Some(101), 199, None),
        ] {
            assert_eq!(
                part(horizon, settled_to),
                expected,
                "{horizon:?} {settled_to}"
            );
        }
    }

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
