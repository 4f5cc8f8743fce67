//! The tunables of the commands, with their reasons and the consequence of a change.

use std::time::Duration;

// sync

/// The maximum number of consecutive passes without progress. The next one ends the sync. A larger
/// value waits longer for a provider that fails.
pub(super) const MAX_FRUITLESS_PASSES: u32 = 3;
/// The wait after a pass without progress, and after a failure of the database. A shorter one asks
/// a failing server more often; a longer one delays a sync that could continue.
pub(super) const RETRY_WAIT: Duration = Duration::from_secs(2);
/// The maximum number of consecutive database failures, each followed by [`RETRY_WAIT`]. A server
/// that restarts is back within that time (30 s).
pub(super) const MAX_DATABASE_RETRIES: u32 = 15;
/// The maximum number of retries while another process holds the lease of an account. The lease of
/// a killed process has expired by then. A larger value only delays the error.
pub(super) const MAX_LEASE_RETRIES: u32 = 3;
/// The maximum pause of an account that a sync waits for. A longer pause ends the sync.
pub(super) const MAX_PAUSE_WAIT: Duration = Duration::from_secs(90);

/// Time for windows in flight to finish after ^C. Together with the time for commits
/// (`daemon/limits.rs`) it stays below a second, because a person waits at the terminal; windows
/// that are dropped are fetched again.
pub(super) const INTERRUPT_GRACE: Duration = Duration::from_millis(300);

// plan

/// The bytes of an Agora message in SQLite, including its share of all indexes. The benchmarks
/// (`cargo bench`) measure it with texts of 100 to 200 bytes.
pub(super) const SQLITE_AGORA_BYTES: f64 = 305.0;
/// The bytes of a `Web3MQ` message in SQLite: its id, its signature and its version are kept as
/// well. Measured with texts of the same length.
pub(super) const SQLITE_WEB3MQ_BYTES: f64 = 497.0;
/// The bytes of a message in Postgres, measured in the same way.
pub(super) const POSTGRES_AGORA_BYTES: f64 = 370.0;
/// The bytes of a `Web3MQ` message in Postgres: 93 more than in SQLite, as measured with 100,000
/// messages of the sandbox in both.
pub(super) const POSTGRES_WEB3MQ_BYTES: f64 = 590.0;
/// The minimum number of archived messages from which the size of one is measured. In a smaller
/// archive, empty pages and indexes dominate.
pub(super) const MIN_MESSAGES_TO_MEASURE: u64 = 10_000;
/// An account with a pass within this time is considered in use by another process. A shorter time
/// misses a daemon between two passes, and the plan then takes more than its share of the rate
/// limit.
pub(super) const RECENT_PASS: Duration = Duration::from_mins(2);

/// The wait between two passes of `demo --serve`. A shorter one shows new messages sooner.
#[cfg(feature = "sandbox")]
pub(super) const DEMO_PASS_INTERVAL: Duration = Duration::from_secs(5);

// Output

/// The interval between updates of the progress bar.
pub(super) const BAR_INTERVAL: Duration = Duration::from_millis(100);
/// The interval between progress lines in a log.
pub(super) const LOG_INTERVAL: Duration = Duration::from_secs(30);
/// The length of an excerpt of a message in characters. A longer one fills more of the terminal.
pub(super) const EXCERPT_CHARS: usize = 240;
/// The maximum number of streams in the summary of a sync. If there are more, only unhealthy ones
/// are listed.
pub(super) const MAX_LISTED_STREAMS: usize = 24;
/// The maximum number of ranges that may be incomplete in the output of a reader's command. The rest
/// is counted.
pub(super) const MAX_LISTED_RANGES: usize = 8;

// sql

/// The maximum length in bytes of a query from standard input. A longer text is not a query: a file of
/// data, most likely.
pub(super) const MAX_QUERY_BYTES: u64 = 1 << 20;
/// The maximum number of rows from which the widths of a table are measured, before any is printed. A
/// larger value costs memory.
pub(super) const MAX_MEASURED_ROWS: usize = 1000;
/// The maximum number of bytes in these rows.
pub(super) const MAX_MEASURED_BYTES: usize = 1 << 20;
/// The maximum width to which the cells of a column are filled. Longer values are printed in full, and
/// move the cells behind them.
pub(super) const MAX_COLUMN_WIDTH: usize = 60;
/// The maximum number of inputs in the history of the prompt.
pub(super) const MAX_HISTORY_ENTRIES: usize = 1000;

/// A backlog that takes less time than this is fetched by the next pass. `status` need not announce
/// when it would expire.
pub(super) const ROUTINE_BACKLOG: Duration = Duration::from_mins(1);

// check

/// The maximum number of accounts whose credentials are checked at a time. Those of a host that does
/// not answer take minutes each.
pub(super) const PARALLEL_CHECKS: usize = 32;
