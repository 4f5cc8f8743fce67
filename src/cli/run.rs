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

use super::logging::Logging;
use super::{Failure, Missing, Outcome, accounts, open_to_write};
use crate::config::{Config, DatabaseUrl};
use crate::daemon;
use crate::daemon::alarms::Lookout;
use crate::daemon::notify::Notify;
use crate::daemon::signals::{Stop, hangups};
use crate::daemon::web::{Shown, Web};
use crate::domain::clock::Clock;
use crate::provider::Provider;
use crate::store::Store;
use crate::sync::Engine;

/// How long the archive may take to be closed at the end, and the page. They need no closing: what was committed is on
/// disk.
const CLOSING: Duration = Duration::from_millis(250);

/// How long an account is left alone when it passes from one configuration to the next.
const HANDOVER: Duration = Duration::from_secs(1);

pub(super) async fn carry_out(
    path: &Path,
    logging: &Logging,
    clock: Arc<dyn Clock>,
) -> Result<Outcome, Failure> {
    let service = Service {
        path,
        logging,
        clock,
        notify: Notify::from_environment(),
        stop: Stop::listen()?,
    };
    let (end, notify) = (service.stop.soft.clone(), service.notify);
    tokio::spawn(async move {
        end.cancelled().await;
        notify.stopping();
    });
    // From here on a SIGHUP is no end any more.
    let mut hangups = hangups()?;
    let begun = tokio::select! {
        begun = service.set_up(None) => begun?,
        () = service.stop.soft.cancelled() => return Ok(Outcome::Good),
    };
    let (mut next, mut web) = (Some(begun), Web::default());
    while let Some(setup) = next {
        web.show(setup.config.status_page.listen, setup.shown(&service.clock))
            .await;
        next = service.work(setup, &mut hangups).await?;
        // What was asked for within a second counts against the same quota.
        for provider in next.iter().flat_map(|next| &next.providers) {
            provider.pause_for(HANDOVER);
        }
    }
    if timeout(CLOSING, web.stop()).await.is_err() {
        tracing::debug!("an answer of the status page is left");
    }
    tracing::info!("stopped");
    Ok(Outcome::Good)
}

/// What stays the same whatever the configuration says.
struct Service<'a> {
    path: &'a Path,
    logging: &'a Logging,
    clock: Arc<dyn Clock>,
    notify: Notify,
    stop: Stop,
}

/// A configuration, with all that it needs to come into force.
struct Setup {
    config: Config,
    archive: Archive,
    engine: Engine,
    lookout: Arc<Lookout>,
    providers: Vec<Arc<dyn Provider>>,
}

impl Setup {
    /// What of it may be looked at.
    fn shown(&self, clock: &Arc<dyn Clock>) -> Shown {
        let (store, progress) = (self.archive.store.clone(), self.engine.progress().clone());
        Shown::new(store, self.providers.clone(), progress, clock.clone())
    }
}

/// An archive that is open, and where it is.
#[derive(Clone)]
struct Archive {
    url: DatabaseUrl,
    store: Arc<dyn Store>,
}

impl Service<'_> {
    /// Reads the configuration and makes ready what it asks for. An archive that is open already is used as it is.
    async fn set_up(&self, open: Option<&Archive>) -> Result<Setup, Failure> {
        let config = Config::load(self.path)?;
        let providers = accounts::providers(&config, None, &self.clock)?;
        let url = config.database.url.clone();
        let archive = match open.filter(|open| open.url == url) {
            Some(open) => open.clone(),
            None => Archive {
                store: open_to_write(&url, Missing::Create, &*self.clock).await?,
                url,
            },
        };
        let engine = Engine::new(providers.clone(), archive.store.clone(), &self.clock)
            .hurried_by(&self.stop.hard);
        let lookout = Lookout::new(
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
    async fn work(&self, setup: Setup, hangups: &mut Signal) -> Result<Option<Setup>, Failure> {
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
        self.logging.configure(&config.log);
        accounts::caution(&config, None);
        let (version, schedule) = (env!("CARGO_PKG_VERSION"), &config.schedule.sync.expression);
        tracing::info!(version, accounts, streams, schedule, "running");
        let stop = self.stop.earlier();
        let work = async {
            let (schedule, clock) = (&config.schedule, self.clock.clone());
            let worked = daemon::run(engine, schedule, clock, self.notify, lookout, &stop).await;
            stop.soft.cancel();
            worked
        };
        let (worked, next) = tokio::join!(work, self.another(&archive, hangups, &stop));
        match &next {
            // The accounts of the new configuration may be others.
            Some(next) if next.archive.url == archive.url => archive.store.release().await,
            _ if timeout(CLOSING, archive.store.close()).await.is_err() => {
                tracing::debug!("the archive is left open")
            }
            _ => {}
        }
        worked?;
        Ok(next)
    }

    /// Waits for a configuration that can come into force, and gives the word to stop for it; nothing once that word
    /// has been given by another.
    async fn another(&self, archive: &Archive, hangups: &mut Signal, stop: &Stop) -> Option<Setup> {
        loop {
            tokio::select! {
                _ = hangups.recv() => {}
                () = stop.soft.cancelled() => return None,
            }
            self.notify.reloading();
            let setup = tokio::select! {
                setup = self.set_up(Some(archive)) => setup,
                () = stop.soft.cancelled() => return None,
            };
            match setup {
                Ok(setup) => {
                    tracing::info!("the configuration was read again; it comes into force");
                    stop.soft.cancel();
                    return Some(setup);
                }
                Err(failure) => {
                    let hint = failure.hint();
                    tracing::error!(error = %failure, hint, "the configuration was refused; the one before stays in force");
                    self.notify.ready();
                    self.notify.status(&format!(
                        "configuration refused, the one before stays in force: {failure}"
                    ));
                }
            }
        }
    }
}
