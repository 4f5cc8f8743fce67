//! Proof that the archive still holds the messages that its ledger claims.
//!
//! Every message is compared with its own hash, and the messages of every ledger row with the
//! row's count and digest (see [`crate::domain::digest`]). The archive is read once in the order of
//! time, with one ledger row of each stream in hand. Messages outside of every sealed window are no
//! fault. A [`manifest`] carries the same claims out of the archive, signed, so that a ledger that
//! was changed together with its messages is found as well.
//!
//! The rows and the messages are not read at the same instant. Another process that writes
//! meanwhile can make them differ, so every mismatch is checked once more before it is reported.
//!
//! | question | file |
//! |---|---|
//! | the steps of a verification | `verify.rs` |
//! | how is a message assigned to the claims it belongs to | `reading.rs`, `index.rs` |
//! | the claims of a stream in the order of time | `queue.rs` |
//! | claims, and their comparison with the archive | `claim.rs` |
//! | what is reported, and how it reads | `report.rs` |
//! | the file format, signatures | `manifest/` |
//! | tunables | `limits.rs` |

mod claim;
mod index;
mod limits;
pub mod manifest;
mod queue;
mod reading;
mod report;
mod verify;

pub use claim::{Claim, ClaimedStream, MeasuredWindow};
pub use report::{DamagedMessage, Findings, MISFILED_FAULT, Mismatch, VerifyReport};
pub use verify::{VerifyOptions, verify};
