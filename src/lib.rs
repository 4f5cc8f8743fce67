pub mod config;
pub mod domain;
pub mod provider;
pub mod store;
pub mod sync;
