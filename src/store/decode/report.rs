//! Decoding of reports.

use std::time::Duration;

use super::columns::{
    count, duration_s, flag, int, millis, optional_count, optional_millis, optional_second,
    optional_text, scope, second, text, window,
};
use super::record::{frontier, pause, recorded_error};
use crate::domain::clock::MachineSkew;
use crate::domain::frontier::Frontier;
use crate::domain::stream::Scope;
use crate::domain::time::{Millis, Second};
use crate::domain::window::{Runs, Window};
use crate::store::driver::Driver;
use crate::store::error::StoreError;
use crate::store::limits::FIRST_FETCH_GRACE_S;
use crate::store::model::{
    AccountId, AccountSummary, LedgerDay, PassRecord, RecordedError, RequestRate, RunTotals,
    StreamId, StreamStatus, ThroughputBucket, UnreadGroup,
};

/// The end of a run of ledger rows, and the start of the next run.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct RunEnd {
    end: Second,
    next_start: Option<Second>,
}

/// Decodes the end of a run.
pub(in crate::store) fn run_end<DB: Driver>(row: &DB::Row) -> Result<RunEnd, StoreError> {
    let (end, next_start) = (
        second::<DB>(row, "to_s")?,
        optional_second::<DB>(row, "next_s")?,
    );
    Ok(RunEnd { end, next_start })
}

/// Returns the runs with these ends. The first run begins at `first`.
pub(in crate::store) fn runs_from_ends(first: Option<Second>, ends: &[RunEnd]) -> Runs {
    let starts = std::iter::once(first).chain(ends.iter().map(|end| end.next_start));
    starts
        .zip(ends)
        .filter_map(|(start, run)| Window::new(start?, run.end))
        .collect()
}

/// Decodes an account's part of the status. It is the status of an account without a stream.
pub(in crate::store) fn account_status<DB: Driver>(
    row: &DB::Row,
) -> Result<StreamStatus, StoreError> {
    let frontier = frontier::<DB>(row)?;
    Ok(StreamStatus {
        id: None,
        account_id: AccountId(int::<DB>(row, "id")?),
        account: text::<DB>(row, "account")?,
        provider: text::<DB>(row, "provider")?,
        stream: "(none yet)".to_owned(),
        scope: None,
        wanted_from: frontier.settled_to,
        followed_at: frontier.settled_to,
        sealed: Runs::default(),
        watermark: None,
        frontier,
        messages: 0,
        recent_messages: 0,
        recent_seconds: 0,
        suspect_rows: 0,
        expired_suspect_rows: 0,
        quarantined: 0,
        missing: Vec::new(),
        missing_seconds: 0,
        lost_seconds: 0,
        error: None,
        account_error: recorded_error::<DB>(row, "error", "hint")?,
        discovery_error: recorded_error::<DB>(row, "discovery_error", "discovery_hint")?,
        discovered: false,
        pause: pause::<DB>(row)?,
        settle_override: duration_s::<DB>(row, "settle_override_s")?,
        clock_skew: MachineSkew(int::<DB>(row, "clock_skew_ms")?),
    })
}

/// The columns of a stream, and the sums over its ledger rows, that its status is made of.
#[derive(Clone, Debug)]
pub(in crate::store) struct StreamSums {
    pub(in crate::store) id: StreamId,
    pub(in crate::store) account: AccountId,
    key: String,
    scope: Option<Scope>,
    wanted_from: Second,
    followed_at: Second,
    error: Option<RecordedError>,
    discovered: bool,
    messages: u64,
    suspect_rows: u64,
    expired_suspect_rows: u64,
    quarantined: u64,
    /// The start of the first ledger row.
    first_sealed: Option<Second>,
    /// The sealed seconds, and those before the wanted history.
    sealed_seconds: u64,
    unwanted_seconds: u64,
    recent_messages: u64,
    /// The ledger rows beyond the horizon: their seconds, the start of the first and the end of the
    /// last of them.
    recent_seconds: u64,
    recent: Option<Window>,
}

/// Decodes the columns and sums of a stream.
pub(in crate::store) fn stream_sums<DB: Driver>(row: &DB::Row) -> Result<StreamSums, StoreError> {
    let first = optional_second::<DB>(row, "first_s")?;
    let last = optional_second::<DB>(row, "last_s")?;
    Ok(StreamSums {
        id: StreamId(int::<DB>(row, "id")?),
        account: AccountId(int::<DB>(row, "account_id")?),
        key: text::<DB>(row, "key")?,
        scope: scope::<DB>(row)?,
        wanted_from: second::<DB>(row, "wanted_from_s")?,
        followed_at: second::<DB>(row, "followed_at_s")?,
        error: recorded_error::<DB>(row, "error", "hint")?,
        discovered: flag::<DB>(row, "discovered")?,
        messages: count::<DB>(row, "messages")?,
        suspect_rows: count::<DB>(row, "suspect")?,
        expired_suspect_rows: count::<DB>(row, "expired_suspect")?,
        quarantined: count::<DB>(row, "quarantined")?,
        first_sealed: optional_second::<DB>(row, "first_ever_s")?,
        sealed_seconds: count::<DB>(row, "sealed_seconds")?,
        unwanted_seconds: count::<DB>(row, "unwanted_seconds")?,
        recent_messages: count::<DB>(row, "recent_messages")?,
        recent_seconds: count::<DB>(row, "recent_seconds")?,
        recent: first
            .zip(last)
            .and_then(|(first, last)| Window::new(first, last)),
    })
}

impl StreamSums {
    /// True if the ledger rows beyond the horizon are one unbroken run.
    pub(in crate::store) fn is_unbroken(&self) -> bool {
        self.recent.map_or(0, Window::seconds) == self.recent_seconds
    }

    /// Returns the sealed runs beyond the horizon. `ends` are their ends, unless there is only one run.
    fn sealed(&self, ends: &[RunEnd]) -> Runs {
        if self.is_unbroken() {
            self.recent.into_iter().collect()
        } else {
            runs_from_ends(self.recent.map(Window::from), ends)
        }
    }

    /// Returns the status of the stream. `of_account` is that of its account without a stream.
    pub(in crate::store) fn into_status(
        self,
        of_account: &StreamStatus,
        ends: &[RunEnd],
    ) -> StreamStatus {
        let frontier = of_account.frontier;
        let wanted_from = start_of_history(
            self.wanted_from,
            self.first_sealed,
            self.followed_at,
            frontier,
        );
        let settled = frontier.settled_to;
        let edge = frontier.horizon.unwrap_or(wanted_from);
        let sealed = self.sealed(ends);
        // History lost behind the horizon does not make the rest incomplete.
        let start = wanted_from.max(edge);
        let watermark = sealed.watermark(start);
        let fetchable = Window::new(start, settled);
        let missing = fetchable
            .map(|part| sealed.gaps_in(part))
            .unwrap_or_default();
        let wanted_sealed = self.sealed_seconds.saturating_sub(self.unwanted_seconds);
        StreamStatus {
            id: Some(self.id),
            wanted_from,
            watermark: (watermark > start).then_some(watermark),
            recent_seconds: sealed.iter().map(Window::seconds).sum(),
            missing_seconds: missing.iter().map(|range| range.seconds()).sum(),
            missing,
            lost_seconds: lost_seconds(wanted_sealed, &sealed, wanted_from, edge, settled),
            sealed,
            stream: self.key,
            scope: self.scope,
            followed_at: self.followed_at,
            messages: self.messages,
            recent_messages: self.recent_messages,
            suspect_rows: self.suspect_rows,
            expired_suspect_rows: self.expired_suspect_rows,
            quarantined: self.quarantined,
            error: self.error,
            discovered: self.discovered,
            ..of_account.clone()
        }
    }
}

/// Returns the start of the history that a stream can be expected to have: the wanted start, or the
/// time from which it was first fetched, if the provider had deleted the history before that. What
/// had expired before the first fetch is not lost: the archive never had a chance to get it. It has
/// one from [`FIRST_FETCH_GRACE_S`] on, even if the first fetch is later.
fn start_of_history(
    wanted: Second,
    first_sealed: Option<Second>,
    followed_at: Second,
    frontier: Frontier,
) -> Second {
    let Some(horizon) = frontier.horizon else {
        return wanted;
    };
    let retention = frontier.retention.unwrap_or_default();
    let fetchable_from = followed_at.minus(retention).plus(FIRST_FETCH_GRACE_S);
    let fetched_from = first_sealed.map_or(horizon, |first| first.min(horizon));
    wanted.max(fetched_from.min(fetchable_from))
}

/// Returns the seconds of wanted history that passed the horizon unsealed: the range between
/// `wanted_from` and the horizon, less the sealed seconds in it.
fn lost_seconds(
    wanted_sealed: u64,
    sealed: &Runs,
    wanted_from: Second,
    edge: Second,
    settled: Second,
) -> u64 {
    let start = wanted_from.max(edge);
    let parts = sealed.iter().filter_map(|run| run.starting_at(start));
    let sealed_beyond: u64 = parts.map(Window::seconds).sum();
    let expired = Window::new(wanted_from, edge.min(settled)).map_or(0, Window::seconds);
    expired.saturating_sub(wanted_sealed.saturating_sub(sealed_beyond))
}

/// Decodes an account's summary. `missing` are its missing ranges, `recent` the number of recent
/// messages and their seconds.
pub(in crate::store) fn account_summary<DB: Driver>(
    row: &DB::Row,
    missing: Vec<(StreamId, Window)>,
    recent: (u64, u64),
) -> Result<AccountSummary, StoreError> {
    // A stream with unsettled history only cannot be further behind than a missing settled range.
    let first_missing = missing.iter().map(|(_, range)| range.from()).min();
    let sealed_to = optional_second::<DB>(row, "sealed_to_s")?;
    let (recent_messages, recent_seconds) = recent;
    Ok(AccountSummary {
        account: text::<DB>(row, "account")?,
        provider: text::<DB>(row, "provider")?,
        streams: count::<DB>(row, "streams")?,
        failing_streams: count::<DB>(row, "failing")?,
        frontier: frontier::<DB>(row)?,
        pause: pause::<DB>(row)?,
        complete_to: first_missing.or(sealed_to),
        missing,
        lost_seconds: count::<DB>(row, "lost")?,
        suspect_rows: count::<DB>(row, "suspect")?,
        expired_suspect_rows: count::<DB>(row, "expired_suspect")?,
        quarantined: count::<DB>(row, "quarantined")?,
        recent_messages,
        recent_seconds,
    })
}

/// Decodes the request rate of an account.
pub(in crate::store) fn request_rate<DB: Driver>(row: &DB::Row) -> Result<RequestRate, StoreError> {
    Ok(RequestRate {
        account: text::<DB>(row, "account")?,
        requests: count::<DB>(row, "requests")?,
        busy: Duration::from_millis(count::<DB>(row, "busy_ms")?),
        last_pass: optional_millis::<DB>(row, "last_ms")?,
    })
}

/// Decodes a pass.
pub(in crate::store) fn pass_record<DB: Driver>(row: &DB::Row) -> Result<PassRecord, StoreError> {
    let totals = RunTotals {
        requests: count::<DB>(row, "requests")?,
        new: count::<DB>(row, "new")?,
        changed: count::<DB>(row, "changed")?,
        windows: count::<DB>(row, "windows")?,
        errors: count::<DB>(row, "errors")?,
        last_error: optional_text::<DB>(row, "last_error")?,
        lag_seconds: optional_count::<DB>(row, "lag_s")?,
    };
    Ok(PassRecord {
        account: text::<DB>(row, "account")?,
        why: text::<DB>(row, "purpose")?,
        started_at: millis::<DB>(row, "started_at_ms")?,
        finished_at: optional_millis::<DB>(row, "finished_at_ms")?,
        totals,
    })
}

/// Decodes a bucket of `length_ms` milliseconds.
pub(in crate::store) fn throughput_bucket<DB: Driver>(
    row: &DB::Row,
    length_ms: i64,
) -> Result<ThroughputBucket, StoreError> {
    Ok(ThroughputBucket {
        account: text::<DB>(row, "account")?,
        from: Millis(int::<DB>(row, "nth")?.saturating_mul(length_ms)),
        requests: count::<DB>(row, "requests")?,
        new: count::<DB>(row, "new")?,
        errors: count::<DB>(row, "errors")?,
        lag_seconds: optional_count::<DB>(row, "lag_s")?,
    })
}

/// Decodes a day of a stream's ledger.
pub(in crate::store) fn ledger_day<DB: Driver>(row: &DB::Row) -> Result<LedgerDay, StoreError> {
    Ok(LedgerDay {
        window: window::<DB>(row)?,
        seconds: count::<DB>(row, "seconds")?,
        messages: count::<DB>(row, "messages")?,
        is_suspect: flag::<DB>(row, "suspect")?,
    })
}

/// Decodes a group of unread messages.
pub(in crate::store) fn unread_group<DB: Driver>(row: &DB::Row) -> Result<UnreadGroup, StoreError> {
    Ok(UnreadGroup {
        sender: text::<DB>(row, "sender")?,
        recipient: text::<DB>(row, "recipient")?,
        conversation: text::<DB>(row, "conversation")?,
        first: millis::<DB>(row, "first_ms")?,
        last: millis::<DB>(row, "last_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_follow_from_their_ends() {
        let end = |end, next_start: Option<i64>| RunEnd {
            end: Second(end),
            next_start: next_start.map(Second),
        };
        let ends = [end(20, Some(30)), end(40, None)];
        let runs = runs_from_ends(Some(Second(10)), &ends);
        let windows: Vec<_> = runs.iter().map(|run| (run.from().0, run.to().0)).collect();
        assert_eq!(windows, [(10, 20), (30, 40)]);
        assert_eq!(runs_from_ends(None, &[]).iter().count(), 0);
    }
}
