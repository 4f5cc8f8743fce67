//! The limits and fixed intervals of the sandbox, with their reasons.

use std::time::Duration;

/// The time that a stopping sandbox waits for answers in flight. A longer time delays tests that
/// stop a sandbox with hanging answers.
pub(super) const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// Both contracts count requests over one second.
pub(super) const QUOTA_WINDOW: Duration = Duration::from_secs(1);

/// Agora's contract: "wait at least two seconds" after "in progress". A repeated request within
/// this time is a violation.
pub(super) const MIN_POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The maximum number of subjects per account whose answer was lost to a fault. Far more than are
/// ever in use; a larger value costs memory.
pub(super) const MAX_LOST_ANSWERS: usize = 10_000;

/// The maximum number of signatures per account kept to detect replays. Far more than can be made
/// while one is valid; a larger value costs memory.
pub(super) const MAX_SIGNATURES: usize = 50_000;

/// The maximum number of arrivals kept: 15 minutes of ten accounts at ten requests a second. A
/// larger value costs memory; older arrivals are dropped.
pub(super) const MAX_ARRIVALS: usize = 100_000;

/// The maximum number of further requests that are refused after a first random 401: a burst that
/// a client must survive.
pub(super) const MAX_BURST: u32 = 3;

/// The size of an oversized body: far above any limit that a client may reasonably have.
pub(super) const OVERSIZED_BYTES: usize = 200 << 20;

/// The size of the chunks of an oversized body. The body is never in memory as a whole.
pub(super) const CHUNK_BYTES: usize = 64 << 10;

/// The nesting depth of the JSON of [`super::fault::Fault::Deep`]: far above the recursion limit
/// of any JSON parser.
pub(super) const NESTING_DEPTH: usize = 100_000;

/// The interval between the bytes of a dripping body. It is far below usual read timeouts, so that
/// only a timeout for the whole request ends it.
pub(super) const DRIP_INTERVAL: Duration = Duration::from_millis(250);

/// The maximum number of events in a feed, as in Agora's contract. The oldest are dropped.
pub(super) const MAX_FEED_EVENTS: usize = 2000;

/// The maximum number of events in one answer, as in Agora's contract.
pub(super) const MAX_EVENTS_PER_READ: usize = 1000;

/// The maximum number of expired handles that are told apart from consumed ones. A larger value
/// costs memory.
pub(super) const MAX_EXPIRED: usize = 10_000;

/// The maximum difference in milliseconds between a request's timestamp and the provider's clock.
/// Requests beyond it are refused as stale.
pub(super) const MAX_TIMESTAMP_SKEW_MS: u64 = 5 * 60 * 1000;

/// The maximum payload size in bytes in Agora's contract.
pub(super) const MAX_PAYLOAD_BYTES: usize = 32 * 1024;

/// The number of messages in one crowded millisecond: more than two of the providers' largest
/// pages, so that paging must continue within a millisecond.
pub(super) const CROWDED_MESSAGES: usize = 250;

/// The page sizes that Agora's contract allows. The first is the default.
pub(super) const PAGE_SIZES: [usize; 3] = [20, 50, 100];
