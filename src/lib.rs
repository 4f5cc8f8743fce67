//! Backscroll archives chat history: a daemon that pages through the message history of Agora RTM
//! and Web3MQ, which keep it only for a while, and writes every message to a SQL database.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | account | one set of credentials at one provider, with its own rate limit |
//! | stream | one series that can be requested: an Agora filter, a Web3MQ topic |
//! | conversation | the channel, group, topic or pair of peers that a message belongs to; streams overlap, conversations do not |
//! | window | a half-open time range of one stream, on whole seconds: the unit of planning, fetching, retrying, of the transaction and of the ledger |
//! | ledger | the table of sealed windows, the only checkpoint |
//! | sealed | all messages of a window and its ledger row were committed in one transaction, and its end is older than the settle period |
//! | gap | a wanted range that is not sealed |
//! | horizon | the provider's retention edge: older history cannot be fetched |
//! | frontier | the state of an account: horizon, settled until, wanted until |
//! | pass | one round of the engine over the streams that are due |
//!
//! # From plan to commit
//!
//! ```text
//! cron tick ─▶ daemon ─▶ sync: plan (pure): wanted − sealed = work, the most urgent first
//!                          │
//!                          ├─▶ provider.survey(range): empty, one window, or where to split
//!                          ├─▶ provider.fetch(window): pages under the account's rate limit
//!                          └─▶ archive.commit(windows): one transaction: messages and ledger rows
//! ```
//!
//! No cursor exists apart from the data. A crash costs at most the windows in flight, and the plan
//! after it is the plan before it.
//!
//! # Rooms
//!
//! Imports run one way: [`cli`] ─▶ [`daemon`] ─▶ [`alerts`] ─▶ [`sync`] ─▶ {[`provider`],
//! [`proof`] ─▶ [`store`]} ─▶ [`domain`]. Beside the daemon stands what readers use: [`cli`] ─▶
//! [`reader`] ─▶ [`store`]. The `sandbox` plays both providers and knows only the domain. Only `cli`
//! and `daemon` know [`config`]. A test (`tests/it/layers.rs`) keeps it so.
//!
//! # Where is it?
//!
//! Each room's `mod.rs` has a table like this one.
//!
//! | question | file |
//! |---|---|
//! | What happens at a tick, at SIGTERM, at SIGHUP? | `daemon/mod.rs` |
//! | What happens in a pass? | `sync/mod.rs`, then `sync/account.rs` |
//! | In which order is history fetched? | `sync/plan/mod.rs` |
//! | How is a window split? | `provider/splitting.rs` |
//! | What of a fetched window is sealed? | `sync/pipeline/seal.rs` |
//! | Where is the rate limit? | `provider/rate_limiter.rs`; its arithmetic: `provider/send_log.rs` |
//! | How does the retry work? | `provider/http_client.rs`; the delays: `domain/retry.rs` |
//! | Where is a message's identity computed? | `domain/identity.rs` |
//! | What happens to a message that cannot be parsed? | `provider/json.rs`, then `store/quarantine.rs`; one that damages its page: `provider/damaged_items.rs` |
//! | Where is the SQL of a commit? | messages: `store/sqlite/sql.rs`, `store/postgres/sql.rs`; ledger rows: `store/sql/windows.rs`; the transaction: `store/windows.rs` |
//! | Where are tables and views defined? | `migrations/`, and a dump in `docs/schema/` |
//! | How is a text cut into words, and a query parsed? | `domain/search/` |
//! | How does the search index follow the commits? | `store/indexing.rs`, `daemon/indexer.rs` |
//! | How are digests computed and verified? | `domain/digest.rs`, `proof/mod.rs` |
//! | Which messages may a reader ask for, and is the answer complete? | `reader/filter.rs`, `reader/completeness.rs` |
//! | How does a query of `backscroll sql` run, and what keeps it from writing? | `store/query/` |
//! | Where is a metric defined? | `daemon/web/metrics/definitions.rs` |
//! | Where is an alarm defined? | `alerts/rules/` |
//! | Where is a command? | `cli/`, one file each |
//! | Which constants can be tuned? | `limits.rs` of the room |
//! | How do I add a provider, a migration, a view column, a metric, an alarm, a command? | `CONTRIBUTING.md` |
//! | The same with pictures | `docs/ARCHITECTURE.md` |

pub mod alerts;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod proof;
pub mod provider;
pub mod reader;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod store;
pub mod sync;
