//! The providers: their limits, their faults, and what is never believed of them.

mod bounds;
mod clock_jumps;
mod faults;
mod host_pinning;
mod random_faults;
mod rate_limit;
mod refusals;
