//! The tunables of the alarms: delays, thresholds and sizes, with the reason for each value.

use std::time::Duration;

use crate::domain::retry::Backoff;

// When checks run.

/// Interval of the checks of passes and of the disk, besides those after each pass. An account of
/// which nothing works is reported this much later at most. Shorter intervals read the recorded
/// alarms more often.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_mins(1);
/// One in this many of these checks includes the history in the archive, the first one as well. A
/// smaller number reads the status of all streams more often.
pub(super) const ARCHIVE_CHECKS: u32 = 5;
/// Maximum number of streams whose activity is queried per check. These queries take a few seconds
/// at most; the remaining streams are queried by the next checks.
pub(super) const MAX_LOOKUPS_PER_CHECK: usize = 1000;

// When a problem becomes an alarm, and when the alarm ends.

/// An alarm needs this many consecutive failed passes over a stream, or failures of the archive. A
/// smaller number would report single failures.
pub(super) const FAILURES_BEFORE_ALARM: u64 = 3;
/// A pass that has run for this long is hanging. Passes start no windows after ten minutes, so only
/// a tiny rate limit can make a healthy pass this long.
pub(super) const HANG_AFTER: Duration = Duration::from_hours(1);
/// An account that no process has worked on for this long is treated as removed from the
/// configuration, and its alarms end.
pub(super) const ABANDONED_AFTER: Duration = Duration::from_hours(24);
/// An alarm ends after this time without its problem. A shorter time would report a flapping
/// problem repeatedly.
pub(super) const CLEAR_DELAY: Duration = Duration::from_mins(5);
/// If more streams of an account than this have the same problem, they share one alarm.
pub(super) const MAX_SEPARATE_ALARMS: usize = 3;
/// Number of streams named in a shared alarm.
pub(super) const MAX_NAMED_STREAMS: usize = 3;

// Free disk space.

/// The disk is nearly full if less than 1/20 of the file system is free …
pub(super) const FREE_SPACE_DIVISOR: u64 = 20;
/// … unless this many bytes are free, which is enough on any file system …
pub(super) const SUFFICIENT_FREE_BYTES: u64 = 5 << 30;
/// … and in any case if fewer bytes than this are free.
pub(super) const MIN_FREE_BYTES: u64 = 256 << 20;

// Silent streams.

/// A week, in hours.
pub(super) const WEEK_H: i64 = 168;
/// The activity of the last four weeks is used, in hours. A longer time adapts more slowly and
/// reads more rows.
pub(super) const LOOKBACK_H: i64 = 4 * WEEK_H;
/// The weekly pattern is used only with this many weeks of activity before the silence.
pub(super) const MIN_WEEKS: i64 = 2;
/// Minimum number of usually active hours in a silence. A smaller number reports sooner, with more
/// false alarms.
pub(super) const MIN_MISSED_HOURS: f64 = 6.0;
/// A silence must count as at least this multiple of the longest earlier one.
pub(super) const SILENCE_FACTOR: f64 = 3.0;
/// A young stream's silence up to this long, in hours, may be a weekend …
pub(super) const WEEKEND_H: i64 = 72;
/// … and a stream with a shorter span of activity than this, in hours, has no pattern yet.
pub(super) const MIN_ACTIVE_SPAN_H: i64 = 120;
/// A stream with fewer active hours than this is rarely used and never reported.
pub(super) const MIN_ACTIVE_HOURS: usize = 12;

// Records and notifications.

/// Alarms are kept in the archive for this long after they end. A longer time costs a few rows.
pub const ALARM_RETENTION: Duration = Duration::from_hours(90 * 24);
/// Alarms that ended longer ago than this are not posted to the webhook any more: they would no
/// longer be news.
pub(super) const NOTIFY_WITHIN: Duration = Duration::from_hours(24);
/// Timeout of one post to the webhook, from the request to the status of the response.
pub(super) const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(15);
/// Backoff between attempts to post a notification. The number of attempts is unlimited:
/// notifications are dropped only when they are older than [`NOTIFY_WITHIN`].
pub(super) const WEBHOOK_RETRY: Backoff = Backoff {
    initial: Duration::from_secs(10),
    max: Duration::from_mins(5),
    max_attempts: u32::MAX,
};
