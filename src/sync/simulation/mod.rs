//! Simulations of the planner in virtual time, for the benchmarks (`benches/`) and for tests.
//!
//! The order of the requests is the engine's own. The simulated provider answers at once, and its
//! requests are counted against a rate limit. Over the network a benchmark can measure only
//! minutes, while a retention is days.

mod expiring;
mod polling;

pub use expiring::saved_share;
pub use polling::{ArchiveAges, HOURS, PollOrder, STREAMS, measure_ages};

/// The requests per second of a project, by Agora's contract.
pub const REQUESTS_PER_SECOND: u32 = 10;
/// The messages on Agora's largest page.
pub const PAGE_MESSAGES: u32 = 100;
/// The requests of a full page: one that creates a handle, and one that reads it.
pub const REQUESTS_PER_PAGE: u32 = 2;
/// The maximum throughput of one project.
pub const MAX_MESSAGES_PER_SECOND: u32 = REQUESTS_PER_SECOND / REQUESTS_PER_PAGE * PAGE_MESSAGES;
