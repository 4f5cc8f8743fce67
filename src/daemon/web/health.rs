//! `/healthz` and `/readyz`: for whoever starts the daemon anew, and for whoever waits for it.
//!
//! They say why not, in a line for each account; what was answered to it, only the log does.

use std::fmt::Write;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::Asked;
use crate::provider::Provider;
use crate::sync::deeds::Deeds;

/// By then a database that is well has answered.
const PROMPT: Duration = Duration::from_secs(3);

/// Whether the daemon goes on: no account's work is stuck. A provider or a database that fails is no reason to begin
/// anew.
pub(super) async fn alive(State(desk): Asked) -> Response {
    let mut stuck = String::new();
    for (provider, deeds) in desk.shown().progress.deeds() {
        if let Some(silent) = deeds.silent {
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
        no(stuck)
    }
}

/// Whether it archives: the database answers, and at least one account works.
pub(super) async fn ready(State(desk): Asked) -> Response {
    let shown = desk.shown();
    match timeout(PROMPT, shown.store.ping()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return no(format!("the database: {error}\n")),
        Err(_) => {
            return no(format!(
                "the database has not answered for {} s\n",
                PROMPT.as_secs()
            ));
        }
    }
    let mut said = String::new();
    let mut is_ready = false;
    for (provider, deeds) in shown.progress.deeds() {
        let obstacle = obstacle(&*provider, &deeds);
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
        no(format!("no account works\n{said}"))
    }
}

/// Why nothing of an account is archived at present.
fn obstacle(provider: &dyn Provider, deeds: &Deeds) -> Option<String> {
    if deeds.is_held {
        return Some("another process works on it".to_owned());
    }
    if let Some(left) = provider.http().budget().long_pause() {
        return Some(format!(
            "the provider is left alone for {} s yet",
            left.as_secs()
        ));
    }
    (!provider.http().is_let_in()).then(|| "the provider has not answered yet".to_owned())
}

fn no(why: String) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}
