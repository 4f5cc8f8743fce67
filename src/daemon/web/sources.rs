//! The sources of all responses: the archive, the accounts and the engine.

use std::sync::Arc;

use crate::alerts::AlarmMonitor;
use crate::config::Cron;
use crate::domain::clock::Clock;
use crate::provider::Provider;
use crate::store::Archive;
use crate::sync::progress::EngineProgress;

/// The sources of all responses.
pub struct StatusSources {
    /// The archive.
    pub store: Arc<dyn Archive>,
    /// The accounts of the configuration, in its order.
    pub providers: Vec<Arc<dyn Provider>>,
    /// The progress and counters of the engine.
    pub progress: Arc<EngineProgress>,
    /// The alarms, also those that cannot be written to the archive.
    pub monitor: Arc<AlarmMonitor>,
    pub clock: Arc<dyn Clock>,
    /// The schedule of the passes that fetch messages; `None` if they follow none.
    pub schedule: Option<Cron>,
}

impl StatusSources {
    /// Combines the sources.
    pub fn new(
        store: Arc<dyn Archive>,
        providers: Vec<Arc<dyn Provider>>,
        progress: Arc<EngineProgress>,
        monitor: Arc<AlarmMonitor>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            providers,
            progress,
            monitor,
            clock,
            schedule: None,
        }
    }

    /// Sets the schedule of the passes that fetch messages.
    #[must_use]
    pub fn on_schedule(self, schedule: Cron) -> Self {
        Self {
            schedule: Some(schedule),
            ..self
        }
    }
}

impl std::fmt::Debug for StatusSources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusSources")
            .field("archive", &self.store.location())
            .finish_non_exhaustive()
    }
}
