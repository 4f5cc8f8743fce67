//! Every tunable of the engine, with its unit, its reason and the consequence of a change.

use std::time::Duration;

// Windows in flight.

/// Concurrent windows of an account without a rate limit. With a rate limit, a further window
/// starts whenever the limiter has a spare slot. More windows hide more latency and take more
/// memory.
pub(super) const UNLIMITED_IN_FLIGHT: usize = 8;
/// Upper bound on the concurrent windows of an account with a rate limit, however slow the
/// answers are. It bounds the tasks; [`SHARED_BYTES`] bounds the memory.
pub(super) const MAX_IN_FLIGHT: usize = 32;
/// Payload bytes per window. Where messages are large, windows hold fewer of them. A larger value
/// saves requests and ledger rows, and costs memory and repeated work after a crash.
pub(super) const WINDOW_PAYLOAD_BYTES: u64 = 4 << 20;
/// A ledger row is refetched as one window up to this multiple of the usual size. It was one
/// window before, or several that were joined; a smaller value would split it again needlessly.
pub(super) const REFETCH_SIZE_FACTOR: u64 = 2;

/// Bytes of content that a window holds at most before the rest of it is read as another part. Twice
/// the usual size, since a window may be as large; a larger value multiplies with the windows in
/// flight where messages suddenly become large.
pub(super) const READ_ROOM_BYTES: u64 = 2 * WINDOW_PAYLOAD_BYTES;
/// A window of more than this multiple of the usual size is read in parts. Providers split windows
/// before that, unless all their messages lie in one second. It is the size up to which a row is
/// refetched as one window; a larger value takes more memory for many messages of one second.
pub(super) const READ_ROOM_WINDOWS: u64 = REFETCH_SIZE_FACTOR;
/// Messages that one pass reads of a window in parts, after which the window is suspended and
/// reported. More lets a stream without an end use up more requests in each pass.
pub(super) const MAX_PARTED_MESSAGES: u64 = 250_000;
/// Time for which one pass reads a window in parts, after which the window is suspended and reported
/// in the same way. It is half of [`MAX_PASS`]: a pass that ends first reports nothing.
pub(super) const MAX_PARTED_DURATION: Duration = Duration::from_mins(5);
/// Windows of which parts were read and whose position is remembered. Of others the archive tells
/// it, at the cost of some queries.
pub(super) const MAX_PARTIAL_WINDOWS: usize = 64;
/// The times that a window in parts is begun anew in a pass because its position has shifted.
pub(super) const MAX_RESTARTS: u32 = 2;
/// Steps in which the archive is asked how far a window was read. More hold fewer messages in memory
/// at once.
pub(super) const RESUME_STEPS: i64 = 32;

// Memory of the messages in flight.

/// Windows that each account may always hold in memory: one that is being completed and the next.
/// With fewer, one account waits for the memory of another.
pub(super) const OWN_WINDOWS: usize = 2;
/// Approximate bytes of further messages in flight, over all accounts: being fetched, waiting for
/// a commit, or being committed. It sets most of the engine's memory use.
pub(super) const SHARED_BYTES: u64 = 8 << 20;
/// Approximate bytes of a message in memory besides its payload.
pub(super) const MESSAGE_OVERHEAD_BYTES: u64 = 500;
/// Bytes per permit of the memory budget. It only keeps the number of permits within 32 bits.
pub(super) const PERMIT_BYTES: u64 = 1 << 10;

// Duration of a pass.

/// After this time a pass starts no more windows, so that other purposes of the account get their
/// turn. A longer pass delays reconcile and refresh; a shorter one plans more often.
pub(super) const MAX_PASS: Duration = Duration::from_mins(10);
/// The same for a pass that refetches, and for one that has discovered streams: those are followed
/// from the next pass on.
pub(super) const MAX_SHORT_PASS: Duration = Duration::from_mins(1);
/// Interval at which a pass saves its frontier. A longer one shows an older state to readers of
/// the archive.
pub(super) const FRONTIER_SAVE_INTERVAL: Duration = Duration::from_mins(1);
/// Time that windows in flight have after the stop signal before they are dropped. The next pass
/// fetches them again. It applies to commands in the foreground; the daemon aborts earlier
/// (`WINDOW_GRACE` in `daemon/limits.rs`). A longer one delays the end of a command.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(5);

// Pauses. Those of the provider stand in `provider::limits`.

/// Pause after the provider refused the credentials. A shorter one asks more often with
/// credentials that were revoked, which providers may punish; a longer one notices new
/// credentials later.
pub(super) const REFUSED_CREDENTIALS_PAUSE: Duration = Duration::from_mins(15);

// The provider's clock.

/// Interval at which a first `Date` in doubt is asked for again. A shorter one costs requests; a
/// longer one delays the first pass.
pub(super) const CLOCK_POLL: Duration = Duration::from_secs(2);
/// After this time without a `Date` that can be believed, the pass ends. A longer one holds up
/// nothing but the account.
pub(super) const MAX_CLOCK_DOUBT: Duration = Duration::from_secs(30);

// Retention and the settle age.

/// Ranges that expire within this fraction (1/n) of the retention are fetched first. A smaller
/// number rescues earlier and lets the live tail wait longer.
pub(super) const EXPIRING_SHARE: u32 = 8;
/// Messages are treated as expired this long before the provider drops them: a request must be
/// answered before that, or the pages of a window never add up. At most [`EXPIRING_SHARE`] of the
/// retention. A larger value gives up history that could be fetched.
pub(super) const RETENTION_MARGIN: Duration = Duration::from_secs(7);
/// A range may overlap the retention edge by up to this many seconds; it is fetched anyway. The
/// edge moves while a request is under way, so that a smaller value would drop or leave unsealed
/// what was fetched in full.
pub(super) const HORIZON_TOLERANCE_S: i64 = 5;
/// Uncertainty of the provider's clock, in seconds: its `Date` header has a resolution of one
/// second. The saved frontier stays this far behind, so that it does not move back by it.
pub(super) const CLOCK_UNCERTAINTY_S: i64 = 2;
/// Number of stragglers after which the settle age is doubled. Fewer could be an accident.
pub(super) const STRAGGLERS_TO_WIDEN: u64 = 3;
/// The settle age may grow to at most this multiple of its configured value. Unsettled ranges are
/// refetched on every pass, so that a larger value costs requests; messages that are later than
/// that are found by reconcile.
pub(super) const MAX_SETTLE_FACTOR: u32 = 8;
/// A late message counts as a straggler only if it was sent within this many settle ages before
/// its window was sealed: only those could have been caught by a longer settle age.
pub(super) const LATE_WITHIN_SETTLES: u32 = 8;

// Order of work.

/// Approximate cost of a tail poll, in requests: a count or a query, and a read.
pub(super) const POLL_COST: f64 = 2.0;
/// Upper bound on the credit, in requests, that tail polls can accumulate while no tail is due.
/// Without a bound they would hold up backfill for as long afterwards.
pub(super) const MAX_TAIL_CREDIT: f64 = 100.0;
/// Minimum share of requests for tail polls while expiring history is being rescued. That can take
/// days; with 0 no tail would be polled in all that time.
pub(super) const MIN_TAIL_SHARE: f64 = 0.02;
/// The lead over the horizon is the duration of the last overtaken job times this factor: the next
/// may take longer.
pub(super) const LEAD_FACTOR: f64 = 1.5;
/// The lead shrinks by this factor with every job that the horizon does not overtake.
pub(super) const LEAD_DECAY: f64 = 0.95;

// Tail polls.

/// Messages that a stream is assumed to have brought before anything is known of it …
pub(super) const PRIOR_MESSAGES: f64 = 0.1;
/// … within this many seconds.
pub(super) const PRIOR_S: f64 = 60.0;
/// Weight of earlier polls in the arrival rate after one more poll. A smaller value adapts faster
/// and is noisier.
pub(super) const ARRIVAL_DECAY: f64 = 0.7;
/// Above this share of polls that found something, a tail is read without counting first: counting
/// and reading cost 3 requests, reading alone 2.
pub(super) const BUSY_HIT_SHARE: f64 = 0.5;
/// While a pass has other work, a tail is polled again after this many seconds …
pub(super) const REPOLL_S: i64 = 60;
/// … or after this many, if a message is expected by then. Smaller values make new messages appear
/// sooner and slow down backfill.
pub(super) const MIN_REPOLL_S: i64 = 10;
/// A peek overlaps the poll before it by this many seconds: a message that the provider shows a
/// little late then need not wait for the next poll that seals.
pub(super) const PEEK_OVERLAP_S: i64 = 5;

/// A window is in doubt if at least this many of its messages cannot be read, and these are most of
/// it. A smaller number would doubt quiet windows for the odd message.
pub(super) const MIN_UNREADABLE_FOR_DOUBT: usize = 10;

// Reconcile, refresh, repair, requeue.

/// After this time a pass compares no more streams; their turn comes in the next pass.
pub(super) const MAX_COMPARE: Duration = Duration::from_secs(30);
/// Streams that are compared concurrently: enough that latency leaves no slot of the rate limit
/// unused.
pub(super) const PARALLEL_COMPARISONS: usize = 8;
/// History that expires within this many seconds is not compared: its counts change while they
/// are taken.
pub(super) const UNSTABLE_EDGE_S: i64 = 300;
/// A range with at most this many messages is refetched instead of being bisected further: more
/// counts would cost more than the read.
pub(super) const MAX_REFETCH_MESSAGES: u64 = 150;
/// Cuts of one run of ledger rows, each with a count. No real difference needs as many; it ends the
/// search in counts that contradict each other.
pub(super) const MAX_CUTS: usize = 1000;
/// Messages of a window that is fetched again for a repair, at most. It bounds memory.
pub(super) const MAX_REPAIRED_MESSAGES: u64 = 200_000;
/// The same in bytes of content.
pub(super) const MAX_REPAIRED_BYTES: u64 = 128 << 20;
/// Groups of unread messages that a refresh considers (one per minute and conversation).
pub(super) const MAX_UNREAD_MINUTES: u64 = 10_000;
/// Ledger rows that a refresh refetches: more than a pass has time for.
pub(super) const MAX_REFRESHED_ROWS: usize = 1000;
/// A message is refreshed again when its age has grown by about this fraction (1/n). A larger
/// number sees a changed status sooner and costs requests.
pub(super) const REFRESH_AGE_FRACTION: i64 = 16;
/// Window size, in messages, that a survey never reaches: a window that was sealed as one is
/// repaired as one.
pub(super) const UNSPLIT: u64 = 1 << 40;
/// Quarantined messages that a requeue reads at once. It bounds memory.
pub(super) const QUARANTINE_PAGE: u64 = 200;
/// Messages that the provider does not show and that are tried one by one as forgeries. Each costs
/// one digest over the window.
pub(super) const MAX_TRIED_ONE_BY_ONE: usize = 100;

// Discovery.

/// Time limit for reading all directories, as long as the pass beside which they are read.
pub(super) const MAX_LISTING: Duration = MAX_SHORT_PASS;
/// Requests for one directory that is read in parts.
pub(super) const MAX_DIRECTORY_REQUESTS: u32 = 16;
/// Discovered streams that are held before they are followed. It bounds memory; others are found
/// again.
pub(super) const MAX_PENDING_STREAMS: usize = 100_000;
/// Discovered streams that are logged by name at a time.
pub(super) const MAX_LOGGED_STREAMS: usize = 20;

// Progress, preview, forecast.

/// A pass younger than this does not tell its request rate yet.
pub(super) const MIN_RATE_SAMPLE: Duration = Duration::from_secs(5);
/// Longest wait for the archive without progress that is not taken for a stall: a large archive
/// that is read from end to end, or a commit behind a slow disk.
pub(super) const MAX_ARCHIVE_WAIT: Duration = Duration::from_mins(3);
/// Ranges that a preview counts concurrently: enough that latency leaves no slot of the rate limit
/// unused.
pub(super) const PARALLEL_COUNTS: usize = 8;
/// A preview of an account that another process syncs takes one in this many of its requests.
pub(super) const SHARE_BESIDE_DAEMON: u64 = 5;
/// Period over which an account's request rate is measured.
pub(super) const RATE_PERIOD: Duration = Duration::from_hours(1);
/// Shorter passes are left out of the rate: the quota was not what limited them.
pub(super) const MIN_RATED_PASS: Duration = Duration::from_secs(10);
