//! Every tunable of this room, with its unit, its reason and the consequence of a change.
//!
//! Facts of the providers' contracts (page sizes, documented waits) stand here too, marked as such.

use std::time::Duration;

use crate::domain::retry::Backoff;

/// The longest pause that a waiting request sits out. A longer one fails the requests that wait,
/// ends the pass, and is recorded in the archive for later processes. A larger value keeps passes
/// hanging; a smaller one ends passes for penalties that are nearly over.
pub const MAX_SHORT_PAUSE: Duration = Duration::from_secs(10);

/// The pause after an account changed hands (another process, another configuration). The provider
/// counts requests per second, so what the last holder sent within a second still uses up the
/// quota. Less risks a 429.
pub(super) const HANDOVER_PAUSE: Duration = Duration::from_secs(1);

/// The default time limit from a request to the last byte of its answer. No other limit is needed:
/// an answer that hangs and one that trickles end alike. Less breaks off slow pages; more keeps a
/// dead connection longer.
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The time limit for a TCP and TLS connection. It is shorter than a request's, so that a dead host
/// is noticed early.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest body that is read, in bytes. A page of Agora's holds at most 100 messages of 32 KiB,
/// and JSON may write each byte as six (`\u00XX`): 20 MB. Less would refuse a legal page.
pub(super) const MAX_BODY_BYTES: usize = 24 << 20;

/// The most items of one answer, ten times the largest page. A page with more is a broken answer:
/// a body of the largest size may hold millions, and each would take a hundred times its own size
/// in memory. Less would refuse a provider that serves a few more than asked for.
pub(super) const MAX_ITEMS_PER_ANSWER: usize = 1000;

/// The most names that are taken from one answer of a list or of a feed of events. It bounds
/// memory; a longer list needs more than one answer.
pub(super) const MAX_NAMES_PER_ANSWER: usize = 100_000;

/// The largest number of messages that a provider is believed to have in one stream. A larger count
/// says nothing: pages are read until an empty one. More would plan for numbers that no archive
/// can hold.
pub(super) const MAX_COUNT: u64 = 1_000_000_000;

/// Bodies larger than this, in bytes, are read and parsed one at a time. It bounds memory for any number of
/// requests in flight; less slows down ordinary pages, more multiplies with the pages in flight.
pub(super) const MAX_CONCURRENT_BODY_BYTES: usize = 256 << 10;

/// The longest `Retry-After` that is obeyed. A provider that asks for more is asked again after an
/// hour.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// The pause after a 429 without `Retry-After`; it grows while the 429s go on. Less may prolong the
/// provider's penalty; more wastes quota after a single 429.
pub(super) const THROTTLE_BACKOFF: Backoff = Backoff {
    initial: Duration::from_secs(2),
    max: Duration::from_mins(1),
    max_attempts: u32::MAX,
};

/// The attempts of one request against network errors, 408, 429 and 5xx. Their waits add up to at
/// most 16 seconds. More attempts outlast longer outages, but delay the account's other streams.
pub(super) const REQUEST_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(500),
    max: Duration::from_secs(20),
    max_attempts: 6,
};

/// The attempts of an operation whose answer was garbled. Their waits add up to at most 4 seconds.
/// Each attempt may be several requests and costs quota, so there are fewer than of one request.
pub(super) const ANSWER_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(500),
    max: Duration::from_secs(5),
    max_attempts: 4,
};

/// An outage is over once no request has failed for this long: during one, some requests may well
/// succeed. Less logs the beginning and the end of one outage many times.
pub(super) const RECOVERY_PERIOD: Duration = Duration::from_secs(10);

/// Rates above this, in requests a second, are treated as no limit of a real provider: they need no
/// pause at start, and are not shared between processes.
pub(super) const MAX_PROVIDER_RATE: f64 = 1000.0;

/// The time over which the measured request rate is averaged: half the weight lies within the last
/// forty seconds. Less makes the displayed quota use jump; more delays it.
pub(super) const RATE_WINDOW: Duration = Duration::from_mins(1);

/// The rate limiter: see `rate_limiter.rs`.
pub(super) mod rate {
    use std::time::Duration;

    /// The share by which our second is longer than the provider's. The network may move two
    /// requests closer together; without a margin the provider would count both into one second. A
    /// larger share wastes quota.
    pub(in crate::provider) const PERIOD_MARGIN: f64 = 0.015;
    /// Upper bound on the timer's lateness that is compensated. More would say nothing about the
    /// next requests.
    pub(in crate::provider) const MAX_TIMER_LATENESS: Duration = Duration::from_millis(250);
    /// Decay per request of the observed timer lateness. Requests may reach the provider this much
    /// late, so the spacing grows by it; a slower decay keeps a once busy machine slow for longer.
    pub(in crate::provider) const LATENESS_DECAY: f64 = 0.99;
    /// The distance between the requests of two processes, beyond that of two requests. It covers what
    /// the last request of one is late. Less risks a 429; more wastes quota while they take turns.
    pub(in crate::provider) const PROCESS_DISTANCE: Duration = Duration::from_millis(500);
    /// The longest wait for the archive to reserve a block of time. Then the requests go on without
    /// it: an archive that fails is reported elsewhere, and must not look like a slow provider.
    pub(in crate::provider) const MAX_RESERVATION_TIME: Duration = Duration::from_secs(5);
    /// The longest sleep of a waiting request before it checks again for a pause or for a request
    /// that goes first.
    pub(in crate::provider) const RECHECK_INTERVAL: Duration = Duration::from_secs(1);
    /// The time for which a spare slot is reserved for the caller that it was offered to. Less
    /// offers one slot to several callers; more leaves slots unused when the caller sends nothing.
    pub(in crate::provider) const SLOT_RESERVATION: Duration = Duration::from_millis(50);
    /// The shortest wait that the timer can do. Above 1000 requests a second only the period limits
    /// the rate.
    pub(in crate::provider) const TIMER_RESOLUTION: Duration = Duration::from_millis(1);
}

/// The provider's clock: see `clock.rs`.
pub(super) mod clock {
    use std::time::Duration;

    /// The time for which a forward jump must last that this machine's clock does not confirm.
    /// Windows that are sealed too early are not read again, so a single wrong `Date` must not
    /// count; more delays a genuine correction.
    pub(in crate::provider) const MIN_JUMP_DURATION: Duration = Duration::from_mins(1);
    /// The time for which a first `Date` must last that this machine's clock contradicts. It is
    /// asked for again meanwhile. Less believes a node that corrects its clock while it starts; more
    /// delays the first pass on a machine whose own clock is wrong.
    pub(in crate::provider) const MIN_FIRST_DATE_DURATION: Duration = Duration::from_secs(10);
    /// The least difference from this machine's clock at which a first `Date` is doubted. Above it,
    /// the account's settle age decides: a smaller error seals nothing too early.
    pub(in crate::provider) const MIN_FIRST_DATE_TOLERANCE: Duration = Duration::from_secs(2);
    /// The most that unique timestamps may run ahead of the clock, in milliseconds. No account
    /// sends more requests than that; a larger lead comes from a clock that was corrected since,
    /// and is dropped.
    pub(in crate::provider) const MAX_TIMESTAMP_LEAD_MS: i64 = 10_000;
}

/// Agora: see `agora/`.
pub(super) mod agora {
    use std::time::Duration;

    /// Target size of a window, in messages. Each window costs a count and a half empty last page;
    /// at this size both together are less than one request in twenty. More is a greater loss when
    /// a window is read again.
    pub const MESSAGES_PER_WINDOW: u64 = 4000;
    /// Requests per page: a POST and a GET (contract).
    pub(in crate::provider) const REQUESTS_PER_PAGE: u64 = 2;
    /// The largest page, in messages (contract: 20, 50 or 100).
    pub(in crate::provider) const PAGE_SIZE: u64 = 100;
    /// The smallest page, in messages, for finding the first message of a range.
    pub(in crate::provider) const MIN_PAGE_SIZE: u64 = 20;
    /// Pieces that a range is split into at once; each is counted and may be split again. It bounds
    /// the plan, whatever the provider counts. Less costs more counts.
    pub(in crate::provider) const MAX_PIECES: u64 = 256;
    /// A range of more windows than this is split only if the last message of its count is there.
    /// That costs two requests; more would follow a false count further.
    pub(in crate::provider) const MAX_UNCHECKED_WINDOWS: u64 = 16;
    /// Pages of one window in flight at once. More shortens a window only while the rate limit
    /// allows it, and costs memory.
    pub(in crate::provider) const MAX_CONCURRENT_PAGES: usize = 24;
    /// The wait after "in progress": "Please wait at least two seconds to send a second GET
    /// request" (contract), and a little for the network.
    pub(in crate::provider) const IN_PROGRESS_WAIT: Duration = Duration::from_millis(2050);
    /// Requests for one handle or count before it is given up. With the wait above that is 40
    /// seconds.
    pub(in crate::provider) const MAX_POLLS: u32 = 20;
    /// Attempts per page when its handle expires unread, and per window when its pages do not match
    /// its count.
    pub(in crate::provider) const MAX_READ_ATTEMPTS: u32 = 4;
    /// Answers to one page of which two must agree, if the page may be the answer to another request.
    /// More cost requests where a history changes all the time; fewer leave more windows in doubt.
    pub(in crate::provider) const MAX_ANSWERS_PER_PAGE: usize = 3;
    /// The margin that is queried beyond a window at both ends, since the contract promises neither
    /// inclusive nor exclusive bounds. Less than a second could miss messages on the bounds.
    pub(in crate::provider) const QUERY_MARGIN: Duration = Duration::from_secs(1);
    /// A message that expires within this many seconds is not relied on: an answer takes a while.
    pub(in crate::provider) const EXPIRY_LEAD_S: i64 = 3;
    /// Ranges this near to the retention edge may lose messages while they are read, so they are
    /// read from the newest message on. More reads ranges backwards that need not be.
    pub(in crate::provider) const NEAR_EXPIRY: Duration = Duration::from_mins(15);
    /// Attempts to find out what the bounds of a count mean. If messages are few, nothing can be
    /// learned, and each attempt costs requests.
    pub(in crate::provider) const MAX_BOUND_PROBES: u32 = 8;
    /// The most events in one answer (contract): an answer with that many is not the last.
    pub(in crate::provider) const MAX_EVENTS_PER_ANSWER: usize = 1000;
    /// The interval at which event feeds are read: every pass of the default schedule. A feed keeps
    /// two answers' worth and drops its oldest, so more than thirty events a second are lost at
    /// this interval.
    pub(in crate::provider) const FEED_POLL_INTERVAL: Duration = Duration::from_secs(30);

    /// The wait between making a handle and reading it: see `agora/readiness.rs`.
    pub(in crate::provider) mod readiness {
        use std::time::Duration;

        /// The first wait, before any measurement.
        pub(in crate::provider) const FIRST_GUESS: Duration = Duration::from_millis(400);
        /// The shortest wait.
        pub(in crate::provider) const MIN_WAIT: Duration = Duration::from_millis(5);
        /// The longest wait.
        pub(in crate::provider) const MAX_WAIT: Duration = Duration::from_secs(20);
        /// Growth of the wait after a read that came too early.
        pub(in crate::provider) const EARLY_GROWTH: f64 = 1.4;
        /// Growth of the wait while no read has come in time yet.
        pub(in crate::provider) const UNMEASURED_GROWTH: f64 = 2.0;
        /// Decay of the wait after a read that came in time. It is small, so that early reads stay
        /// rare: each costs a request and two seconds.
        pub(in crate::provider) const IN_TIME_DECAY: f64 = 0.999;
        /// The share of the wait that a probe tries, while no read has come too early.
        pub(in crate::provider) const PROBE_FRACTION: f64 = 0.5;
    }
}

/// Web3MQ: see `web3mq/`.
pub(super) mod web3mq {
    use std::time::Duration;

    /// Target size of a window, in messages. A page costs the same in any window, and late messages
    /// are found by reading one window again, so it is small. Less adds ledger rows.
    pub(in crate::provider) const MESSAGES_PER_WINDOW: u64 = 1500;
    /// Pages of one window in flight at once. More costs memory and shortens a window only within
    /// the rate limit.
    pub(in crate::provider) const MAX_CONCURRENT_PAGES: usize = 16;
    /// Bytes of content of the pages of one window in flight at once, where messages are large. It
    /// bounds memory.
    pub(in crate::provider) const READ_BYTES: u64 = 8 << 20;
    /// The most pages that a topic without a believable total is counted to: a hundred million
    /// messages in pages of 100. A topic whose pages never end is given up there.
    pub(in crate::provider) const MAX_COUNTED_PAGES: u64 = 1 << 20;
    /// The time for which a topic's totals are not believed after an empty page has contradicted
    /// one. The messages are counted by pages meanwhile, which costs some twenty requests each time.
    pub(in crate::provider) const DISTRUST_LIFETIME: Duration = Duration::from_hours(1);
    /// Pages that one search for a time may read. No search needs as many; it ends those in
    /// inconsistent histories.
    pub(in crate::provider) const MAX_PROBES: u32 = 64;
    /// Rounds of fetching the pages that new messages have pushed on. A chat needs few.
    pub(in crate::provider) const MAX_CATCH_UP_ROUNDS: u32 = 4;
    /// Attempts to read a window before its doubt is recorded.
    pub(in crate::provider) const MAX_READ_ATTEMPTS: u32 = 4;
    /// Pages without any time that can be read, after which a topic counts as undated. More cost
    /// requests each time that the topic is polled.
    pub(in crate::provider) const MAX_UNDATED_PROBES: u32 = 8;
    /// Messages that are kept raw of a topic in which no time can be read. All its windows hold the
    /// same ones, so that more cost requests and little else.
    pub(in crate::provider) const MAX_UNDATED_MESSAGES: u64 = 1000;
    /// Pieces that a range is split into at once: each split point costs one page.
    pub(in crate::provider) const MAX_PIECES: u64 = 16;
    /// A range that ends this long ago or later, and later than all others, reaches up to the
    /// present: a pass plans its ranges at its beginning. Less could leave messages of senders whose
    /// clock is ahead to a later pass; more reads messages behind the end of a bounded range.
    pub(in crate::provider) const PRESENT: Duration = Duration::from_mins(15);
    /// The years up to which messages from the future are archived at once, in seconds. No time
    /// that can be archived is later.
    pub(in crate::provider) const FUTURE_S: u64 = 10_000 * 366 * 86_400;
    /// Pages that are searched for the last message that was read by arrival, from the newest back.
    /// More may save reading the topic again; fewer cost less where the message was removed.
    pub(in crate::provider) const MAX_SEARCHED_PAGES: usize = 16;
    /// Unread messages that are counted one by one. More are certainly a difference.
    pub(in crate::provider) const MAX_COUNTED_UNREAD: u64 = 1000;
    /// The time for which known positions are relied upon. More saves requests, but keeps an
    /// undetected shift longer.
    pub(in crate::provider) const POSITIONS_LIFETIME: Duration = Duration::from_mins(10);
    /// The same for totals, which are to show what has arrived since.
    pub(in crate::provider) const TOTAL_LIFETIME: Duration = Duration::from_secs(5);
    /// Positions kept per topic. Beyond it the record starts anew, which costs a few pages.
    pub(in crate::provider) const MAX_MARKS: usize = 4096;
    /// The interval at which the lists of chats are read: they change rarely, and a long one costs
    /// many requests.
    pub(in crate::provider) const LIST_POLL_INTERVAL: Duration = Duration::from_mins(10);
    /// Pages of one list. No real list is as long; it ends lists that never do.
    pub(in crate::provider) const MAX_LIST_PAGES: u64 = 1000;
}
