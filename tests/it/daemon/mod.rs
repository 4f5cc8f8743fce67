//! The service: its passes, its page, its metrics, its alarms and its end.

mod alarms;
mod disk_full;
mod lifecycle;
mod logs;
mod metrics;
mod multi_instance;
mod page;
mod service;
mod web;
