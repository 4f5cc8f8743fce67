//! Alarms.

mod board;
pub mod check;
mod log;
mod monitor;
mod records;
pub mod rules;
mod webhook;

pub use monitor::AlarmMonitor;
pub use webhook::WebhookError;
