//! The commands: output, plans, refusals and the drill.

mod benchmarks;
mod commands;
mod configuration;
mod demo;
mod drill;
mod hostile_searches;
mod identity;
mod init;
mod mistakes;
mod plan;
mod sanitizer;
mod search;
mod secrets;
mod snapshots;
mod sql;
mod terminal;
