//! The engine: complete archives without duplicates, for every history and every interruption.

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
