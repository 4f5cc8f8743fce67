//! `/healthz` and `/readyz`, for the service managers and load balancers that act on them.
//!
//! A failure is explained in one line per account. Provider responses appear only in the log.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::limits::PING_TIMEOUT;
use super::state::AppStateExtractor;
use crate::provider::Provider;
use crate::store::Archive;
use crate::sync::counters::SyncCounters;

/// Liveness: fails while any account is stuck. A failing provider or database is no reason to
/// restart.
pub(super) async fn healthz(State(state): AppStateExtractor) -> Response {
    let mut stuck = Vec::new();
    for (provider, counters) in state.current().sources.progress.counters() {
        if let Some(stalled_for) = counters.stalled_for {
            let (name, seconds) = (&provider.account().name, stalled_for.as_secs());
            stuck.push(format!(
                "{name}: stuck: no request or commit has ended for {seconds} s\n"
            ));
        }
    }
    if stuck.is_empty() {
        "alive\n".into_response()
    } else {
        unavailable(stuck.concat())
    }
}

/// Readiness: succeeds if the database answers, the latest pass could write to it, and at least one
/// account works.
pub(super) async fn readyz(State(state): AppStateExtractor) -> Response {
    let current = state.current();
    let sources = &current.sources;
    if let Err(error) = ping(&*sources.store).await {
        return unavailable(error);
    }
    if let Some(error) = sources.monitor.write_error() {
        return unavailable(format!("the archive: {error}\n"));
    }
    let mut lines = Vec::new();
    let mut is_ready = false;
    for (provider, counters) in sources.progress.counters() {
        let obstacle = obstacle_of(&*provider, &counters);
        is_ready |= obstacle.is_none();
        let state = obstacle.as_deref().unwrap_or("works");
        lines.push(format!("{}: {state}\n", provider.account().name));
    }
    let lines = lines.concat();
    if is_ready {
        format!("ready\n{lines}").into_response()
    } else {
        unavailable(format!("no account works\n{lines}"))
    }
}

async fn ping(store: &dyn Archive) -> Result<(), String> {
    match timeout(PING_TIMEOUT, store.ping()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("the database: {error}\n")),
        Err(_) => {
            let seconds = PING_TIMEOUT.as_secs();
            Err(format!("the database did not answer within {seconds} s\n"))
        }
    }
}

/// Returns the reason why nothing of an account is archived at present; `None` if it works.
fn obstacle_of(provider: &dyn Provider, counters: &SyncCounters) -> Option<String> {
    if counters.is_leased_elsewhere {
        return Some("another process works on it".to_owned());
    }
    if let Some(left) = provider.gate().rate_limiter().long_pause() {
        return Some(format!("paused for another {} s", left.as_secs()));
    }
    if !provider.gate().has_authenticated() {
        return Some("the provider has not answered yet".to_owned());
    }
    if counters.is_failing {
        return Some("nothing can be fetched; the log says why".to_owned());
    }
    None
}

fn unavailable(reason: String) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
}
