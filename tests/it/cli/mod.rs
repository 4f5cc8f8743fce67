//! The commands: output, plans, refusals and the drill.

mod benchmarks;
mod commands;
mod drill;
mod plan;
mod sanitizer;
mod secrets;
mod snapshots;
