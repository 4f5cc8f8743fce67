//! The daemon: passes, status page, metrics, alarms, logs and shutdown.

mod alarms;
mod bounded_work;
mod disk_full;
mod lifecycle;
mod logs;
mod metrics;
mod metrics_docs;
mod multi_instance;
mod outages;
mod page;
mod replaced_archive;
mod service;
mod snapshots;
mod web;
