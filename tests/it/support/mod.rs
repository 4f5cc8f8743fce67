//! Helpers that the tests share: environments, test doubles and builders.

pub(crate) mod browser;
pub(crate) mod config;
pub(crate) mod daemon_process;
pub(crate) mod env;
pub(crate) mod export_files;
pub(crate) mod fake_provider;
pub(crate) mod fault_proxy;
pub(crate) mod http_client;
pub(crate) mod ledger_truth;
pub(crate) mod messages;
pub(crate) mod metrics_scrape;
pub(crate) mod model_run;
pub(crate) mod passes;
pub(crate) mod paused_clock;
pub(crate) mod peak_memory;
pub(crate) mod pooler;
pub(crate) mod postgres_env;
pub(crate) mod postgres_server;
pub(crate) mod sandbox_providers;
pub(crate) mod snapshot;
pub(crate) mod source_tokens;
pub(crate) mod source_tree;
pub(crate) mod stepped_clock;
pub(crate) mod store_fixture;
pub(crate) mod truth;
pub(crate) mod verify_fixture;
