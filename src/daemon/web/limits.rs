//! The tunables of the HTTP server: connections, caches and sizes, with the reason for each value.

use std::time::Duration;

use crate::alerts::limits::ALARM_RETENTION;

// Connections.

/// Maximum number of concurrent connections. For another one, the oldest that has not sent a request
/// is closed; if all have, it waits until one ends. It limits the memory that requests can take.
pub(super) const MAX_CONNECTIONS: usize = 32;
/// Maximum duration of a connection. It is longer than any response takes.
pub(super) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Minimum age of a silent connection that is closed for another one. Less could close connections
/// whose request is just arriving; more delays an answer behind many silent ones.
pub(super) const SILENT_GRACE: Duration = Duration::from_millis(100);
/// Timeout for the head of a request. A longer time lets idle clients occupy connections.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of a request's head, in bytes.
pub(super) const MAX_HEAD_BYTES: usize = 16 << 10;
/// Interval between attempts to bind an address that is in use.
pub(super) const BIND_RETRY: Duration = Duration::from_secs(5);
/// Pause after a failed accept, for example when the process has too many open files.
pub(super) const ACCEPT_RETRY: Duration = Duration::from_millis(200);
/// Timeout of the database ping of `/readyz`. A healthy database answers much sooner.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// Timeout of `backscroll healthcheck`. A healthy service answers at once; a longer time delays the
/// restart of a container that hangs.
pub(super) const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

// Reads of the archive.

/// Minimum time between two reads of the archive for `/metrics`. A shorter time gives fresher
/// values and more queries.
pub(super) const MIN_METRICS_INTERVAL: Duration = Duration::from_secs(5);
/// After a read for `/metrics`, the cache rests for this multiple of its duration, so that reads
/// use at most about 1/20 of the time. A smaller factor loads a slow database more.
pub(super) const METRICS_REST_FACTOR: u32 = 20;
/// Time that a scrape waits for a read. Prometheus gives up after 10 seconds by default, so the
/// wait must stay well below.
pub(super) const SCRAPE_WAIT: Duration = Duration::from_secs(4);
/// Minimum lifetime of the data of the page. Requests within it share one read of the archive.
pub(super) const MIN_PAGE_LIFETIME: Duration = Duration::from_secs(5);
/// The data of the page live at least for this multiple of the time that their read took. So a page
/// that is reloaded continuously uses at most about 1/10 of the database's time.
pub(super) const PAGE_LIFETIME_FACTOR: u32 = 10;

// Assessment of streams.

/// A missing range at the end of a stream counts as a gap only when it is older than this, in
/// seconds. The tail is polled continuously; a smaller value would show healthy streams as behind.
pub(super) const TAIL_GRACE_S: u64 = 3600;
/// An account without a pass for this long, in seconds, is shown as neglected. Passes usually run
/// every minute.
pub(super) const NEGLECTED_AFTER_S: u64 = 3600;

// Sizes of the page.

/// Characters of the worst issue that the headline shows.
pub(super) const MAX_HEADLINE_CHARS: usize = 160;
/// Streams per page of the list. Each needs a query for its days.
pub(super) const STREAMS_PER_PAGE: usize = 50;
/// Number of days in the strip of each listed stream.
pub(super) const LISTED_DAYS: usize = 60;
/// Number of messages that are counted for the days of all listed streams. The messages of further
/// windows that cover several days are distributed evenly. Counting this many takes a tenth of a
/// second.
pub(super) const MAX_COUNTED_IN_LIST: u64 = 20_000;
/// The same for a stream's own page.
pub(super) const MAX_COUNTED_OF_STREAM: u64 = 200_000;
/// Number of hours in the charts of an account.
pub(super) const CHART_HOURS: usize = 48;
/// Number of days in the chart of messages.
pub(super) const CHART_DAYS: usize = 30;
/// Number of recent passes on the page.
pub(super) const MAX_PASSES: u64 = 12;
/// Maximum number of account cards. More would push the streams far down the page.
pub(super) const MAX_CARDS: usize = 24;
/// Maximum number of alarms among the issues; the rest is counted.
pub(super) const MAX_ALARMS: usize = 20;
/// Alarms that ended within this time are listed as incidents. The archive keeps them as long.
pub(super) const INCIDENT_PERIOD: Duration = ALARM_RETENTION;
/// Maximum number of incidents on the page; the rest is counted.
pub(super) const MAX_INCIDENTS: usize = 15;
/// Maximum number of different stream errors among the issues; the rest is counted.
pub(super) const MAX_FAILURES: usize = 8;
/// Maximum number of ledger rows on a stream's page.
pub(super) const MAX_LEDGER_ROWS: usize = 100;
/// Maximum number of missing ranges, and of lost ranges, on a stream's page.
pub(super) const MAX_RANGES: usize = 50;
/// Search texts are truncated after this number of characters.
pub(super) const MAX_SEARCH_CHARS: usize = 200;
/// Texts from outside are truncated after this number of characters, so that no text can make the
/// page long.
pub(super) const MAX_TEXT_CHARS: usize = 160;
