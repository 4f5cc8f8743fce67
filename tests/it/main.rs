//! Tests of Backscroll from outside: the command, the wire, the views. Each folder tests one part
//! of the program; `support` has the helpers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "../../benches/bench/mod.rs"]
mod bench;
mod cli;
mod daemon;
mod endurance;
mod engine;
mod export;
mod layers;
mod provider;
mod reliability_doc;
mod store;
mod support;
mod vocabulary;
