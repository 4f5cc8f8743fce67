//! `backscroll run`

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Failure, Missing, Outcome, accounts, open_to_write};
use crate::config::Config;
use crate::daemon;
use crate::daemon::web::{Shown, Web};
use crate::domain::clock::Clock;
use crate::sync::Engine;

pub(super) async fn carry_out(config: &Config, clock: Arc<dyn Clock>) -> Result<Outcome, Failure> {
    let stop = CancellationToken::new();
    daemon::signals::listen(stop.clone())?;
    let store = open_to_write(&config.database.url, Missing::Create, &*clock).await?;
    let providers = accounts::providers(config, None, &clock)?;
    accounts::caution(config, None);
    let streams: usize = providers.iter().map(|provider| provider.streams().len()).sum();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        accounts = providers.len(),
        streams,
        schedule = config.schedule.sync.expression,
        "running"
    );
    let engine = Engine::new(providers.clone(), store.clone(), &clock);
    let shown = Shown { store, providers, progress: engine.progress().clone(), clock: clock.clone() };
    let web = Web::start(config.status_page.listen, shown);
    let outcome = daemon::run(engine, &config.schedule, clock, &stop).await;
    web.stop().await;
    outcome?;
    tracing::info!("stopped");
    Ok(Outcome::Good)
}
