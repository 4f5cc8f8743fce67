//! What of an account's history is lost, and what will be. Pure.

use super::board::{Look, Wrong};
use crate::domain::alarm::Kind;
use crate::store::StreamStatus;
use crate::sync::forecast::Forecast;

/// What is lost at the edge itself while a range is fetched, in seconds over all streams, is not worth a word.
const HARDLY_S: i64 = 60;

/// What can be done where the provider forgets sooner than its history is fetched.
pub const LOSS_HINT: &str = "raise requests_per_second if the provider grants more; follow fewer streams, or set `since`; \
                             have the provider keep messages for longer";
const LOST_HINT: &str = "what the provider has forgotten cannot be had any more; `gaps` in SQL says which ranges of which \
                         streams (WHERE lost = 1). See which alarms stood before it: the cause may be there";

/// Whether messages will be gone before they can be fetched. Nothing where that cannot be told.
pub fn loss_ahead(account: &str, forecast: Option<&Forecast>) -> Option<Look> {
    let look = |wrong| Some(Look::at(Some(account), Kind::LossAhead, wrong));
    let Some(Forecast { is_informed, outlook, rate, .. }) = forecast else { return look(None) };
    if !is_informed {
        return None;
    }
    let Some(begins) = outlook.loss_begins else { return look(None) };
    let rate = rate.map_or_else(String::new, |rate| format!("at {rate:.3} requests a second "));
    let (messages, seconds) = (outlook.loss.messages, outlook.loss.seconds);
    let text = format!(
        "{rate}about {messages} messages will have fallen behind the provider's edge before they can be fetched, from \
         {begins} on: {seconds} seconds of history, over all streams"
    );
    look(Some(Wrong { stream: None, text, hint: LOSS_HINT.to_owned(), level: None }))
}

/// Whether more history is lost than was known. `known` is how many seconds had been lost when that was last told of.
pub fn lost(account: &str, streams: &[&StreamStatus], known: i64) -> Look {
    let lost: u64 = streams.iter().map(|stream| stream.lost_seconds).sum();
    let lost = i64::try_from(lost).unwrap_or(i64::MAX);
    let is_more = lost > known.saturating_add(HARDLY_S);
    let wrong = is_more.then(|| {
        let of = streams.iter().filter(|stream| stream.lost_seconds > 0).count();
        let text = format!(
            "history has fallen behind the provider's edge before it was fetched: {lost} seconds in all by now, of {of} \
             streams; {} seconds more than was known",
            lost - known
        );
        Wrong { stream: None, text, hint: LOST_HINT.to_owned(), level: Some(lost) }
    });
    Look::at(Some(account), Kind::Lost, wrong)
}
