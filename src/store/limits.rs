//! Every tunable of the store, with its unit, its reason, and the effect of a change.

use std::time::Duration;

use crate::domain::time::{Day, Hour};

/// The time for which what expires after a stream was first followed is not lost, in seconds: its
/// first fetch is under way. A smaller value reports losses while the first fetch of many streams
/// goes on; a larger one hides losses of streams that cannot be fetched. The statements of reports
/// and the view `gaps` contain the same number.
pub(super) const FIRST_FETCH_GRACE_S: i64 = Hour::SECONDS;

/// Maximum number of messages in a ledger row that is extended by the next window. Short windows
/// are joined so that the ledger stays small. A larger value saves rows, but a doubt or a
/// difference found later concerns a longer range.
pub(super) const MAX_JOINED_MESSAGES: u64 = 1000;

/// The largest count of a provider that is recorded. The sum over millions of rows then fits into 64
/// bits. A smaller value may cut a true count.
pub(super) const MAX_PROVIDER_COUNT: u64 = 1_000_000_000_000;

/// The most blocks of other processes that a process waits for before its own. More of them come from
/// a clock that was set back. Less lets processes that share an account run into each other.
pub(super) const MAX_BLOCKS_AHEAD: u32 = 8;

/// A joined ledger row longer than this, in seconds, must fit into the provider's retention
/// twice. A row that is partly expired cannot be counted or fetched again. A larger value allows
/// longer rows at providers with a short retention.
pub(super) const UNCHECKED_ROW_S: u64 = Day::SECONDS.unsigned_abs();

/// A range is scanned if it holds at most this many messages for each one that is looked up.
/// Reading that many messages in order takes as long as looking up one. A larger value reads
/// more unrelated messages.
pub(super) const MAX_SCANNED_PER_LOOKUP: u64 = 3;

/// The number of a window's messages to look up before the method of writing is chosen, if the
/// window was not counted. A smaller value misjudges partly archived windows more often, which
/// costs time only. It must be at least 2.
pub(super) const SAMPLE_ROWS: usize = 4;

/// From this number of messages on, a window that seems new is inserted without a check. A
/// failure repeats the transaction, which does not pay for fewer messages.
pub(super) const MIN_ROWS_FOR_EXPECT_NEW: usize = 32;

/// Maximum number of attempts to insert a message into a free slot. Another commit may take the
/// slot each time; more than a few collisions in a row are a fault.
pub(super) const MAX_SLOT_ATTEMPTS: u32 = 16;

/// Maximum number of ids in each cache of the interner. Beyond it, the cache is cleared. An entry
/// takes about 100 bytes, so a larger value costs memory and a smaller one costs lookups.
pub(super) const MAX_CACHED: usize = 20_000;

/// The age at which rows of `run` are deleted: 90 days. They feed the charts and the forecast.
pub(super) const RUN_RETENTION: Duration = Duration::from_hours(2160);

/// The session that holds the account locks counts as cut if it does not answer within this time.
/// A smaller value gives up leases on a slow server; a larger one delays the notice of a cut.
pub(super) const LEASE_SESSION_TIMEOUT: Duration = Duration::from_secs(5);

/// The time for which a database may take to tell why no connection was free. A larger value delays
/// the error.
pub(super) const EXPLAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum length in bytes of a lock holder's name. The rest of a longer name is not shown.
pub(super) const MAX_HOLDER_BYTES: u64 = 400;

/// Maximum number of messages of a chunk, while all messages are verified or copied. A smaller
/// value costs more statements, and more transactions of a copy.
pub(super) const MAX_CHUNK_MESSAGES: u64 = 1000;

/// Maximum size in bytes of a chunk, estimated from the last one. A few chunks are in memory at
/// once.
pub(super) const MAX_CHUNK_BYTES: u64 = 4 << 20;

/// The number of messages in the first chunk, before their size is known. It grows by the factor
/// of [`CHUNK_GROWTH`] per chunk.
pub(super) const FIRST_CHUNK_MESSAGES: u64 = 20;

/// Maximum growth of a chunk. A few large messages among many small ones can then exceed
/// [`MAX_CHUNK_BYTES`] by this factor at most.
pub(super) const CHUNK_GROWTH: u64 = 4;

/// Maximum number of runs in memory and in one transaction while archives are copied. A smaller
/// value costs more transactions.
pub(super) const COPY_CHUNK_RUNS: u64 = 1000;

/// Maximum number of messages in a page that a reader gets. A smaller value costs more statements of
/// Postgres, a larger one memory.
pub(super) const READ_PAGE_MESSAGES: usize = 1000;

/// The bytes of payloads and other long values from which on a page gets no more messages. A larger
/// value costs memory if messages are long, a smaller one statements of Postgres.
pub(super) const READ_PAGE_BYTES: usize = 512 << 10;

/// Maximum number of streams whose coverage is looked up one by one. Of more, one pass over the
/// ledger finds the few that have breaks. A larger value costs more statements, a smaller one reads
/// ledger rows of other streams.
pub(super) const MAX_STREAMS_READ_SINGLY: usize = 16;

/// Maximum number of messages that one transaction adds to the search index. A smaller value makes
/// more and smaller parts of the index, which have to be merged; a larger one makes commits wait
/// longer.
pub(super) const INDEX_BATCH_MESSAGES: usize = 10_000;

/// Number of bytes of words from which on a transaction adds no more messages to the search index. A
/// larger value costs memory if messages are long.
pub(super) const INDEX_BATCH_BYTES: usize = 4 << 20;

/// Number of messages, and of ids, that are read at once for the search index. A larger value costs
/// memory if messages are long, a smaller one costs statements.
pub(super) const INDEX_CHUNK_MESSAGES: i64 = 500;

/// Limits of the queries of people.
pub(super) mod query {
    use std::ffi::c_int;
    use std::time::Duration;

    /// The number of steps of SQLite between two looks at an interrupt: about 10 ms apart at most. A
    /// smaller value slows queries down.
    pub(in crate::store) const OPERATIONS_PER_CHECK: c_int = 10_000;

    /// The size in bytes of the largest value and row that SQLite makes in a query. No message is as
    /// large; a larger limit lets a query that joins many into one fill the memory.
    pub(in crate::store) const MAX_VALUE_BYTES: i32 = 256 << 20;

    /// The time for a Postgres server to end a query that is cancelled. After it the connection is
    /// given up and the next query opens another.
    pub(in crate::store) const CANCEL_PATIENCE: Duration = Duration::from_secs(2);
}

/// Limits of SQLite archives.
pub(super) mod sqlite {
    use std::time::Duration;

    /// The time for which a statement waits for another process that is writing. A smaller value
    /// makes commits fail while a backup runs.
    pub(in crate::store) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

    /// The size of the write-ahead log in bytes from which on commits wait for readers, each up to
    /// [`BUSY_TIMEOUT`]. Usually the log is emptied at 64 MB; a reader that keeps a query open
    /// prevents it. A larger value costs disk space, a smaller one makes commits wait for ordinary
    /// reports.
    pub(in crate::store) const MAX_LOG_BYTES: u64 = 256 << 20;

    /// Maximum number of connections for reading. They never wait for the writer. A larger value
    /// costs memory for page caches.
    pub(in crate::store) const MAX_READERS: u32 = 3;
}

/// Limits of Postgres archives.
pub(super) mod postgres {
    use std::time::Duration;

    /// Maximum number of connections: up to three commits, and a few readers. A larger value
    /// takes more of the server's connections.
    pub(in crate::store) const MAX_CONNECTIONS: u32 = 6;

    /// The number of connections that the pool does not take: one for the session that holds the
    /// leases, and one for a command beside the service.
    pub(in crate::store) const CONNECTIONS_LEFT: u32 = 2;

    /// The time within which a connection has to answer to count as granted: a pooler keeps others
    /// waiting. A larger value delays the start behind a small pooler.
    pub(in crate::store) const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

    /// The time for which a caller waits for a connection. A restarting server is usually back
    /// within this time. A smaller value turns a restart into errors.
    pub(in crate::store) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

    /// A connection that was idle for longer is tested before it is used, which costs one round
    /// trip. A larger value finds cut connections later, by a failed statement.
    pub(in crate::store) const TRUSTED_IDLE: Duration = Duration::from_secs(1);

    /// The time for which the first connection of a process is tried again if the server has no
    /// more to give. A larger value delays the error.
    pub(in crate::store) const LIMIT_PATIENCE: Duration = Duration::from_secs(2);

    /// The time between these attempts.
    pub(in crate::store) const LIMIT_RETRY: Duration = Duration::from_millis(100);

    /// The time after which an idle connection is closed. A smaller value reconnects more often.
    pub(in crate::store) const IDLE_TIMEOUT: Duration = Duration::from_mins(5);

    /// Number of commits that run faster in parallel, measured on a local server. More of them
    /// wait for each other at the log.
    pub(in crate::store) const MAX_PARALLEL_COMMITS: usize = 3;
}
