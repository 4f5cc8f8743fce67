//! The provider adapters: rate limits, faults, refusals, bounds and clocks.

mod bounds;
mod clock_jumps;
mod counts;
mod endless_heads;
mod faults;
mod host_pinning;
mod message_times;
mod odd_messages;
mod random_faults;
mod rate_limit;
mod refusals;
mod renamed_fields;
mod shared_quota;
