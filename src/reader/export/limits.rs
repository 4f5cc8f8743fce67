//! The tunables of exports, with their reasons and the consequence of a change.

/// Pages of messages that are read before they are written. More of them even out pauses of reading and
/// of writing, and cost memory.
pub(super) const PAGES_AHEAD: usize = 2;

/// The maximum number of incomplete ranges at the top of a transcript's index. The manifest has all.
pub(super) const MAX_RANGES_IN_INDEX: usize = 20;

/// Bytes of text in memory before they are written to the file. A smaller value costs system calls.
pub(super) const WRITE_BUFFER_BYTES: usize = 256 << 10;

/// Bytes written after which the manifest names the files that are finished. A smaller value writes
/// the manifest more often; a larger one repeats more after a crash.
pub(super) const MANIFEST_INTERVAL_BYTES: u64 = 64 << 20;

/// The maximum number of messages in a row group of a Parquet file. Readers skip row groups and read
/// several at once; smaller ones compress worse.
#[cfg(feature = "parquet")]
pub(super) const ROW_GROUP_MESSAGES: usize = 16 << 10;

/// The maximum bytes of texts and payloads in a row group, which is kept in memory.
#[cfg(feature = "parquet")]
pub(super) const ROW_GROUP_BYTES: usize = 2 << 20;

/// The level of the compression (zstd, 1 to 22). A higher one takes longer and saves a few percent.
#[cfg(feature = "parquet")]
pub(super) const COMPRESSION_LEVEL: i32 = 1;
