//! Counts: how many messages a range holds, and what the range is that was counted.

use reqwest::{Method, Url};
use tokio::time::sleep;

use super::reader::Series;
use super::{Agora, IN_PROGRESS_WAIT, MAX_POLLS, PAGE_SIZE, answers, ready};
use crate::domain::stream::Stream;
use crate::domain::time::Millis;
use crate::domain::window::Window;
use crate::provider::budget::Turn;
use crate::provider::error::ProviderError;

impl Agora {
    /// How many messages the provider has between two bounds, whatever it takes bounds to mean.
    pub(super) async fn count_between(
        &self,
        stream: &Stream,
        bounds: Window,
    ) -> Result<u64, ProviderError> {
        self.count_in_turn(stream, bounds, Turn::Begin).await
    }

    /// The same, before or after whatever else waits.
    pub(super) async fn count_in_turn(
        &self,
        stream: &Stream,
        bounds: Window,
        turn: Turn,
    ) -> Result<u64, ProviderError> {
        const WHAT: &str = "count";
        let mut url = self.history("count");
        for (name, value) in [
            ("source", &stream.scope.sender),
            ("destination", &stream.scope.recipient),
        ] {
            append(&mut url, name, value.as_deref());
        }
        append(&mut url, "start_time", Some(&bounds.from().to_string()));
        append(&mut url, "end_time", Some(&bounds.to().to_string()));
        let mut patience = self.http.answer_retry();
        for _ in 0..MAX_POLLS {
            let answer = self
                .send(WHAT, turn, || (Method::GET, url.clone(), None))
                .await;
            match answer.and_then(|answer| ready(WHAT, &answer, answers::parse_count)) {
                Ok(Some(count)) => return Ok(count),
                Ok(None) => sleep(IN_PROGRESS_WAIT).await,
                Err(error) => patience.backoff_or_fail(error).await?,
            }
        }
        Err(never_ready(WHAT))
    }

    /// Finds out what bounds mean, as far as the messages of a range can tell.
    pub(super) async fn learn_bounds(
        &self,
        stream: &Stream,
        range: Window,
    ) -> Result<(), ProviderError> {
        // Held while asking: one finds out for all.
        let mut bounds = self.bounds.lock().await;
        if !bounds.is_undecided() {
            return Ok(());
        }
        bounds.record_attempt();
        let page = self.page(Series::of(stream, range), 0, PAGE_SIZE).await?;
        let times: Vec<Millis> = page.iter().flatten().map(|sent| sent.at).collect();
        // A page that is full may end among messages of one second, of which it then shows only some.
        let end = times
            .last()
            .filter(|_| page.len() as u64 >= PAGE_SIZE)
            .map_or(range.to(), |last| last.second());
        let Some(known) = range.up_to(end) else {
            return Ok(());
        };
        if page.iter().any(Result::is_err) || !times.is_sorted() {
            return Ok(());
        }
        while let Some(question) = bounds.next_probe(&times, known) {
            let count = self.count_between(stream, question).await?;
            if !bounds.observe(&times, question, count) {
                break;
            }
        }
        Ok(())
    }
}

/// Adds a parameter, percent-encoded; nothing where there is no value. A space is `%20`: the form encoding's `+`
/// would be taken for a plus sign by a server that decodes by the letter.
fn append(url: &mut Url, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    let value = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
    let query = match url.query() {
        Some(query) => format!("{query}&{name}={value}"),
        None => format!("{name}={value}"),
    };
    url.set_query(Some(&query));
}

fn never_ready(what: &'static str) -> ProviderError {
    ProviderError::Malformed {
        what,
        fault: format!("still in progress after {MAX_POLLS} polls"),
    }
}
