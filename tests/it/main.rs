//! Backscroll as people meet it: the command, the wire, the views. One module a topic; [`bed`] is what they share.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod again;
mod alarms;
mod bed;
mod bounds;
mod browser;
mod chance;
mod changing;
mod cluster;
mod command;
mod cookbook;
mod corpus;
mod daemon;
mod day;
mod discovery;
mod drill;
mod faults;
mod forecast;
mod growing;
mod hosts;
mod kill;
mod late;
mod leaps;
mod logs;
mod metrics;
mod middleman;
mod model;
mod page;
mod plan;
mod plans;
mod postgres;
mod proof;
mod quota;
mod refusals;
mod room;
mod secrets;
mod service;
mod shapes;
mod store;
mod tls;
mod truth;
mod two;
mod upgrade;
mod visit;
mod web;
