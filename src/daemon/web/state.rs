//! The state of the HTTP handlers: the current sources, and what was read from them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use tokio::sync::watch;
use tokio::time::Instant;

use super::metrics::cache::MetricsCache;
use super::page::cache::PageCache;
use super::sources::StatusSources;

/// The sources, with the caches of the data that was read from them.
#[derive(Debug)]
pub(super) struct CachedSources {
    pub(super) sources: StatusSources,
    /// The cached archive values of `/metrics`.
    pub(super) metrics: MetricsCache,
    /// The cached data of the page.
    pub(super) page: PageCache,
}

impl CachedSources {
    /// Adds empty caches to the sources.
    pub(super) fn new(sources: StatusSources) -> Self {
        let metrics = MetricsCache::new(sources.store.clone(), sources.clock.clone());
        Self {
            sources,
            metrics,
            page: PageCache::default(),
        }
    }
}

/// The state of the HTTP handlers. A configuration reload replaces the sources.
#[derive(Clone, Debug)]
pub(super) struct AppState {
    sources: watch::Receiver<Arc<CachedSources>>,
    started_at: Instant,
}

impl AppState {
    /// Creates the state that follows the sources of a channel.
    pub(super) fn new(sources: watch::Receiver<Arc<CachedSources>>, started_at: Instant) -> Self {
        Self {
            sources,
            started_at,
        }
    }

    /// Returns the time since the start of the service.
    pub(super) fn uptime(&self) -> Duration {
        self.started_at.elapsed()
    }

    /// Returns the current sources and caches.
    pub(super) fn current(&self) -> Arc<CachedSources> {
        self.sources.borrow().clone()
    }
}

/// The state as handlers extract it.
pub(super) type AppStateExtractor = State<AppState>;
