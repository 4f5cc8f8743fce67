//! Sealed history that is fetched again: suspect windows (`doubts.rs`), rows whose count differs
//! from the provider's (`reconcile.rs`, `bisect.rs`), messages whose status may have changed
//! (`refresh.rs`), and windows that do not match their claim (`repair.rs`).
//!
//! The first three make lists of ranges for a pass. A repair refetches by itself, since it must
//! judge what the archive holds against the provider's answer. A requeue parses quarantined
//! messages again and fetches nothing ([`requeue`]).

mod bisect;
pub(super) mod compare;
pub(super) mod doubts;
mod evidence;
mod range;
pub(super) mod reconcile;
mod refetched_window;
pub(super) mod refresh;
pub(super) mod repair;
pub(super) mod repair_report;
pub mod requeue;
mod run_part;
