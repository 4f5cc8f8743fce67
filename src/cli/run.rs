//! `backscroll run`: the service.
//!
//! The service uses one configuration at a time. At SIGHUP it reads the file again, and prepares
//! the new providers and the archive while the old ones still work. Then it stops the old engine in
//! order and starts the new one. If the new configuration is invalid, the old one stays in force,
//! and the error is logged.
//!
//! If the archive's file is removed or replaced, the engine stops, and the service opens the file
//! that is there now, or begins a new archive.

use std::path::Path;
use std::sync::Arc;

use secrecy::ExposeSecret;
use tokio::signal::unix::Signal;
use tokio::time::{Instant, sleep, timeout};

use super::accounts;
use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::logging::LogHandle;
use super::open_archive::open_to_write;
use crate::alerts::AlarmMonitor;
use crate::config::{Config, DatabaseUrl, Secret, UsedSecrets};
use crate::daemon;
use crate::daemon::limits::{ARCHIVE_FILE_POLL, CLOSE_GRACE, REOPEN_GRACE, WINDOW_GRACE};
use crate::daemon::service_manager::ServiceManager;
use crate::daemon::signals::{Shutdown, hangup_signals};
use crate::daemon::web::{StatusServer, StatusSources};
use crate::domain::clock::Clock;
use crate::provider::Provider;
use crate::store::Archive;
use crate::store::{IfMissing, StoreError};
use crate::sync::Engine;

pub(super) async fn run(
    path: &Path,
    logging: &LogHandle,
    clock: Arc<dyn Clock>,
) -> Result<ExitOutcome, CliError> {
    let service = Service {
        path,
        logging,
        clock,
        notify: ServiceManager::from_environment(),
        stop: Shutdown::on_signals(WINDOW_GRACE)?,
    };
    let (end, notify) = (service.stop.graceful.clone(), service.notify);
    tokio::spawn(async move {
        end.cancelled().await;
        notify.notify_stopping();
    });
    // From here on, SIGHUP no longer ends the process.
    let mut hangups = hangup_signals()?;
    let begun = tokio::select! {
        begun = service.prepare(None) => begun?,
        () = service.stop.graceful.cancelled() => return Ok(ExitOutcome::Success),
    };
    let (mut next, mut web) = (Some(begun), StatusServer::default());
    while let Some(setup) = next {
        web.serve(
            setup.config.status_page.listen,
            setup.status_sources(&service.clock),
        )
        .await;
        next = match Box::pin(service.run_until_end(setup, &mut hangups)).await? {
            RunEnd::Shutdown => None,
            RunEnd::Reload(setup) => Some(*setup),
            RunEnd::ArchiveReplaced => service.reopen().await?,
        };
        for provider in next.iter().flat_map(|next| &next.providers) {
            provider.pause_for_handover();
        }
    }
    if timeout(CLOSE_GRACE, web.stop()).await.is_err() {
        tracing::debug!("a response of the status page was cut off");
    }
    tracing::info!("stopped");
    Ok(ExitOutcome::Success)
}

/// The parts of the service that a reload does not change.
struct Service<'a> {
    path: &'a Path,
    logging: &'a LogHandle,
    clock: Arc<dyn Clock>,
    notify: ServiceManager,
    stop: Shutdown,
}

/// The reason why a run of the daemon ends.
enum RunEnd {
    Shutdown,
    /// The configuration was reloaded, and this comes into force.
    Reload(Box<Setup>),
    /// The archive's file is no longer the one that is open.
    ArchiveReplaced,
}

/// A configuration with everything that it needs to come into force.
struct Setup {
    config: Config,
    archive: OpenArchive,
    engine: Engine,
    monitor: Arc<AlarmMonitor>,
    providers: Vec<Arc<dyn Provider>>,
}

impl Setup {
    /// Returns the data sources of the status page.
    fn status_sources(&self, clock: &Arc<dyn Clock>) -> StatusSources {
        let (store, progress) = (self.archive.store.clone(), self.engine.progress().clone());
        let (providers, monitor) = (self.providers.clone(), self.monitor.clone());
        let schedule = self.config.schedule.sync.clone();
        StatusSources::new(store, providers, progress, monitor, clock.clone()).on_schedule(schedule)
    }
}

/// An open archive and its URL.
#[derive(Clone)]
struct OpenArchive {
    url: DatabaseUrl,
    store: Arc<dyn Archive>,
}

impl Service<'_> {
    /// Reads the configuration and prepares everything that it needs. If its archive is already
    /// open, that connection is reused.
    async fn prepare(&self, open: Option<&OpenArchive>) -> Result<Setup, CliError> {
        let config = Config::load(self.path, UsedSecrets::All)?;
        let providers = accounts::build_providers(&config, None, &self.clock)?;
        let url = config.database.url.clone();
        let archive = match open.filter(|open| open.url == url) {
            Some(open) => open.clone(),
            None => OpenArchive {
                store: open_to_write(&url, IfMissing::Create, &*self.clock).await?,
                url,
            },
        };
        accounts::check_identities(&providers, &*archive.store).await?;
        let engine = Engine::new(providers.clone(), archive.store.clone(), &self.clock)
            .aborted_by(&self.stop.abort);
        let webhook = config
            .alerts
            .webhook
            .as_ref()
            .map(Secret::read)
            .transpose()?;
        let webhook = webhook.as_ref().map(ExposeSecret::expose_secret);
        let monitor = AlarmMonitor::new(
            archive.store.clone(),
            providers.clone(),
            self.clock.clone(),
            webhook,
        )?;
        Ok(Setup {
            config,
            archive,
            engine,
            monitor: Arc::new(monitor),
            providers,
        })
    }

    /// Opens the archive that is at its path now, or begins a new one. `None` at shutdown.
    async fn reopen(&self) -> Result<Option<Setup>, CliError> {
        let deadline = Instant::now() + REOPEN_GRACE;
        loop {
            match self.prepare(None).await {
                Ok(setup) => {
                    let archive = setup.archive.store.location();
                    tracing::warn!(archive, "the archive was opened anew");
                    return Ok(Some(setup));
                }
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(error) => {
                    let hint = error.hint();
                    tracing::warn!(%error, hint, "the archive cannot be opened yet; trying again");
                }
            }
            tokio::select! {
                () = sleep(ARCHIVE_FILE_POLL) => {}
                () = self.stop.graceful.cancelled() => return Ok(None),
            }
        }
    }

    /// Runs the daemon until shutdown, a reload, or the end of its archive.
    async fn run_until_end(&self, setup: Setup, hangups: &mut Signal) -> Result<RunEnd, CliError> {
        let Setup {
            config,
            archive,
            engine,
            monitor,
            providers,
        } = setup;
        let accounts = providers.len();
        let streams: usize = providers.iter().map(|p| p.streams().len()).sum();
        self.logging.apply_config(&config.log);
        accounts::log_warnings(&config, None, self.clock.now());
        let (version, schedule) = (env!("CARGO_PKG_VERSION"), &config.schedule.sync.expression);
        tracing::info!(version, accounts, streams, schedule, "running");
        let stop = self.stop.child();
        let side_tasks = daemon::SideTasks {
            monitor,
            archive: archive.store.clone(),
            search_enabled: config.search.enabled,
        };
        let work = async {
            let (schedule, clock) = (&config.schedule, self.clock.clone());
            let result = daemon::run(engine, schedule, clock, self.notify, side_tasks, &stop).await;
            stop.graceful.cancel();
            result
        };
        let (result, end) = tokio::join!(work, self.wait_for_end(&archive, hangups, &stop));
        match &end {
            // The new configuration may have other accounts.
            RunEnd::Reload(next) if next.archive.url == archive.url => {
                archive.store.release_leases().await;
            }
            // Its log has to be empty before another file is opened under its name.
            RunEnd::ArchiveReplaced => archive.store.close().await,
            _ if timeout(CLOSE_GRACE, archive.store.close()).await.is_err() => {
                tracing::debug!("closing the archive timed out");
            }
            _ => {}
        }
        result?;
        Ok(end)
    }

    /// Waits for a reason to end the current run, and stops it. After a SIGHUP with a valid
    /// configuration, the next run is prepared first.
    async fn wait_for_end(
        &self,
        archive: &OpenArchive,
        hangups: &mut Signal,
        stop: &Shutdown,
    ) -> RunEnd {
        loop {
            tokio::select! {
                _ = hangups.recv() => {}
                () = replacement_of(&*archive.store) => {
                    let error = StoreError::Replaced {
                        location: archive.store.location().to_owned(),
                    };
                    tracing::error!(%error, hint = error.hint(), "the archive is opened anew");
                    stop.graceful.cancel();
                    return RunEnd::ArchiveReplaced;
                }
                () = stop.graceful.cancelled() => return RunEnd::Shutdown,
            }
            self.notify.notify_reloading();
            let setup = tokio::select! {
                setup = self.prepare(Some(archive)) => setup,
                () = stop.graceful.cancelled() => return RunEnd::Shutdown,
            };
            match setup {
                Ok(setup) => {
                    tracing::info!("the configuration was reloaded and comes into force");
                    stop.graceful.cancel();
                    return RunEnd::Reload(Box::new(setup));
                }
                Err(error) => self.reject_configuration(&error),
            }
        }
    }

    /// Reports an invalid configuration to the log and to the service manager.
    fn reject_configuration(&self, error: &CliError) {
        tracing::error!(
            %error,
            hint = error.hint(),
            "the new configuration is invalid; the previous one stays in force"
        );
        self.notify.notify_ready();
        self.notify.notify_status(&format!(
            "new configuration invalid, the previous one stays in force: {error}"
        ));
    }
}

/// Returns once the archive's file is no longer the one that is open.
async fn replacement_of(store: &dyn Archive) {
    while !store.is_replaced() {
        sleep(ARCHIVE_FILE_POLL).await;
    }
}
