//! Alarms: problems that an operator must know. Each is reported once when it begins and once when
//! it is over.
//!
//! The rules check passes, the archive and its history for problems. The board turns problems into
//! alarms, the records keep them in the archive, and the monitor runs all of it in the daemon and
//! posts notifications to the webhook. `docs/ALARMS.md` describes the alarms for operators.
//!
//! | question | file |
//! |---|---|
//! | when is something a problem? | [`rules`], one file per rule |
//! | when does a problem become an alarm, and when does the alarm end? | `board.rs` |
//! | which delays and thresholds apply? | `limits.rs`; the delay of a kind: [`AlarmKind::start_delay`] |
//! | where are alarms kept, and what survives a restart? | `records.rs` |
//! | when do checks run? | `monitor.rs` |
//! | what is posted to the webhook, and what if it fails? | `webhook.rs`; retries: `monitor.rs` |
//! | which kinds of alarms are there? | [`crate::domain::alarm`] |
//! | where do alarms appear? | log: `text.rs`; `backscroll status`: `cli/alarms.rs`; page: `daemon/web/page/model/issues.rs` |
//!
//! To add an alarm: add a kind to [`AlarmKind`], check for it in a rule, apply the result in
//! `monitor.rs`, and describe it in `docs/ALARMS.md`.
//!
//! [`AlarmKind`]: crate::domain::alarm::AlarmKind
//! [`AlarmKind::start_delay`]: crate::domain::alarm::AlarmKind::start_delay

mod board;
pub mod check;
pub mod limits;
mod monitor;
mod records;
pub mod rules;
pub mod text;
mod webhook;

pub use monitor::{AlarmMonitor, CheckScope};
pub use webhook::WebhookError;
