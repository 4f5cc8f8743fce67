//! The engine: what is archived, once, whatever the history and the process do.

mod corpus;
mod discovery;
mod flag_combinations;
mod forecast;
mod idempotency;
mod kill;
mod live_history;
mod model;
mod reconcile;
mod truth;
mod verify;
