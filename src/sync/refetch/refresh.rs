//! Messages that are refetched until their recipients have read them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use super::bisect::StreamComparison;
use super::range::comparable_range;
use crate::domain::frontier::Frontier;
use crate::domain::stream::{Scope, StreamIndex};
use crate::domain::time::{Millis, Second};
use crate::domain::window::Window;
use crate::provider::Provider;
use crate::store::{LedgerRow, StoreError, UnreadGroup};
use crate::sync::limits::{MAX_REFRESHED_ROWS, MAX_UNREAD_MINUTES, REFRESH_AGE_FRACTION};
use crate::sync::plan::job::RefetchList;
use crate::sync::session::Session;

/// A ledger row with unread messages that are due.
struct UnreadRow {
    stream: StreamIndex,
    row: LedgerRow,
    /// The part of the row from the first of the messages to the last.
    range: Window,
    /// The part of the stream that can be fetched.
    comparable: Window,
}

/// Returns the ranges with unread messages that are due, the newest first: the status of a recent
/// message changes soonest. `last` is the time of the last refresh.
pub(in crate::sync) async fn due_unread(
    session: &Session,
    frontier: Frontier,
    now: Millis,
    last: Option<Second>,
) -> Result<RefetchList, StoreError> {
    let since = now.minus(session.provider.account().refresh_for.unwrap_or_default());
    let archive = &session.archive;
    let unread = archive
        .unread_messages(session.account, since, MAX_UNREAD_MINUTES)
        .await?;
    let due = unread
        .into_iter()
        .filter(|group| is_refresh_due(group.last.second(), now.second(), last));
    let mut rows = Vec::new();
    for (stream, ranges) in unread_by_stream(&*session.provider, due) {
        rows.extend(rows_around(session, frontier, stream, &ranges).await?);
    }
    rows.sort_by_key(|unread| Reverse(unread.range.to()));
    rows.truncate(MAX_REFRESHED_ROWS);
    let mut list = RefetchList::default();
    for UnreadRow {
        stream,
        row,
        range,
        comparable,
    } in rows
    {
        let comparison = StreamComparison::new(session, stream, comparable);
        comparison
            .difference(row, range, 0)
            .await?
            .add_to(stream, &mut list);
    }
    Ok(list)
}

/// Returns the range from the first to the last message of each group, by the streams that the
/// messages belong to.
fn unread_by_stream(
    provider: &dyn Provider,
    unread: impl Iterator<Item = UnreadGroup>,
) -> BTreeMap<StreamIndex, Vec<Window>> {
    let streams = provider.streams();
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, stream) in streams.iter().enumerate() {
        by_name
            .entry(most_specific_name(&stream.scope))
            .or_default()
            .push(index);
    }
    let mut ranges: BTreeMap<StreamIndex, Vec<Window>> = BTreeMap::new();
    for UnreadGroup {
        sender,
        recipient,
        conversation,
        first,
        last,
    } in unread
    {
        let Some(range) = Window::new(first.second(), last.second().plus(1)) else {
            continue;
        };
        let names = [&conversation, &recipient, &sender];
        let candidates = names
            .into_iter()
            .filter_map(|name| by_name.get(name.as_str()));
        for &index in candidates.flatten() {
            if streams[index]
                .scope
                .matches_names(&sender, &recipient, &conversation)
            {
                ranges
                    .entry(StreamIndex::new(index))
                    .or_default()
                    .push(range);
            }
        }
    }
    ranges
}

/// Returns the name by which a stream is looked up: the one that fewest messages share.
fn most_specific_name(scope: &Scope) -> &str {
    let name = scope
        .conversation
        .as_ref()
        .or(scope.recipient.as_ref())
        .or(scope.sender.as_ref());
    name.map_or("", String::as_str)
}

/// Returns the ledger rows that contain the ranges. Rows that are in doubt or about to expire are
/// left out.
async fn rows_around(
    session: &Session,
    frontier: Frontier,
    stream: StreamIndex,
    ranges: &[Window],
) -> Result<Vec<UnreadRow>, StoreError> {
    let followed = session.stream(stream);
    let hull = ranges.iter().copied().reduce(Window::hull);
    let comparable = comparable_range(frontier, followed.wanted_from);
    let Some((hull, comparable)) = hull.zip(comparable) else {
        return Ok(vec![]);
    };
    let rows = session
        .archive
        .ledger_rows(followed.id, hull, u64::MAX)
        .await?;
    let certain = rows.into_iter().filter(|row| row.doubt.is_none());
    let around = certain.filter_map(|row| {
        let inside = |range: &Window| range.intersect(row.window)?.intersect(comparable);
        let range = ranges.iter().filter_map(inside).reduce(Window::hull)?;
        Some(UnreadRow {
            stream,
            row,
            range,
            comparable,
        })
    });
    Ok(around.collect())
}

/// True if a message is due that was refreshed last at `last`. The older it is, the rarer it is
/// due: its age is divided into steps, and it is due once per step.
fn is_refresh_due(sent_at: Second, now: Second, last: Option<Second>) -> bool {
    let Some(last) = last else { return true };
    let step = ((now.0 - sent_at.0) / REFRESH_AGE_FRACTION).max(1) as u64;
    let step = step.next_power_of_two() as i64;
    last.0.div_euclid(step) != now.0.div_euclid(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn young_messages_are_refreshed_often_and_old_ones_rarely() {
        let refreshes = |age_s: i64| {
            let tick = |tick: i64| Second(1_795_000_000 + tick * 600);
            let ticks = (0..1008).map(tick).collect::<Vec<_>>();
            let is_due = |t: &&[Second]| is_refresh_due(Second(t[1].0 - age_s), t[1], Some(t[0]));
            ticks.windows(2).filter(is_due).count()
        };
        assert_eq!(refreshes(60), 1007, "at every tick");
        assert_eq!(refreshes(3600), 1007);
        let day = refreshes(86_400);
        assert!((60..=100).contains(&day), "{day} times in a week");
        assert!(
            is_refresh_due(Second(0), Second(1_000_000), None),
            "a new process"
        );
    }
}
