//! Every tunable of the proof, with its unit, its reason, and the effect of a change.

/// Maximum number of mismatches, and of damaged messages, that are listed. The rest is counted.
/// A larger value costs memory for a badly damaged archive.
pub(super) const MAX_LISTED: usize = 5000;

/// Maximum number of messages in memory at once. A smaller value costs more queries.
pub(super) const MAX_CHUNK_MESSAGES: u64 = 1000;

/// Maximum size in bytes of the messages in memory at once, estimated from the last chunk.
pub(super) const MAX_CHUNK_BYTES: u64 = 4 << 20;

/// The number of messages in the first chunk, before their size is known. It grows by the factor
/// of [`CHUNK_GROWTH`] per chunk.
pub(super) const FIRST_CHUNK_MESSAGES: u64 = 20;

/// Maximum growth of a chunk. A few large messages among many small ones can then exceed
/// [`MAX_CHUNK_BYTES`] by this factor at most.
pub(super) const CHUNK_GROWTH: u64 = 4;

/// The number of digests that are added in one transaction. A smaller value costs more
/// transactions.
pub(super) const DIGESTS_PER_WRITE: usize = 500;

/// The number of ledger rows of a stream that are read at once. They are held for every stream, so
/// a larger value costs memory with ten thousand streams.
pub(super) const ROWS_PER_STREAM: u64 = 8;

/// The number of ledger rows that are read at once for a manifest.
pub(super) const ROWS_PER_MANIFEST_READ: u64 = 1000;
