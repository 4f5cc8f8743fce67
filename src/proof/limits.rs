//! Every tunable of the proof, with its unit, its reason, and the effect of a change.

/// Maximum number of mismatches, and of damaged messages, that are listed. The rest is counted.
/// A larger value costs memory for a badly damaged archive.
pub(super) const MAX_LISTED: usize = 5000;

/// The number of digests that are added in one transaction. A smaller value costs more
/// transactions.
pub(super) const DIGESTS_PER_WRITE: usize = 500;

/// The number of ledger rows of a stream that are read at once. They are held for every stream, so
/// a larger value costs memory with ten thousand streams.
pub(super) const ROWS_PER_STREAM: u64 = 8;

/// The number of ledger rows that are read at once for a manifest.
pub(super) const ROWS_PER_MANIFEST_READ: u64 = 1000;
