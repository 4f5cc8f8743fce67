//! `/healthz` and `/readyz`: for whoever starts the daemon anew, and for whoever waits for it.
//!
//! They say why not, in a line for each account; what was answered to it, only the log does.

use std::fmt::Write;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::AppStateExtractor;
use crate::provider::Provider;
use crate::sync::counters::SyncCounters;

/// By then a database that is well has answered.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Whether the daemon goes on: no account's work is stuck. A provider or a database that fails is no reason to begin
/// anew.
pub(super) async fn healthz(State(desk): AppStateExtractor) -> Response {
    let mut stuck = String::new();
    for (provider, deeds) in desk.sources().progress.counters() {
        if let Some(silent) = deeds.stalled_for {
            let (name, seconds) = (&provider.account().name, silent.as_secs());
            let _ = writeln!(
                stuck,
                "{name}: stuck: nothing has come to its end for {seconds} s"
            );
        }
    }
    if stuck.is_empty() {
        "alive\n".into_response()
    } else {
        unavailable(stuck)
    }
}

/// Whether it archives: the database answers, and at least one account works.
pub(super) async fn readyz(State(desk): AppStateExtractor) -> Response {
    let shown = desk.sources();
    match timeout(PING_TIMEOUT, shown.store.ping()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return unavailable(format!("the database: {error}\n")),
        Err(_) => {
            return unavailable(format!(
                "the database has not answered for {} s\n",
                PING_TIMEOUT.as_secs()
            ));
        }
    }
    let mut said = String::new();
    let mut is_ready = false;
    for (provider, deeds) in shown.progress.counters() {
        let obstacle = obstacle_of(&*provider, &deeds);
        is_ready |= obstacle.is_none();
        let _ = writeln!(
            said,
            "{}: {}",
            provider.account().name,
            obstacle.as_deref().unwrap_or("works")
        );
    }
    if is_ready {
        format!("ready\n{said}").into_response()
    } else {
        unavailable(format!("no account works\n{said}"))
    }
}

/// Why nothing of an account is archived at present.
fn obstacle_of(provider: &dyn Provider, deeds: &SyncCounters) -> Option<String> {
    if deeds.is_leased_elsewhere {
        return Some("another process works on it".to_owned());
    }
    if let Some(left) = provider.gate().rate_limiter().long_pause() {
        return Some(format!(
            "the provider is left alone for {} s yet",
            left.as_secs()
        ));
    }
    (!provider.gate().has_authenticated()).then(|| "the provider has not answered yet".to_owned())
}

fn unavailable(why: String) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}
