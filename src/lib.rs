//! Backscroll keeps your chat history: a daemon that walks through the message history of Agora RTM and Web3MQ, which
//! keep it only for a while, and lays every message down in a SQL database of your own.
//!
//! # Words
//!
//! An **account** is one set of credentials at one provider, with its own request budget. A **stream** is one series
//! that can be asked for: an Agora filter, a Web3MQ topic. Streams overlap; **conversations**, where a message belongs
//! for a reader, do not. A **window** is a half-open time range of one stream, on whole seconds: the unit of planning,
//! fetching, retrying, of the transaction and of the ledger. A window is **sealed** once all of its messages and its
//! ledger row were committed in one transaction and its end is older than **settle**, the age at which the provider is
//! trusted to show everything. A **gap** is a wanted range that is not sealed; behind the **horizon** the provider has
//! forgotten. A **pass** is one round over the streams of an account.
//!
//! # From plan to commit
//!
//! ```text
//! cron tick ─▶ daemon ─▶ sync: planner (pure): wanted − sealed = work, the most urgent first
//!                          │
//!                          ├─▶ provider.survey(range): nothing there, one window's worth, or where to cut
//!                          ├─▶ provider.fetch(window): pages under the account's budget ─▶ messages
//!                          └─▶ store.commit(windows): one transaction: messages added, windows sealed
//! ```
//!
//! The ledger of sealed windows is the only checkpoint. A crash costs at most the windows in flight, and the plan after
//! it is the plan before it.
//!
//! # Rooms
//!
//! Knowledge points one way: [`cli`] ─▶ [`daemon`] ─▶ [`alerts`] ─▶ [`sync`] ─▶ {[`provider`], [`proof`] ─▶ [`store`]} ─▶ [`domain`].
//! The [`sandbox`] plays both providers and knows only the domain; [`config`] knows nobody, and only [`cli`] and
//! [`daemon`] know it.

pub mod alerts;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod proof;
pub mod provider;
pub mod sandbox;
pub mod store;
pub mod sync;
