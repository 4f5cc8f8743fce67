//! `backscroll run`
//!
//! The service works by one configuration at a time. At SIGHUP it is read again, and everything that it needs is made
//! ready beside the work that goes on. Only then the old work is ended in order, and the new begins; whatever is wrong
//! with the new configuration costs nothing but a line in the log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::timeout;

use super::logging::LogHandle;
use super::{CliError, IfMissing, Outcome, accounts, open_to_write};
use crate::alerts::AlarmMonitor;
use crate::config::{Config, DatabaseUrl};
use crate::daemon;
use crate::daemon::service_manager::ServiceManager;
use crate::daemon::signals::{Shutdown, hangup_signals};
use crate::daemon::web::{StatusServer, StatusSources};
use crate::domain::clock::Clock;
use crate::provider::Provider;
use crate::store::Archive;
use crate::sync::Engine;

/// How long the archive may take to be closed at the end, and the page. They need no closing: what was committed is on
/// disk.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(250);

/// How long an account is left alone when it passes from one configuration to the next.
const HANDOVER: Duration = Duration::from_secs(1);

pub(super) async fn run(
    path: &Path,
    logging: &LogHandle,
    clock: Arc<dyn Clock>,
) -> Result<Outcome, CliError> {
    let service = Service {
        path,
        logging,
        clock,
        notify: ServiceManager::from_environment(),
        stop: Shutdown::on_signals()?,
    };
    let (end, notify) = (service.stop.graceful.clone(), service.notify);
    tokio::spawn(async move {
        end.cancelled().await;
        notify.notify_stopping();
    });
    // From here on a SIGHUP is no end any more.
    let mut hangups = hangup_signals()?;
    let begun = tokio::select! {
        begun = service.prepare(None) => begun?,
        () = service.stop.graceful.cancelled() => return Ok(Outcome::Good),
    };
    let (mut next, mut web) = (Some(begun), StatusServer::default());
    while let Some(setup) = next {
        web.serve(
            setup.config.status_page.listen,
            setup.status_sources(&service.clock),
        )
        .await;
        next = service.run_until_stop(setup, &mut hangups).await?;
        // What was asked for within a second counts against the same quota.
        for provider in next.iter().flat_map(|next| &next.providers) {
            provider.pause_for(HANDOVER);
        }
    }
    if timeout(CLOSE_TIMEOUT, web.stop()).await.is_err() {
        tracing::debug!("an answer of the status page is left");
    }
    tracing::info!("stopped");
    Ok(Outcome::Good)
}

/// What stays the same whatever the configuration says.
struct Service<'a> {
    path: &'a Path,
    logging: &'a LogHandle,
    clock: Arc<dyn Clock>,
    notify: ServiceManager,
    stop: Shutdown,
}

/// A configuration, with all that it needs to come into force.
struct Setup {
    config: Config,
    archive: OpenArchive,
    engine: Engine,
    lookout: Arc<AlarmMonitor>,
    providers: Vec<Arc<dyn Provider>>,
}

impl Setup {
    /// What of it may be looked at.
    fn status_sources(&self, clock: &Arc<dyn Clock>) -> StatusSources {
        let (store, progress) = (self.archive.store.clone(), self.engine.progress().clone());
        StatusSources::new(store, self.providers.clone(), progress, clock.clone())
    }
}

/// An archive that is open, and where it is.
#[derive(Clone)]
struct OpenArchive {
    url: DatabaseUrl,
    store: Arc<dyn Archive>,
}

impl Service<'_> {
    /// Reads the configuration and makes ready what it asks for. An archive that is open already is used as it is.
    async fn prepare(&self, open: Option<&OpenArchive>) -> Result<Setup, CliError> {
        let config = Config::load(self.path)?;
        let providers = accounts::providers(&config, None, &self.clock)?;
        let url = config.database.url.clone();
        let archive = match open.filter(|open| open.url == url) {
            Some(open) => open.clone(),
            None => OpenArchive {
                store: open_to_write(&url, IfMissing::Create, &*self.clock).await?,
                url,
            },
        };
        let engine = Engine::new(providers.clone(), archive.store.clone(), &self.clock)
            .aborted_by(&self.stop.abort);
        let lookout = AlarmMonitor::new(
            archive.store.clone(),
            providers.clone(),
            self.clock.clone(),
            &config.alerts,
        )?;
        Ok(Setup {
            config,
            archive,
            engine,
            lookout: Arc::new(lookout),
            providers,
        })
    }

    /// Works until the end, or until another configuration is to come into force: answers with that.
    async fn run_until_stop(
        &self,
        setup: Setup,
        hangups: &mut Signal,
    ) -> Result<Option<Setup>, CliError> {
        let Setup {
            config,
            archive,
            engine,
            lookout,
            providers,
        } = setup;
        let (accounts, streams) = (
            providers.len(),
            providers
                .iter()
                .map(|provider| provider.streams().len())
                .sum::<usize>(),
        );
        self.logging.apply_config(&config.log);
        accounts::log_warnings(&config, None);
        let (version, schedule) = (env!("CARGO_PKG_VERSION"), &config.schedule.sync.expression);
        tracing::info!(version, accounts, streams, schedule, "running");
        let stop = self.stop.child();
        let work = async {
            let (schedule, clock) = (&config.schedule, self.clock.clone());
            let worked = daemon::run(engine, schedule, clock, self.notify, lookout, &stop).await;
            stop.graceful.cancel();
            worked
        };
        let (worked, next) = tokio::join!(work, self.next_setup(&archive, hangups, &stop));
        match &next {
            // The accounts of the new configuration may be others.
            Some(next) if next.archive.url == archive.url => archive.store.release_leases().await,
            _ if timeout(CLOSE_TIMEOUT, archive.store.close()).await.is_err() => {
                tracing::debug!("the archive is left open");
            }
            _ => {}
        }
        worked?;
        Ok(next)
    }

    /// Waits for a configuration that can come into force, and gives the word to stop for it; nothing once that word
    /// has been given by another.
    async fn next_setup(
        &self,
        archive: &OpenArchive,
        hangups: &mut Signal,
        stop: &Shutdown,
    ) -> Option<Setup> {
        loop {
            tokio::select! {
                _ = hangups.recv() => {}
                () = stop.graceful.cancelled() => return None,
            }
            self.notify.notify_reloading();
            let setup = tokio::select! {
                setup = self.prepare(Some(archive)) => setup,
                () = stop.graceful.cancelled() => return None,
            };
            match setup {
                Ok(setup) => {
                    tracing::info!("the configuration was read again; it comes into force");
                    stop.graceful.cancel();
                    return Some(setup);
                }
                Err(failure) => {
                    let hint = failure.hint();
                    tracing::error!(error = %failure, hint, "the configuration was refused; the one before stays in force");
                    self.notify.notify_ready();
                    self.notify.status(&format!(
                        "configuration refused, the one before stays in force: {failure}"
                    ));
                }
            }
        }
    }
}
