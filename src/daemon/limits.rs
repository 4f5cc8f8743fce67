//! The tunables of the service: intervals and time limits, with the reason for each value.

use std::time::Duration;

// Shutdown. The steps are described in [`crate::daemon`].

/// Time for windows in flight to finish after a stop request. It is short, because an operator
/// waits, and unfinished windows are fetched again after the next start. It wins over the engine's
/// own, longer grace, which is for commands that run in the foreground.
pub const WINDOW_GRACE: Duration = Duration::from_secs(1);
/// Signals within this time of the first one belong to the same request. A longer time makes an
/// operator press ^C a third time.
pub(super) const SIGNAL_REPEAT: Duration = Duration::from_millis(300);
/// Further time for the archive to commit the fetched messages.
pub(super) const COMMIT_GRACE: Duration = Duration::from_millis(500);
/// Further time to close the archive, and for HTTP responses in flight. Neither is needed: commits
/// are on disk already, and a client can repeat its request.
pub const CLOSE_GRACE: Duration = Duration::from_millis(250);

// The archive's file.

/// Interval at which the file at the archive's path is compared with the one that is open. Commits
/// compare them, too; this notices a replaced file while nothing is written. A check reads two
/// entries of a folder.
pub const ARCHIVE_FILE_POLL: Duration = Duration::from_secs(1);
/// The time for which the service tries to open the archive that has taken the place of another.
/// The file may still be on its way. Then the service ends with an error. It must be well below the
/// service manager's watchdog timeout of a minute.
pub const REOPEN_GRACE: Duration = Duration::from_secs(30);

// The search index.

/// Interval at which new messages are looked for to add them to the search index. A longer one delays
/// when they are found; a shorter one costs two small queries each.
pub(super) const INDEX_POLL: Duration = Duration::from_secs(2);
/// The rest after a batch, as a multiple of its duration, while messages are being archived. A
/// smaller value makes commits wait longer, a larger one lets the index fall further behind.
pub(super) const INDEX_REST_FACTOR: u32 = 2;
/// Wait before the search index is tried again after an error of the database.
pub(super) const INDEX_ERROR_RETRY: Duration = Duration::from_secs(10);

// Passes.

/// Interval at which an account is tried while another process works on it. Shorter intervals take
/// over sooner from a process that died, and cost one query each.
pub(super) const STANDBY_POLL: Duration = Duration::from_secs(3);
/// Wait before an account is tried again of which nothing could be fetched, however rare the ticks
/// of its schedule are. Shorter waits notice its recovery sooner, and cost requests.
pub(super) const FAILED_ACCOUNT_RETRY: Duration = Duration::from_mins(1);
/// A tick is treated as missed when it is this late by the timer. The cron scheduler is known to
/// stop for good after a missed tick.
pub(super) const MISSED_TICK_AFTER: Duration = Duration::from_secs(5);
/// Interval at which the wall clock is compared with the timer while waiting for a tick, because
/// the clock may be set and the machine may sleep. A jump is noticed this much later at most.
pub(super) const CLOCK_POLL: Duration = Duration::from_secs(20);
/// A larger difference between the wall clock and the timer is a jump. A smaller one would take the
/// pauses of a busy machine for jumps.
pub(super) const MAX_CLOCK_DRIFT: Duration = Duration::from_secs(1);

// Heartbeats.

/// Interval of heartbeats during intended waits. It must be well below every stall timeout.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// Interval of the checks for stalls, unless the service manager's watchdog needs shorter ones.
pub(super) const STALL_CHECK_INTERVAL: Duration = Duration::from_secs(5);
