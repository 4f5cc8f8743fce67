//! Backscroll as people meet it: the command, the wire, the views. One folder a part of
//! the program; `support` holds what they share.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod cli;
mod daemon;
mod endurance;
mod engine;
mod layers;
mod provider;
mod reliability_doc;
mod store;
mod support;
mod vocabulary;
