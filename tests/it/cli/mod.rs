//! The commands: what they print, plan and refuse.

mod commands;
mod drill;
mod plan;
mod secrets;
